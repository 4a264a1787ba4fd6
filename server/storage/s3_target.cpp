#include "server/storage/s3_target.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "server/storage/s3_reader.h"

namespace aster::storage {
namespace {

constexpr size_t kMostKey = 1024;       // bytes; figure of AWS
constexpr uint64_t kMostListed = 1000;  // of one call; likewise
constexpr size_t kMostMarks = 64;
// As long as people page through a listing.
constexpr std::chrono::minutes kMarkLife{10};

/// Whether a key of the bucket is one that this protocol can name.
bool is_plain_path(std::string_view path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (segment.empty() || segment == "." || segment == "..") return false;
    begin = end + 1;
  }
  return true;
}

/// What services say of bytes that nobody described, ours among them.
bool is_unknown_type(std::string_view type) {
  return type.empty() || type == "application/octet-stream" || type == "binary/octet-stream";
}

std::string folder(std::string path) {
  if (!path.empty()) path += '/';
  return path;
}

}  // namespace

Result<std::shared_ptr<S3Target>> S3Target::open(Options options, S3Services services) {
  ASTER_TRY(S3Address address, S3Address::parse(options.endpoint, options.bucket));
  if (options.access_key.empty()) return fail(Errc::bad_request, "access_key: must not be empty");
  if (options.secret_key.empty()) return fail(Errc::bad_request, "secret_key: must not be empty");
  return std::make_shared<S3Target>(std::move(options), std::move(address), services);
}

S3Target::S3Target(Options options, S3Address address, S3Services services)
    : options_(std::move(options)),
      services_(services),
      client_(std::make_shared<S3Client>(services.http, services.executor, std::move(address),
                                         options_.access_key, options_.secret_key)),
      sending_{client_, services.executor, services.tasks, services.memory} {}

Result<std::string> S3Target::key_of(const std::string& path) const {
  std::string key = folder(options_.prefix) + path;
  if (key.size() <= kMostKey) return key;
  return fail(Errc::name_too_long, "the key takes " + std::to_string(key.size()) +
                                       " bytes in the bucket, S3 allows " +
                                       std::to_string(kMostKey));
}

uint64_t S3Target::part_size_for(uint64_t size) const {
  constexpr uint64_t kStep = 1 << 20;
  const uint64_t fair = (size / options_.limits.most_parts + kStep) / kStep * kStep;
  return size <= options_.part_size * options_.limits.most_parts
             ? options_.part_size
             : std::max(options_.part_size, fair);
}

Task<Result<void>> S3Target::check() {
  const auto client = client_;
  const std::string within = folder(options_.prefix);
  ASTER_CO_TRY(co_await client->list(within, {}, 1));
  // Shows the right to write while no object comes to be.
  ASTER_CO_TRY(S3Client::Upload upload, co_await client->begin_upload(within + ".aster-check"));
  Result<void> ended = co_await client->abort(std::move(upload));
  co_return ended;
}

Task<Result<void>> S3Target::abort_leftovers(std::string path, CancelToken cancel) {
  const auto client = client_;
  ASTER_CO_TRY(const std::string prefix, key_of(folder(std::move(path))));
  S3UploadPage page{.truncated = true};
  while (page.truncated) {
    ASTER_CO_TRY(page, co_await client->uploads(prefix, page.next_key, page.next_upload_id));
    if (cancel.cancelled()) co_return fail(Errc::interrupted, "no more time to look for leftovers");
    for (const S3UploadPage::Item& item : page.uploads) {
      // A service may know prefixes only as whole folders, or not at all.
      if (!item.key.starts_with(prefix)) continue;
      ASTER_LOG(info, "s3_upload_of_a_dead_process", {"key", item.key});
      S3Client::Upload upload{item.key, item.upload_id};
      ASTER_CO_TRY(co_await client->abort(std::move(upload)));
    }
    if (page.next_key.empty()) break;
  }
  co_return ok();
}

Task<Result<std::unique_ptr<StagedObject>>> S3Target::stage(std::string path, uint64_t size) {
  ASTER_CO_TRY(std::string key, key_of(path));
  if (size > kMostS3Object) co_return fail(Errc::too_large, "S3 takes no object above 5 TiB");
  co_return std::unique_ptr<StagedObject>(
      std::make_unique<S3Upload>(sending_, std::move(key), size, part_size_for(size)));
}

Task<Result<OpenObject>> S3Target::open(std::string path) {
  const auto client = client_;
  const S3Services services = services_;
  ASTER_CO_TRY(const std::string key, key_of(path));
  ASTER_CO_TRY(const S3Client::Head head, co_await client->head(key));
  OpenObject out;
  out.size = head.size;
  if (!is_unknown_type(head.content_type)) out.content_type = head.content_type;
  out.stream = [client, services, key, etag = head.etag](uint64_t offset, uint64_t length) {
    return read_s3_object(client, services.executor, services.tasks,
                          {.key = key, .etag = etag, .offset = offset, .length = length});
  };
  co_return out;
}

Task<Result<uint64_t>> S3Target::stat(std::string path) {
  const auto client = client_;
  ASTER_CO_TRY(std::string key, key_of(path));
  ASTER_CO_TRY(const S3Client::Head head, co_await client->head(std::move(key)));
  co_return head.size;
}

Task<Result<void>> S3Target::remove(std::string path) {
  const auto client = client_;
  ASTER_CO_TRY(const std::string key, key_of(path));
  ASTER_CO_TRY(co_await client->head(key));  // DELETE does not tell whether there was one
  Result<void> removed = co_await client->remove(key);
  co_return removed;
}

Task<Result<Capacity>> S3Target::capacity() {
  co_return fail(Errc::unsupported, "a bucket does not tell its capacity");
}

// ---- listing

/// The nearest place at or before `offset` from which the listing can go on.
S3Target::PageMark S3Target::page_mark(const std::string& prefix, uint64_t offset) const {
  const SteadyTime now = std::chrono::steady_clock::now();
  PageMark best{.prefix = prefix};
  const auto marks = marks_.lock();
  for (const PageMark& mark : *marks) {
    const bool usable = mark.prefix == prefix && now - mark.made < kMarkLife;
    if (usable && mark.offset <= offset && mark.offset >= best.offset) best = mark;
  }
  return best;
}

void S3Target::keep_mark(PageMark mark) {
  auto marks = marks_.lock();
  std::erase_if(*marks, [&](const PageMark& other) {
    return other.prefix == mark.prefix && other.offset == mark.offset;
  });
  marks->push_back(std::move(mark));
  if (marks->size() > kMostMarks) marks->pop_front();
}

Task<Result<ListPage>> S3Target::list(std::string prefix, uint64_t offset, uint64_t limit) {
  const auto client = client_;
  const size_t skip = folder(options_.prefix).size();
  const std::string within = folder(options_.prefix) + folder(prefix);
  PageMark at = page_mark(prefix, offset);
  ListPage page;
  S3KeyPage found{.truncated = true};
  while (found.truncated && !page.more) {
    // One more than wanted shows whether there is more.
    const uint64_t wanted = offset - at.offset + std::min(limit, kMostListed);
    ASTER_CO_TRY(found, co_await client->list(within, at.after, std::min(wanted + 1, kMostListed)));
    if (found.truncated && (found.keys.empty() || found.keys.back() <= at.after)) {
      co_return fail(Errc::io_error, "S3: a listing that does not go on");
    }
    for (std::string& key : found.keys) {
      if (!key.starts_with(within) || !is_plain_path(key.substr(skip))) continue;
      if (at.offset >= offset && page.paths.size() == limit) {
        page.more = true;
        break;
      }
      if (at.offset >= offset) page.paths.push_back(key.substr(skip));
      ++at.offset;
      at.after = std::move(key);
    }
    if (!page.more && !found.keys.empty() && !found.keys.back().empty()) {
      at.after = found.keys.back();  // keys that were passed over
    }
  }
  if (page.more) {
    at.made = std::chrono::steady_clock::now();
    keep_mark(std::move(at));
  }
  co_return page;
}

}  // namespace aster::storage

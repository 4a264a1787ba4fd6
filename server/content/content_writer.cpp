#include "server/content/content_writer.h"

#include <algorithm>
#include <deque>

#include "protocol/checksum.h"
#include "server/content/namespace_call.h"
#include "server/primary/memory_source.h"

namespace aster::content {
namespace {

/// Of a body whose length is not known: a storage wants the length of an object first.
constexpr uint64_t kPiece = kTransferSize;
constexpr uint64_t kBufferBudget = 32 * kPiece;
constexpr uint32_t kGrantsAtOnce = 64;

/// The next `length` bytes of a longer body, and the checksums of those that went by.
class PartSource final : public ByteSource {
 public:
  PartSource(std::shared_ptr<ByteSource> body, uint64_t length)
      : body_(std::move(body)), left_(length) {}

  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const auto room = buffer.first(std::min<uint64_t>(buffer.size(), left_));
    if (room.empty()) co_return size_t{0};
    Result<size_t> got = co_await body_->read(room);
    if (!got.ok()) {
      failure_ = got.error();
      co_return got;
    }
    sums_.update(room.first(*got));
    left_ -= *got;
    co_return got;
  }
  void abandon() noexcept override { body_->abandon(); }

  bool is_whole() const { return left_ == 0; }
  /// Why the body broke off, when it did.
  const std::optional<Error>& failure() const { return failure_; }
  std::vector<uint32_t> take_sums() { return sums_.finish(); }

 private:
  const std::shared_ptr<ByteSource> body_;
  uint64_t left_;
  BlockChecksums sums_;
  std::optional<Error> failure_;
};

Error ended_early() {
  return fail(Errc::bad_request, "the body ended before its announced length");
}

/// What makes `content` the content of `file`: extents first and the cut last, which has the id.
void fill(fs::BatchRequest& request, InodeNo file, const Uploaded& content,
          const CommitOptions& options) {
  for (size_t from = 0; from == 0 || from < content.extents.size();
       from += fs::kManifestExtentsMax) {
    const size_t count = std::min(fs::kManifestExtentsMax, content.extents.size() - from);
    fs::Commit commit{.ino = file};
    if (from == 0) commit.base = options.base;
    const auto first = static_cast<std::ptrdiff_t>(from);
    const auto last = static_cast<std::ptrdiff_t>(from + count);
    commit.extents.assign(content.extents.begin() + first, content.extents.begin() + last);
    commit.objects.assign(content.objects.begin() + first, content.objects.begin() + last);
    commit.sealed = from + count == content.extents.size();
    request.items.push_back({std::move(commit), std::nullopt});
  }
  fs::SetAttr cut{.ino = file, .size = content.size};
  cut.mtime = options.mtime;
  request.items.push_back({cut, options.id});
}

/// Returns what it took when it goes.
class Share {
 public:
  Share(AsyncBudget& budget, uint64_t amount) : budget_(budget), amount_(amount) {}
  ~Share() { budget_.release(amount_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

 private:
  AsyncBudget& budget_;
  const uint64_t amount_;
};

}  // namespace

/// One upload under way.
struct ContentWriter::Upload {
  primary::Caller caller;
  InodeNo near;
  Incoming incoming;
  uint64_t file_size = 0;
  uint64_t part_size = 0;  ///< known with the first grant
  std::deque<ObjectId> granted;
  Uploaded done;

  void add(const ObjectId& object, uint64_t length, std::vector<uint32_t> sums) {
    const uint64_t at = incoming.offset + done.size;
    done.extents.push_back({at, length, object, 0});
    done.objects.push_back({object, length, std::move(sums)});
    done.size += length;
  }
};

ContentWriter::ContentWriter(primary::NamespaceService& namespaces, ObjectPlaces& places,
                             Executor& executor)
    : namespaces_(namespaces), places_(places), budget_(executor, kBufferBudget) {}

Task<Result<void>> ContentWriter::refill(Upload& upload, uint64_t at_hand) {
  if (!upload.granted.empty()) co_return ok();
  const uint64_t known = upload.incoming.offset + upload.done.size + at_hand;
  fs::Grant grant{upload.near, std::max(upload.file_size, known), 1};
  if (upload.part_size != 0 && upload.incoming.length) {
    const uint64_t left = *upload.incoming.length - upload.done.size;
    grant.count = static_cast<uint32_t>(
        std::clamp<uint64_t>((left + upload.part_size - 1) / upload.part_size, 1, kGrantsAtOnce));
  }
  ASTER_CO_TRY(const auto grants,
               co_await call<fs::UploadGrants>(namespaces_, upload.caller, std::move(grant)));
  upload.part_size = std::min(grants.part_size, grants.max_object);
  for (const fs::UploadGrant& one : grants.grants) upload.granted.push_back(one.object);
  co_return ok();
}

Task<Result<void>> ContentWriter::store(Upload& upload, primary::ObjectUpload body,
                                        std::shared_ptr<void> keep_alive) {
  const ObjectId object = upload.granted.front();
  ASTER_CO_TRY(const auto driver, co_await places_.driver(object));
  Result<void> stored = co_await driver->put(object, std::move(body));
  static_cast<void>(keep_alive);
  co_return stored;
}

Task<Result<void>> ContentWriter::send_streamed(Upload& upload) {
  const uint64_t total = *upload.incoming.length;
  while (upload.done.size < total) {
    ASTER_CO_TRY(co_await refill(upload, total - upload.done.size));
    const uint64_t length = std::min(upload.part_size, total - upload.done.size);
    const auto part = std::make_shared<PartSource>(upload.incoming.body, length);
    primary::ObjectUpload body{.body = part, .length = length};
    const Result<void> stored = co_await store(upload, std::move(body), part);
    if (part->failure()) co_return *part->failure();
    if (!stored.ok() && !part->is_whole() && stored.failed_with(Errc::bad_request)) {
      co_return ended_early();
    }
    if (!stored.ok()) co_return stored;
    if (!part->is_whole()) co_return ended_early();
    upload.add(upload.granted.front(), length, part->take_sums());
    upload.granted.pop_front();
  }
  co_return ok();
}

Task<Result<void>> ContentWriter::send_buffered(Upload& upload) {
  co_await budget_.acquire(kPiece);
  const Share share(budget_, kPiece);
  for (bool more = true; more;) {
    auto piece = std::make_shared<std::vector<std::byte>>(kPiece);
    size_t filled = 0;
    while (more && filled < piece->size()) {
      const auto room = std::span(*piece).subspan(filled);
      ASTER_CO_TRY(const size_t n, co_await upload.incoming.body->read(room));
      filled += n;
      more = n != 0;
    }
    if (filled > upload.incoming.limit - upload.done.size) {
      co_return fail(Errc::too_large, "the body is larger than allowed");
    }
    for (size_t sent = 0; sent < filled;) {
      ASTER_CO_TRY(co_await refill(upload, filled - sent));
      const size_t length = std::min<uint64_t>(upload.part_size, filled - sent);
      const Bytes bytes(piece, ByteView(*piece).subspan(sent, length));
      BlockChecksums sums;
      sums.update(bytes.view());
      primary::ObjectUpload body{.length = length, .crc32c = crc32c(bytes.view())};
      body.body = std::make_shared<primary::MemorySource>(bytes);
      ASTER_CO_TRY(co_await store(upload, std::move(body), piece));
      upload.add(upload.granted.front(), length, sums.finish());
      upload.granted.pop_front();
      sent += length;
    }
  }
  co_return ok();
}

Task<Result<Uploaded>> ContentWriter::upload(primary::Caller caller, InodeNo near,
                                             Incoming incoming, uint64_t file_size) {
  if (caller.read_only) co_return fail(Errc::read_only, "this account may only read");
  if (incoming.length.value_or(0) > incoming.limit) {
    co_return fail(Errc::too_large, "the body is larger than allowed");
  }
  Upload upload{.caller = caller, .near = near, .file_size = file_size};
  upload.incoming = std::move(incoming);
  Task<Result<void>> sending =
      upload.incoming.length ? send_streamed(upload) : send_buffered(upload);
  ASTER_CO_TRY(co_await std::move(sending));
  co_return std::move(upload.done);
}

Task<Result<fs::Attr>> ContentWriter::replace(primary::Caller caller, InodeNo file,
                                              Uploaded content, CommitOptions options) {
  // One batch is one transaction: nobody sees a mixture, and a refused commit leaves the old
  // content whole.
  fs::BatchRequest request{.stop_on_error = true};
  fill(request, file, content, options);
  const auto answers = co_await namespaces_.apply(caller, std::move(request));
  ASTER_CO_TRY(first_failure(answers));
  co_return std::get<fs::Attr>(*answers.back());
}

Task<Result<fs::Attr>> ContentWriter::create(primary::Caller caller, fs::Attr parent,
                                             std::string name, Uploaded content,
                                             CommitOptions options) {
  // The number first, so that the name comes in the transaction that brings the content.
  fs::ReserveInodes one{1};
  ASTER_CO_TRY(const auto number,
               co_await call<fs::InodeRange>(namespaces_, caller, std::move(one)));
  fs::Create create{.parent = parent.ino, .name = name, .mode = 0644};
  create.uid = parent.uid;
  create.gid = parent.gid;
  create.ino = number.first;
  fs::BatchRequest request{.stop_on_error = true};
  request.items.push_back({std::move(create), std::nullopt});
  options.base.reset();
  fill(request, number.first, content, options);
  const auto answers = co_await namespaces_.apply(caller, std::move(request));
  const Result<void> done = first_failure(answers);
  if (done.ok()) co_return std::get<fs::Attr>(*answers.back());
  if (!answers.front().ok()) co_return done.error();
  fs::Unlink undo{parent.ino, std::move(name)};
  undo.skip_trash = true;
  undo.only = number.first;  // nobody else's that has taken the name since
  const auto undone = co_await call<fs::Removed>(namespaces_, caller, std::move(undo));
  const bool gone = undone.ok() || undone.failed_with(Errc::not_found);
  co_return gone ? done.error() : undone.error();
}

Task<std::optional<fs::Attr>> ContentWriter::done_before(primary::Caller caller, OperationId id) {
  // The stored answer comes first; without one there is no inode 0 to change.
  fs::BatchRequest request;
  fs::SetAttr nothing{.ino = InodeNo(0)};
  request.items.push_back({nothing, id});
  const auto answers = co_await namespaces_.apply(std::move(caller), std::move(request));
  if (!answers.front().ok()) co_return std::nullopt;
  co_return std::get<fs::Attr>(*answers.front());
}

}  // namespace aster::content

#include <algorithm>

#include "protocol/base/log.h"
#include "server/storage/s3_reader.h"
#include "server/storage/s3_target.h"

/// S3Target::compose().
namespace aster::storage {
namespace {

/// Collects what is to be one part.
class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(uint64_t size)
      : memory_(std::make_shared_for_overwrite<std::byte[]>(size)), size_(size) {}
  Task<Result<void>> write(ByteView piece) override {
    if (piece.size() > size_ - filled_) co_return fail(Errc::io_error, "S3: a range is too long");
    std::copy(piece.begin(), piece.end(), memory_.get() + filled_);
    filled_ += piece.size();
    co_return ok();
  }
  Bytes bytes() const { return Bytes(memory_, ByteView(memory_.get(), filled_)); }

 private:
  const std::shared_ptr<std::byte[]> memory_;
  const uint64_t size_;
  uint64_t filled_ = 0;
};

/// Hands a body on to an upload.
class StagingSink final : public ByteSink {
 public:
  explicit StagingSink(StagedObject& staged) : staged_(staged) {}
  Task<Result<void>> write(ByteView piece) override { return staged_.write(piece); }

 private:
  StagedObject& staged_;
};

/// Memory of the budget, given back at the end.
class Held {
 public:
  Held(AsyncBudget& budget, uint64_t amount) : budget_(budget), amount_(amount) {}
  ~Held() { budget_.release(amount_); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  AsyncBudget& budget_;
  const uint64_t amount_;
};

}  // namespace

Task<Result<std::vector<S3Target::Part>>> S3Target::look_at(std::vector<std::string> paths) {
  constexpr size_t kAtOnce = 16;
  std::vector<Part> out;
  while (out.size() < paths.size()) {
    std::vector<Task<Result<S3Client::Head>>> heads;
    const size_t first = out.size();
    for (size_t i = first; i < std::min(first + kAtOnce, paths.size()); ++i) {
      ASTER_CO_TRY(std::string key, key_of(paths[i]));
      heads.push_back(client_->head(key));
      out.push_back({.key = std::move(key)});
    }
    std::vector<Result<S3Client::Head>> found = co_await when_all(std::move(heads));
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i].ok()) co_return found[i].error();
      out[first + i].head = std::move(found[i]).value();
    }
  }
  co_return out;
}

Task<Result<uint64_t>> S3Target::compose(std::string path, std::vector<std::string> paths,
                                         ComposeOptions options) {
  ASTER_CO_TRY(std::string key, key_of(path));
  ASTER_CO_TRY(std::vector<Part> found, co_await look_at(std::move(paths)));
  const auto parts = std::make_shared<const std::vector<Part>>(std::move(found));
  uint64_t total = 0;
  for (const Part& part : *parts) total += part.head.size;
  if (total != options.expected_size) {
    co_return fail(Errc::corrupt, "the parts are " + std::to_string(total) + " bytes, not " +
                                      std::to_string(options.expected_size));
  }
  if (total > kMostS3Object) co_return fail(Errc::too_large, "S3 takes no object above 5 TiB");
  ASTER_CO_TRY(co_await join(std::move(key), parts, total));
  if (!options.keep_parts) co_await remove_parts(parts);
  co_return total;
}

Task<Result<void>> S3Target::join(std::string key, std::shared_ptr<const std::vector<Part>> parts,
                                  uint64_t total) {
  const auto client = client_;
  Result<void> outcome = fail(Errc::unsupported, "");
  if (parts->size() == 1 && total > 0 && total <= options_.limits.largest_copy) {
    outcome = co_await client->copy(parts->front().key, parts->front().head.etag, key);
  } else if (total >= options_.limits.smallest) {
    outcome = co_await join_by_copy(key, parts, total);
  }
  // Not every service copies, nor takes parts of different sizes.
  if (outcome.failed_with(Errc::unsupported)) {
    outcome = co_await join_by_stream(std::move(key), parts, total);
  }
  if (outcome.failed_with(Errc::stale_version)) {
    co_return fail(Errc::corrupt, "a part changed: " + outcome.error().context);
  }
  co_return outcome;
}

Task<Result<void>> S3Target::join_by_copy(std::string key,
                                          std::shared_ptr<const std::vector<Part>> parts,
                                          uint64_t total) {
  constexpr size_t kAtOnce = 8;
  std::vector<uint64_t> sizes;
  for (const Part& part : *parts) sizes.push_back(part.head.size);
  const std::vector<S3ComposeStep> steps = plan_s3_compose(sizes, options_.limits);
  ASTER_CO_TRY(S3Client::Upload begun, co_await client_->begin_upload(std::move(key)));
  S3PartSet set(sending_, std::move(begun));
  std::vector<std::string> etags;
  while (etags.size() < steps.size()) {
    std::vector<Task<Result<std::string>>> tasks;
    for (size_t i = etags.size(); i < std::min(etags.size() + kAtOnce, steps.size()); ++i) {
      tasks.push_back(make_part(parts, set.upload(), i + 1, steps[i]));
    }
    std::vector<Result<std::string>> made = co_await when_all(std::move(tasks));
    for (Result<std::string>& etag : made) {
      if (!etag.ok()) co_return etag.error();
      etags.push_back(std::move(etag).value());
    }
  }
  Result<void> outcome = co_await set.complete(std::move(etags), total);
  co_return outcome;
}

Task<Result<std::string>> S3Target::make_part(std::shared_ptr<const std::vector<Part>> parts,
                                              S3Client::Upload upload, size_t number,
                                              S3ComposeStep step) {
  const auto piece_of = [&parts](const S3ComposeStep::Range& range) {
    const Part& part = (*parts)[range.source];
    return S3Client::Piece{part.key, part.head.etag, range.offset, range.length};
  };
  if (step.copy) {
    S3Client::Piece source = piece_of(step.ranges.front());
    Result<std::string> etag =
        co_await client_->copy_part(std::move(upload), number, std::move(source));
    co_return etag;
  }
  const uint64_t length = step.length();
  co_await services_.memory.acquire(length);
  const Held held(services_.memory, length);
  const auto sink = std::make_shared<MemorySink>(length);
  for (const S3ComposeStep::Range& range : step.ranges) {
    S3Client::Piece piece = piece_of(range);
    ASTER_CO_TRY(co_await fetch_s3_object(client_, services_.executor, std::move(piece), sink,
                                          CancelToken()));
  }
  Bytes body = sink->bytes();
  Result<std::string> etag =
      co_await client_->put_part(std::move(upload), number, std::move(body), CancelToken());
  co_return etag;
}

Task<Result<void>> S3Target::join_by_stream(std::string key,
                                            std::shared_ptr<const std::vector<Part>> parts,
                                            uint64_t total) {
  S3Upload staged(sending_, std::move(key), total, part_size_for(total));
  const auto sink = std::make_shared<StagingSink>(staged);
  for (const Part& part : *parts) {
    S3Client::Piece whole{part.key, part.head.etag, 0, part.head.size};
    ASTER_CO_TRY(co_await fetch_s3_object(client_, services_.executor, std::move(whole), sink,
                                          CancelToken()));
  }
  Result<void> outcome = co_await staged.commit();
  co_return outcome;
}

/// The object is whole: parts that stay are garbage, not a failure.
Task<void> S3Target::remove_parts(std::shared_ptr<const std::vector<Part>> parts) {
  constexpr size_t kAtOnce = 16;
  std::vector<std::string> keys;
  for (const Part& part : *parts) keys.push_back(part.key);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  for (size_t first = 0; first < keys.size(); first += kAtOnce) {
    std::vector<Task<Result<void>>> tasks;
    for (size_t i = first; i < std::min(first + kAtOnce, keys.size()); ++i) {
      tasks.push_back(client_->remove(keys[i]));
    }
    const std::vector<Result<void>> removed = co_await when_all(std::move(tasks));
    for (const Result<void>& one : removed) {
      if (!one.ok()) ASTER_LOG(warn, "parts left behind", {"err", one.error()});
    }
  }
}

}  // namespace aster::storage

#pragma once

#include "protocol/checksum.h"
#include "server/content/content_reader.h"
#include "server/content/content_writer.h"
#include "server/content/tree.h"
#include "server/primary/memory_source.h"
#include "tests/support/namespace_fixture.h"

namespace aster::testing {

/// Gives the bytes of a string in small pieces, then its end or an error.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string text, size_t piece = 50'000, std::optional<Error> end = {})
      : text_(std::move(text)), piece_(piece), end_(std::move(end)) {}
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const size_t n = std::min({buffer.size(), piece_, text_.size() - at_});
    if (n == 0 && end_ && !buffer.empty()) co_return *end_;
    std::memcpy(buffer.data(), text_.data() + at_, n);
    at_ += n;
    co_return n;
  }

 private:
  const std::string text_;
  const size_t piece_;
  const std::optional<Error> end_;
  size_t at_ = 0;
};

/// Everything that a source gives.
inline Result<std::string> drain(ByteSource& source) {
  std::string all;
  std::vector<std::byte> buffer(70'000);
  for (;;) {
    ASTER_TRY(const size_t n, run_blocking(source.read(buffer)));
    if (n == 0) return all;
    all += as_text(ByteView(buffer).first(n));
  }
}

/// Objects of FakeObjectBackends as a driver sees them.
class FakeDriver final : public primary::ObjectDriver {
 public:
  struct Knobs {
    std::optional<Error> put_error;
    std::optional<Error> open_error;
    int flips = 0;  ///< answers that have one wrong bit
    int opens = 0;
    size_t largest_put = 0;
  };
  explicit FakeDriver(FakeObjectBackends& objects) : objects_(objects) {}
  Guarded<Knobs> knobs;

  Task<Result<void>> put(ObjectId object, primary::ObjectUpload upload) override {
    std::string bytes;
    std::vector<std::byte> buffer(33'333);
    for (;;) {
      ASTER_CO_TRY(const size_t n, co_await upload.body->read(buffer));
      if (n == 0) break;
      bytes += as_text(ByteView(buffer).first(n));
    }
    {
      const auto k = knobs.lock();
      if (k->put_error) co_return *k->put_error;
      k->largest_put = std::max(k->largest_put, bytes.size());
    }
    if (bytes.size() != upload.length) co_return fail(Errc::bad_request, "length");
    if (upload.crc32c && *upload.crc32c != crc32c(as_bytes(bytes))) co_return fail(Errc::corrupt);
    objects_.put(object, std::move(bytes));
    co_return ok();
  }
  Task<ApiResult<primary::ObjectBody>> open(ObjectId object, primary::WantedRange wanted) override {
    auto bytes = objects_.get(object);
    if (!bytes) co_return fail(Errc::not_found, "object");
    RangeRequest request{.header = *wanted.header};
    ASTER_CO_TRY(const auto range, resolve_range(request, bytes->size()));
    std::string part = bytes->substr(range->offset, range->length);
    {
      const auto k = knobs.lock();
      if (k->open_error) co_return *k->open_error;
      k->opens += 1;
      if (k->flips > 0) part[part.size() / 2] ^= 1;
      if (k->flips > 0) k->flips -= 1;
    }
    primary::ObjectBody body{.size = bytes->size(), .range = *range, .partial = true};
    body.bytes = std::shared_ptr<ByteSource>(std::make_shared<StringSource>(std::move(part)));
    co_return body;
  }
  Task<Result<uint64_t>> stat(ObjectId object) override { return objects_.stat({}, object); }
  Task<Result<void>> remove(ObjectId object) override { return objects_.remove({}, object); }
  Task<Result<primary::ObjectBackends::Composed>> compose(ObjectId target,
                                                          std::vector<ObjectId> parts,
                                                          uint64_t size) override {
    return objects_.compose({}, target, std::move(parts), size);
  }
  bool joins_pieces() const override { return true; }
  Task<Result<uint64_t>> join_pieces(ObjectId target,
                                     std::vector<primary::ObjectBackends::Piece> pieces) override {
    return objects_.join_pieces({}, target, std::move(pieces));
  }
  Task<Result<primary::ObjectBackends::Capacity>> capacity() override {
    co_return objects_.capacity({});
  }
  Result<std::optional<std::string>> presigned_url(std::string_view, const ObjectId&,
                                                   int64_t) const override {
    return std::optional<std::string>();
  }

 private:
  FakeObjectBackends& objects_;
};

/// A namespace with a reader and a writer of its files.
class ContentFixture : public NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    driver_ = std::make_shared<FakeDriver>(backends_);
    places_.emplace(
        *database_,
        [this](PolicyId) -> Result<std::shared_ptr<primary::ObjectDriver>> {
          return std::shared_ptr<primary::ObjectDriver>(driver_);
        },
        executor_);
    reader_.emplace(*service_, *places_, executor_);
    writer_.emplace(*service_, *places_, executor_);
    tree_.emplace(*service_, caller_, root_);
  }

  Result<fs::Attr> put_new(const std::string& name, const std::string& bytes) {
    content::Incoming incoming{std::make_shared<StringSource>(bytes), bytes.size()};
    ASTER_TRY(content::Uploaded up,
              run_blocking(writer_->upload(caller_, root_, std::move(incoming), bytes.size())));
    return run_blocking(writer_->create(caller_, attr(root_), name, std::move(up), {}));
  }
  Result<std::string> read(const fs::Attr& file, uint64_t offset = 0,
                           uint64_t length = UINT64_MAX) {
    const uint64_t n = std::min(length, file.size - offset);
    ASTER_TRY(const auto source, run_blocking(reader_->open(caller_, file, offset, n)));
    return drain(*source);
  }
  content::Spot spot(content::Path path) {
    auto found = run_blocking(tree_->find(std::move(path)));
    EXPECT_TRUE(found.ok());
    return found.ok() ? *found : content::Spot();
  }
  /// Bytes that differ everywhere.
  static std::string some_bytes(size_t n) {
    std::string out(n, '\0');
    uint32_t state = static_cast<uint32_t>(n) + 7;
    for (char& c : out) {
      state = state * 1664525 + 1013904223;
      c = static_cast<char>(state >> 24);
    }
    return out;
  }

  std::shared_ptr<FakeDriver> driver_;
  std::optional<content::ObjectPlaces> places_;
  std::optional<content::ContentReader> reader_;
  std::optional<content::ContentWriter> writer_;
  std::optional<content::Tree> tree_;
};

}  // namespace aster::testing

#include "tests/support/fake_file_io.h"

#include <algorithm>
#include <atomic>

namespace aster::testing {

struct FakeFileIo::State {
  explicit State(FakePrimary& p) : primary(p) {}
  FakePrimary& primary;
  struct Faults {
    std::optional<Errc> flush;
    std::optional<Errc> drain;
    std::optional<Errc> fetch;
    bool stalled = false;
    std::vector<Completion<bool>> waiting;
  };
  Guarded<Faults> faults;
  std::atomic<size_t> flushes{0};
  std::atomic<size_t> sealed{0};
};

namespace {

class FakeContent final : public FileContent {
 public:
  FakeContent(std::shared_ptr<FakeFileIo::State> io, const fs::Attr& attr)
      : io_(std::move(io)), ino_(attr.ino) {
    data_.lock()->attr = attr;
  }

  Task<Result<std::vector<Bytes>>> read(uint64_t offset, uint64_t length,
                                        std::shared_ptr<ReadAhead>) override {
    std::optional<Completion<bool>> gate;
    {
      auto faults = io_->faults.lock();
      if (faults->stalled) faults->waiting.push_back(gate.emplace());
    }
    if (gate) {
      const Completion<bool> arrived = *gate;
      co_await arrived;
    }
    auto data = data_.lock();
    ASTER_CO_TRY(fetch(*data));
    std::vector<Bytes> pieces;
    const std::string& bytes = data->bytes;
    if (offset < bytes.size()) pieces.push_back(Bytes::from_string(bytes.substr(offset, length)));
    co_return pieces;
  }

  Task<Result<void>> write(uint64_t offset, Bytes bytes) override {
    auto data = data_.lock();
    ASTER_CO_TRY(fetch(*data));
    put(*data, offset, bytes);
    co_return ok();
  }

  Task<Result<uint64_t>> append(Bytes bytes) override {
    auto data = data_.lock();
    ASTER_CO_TRY(fetch(*data));
    const uint64_t offset = data->bytes.size();
    put(*data, offset, bytes);
    co_return offset;
  }

  Task<Result<fs::Attr>> truncate(fs::SetAttr change) override {
    fs::Operation operation = change;
    ASTER_CO_TRY(fs::Attr attr, co_await io_->primary.call<fs::Attr>(std::move(operation)));
    auto data = data_.lock();
    data->attr = attr;
    if (data->known) data->bytes.resize(*change.size);
    co_return overlaid(*data, attr);
  }

  Task<Result<void>> flush(bool sealed) override {
    if (io_->faults.lock()->drain) co_return ok();
    const Result<void> drained = co_await drain(sealed);
    co_return drained;
  }

  Task<Result<void>> drain(bool sealed) override {
    if (const auto code = io_->faults.lock()->drain) co_return fail(*code, "scripted refusal");
    ++io_->flushes;
    if (sealed) ++io_->sealed;
    auto data = data_.lock();
    if (!data->dirty) co_return ok();
    if (const auto code = io_->faults.lock()->flush) co_return fail(*code, "scripted failure");
    data->attr = io_->primary.commit_content(ino_, data->bytes, std::nullopt);
    data->dirty = false;
    co_return ok();
  }

  fs::Attr overlay(fs::Attr attr) const override {
    auto data = data_.lock();
    return overlaid(*data, data->attr.change > attr.change ? data->attr : attr);
  }
  bool dirty() const override { return data_.lock()->dirty; }
  std::optional<uint64_t> size() const override { return data_.lock()->bytes.size(); }
  void invalidate() override {
    auto data = data_.lock();
    if (!data->dirty) data->known = false;
    data->attr.change = 0;
  }
  void observe(const fs::Attr& attr) override {
    auto data = data_.lock();
    if (attr.change < data->attr.change) return;
    if (attr.data_version != data->attr.data_version && !data->dirty) data->known = false;
    data->attr = attr;
  }
  Task<Result<uint64_t>> seek(uint64_t offset, bool hole) override {
    auto data = data_.lock();
    ASTER_CO_TRY(fetch(*data));
    if (offset >= data->bytes.size()) co_return fail(Errc::no_attribute);
    co_return hole ? data->bytes.size() : offset;
  }

 private:
  struct Data {
    fs::Attr attr;
    std::string bytes;
    bool known = false;
    bool dirty = false;
  };

  Result<void> fetch(Data& data) {
    if (data.known) return ok();
    if (const auto code = io_->faults.lock()->fetch) return fail(*code, "scripted failure");
    ASTER_TRY(data.bytes, io_->primary.content(ino_));
    data.known = true;
    return ok();
  }
  static void put(Data& data, uint64_t offset, const Bytes& bytes) {
    if (data.bytes.size() < offset + bytes.size()) data.bytes.resize(offset + bytes.size());
    data.bytes.replace(offset, bytes.size(), as_text(bytes.view()));
    data.dirty = true;
  }
  static fs::Attr overlaid(const Data& data, fs::Attr attr) {
    if (data.dirty) attr.size = attr.allocated = data.bytes.size();
    return attr;
  }

  const std::shared_ptr<FakeFileIo::State> io_;
  const InodeNo ino_;
  Guarded<Data> data_;
};

}  // namespace

FakeFileIo::FakeFileIo(FakePrimary& primary) : state_(std::make_shared<State>(primary)) {}
FakeFileIo::~FakeFileIo() = default;

std::shared_ptr<FileContent> FakeFileIo::content(const fs::Attr& attr) {
  return std::make_shared<FakeContent>(state_, attr);
}
FileIoStats FakeFileIo::stats() const {
  return {};
}
void FakeFileIo::fail_flush(std::optional<Errc> code) {
  state_->faults.lock()->flush = code;
}
void FakeFileIo::refuse_drains(std::optional<Errc> code) {
  state_->faults.lock()->drain = code;
}

void FakeFileIo::fail_fetch(std::optional<Errc> code) {
  state_->faults.lock()->fetch = code;
}
void FakeFileIo::stall_reads() {
  state_->faults.lock()->stalled = true;
}
void FakeFileIo::resume_reads() {
  state_->faults.lock()->stalled = false;
  auto waiting = std::exchange(state_->faults.lock()->waiting, {});
  for (const Completion<bool>& read : waiting) read.set(true);
}
size_t FakeFileIo::flushes() const {
  return state_->flushes;
}
size_t FakeFileIo::sealed() const {
  return state_->sealed;
}

}  // namespace aster::testing

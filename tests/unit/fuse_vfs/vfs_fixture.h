#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fuse/vfs/filesystem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_io.h"
#include "tests/support/fake_primary.h"

namespace aster::testing {

/// Remembers what the kernel was told to forget.
class RecordingKernel final : public KernelCache {
 public:
  void drop_content(InodeNo ino, DropToken token) override {
    contents_.lock()->push_back(ino);
    keep(std::move(token));
  }
  void drop_attributes(InodeNo ino, DropToken token) override {
    attributes_.lock()->push_back(ino);
    keep(std::move(token));
  }
  void drop_entry(InodeNo parent, std::string name, DropToken token) override {
    entries_.lock()->push_back(std::to_string(parent.value) + "/" + name);
    (*entry_tokens_.lock())[parent.value].push_back(std::move(token));
    if (!slow) (void)pending_entries(parent);
  }
  std::vector<DropToken> pending_entries(InodeNo parent) override {
    return std::exchange((*entry_tokens_.lock())[parent.value], {});
  }
  bool drop_all_names() override {
    ++all_names;
    return epochs;
  }
  bool can_drop_all_names() const override { return epochs; }
  /// The kernel comes back from everything that it was told while `slow`.
  void finish() {
    slow = false;
    (void)std::exchange(*tokens_.lock(), {});
    (void)std::exchange(*entry_tokens_.lock(), {});
  }
  std::vector<InodeNo> contents() const { return *contents_.lock(); }
  std::vector<InodeNo> attributes() const { return *attributes_.lock(); }
  std::vector<std::string> entries() const { return *entries_.lock(); }

  std::atomic<bool> slow{false};
  std::atomic<bool> epochs{true};
  std::atomic<int> all_names{0};

 private:
  void keep(DropToken token) {
    if (slow) tokens_.lock()->push_back(std::move(token));
  }

  Guarded<std::vector<DropToken>> tokens_;
  Guarded<std::map<uint64_t, std::vector<DropToken>>> entry_tokens_;
  Guarded<std::vector<InodeNo>> contents_;
  Guarded<std::vector<InodeNo>> attributes_;
  Guarded<std::vector<std::string>> entries_;
};

/// A Filesystem over FakePrimary with a clock that stands still.
class VfsTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::milliseconds kTtl{1000};

  void SetUp() override { remount({}); }
  void remount(VfsOptions options) {
    filesystem.reset();
    options.root = primary.root();
    options.entry_ttl = kTtl;
    filesystem = std::make_unique<Filesystem>(
        Filesystem::Parts{primary, io, kernel, executor, clock}, options);
  }
  void TearDown() override { filesystem.reset(); }

  Filesystem& fs() { return *filesystem; }
  InodeNo root() const { return primary.root(); }

  template <class T>
  static T run(Task<T> task) {
    return run_blocking(std::move(task));
  }
  Result<Found> lookup(InodeNo parent, const std::string& name) {
    return run(fs().lookup(parent, name, who));
  }
  /// A new open file.
  Created create(const std::string& name, int flags = O_RDWR | O_CREAT | O_EXCL) {
    return run(fs().create({root(), name, 0644, flags}, who)).value();
  }
  Entry make(fs::FileType type, InodeNo parent, const std::string& name, uint32_t mode = 0755) {
    return run(fs().make({parent, name, type, mode, 0, {}}, who)).value();
  }
  void write(HandleId handle, uint64_t offset, const std::string& text, int flags = O_RDWR) {
    const auto written =
        run(fs().write(handle, Bytes::from_string(text), {offset, flags, false}, who));
    ASSERT_TRUE(written.ok());
  }
  std::string read(HandleId handle, uint64_t offset = 0, uint64_t length = 1 << 20) {
    std::string all;
    auto pieces = run(fs().read(handle, offset, length, who));
    if (!pieces.ok()) return "error: " + pieces.error().message();
    for (const Bytes& piece : *pieces) all += as_text(piece.view());
    return all;
  }
  /// A file that another client made, with its event not told.
  InodeNo foreign(const std::string& name, const std::string& content = "") {
    fs::Create create;
    create.parent = root();
    create.name = name;
    create.mode = 0644;
    const InodeNo ino = std::get<fs::Attr>(primary.as_other(create).value()).ino;
    if (!content.empty()) primary.put_content(ino, content);
    return ino;
  }
  uint64_t size_of(InodeNo ino) { return run(fs().getattr(ino, who)).value().attr.size; }

  FakePrimary primary;
  FakeFileIo io{primary};
  FakeClock clock;
  Executor executor{{"test", 2, 64}};
  RecordingKernel kernel;  // what it still keeps at the end acts on the executor
  std::unique_ptr<Filesystem> filesystem;
  Caller who{1000, 100, nullptr};
};

}  // namespace aster::testing

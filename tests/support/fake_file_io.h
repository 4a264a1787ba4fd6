#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "fuse/io/file_content.h"
#include "fuse/io/unsent_errors.h"
#include "protocol/base/executor.h"
#include "tests/support/fake_primary.h"

namespace aster::testing {

/// FileIo over FakePrimary: dirty data is a whole private copy of the file until flush() hands it
/// to the primary. Keeps the contract of FileContent. Thread-safe.
class FakeFileIo final : public FileIo {
 public:
  explicit FakeFileIo(FakePrimary& primary);
  ~FakeFileIo() override;

  std::shared_ptr<FileContent> content(const fs::Attr& attr) override;
  std::shared_ptr<ReadAhead> read_ahead() override { return nullptr; }
  void stop() override {}
  void warm(std::vector<std::shared_ptr<FileContent>> files) override { warmed_ += files.size(); }
  /// Files that were announced so far.
  size_t warmed() const { return warmed_; }
  FileIoStats stats() const override;
  UnsentErrors& unsent_errors() override { return unsent_errors_; }

  /// Every flush fails with this until cleared; nullopt = none.
  void fail_flush(std::optional<Errc> code);
  /// As with a journal: flushes succeed and send nothing, drains fail with this until cleared.
  void refuse_drains(std::optional<Errc> code);
  /// Reads of files whose manifest is not known fail with this; cached ones go on.
  void fail_fetch(std::optional<Errc> code);
  /// Reads wait until resume().
  void stall_reads();
  void resume_reads();
  size_t flushes() const;
  size_t sealed() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
  std::atomic<size_t> warmed_{0};
  UnsentErrors unsent_errors_;
};

}  // namespace aster::testing

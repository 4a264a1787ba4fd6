#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "cache/file_layer.h"
#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster {

class WritebackJournal;

struct SpillOptions {
  std::filesystem::path directory;  ///< that of the journal; made when the first byte is spilled
  uint64_t limit_bytes = 1ull << 30;
  /// Its bound is shared: what is spilled is room that the journal does not have, and the other way
  /// round. Null: there is no journal, `limit_bytes` is for spilled data alone.
  WritebackJournal* journal = nullptr;
};

/// Unsent writes that memory has no room for, on the disk of the journal. Thread-safe; calls block.
///
/// What survives: nothing. The file has no name, so that the kernel removes it with the process,
/// however that ends. Data here was promised to nobody: with durability=remote fsync and close wait
/// for the servers, with durability=local for the journal, which gets a copy of its own. So nothing
/// can be replayed from here, neither rightly nor wrongly.
///
/// Places in the file are never used twice; freed ones become holes, which give their disk space
/// back. After an error of the disk the next write goes to a new file.
class SpillFile : public std::enable_shared_from_this<SpillFile> {
  struct File;

 public:
  /// The unit of checksums and of disk space.
  static constexpr uint64_t kSector = 4096;

  SpillFile(SpillOptions options, Executor& executor, FileLayer& files = system_files());
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// Bytes in the file. Its space is free again when the last owner goes.
  class Extent {
   public:
    ~Extent();
    Extent(const Extent&) = delete;
    Extent& operator=(const Extent&) = delete;
    uint64_t length() const { return length_; }
    /// io_error; corrupt: the disk has something else than what was written.
    Result<Bytes> read(uint64_t offset, uint64_t length) const;

   private:
    friend class SpillFile;
    Extent() = default;
    std::shared_ptr<SpillFile> owner_;
    std::shared_ptr<File> file_;
    uint64_t offset_ = 0;
    uint64_t length_ = 0;
    uint64_t room_ = 0;
    std::vector<uint32_t> checksums_;  // of each sector
  };
  using ExtentPtr = std::shared_ptr<const Extent>;

  /// All of them, each as an extent, after the disk took them. no_space: the bound is reached or
  /// the disk is full; io_error. Nothing was kept then.
  Result<std::vector<ExtentPtr>> write(const std::vector<Bytes>& pieces);
  /// Disk space that is in use, in whole sectors.
  uint64_t bytes() const;

 private:
  struct State {
    std::shared_ptr<File> file;
    uint64_t bytes = 0;
  };
  bool take_room(uint64_t amount);
  void give_room(uint64_t amount);
  Result<std::shared_ptr<File>> file_for(uint64_t amount, uint64_t& offset);
  Result<void> write_at(const File& file, uint64_t offset, const std::vector<Bytes>& pieces);
  void free(const std::shared_ptr<File>& file, uint64_t offset, uint64_t room);

  const SpillOptions options_;
  Executor& executor_;
  FileLayer& files_;
  Guarded<State> state_;
};

}  // namespace aster

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "fuse/io/block_fetch.h"
#include "fuse/io/file_content.h"
#include "fuse/io/io_context.h"
#include "fuse/io/upload_plan.h"

namespace aster {

/// What one handle reads ahead: watches its reads, says what should be under way, and holds what
/// was fetched until the reader has passed it. Thread-safe, so reads that the kernel sends in
/// parallel may share it.
///
/// The window opens with the second sequential read at 1 MiB and doubles as the reader eats into
/// it, up to 32 MiB (what a 20 ms link needs, with room); a jump closes it.
class ReadAhead {
 public:
  static constexpr uint64_t kFirstWindow = 1 << 20;
  static constexpr uint64_t kLargestWindow = 32 << 20;

  explicit ReadAhead(std::shared_ptr<IoContext> context) : context_(std::move(context)) {}

  /// Notes a read of a file that now ends at `file_size`. What to have under way beyond what is
  /// already: nullopt or a range, to be fetched in pieces of `piece` bytes.
  struct Advice {
    FileRange range;
    uint64_t piece = 0;
  };
  std::optional<Advice> note(FileRange read, uint64_t file_size);
  /// The advice was followed up to `offset` only: ask again from there.
  void stopped_at(uint64_t offset);

  /// Takes `bytes` of the mount's budget; nullptr when it is used up. The share goes back when the
  /// fetch is done and no longer held.
  std::shared_ptr<const void> take_budget(uint64_t bytes);
  /// Keeps what `fetch` brings for the file range until the reader is past it.
  void hold(FileRange range, BlockFetchPtr fetch, std::shared_ptr<const void> budget);
  /// A held fetch that has the block or will have it.
  BlockFetchPtr find(const BlockKey& key) const;
  /// Gives up what is held and was not asked for since `before`, for others who need the budget.
  void drop_idle(SteadyTime before);

 private:
  struct Held {
    FileRange range;
    BlockFetchPtr fetch;
    std::shared_ptr<const void> budget;
  };
  bool continues(const FileRange& read) const;
  void restart(const FileRange& read, std::deque<Held>& dropped);
  void drop_passed(std::deque<Held>& dropped);

  const std::shared_ptr<IoContext> context_;
  mutable std::mutex mutex_;
  uint64_t next_ = 0;      // where the reader will go on
  uint64_t window_ = 0;    // 0: closed
  uint64_t grown_at_ = 0;  // next_ when the window grew last
  uint64_t ahead_ = 0;     // end of what is under way or held
  uint64_t reads_ = 0;     // since the last jump
  SteadyTime used_{};
  std::deque<Held> held_;
};

}  // namespace aster

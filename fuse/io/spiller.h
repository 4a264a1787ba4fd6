#pragma once

#include <memory>
#include <optional>

#include "cache/spill_file.h"
#include "protocol/base/guarded.h"
#include "protocol/base/task.h"

namespace aster {

class IoContext;

/// Makes room for writers on the disk when the servers do not make it fast enough: moves unsent
/// writes to the spill file, the oldest first, until the budget has some air again. Nothing is
/// spilled while the servers refuse the data (no space, quota): that is no want of time, and the
/// writer has to know. When the disk takes nothing either, writers wait for the servers.
/// Thread-safe; part of the IoContext that it is made with.
class Spiller {
 public:
  /// `file` null: nothing is ever spilled.
  Spiller(IoContext& context, std::shared_ptr<SpillFile> file)
      : context_(context), file_(std::move(file)) {}

  /// Waits for nothing. To be called when writers wait or the budget is overdrawn.
  void kick();
  bool able() const { return file_ != nullptr; }
  /// Disk space of spilled data.
  uint64_t bytes() const { return file_ ? file_->bytes() : 0; }

 private:
  struct State {
    bool running = false;
    bool failing = false;  // reported; until it goes well again
    SteadyTime not_before{};
    std::optional<SteadyTime> last;  // when something was spilled
  };
  bool needed() const;
  Task<void> run();
  Result<bool> spill_some(uint64_t& from);
  void note(const Result<bool>& outcome);

  IoContext& context_;
  const std::shared_ptr<SpillFile> file_;
  Guarded<State> state_;
};

}  // namespace aster

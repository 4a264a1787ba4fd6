#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fuse/kernel/dispatch.h"
#include "fuse/kernel/notifier.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

struct fuse_session;

namespace aster {

struct MountPlace {
  std::string directory;  ///< absolute, without symbolic links
  std::string source;     ///< what df and mount show in the first column
  bool allow_other = false;
  bool read_only = false;
  /// Mount flags by their mount(8) names, as far as libfuse takes them (nosuid, noexec ...).
  std::vector<std::string> flags;
};

/// Detaches mounts of Aster at `path` whose process was killed: they stay in the table and answer
/// ENOTCONN (fuse(4)). A dead mount of another program is an error that names the way out.
Result<void> clear_dead_mount(const std::string& path);

/// Whether something can be mounted there: an existing directory, /dev/fuse at hand. The error is
/// one clear line.
Result<void> check_place(const std::string& directory);

/// A mount and the one thread that reads its requests (the wake-up between threads, not the work,
/// is what costs; see the design page). The kernel's end is known by ended_fd().
class Session {
 public:
  /// Mounts, serves, and returns once the kernel has shaken hands. `dispatch` and `notifier` must
  /// outlive the session. Not before the daemonising fork.
  static Result<std::unique_ptr<Session>> mount(const MountPlace& place, Dispatch& dispatch,
                                                Notifier& notifier);
  /// stop(), and unmounts if that has not happened.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Readable once the drive is unmounted by whomever. With umount -l that is when the last user of
  /// it is gone.
  int ended_fd() const { return ended_.get(); }
  /// Takes the mount out of the tree; who has files open goes on being served.
  void detach();
  /// Answers what is under way (which has deadlines), refuses what comes, then serves no longer.
  void stop();

 private:
  Session(MountPlace place, Dispatch& dispatch, Notifier& notifier);
  Result<void> begin();
  void read_requests();
  Result<void> wait_for_handshake();
  void raise_readahead() const;
  void end_thread();

  const MountPlace place_;
  Dispatch& dispatch_;
  Notifier& notifier_;
  fuse_session* session_ = nullptr;
  dev_t device_ = 0;  // of the mount, to recognise it
  UniqueFd ended_;
  UniqueFd ready_;
  std::atomic<bool> leave_{false};
  bool mounted_ = false;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace aster

#pragma once

#include <fcntl.h>
#include <fuse_lowlevel.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "fuse/vfs/types.h"
#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"

namespace aster {

/// True when a signal that asks the process to stop (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
/// SIGXCPU, SIGKILL) is waiting for thread `tid`, or when that cannot be found out.
bool asked_to_stop(pid_t tid);

/// True when thread `tid` is on its way out (exit or a fatal signal): no signal reaches it any
/// more.
bool is_ending(pid_t tid);

/// One request of the kernel, answered exactly once: by the operation that serves it, or before
/// that with EINTR by an interrupt. Whoever is late learns it from the `false` that the answering
/// methods return, and must undo what only the answer would have justified (look-up counts, open
/// handles). Destroyed unanswered it answers EIO: never leave a process hanging. Thread-safe.
///
/// The kernel reports any signal as an interrupt, once. Only signals that mean "stop" end the
/// wait: programs do not expect EINTR from files just because a timer or a child signalled (git
/// uses SIGALRM for its progress display). After another signal the request looks again now and
/// then whether one that means it has come.
class Request : public std::enable_shared_from_this<Request> {
 public:
  /// `executor` must outlive the request. Listens for interrupts from the start.
  static std::shared_ptr<Request> take(fuse_req_t req, const char* operation, Executor& executor);
  Request(fuse_req_t req, const char* operation, Executor& executor);
  ~Request();
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Caller caller() const;
  const char* operation() const { return operation_; }

  bool error(int err);
  bool done() { return error(0); }
  bool attr(const struct stat& attr, double timeout);
  bool entry(const fuse_entry_param& entry);
  bool create(const fuse_entry_param& entry, const fuse_file_info& info);
  bool open(const fuse_file_info& info);
  bool written(size_t bytes);
  bool buffer(std::string_view bytes);
  bool pieces(const std::vector<Bytes>& pieces);
  bool xattr_size(size_t size);
  bool readlink(const char* target);
  bool statfs(const struct statvfs& stat);
  bool offset(off_t offset);
  bool lock(const struct flock& lock);

 private:
  void listen();
  static void on_interrupt(fuse_req_t req, void* holder);
  void interrupted();
  void look_again();
  /// True for the one who may answer. No interrupt is under way or will come after that.
  bool claim();
  void answer_interrupt();
  void release_holder();

  fuse_req_t const req_;
  const char* const operation_;
  Executor& executor_;
  Caller caller_;
  const pid_t tid_;
  std::atomic<bool> answered_{false};
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
  // What libfuse hands to on_interrupt; keeps the request alive for it. Freed by whoever answers.
  std::shared_ptr<Request>* holder_ = nullptr;
  std::atomic<bool> listening_{false};
  std::atomic<bool> early_interrupt_{false};
};

}  // namespace aster

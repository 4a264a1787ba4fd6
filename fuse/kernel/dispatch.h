#pragma once

#include <fuse_lowlevel.h>

#include <exception>
#include <map>
#include <memory>
#include <utility>

#include "fuse/kernel/errno_map.h"
#include "fuse/kernel/node_ids.h"
#include "fuse/kernel/operation_stats.h"
#include "fuse/kernel/request.h"
#include "fuse/kernel/self_tree.h"
#include "fuse/vfs/filesystem.h"
#include "fuse/vfs/kept_tree.h"
#include "fuse/vfs/lifeline.h"

namespace aster {

/// Between libfuse's callbacks and the Filesystem: makes the Request, starts the operation's task
/// on the session thread, answers wherever it ends, and stops exceptions. Thread-safe.
class Dispatch {
 public:
  /// Everything must outlive it.
  Dispatch(Filesystem& filesystem, Executor& executor)
      : filesystem_(filesystem), executor_(executor), ids_(filesystem.root()) {}
  ~Dispatch() { drain(); }

  /// The table for fuse_session_new, whose userdata must be a Dispatch*.
  static fuse_lowlevel_ops operations();
  static Dispatch& of(fuse_req_t req) { return *static_cast<Dispatch*>(fuse_req_userdata(req)); }

  Filesystem& filesystem() { return filesystem_; }
  const NodeIds& ids() const { return ids_; }
  const OperationStats& stats() const { return stats_; }
  /// The files of `/.aster`; filled before the session begins.
  SelfTree& self() { return self_; }
  /// Its folders `trash` and `versions`; null without them.
  KeptTree* kept() { return kept_.get(); }
  void set_kept(std::unique_ptr<KeptTree> kept) { kept_ = std::move(kept); }

  /// An answer with what is left of its times to believe. Asked for at the moment of the answer: a
  /// process that was stopped (SIGSTOP) before it must not hand on time that is over.
  Attributes current(Attributes attributes) const {
    attributes.ttl = filesystem_.inodes().still_believed(attributes.ttl);
    return attributes;
  }
  Entry current(Entry entry) const {
    entry.attr_ttl = filesystem_.inodes().still_believed(entry.attr_ttl);
    entry.entry_ttl = filesystem_.inodes().still_believed(entry.entry_ttl);
    return entry;
  }

  /// Requests from now on are answered with ENOTCONN; waits for those under way.
  void drain() { under_way_->close(); }

  /// Runs the task that `make(caller)` gives, a Task<Result<T>>, then `answer(request, value)`, or
  /// answers with its error. `answer` runs on any thread.
  template <class T, class Make, class Answer>
  void serve(fuse_req_t req, const char* operation, Make make, Answer answer) noexcept {
    try {
      auto request = Request::take(req, operation, executor_);
      serve_request<T>(std::move(request), std::move(make), std::move(answer));
    } catch (const std::exception& e) {
      // Nothing was started: the request, if it was made, has answered EIO from its destructor.
      report(operation, Error{Errc::internal, e.what()});
    }
  }
  /// For tasks without a value: the answer is success.
  template <class Make>
  void serve(fuse_req_t req, const char* operation, Make make) noexcept {
    try {
      auto request = Request::take(req, operation, executor_);
      auto guard = enter(*request);
      if (!guard) return;
      const SteadyTime begin = std::chrono::steady_clock::now();
      const RequestScope scope(RequestId::make());
      start<Result<void>>(make(request->caller()),
                          [this, request, guard, begin](Result<void> result) {
                            record(*request, begin, result.ok());
                            if (result.ok()) {
                              request->done();
                            } else {
                              fail(*request, result.error());
                            }
                          });
    } catch (const std::exception& e) {
      report(operation, Error{Errc::internal, e.what()});
    }
  }

 private:
  using Guard = std::shared_ptr<Lifeline::Guard>;

  template <class T, class Make, class Answer>
  void serve_request(std::shared_ptr<Request> request, Make make, Answer answer) {
    auto guard = enter(*request);
    if (!guard) return;
    const SteadyTime begin = std::chrono::steady_clock::now();
    const RequestScope scope(RequestId::make());
    start<Result<T>>(
        make(request->caller()),
        [this, request, guard, begin, answer = std::move(answer)](Result<T> result) mutable {
          record(*request, begin, result.ok());
          if (result.ok()) {
            answer(*request, std::move(*result));
          } else {
            fail(*request, result.error());
          }
        });
  }
  /// Null, and the request is answered, when the session ends.
  Guard enter(Request& request);
  void fail(Request& request, const Error& error);
  void record(const Request& request, SteadyTime begin, bool done) {
    stats_.record(request.operation(), std::chrono::steady_clock::now() - begin, !done);
  }
  void report(const char* operation, const Error& error) noexcept;

  struct Repeats {
    SteadyTime quiet_until{};
    uint64_t count = 0;  // not logged since
  };

  Filesystem& filesystem_;
  Executor& executor_;
  Guarded<std::map<Errc, Repeats>> repeats_;
  const NodeIds ids_;
  OperationStats stats_;
  SelfTree self_;
  std::unique_ptr<KeptTree> kept_;
  std::shared_ptr<Lifeline> under_way_ = std::make_shared<Lifeline>();
};

// The parts of the table, one file each.
void add_meta_operations(fuse_lowlevel_ops& table);
void add_dir_operations(fuse_lowlevel_ops& table);
void add_file_operations(fuse_lowlevel_ops& table);
void add_xattr_operations(fuse_lowlevel_ops& table);
void add_lock_operations(fuse_lowlevel_ops& table);
/// After them: lays `/.aster` over what the table has.
void add_self_operations(fuse_lowlevel_ops& table);
/// Last: the same for its folders.
void add_kept_operations(fuse_lowlevel_ops& table);
/// The node of "trash" or "versions".
fuse_ino_t kept_top_node(const KeptTree& kept, std::string_view name);

}  // namespace aster

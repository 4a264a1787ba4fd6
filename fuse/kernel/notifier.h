#pragma once

#include <fuse_lowlevel.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>

#include "fuse/kernel/node_ids.h"
#include "fuse/vfs/kernel_cache.h"

namespace aster {

/// Tells the kernel what to forget, on a thread of its own that holds no lock meanwhile: the kernel
/// may wait for one of our answers (a page being read, a directory being changed) before it comes
/// back. Thread-safe. What is asked for before attach() or after stop() is dropped: nothing is
/// cached then.
class Notifier final : public KernelCache {
 public:
  Notifier() = default;
  ~Notifier() override { stop(); }

  /// `session` must stay until stop() has returned.
  void attach(fuse_session* session, NodeIds ids);
  /// Drops what is queued and waits for the call under way. Somebody must go on answering requests
  /// until this returns.
  void stop();

  void drop_content(InodeNo ino) override;
  void drop_attributes(InodeNo ino) override;
  void drop_entry(InodeNo parent, std::string name) override;

 private:
  enum class Kind { content, attributes, entry };
  struct Job {
    Kind kind;
    InodeNo ino;
    std::string name;
  };

  void add(Job job);
  void work();
  void carry_out(const Job& job);

  // Constant between attach() and stop().
  fuse_session* session_ = nullptr;
  NodeIds ids_{InodeNo(FUSE_ROOT_ID)};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool running_ = false;
  std::deque<Job> queue_;
  std::unordered_set<uint64_t> queued_contents_;
  std::jthread thread_;
};

}  // namespace aster

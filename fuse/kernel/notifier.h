#pragma once

#include <fuse_lowlevel.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fuse/kernel/node_ids.h"
#include "fuse/vfs/kernel_cache.h"

namespace aster {

/// Tells the kernel what to forget, on threads that hold no lock meanwhile: the kernel may wait for
/// one of our answers (a page being read, a directory being changed) before it comes back. Contents
/// have threads of their own, so that a page that takes its time holds up no names. Thread-safe.
/// What is asked for before attach() or after stop() is dropped: nothing is cached then.
class Notifier final : public KernelCache {
 public:
  Notifier() = default;
  ~Notifier() override { stop(); }

  /// `session` must stay until stop() has returned.
  void attach(fuse_session* session, NodeIds ids);
  /// Drops what is queued and waits for the calls under way. Somebody must go on answering requests
  /// until this returns.
  void stop();

  void drop_content(InodeNo ino, DropToken token = {}) override;
  void drop_attributes(InodeNo ino, DropToken token = {}) override;
  void drop_entry(InodeNo parent, std::string name, DropToken token = {}) override;
  std::vector<DropToken> pending_entries(InodeNo parent) override;
  bool drop_all_names() override;
  bool can_drop_all_names() const override { return epochs_; }

 private:
  enum class Kind { content, attributes, entry };
  struct Job {
    Kind kind;
    InodeNo ino;
    std::string name;
    uint64_t number = 0;
    DropToken token;
  };
  struct Lane {
    std::deque<Job> queue;
    std::vector<std::jthread> threads;
  };
  struct EntryToken {
    uint64_t number;
    DropToken token;
  };

  void add(Job job);
  void work(Lane& lane);
  void carry_out(const Job& job);
  std::vector<DropToken> finish(const Job& job);

  // Constant between attach() and stop().
  fuse_session* session_ = nullptr;
  NodeIds ids_{InodeNo(FUSE_ROOT_ID)};
  std::atomic<bool> epochs_{false};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool running_ = false;
  uint64_t next_number_ = 0;
  Lane contents_;
  Lane others_;
  // Contents that wait, once each, and who waits for them.
  std::unordered_map<uint64_t, std::vector<DropToken>> queued_contents_;
  std::unordered_map<uint64_t, std::vector<EntryToken>> entry_tokens_;  // by directory
};

}  // namespace aster

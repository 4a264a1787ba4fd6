#include "fuse/kernel/notifier.h"

#include <pthread.h>

#include "protocol/base/log.h"

namespace aster {
namespace {

/// Above this many waiting jobs names and attributes are no longer queued: the kernel believes them
/// for about a second only. Contents always are; there are as many as cached inodes at most.
constexpr size_t kQueueLimit = 65536;

}  // namespace

void Notifier::attach(fuse_session* session, NodeIds ids) {
  std::lock_guard lock(mutex_);
  session_ = session;
  ids_ = ids;
  running_ = true;
  thread_ = std::jthread([this] { work(); });
}

void Notifier::stop() {
  {
    std::lock_guard lock(mutex_);
    running_ = false;
    queue_.clear();
    queued_contents_.clear();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Notifier::add(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (!running_) return;
    if (job.kind == Kind::content) {
      if (!queued_contents_.insert(job.ino.value).second) return;
    } else if (queue_.size() >= kQueueLimit) {
      return;
    }
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Notifier::drop_content(InodeNo ino) {
  add({Kind::content, ino, {}});
}

void Notifier::drop_attributes(InodeNo ino) {
  add({Kind::attributes, ino, {}});
}

void Notifier::drop_entry(InodeNo parent, std::string name) {
  add({Kind::entry, parent, std::move(name)});
}

void Notifier::work() {
  pthread_setname_np(pthread_self(), "notifier");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !running_ || !queue_.empty(); });
    if (!running_) return;
    const Job job = std::move(queue_.front());
    queue_.pop_front();
    // Before the call: a change that comes during it needs another one.
    if (job.kind == Kind::content) queued_contents_.erase(job.ino.value);
    lock.unlock();
    carry_out(job);
    lock.lock();
  }
}

void Notifier::carry_out(const Job& job) {
  const fuse_ino_t node = ids_.node(job.ino);
  int result = 0;
  switch (job.kind) {
    case Kind::content: result = fuse_lowlevel_notify_inval_inode(session_, node, 0, 0); break;
    // A negative offset: attributes only.
    case Kind::attributes: result = fuse_lowlevel_notify_inval_inode(session_, node, -1, 0); break;
    case Kind::entry:
      // Expiring makes the kernel look the name up again without unmounting what is mounted below
      // it; kernels before 6.2 cannot.
      result = fuse_lowlevel_notify_expire_entry(session_, node, job.name.data(), job.name.size(),
                                                 FUSE_LL_EXPIRE_ONLY);
      if (result == -ENOSYS) {
        result = fuse_lowlevel_notify_inval_entry(session_, node, job.name.data(), job.name.size());
      }
      break;
  }
  // ENOENT: the kernel does not know it (any more).
  if (result != 0 && result != -ENOENT) {
    ASTER_LOG(debug, "notify_failed", {"ino", job.ino.value}, {"errno", -result});
  }
}

}  // namespace aster

#include "fuse/kernel/notifier.h"

#include <pthread.h>
#include <sys/uio.h>

#include <algorithm>

#include "protocol/base/log.h"

namespace aster {
namespace {

/// Of each lane. A call that waits in the kernel for one of our answers keeps a thread.
constexpr size_t kThreads = 4;

/// FUSE_NOTIFY_INC_EPOCH of include/uapi/linux/fuse.h since protocol 7.44 (Linux 6.16): every name
/// that the kernel believes so far is looked up again. Newer than libfuse 3.14.
constexpr int kNotifyIncEpoch = 8;
struct OutHeader {
  uint32_t length;
  int32_t code;
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

bool increase_epoch(fuse_session* session) {
  OutHeader header{sizeof(OutHeader), kNotifyIncEpoch, 0};
  iovec vector{&header, sizeof header};
  return ::writev(fuse_session_fd(session), &vector, 1) == sizeof header;
}

}  // namespace

void Notifier::attach(fuse_session* session, NodeIds ids) {
  std::lock_guard lock(mutex_);
  session_ = session;
  ids_ = ids;
  running_ = true;
  epochs_ = increase_epoch(session);  // nothing is believed yet; EINVAL when it is not known
  for (Lane* lane : {&contents_, &others_}) {
    for (size_t i = 0; i < kThreads; ++i) {
      lane->threads.emplace_back([this, lane] { work(*lane); });
    }
  }
}

void Notifier::stop() {
  std::vector<DropToken> tokens;  // their ends may call back
  std::deque<Job> jobs[2];
  {
    std::lock_guard lock(mutex_);
    running_ = false;
    epochs_ = false;
    jobs[0].swap(contents_.queue);
    jobs[1].swap(others_.queue);
    for (auto& [ino, waiting] : queued_contents_) {
      tokens.insert(tokens.end(), waiting.begin(), waiting.end());
    }
    for (auto& [ino, waiting] : entry_tokens_) {
      for (EntryToken& one : waiting) tokens.push_back(std::move(one.token));
    }
    queued_contents_.clear();
    entry_tokens_.clear();
  }
  wake_.notify_all();
  for (Lane* lane : {&contents_, &others_}) lane->threads.clear();
}

void Notifier::add(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (!running_) return;
    if (job.kind == Kind::content) {
      const auto [waiting, added] = queued_contents_.try_emplace(job.ino.value);
      if (job.token) waiting->second.push_back(std::move(job.token));
      if (!added) return;
      contents_.queue.push_back(std::move(job));
    } else {
      job.number = ++next_number_;
      if (job.kind == Kind::entry && job.token) {
        entry_tokens_[job.ino.value].push_back({job.number, std::move(job.token)});
      }
      others_.queue.push_back(std::move(job));
    }
  }
  wake_.notify_all();
}

void Notifier::drop_content(InodeNo ino, DropToken token) {
  add({Kind::content, ino, {}, 0, std::move(token)});
}

void Notifier::drop_attributes(InodeNo ino, DropToken token) {
  add({Kind::attributes, ino, {}, 0, std::move(token)});
}

void Notifier::drop_entry(InodeNo parent, std::string name, DropToken token) {
  add({Kind::entry, parent, std::move(name), 0, std::move(token)});
}

std::vector<DropToken> Notifier::pending_entries(InodeNo parent) {
  std::vector<DropToken> tokens;
  std::lock_guard lock(mutex_);
  const auto found = entry_tokens_.find(parent.value);
  if (found == entry_tokens_.end()) return tokens;
  for (EntryToken& one : found->second) tokens.push_back(std::move(one.token));
  entry_tokens_.erase(found);
  return tokens;
}

bool Notifier::drop_all_names() {
  return epochs_ && increase_epoch(session_);
}

void Notifier::work(Lane& lane) {
  pthread_setname_np(pthread_self(), "notifier");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return !running_ || !lane.queue.empty(); });
    if (!running_) return;
    Job job = std::move(lane.queue.front());
    lane.queue.pop_front();
    std::vector<DropToken> tokens;
    if (job.kind == Kind::content) {
      // Before the call: a change that comes during it needs another one.
      const auto waiting = queued_contents_.find(job.ino.value);
      tokens.swap(waiting->second);
      queued_contents_.erase(waiting);
    }
    lock.unlock();
    carry_out(job);
    if (job.kind == Kind::entry) tokens = finish(job);
    // Without the lock: their end may ask for more.
    tokens.clear();
    job.token.reset();
    lock.lock();
  }
}

std::vector<DropToken> Notifier::finish(const Job& job) {
  std::vector<DropToken> tokens;
  std::lock_guard lock(mutex_);
  const auto found = entry_tokens_.find(job.ino.value);
  if (found == entry_tokens_.end()) return tokens;
  std::erase_if(found->second, [&](EntryToken& one) {
    if (one.number != job.number) return false;
    tokens.push_back(std::move(one.token));
    return true;
  });
  if (found->second.empty()) entry_tokens_.erase(found);
  return tokens;
}

void Notifier::carry_out(const Job& job) {
  const fuse_ino_t node = ids_.node(job.ino);
  int result = 0;
  switch (job.kind) {
    case Kind::content: result = fuse_lowlevel_notify_inval_inode(session_, node, 0, 0); break;
    // A negative offset: attributes only.
    case Kind::attributes: result = fuse_lowlevel_notify_inval_inode(session_, node, -1, 0); break;
    // Not expire_entry: a look-up of the same name that is under way would set the time anew when
    // it comes back with what we said before. A name that was taken out is found by nobody.
    case Kind::entry:
      result = fuse_lowlevel_notify_inval_entry(session_, node, job.name.data(), job.name.size());
      break;
  }
  // ENOENT: the kernel does not know it (any more).
  if (result != 0 && result != -ENOENT) {
    ASTER_LOG(debug, "notify_failed", {"ino", job.ino.value}, {"errno", -result});
  }
}

}  // namespace aster

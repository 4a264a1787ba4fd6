#include <algorithm>

#include "fuse/vfs/filesystem.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

/// What is read together is told together: most trees are read within this.
constexpr std::chrono::milliseconds kAccessPause{1000};

}  // namespace

bool Filesystem::access_is_news(const fs::Attr& attr) const {
  if (options_.access_times == AccessTimes::off || options_.read_only) return false;
  return options_.access_times == AccessTimes::strict ||
         InodeTable::is_news(attr, parts_.clock.now_ns());
}

void Filesystem::was_read(InodeNo ino) {
  if (options_.access_times == AccessTimes::off || options_.read_only) return;
  const int64_t now = parts_.clock.now_ns();
  if (!inodes_.accessed(ino, now, options_.access_times)) return;
  bool first = false;
  {
    auto accesses = accesses_.lock();
    first = accesses->empty();
    (*accesses)[ino.value] = now;
  }
  if (!first) return;
  parts_.executor.post_after(kAccessPause, [this, lifeline = lifeline_] {
    std::optional<Lifeline::Guard> alive = lifeline->enter();
    if (!alive) return;
    start(send_accesses(), [guard = std::make_shared<Lifeline::Guard>(std::move(*alive))] {});
  });
}

Task<void> Filesystem::send_accesses() {
  const auto accesses = std::exchange(*accesses_.lock(), {});
  std::vector<fs::Operation> operations;
  Result<void> sent = ok();
  for (auto it = accesses.begin(); it != accesses.end();) {
    operations.push_back(fs::Touch{InodeNo(it->first), it->second});
    ++it;
    if (operations.size() < fs::kBatchOpsMax && it != accesses.end()) continue;
    std::vector<fs::Operation> batch = std::exchange(operations, {});
    const auto answers = co_await remote_.ask_all(std::move(batch));
    if (!answers.ok()) sent = answers.error();
  }
  if (!sent.ok()) ASTER_LOG(debug, "access_times_not_sent", {"err", sent.error()});
  for (const auto& [ino, at] : accesses) {
    if (sent.ok()) {
      inodes_.access_sent(InodeNo(ino), at);
    } else {
      inodes_.forget_access(InodeNo(ino));  // the next read is news again
    }
  }
}

}  // namespace aster

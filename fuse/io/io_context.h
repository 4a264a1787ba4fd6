#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cache/block_cache.h"
#include "fuse/io/dirty_budget.h"
#include "fuse/io/file_content.h"
#include "fuse/io/spiller.h"
#include "fuse/io/unsent_errors.h"
#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"
#include "protocol/client/primary_client.h"

namespace aster {

/// A file that can make room in the dirty budget.
class DirtySource {
 public:
  virtual ~DirtySource() = default;
  /// Bytes that could be uploaded now.
  virtual uint64_t sealable_bytes() const = 0;
  /// Starts the upload of the largest object it can make and lets go of what memory it can.
  virtual void relieve() = 0;
};

/// What all files of one mount share: the things handed to make_file_io, budgets, counters and the
/// end of it all. Thread-safe. Lives as long as anything that runs in the background.
class IoContext : public std::enable_shared_from_this<IoContext> {
 public:
  IoContext(FileIoOptions opts, PrimaryClient& primary_client, HttpClient& http_client,
            BlockCache& block_cache, Executor& exec);

  const FileIoOptions options;
  PrimaryClient& primary;
  BlockCache& cache;
  Executor& executor;
  const SystemClock clock;
  BlockPool pool;
  const std::shared_ptr<DirtyBudget> dirty_budget;
  Spiller spiller;
  AsyncBudget upload_slots;
  AsyncBudget upload_memory;  ///< bytes that are being sent; see LoadedBody
  AsyncBudget download_slots;
  AsyncBudget prefetch_slots;   ///< a share of download_slots, so that a foreground read has some
  AsyncBudget prefetch_budget;  ///< bytes

  std::atomic<uint64_t> bytes_read_remote = 0;
  std::atomic<uint64_t> bytes_uploaded = 0;
  std::atomic<uint64_t> corrupt_blocks = 0;
  std::atomic<uint64_t> failed_uploads = 0;
  /// When a follower last took an object.
  std::atomic<SteadyTime> last_upload = SteadyTime::min();
  UnsentErrors unsent_errors;

  /// One exchange that stop() ends.
  Task<Result<HttpClientResponse>> exchange(HttpClientRequest request);
  /// Waits on the executor; false when stop() came.
  Task<bool> pause(Duration duration);
  bool stopped() const { return stopped_.load(); }
  void stop();

  /// Starts work that nobody awaits; wait_idle() waits for all of it. The work keeps the context
  /// alive by itself.
  void spawn(Task<void> work);
  void wait_idle();

  /// A file got its first dirty byte; it has none any more. May be called under the file's lock.
  void register_dirty(const DirtySource* key, std::weak_ptr<DirtySource> file);
  void forget_dirty(const DirtySource* key);
  /// Starts uploads when writers wait for room and upload slots are idle; spills what remains.
  void relieve();
  /// Uploads that were started and did not end; kept by the files.
  std::atomic<uint32_t> uploads_under_way = 0;

  /// Handles that may hold read-ahead nobody wants any more.
  Guarded<std::vector<std::weak_ptr<ReadAhead>>> read_aheads;
  std::atomic<int64_t> last_reclaim_ns = 0;

  /// True the first time a block is named: a bad block is logged once.
  bool first_report(const BlockKey& key);

 private:
  HttpClient& http_;
  std::atomic<bool> stopped_ = false;
  struct Exchanges {
    uint64_t next = 0;
    std::unordered_map<uint64_t, CancelToken> running;
  };
  Guarded<Exchanges> exchanges_;
  Guarded<std::unordered_map<const DirtySource*, std::weak_ptr<DirtySource>>> dirty_files_;
  Guarded<std::unordered_set<BlockKey>> reported_;
  std::mutex idle_mutex_;
  std::condition_variable idle_;
  size_t background_ = 0;
};

/// Gives back what AsyncBudget::acquire took.
class BudgetShare {
 public:
  BudgetShare(AsyncBudget& budget, uint64_t amount) : budget_(&budget), amount_(amount) {}
  BudgetShare(BudgetShare&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), amount_(other.amount_) {}
  BudgetShare& operator=(BudgetShare&&) = delete;
  ~BudgetShare() { release(); }
  void release() {
    if (budget_ != nullptr) std::exchange(budget_, nullptr)->release(amount_);
  }

 private:
  AsyncBudget* budget_;
  uint64_t amount_;
};

/// Doubling pauses with jitter, 50 ms to 2 s.
class Backoff {
 public:
  Duration next();

 private:
  std::chrono::milliseconds base_{50};
};

}  // namespace aster

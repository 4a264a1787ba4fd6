#include "fuse/io/io_context.h"

#include <algorithm>

#include "cache/writeback_journal.h"
#include "protocol/base/ids.h"

namespace aster {
namespace {

// Idle block memory that is kept for reuse.
constexpr size_t kPoolIdle = 8 << 20;
// Bad blocks that are remembered as reported.
constexpr size_t kReportedMax = 4096;

// What is being sent cannot be spilled. So where there is a disk, it may not be everything: writers
// always find or get room in the rest.
uint64_t sending_share(const FileIoOptions& options) {
  return options.spill_dir.empty() ? UINT64_MAX : options.dirty_limit / 4 * 3;
}

std::shared_ptr<SpillFile> spill_file(const FileIoOptions& options, Executor& executor) {
  if (options.spill_dir.empty()) return nullptr;
  const bool shares = options.journal != nullptr && options.journal->takes_new();
  SpillOptions spill{options.spill_dir, options.spill_limit, shares ? options.journal : nullptr};
  return std::make_shared<SpillFile>(std::move(spill), executor);
}

uint64_t prefetch_share(uint32_t downloads) {
  return std::max<uint64_t>(1, downloads * 3ull / 4);
}

}  // namespace

IoContext::IoContext(FileIoOptions opts, PrimaryClient& primary_client, HttpClient& http_client,
                     BlockCache& block_cache, Executor& exec)
    : options(opts),
      primary(primary_client),
      cache(block_cache),
      executor(exec),
      pool(kPoolIdle),
      dirty_budget(std::make_shared<DirtyBudget>(exec, opts.dirty_limit, opts.timeout)),
      spiller(*this, spill_file(opts, exec)),
      upload_slots(exec, std::max<uint32_t>(1, opts.parallel_uploads)),
      upload_memory(exec, sending_share(opts)),
      download_slots(exec, std::max<uint32_t>(1, opts.parallel_downloads)),
      prefetch_slots(exec, prefetch_share(opts.parallel_downloads)),
      prefetch_budget(exec, opts.read_ahead_budget),
      http_(http_client) {}

Task<Result<HttpClientResponse>> IoContext::exchange(HttpClientRequest request) {
  const auto self = shared_from_this();
  const CancelToken cancel;
  uint64_t id = 0;
  {
    auto exchanges = exchanges_.lock();
    if (stopped()) co_return fail(Errc::interrupted, "the mount is ending");
    id = exchanges->next++;
    exchanges->running.emplace(id, cancel);
  }
  Result<HttpClientResponse> response = co_await http_.send(std::move(request), cancel);
  exchanges_.lock()->running.erase(id);
  co_return response;
}

Task<bool> IoContext::pause(Duration duration) {
  static constexpr Duration kStep = std::chrono::milliseconds(200);
  while (duration > Duration::zero() && !stopped()) {
    const Duration step = std::min(duration, kStep);
    co_await executor.sleep(step);
    duration -= step;
  }
  co_return !stopped();
}

void IoContext::stop() {
  std::vector<CancelToken> running;
  {
    auto exchanges = exchanges_.lock();
    stopped_ = true;
    for (const auto& [id, cancel] : exchanges->running) running.push_back(cancel);
  }
  for (const CancelToken& cancel : running) cancel.cancel();
  dirty_budget->stop();
}

void IoContext::spawn(Task<void> work) {
  {
    std::lock_guard lock(idle_mutex_);
    ++background_;
  }
  start(std::move(work), [self = shared_from_this()] {
    std::lock_guard lock(self->idle_mutex_);
    if (--self->background_ == 0) self->idle_.notify_all();
  });
}

void IoContext::wait_idle() {
  std::unique_lock lock(idle_mutex_);
  idle_.wait(lock, [&] { return background_ == 0; });
}

void IoContext::register_dirty(const DirtySource* key, std::weak_ptr<DirtySource> file) {
  (*dirty_files_.lock())[key] = std::move(file);
}

void IoContext::forget_dirty(const DirtySource* key) {
  dirty_files_.lock()->erase(key);
}

void IoContext::relieve() {
  spiller.kick();
  const auto busy = [this] {
    return uploads_under_way.load() >= options.parallel_uploads || !dirty_budget->has_waiters();
  };
  if (busy() || stopped()) return;
  std::vector<std::shared_ptr<DirtySource>> files;
  {
    auto known = dirty_files_.lock();
    for (const auto& [key, entry] : *known) {
      if (auto file = entry.lock()) files.push_back(std::move(file));
    }
  }
  // Files are asked after the lock: they call in here under their own.
  std::vector<std::pair<uint64_t, DirtySource*>> by_size;
  for (const auto& file : files) by_size.emplace_back(file->sealable_bytes(), file.get());
  std::sort(by_size.begin(), by_size.end(), std::greater<>());
  for (const auto& [bytes, file] : by_size) {
    if (busy()) return;
    file->relieve();
  }
}

bool IoContext::first_report(const BlockKey& key) {
  auto reported = reported_.lock();
  if (reported->size() >= kReportedMax) reported->clear();
  return reported->insert(key).second;
}

Duration Backoff::next() {
  uint64_t random = 0;
  fill_random(reinterpret_cast<std::byte*>(&random), sizeof random);
  const auto base = std::chrono::milliseconds(base_);
  base_ = std::min<std::chrono::milliseconds>(base_ * 2, std::chrono::seconds(2));
  return base / 2 + std::chrono::milliseconds(random % (base.count() + 1));
}

}  // namespace aster

#include "protocol/client/coalescing_client.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "protocol/client/reachability.h"

namespace aster {
namespace {

using std::chrono::milliseconds;

/// Of one request, by weight(): a small part of what the primary takes.
constexpr size_t kRequestBytes = 1 << 20;
/// Calls in one request with mutations; all of them run in one transaction of a few milliseconds.
constexpr size_t kWritesTogether = 256;
/// Values of extended attributes have 64 KiB each, an answer 8 MiB.
constexpr size_t kReadsTogether = 64;
/// Calls share a request when their deadlines are this near; all then get the latest.
constexpr milliseconds kSameDeadline{1000};
/// However long calls have waited: more requests than this are not under way at once.
constexpr size_t kUnderWayMax = 16;

/// About the bytes of the operation as JSON.
size_t weight(const fs::Operation& operation) {
  constexpr size_t kFrame = 200;
  if (const auto* commit = std::get_if<fs::Commit>(&operation)) {
    size_t bytes = kFrame + commit->extents.size() * 120;
    for (const fs::NewObject& object : commit->objects) bytes += 100 + object.crc32c.size() * 11;
    return bytes;
  }
  if (const auto* xattr = std::get_if<fs::SetXattr>(&operation)) {
    return kFrame + 2 * xattr->value.size();
  }
  return kFrame + 2 * fs::kNameMax;
}

bool is_small_read(const fs::Operation& operation) {
  return std::holds_alternative<fs::Lookup>(operation) ||
         std::holds_alternative<fs::GetAttr>(operation) ||
         std::holds_alternative<fs::GetXattr>(operation) ||
         std::holds_alternative<fs::ListXattr>(operation) ||
         std::holds_alternative<fs::StatFs>(operation);
}

bool is_write(const fs::Operation& operation) {
  return fs::is_mutation(operation) || std::holds_alternative<fs::Grant>(operation) ||
         std::holds_alternative<fs::Hold>(operation) ||
         std::holds_alternative<fs::Release>(operation) ||
         std::holds_alternative<fs::ReserveInodes>(operation);
}

/// What a change made of its directory is asked for with it.
bool goes_with_writes(const fs::Operation& operation) {
  return is_write(operation) || std::holds_alternative<fs::GetAttr>(operation);
}

/// Outcomes that say nothing about a single operation of the request.
bool concerns_all(const Error& error) {
  switch (error.code) {
    case Errc::bad_request:
    case Errc::too_large:
    case Errc::out_of_resources:
    case Errc::internal: return false;
    default: return true;
  }
}

struct Call {
  std::vector<fs::BatchItem> items;
  size_t weight = 0;
  SteadyTime end;
  Completion<Result<fs::BatchAnswer>> done;
};
using CallPtr = std::shared_ptr<Call>;

/// Calls of one kind and the requests they travel in. Thread-safe. What runs in the background
/// keeps the lane; `primary` only until close() returned.
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(PrimaryClient& primary, Executor& executor, size_t under_way, size_t together,
       milliseconds longest_wait)
      : primary_(primary),
        executor_(executor),
        under_way_limit_(std::max<size_t>(1, under_way)),
        together_(together),
        longest_wait_(longest_wait) {}

  /// Waits for every request. Nothing may be added any more.
  void close() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return under_way_ == 0 && queue_.empty(); });
  }

  void add(CallPtr call) {
    bool watch = false;
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(call));
      watch = !may_send() && !std::exchange(watched_, true);
    }
    if (watch) watch_queue();
    send_ready();
  }
  void hold(int change) {
    {
      std::lock_guard lock(mutex_);
      held_ += change;
    }
    if (change < 0) send_ready();
  }

 private:
  bool may_send() const { return held_ == 0 && under_way_ < under_way_limit_; }

  /// Whoever still waits after the longest wait leaves in any case.
  void watch_queue() {
    executor_.post_after(longest_wait_, [weak = weak_from_this()] {
      const auto lane = weak.lock();
      if (lane) lane->send_overdue();
    });
  }

  void send_overdue() {
    {
      std::lock_guard lock(mutex_);
      watched_ = false;
      if (queue_.empty()) return;
      if (under_way_ < kUnderWayMax) ++overdue_;
    }
    send_ready();
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty() || std::exchange(watched_, true)) return;
    }
    watch_queue();
  }

  void send_ready() {
    for (;;) {
      std::vector<CallPtr> group;
      {
        std::lock_guard lock(mutex_);
        if (queue_.empty() || (!may_send() && overdue_ == 0)) {
          overdue_ = 0;
          return;
        }
        if (!may_send()) --overdue_;
        group = take_group();
        ++under_way_;
      }
      send(std::move(group));
    }
  }

  /// Called with the mutex held.
  std::vector<CallPtr> take_group() {
    std::vector<CallPtr> group;
    size_t bytes = 0;
    const SteadyTime end = queue_.front()->end;
    while (!queue_.empty() && group.size() < together_) {
      CallPtr& next = queue_.front();
      const bool same_time = next->end < end + kSameDeadline && end < next->end + kSameDeadline;
      if (!group.empty() && (!same_time || bytes + next->weight > kRequestBytes)) break;
      bytes += next->weight;
      group.push_back(std::move(next));
      queue_.pop_front();
    }
    return group;
  }

  void send(std::vector<CallPtr> group) {
    std::vector<fs::BatchItem> items;
    SteadyTime end{};
    for (const CallPtr& call : group) {
      items.insert(items.end(), call->items.begin(), call->items.end());
      end = std::max(end, call->end);
    }
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    start<Result<fs::BatchAnswer>>(
        primary_.batch(std::move(items), std::max(left, milliseconds(1))),
        [self = shared_from_this(), group = std::move(group)](Result<fs::BatchAnswer> answer) {
          if (group.size() > 1 && !answer.ok() && !concerns_all(answer.error())) {
            for (const CallPtr& call : group) self->send_alone(call);
          } else {
            deal_out(group, std::move(answer));
          }
          self->ended();
        });
  }

  void send_alone(const CallPtr& call) {
    {
      std::lock_guard lock(mutex_);
      ++under_way_;
    }
    send({call});
  }

  /// The request counts as under way until all callers went on: what they ask for next gathers.
  static void deal_out(const std::vector<CallPtr>& group, Result<fs::BatchAnswer> answer) {
    size_t expected = 0;
    for (const CallPtr& call : group) expected += call->items.size();
    if (answer.ok() && answer->results.size() != expected) {
      answer = Error{Errc::internal, "batch answer has another size"};
    }
    size_t at = 0;
    for (const CallPtr& call : group) {
      if (!answer.ok()) {
        call->done.set(answer.error());
        continue;
      }
      fs::BatchAnswer part;
      const auto first = answer->results.begin() + static_cast<std::ptrdiff_t>(at);
      const auto last = first + static_cast<std::ptrdiff_t>(call->items.size());
      part.results.assign(std::make_move_iterator(first), std::make_move_iterator(last));
      at += call->items.size();
      call->done.set(std::move(part));
    }
  }

  void ended() {
    {
      std::lock_guard lock(mutex_);
      --under_way_;
      if (under_way_ == 0 && queue_.empty()) idle_.notify_all();
    }
    send_ready();
  }

  PrimaryClient& primary_;
  Executor& executor_;
  const size_t under_way_limit_;
  const size_t together_;
  const milliseconds longest_wait_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<CallPtr> queue_;
  size_t under_way_ = 0;
  size_t overdue_ = 0;
  int held_ = 0;
  bool watched_ = false;
};

class CoalescingClient final : public PrimaryClient, public Reachability {
 public:
  CoalescingClient(CoalescingOptions options, PrimaryClient& primary, Executor& executor)
      : primary_(primary),
        writes_(std::make_shared<Lane>(primary, executor, options.writes_under_way, kWritesTogether,
                                       options.longest_wait)),
        reads_(std::make_shared<Lane>(primary, executor, options.reads_under_way, kReadsTogether,
                                      options.longest_wait)) {}
  ~CoalescingClient() override {
    writes_->close();
    reads_->close();
  }

  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      milliseconds deadline) override;
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) override {
    return primary_.open_session(std::move(request));
  }
  Task<Result<void>> close_session() override { return primary_.close_session(); }
  Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) override {
    return primary_.follow_events(std::move(handlers), std::move(cancel));
  }
  Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack,
                                          std::chrono::milliseconds deadline) override {
    return primary_.acknowledge(std::move(ack), deadline);
  }
  Task<Result<fs::LeaseAnswer>> lease(fs::LeaseRequest request,
                                      std::chrono::milliseconds deadline) override {
    return primary_.lease(std::move(request), deadline);
  }
  std::string absolute(const std::string& url) const override { return primary_.absolute(url); }
  Task<bool> refuses_connections() override {
    auto* below = dynamic_cast<Reachability*>(&primary_);
    if (below == nullptr) co_return true;
    const bool refuses = co_await below->refuses_connections();
    co_return refuses;
  }
  std::shared_ptr<void> gather() override {
    writes_->hold(+1);
    return {writes_.get(), [writes = writes_](Lane*) { writes->hold(-1); }};
  }

 private:
  /// Null for what goes alone.
  std::shared_ptr<Lane> lane_for(const std::vector<fs::BatchItem>& items, size_t bytes) {
    if (bytes > kRequestBytes / 4) return nullptr;
    const auto all = [&](bool (*kind)(const fs::Operation&)) {
      return std::all_of(items.begin(), items.end(),
                         [&](const fs::BatchItem& item) { return kind(item.operation); });
    };
    if (items.empty() || items.size() > kReadsTogether) return nullptr;
    if (is_write(items[0].operation) && all(goes_with_writes)) return writes_;
    return all(is_small_read) ? reads_ : nullptr;
  }

  PrimaryClient& primary_;
  const std::shared_ptr<Lane> writes_;
  const std::shared_ptr<Lane> reads_;
};

Task<Result<fs::BatchAnswer>> CoalescingClient::batch(std::vector<fs::BatchItem> items,
                                                      milliseconds deadline) {
  size_t bytes = 0;
  for (fs::BatchItem& item : items) {
    // A repetition alone must be the same operation as the one in company.
    if (fs::is_mutation(item.operation) && !item.id) item.id = OperationId::random();
    bytes += weight(item.operation);
  }
  const std::shared_ptr<Lane> lane = lane_for(items, bytes);
  if (!lane) {
    Result<fs::BatchAnswer> alone = co_await primary_.batch(std::move(items), deadline);
    co_return alone;
  }
  auto call = std::make_shared<Call>();
  call->items = std::move(items);
  call->weight = bytes;
  call->end = std::chrono::steady_clock::now() + deadline;
  const Completion<Result<fs::BatchAnswer>> done = call->done;
  lane->add(std::move(call));
  Result<fs::BatchAnswer> answer = co_await done;
  co_return answer;
}

}  // namespace

std::unique_ptr<PrimaryClient> make_coalescing_client(CoalescingOptions options,
                                                      PrimaryClient& primary, Executor& executor) {
  return std::make_unique<CoalescingClient>(options, primary, executor);
}

}  // namespace aster

#include "fuse/vfs/remote.h"

#include <algorithm>

#include "protocol/client/reachability.h"

namespace aster {
namespace {

using std::chrono::milliseconds;

/// How long a refresh waits before it looks whether the event stream is still there.
constexpr milliseconds kFirstSlice{2000};
/// After a failed refresh with a dead stream, old copies are served at once for this long.
constexpr milliseconds kAway{3000};
/// What df(1), a shell's prompt and whoever walks past the mount point wait for at most.
constexpr milliseconds kGlance{1000};

/// Certainly. A primary that cannot be asked is taken at its word.
Task<bool> is_down(PrimaryClient& primary) {
  auto* reachability = dynamic_cast<Reachability*>(&primary);
  if (reachability == nullptr) co_return true;
  const bool down = co_await reachability->refuses_connections();
  co_return down;
}

}  // namespace

Task<Result<fs::Answer>> Remote::once(fs::Operation operation, std::optional<OperationId> id,
                                      milliseconds deadline) {
  std::vector<fs::BatchItem> items;
  items.push_back({std::move(operation), id});
  ASTER_CO_TRY(fs::BatchAnswer answer, co_await primary_.batch(std::move(items), deadline));
  if (answer.results.size() != 1) co_return fail(Errc::internal, "batch answer has another size");
  co_return std::move(answer.results[0]);
}

Task<Result<fs::Answer>> Remote::ask(fs::Operation operation, Caller who) {
  std::optional<OperationId> id;
  if (fs::is_mutation(operation)) id = OperationId::random();
  for (;;) {
    Result<fs::Answer> answer = co_await once(operation, id, timeout_);
    if (answer.ok() || !repeat(answer.error(), who)) co_return answer;
    co_await executor_.sleep(kPause);
  }
}

Task<Remote::Changed> Remote::change(fs::Operation operation, std::vector<InodeNo> inodes,
                                     Caller who) {
  std::vector<fs::BatchItem> items;
  items.push_back({std::move(operation), OperationId::random()});
  for (const InodeNo ino : inodes) items.push_back({fs::GetAttr{ino}, std::nullopt});
  for (;;) {
    Result<fs::BatchAnswer> answer = co_await primary_.batch(items, timeout_);
    Changed changed{fail(Errc::internal, "batch answer has another size"), {}};
    if (!answer.ok()) {
      changed.answer = answer.error();
    } else if (answer->results.size() == items.size()) {
      changed.answer = std::move(answer->results[0]);
      answer->results.erase(answer->results.begin());
      changed.inodes = std::move(answer->results);
    }
    const bool again = !changed.answer.ok() && repeat(changed.answer.error(), who);
    if (!again) co_return changed;
    co_await executor_.sleep(kPause);
  }
}

bool Remote::may_serve_old(const Error& error) const {
  if (strict_ && error.code != Errc::unavailable) return false;
  return !hard_ && !alive_ && transient(error);
}

Task<Result<fs::Answer>> Remote::refresh(fs::Operation operation, Caller who) {
  milliseconds slice = kFirstSlice;
  milliseconds left = timeout_;
  for (;;) {
    const SteadyTime now = clock_.steady();
    if (!hard_ && !alive_ && now.time_since_epoch().count() < away_until_) {
      co_return fail(Errc::unavailable, "the primary is away");
    }
    Result<fs::Answer> answer = co_await once(operation, std::nullopt, std::min(slice, left));
    if (answer.ok() || !transient(answer.error())) co_return answer;
    if (may_serve_old(answer.error())) {
      bool certain = true;
      if (strict_) certain = co_await is_down(primary_);
      if (certain) {
        away_until_ = (clock_.steady() + kAway).time_since_epoch().count();
        co_return answer;
      }
      answer = fail(Errc::timeout, answer.error().context);  // so that nothing old is served
    }
    left -= std::min(slice, left);
    slice *= 2;
    if (left.count() > 0 && !who.left() && !stopping_) continue;
    if (!repeat(answer.error(), who)) co_return answer;
    left = timeout_;
    co_await executor_.sleep(kPause);
  }
}

Task<Result<fs::Answer>> Remote::glance(fs::Operation operation) {
  if (!alive_ && clock_.steady().time_since_epoch().count() < no_glance_until_) {
    co_return fail(Errc::unavailable, "the primary is away");
  }
  Result<fs::Answer> answer = co_await once(operation, std::nullopt, std::min(kGlance, timeout_));
  if (!answer.ok() && transient(answer.error())) {
    no_glance_until_ = (clock_.steady() + kAway).time_since_epoch().count();
  }
  co_return answer;
}

Task<Result<std::vector<Result<fs::Answer>>>> Remote::ask_all(
    std::vector<fs::Operation> operations) {
  std::vector<fs::BatchItem> items;
  for (fs::Operation& operation : operations) items.push_back({std::move(operation), std::nullopt});
  const size_t expected = items.size();
  ASTER_CO_TRY(fs::BatchAnswer answer, co_await primary_.batch(std::move(items), timeout_));
  if (answer.results.size() != expected) {
    co_return fail(Errc::internal, "batch answer has another size");
  }
  co_return std::move(answer.results);
}

}  // namespace aster

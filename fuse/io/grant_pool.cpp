#include "fuse/io/grant_pool.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace aster {
namespace {

constexpr uint32_t kGrantsMax = 64;  // fs::Grant::count
// A URL with less than this left is not used: the transfer itself takes time.
constexpr int64_t kExpirySlack = 60;  // seconds

}  // namespace

Task<Result<fs::UploadGrant>> GrantPool::take(uint64_t size, GrantHint hint, SteadyTime deadline) {
  std::optional<fs::UploadGrant> ready = take_ready(size);
  if (ready) co_return std::move(*ready);
  const auto turn = co_await asking_.acquire();
  ready = take_ready(size);  // somebody asked meanwhile
  if (ready) co_return std::move(*ready);
  fs::Grant question{shared_ ? hint.ino : ino_, std::max(size, hint.file_size), hint.likely};
  if (shared_) question.size_hint = hint.file_size;
  ASTER_CO_TRY(co_await ask(question, deadline));
  auto state = state_.lock();
  if (state->ready.empty()) co_return fail(Errc::unavailable, "upload grant: none was given");
  fs::UploadGrant grant = std::move(state->ready.back().grant);
  state->ready.pop_back();
  co_return grant;
}

Task<Result<uint64_t>> GrantPool::part_size(GrantHint hint, SteadyTime deadline) {
  const uint64_t known = known_part_size();
  if (known != 0) co_return known;
  const auto turn = co_await asking_.acquire();
  if (known_part_size() == 0) {
    const fs::Grant question{ino_, hint.file_size, hint.likely};
    ASTER_CO_TRY(co_await ask(question, deadline));
  }
  co_return known_part_size();
}

// A grant is for objects up to the size it was asked for.
std::optional<fs::UploadGrant> GrantPool::take_ready(uint64_t size) {
  const int64_t now = context_->clock.now_seconds();
  auto state = state_.lock();
  std::erase_if(state->ready,
                [&](const Ready& ready) { return ready.grant.expires - kExpirySlack <= now; });
  const auto it = std::find_if(state->ready.begin(), state->ready.end(),
                               [&](const Ready& ready) { return ready.size_hint >= size; });
  if (it == state->ready.end()) return std::nullopt;
  fs::UploadGrant grant = std::move(it->grant);
  state->ready.erase(it);
  return grant;
}

// Whoever comes again and again (a database that syncs) gets more at a time.
Task<Result<void>> GrantPool::ask(fs::Grant question, SteadyTime deadline) {
  constexpr uint32_t kByExperience = 32;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - context_->clock.steady());
  if (left.count() <= 0) co_return fail(Errc::timeout, "upload grant");
  if (context_->stopped()) co_return fail(Errc::interrupted, "the mount is ending");
  {
    auto state = state_.lock();
    const uint32_t wanted = std::max(question.count, std::min(state->asked, kByExperience));
    question.count = std::clamp<uint32_t>(wanted, 1, kGrantsMax);
    state->asked += question.count;
  }
  Result<fs::UploadGrants> answer =
      co_await context_->primary.call<fs::UploadGrants>(question, left);
  if (answer.failed_with(Errc::bad_request)) {
    // No rule of the policy group takes the size. EINVAL would not do: programs take it from
    // fsync(2) for "nothing to sync here" and go on as if the data were stored.
    ASTER_LOG(error, "upload_refused", {"ino", question.ino.value}, {"err", answer.error()});
    co_return fail(Errc::io_error, answer.error().context);
  }
  if (!answer.ok()) co_return std::move(answer).error();
  fs::UploadGrants grants = std::move(*answer);
  if (shared_ && grants.shared_up_to < question.size_hint) {
    co_return fail(Errc::unsupported, "upload grants of small files are not shared here");
  }
  const uint64_t good_for = shared_ ? UINT64_MAX : question.size_hint;
  auto state = state_.lock();
  state->part_size = usable_part_size(grants);
  for (fs::UploadGrant& grant : grants.grants) {
    state->ready.push_back({std::move(grant), good_for});
  }
  co_return ok();
}

uint64_t GrantPool::usable_part_size(const fs::UploadGrants& grants) const {
  // Several parts must fit into dirty memory, or the writer waits for each.
  constexpr uint64_t kPartsInMemory = 4;
  uint64_t size = std::min({grants.part_size, context_->options.part_size_max,
                            context_->options.dirty_limit / kPartsInMemory});
  if (grants.max_object != 0) size = std::min(size, grants.max_object);
  return std::max(size - size % kBlockSize, kBlockSize);
}

}  // namespace aster

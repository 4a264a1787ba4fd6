#include "server/storage/s3_setup.h"

#include <chrono>

#include "protocol/base/executor.h"
#include "protocol/base/log.h"

namespace aster::storage {
namespace {

// A bucket must answer within this when it is set up: somebody waits for our own answer.
constexpr std::chrono::seconds kCheckTime{8};
// And at the start of the program, which goes on without it.
constexpr std::chrono::seconds kCleanTime{5};

Task<void> finish(Task<Result<void>> task, Completion<Result<void>> done) {
  Result<void> outcome = co_await std::move(task);
  done.set(std::move(outcome));
}

/// Ends with `timeout` when the task takes longer. The task goes on by itself then.
Task<Result<void>> end_within(S3Services services, Duration time, Task<Result<void>> task) {
  const Completion<Result<void>> done;
  services.tasks.spawn(finish(std::move(task), done));
  services.executor.post_after(
      time, [done] { done.set(fail(Errc::timeout, "S3: the service does not answer in time")); });
  Result<void> outcome = co_await done;
  co_return outcome;
}

/// Keeps the target until its task is over.
Task<Result<void>> check(std::shared_ptr<S3Target> target) {
  Result<void> outcome = co_await target->check();
  co_return outcome;
}

Task<Result<void>> reach(std::shared_ptr<S3Target> target) {
  ASTER_CO_TRY(co_await target->list({}, 0, 1));
  co_return ok();
}

Task<Result<void>> clean(S3Leftovers place, CancelToken cancel) {
  const Result<void> outcome = co_await place.target->abort_leftovers(place.folder, cancel);
  if (!outcome.ok()) {
    ASTER_LOG(warn, "s3_leftovers_not_removed", {"folder", place.folder}, {"err", outcome.error()});
  }
  co_return outcome;
}

Task<Result<void>> clean_all(std::vector<Task<Result<void>>> tasks) {
  const std::vector<Result<void>> outcomes = co_await when_all(std::move(tasks));
  for (const Result<void>& outcome : outcomes) {
    if (!outcome.ok()) co_return outcome;
  }
  co_return ok();
}

}  // namespace

Task<Result<void>> check_s3_target(std::shared_ptr<S3Target> target, S3Services services) {
  Result<void> outcome = co_await end_within(services, kCheckTime, check(std::move(target)));
  co_return outcome;
}

Task<Result<void>> reach_s3_target(std::shared_ptr<S3Target> target, S3Services services) {
  Result<void> outcome = co_await end_within(services, kCheckTime, reach(std::move(target)));
  co_return outcome;
}

Task<void> remove_s3_leftovers(std::vector<S3Leftovers> places, S3Services services) {
  if (places.empty()) co_return;
  const CancelToken cancel;
  std::vector<Task<Result<void>>> tasks;
  for (S3Leftovers& place : places) tasks.push_back(clean(std::move(place), cancel));
  const Result<void> outcome =
      co_await end_within(services, kCleanTime, clean_all(std::move(tasks)));
  cancel.cancel();  // from now on there are uploads of this process
  if (outcome.failed_with(Errc::timeout)) {
    ASTER_LOG(warn, "s3_leftovers_not_removed", {"err", outcome.error()});
  }
}

}  // namespace aster::storage

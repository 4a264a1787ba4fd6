#include "server/follower/target_drivers.h"

#include <chrono>

#include "protocol/base/log.h"
#include "protocol/client/curl_http_client.h"
#include "server/storage/local_target.h"

namespace aster::follower {
namespace {

// A bucket must answer within this when a target is set up: a primary waits for our own answer.
constexpr std::chrono::seconds kCheckTime{8};
// And at the start of the program, which goes on without it.
constexpr std::chrono::seconds kCleanTime{5};
// Parts that are filled or under way, over all uploads: 8 of two parts each.
constexpr uint64_t kUploadMemory = 128 << 20;

storage::S3Target::Options s3_options(const Target& target) {
  const std::string& base = target.info.base_path;
  return {.endpoint = target.info.endpoint,
          .bucket = target.info.bucket,
          .access_key = target.access_key,
          .secret_key = target.secret_key,
          .prefix = base == "." ? "" : base};
}

std::string key_of(const storage::S3Target::Options& options) {
  std::string out;
  for (const std::string* text : {&options.endpoint, &options.bucket, &options.access_key,
                                  &options.secret_key, &options.prefix}) {
    out += std::to_string(text->size()) + ":" + *text;
  }
  return out;
}

/// Ends with `timeout` when the task takes longer. The task goes on by itself then.
Result<void> within(Executor& executor, Duration time, storage::TaskGroup& tasks,
                    Task<Result<void>> task) {
  const Completion<Result<void>> done;
  const auto finish = [](Task<Result<void>> t, Completion<Result<void>> d) -> Task<void> {
    Result<void> outcome = co_await std::move(t);
    d.set(std::move(outcome));
  };
  const auto wait = [](Completion<Result<void>> d) -> Task<Result<void>> {
    Result<void> outcome = co_await d;
    co_return outcome;
  };
  tasks.spawn(finish(std::move(task), done));
  executor.post_after(
      time, [done] { done.set(fail(Errc::timeout, "S3: the service does not answer in time")); });
  return run_blocking(wait(done));
}

/// Keeps the target until its task is over.
Task<Result<void>> check(std::shared_ptr<storage::S3Target> target) {
  Result<void> outcome = co_await target->check();
  co_return outcome;
}
Task<Result<void>> clean(std::shared_ptr<storage::S3Target> target, std::string folder,
                         CancelToken cancel) {
  const Result<void> outcome = co_await target->abort_leftovers(folder, cancel);
  if (!outcome.ok()) {
    ASTER_LOG(warn, "s3_leftovers_not_removed", {"folder", folder}, {"err", outcome.error()});
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

Result<TargetDrivers::Driver> TargetDrivers::open_local(const std::string& base, bool make) {
  auto drivers = drivers_.lock();
  if (const auto found = drivers->local.find(base); found != drivers->local.end() && !make) {
    return found->second;
  }
  // Two targets may share a folder: only the first to open it may take its temps for leftovers.
  ASTER_TRY(Driver opened,
            storage::LocalTarget::open({.root = local_root_,
                                        .base = base,
                                        .keep_temps = drivers->cleaned.contains(base),
                                        .create = make},
                                       disk_));
  drivers->cleaned.insert(base);
  drivers->local[base] = opened;
  return opened;
}

Result<std::shared_ptr<storage::S3Target>> TargetDrivers::open_s3(const Target& target) {
  storage::S3Target::Options options = s3_options(target);
  const std::string key = key_of(options);
  auto drivers = drivers_.lock();
  auto& kept = drivers->s3[key];
  if (!kept) {
    ASTER_TRY(kept, storage::S3Target::open(std::move(options), s3_));
  }
  return kept;
}

Result<TargetDrivers::Driver> TargetDrivers::open(const Target& target) {
  if (target.info.driver_type != "s3") return open_local(target.info.base_path, false);
  ASTER_TRY(Driver opened, open_s3(target));
  return opened;
}

Result<void> TargetDrivers::apply(const Target& target) {
  if (target.info.driver_type != "s3") {
    ASTER_TRY(open_local(target.info.base_path, true));
    return ok();
  }
  ASTER_TRY(auto opened, open_s3(target));
  return within(s3_.executor, kCheckTime, s3_.tasks, check(std::move(opened)));
}

void TargetDrivers::remove_leftovers(const std::vector<Place>& places) {
  const CancelToken cancel;
  std::vector<Task<Result<void>>> tasks;
  for (const Place& place : places) {
    if (place.target.info.driver_type != "s3") continue;
    auto opened = open_s3(place.target);
    if (opened.ok()) tasks.push_back(clean(std::move(*opened), place.storage_namespace, cancel));
  }
  if (tasks.empty()) return;
  const Result<void> outcome =
      within(s3_.executor, kCleanTime, s3_.tasks, clean_all(std::move(tasks)));
  cancel.cancel();  // from now on there are uploads of this process
  if (outcome.failed_with(Errc::timeout)) {
    ASTER_LOG(warn, "s3_leftovers_not_removed", {"err", outcome.error()});
  }
}

struct S3Runtime::Parts {
  explicit Parts(std::string ca_file)
      : http({.idle_body_memory = 16 << 20, .ca_file = std::move(ca_file)}, executor) {}

  Executor executor{{.name = "s3", .threads = 2}};
  AsyncBudget memory{executor, kUploadMemory};
  CurlHttpClient http;
  storage::TaskGroup tasks;
};

S3Runtime::S3Runtime(std::string ca_file) : parts_(std::make_unique<Parts>(std::move(ca_file))) {}
S3Runtime::~S3Runtime() = default;

storage::S3Services S3Runtime::services() {
  return {parts_->http, parts_->executor, parts_->tasks, parts_->memory};
}

}  // namespace aster::follower

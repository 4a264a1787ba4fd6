#include "server/follower/target_drivers.h"

#include "protocol/client/curl_http_client.h"
#include "server/storage/local_target.h"
#include "server/storage/s3_setup.h"

namespace aster::follower {
namespace {

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
  return run_blocking(storage::check_s3_target(std::move(opened), s3_));
}

void TargetDrivers::remove_leftovers(const std::vector<Place>& places) {
  std::vector<storage::S3Leftovers> found;
  for (const Place& place : places) {
    if (place.target.info.driver_type != "s3") continue;
    auto opened = open_s3(place.target);
    if (opened.ok()) found.push_back({std::move(*opened), place.storage_namespace});
  }
  run_blocking(storage::remove_s3_leftovers(std::move(found), s3_));
}

struct S3Runtime::Parts {
  explicit Parts(std::string ca_file)
      : http({.idle_body_memory = 16 << 20, .ca_file = std::move(ca_file)}, executor) {}

  Executor executor{{.name = "s3", .threads = 2}};
  AsyncBudget memory{executor, storage::kS3UploadMemory};
  CurlHttpClient http;
  storage::TaskGroup tasks;
};

S3Runtime::S3Runtime(std::string ca_file) : parts_(std::make_unique<Parts>(std::move(ca_file))) {}
S3Runtime::~S3Runtime() = default;

storage::S3Services S3Runtime::services() {
  return {parts_->http, parts_->executor, parts_->tasks, parts_->memory};
}

}  // namespace aster::follower

#include "server/follower/target_service.h"

#include "protocol/base/ids.h"
#include "protocol/base/log.h"
#include "protocol/http_text.h"
#include "protocol/object_key.h"

namespace aster::follower {
namespace {

ApiResult<bool> check_name(const std::string& name) {
  if (trim(name).empty()) return ApiError(ApiCode::bad_request, "the target's name is blank");
  return true;
}

ApiResult<bool> check_limit(int64_t max_file_size) {
  if (max_file_size < 0) return ApiError(ApiCode::bad_request, "max_file_size is negative");
  return true;
}

ApiResult<bool> check_driver(const std::string& driver) {
  if (driver == "local" || driver == "s3") return true;
  return ApiError(ApiCode::target_driver_unsupported, "this follower has no driver " + driver);
}

/// The prefix of an S3 target's keys: kept as it is but for outer slashes; "." means none.
ApiResult<std::string> s3_base_path(std::string_view wish) {
  std::string_view path = trim(wish);
  if (path.empty()) return ApiError(ApiCode::bad_request, "base_path is blank");
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (("/" + std::string(path) + "/").find("/../") != std::string::npos) {
    return ApiError(ApiCode::bad_request, "base_path holds a segment '..'");
  }
  return path.empty() ? std::string(".") : std::string(path);
}

ApiResult<std::string> base_path_for(const std::string& driver, const std::string& wish) {
  return driver == "s3" ? s3_base_path(wish) : normalize_base_path(wish);
}

ApiResult<bool> set_s3_field(std::string_view name, const std::optional<std::string>& wish,
                             std::string& field) {
  if (wish) field = trim(*wish);
  if (!field.empty()) return true;
  return ApiError(ApiCode::bad_request, std::string(name) + " is blank");
}

/// Everything that an S3 target needs must be there, from the request or from before.
ApiResult<bool> set_s3_fields(const TargetUpdate& wish, Target& target) {
  ASTER_TRY(set_s3_field("endpoint", wish.endpoint, target.info.endpoint));
  ASTER_TRY(set_s3_field("bucket", wish.bucket, target.info.bucket));
  ASTER_TRY(set_s3_field("access_key", wish.access_key, target.access_key));
  ASTER_TRY(set_s3_field("secret_key", wish.secret_key, target.secret_key));
  // The endpoint is shown to everybody who may see targets.
  const std::string& endpoint = target.info.endpoint;
  if (endpoint.find('@') != endpoint.npos) {
    return ApiError(ApiCode::bad_request, "endpoint must not hold user or password");
  }
  return true;
}

void forget_driver(Target& target) {
  target.info.base_path = ".";
  target.info.endpoint.clear();
  target.info.bucket.clear();
  target.access_key.clear();
  target.secret_key.clear();
}

/// Everything in the request that is there goes into the target.
ApiResult<bool> merge(const TargetUpdate& wish, Target& target) {
  TargetInfo& info = target.info;
  if (wish.driver_type && *wish.driver_type != info.driver_type) {
    ASTER_TRY(check_driver(*wish.driver_type));
    info.driver_type = *wish.driver_type;
    forget_driver(target);
  }
  if (wish.name) {
    ASTER_TRY(check_name(*wish.name));
    info.name = *wish.name;
  }
  if (wish.base_path) {
    ASTER_TRY(info.base_path, base_path_for(info.driver_type, *wish.base_path));
  }
  if (info.driver_type == "s3") ASTER_TRY(set_s3_fields(wish, target));
  if (wish.max_file_size) {
    ASTER_TRY(check_limit(*wish.max_file_size));
    info.max_file_size = *wish.max_file_size;
  }
  if (wish.is_default && !*wish.is_default && info.is_default) {
    return ApiError(ApiCode::target_default_update_requires_replacement,
                    "make another target the default instead");
  }
  if (wish.is_default) info.is_default = *wish.is_default;
  return true;
}

}  // namespace

void TargetService::open_all() {
  std::vector<TargetDrivers::Place> places;
  for (const Binding& binding : store_.bindings()) {
    for (Target& target : store_.targets(binding.id)) {
      if (!target.info.last_error.empty()) continue;
      const auto opened = drivers_.open(target);
      if (!opened.ok()) {
        ASTER_LOG(error, "storage target cannot be opened", {"target", target.info.target_key},
                  {"err", opened.error()});
      }
      places.push_back({std::move(target), binding.storage_namespace});
    }
  }
  drivers_.remove_leftovers(places);
}

std::optional<Target> TargetService::find(const Binding& binding, const std::string& key) const {
  for (Target& target : store_.targets(binding.id)) {
    if (target.info.target_key == key) return std::move(target);
  }
  return std::nullopt;
}

std::vector<TargetInfo> TargetService::list(const Binding& binding) const {
  std::vector<TargetInfo> out;
  for (Target& target : store_.targets(binding.id)) out.push_back(std::move(target.info));
  return out;
}

/// Sets the target up and stores the outcome; a failure is part of the target, not of the request.
ApiResult<TargetInfo> TargetService::apply(Target target) {
  const Result<void> applied = drivers_.apply(target);
  if (applied.ok()) {
    target.info.applied_revision = target.info.desired_revision;
    target.info.last_error.clear();
  } else {
    target.info.last_error = applied.error().message();
    ASTER_LOG(warn, "storage target not applied", {"target", target.info.target_key},
              {"err", applied.error()});
  }
  ASTER_TRY(Target saved, store_.save_target(std::move(target)));
  return std::move(saved.info);
}

ApiResult<TargetInfo> TargetService::create(const Binding& binding, const TargetCreate& wish) {
  ASTER_TRY(check_driver(wish.driver_type));
  ASTER_TRY(check_name(wish.name));
  ASTER_TRY(check_limit(wish.max_file_size.value_or(0)));
  std::lock_guard lock(changing_);
  Target target;
  target.binding_id = binding.id;
  target.info.target_key = "rst_" + random_hex(16);
  target.info.name = wish.name;
  target.info.driver_type = wish.driver_type;
  ASTER_TRY(target.info.base_path, base_path_for(wish.driver_type, wish.base_path));
  if (wish.driver_type == "s3") {
    const TargetUpdate fields{.endpoint = wish.endpoint,
                              .bucket = wish.bucket,
                              .access_key = wish.access_key,
                              .secret_key = wish.secret_key};
    ASTER_TRY(set_s3_fields(fields, target));
  }
  target.info.max_file_size = wish.max_file_size.value_or(0);
  target.info.is_default = wish.is_default || store_.targets(binding.id).empty();
  target.info.desired_revision = 1;
  ASTER_TRY(Target saved, store_.save_target(std::move(target)));
  return apply(std::move(saved));
}

ApiResult<TargetInfo> TargetService::update(const Binding& binding, const std::string& key,
                                            const TargetUpdate& wish) {
  std::lock_guard lock(changing_);
  std::optional<Target> target = find(binding, key);
  if (!target) return ApiError(ApiCode::not_found, "storage target " + key);
  ASTER_TRY(merge(wish, *target));
  target->info.desired_revision += 1;
  return apply(std::move(*target));
}

ApiResult<bool> TargetService::remove(const Binding& binding, const std::string& key) {
  std::lock_guard lock(changing_);
  const std::optional<Target> target = find(binding, key);
  if (!target) return ApiError(ApiCode::not_found, "storage target " + key);
  if (target->info.is_default && store_.targets(binding.id).size() > 1) {
    return ApiError(ApiCode::target_default_delete_requires_replacement,
                    "make another target the default first");
  }
  ASTER_TRY(store_.remove_target(target->id));
  return true;
}

ApiResult<TargetService::Usable> TargetService::resolve(const Binding& binding,
                                                        const std::optional<std::string>& key) {
  std::optional<Target> chosen;
  if (key) {
    chosen = find(binding, *key);
    if (!chosen) return ApiError(ApiCode::target_not_found, "storage target " + *key);
  } else {
    std::vector<Target> all = store_.targets(binding.id);
    if (all.empty()) return ApiError(ApiCode::target_required, "no storage target yet");
    if (!all.front().info.is_default) {
      return ApiError(ApiCode::target_default_missing, "no default storage target");
    }
    chosen = std::move(all.front());
  }
  const TargetInfo& info = chosen->info;
  if (!info.last_error.empty()) return ApiError(ApiCode::target_default_error, info.last_error);
  if (info.applied_revision < info.desired_revision) {
    return ApiError(ApiCode::target_default_not_applied, "the storage target is not applied yet");
  }
  const auto driver = drivers_.open(*chosen);
  if (!driver.ok()) {
    return ApiError(ApiCode::storage_transient, driver.error().message());
  }
  return Usable{*driver, std::move(*chosen)};
}

}  // namespace aster::follower

#include "server/follower/target_service.h"

#include "protocol/base/ids.h"
#include "protocol/base/log.h"
#include "protocol/http_text.h"
#include "protocol/object_key.h"
#include "server/storage/local_target.h"

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
  if (driver == "local") return true;
  return ApiError(ApiCode::target_driver_unsupported, "this follower has no driver " + driver);
}

/// Everything in the request that is there goes into the target.
ApiResult<bool> merge(const TargetUpdate& wish, Target& target) {
  TargetInfo& info = target.info;
  if (wish.driver_type && *wish.driver_type != info.driver_type) {
    ASTER_TRY(check_driver(*wish.driver_type));
    info.driver_type = *wish.driver_type;
    info.base_path = ".";
  }
  if (wish.name) {
    ASTER_TRY(check_name(*wish.name));
    info.name = *wish.name;
  }
  if (wish.base_path) {
    ASTER_TRY(info.base_path, normalize_base_path(*wish.base_path));
  }
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
  for (const Binding& binding : store_.bindings()) {
    for (const Target& target : store_.targets(binding.id)) {
      if (!target.info.last_error.empty()) continue;
      const Result<Driver> opened = open_local(target.info.base_path, Folder::existing);
      if (!opened.ok()) {
        ASTER_LOG(error, "storage target cannot be opened", {"target", target.info.target_key},
                  {"err", opened.error()});
      }
    }
  }
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

Result<TargetService::Driver> TargetService::open_local(const std::string& base, Folder folder) {
  auto drivers = drivers_.lock();
  const bool make = folder == Folder::make;
  if (const auto found = drivers->by_base.find(base); found != drivers->by_base.end() && !make) {
    return found->second;
  }
  // Two targets may share a folder: only the first to open it may take its temps for leftovers.
  ASTER_TRY(Driver opened,
            storage::LocalTarget::open({.root = local_root_,
                                        .base = base,
                                        .keep_temps = drivers->cleaned.contains(base),
                                        .create = make},
                                       executor_));
  drivers->cleaned.insert(base);
  drivers->by_base[base] = opened;
  return opened;
}

/// Opens the driver and stores the outcome; a failure is part of the target, not of the request.
ApiResult<TargetInfo> TargetService::apply(Target target) {
  const Result<Driver> opened = open_local(target.info.base_path, Folder::make);
  if (opened.ok()) {
    target.info.applied_revision = target.info.desired_revision;
    target.info.last_error.clear();
  } else {
    target.info.last_error = opened.error().message();
    ASTER_LOG(warn, "storage target not applied", {"target", target.info.target_key},
              {"err", opened.error()});
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
  ASTER_TRY(target.info.base_path, normalize_base_path(wish.base_path));
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
  const Result<Driver> driver = open_local(info.base_path, Folder::existing);
  if (!driver.ok()) {
    return ApiError(ApiCode::storage_transient, driver.error().message());
  }
  return Usable{*driver, std::move(*chosen)};
}

}  // namespace aster::follower

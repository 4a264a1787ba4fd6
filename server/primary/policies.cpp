#include "server/primary/policies.h"

#include <algorithm>

#include "server/primary/follower_registry.h"
#include "server/primary/policy_json.h"
#include "server/primary/s3_storage.h"

namespace aster::primary {
namespace {

/// What the policy demands of its follower and that one does not announce, by name.
std::string missing_features(const Capabilities& capabilities, const Policy& policy) {
  std::vector<std::string> missing = capabilities.lacking_for_objects();
  const auto add = [&missing](std::vector<std::string> more) {
    for (std::string& name : more) {
      if (std::find(missing.begin(), missing.end(), name) != missing.end()) continue;
      missing.push_back(std::move(name));
    }
  };
  if (policy.presigned_upload) add(capabilities.lacking_for_presigned_uploads());
  if (policy.presigned_download) add(capabilities.lacking_for_presigned_downloads());
  std::string out;
  for (const std::string& name : missing) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

Task<Result<void>> Policies::load() {
  ASTER_CO_TRY(std::vector<db::PolicyRow> rows, co_await store_.policies());
  std::map<PolicyId, Entry> fresh;
  for (db::PolicyRow& row : rows) {
    auto policy = std::make_shared<const Policy>(parse_policy(row));
    const PolicyId id = row.id;
    fresh.emplace(id, Entry{std::move(row), std::move(policy)});
  }
  *entries_.lock() = std::move(fresh);
  co_return ok();
}

Task<ApiResult<db::PolicyRow>> Policies::create(std::string body) {
  ASTER_CO_TRY(db::PolicyRow row, apply_policy_json({}, body, true));
  ASTER_CO_TRY(check_node(row));
  ASTER_CO_TRY(co_await check_bucket(row));
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(row, co_await store_.create_policy(std::move(row)));
  ASTER_CO_TRY(co_await load());
  co_return row;
}

Task<ApiResult<Policy>> Policies::judge(std::string body) const {
  db::PolicyRow unnamed;
  unnamed.name = "the unsaved policy";  // in what errors say
  ASTER_CO_TRY(const db::PolicyRow row, apply_policy_json(std::move(unnamed), body, true));
  ASTER_CO_TRY(check_node(row));
  ASTER_CO_TRY(co_await check_bucket(row));
  co_return parse_policy(row);
}

Task<ApiResult<db::PolicyRow>> Policies::update(PolicyId id, std::string body) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(const db::PolicyRow before, this->row(id));
  ASTER_CO_TRY(db::PolicyRow after, apply_policy_json(before, body, false));
  if (after.node != before.node || after.options != before.options) {
    ASTER_CO_TRY(check_node(after));
  }
  if (after.s3 != before.s3 || after.base_path != before.base_path) {
    ASTER_CO_TRY(co_await check_bucket(after));
  }
  ASTER_CO_TRY(after, co_await store_.update_policy(std::move(after)));
  ASTER_CO_TRY(co_await load());
  co_return after;
}

Task<ApiResult<db::PolicyRow>> Policies::set_default(PolicyId id) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(db::PolicyRow row, this->row(id));
  row.is_default = true;
  ASTER_CO_TRY(row, co_await store_.update_policy(std::move(row)));
  ASTER_CO_TRY(co_await load());
  co_return row;
}

Task<Result<void>> Policies::remove(PolicyId id) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(co_await store_.remove_policy(id));
  co_return co_await load();
}

ApiResult<bool> Policies::check_node(const db::PolicyRow& row) const {
  if (!row.node) return true;
  ASTER_TRY(const FollowerRef follower, registry_.usable(*row.node));
  if (!follower->capabilities) {
    return ApiError(ApiCode::precondition_failed,
                    "the abilities of node " + follower->row.name +
                        " are not known yet: test its connection first");
  }
  const std::string missing = missing_features(*follower->capabilities, parse_policy(row));
  if (!missing.empty()) {
    return ApiError(ApiCode::precondition_failed,
                    "node " + follower->row.name + " lacks what this policy needs: " + missing);
  }
  return true;
}

Task<ApiResult<bool>> Policies::check_bucket(const db::PolicyRow& row) const {
  if (row.driver != "s3") co_return true;
  const Policy policy = parse_policy(row);
  const Result<void> usable = co_await s3_.check(policy);
  if (!usable.ok()) co_return ApiError(ApiCode::precondition_failed, usable.error().context);
  co_return true;
}

Result<std::shared_ptr<const Policy>> Policies::find(PolicyId id) const {
  auto entries = entries_.lock();
  const auto found = entries->find(id);
  if (found == entries->end()) {
    return fail(Errc::not_found, "no storage policy with id " + std::to_string(id.value));
  }
  return found->second.policy;
}

Result<std::shared_ptr<const Policy>> Policies::default_policy() const {
  auto entries = entries_.lock();
  for (const auto& [id, entry] : *entries) {
    if (entry.policy->is_default) return entry.policy;
  }
  return fail(Errc::precondition_failed,
              "no default storage policy: an administrator has to create one");
}

Result<db::PolicyRow> Policies::row(PolicyId id) const {
  auto entries = entries_.lock();
  const auto found = entries->find(id);
  if (found == entries->end()) {
    return fail(Errc::not_found, "no storage policy with id " + std::to_string(id.value));
  }
  return found->second.row;
}

std::vector<db::PolicyRow> Policies::rows() const {
  std::vector<db::PolicyRow> found;
  auto entries = entries_.lock();
  for (const auto& [id, entry] : *entries) found.push_back(entry.row);
  return found;
}

}  // namespace aster::primary

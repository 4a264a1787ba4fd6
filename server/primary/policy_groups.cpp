#include "server/primary/policy_groups.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "server/primary/api_call.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kNameMax = 128;
constexpr size_t kDescriptionMax = 1024;
constexpr size_t kRulesMax = 64;

Result<db::PolicyRule> read_rule(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(Errc::bad_request, "items: a rule is an object");
  JsonReader reader(*object);
  db::PolicyRule rule;
  uint64_t policy = 0;
  reader.required("policy_id", policy);
  reader.required("priority", rule.priority);
  reader.optional("min_file_size", rule.min_size);
  reader.optional("max_file_size", rule.max_size);
  reader.optional("is_enabled", rule.enabled);
  rule.policy = PolicyId(policy);
  if (rule.priority == 0 || rule.priority > INT32_MAX) {
    return fail(Errc::bad_request, "items: priority is 1 to 2147483647");
  }
  if (rule.min_size > INT64_MAX || rule.max_size > INT64_MAX) {
    return fail(Errc::bad_request, "items: sizes are at most 9223372036854775807 bytes");
  }
  if (rule.max_size != 0 && rule.max_size <= rule.min_size) {
    return fail(Errc::bad_request, "items: max_file_size is more than min_file_size, or 0");
  }
  return reader.finish(rule);
}

Result<std::vector<db::PolicyRule>> read_rules(const json::value& items) {
  if (!items.is_array()) return fail(Errc::bad_request, "items is no list");
  if (items.get_array().size() > kRulesMax) {
    return fail(Errc::bad_request, "items: at most 64 rules");
  }
  std::vector<db::PolicyRule> rules;
  std::set<uint64_t> priorities;
  std::set<uint64_t> policies;
  for (const json::value& item : items.get_array()) {
    ASTER_TRY(const db::PolicyRule rule, read_rule(item));
    if (!priorities.insert(rule.priority).second) {
      return fail(Errc::bad_request,
                  "items: two rules have priority " + std::to_string(rule.priority));
    }
    if (!policies.insert(rule.policy.value).second) {
      return fail(Errc::bad_request,
                  "items: two rules have policy " + std::to_string(rule.policy.value));
    }
    rules.push_back(rule);
  }
  std::sort(rules.begin(), rules.end(), [](const db::PolicyRule& a, const db::PolicyRule& b) {
    return a.priority < b.priority;
  });
  return rules;
}

Result<db::PolicyGroupRow> apply_group_json(db::PolicyGroupRow row, std::string_view body) {
  ASTER_TRY(const json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  reader.optional("name", row.name);
  reader.optional("description", row.description);
  reader.optional("is_enabled", row.enabled);
  reader.optional("is_default", row.is_default);
  ASTER_TRY(row, reader.finish(std::move(row)));
  row.name = std::string(trim(row.name));
  if (row.name.empty() || row.name.size() > kNameMax) {
    return fail(Errc::bad_request, "name has 1 to 128 bytes");
  }
  if (row.description.size() > kDescriptionMax) {
    return fail(Errc::bad_request, "description has at most 1024 bytes");
  }
  if (const json::value* items = object.if_contains("items")) {
    ASTER_TRY(row.rules, read_rules(*items));
  }
  return row;
}

uint64_t found_or_none(const std::map<uint64_t, uint64_t>& groups, uint64_t key) {
  const auto found = groups.find(key);
  return found == groups.end() ? 0 : found->second;
}

bool fits(const db::PolicyRule& rule, uint64_t size) {
  return rule.enabled && size >= rule.min_size && (rule.max_size == 0 || size < rule.max_size);
}

}  // namespace

Task<Result<void>> PolicyGroups::load() {
  State fresh;
  ASTER_CO_TRY(fresh.groups, co_await store_.groups());
  ASTER_CO_TRY(fresh.assigned, co_await store_.assignments());
  *state_.lock() = std::move(fresh);
  co_return ok();
}

Task<Result<void>> PolicyGroups::reload() {
  const auto lock = co_await changing_.acquire();
  co_return co_await load();
}

std::optional<db::PolicyGroupRow> PolicyGroups::group_for(const State& state,
                                                          const RouteRequest& request) {
  uint64_t wanted = 0;
  const auto& assigned = state.assigned;
  if (const auto own = assigned.workspaces.find(request.workspace);
      own != assigned.workspaces.end()) {
    wanted = own->second;
  } else if (const auto user = assigned.users.find(request.user.value);
             user != assigned.users.end()) {
    wanted = user->second;
  }
  for (const db::PolicyGroupRow& group : state.groups) {
    if (group.enabled && group.id == wanted) return group;
  }
  for (const db::PolicyGroupRow& group : state.groups) {
    if (group.enabled && group.is_default) return group;
  }
  return std::nullopt;
}

Result<std::optional<PolicyId>> PolicyGroups::choose(const RouteRequest& request,
                                                     const Usable& usable) const {
  std::optional<db::PolicyGroupRow> group;
  {
    const auto state = state_.lock();
    if (state->groups.empty()) return std::optional<PolicyId>();
    group = group_for(*state, request);
  }
  if (!group) return std::optional<PolicyId>();
  std::string trouble;  // of rules that would take it
  for (const db::PolicyRule& rule : group->rules) {
    if (!fits(rule, request.size)) continue;
    const Result<void> good = usable(rule.policy);
    if (good.ok()) return std::optional(rule.policy);
    trouble += (trouble.empty() ? ": " : "; ") + good.error().context;
  }
  // A size outside of all windows is the caller's; a policy that cannot be used may be soon.
  const Errc why = trouble.empty() ? Errc::bad_request : Errc::precondition_failed;
  return fail(why, "no rule of policy group " + group->name + " takes a file of " +
                       std::to_string(request.size) + " bytes" + trouble);
}

Task<Result<db::PolicyGroupRow>> PolicyGroups::create(std::string body) {
  ASTER_CO_TRY(db::PolicyGroupRow row, apply_group_json({}, body));
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(row, co_await store_.create(std::move(row)));
  ASTER_CO_TRY(co_await load());
  co_return row;
}

Task<Result<db::PolicyGroupRow>> PolicyGroups::update(uint64_t id, std::string body) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(const db::PolicyGroupRow before, find(id));
  ASTER_CO_TRY(db::PolicyGroupRow row, apply_group_json(before, body));
  ASTER_CO_TRY(row, co_await store_.update(std::move(row)));
  ASTER_CO_TRY(co_await load());
  co_return row;
}

Task<Result<void>> PolicyGroups::remove(uint64_t id) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(co_await store_.remove(id));
  co_return co_await load();
}

Task<Result<void>> PolicyGroups::assign_user(uint64_t user, uint64_t group) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(co_await store_.assign_user(user, group));
  co_return co_await load();
}

Task<Result<void>> PolicyGroups::assign_workspace(uint64_t workspace, uint64_t group) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(co_await store_.assign_workspace(workspace, group));
  co_return co_await load();
}

Result<db::PolicyGroupRow> PolicyGroups::find(uint64_t id) const {
  const auto state = state_.lock();
  for (const db::PolicyGroupRow& group : state->groups) {
    if (group.id == id) return group;
  }
  return fail(Errc::not_found, "no policy group with id " + std::to_string(id));
}

std::vector<db::PolicyGroupRow> PolicyGroups::rows() const {
  return state_.lock()->groups;
}

uint64_t PolicyGroups::group_of_user(uint64_t user) const {
  return found_or_none(state_.lock()->assigned.users, user);
}

uint64_t PolicyGroups::group_of_workspace(uint64_t workspace) const {
  return found_or_none(state_.lock()->assigned.workspaces, workspace);
}

}  // namespace aster::primary

#include "server/primary/policy_group_api.h"

#include <boost/json.hpp>

#include "protocol/base/log.h"
#include "protocol/json_reader.h"
#include "server/primary/api_json.h"
#include "server/primary/audit_text.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

/// Who gets a group.
Result<WorkspaceChoice> read_subject(std::string_view body) {
  ASTER_TRY(const json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  WorkspaceChoice subject;
  subject.read(reader);
  ASTER_TRY(subject, reader.finish(std::move(subject)));
  if (subject.count() != 1) {
    return fail(Errc::bad_request, "give user_id, workspace_id or workspace");
  }
  return subject;
}

}  // namespace

void PolicyGroupApi::add_routes(http::Router& router) {
  using Method = Reply (PolicyGroupApi::*)(ApiCall);
  const auto add = [&](const char* method, const char* path, Method handler) {
    router.add(method, path, gate_.wrap(Access::admin, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("GET", "/api/v1/admin/policy-groups", &PolicyGroupApi::list);
  add("POST", "/api/v1/admin/policy-groups", &PolicyGroupApi::create);
  add("GET", "/api/v1/admin/policy-groups/{}", &PolicyGroupApi::get);
  add("PATCH", "/api/v1/admin/policy-groups/{}", &PolicyGroupApi::update);
  add("DELETE", "/api/v1/admin/policy-groups/{}", &PolicyGroupApi::remove);
  add("POST", "/api/v1/admin/policy-groups/{}/assign", &PolicyGroupApi::assign);
  add("POST", "/api/v1/admin/policy-group-assignments/remove", &PolicyGroupApi::unassign);
}

std::string PolicyGroupApi::text_of(const db::PolicyGroupRow& row) const {
  json::array items;
  for (const db::PolicyRule& rule : row.rules) {
    json::object item{{"policy_id", rule.policy.value},
                      {"priority", rule.priority},
                      {"min_file_size", rule.min_size},
                      {"max_file_size", rule.max_size},
                      {"is_enabled", rule.enabled}};
    if (const auto policy = policies_.row(rule.policy); policy.ok()) {
      item["policy"] = json::object{
          {"id", policy->id.value}, {"name", policy->name}, {"driver_type", policy->driver}};
    }
    items.push_back(std::move(item));
  }
  json::array users;
  json::array workspaces;
  const auto assigned = groups_.assignments();
  for (const auto& [user, group] : assigned.users) {
    if (group == row.id) users.push_back(user);
  }
  for (const auto& [workspace, group] : assigned.workspaces) {
    if (group == row.id) workspaces.push_back(workspace);
  }
  return json::serialize(json::object{{"id", row.id},
                                      {"name", row.name},
                                      {"description", row.description},
                                      {"is_enabled", row.enabled},
                                      {"is_default", row.is_default},
                                      {"items", std::move(items)},
                                      {"user_ids", std::move(users)},
                                      {"workspace_ids", std::move(workspaces)},
                                      {"created_at", rfc3339(row.created_at)},
                                      {"updated_at", rfc3339(row.updated_at)}});
}

Task<void> PolicyGroupApi::audit(const Identity& who, std::string action, std::string subject,
                                 std::string detail) {
  const Result<void> noted =
      co_await accounts_.audit(who.user, std::move(action), std::move(subject), std::move(detail));
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

PolicyGroupApi::Reply PolicyGroupApi::list(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  const std::vector<db::PolicyGroupRow> all = groups_.rows();
  std::vector<std::string> items;
  for (size_t i = page.offset; i < all.size() && items.size() < page.limit; ++i) {
    items.push_back(text_of(all[i]));
  }
  co_return ApiReply{200, list_json(items, all.size(), page)};
}

PolicyGroupApi::Reply PolicyGroupApi::create(ApiCall call) {
  ASTER_CO_TRY(const db::PolicyGroupRow made, co_await groups_.create(std::move(call.body)));
  co_await audit(call.who, "policy_group.create", made.name);
  co_return ApiReply{201, text_of(made)};
}

PolicyGroupApi::Reply PolicyGroupApi::get(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::PolicyGroupRow row, groups_.find(id));
  co_return ApiReply{200, text_of(row)};
}

PolicyGroupApi::Reply PolicyGroupApi::update(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  std::string changes = changes_text(call.body);
  ASTER_CO_TRY(const db::PolicyGroupRow row, co_await groups_.update(id, std::move(call.body)));
  co_await audit(call.who, "policy_group.update", row.name, std::move(changes));
  co_return ApiReply{200, text_of(row)};
}

PolicyGroupApi::Reply PolicyGroupApi::remove(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::PolicyGroupRow row, groups_.find(id));
  ASTER_CO_TRY(co_await groups_.remove(id));
  co_await audit(call.who, "policy_group.remove", row.name);
  co_return ApiReply{};
}

PolicyGroupApi::Reply PolicyGroupApi::assign(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::PolicyGroupRow row, groups_.find(id));
  auto reply = co_await change_assignment(call, row.id);
  co_return reply;
}

PolicyGroupApi::Reply PolicyGroupApi::unassign(ApiCall call) {
  auto reply = co_await change_assignment(call, 0);
  co_return reply;
}

PolicyGroupApi::Reply PolicyGroupApi::change_assignment(const ApiCall& call, uint64_t group) {
  ASTER_CO_TRY(const WorkspaceChoice subject, read_subject(call.body));
  std::string whom;
  if (subject.user) {
    ASTER_CO_TRY(co_await groups_.assign_user(*subject.user, group));
    whom = "user " + std::to_string(*subject.user);
  } else {
    ASTER_CO_TRY(const uint64_t workspace,
                 co_await chosen_workspace(subject, 0, accounts_, teams_));
    ASTER_CO_TRY(co_await groups_.assign_workspace(workspace, group));
    whom = subject.selector.value_or("workspace " + std::to_string(workspace));
  }
  co_await audit(call.who, "policy_group.assign", std::to_string(group) + " to " + whom);
  co_return ApiReply{};
}

}  // namespace aster::primary

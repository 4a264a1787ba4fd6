#include <boost/json.hpp>

#include "protocol/json_reader.h"
#include "server/primary/admin_api.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

struct UserBody {
  std::optional<std::string> name;
  std::optional<std::string> password;
  std::optional<std::string> role;
  std::optional<std::string> status;
  std::optional<uint64_t> quota;
  std::optional<uint64_t> group;  ///< of policies; 0 = none
};

Result<UserBody> read_user_body(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  JsonReader reader(object);
  UserBody body;
  reader.optional("username", body.name);
  reader.optional("password", body.password);
  reader.optional("role", body.role);
  reader.optional("status", body.status);
  reader.optional("storage_quota", body.quota);
  reader.optional("policy_group_id", body.group);
  if (body.quota.value_or(0) > INT64_MAX) {
    return fail(Errc::bad_request, "storage_quota is at most 9223372036854775807 bytes");
  }
  return reader.finish(std::move(body));
}

Result<db::UserFilter> filter_of_query(std::string_view raw_query) {
  ASTER_TRY(const auto query, http::parse_query(raw_query));
  db::UserFilter filter;
  filter.keyword = http::query_value(query, "keyword").value_or(std::string());
  if (const auto role = http::query_value(query, "role")) {
    ASTER_TRY(filter.role, db::parse_user_role(*role));
  }
  if (const auto status = http::query_value(query, "status")) {
    ASTER_TRY(filter.status, db::parse_user_status(*status));
  }
  return filter;
}

/// For the audit log.
std::string changes_of(const UserBody& body) {
  std::string out;
  const auto add = [&](const char* name, const std::string& value) {
    out += (out.empty() ? "" : " ") + std::string(name) + "=" + value;
  };
  if (body.role) add("role", *body.role);
  if (body.status) add("status", *body.status);
  if (body.quota) add("quota", std::to_string(*body.quota));
  if (body.group) add("group", std::to_string(*body.group));
  return out;
}

}  // namespace

void AdminApi::add_user_routes(http::Router& router) {
  add(router, "GET", "/api/v1/admin/users", &AdminApi::list_users);
  add(router, "POST", "/api/v1/admin/users", &AdminApi::create_user);
  add(router, "GET", "/api/v1/admin/users/{}", &AdminApi::get_user);
  add(router, "PATCH", "/api/v1/admin/users/{}", &AdminApi::update_user);
  add(router, "PUT", "/api/v1/admin/users/{}/password", &AdminApi::set_password);
  add(router, "POST", "/api/v1/admin/users/{}/sessions/revoke", &AdminApi::revoke_sessions);
  add(router, "DELETE", "/api/v1/admin/users/{}", &AdminApi::remove_user);
}

Task<ApiResult<ApiReply>> AdminApi::user_reply(int status, db::UserRow user) {
  ASTER_CO_TRY(const auto storage, co_await parts_.account_store.storage(user.id));
  co_return ApiReply{status, user_json(user, storage, parts_.groups.group_of_user(user.id.value))};
}

Task<ApiResult<ApiReply>> AdminApi::list_users(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(db::UserFilter filter, filter_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const auto found, co_await parts_.account_store.list_users(page, std::move(filter)));
  std::vector<std::string> items;
  for (const db::UserRow& row : found.items) {
    ASTER_CO_TRY(const auto storage, co_await parts_.account_store.storage(row.id));
    items.push_back(user_json(row, storage, parts_.groups.group_of_user(row.id.value)));
  }
  co_return ApiReply{200, list_json(items, found.total, page)};
}

Task<ApiResult<ApiReply>> AdminApi::create_user(ApiCall call) {
  ASTER_CO_TRY(UserBody body, read_user_body(call.body));
  if (!body.name || !body.password) {
    co_return ApiError(ApiCode::bad_request, "username and password are needed");
  }
  Accounts::NewUser user{.name = std::move(*body.name), .password = std::move(*body.password)};
  if (body.role) {
    ASTER_CO_TRY(user.role, db::parse_user_role(*body.role));
  }
  if (body.group.value_or(0) != 0) ASTER_CO_TRY(parts_.groups.find(*body.group));
  ASTER_CO_TRY(const db::UserRow made, co_await parts_.accounts.create_user(std::move(user)));
  if (body.group) ASTER_CO_TRY(co_await parts_.groups.assign_user(made.id.value, *body.group));
  if (body.quota) {
    Accounts::Change change;
    change.quota = body.quota;
    ASTER_CO_TRY(co_await parts_.accounts.update_user(made.id, std::move(change)));
  }
  co_await audit(call.who, "user.create", made.name, changes_of(body));
  auto reply = co_await user_reply(201, made);
  co_return reply;
}

Task<ApiResult<ApiReply>> AdminApi::get_user(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::UserRow user, co_await parts_.account_store.user(UserId(id)));
  auto reply = co_await user_reply(200, user);
  co_return reply;
}

Task<ApiResult<ApiReply>> AdminApi::update_user(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const UserBody body, read_user_body(call.body));
  Accounts::Change change;
  if (body.role) {
    ASTER_CO_TRY(change.role, db::parse_user_role(*body.role));
  }
  if (body.status) {
    ASTER_CO_TRY(change.status, db::parse_user_status(*body.status));
  }
  change.quota = body.quota;
  if (body.group.value_or(0) != 0) ASTER_CO_TRY(parts_.groups.find(*body.group));
  ASTER_CO_TRY(const db::UserRow user,
               co_await parts_.accounts.update_user(UserId(id), std::move(change)));
  if (body.group) ASTER_CO_TRY(co_await parts_.groups.assign_user(user.id.value, *body.group));
  co_await audit(call.who, "user.update", user.name, changes_of(body));
  auto reply = co_await user_reply(200, user);
  co_return reply;
}

Task<ApiResult<ApiReply>> AdminApi::set_password(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(UserBody body, read_user_body(call.body));
  if (!body.password) co_return ApiError(ApiCode::bad_request, "password is needed");
  Accounts::Change change{.password = std::move(body.password)};
  ASTER_CO_TRY(const db::UserRow user,
               co_await parts_.accounts.update_user(UserId(id), std::move(change)));
  co_await audit(call.who, "user.password", user.name);
  auto reply = co_await user_reply(200, user);
  co_return reply;
}

Task<ApiResult<ApiReply>> AdminApi::revoke_sessions(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::UserRow user, co_await parts_.account_store.user(UserId(id)));
  ASTER_CO_TRY(co_await parts_.accounts.end_logins(user.id));
  co_await audit(call.who, "user.sessions.revoke", user.name);
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::remove_user(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  // Whether the files go with the account.
  ASTER_CO_TRY(const bool with_files, is_forced(call.request.raw_query()));
  ASTER_CO_TRY(const db::UserRow user, co_await parts_.account_store.user(UserId(id)));
  if (user.id == call.who.user) {
    co_return ApiError(ApiCode::precondition_failed,
                       "nobody removes the own account: another administrator does");
  }
  ASTER_CO_TRY(const db::PurgeRow begun, co_await parts_.purger.purge_user(user.id, with_files));
  // Memory follows the store: proofs, open sessions, the user's policy group.
  ASTER_CO_TRY(co_await parts_.accounts.end_logins(user.id));
  ASTER_CO_TRY(co_await parts_.groups.reload());
  co_await audit(
      call.who, "user.remove", user.name,
      "inodes=" + std::to_string(begun.inodes) + " bytes=" + std::to_string(begun.bytes));
  co_return ApiReply{};
}

}  // namespace aster::primary

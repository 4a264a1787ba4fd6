#include "server/primary/auth_api.h"

#include "protocol/base/log.h"
#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

struct Credentials {
  std::string name;
  std::string password;
};

Result<Credentials> read_credentials(std::string_view body, std::string_view name_member) {
  ASTER_TRY(const boost::json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  Credentials found;
  reader.required(name_member, found.name);
  reader.required("password", found.password);
  return reader.finish(std::move(found));
}

struct PasswordChange {
  std::string current;
  std::string next;
};

Result<PasswordChange> read_password_change(std::string_view body) {
  ASTER_TRY(const boost::json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  PasswordChange found;
  reader.required("current_password", found.current);
  reader.required("new_password", found.next);
  return reader.finish(std::move(found));
}

}  // namespace

void AuthApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const char* path, Access access, auto handler) {
    router.add(method, path, gate_.wrap(access, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("POST", "/api/v1/auth/check", Access::anyone, &AuthApi::check);
  add("POST", "/api/v1/auth/setup", Access::anyone, &AuthApi::setup);
  add("POST", "/api/v1/auth/login", Access::anyone, &AuthApi::login);
  add("POST", "/api/v1/auth/logout", Access::token, &AuthApi::logout);
  add("GET", "/api/v1/auth/me", Access::token, &AuthApi::me);
  add("PUT", "/api/v1/auth/password", Access::user, &AuthApi::change_password);
}

Task<ApiResult<ApiReply>> AuthApi::check(ApiCall) {
  ASTER_CO_TRY(const auto users, co_await store_.list_users({.limit = 1}));
  const std::string needed = users.total == 0 ? "true" : "false";
  co_return ApiReply{200, "{\"setup_needed\":" + needed + ",\"registration_open\":false}"};
}

Task<ApiResult<ApiReply>> AuthApi::setup(ApiCall call) {
  // Looked at before the costly hash, so that the open route is no way to burn the server's time.
  ASTER_CO_TRY(const auto users, co_await store_.list_users({.limit = 1}));
  if (users.total != 0) co_return ApiError(ApiCode::precondition_failed, "set-up is done already");
  ASTER_CO_TRY(Credentials given, read_credentials(call.body, "username"));
  Accounts::NewUser user{.name = std::move(given.name), .password = std::move(given.password)};
  ASTER_CO_TRY(const db::UserRow made,
               co_await accounts_.set_up(std::move(user), call.request.peer));
  ASTER_LOG(info, "first_administrator_created", {"user", made.id.value});
  ASTER_CO_TRY(co_await store_.audit(made.id, "user.create", made.name,
                                     "the first administrator, from " + call.request.peer));
  co_return ApiReply{201, user_json(made, {}, 0)};
}

Task<ApiResult<ApiReply>> AuthApi::login(ApiCall call) {
  ASTER_CO_TRY(Credentials given, read_credentials(call.body, "identifier"));
  auto answer =
      co_await accounts_.login(std::move(given.name), std::move(given.password), call.request.peer);
  if (!answer.ok()) {
    ASTER_LOG(warn, "login_refused", {"peer", call.request.peer}, {"err", answer.error()});
    co_return std::move(answer).error();
  }
  co_return ApiReply{200, login_json(*answer, clock_.now_seconds())};
}

Task<ApiResult<ApiReply>> AuthApi::logout(ApiCall call) {
  ASTER_CO_TRY(co_await accounts_.logout(call.who));
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AuthApi::me(ApiCall call) {
  ASTER_CO_TRY(const QueryList query, form_decode_query(call.request.raw_query()));
  bool read_only = call.who.scope != nullptr && call.who.scope->read_only;
  if (auto selector = http::query_value(query, "workspace")) {
    ASTER_CO_TRY(const Caller caller, co_await workspaces_.enter(call.who, std::move(*selector)));
    read_only = caller.read_only;
  }
  ASTER_CO_TRY(const auto storage, co_await store_.storage(call.who.user));
  co_return ApiReply{200, me_json(call.who, storage, read_only)};
}

Task<ApiResult<ApiReply>> AuthApi::change_password(ApiCall call) {
  ASTER_CO_TRY(PasswordChange given, read_password_change(call.body));
  ASTER_CO_TRY(check_new_password(given.next));
  // The current password is proven, and guessing it slowed down, as at a login.
  ASTER_CO_TRY(const Identity proof,
               co_await accounts_.check_password(call.who.name, given.current, call.request.peer));
  Accounts::Change change;
  change.password = std::move(given.next);
  ASTER_CO_TRY(const db::UserRow user,
               co_await accounts_.update_user(proof.user, std::move(change)));
  ASTER_CO_TRY(co_await store_.audit(user.id, "user.password", user.name, "by the user"));
  co_return ApiReply{};
}

}  // namespace aster::primary

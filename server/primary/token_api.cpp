#include "server/primary/token_api.h"

#include <boost/json.hpp>

#include "protocol/json_reader.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr uint64_t kTokensMax = 100;  // of one user
constexpr uint64_t kUsualLifetime = 90 * 86400;
constexpr uint64_t kLongestLifetime = 10ull * 366 * 86400;

struct WantedToken {
  std::string name;
  TokenScope scope;
  uint64_t lifetime = kUsualLifetime;  ///< seconds; 0: for good
};

Result<WantedToken> read_wanted_token(std::string_view body) {
  ASTER_TRY(const json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  WantedToken wanted;
  std::vector<std::string> paths;
  reader.required("name", wanted.name);
  reader.optional("read_only", wanted.scope.read_only);
  reader.optional("paths", paths);
  reader.optional("expires_in", wanted.lifetime);
  ASTER_TRY(wanted, reader.finish(std::move(wanted)));
  if (!check_user_name(wanted.name).ok() || wanted.name == "login") {
    return fail(Errc::bad_request,
                "the name of a token has 1 to 64 letters, digits, '.', '_', '@' or '-', starts "
                "with no '-' and is not \"login\"");
  }
  if (paths.size() > kScopePlacesMax) {
    return fail(Errc::bad_request, "at most " + std::to_string(kScopePlacesMax) + " paths");
  }
  if (wanted.lifetime > kLongestLifetime) {
    return fail(Errc::bad_request, "expires_in is at most ten years, or 0 for good");
  }
  for (const std::string& path : paths) {
    ASTER_TRY(TokenScope::Place place, parse_place(path));
    wanted.scope.places.push_back(std::move(place));
  }
  return wanted;
}

std::string limits_of(const TokenScope& scope) {
  std::string out = scope.whole() ? "whole" : scope.read_only ? "read-only" : "read-write";
  for (const TokenScope::Place& place : scope.places) out += " " + to_text(place);
  return out;
}

}  // namespace

void TokenApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const char* path, auto handler) {
    router.add(method, path, gate_.wrap(Access::user, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("GET", "/api/v1/auth/tokens", &TokenApi::list);
  add("POST", "/api/v1/auth/tokens", &TokenApi::create);
  add("DELETE", "/api/v1/auth/tokens/{}", &TokenApi::revoke);
}

Task<ApiResult<ApiReply>> TokenApi::list(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const auto found, co_await tokens_.list(call.who.user, page));
  std::vector<std::string> items;
  for (const db::TokenRow& row : found.items) items.push_back(token_json(row, call.who.token));
  co_return ApiReply{200, list_json(items, found.total, page)};
}

Task<ApiResult<ApiReply>> TokenApi::create(ApiCall call) {
  ASTER_CO_TRY(const WantedToken wanted, read_wanted_token(call.body));
  db::TokenRow row{.user = call.who.user, .name = wanted.name, .scopes = encode(wanted.scope)};
  const std::string token = Accounts::make_token(row);
  if (wanted.lifetime != 0) {
    row.expires_at = clock_.now_seconds() + static_cast<int64_t>(wanted.lifetime);
  }
  ASTER_CO_TRY(row, co_await tokens_.create(std::move(row), kTokensMax));
  ASTER_CO_TRY(
      co_await store_.audit(call.who.user, "token.create", row.name, limits_of(wanted.scope)));
  json::object answer = json::parse(token_json(row, call.who.token)).as_object();
  answer["token"] = token;  // this once
  co_return ApiReply{201, json::serialize(answer)};
}

Task<ApiResult<ApiReply>> TokenApi::revoke(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::TokenRow row, co_await tokens_.revoke(call.who.user, id));
  accounts_.forget_token(row.hash);
  ASTER_CO_TRY(co_await store_.audit(call.who.user, "token.revoke", row.name));
  co_return ApiReply{};
}

}  // namespace aster::primary

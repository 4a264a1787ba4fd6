#include "server/follower/follower_api.h"

#include "protocol/base/log.h"
#include "protocol/envelope.h"
#include "protocol/http_text.h"
#include "protocol/messages.h"
#include "protocol/sign/canonical_request.h"
#include "server/follower/cors.h"

namespace aster::follower {
namespace {

constexpr std::string_view kMetadataTail = "/metadata";

sign::KeyLookup key_lookup(const BindingStore& store) {
  return [&store](std::string_view access_key) -> std::optional<sign::KeyRecord> {
    const auto binding = store.find(access_key);
    if (!binding) return std::nullopt;
    return sign::KeyRecord{binding->secret_key, binding->is_enabled};
  };
}

sign::ReceivedRequest received(const http::Request& request) {
  return sign::ReceivedRequest::from(request.method, request.target, request.headers,
                                     request.content_length);
}

std::optional<Dialect> spoken_dialect(const http::Request& request) {
  const std::string* agent = request.header("User-Agent");
  return agent ? dialect_of_user_agent(*agent) : std::nullopt;
}

/// The access key that the request claims; only good for choosing words.
std::string claimed_key(const http::Request& request) {
  if (const std::string* header = request.header(sign::kAccessKeyHeader)) return *header;
  const auto query = http::parse_query(request.raw_query());
  if (!query.ok()) return {};
  return http::query_value(*query, sign::kAccessKeyQuery).value_or("");
}

/// Who may call and whether the binding is in order was settled before: from here on such words are
/// about the storage behind the target.
ApiError as_driver_failure(ApiError error) {
  if (error.code == ApiCode::forbidden) error.code = ApiCode::storage_permission;
  if (error.code == ApiCode::precondition_failed) error.code = ApiCode::storage_precondition;
  return error;
}

}  // namespace

http::Response success(Dialect dialect, std::string_view data, int status) {
  return http::Response::json(status, encode_success(dialect, data));
}

Task<ApiResult<std::string>> read_json_body(std::shared_ptr<ByteSource> body) {
  std::string out;
  std::vector<std::byte> piece(16 * 1024);
  for (;;) {
    ASTER_CO_TRY(const size_t n, co_await body->read(piece));
    if (n == 0) co_return out;
    if (out.size() + n > kMaxJsonRequest) {
      co_return ApiError(ApiCode::file_too_large, "the JSON body is larger than 1 MiB", 413);
    }
    out.append(as_text(ByteView(piece).first(n)));
  }
}

ApiResult<std::optional<uint64_t>> query_number(const QueryList& query, std::string_view name) {
  const auto text = http::query_value(query, name);
  if (!text) return std::optional<uint64_t>();
  const auto number = parse_decimal<uint64_t>(*text);
  if (!number) {
    return ApiError(
        ApiCode::bad_request,
        std::string(kPlainText) + "Query deserialize error: invalid " + std::string(name));
  }
  return number;
}

FollowerApi::FollowerApi(Parts parts)
    : parts_(parts), verifier_(key_lookup(parts.store), parts.nonces, parts.clock) {}

http::Handler FollowerApi::handler(Rule rule) {
  return [this, rule](http::Request& request) { return serve(request, rule); };
}

void FollowerApi::add_routes(http::Router& router) {
  const std::string base(kStoragePath);
  const auto add = [&](std::string_view method, const std::string& path, Rule rule) {
    router.add(method, base + path, handler(rule));
  };
  add("GET", "/capabilities", {.action = &FollowerApi::get_capabilities, .enabled = true});
  add("GET", "/capacity", {.action = &FollowerApi::get_capacity, .enabled = true, .target = true});
  add("PUT", "/binding", {.action = &FollowerApi::put_binding});
  for (const char* name : {"/ingress-profiles", "/targets"}) {
    const std::string one = std::string(name) + "/{}";
    add("GET", name, {.action = &FollowerApi::list_targets});
    add("POST", name, {.action = &FollowerApi::create_target});
    add("PATCH", one, {.action = &FollowerApi::update_target});
    add("DELETE", one, {.action = &FollowerApi::delete_target});
  }
  Rule object{.enabled = true, .target = true, .object_path = true};
  const auto with = [&](Action action, bool presignable = false) {
    Rule rule = object;
    rule.action = action;
    rule.presignable = presignable;
    return rule;
  };
  add("GET", "/objects", {.action = &FollowerApi::list_objects, .enabled = true, .target = true});
  add("POST", "/compose", {.action = &FollowerApi::compose, .enabled = true, .target = true});
  add("POST", "/batch-delete",
      {.action = &FollowerApi::batch_delete, .enabled = true, .target = true});
  add("PUT", "/objects/{...}", with(&FollowerApi::put_object, true));
  add("HEAD", "/objects/{...}", with(&FollowerApi::head_object));
  add("DELETE", "/objects/{...}", with(&FollowerApi::delete_object));
  router.add("GET", base + "/objects/{...}", [this](auto& r) { return get_or_metadata(r); });
  router.add("OPTIONS", base + "/objects/{...}", [this](auto& r) { return options(r); });
  for (const char* method : {"GET", "HEAD"}) {
    router.add(method, "/health", [this](auto& r) { return health(r); });
    router.add(method, "/health/ready", [this](auto& r) { return ready(r); });
  }
  router.set_fallback([this](auto& r) { return no_endpoint(r); });
}

/// GET of a key whose last raw segment is "metadata" means the metadata of the key before it.
Task<http::Response> FollowerApi::get_or_metadata(http::Request& request) {
  std::string& tail = request.path_args.back();
  Rule rule{.enabled = true, .target = true, .object_path = true};
  if (tail.ends_with(kMetadataTail)) {
    tail.resize(tail.size() - kMetadataTail.size());
    rule.action = &FollowerApi::get_metadata;
  } else {
    rule.action = &FollowerApi::get_object;
    rule.presignable = true;
  }
  http::Response response = co_await serve(request, rule);
  co_return response;
}

Task<http::Response> FollowerApi::no_endpoint(http::Request& request) {
  co_return error_answer(request, dialect_for(request),
                         ApiError(ApiCode::endpoint_not_found, "no such endpoint"));
}

Task<http::Response> FollowerApi::options(http::Request& request) {
  const Dialect dialect = dialect_for(request);
  auto decided = decide_cors(request, parts_.store);
  if (!decided.ok()) co_return error_answer(request, dialect, decided.error());
  CorsDecision cors = std::move(decided).value();
  if (cors.refusal) co_return std::move(*cors.refusal);
  auto answer = preflight(request, cors);
  if (!answer.ok()) co_return error_answer(request, dialect, answer.error());
  std::optional<http::Response> allowed = std::move(answer).value();
  if (allowed) co_return std::move(*allowed);
  http::Response response = co_await no_endpoint(request);
  co_return response;
}

Task<http::Response> FollowerApi::serve(http::Request& request, Rule rule) {
  CorsDecision cors;
  Call call{.request = request, .dialect = dialect_for(request)};
  if (rule.object_path && (request.method == "GET" || request.method == "PUT")) {
    auto decided = decide_cors(request, parts_.store);
    if (!decided.ok()) co_return error_answer(request, call.dialect, decided.error());
    cors = std::move(decided).value();
    if (cors.refusal) co_return std::move(*cors.refusal);
  }
  Outcome outcome = co_await run(call, rule);
  http::Response response = outcome.ok() ? std::move(outcome).value()
                                         : error_answer(request, call.dialect, outcome.error());
  add_cors_headers(response, cors, request.method == "PUT");
  co_return response;
}

Task<FollowerApi::Outcome> FollowerApi::run(Call& call, Rule rule) {
  ASTER_CO_TRY(call.binding, authenticate(call.request, rule));
  co_await learn_dialect(call);
  auto query = http::parse_query(call.request.raw_query());
  if (!query.ok()) {
    co_return ApiError(ApiCode::bad_request, std::string(kPlainText) + query.error().context);
  }
  call.query = std::move(*query);
  if (!call.request.path_args.empty()) {
    ASTER_CO_TRY(call.key, percent_decode(call.request.path_args.back()));
  }
  if (rule.target) {
    const auto wanted = http::query_value(call.query, "target_key");
    ASTER_CO_TRY(call.usable, parts_.targets.resolve(call.binding, wanted));
  }
  Outcome outcome = co_await (this->*rule.action)(call);
  if (rule.target && !outcome.ok()) co_return as_driver_failure(std::move(outcome).error());
  co_return outcome;
}

ApiResult<Binding> FollowerApi::authenticate(const http::Request& request, const Rule& rule) const {
  const sign::ReceivedRequest proof = received(request);
  ApiResult<std::string> key = ApiError(ApiCode::auth_token_invalid);
  if (rule.presignable && sign::choose_proof(proof) == sign::Proof::presigned_query) {
    key = verifier_.verify_presigned(request.method, request.target);
  } else {
    ASTER_TRY(check_restart_floor(request));
    key = verifier_.verify(proof, {.demand_enabled = rule.enabled});
  }
  if (!key.ok()) return key.error();
  auto binding = parts_.store.find(*key);
  if (!binding) return ApiError(ApiCode::auth_credentials_failed, "unknown access key");
  return std::move(*binding);
}

ApiResult<bool> FollowerApi::check_restart_floor(const http::Request& request) const {
  const int64_t floor = parts_.nonces.refused_before();
  const std::string* text = request.header(sign::kTimestampHeader);
  const auto stamp = text && floor > 0 ? parse_decimal<int64_t>(*text) : std::nullopt;
  if (stamp && *stamp < floor) {
    return ApiError(ApiCode::auth_token_invalid, "stamped before this server's last restart");
  }
  return true;
}

Dialect FollowerApi::dialect_for(const http::Request& request) const {
  if (const auto spoken = spoken_dialect(request)) return *spoken;
  const auto binding = parts_.store.find(claimed_key(request));
  return choose_dialect(std::nullopt, binding ? binding->dialect : std::nullopt);
}

/// A verified direct call shows what its primary speaks now.
Task<void> FollowerApi::learn_dialect(Call& call) {
  const auto spoken = spoken_dialect(call.request);
  if (!spoken || call.binding.dialect == spoken) co_return;
  const int64_t id = call.binding.id;
  BindingStore& store = parts_.store;
  const Result<void> noted =
      co_await parts_.disk.run([&store, id, spoken] { return store.note_dialect(id, *spoken); });
  if (!noted.ok()) ASTER_LOG(warn, "dialect not stored", {"err", noted.error()});
}

storage::ObjectStore FollowerApi::objects(const Call& call) const {
  return {call.usable->driver, call.binding.storage_namespace, parts_.disk};
}

http::Response FollowerApi::error_answer(const http::Request& request, Dialect dialect,
                                         const ApiError& error) const {
  if (error.message.starts_with(kPlainText)) {
    return http::Response::text(error.http_status(), error.message.substr(kPlainText.size()));
  }
  if (error.http_status() >= 500) {
    // The answer names the class only.
    ASTER_LOG(warn, "request failed", {"request", request.request_id}, {"method", request.method},
              {"code", info(error.code).text}, {"err", error.message});
  } else {
    ASTER_LOG(debug, "request refused", {"request", request.request_id},
              {"code", info(error.code).text}, {"err", error.message});
  }
  return http::Response::json(error.http_status(), encode_error(dialect, error));
}

}  // namespace aster::follower

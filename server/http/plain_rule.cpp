#include "server/http/plain_rule.h"

#include "protocol/envelope.h"
#include "protocol/sign/canonical_request.h"

namespace aster::http {
namespace {

bool shows_a_secret(const Request& request) {
  if (request.header("Authorization") || request.header("Cookie") ||
      request.header(sign::kSignatureHeader)) {
    return true;
  }
  const std::string_view query = request.raw_query();
  return query.find(sign::kSignatureQuery) != std::string_view::npos ||
         query.find("sig=") != std::string_view::npos ||
         query.find("token=") != std::string_view::npos;
}

Response refusal(const Request& request, std::string text) {
  const std::string* agent = request.header("User-Agent");
  const Dialect dialect =
      dialect_of_user_agent(agent ? std::string_view(*agent) : std::string_view())
          .value_or(Dialect::str);
  const ApiError error(ApiCode::forbidden, std::move(text));
  Response response = Response::json(error.http_status(), encode_error(dialect, error));
  response.close_connection = true;
  return response;
}

/// The host that was asked for, without its port; empty when it named none.
std::string_view host_without_port(std::string_view host) {
  const size_t bracket = host.rfind(']');
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return host;
  return bracket != std::string_view::npos && colon < bracket ? host : host.substr(0, colon);
}

std::string origin_for(const Request& request, const PlainRule& rule) {
  if (!rule.https_origin.empty()) return rule.https_origin;
  const std::string_view host = host_without_port(request.authority());
  if (host.empty()) return {};
  std::string origin = "https://" + std::string(host);
  if (rule.https_port != 443) origin += ":" + std::to_string(rule.https_port);
  return origin;
}

}  // namespace

std::optional<Response> answer_plain(const Request& request, const PlainRule& rule) {
  if (rule.mode == PlainHttp::allow || request.secure) return std::nullopt;
  const std::string_view path = request.raw_path();
  if (path == "/health" || path == "/health/ready") return std::nullopt;
  if (shows_a_secret(request)) {
    return refusal(request,
                   "this server wants https: what proves who you are was just sent in the clear; "
                   "use https:// and have the token or password replaced");
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const std::string origin = origin_for(request, rule);
  if (rule.mode == PlainHttp::refuse || !reads || origin.empty() ||
      !request.target.starts_with('/')) {
    return refusal(request, "this server wants https: use https:// in the URL");
  }
  Response response = Response::text(308, "");
  response.headers.emplace_back("Location", origin + request.target);
  response.close_connection = true;
  return response;
}

}  // namespace aster::http

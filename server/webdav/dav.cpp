#include "server/webdav/dav.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/http_text.h"
#include "server/content/namespace_call.h"
#include "server/content/serve_file.h"
#include "server/http/status_map.h"
#include "server/webdav/if_header.h"
#include "server/webdav/properties.h"
#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

constexpr const char* kRealm = "Basic realm=\"AsterDrive WebDAV\", charset=\"UTF-8\"";
constexpr const char* kAllowed =
    "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK";
/// Methods that some clients try; what is not routed at all would be a 404.
constexpr const char* kRefusedMethods[] = {"POST",    "PATCH", "REPORT", "VERSION-CONTROL",
                                           "SEARCH",  "ACL",   "TRACE",  "MKACTIVITY",
                                           "CHECKOUT"};

Task<http::Response> refuse_method() {
  http::Response answer = http::Response::text(405, "this method is not available here\n");
  answer.headers.emplace_back("Allow", kAllowed);
  co_return answer;
}

/// "http://host:port/path" cut into authority and path; an absolute path has no authority.
struct SplitUrl {
  std::string_view authority;
  std::string_view path;
};
std::optional<SplitUrl> split_url(std::string_view url) {
  if (url.starts_with('/')) return SplitUrl{{}, url};
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::nullopt;
  const std::string_view name = url.substr(0, scheme);
  if (!equals_ignoring_case(name, "http") && !equals_ignoring_case(name, "https")) {
    return std::nullopt;
  }
  url.remove_prefix(scheme + 3);
  const size_t slash = std::min(url.find('/'), url.size());
  return SplitUrl{url.substr(0, slash), url.substr(slash)};
}

/// Below the prefix; nullopt when it is elsewhere.
std::optional<std::string_view> below_prefix(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (!path.empty() && path.front() != '/') return std::nullopt;
  return path;
}

}  // namespace

int dav_status(Errc code) noexcept {
  switch (code) {
    case Errc::is_directory: return 405;
    case Errc::bad_request:
    case Errc::name_too_long: return 400;
    case Errc::token_invalid:
    case Errc::credentials_failed: return 401;
    // Of this server's storage, not of the request: the client should try again later.
    case Errc::out_of_resources: return 503;
    default: return http::status_of(code).status;
  }
}

http::Response dav_failure(const Error& error) {
  const int status = dav_status(error.code);
  if (error.code == Errc::internal) {
    ASTER_LOG(error, "webdav_failed", {"err", error});
    return http::Response::text(status, "internal error\n");
  }
  if (error.code == Errc::locked) return dav_condition(423, "lock-token-submitted");
  http::Response answer = http::Response::text(status, error.message() + "\n");
  if (status == 401) answer.headers.emplace_back("WWW-Authenticate", kRealm);
  answer.close_connection = error.code == Errc::too_large;  // the body was not read
  return answer;
}

http::Response dav_condition(int status, std::string_view condition) {
  return http::Response::text(status,
                              "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error "
                              "xmlns:D=\"DAV:\"><D:" +
                                  std::string(condition) + "/></D:error>\n",
                              "application/xml; charset=utf-8");
}

const std::vector<Dav::MethodName>& Dav::methods() {
  static const std::vector<MethodName> kMethods = {
      {"GET", &Dav::get},
      {"HEAD", &Dav::get},
      {"PROPFIND", &Dav::propfind},
      {"PUT", &Dav::put},
      {"MKCOL", &Dav::make_collection},
      {"DELETE", &Dav::remove},
      {"COPY", &Dav::copy},
      {"MOVE", &Dav::move},
      {"PROPPATCH", &Dav::proppatch},
      {"LOCK", &Dav::lock},
      {"UNLOCK", &Dav::unlock},
  };
  return kMethods;
}

void Dav::add_routes(http::Router& router) {
  const auto add = [&](const char* method, http::Handler handler) {
    router.add(method, options_.prefix, handler);
    router.add(method, options_.prefix + "/{...}", std::move(handler));
  };
  for (const MethodName& one : methods()) {
    add(one.name,
        [this, method = one.method](http::Request& request) { return answer(request, method); });
  }
  for (const char* method : kRefusedMethods) {
    add(method, [](http::Request&) { return refuse_method(); });
  }
  add("OPTIONS", [this](http::Request& request) { return options(request); });
  // Windows asks the server before it asks the folder.
  router.add("OPTIONS", "/", [this](http::Request& request) { return options(request); });
}

Task<http::Response> Dav::options(http::Request&) {
  http::Response answer;
  answer.headers = {{"DAV", "1, 2, 3"}, {"MS-Author-Via", "DAV"}, {"Allow", kAllowed}};
  co_return answer;
}

Task<http::Response> Dav::answer(http::Request& request, Method method) {
  Result<http::Response> answered = co_await admit_and_run(request, method);
  if (answered.ok()) co_return std::move(*answered);
  ASTER_LOG(debug, "webdav_refused", {"request", request.request_id}, {"method", request.method},
            {"err", answered.error()});
  co_return dav_failure(answered.error());
}

Task<Result<http::Response>> Dav::admit_and_run(http::Request& request, Method method) {
  ASTER_CO_TRY(Visitor visitor, co_await visitors_.admit(request));
  const std::string_view target = request.target;
  if (target.find('#') != std::string_view::npos) {
    co_return fail(Errc::bad_request, "a request names no fragment");
  }
  const auto below = below_prefix(request.raw_path(), options_.prefix);
  if (!below) co_return fail(Errc::bad_request, "the path is not below " + options_.prefix);
  ASTER_CO_TRY(content::Path path, content::decode_path(*below));
  content::Tree tree(namespaces_, visitor.caller, visitor.root);
  Exchange exchange{request, std::move(visitor), tree, std::move(path), below->ends_with('/'), {}};
  ASTER_CO_TRY(co_await check_if(exchange));
  co_return co_await (this->*method)(exchange);
}

Result<std::optional<content::Path>> Dav::path_of_url(const http::Request& request,
                                                      std::string_view url) const {
  const auto parts = split_url(trim(url));
  if (!parts) return std::optional<content::Path>();
  const std::string_view host = request.authority();
  const bool elsewhere =
      !parts->authority.empty() && !host.empty() && !equals_ignoring_case(parts->authority, host);
  const auto below = below_prefix(parts->path.substr(0, parts->path.find('?')), options_.prefix);
  if (elsewhere || !below) return std::optional<content::Path>();
  ASTER_TRY(content::Path path, content::decode_path(*below));
  return std::optional<content::Path>(std::move(path));
}

LockPlace Dav::node_place(const Exchange& exchange, const content::Spot& spot) const {
  return place_of_node(spot, exchange.visitor.caller.workspace, exchange.visitor.outside);
}

LockPlace Dav::parent_place(const Exchange& exchange, const content::Spot& spot) const {
  return place_of_parent(spot, exchange.visitor.caller.workspace, exchange.visitor.outside);
}

Task<Result<void>> Dav::check_if(Exchange& exchange) {
  const std::string* const header = exchange.request.header("If");
  if (header == nullptr) co_return ok();
  ASTER_CO_TRY(const std::vector<IfList> lists, parse_if_header(*header));
  bool any = false;
  for (const IfList& list : lists) {
    content::Path path = exchange.path;
    if (list.resource) {
      ASTER_CO_TRY(auto named, path_of_url(exchange.request, *list.resource));
      if (!named) continue;
      path = std::move(*named);
    }
    ASTER_CO_TRY(const content::Spot spot, co_await exchange.tree.find(std::move(path)));
    std::vector<Lock> locks;
    if (spot.node) locks = locks_.covering(node_place(exchange, spot));
    if (!spot.node && spot.has_parent) locks = locks_.covering(parent_place(exchange, spot));
    bool all = true;
    for (const IfCondition& condition : list.conditions) {
      bool holds =
          condition.is_tag && spot.is_file() && content::etag_of(*spot.node) == condition.value;
      if (!condition.is_tag) {
        exchange.tokens.push_back(condition.value);
        holds = std::any_of(locks.begin(), locks.end(),
                            [&](const Lock& lock) { return lock.token == condition.value; });
      }
      all = all && holds != condition.negated;
    }
    any = any || all;
  }
  if (!any) co_return fail(Errc::precondition_failed, "the If header does not hold");
  co_return ok();
}

bool Dav::is_submitted(const Exchange& exchange, const Lock& lock) const {
  return lock.principal == exchange.visitor.principal &&
         std::find(exchange.tokens.begin(), exchange.tokens.end(), lock.token) !=
             exchange.tokens.end();
}

Result<void> Dav::may_change(const Exchange& exchange, const std::vector<Lock>& locks) const {
  const auto is_ours = [&](const Lock& lock) { return is_submitted(exchange, lock); };
  for (const Lock& lock : locks) {
    // Of several shared locks on one resource, one's own is enough.
    const bool allowed = std::any_of(locks.begin(), locks.end(), [&](const Lock& other) {
      return is_ours(other) && (other.token == lock.token || (other.shared && lock.shared));
    });
    if (!allowed) return fail(Errc::locked, "somebody has locked it");
  }
  return ok();
}

Result<void> Dav::spare_mounts(const Exchange& exchange, const content::Spot& spot,
                               const std::vector<Lock>& locks) const {
  if (!locks_.held_by_mounts(spot.node->ino)) return ok();
  const bool weighed = std::any_of(locks.begin(), locks.end(), [&](const Lock& lock) {
    return lock.ino == spot.node->ino && is_submitted(exchange, lock);
  });
  if (weighed) return ok();
  return fail(Errc::locked, "a program on a mount has locked it");
}

Result<void> Dav::may_write(const Exchange& exchange, const content::Spot& spot) const {
  if (spot.node) {
    const std::vector<Lock> locks = locks_.covering(node_place(exchange, spot));
    ASTER_TRY(may_change(exchange, locks));
    return spare_mounts(exchange, spot, locks);
  }
  return may_change(exchange, locks_.covering(parent_place(exchange, spot)));
}

Result<void> Dav::may_remove(const Exchange& exchange, const content::Spot& spot) const {
  const LockPlace place = node_place(exchange, spot);
  const std::vector<Lock> locks = locks_.covering(place);
  ASTER_TRY(may_change(exchange, locks));
  ASTER_TRY(spare_mounts(exchange, spot, locks));
  for (const Lock& lock : locks_.below(place)) {
    const LockPlace there{lock.workspace, lock.ino, lock.above};
    ASTER_TRY(may_change(exchange, locks_.covering(there)));
  }
  return may_change(exchange, locks_.covering(parent_place(exchange, spot)));
}

Task<Result<content::Failures>> Dav::held_by_mounts_below(const Exchange& exchange,
                                                          const content::Spot& spot) const {
  content::Failures failures;
  if (!spot.is_directory()) co_return failures;
  ASTER_CO_TRY(const auto held, co_await locks_.held_by_mounts_below(spot.node->ino));
  const std::vector<Lock> below = locks_.below(node_place(exchange, spot));
  for (const primary::LockedBelow& one : held) {
    const bool weighed = std::any_of(below.begin(), below.end(), [&](const Lock& lock) {
      return lock.ino == one.ino && is_submitted(exchange, lock);
    });
    if (weighed) continue;
    content::Path path = spot.path;
    path.insert(path.end(), one.path.begin(), one.path.end());
    failures.push_back(
        {std::move(path), Error{Errc::locked, "a program on a mount has locked it"}});
  }
  co_return failures;
}

http::Response Dav::multistatus(const content::Failures& failures, const Exchange& exchange) const {
  std::string body(kMultistatusHead);
  for (const content::Failure& failure : failures) {
    const int status = dav_status(failure.error.code);
    body += "<D:response><D:href>" +
            xml_escape(options_.prefix + content::encode_path(failure.path)) +
            "</D:href><D:status>HTTP/1.1 " + std::to_string(status) + " " +
            std::string(http::reason_phrase(status)) + "</D:status></D:response>\n";
    ASTER_LOG(debug, "webdav_partly_failed", {"request", exchange.request.request_id},
              {"err", failure.error});
  }
  body += kMultistatusTail;
  return http::Response::text(207, std::move(body), "application/xml; charset=utf-8");
}

}  // namespace aster::webdav

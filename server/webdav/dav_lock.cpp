#include "protocol/http_text.h"
#include "server/content/namespace_call.h"
#include "server/primary/api_call.h"
#include "server/webdav/dav.h"

namespace aster::webdav {
namespace {

constexpr size_t kOwnerMax = 64 * 1024;

}  // namespace

http::Response Dav::lock_answer(int status, const Lock& lock, const Exchange&) const {
  std::string body = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:prop xmlns:D=\"DAV:\">";
  const std::vector<Lock> one{lock};
  body += "<D:lockdiscovery>" + locks_xml(one, options_.prefix, clock_.now_seconds()) +
          "</D:lockdiscovery></D:prop>\n";
  http::Response answer =
      http::Response::text(status, std::move(body), "application/xml; charset=utf-8");
  answer.headers.emplace_back("Lock-Token", "<" + lock.token + ">");
  return answer;
}

Task<Result<http::Response>> Dav::refresh_lock(Exchange& exchange, content::Spot spot) {
  if (!spot.node || exchange.tokens.size() != 1) {
    co_return fail(Errc::precondition_failed, "a refresh names the one lock in its If header");
  }
  const int64_t timeout = parse_timeout(exchange.request.header("Timeout"));
  const LockPlace place = node_place(exchange, spot);
  ASTER_CO_TRY(may_change(exchange, locks_.covering(place)));
  const Result<Lock> renewed = co_await locks_.refresh(exchange.tokens.front(), place, timeout);
  if (renewed.failed_with(Errc::not_found))
    co_return dav_condition(412, "lock-token-matches-request-uri");
  if (!renewed.ok()) co_return renewed.error();
  http::Response answer = lock_answer(200, *renewed, exchange);
  answer.headers.pop_back();  // the token is new only once
  co_return answer;
}

/// What is there; nothing there becomes an empty file, as a name can only be locked with something.
Task<Result<content::Spot>> Dav::lockable(Exchange& exchange, bool& created) {
  ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (spot.node) co_return spot;
  if (!spot.has_parent) co_return fail(Errc::conflict, "the collection above is missing");
  ASTER_CO_TRY(may_write(exchange, spot));
  const Result<fs::Attr> made =
      co_await writer_.create(exchange.visitor.caller, spot.parent(), spot.name(), {}, {});
  if (!made.ok() && !made.failed_with(Errc::exists)) co_return made.error();
  created = made.ok();
  co_return co_await exchange.tree.find(exchange.path);
}

Task<Result<http::Response>> Dav::lock(Exchange& exchange) {
  const http::Request& request = exchange.request;
  const std::string* const depth_header = request.header("Depth");
  const std::string_view depth = depth_header == nullptr ? "infinity" : trim(*depth_header);
  const bool deep = equals_ignoring_case(depth, "infinity");
  if (!deep && depth != "0") co_return fail(Errc::bad_request, "Depth is 0 or infinity");
  ASTER_CO_TRY(const std::string body,
               co_await primary::read_body(exchange.request, options_.xml_limit));
  if (exchange.visitor.caller.read_only)
    co_return fail(Errc::read_only, "this account may only read");
  if (body.empty()) {
    ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(exchange.path));
    co_return co_await refresh_lock(exchange, std::move(spot));
  }
  ASTER_CO_TRY(LockRequest wanted, parse_lock(body));
  if (wanted.owner_xml.size() > kOwnerMax) co_return fail(Errc::too_large, "the lock's owner");
  bool created = false;
  ASTER_CO_TRY(const content::Spot spot, co_await lockable(exchange, created));
  if (!spot.node) co_return fail(Errc::conflict, "it was removed meanwhile");
  LockPlace place = node_place(exchange, spot);
  Lock lock{.workspace = place.workspace, .ino = place.ino, .above = std::move(place.above)};
  lock.shared = wanted.shared;
  lock.deep = deep && spot.is_directory();
  lock.path = content::encode_path(spot.path);
  if (spot.is_directory()) lock.path += '/';
  lock.owner = std::move(wanted.owner_xml);
  lock.principal = exchange.visitor.principal;
  lock.timeout = parse_timeout(request.header("Timeout"));
  const Result<Lock> taken = co_await locks_.take(std::move(lock));
  if (taken.failed_with(Errc::locked)) co_return dav_condition(423, "no-conflicting-lock");
  if (!taken.ok()) co_return taken.error();
  co_return lock_answer(created ? 201 : 200, *taken, exchange);
}

Task<Result<http::Response>> Dav::unlock(Exchange& exchange) {
  const std::string* const header = exchange.request.header("Lock-Token");
  std::string_view token = header == nullptr ? std::string_view() : trim(*header);
  if (token.size() < 3 || !token.starts_with('<') || !token.ends_with('>')) {
    co_return fail(Errc::bad_request, "a Lock-Token is needed");
  }
  if (exchange.visitor.caller.read_only)
    co_return fail(Errc::read_only, "this account may only read");
  token = token.substr(1, token.size() - 2);
  ASTER_CO_TRY(const content::Spot spot, co_await exchange.tree.find(exchange.path));
  if (!spot.node) co_return fail(Errc::not_found, "nothing is there");
  for (const Lock& lock : locks_.covering(node_place(exchange, spot))) {
    if (lock.token != token) continue;
    if (lock.principal != exchange.visitor.principal) {
      co_return fail(Errc::forbidden, "the lock is somebody else's");
    }
    ASTER_CO_TRY(co_await locks_.release(lock.token));
    http::Response answer;
    answer.status = 204;
    co_return answer;
  }
  co_return dav_condition(409, "lock-token-matches-request-uri");
}

}  // namespace aster::webdav

#include "server/http/metrics_route.h"

#include <memory>

#include "protocol/base/metrics.h"
#include "protocol/envelope.h"
#include "server/http/status_map.h"

namespace aster::http {
namespace {

bool allowed_by_address(const Request& request, const NetworkList& sources) {
  const bool forwarded = request.header("X-Forwarded-For") || request.header("Forwarded");
  return !forwarded && sources.contains(std::string_view(request.peer));
}

Response refused(const Error& error) {
  const int status = status_of(error.code).status;
  return Response::text(status, "metrics: " + error.context + "\n");
}

Task<Response> answer(Request& request, std::shared_ptr<const MetricsRoute> route) {
  if (!allowed_by_address(request, route->allow_from)) {
    Result<void> proven =
        fail(Errc::forbidden, "not for this address; metrics.allow_from lists those that may ask");
    if (route->proven) proven = co_await route->proven(request);
    if (!proven.ok()) co_return refused(proven.error());
  }
  const MetricsRoute& known = *route;
  const auto write = [&known]() -> Result<std::string> { return known.text(); };
  const Result<std::string> text = co_await known.executor.run(write);
  if (!text.ok()) co_return refused(text.error());
  co_return Response::text(200, *text, metrics::Exposition::kContentType);
}

}  // namespace

void add_metrics_route(Router& router, MetricsRoute route) {
  const auto shared = std::make_shared<const MetricsRoute>(std::move(route));
  router.add("GET", "/metrics", [shared](Request& request) { return answer(request, shared); });
}

Result<NetworkList> metrics_sources(const Config& config) {
  auto sources = NetworkList::parse(config.list("metrics.allow_from"));
  if (sources.ok()) return sources;
  return fail(Errc::bad_request, "metrics.allow_from: " + sources.error().context);
}

}  // namespace aster::http

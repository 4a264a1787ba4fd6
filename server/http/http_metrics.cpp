#include "server/http/http_metrics.h"

#include <algorithm>
#include <array>

namespace aster::http {
namespace {

/// What handlers answer; the last slot takes the rest.
constexpr int kStatuses[] = {200, 201, 202, 204, 206, 207, 301, 302, 304, 307, 308, 400,
                             401, 403, 404, 405, 408, 409, 410, 411, 412, 413, 415, 416,
                             422, 423, 424, 429, 431, 500, 501, 502, 503, 504, 507};
constexpr size_t kSlots = std::size(kStatuses) + 1;

size_t slot_of(int status) {
  const auto* const found = std::lower_bound(std::begin(kStatuses), std::end(kStatuses), status);
  const bool known = found != std::end(kStatuses) && *found == status;
  return known ? static_cast<size_t>(found - std::begin(kStatuses)) : kSlots - 1;
}

}  // namespace

struct HttpMetrics::Route {
  std::string method;
  std::string pattern;
  std::array<metrics::Counter, kSlots> by_status;
  metrics::TimeHistogram took;
  metrics::Counter received;
  metrics::Counter sent;

  uint64_t requests() const {
    uint64_t sum = 0;
    for (const metrics::Counter& counter : by_status) sum += counter.value();
    return sum;
  }
};

HttpMetrics::HttpMetrics(const Router& router) {
  std::vector<Router::Name> names = router.names();
  names.push_back({"", "none"});
  for (Router::Name& name : names) {
    auto route = std::make_unique<Route>();
    route->method = std::move(name.method);
    route->pattern = std::move(name.pattern);
    routes_.push_back(std::move(route));
  }
}

HttpMetrics::~HttpMetrics() = default;

void HttpMetrics::on_answered(const Answered& answered) noexcept {
  Route& route = *routes_[std::min(answered.request.route, routes_.size() - 1)];
  route.by_status[slot_of(answered.status)].add();
  route.took.observe(answered.took);
  if (answered.received != 0) route.received.add(answered.received);
  route.sent.add(answered.sent);
}

void HttpMetrics::write(metrics::Exposition& out) const {
  std::vector<const Route*> used;
  for (const auto& route : routes_) {
    if (route->requests() > 0) used.push_back(route.get());
  }
  for (const Route* route : used) {
    for (size_t i = 0; i < kSlots; ++i) {
      const uint64_t count = route->by_status[i].value();
      if (count == 0) continue;
      const std::string status = i < kSlots - 1 ? std::to_string(kStatuses[i]) : "other";
      out.counter("aster_http_requests_total", "Requests answered",
                  {{"method", route->method}, {"route", route->pattern}, {"status", status}},
                  count);
    }
  }
  for (const Route* route : used) {
    out.histogram("aster_http_request_seconds",
                  "From the end of a request's head to the end of its answer",
                  {{"method", route->method}, {"route", route->pattern}}, route->took);
  }
  for (const Route* route : used) {
    out.counter("aster_http_received_bytes_total", "Bytes of request bodies",
                {{"method", route->method}, {"route", route->pattern}}, route->received);
  }
  for (const Route* route : used) {
    out.counter("aster_http_sent_bytes_total", "Bytes of answers, heads included",
                {{"method", route->method}, {"route", route->pattern}}, route->sent);
  }
}

}  // namespace aster::http

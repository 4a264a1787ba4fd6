#pragma once

#include <functional>
#include <string>

#include "protocol/base/config.h"
#include "server/http/http.h"

namespace aster::http {

struct MetricsRoute {
  /// Who may ask without more; see metrics.allow_from in aster-config(5).
  NetworkList allow_from;
  /// Whether a request from elsewhere proves that it may; null: none can.
  std::function<Task<Result<void>>(Request&)> proven;
  /// Runs on `executor`.
  std::function<std::string()> text;
  Executor& executor;
};

/// GET /metrics. A request that says it was forwarded is never let in by its address: a proxy of
/// this machine would else open the figures to everybody.
void add_metrics_route(Router& router, MetricsRoute route);

/// Reads metrics.allow_from.
Result<NetworkList> metrics_sources(const Config& config);

}  // namespace aster::http

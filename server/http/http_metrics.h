#pragma once

#include <memory>
#include <vector>

#include "protocol/base/metrics.h"
#include "server/http/http.h"

namespace aster::http {

/// Requests by route: how many with which status, how long, how many bytes. Thread-safe; a request
/// costs a handful of relaxed additions.
class HttpMetrics final : public RequestObserver {
 public:
  /// Of the routes that `router` has now: construct it after the last one.
  explicit HttpMetrics(const Router& router);
  ~HttpMetrics() override;

  void on_answered(const Answered& answered) noexcept override;
  /// Routes that were never asked for are left out.
  void write(metrics::Exposition& out) const;

 private:
  struct Route;
  std::vector<std::unique_ptr<Route>> routes_;  ///< the last is for what matched none
};

}  // namespace aster::http

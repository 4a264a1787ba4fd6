#pragma once

#include "protocol/base/metrics.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {

/// A namespace service that counts what it does.
class NamespaceMeter {
 public:
  virtual ~NamespaceMeter() = default;
  /// Operations, sessions, event streams, leases, collector, compositions. May wait for locks.
  virtual void write_metrics(metrics::Exposition& out) const = 0;
};

/// Null for a service that does not count.
inline const NamespaceMeter* meter_of(const NamespaceService& service) {
  return dynamic_cast<const NamespaceMeter*>(&service);
}

}  // namespace aster::primary

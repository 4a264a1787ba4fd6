#pragma once

#include <array>
#include <variant>

#include "protocol/base/metrics.h"
#include "protocol/fs/messages.h"

namespace aster::primary {

/// Operations on the namespace by kind. Thread-safe.
class OperationCounts {
 public:
  void add(const fs::Operation& operation, bool done) noexcept {
    Kind& kind = kinds_[operation.index()];
    kind.all.add();
    if (!done) kind.failed.add();
  }
  void write(metrics::Exposition& out) const;

 private:
  struct Kind {
    metrics::Counter all;
    metrics::Counter failed;
  };
  std::array<Kind, std::variant_size_v<fs::Operation>> kinds_;
};

}  // namespace aster::primary

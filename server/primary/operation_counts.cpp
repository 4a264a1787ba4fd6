#include "server/primary/operation_counts.h"

#include <string_view>
#include <utility>

namespace aster::primary {
namespace {

template <size_t... I>
std::array<std::string_view, sizeof...(I)> names_of(std::index_sequence<I...>) {
  return {fs::operation_name(fs::Operation(std::in_place_index<I>))...};
}

}  // namespace

void OperationCounts::write(metrics::Exposition& out) const {
  const auto names = names_of(std::make_index_sequence<std::variant_size_v<fs::Operation>>());
  for (size_t i = 0; i < kinds_.size(); ++i) {
    out.counter("aster_operations_total", "Operations on the namespace", {{"operation", names[i]}},
                kinds_[i].all);
  }
  for (size_t i = 0; i < kinds_.size(); ++i) {
    out.counter("aster_operations_failed_total", "Those that were refused or failed",
                {{"operation", names[i]}}, kinds_[i].failed);
  }
}

}  // namespace aster::primary

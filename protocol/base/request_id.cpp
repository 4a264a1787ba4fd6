#include "protocol/base/request_id.h"

#include <atomic>
#include <cstdio>

#include "protocol/base/ids.h"

namespace aster {

RequestId RequestId::make() noexcept {
  static std::atomic<uint64_t> last{0};
  RequestId id;
  id.number_ = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return id;
}

std::string RequestId::text() const {
  if (number_ == 0) return std::string(text_, size_);
  static const std::string process = random_hex(6);
  char digits[24];
  const int n =
      std::snprintf(digits, sizeof digits, "-%08llx", static_cast<unsigned long long>(number_));
  return process + std::string(digits, static_cast<size_t>(n));
}

}  // namespace aster

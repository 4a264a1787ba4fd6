#pragma once

#include <algorithm>
#include <cstring>

#include "protocol/client/http_client.h"

namespace aster::primary {

/// A short body that is in memory already.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(std::move(bytes)) {}

  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const size_t n = std::min(buffer.size(), bytes_.size());
    if (n > 0) std::memcpy(buffer.data(), bytes_.data(), n);
    bytes_ = bytes_.slice(n);
    co_return n;
  }

 private:
  Bytes bytes_;
};

}  // namespace aster::primary

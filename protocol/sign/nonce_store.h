#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_map>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster::sign {

/// Remembers which nonces were used, so that a captured request cannot be sent again. Thread-safe.
/// Only nonces of requests with a right signature come here: strangers cannot fill it.
class NonceStore {
 public:
  virtual ~NonceStore() = default;
  /// True exactly once for each (key_id, nonce) until `expiry` (Unix seconds) has passed, across
  /// threads; for a store that outlives the process, across restarts too. False when it was there.
  /// An error (out_of_resources when full, io_error ...) means that nothing is known: refuse.
  virtual Result<bool> insert(std::string_view key_id, std::string_view nonce, int64_t expiry) = 0;
};

/// In this process's memory, at most `limit` nonces (about 100 bytes each); forgets on restart.
class MemoryNonceStore final : public NonceStore {
 public:
  /// `clock` must outlive the store. The default limit stands 1,700 requests/s for 600 s.
  explicit MemoryNonceStore(const Clock& clock, size_t limit = 1'000'000);
  Result<bool> insert(std::string_view key_id, std::string_view nonce, int64_t expiry) override;
  size_t size() const;

 private:
  /// First half of SHA-256 over both strings: fixed in size, and nobody can choose collisions.
  using Fingerprint = std::array<std::byte, 16>;
  struct Hash {
    size_t operator()(const Fingerprint& f) const noexcept;
  };
  struct State {
    std::unordered_map<Fingerprint, int64_t, Hash> expiry_of;
    std::deque<Fingerprint> by_age;
  };
  static Fingerprint fingerprint(std::string_view key_id, std::string_view nonce);
  static void drop_expired(State& state, int64_t now);

  const Clock& clock_;
  const size_t limit_;
  Guarded<State> state_;
};

}  // namespace aster::sign

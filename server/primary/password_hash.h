#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/executor.h"

namespace aster::primary {

/// Work of one argon2id run. The default is the second recommended choice of RFC 9106 with one
/// lane: about 0.15 s and 64 MiB.
struct PasswordCost {
  uint32_t memory_kib = 64 * 1024;
  uint32_t passes = 3;
  uint32_t lanes = 1;
};

inline constexpr size_t kPasswordMin = 8;
inline constexpr size_t kPasswordMax = 1024;

/// bad_request with the rule when a new password is too short or too long (bytes).
Result<void> check_new_password(std::string_view password);

/// argon2id in its encoded text form, with a fresh random salt. out_of_resources without memory.
Result<std::string> hash_password(std::string_view password, const PasswordCost& cost);
/// False for a wrong password and for a text that is no argon2id hash.
bool verify_password(const std::string& encoded, std::string_view password);

/// Runs argon2id on its own few threads, so that a flood of logins neither fills memory nor starves
/// other work; more than `kQueue` waiting is out_of_resources. The awaiting coroutine goes on on
/// one of these threads. Thread-safe.
class PasswordHasher {
 public:
  static constexpr size_t kQueue = 64;

  explicit PasswordHasher(PasswordCost cost, size_t threads = 2);

  Task<Result<std::string>> hash(std::string password);
  /// Costs the same when there is no such account (`encoded` empty), so that the time of an answer
  /// does not tell which names exist; then always false.
  Task<Result<bool>> verify(std::optional<std::string> encoded, std::string password);

 private:
  const std::string& hash_of_nobody();

  const PasswordCost cost_;
  std::once_flag nobody_made_;
  std::string nobody_;  ///< hash of a random password nobody knows
  Executor executor_;
};

}  // namespace aster::primary

#include "server/primary/password_hash.h"

#include <argon2.h>

#include <array>
#include <vector>

#include "protocol/base/ids.h"

namespace aster::primary {
namespace {

constexpr size_t kSaltSize = 16;
constexpr size_t kHashSize = 32;

}  // namespace

Result<void> check_new_password(std::string_view password) {
  if (password.size() < kPasswordMin || password.size() > kPasswordMax) {
    return fail(Errc::bad_request, "a password has " + std::to_string(kPasswordMin) + " to " +
                                       std::to_string(kPasswordMax) + " bytes");
  }
  return ok();
}

Result<std::string> hash_password(std::string_view password, const PasswordCost& cost) {
  std::array<std::byte, kSaltSize> salt;
  fill_random(salt.data(), salt.size());
  std::vector<char> encoded(
      argon2_encodedlen(cost.passes, cost.memory_kib, cost.lanes, kSaltSize, kHashSize, Argon2_id));
  const int status = argon2id_hash_encoded(cost.passes, cost.memory_kib, cost.lanes,
                                           password.data(), password.size(), salt.data(),
                                           salt.size(), kHashSize, encoded.data(), encoded.size());
  if (status == ARGON2_MEMORY_ALLOCATION_ERROR) {
    return fail(Errc::out_of_resources, "no memory to hash a password");
  }
  if (status != ARGON2_OK) {
    return fail(Errc::internal, std::string("argon2id: ") + argon2_error_message(status));
  }
  return std::string(encoded.data());
}

bool verify_password(const std::string& encoded, std::string_view password) {
  return argon2id_verify(encoded.c_str(), password.data(), password.size()) == ARGON2_OK;
}

PasswordHasher::PasswordHasher(PasswordCost cost, size_t threads)
    : cost_(cost), executor_({.name = "passwords", .threads = threads, .queue_limit = kQueue}) {}

const std::string& PasswordHasher::hash_of_nobody() {
  std::call_once(nobody_made_, [this] {
    auto hashed = hash_password(random_hex(16), cost_);
    if (hashed.ok()) nobody_ = std::move(*hashed);
  });
  return nobody_;
}

Task<Result<std::string>> PasswordHasher::hash(std::string password) {
  co_return co_await executor_.run([this, &password] { return hash_password(password, cost_); });
}

Task<Result<bool>> PasswordHasher::verify(std::optional<std::string> encoded,
                                          std::string password) {
  co_return co_await executor_.run([&]() -> Result<bool> {
    const bool known = encoded.has_value();
    return verify_password(known ? *encoded : hash_of_nobody(), password) && known;
  });
}

}  // namespace aster::primary

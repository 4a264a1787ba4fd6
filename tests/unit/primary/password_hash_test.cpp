#include "server/primary/password_hash.h"

#include <gtest/gtest.h>

namespace aster::primary {
namespace {

constexpr PasswordCost kCheap{.memory_kib = 64, .passes = 1};

TEST(PasswordHash, verifies_only_the_password_it_was_made_from) {
  const auto hash = hash_password("correct horse", kCheap);
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(hash->starts_with("$argon2id$"));
  EXPECT_TRUE(verify_password(*hash, "correct horse"));
  EXPECT_FALSE(verify_password(*hash, "correct horse "));
  EXPECT_FALSE(verify_password(*hash, ""));
}

TEST(PasswordHash, salts_every_hash) {
  EXPECT_NE(*hash_password("same", kCheap), *hash_password("same", kCheap));
}

TEST(PasswordHash, takes_damaged_hashes_for_wrong_passwords) {
  EXPECT_FALSE(verify_password("", "x"));
  EXPECT_FALSE(verify_password("plain", "plain"));
  EXPECT_FALSE(verify_password("$argon2id$v=19$m=64,t=1,p=1$", "x"));
}

TEST(PasswordHash, demands_a_sensible_length) {
  EXPECT_TRUE(check_new_password("short").failed_with(Errc::bad_request));
  EXPECT_TRUE(check_new_password(std::string(1025, 'x')).failed_with(Errc::bad_request));
  EXPECT_TRUE(check_new_password("long enough").ok());
}

TEST(PasswordHasher, hashes_and_verifies_on_its_threads) {
  PasswordHasher hasher(kCheap);
  const auto hash = run_blocking(hasher.hash("secret password"));
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(*run_blocking(hasher.verify(*hash, "secret password")));
  EXPECT_FALSE(*run_blocking(hasher.verify(*hash, "other password")));
}

TEST(PasswordHasher, never_accepts_an_account_that_does_not_exist) {
  PasswordHasher hasher(kCheap);
  EXPECT_FALSE(*run_blocking(hasher.verify(std::nullopt, "whatever")));
  EXPECT_FALSE(*run_blocking(hasher.verify(std::nullopt, "")));
}

}  // namespace
}  // namespace aster::primary

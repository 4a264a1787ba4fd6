#include "protocol/base/result.h"

#include <gtest/gtest.h>

#include <set>

namespace aster {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Errc::bad_request, "odd number");
  return n / 2;
}

Result<int> quarter(int n) {
  ASTER_TRY(const int h, half(n));
  ASTER_TRY(const int q, half(h));
  return q;
}

Result<void> even(int n) {
  ASTER_TRY(half(n));
  return ok();
}

TEST(Result, hands_values_and_errors_up) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_TRUE(quarter(6).failed_with(Errc::bad_request));
  EXPECT_EQ(quarter(6).error().message(), "bad_request: odd number");
  EXPECT_TRUE(even(2).ok());
  EXPECT_FALSE(even(3).ok());
}

TEST(Errc, every_code_has_its_own_wire_string) {
  std::set<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(kLastErrc); ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_TRUE(seen.insert(to_string(code)).second) << to_string(code);
    EXPECT_EQ(errc_from_string(to_string(code)), code);
  }
  EXPECT_EQ(errc_from_string("no such code"), std::nullopt);
}

}  // namespace
}  // namespace aster

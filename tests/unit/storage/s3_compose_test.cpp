#include "server/storage/s3_compose.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <random>

namespace aster::storage {
namespace {

constexpr S3PartLimits kLimits{.smallest = 100, .largest_copy = 1000, .most_parts = 50};

/// What a plan must keep whatever the sizes are.
void check_plan(const std::vector<uint64_t>& sizes, S3PartLimits limits) {
  const auto steps = plan_s3_compose(sizes, limits);
  const uint64_t total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
  ASSERT_LE(steps.size(), limits.most_parts);
  size_t source = 0;
  uint64_t at = 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSERT_GT(steps[i].length(), 0u);
    ASSERT_TRUE(i + 1 == steps.size() || steps[i].length() >= limits.smallest) << i;
    ASSERT_TRUE(!steps[i].copy || steps[i].ranges.size() == 1) << i;
    for (const auto& range : steps[i].ranges) {
      while (at == sizes[source]) {  // also empty ones
        ++source;
        at = 0;
      }
      ASSERT_EQ(range.source, source);
      ASSERT_EQ(range.offset, at);
      ASSERT_LE(range.offset + range.length, sizes[source]);
      at += range.length;
      sum += range.length;
    }
  }
  ASSERT_EQ(sum, total);
}

TEST(S3Compose, copies_what_is_large_enough) {
  const auto steps = plan_s3_compose({150, 100, 7}, kLimits);
  ASSERT_EQ(steps.size(), 3u);
  for (const auto& step : steps) EXPECT_TRUE(step.copy);
}

TEST(S3Compose, small_neighbours_travel_with_no_more_than_they_need) {
  const auto steps = plan_s3_compose({30, 20, 500, 10}, kLimits);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_FALSE(steps[0].copy);
  EXPECT_EQ(steps[0].length(), 100u);
  EXPECT_TRUE(steps[1].copy);
  EXPECT_EQ(steps[1].ranges[0].offset, 50u);
  EXPECT_EQ(steps[1].length(), 450u);
  EXPECT_EQ(steps[2].length(), 10u);
}

TEST(S3Compose, large_ones_are_cut_and_no_rest_is_too_small) {
  const auto steps = plan_s3_compose({2050, 500}, kLimits);
  ASSERT_EQ(steps.size(), 4u);
  for (const auto& step : steps) {
    EXPECT_TRUE(step.copy);
    EXPECT_LE(step.length(), 1000u);
    EXPECT_GE(step.length(), 100u);
  }
}

TEST(S3Compose, nothing_makes_no_step) {
  EXPECT_TRUE(plan_s3_compose({}, kLimits).empty());
  EXPECT_TRUE(plan_s3_compose({0, 0}, kLimits).empty());
}

TEST(S3Compose, many_small_ones_fit_the_number_of_parts) {
  check_plan(std::vector<uint64_t>(5000, 150), kLimits);
}

TEST(S3Compose, keeps_order_bytes_and_limits_for_any_sizes) {
  const char* given = std::getenv("ASTER_TEST_SEED");
  const unsigned seed = given ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  SCOPED_TRACE("ASTER_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> sizes(1 + random() % 12);
    const uint64_t most = (random() % 3 == 0) ? 40 : (random() % 2 ? 300 : 3000);
    for (uint64_t& size : sizes) size = random() % most;
    check_plan(sizes, kLimits);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace aster::storage

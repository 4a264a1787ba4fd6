#include "fuse/io/upload_plan.h"

#include <gtest/gtest.h>

namespace aster {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kPart = 4 * kMiB;

TEST(UploadPlan, small_file_is_one_object) {
  EXPECT_EQ(plan_objects({{0, 5000}}, kPart), (std::vector<ObjectPlan>{{{0, 5000}}}));
}

TEST(UploadPlan, neighbours_are_one_run) {
  EXPECT_EQ(plan_objects({{0, 10}, {10, 20}}, kPart), (std::vector<ObjectPlan>{{{0, 30}}}));
}

TEST(UploadPlan, long_run_is_cut_at_multiples_of_the_part_size) {
  const auto plans = plan_objects({{kMiB, 9 * kMiB}}, kPart);
  EXPECT_EQ(plans, (std::vector<ObjectPlan>{
                       {{kMiB, 3 * kMiB}}, {{kPart, kPart}}, {{2 * kPart, 2 * kMiB}}}));
}

TEST(UploadPlan, scattered_small_runs_share_an_object) {
  const auto plans = plan_objects({{0, 4096}, {kMiB, 4096}, {101 * kMiB, 4096}}, kPart);
  EXPECT_EQ(plans, (std::vector<ObjectPlan>{{{0, 4096}, {kMiB, 4096}, {101 * kMiB, 4096}}}));
}

TEST(UploadPlan, tail_after_whole_parts_is_an_object_of_its_own) {
  const auto plans = plan_objects({{0, 100}, {kPart, 5000}}, kPart);
  EXPECT_EQ(plans, (std::vector<ObjectPlan>{{{kPart, 5000}}, {{0, 100}}}));
}

TEST(UploadPlan, no_object_exceeds_the_part_size) {
  std::vector<FileRange> runs;
  for (uint64_t i = 0; i < 40; ++i) runs.push_back({i * 2 * kMiB + 1, kMiB - 10});
  uint64_t planned = 0;
  for (const ObjectPlan& plan : plan_objects(runs, kPart)) {
    uint64_t bytes = 0;
    for (const FileRange& range : plan) bytes += range.length;
    EXPECT_LE(bytes, kPart);
    planned += bytes;
  }
  EXPECT_EQ(planned, 40 * (kMiB - 10));
}

TEST(UploadPlan, nothing_dirty_needs_no_object) {
  EXPECT_TRUE(plan_objects({}, kPart).empty());
}

}  // namespace
}  // namespace aster

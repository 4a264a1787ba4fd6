#include "fuse/kernel/operation_stats.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace aster {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHead =
    "operation\tcount\tfailed\tmean_us\tp50_us\tp90_us\tp99_us\tlongest_us\n";

TEST(OperationStats, table_is_empty_before_the_first) {
  EXPECT_EQ(OperationStats().table(), kHead);
}

TEST(OperationStats, counts_and_classes_by_name) {
  OperationStats stats;
  for (int i = 0; i < 90; ++i) stats.record("read", 3us, false);
  for (int i = 0; i < 9; ++i) stats.record("read", 100us, false);
  stats.record("read", 1s, true);
  stats.record("open", 10ns, false);
  EXPECT_EQ(stats.table(), std::string(kHead) +
                               "open\t1\t0\t0\t1\t1\t1\t0\n"
                               "read\t100\t1\t10011\t4\t4\t128\t1000000\n");
}

TEST(OperationStats, equal_names_at_other_addresses_are_one) {
  static const char kOther[] = "read";
  OperationStats stats;
  stats.record("read", 3us, false);
  stats.record(kOther, 3us, false);
  EXPECT_EQ(stats.table(), std::string(kHead) + "read\t2\t0\t3\t4\t4\t4\t3\n");
}

TEST(OperationStats, loses_nothing_when_many_record_at_once) {
  static const char* kNames[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  OperationStats stats;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 8000; ++i) stats.record(kNames[i % 8], 5us, i % 2 == 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string expected = kHead;
  for (const char* name : kNames) {
    const std::string failed = (*name - 'a') % 2 == 0 ? "4000" : "0";
    expected += std::string(name) + "\t4000\t" + failed + "\t5\t8\t8\t8\t5\n";
  }
  EXPECT_EQ(stats.table(), expected);
}

}  // namespace
}  // namespace aster

#include "protocol/base/metrics.h"

#include <gtest/gtest.h>

#include "tests/support/exposition.h"

namespace aster::metrics {
namespace {

TEST(Metrics, counters_and_gauges_are_described_once) {
  Counter served;
  served.add();
  served.add(41);
  Exposition out;
  out.counter("a_total", "What is counted", {{"kind", "x"}}, served);
  out.counter("a_total", "What is counted", {{"kind", "y"}}, 7);
  out.gauge("b_bytes", "A \\ and\na line", {}, 0.25);
  EXPECT_EQ(out.take(),
            "# HELP a_total What is counted\n"
            "# TYPE a_total counter\n"
            "a_total{kind=\"x\"} 42\n"
            "a_total{kind=\"y\"} 7\n"
            "# HELP b_bytes A \\\\ and\\na line\n"
            "# TYPE b_bytes gauge\n"
            "b_bytes 0.25\n");
}

TEST(Metrics, labels_are_escaped_and_shared_ones_come_first) {
  Exposition out({"mountpoint", "/a \"b\""});
  out.gauge("g", "h", {{"policy", "one\\two\nthree"}}, 1);
  EXPECT_EQ(out.take(),
            "# HELP g h\n# TYPE g gauge\n"
            "g{mountpoint=\"/a \\\"b\\\"\",policy=\"one\\\\two\\nthree\"} 1\n");
}

TEST(Metrics, a_histogram_adds_up) {
  SizeHistogram sizes;
  for (const uint64_t n : {1, 2, 3, 1024, 5000}) sizes.observe(n);
  Exposition out;
  out.histogram("writes", "h", {}, sizes);
  const testing::Scrape scrape = testing::parse_exposition(out.take());
  EXPECT_EQ(scrape.at("writes_bucket{le=\"1\"}"), 1);
  EXPECT_EQ(scrape.at("writes_bucket{le=\"2\"}"), 2);
  EXPECT_EQ(scrape.at("writes_bucket{le=\"4\"}"), 3);
  EXPECT_EQ(scrape.at("writes_bucket{le=\"512\"}"), 3);
  EXPECT_EQ(scrape.at("writes_bucket{le=\"1024\"}"), 4);
  EXPECT_EQ(scrape.at("writes_bucket{le=\"+Inf\"}"), 5);
  EXPECT_EQ(scrape.at("writes_count"), 5);
  EXPECT_EQ(scrape.at("writes_sum"), 6030);
}

TEST(Metrics, times_are_seconds) {
  TimeHistogram took;
  took.observe(std::chrono::microseconds(100));
  took.observe(std::chrono::milliseconds(3));
  took.observe(std::chrono::minutes(1));
  took.observe(Duration(-5));
  Exposition out;
  out.histogram("t_seconds", "h", {{"route", "/"}}, took);
  const testing::Scrape scrape = testing::parse_exposition(out.take());
  EXPECT_EQ(scrape.at("t_seconds_bucket{route=\"/\",le=\"0.0001\"}"), 2);
  EXPECT_EQ(scrape.at("t_seconds_bucket{route=\"/\",le=\"0.0025\"}"), 2);
  EXPECT_EQ(scrape.at("t_seconds_bucket{route=\"/\",le=\"0.005\"}"), 3);
  EXPECT_EQ(scrape.at("t_seconds_bucket{route=\"/\",le=\"30\"}"), 3);
  EXPECT_EQ(scrape.at("t_seconds_bucket{route=\"/\",le=\"+Inf\"}"), 4);
  EXPECT_NEAR(scrape.at("t_seconds_sum{route=\"/\"}"), 60.0031, 1e-9);
}

TEST(Metrics, the_process_tells_of_itself) {
  Exposition out;
  out.process("test");
  const testing::Scrape scrape = testing::parse_exposition(out.take());
  EXPECT_GT(scrape.at("process_resident_memory_bytes"), 100'000);
  EXPECT_GE(scrape.at("process_open_fds"), 3);
  EXPECT_GT(scrape.at("process_start_time_seconds"), 1e9);
}

}  // namespace
}  // namespace aster::metrics

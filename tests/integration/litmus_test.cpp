#include <unistd.h>

#include "tests/integration/webdav_fixture.h"

/// The WebDAV test suite of Neon against a primary, suite by suite.
namespace aster {
namespace {

class Litmus : public WebdavFixture, public ::testing::WithParamInterface<const char*> {};

TEST_P(Litmus, passes) {
  constexpr const char* kProgram = "/usr/bin/litmus";
  if (::access(kProgram, X_OK) != 0) {
    GTEST_SKIP() << "litmus is not installed (Debian package litmus, tools/install-deps)";
  }
  testing::Process::Options options;
  options.argv = {kProgram, dav_url("/"), "ann", "ann's password"};
  options.env = {{"TESTS", GetParam()}};
  options.working_dir = dir.path();
  options.output = dir / "litmus.log";
  auto process = testing::Process::spawn(std::move(options));
  ASSERT_TRUE(process.ok()) << process.error().message();
  EXPECT_EQ(process->wait().value_or(-1), 0);
  const std::string log = testing::read_file(dir / "litmus.log");
  EXPECT_NE(log.find("<- summary for `" + std::string(GetParam()) + "'"), std::string::npos) << log;
  EXPECT_NE(log.find("100.0%"), std::string::npos) << log;
  EXPECT_EQ(log.find("FAIL"), std::string::npos) << log;
  EXPECT_EQ(log.find("SKIPPED"), std::string::npos) << log;
  EXPECT_EQ(log.find("WARNING"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Suites, Litmus,
                         ::testing::Values("basic", "copymove", "props", "locks", "http"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace aster

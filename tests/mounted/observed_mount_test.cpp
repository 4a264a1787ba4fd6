#include <boost/json.hpp>
#include <regex>

#include "protocol/base/guarded.h"
#include "protocol/base/log.h"
#include "tests/mounted/mount_program_fixture.h"
#include "tests/support/exposition.h"

namespace aster {
namespace {

using testing::parse_exposition;
using testing::Scrape;

/// A mount whose doings are looked at from outside.
class ObservedMount : public MountProgram {
 protected:
  void SetUp() override {
    MountProgram::SetUp();
    log::set_sink([this](log::Level, std::string_view line) {
      auto lines = lines_.lock();
      lines->append(line).append("\n");
    });
    log::set_level(log::Level::debug);
  }
  void TearDown() override {
    MountProgram::TearDown();
    log::set_level(log::Level::info);
    log::set_sink(nullptr);
  }
  void set_up_relayed_drive() {
    set_up_accounts();
    enroll_follower();
    add_target();
    add_policy("relay_stream");
    secret("token", user_token);
  }
  /// What primary and follower, which live in this process, have logged.
  std::string servers_log() { return *lines_.lock(); }

 private:
  Guarded<std::string> lines_;
};

TEST_F(ObservedMount, one_request_id_runs_through_all_three_logs) {
  set_up_relayed_drive();
  ASSERT_EQ(mount_drive(",log_level=debug"), 0) << output();
  write_file(place() + "/file", std::string(3 << 20, 'x'));
  unmount();
  const std::string mine = log();
  std::smatch put;
  ASSERT_TRUE(std::regex_search(
      mine, put,
      std::regex(R"(event=http_exchange request=(\S+) method=PUT \S+ path=/api/v1/data/objects)")))
      << mine;
  const std::string id = put[1];
  const std::string servers = servers_log();
  const auto said = [&](const std::string& pattern) {
    return std::regex_search(servers, std::regex(pattern));
  };
  EXPECT_TRUE(said("event=request request=" + id + " method=PUT path=/api/v1/data/objects"))
      << "the primary takes the id over: " << id;
  EXPECT_TRUE(said("event=http_exchange request=" + id + " method=PUT \\S+ path=/api/v1/internal"))
      << "and hands it on";
  EXPECT_TRUE(said("event=request request=" + id + " method=PUT path=/api/v1/internal"))
      << "the follower as well";
  EXPECT_TRUE(std::regex_search(
      mine, std::regex("event=http_exchange request=" + id + " method=POST \\S+ path=/api/v1/fs")))
      << "the commit belongs to the same operation of the kernel";
}

TEST_F(ObservedMount, every_figure_of_the_dashboard_exists) {
  set_up_relayed_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  write_file(place() + "/file", std::string(1 << 20, 'x'));
  EXPECT_EQ(read_file(place() + "/file").size(), 1u << 20);
  const Scrape mount = parse_exposition(read_file(place() + "/.aster/metrics"));
  const std::string here = "mountpoint=\"" + place() + "\"";
  EXPECT_GE(mount.at("aster_mount_uploaded_bytes_total{" + here + "}"), 1 << 20);
  EXPECT_EQ(mount.at("aster_mount_event_stream_up{" + here + "}"), 1);
  EXPECT_GE(mount.at("aster_mount_operation_seconds_count{" + here + ",operation=\"write\"}"), 1);

  std::set<std::string> known = mount.names;
  for (const uint16_t port : {primary->port(), follower->port()}) {
    known.merge(parse_exposition(send("GET", url_of(port) + "/metrics").body).names);
  }
  unmount();
  const std::string dashboard = read_file(ASTER_DASHBOARD);
  ASSERT_NO_THROW(static_cast<void>(boost::json::parse(dashboard)));
  const std::regex name("\\b(aster|process)_[a-z_]+");
  std::set<std::string> named;
  for (auto it = std::sregex_iterator(dashboard.begin(), dashboard.end(), name);
       it != std::sregex_iterator(); ++it) {
    named.insert(it->str());
  }
  EXPECT_GT(named.size(), 40u);
  for (const std::string& one : named) EXPECT_TRUE(known.contains(one)) << one;
}

}  // namespace
}  // namespace aster

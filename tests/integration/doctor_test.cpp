// `aster_drive doctor`, what it finds and that it always knows a way out.
#include "server/doctor_command.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "server/db/database.h"
#include "server/files/file_api.h"
#include "tests/integration/drive_fixture.h"

namespace aster {
namespace {

namespace filesystem = std::filesystem;
namespace json = boost::json;

constexpr int64_t kHour = 3600;

/// The machine's, that many seconds off.
class ShiftedClock final : public Clock {
 public:
  int64_t now_ns() const override { return SystemClock().now_ns() + seconds * 1'000'000'000; }
  SteadyTime steady() const override { return SystemClock().steady(); }
  int64_t seconds = 0;
};

class Doctor : public DriveFixture {
 protected:
  Doctor() : DriveFixture({files::make_front_end}) {}
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
  }
  filesystem::path config_file(const std::string& mode) { return dir / mode / "config.toml"; }
  int run(const std::string& mode, bool as_json, std::ostream& out) {
    const DoctorSenses senses{
        clock, [this](const filesystem::path& folder, std::error_code& error) {
          if (!filesystem::exists(folder)) {
            error = std::make_error_code(std::errc::no_such_file_or_directory);
          }
          return free_bytes;
        }};
    return run_doctor({config_file(mode), as_json}, senses, out);
  }
  /// Looks; whatever is not right must come with a way out.
  void examine(const std::string& mode = "primary") {
    std::ostringstream out;
    status = run(mode, true, out);
    findings = json::parse(out.str()).as_array();
    bool wrong = false;
    for (const json::value& one : findings) {
      const bool fine = one.at("level").as_string() == "ok";
      EXPECT_EQ(fine, one.at("way_out").as_string().empty()) << one;
      EXPECT_FALSE(one.at("text").as_string().empty()) << one;
      wrong = wrong || one.at("level").as_string() == "wrong";
    }
    EXPECT_EQ(status, wrong ? 1 : 0) << findings;
  }
  ::testing::AssertionResult says(std::string_view level, std::string_view topic,
                                  std::string_view text) {
    for (const json::value& one : findings) {
      const std::string_view said = one.at("text").as_string();
      if (one.at("level").as_string() == level && one.at("topic").as_string() == topic &&
          said.find(text) != std::string_view::npos) {
        return ::testing::AssertionSuccess();
      }
    }
    return ::testing::AssertionFailure() << json::serialize(findings);
  }
  std::string way_out(std::string_view topic) {
    for (const json::value& one : findings) {
      if (one.at("topic").as_string() == topic && one.at("level").as_string() != "ok") {
        return one.at("way_out").as_string().c_str();
      }
    }
    return {};
  }
  std::string database_file(const std::string& mode) {
    return db::parse_database_url(config_of(mode)->database_url())->path;
  }
  void change(std::string_view sql) {
    auto database = db::Database::open({.url = config_of("primary")->database_url()}, executor);
    ASSERT_TRUE(database.ok());
    const auto done = run_blocking((*database)->write([&](db::Txn& txn) -> Result<void> {
      txn.exec(sql);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  }
  void patch_node(const json::object& body) {
    ASSERT_EQ(api("PATCH", "/api/v1/admin/remote-nodes/1", json::serialize(body)).status, 200);
  }

  ShiftedClock clock;
  uint64_t free_bytes = 100ull << 30;
  int status = -1;
  json::array findings;
};

TEST_F(Doctor, has_nothing_to_say_about_a_sound_primary) {
  ASSERT_NO_FATAL_FAILURE(enroll_follower());
  add_target();
  add_policy("presigned");
  examine();
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(says("ok", "database", "is sound"));
  EXPECT_TRUE(says("ok", "namespace", "all its rules hold"));
  EXPECT_TRUE(says("ok", "policies", "new files go to presigned"));
  EXPECT_TRUE(says("ok", "node f1", "answers"));
  EXPECT_TRUE(says("ok", "collector", "no garbage"));
  EXPECT_FALSE(says("ok", "objects", "")) << "nothing is stored here";
  for (const json::value& one : findings) EXPECT_EQ(one.at("level").as_string(), "ok") << one;
}

TEST_F(Doctor, speaks_to_people_with_the_way_out_below) {
  std::ostringstream out;
  EXPECT_EQ(run("primary", false, out), 1);
  EXPECT_NE(out.str().find("wrong    policies: there is no default: files cannot be stored\n"
                           "         aster policy set-default NAME"),
            std::string::npos)
      << out.str();
  EXPECT_NE(out.str().find("\nok       namespace: all its rules hold\n"), std::string::npos)
      << out.str();
}

TEST_F(Doctor, finds_a_configuration_that_is_open_unknown_or_absent) {
  add_policy("local");
  const filesystem::path file = config_file("primary");
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  examine();
  EXPECT_TRUE(says("wrong", "configuration", "others may read it"));
  EXPECT_EQ(way_out("configuration"), "chmod 600 " + file.string());
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  std::ofstream(file, std::ios::app) << "\n[deployment]\nname = \"x\"\n";
  examine();
  EXPECT_TRUE(says("warning", "configuration", "deployment.name has no effect"));
  EXPECT_EQ(status, 0) << "a warning";
  std::ofstream(file, std::ios::app) << "\n[[[\n";
  examine();
  EXPECT_EQ(findings.size(), 1u);
  EXPECT_FALSE(way_out("configuration").empty());
  filesystem::remove(file);
  examine();
  EXPECT_TRUE(says("wrong", "configuration", "is not there"));
}

TEST_F(Doctor, finds_disks_that_are_nearly_full) {
  add_policy("local");
  for (const char* topic : {"database", "objects"}) {
    free_bytes = 100ull << 30;
    examine();
    EXPECT_TRUE(says("ok", topic, "MiB free"));
    free_bytes = 1ull << 30;
    examine();
    EXPECT_TRUE(says("warning", topic, "1024 MiB free"));
    free_bytes = 1ull << 20;
    examine();
    EXPECT_TRUE(says("wrong", topic, "1 MiB free"));
  }
  free_bytes = 100ull << 30;
  filesystem::remove_all(config_of("primary")->path("server.primary.local_root"));
  examine();
  EXPECT_TRUE(says("wrong", "objects", "No such file"));
}

TEST_F(Doctor, finds_databases_that_are_absent_damaged_or_against_their_rules) {
  add_policy("local");
  change("UPDATE workspaces SET bytes=bytes+1");
  examine();
  EXPECT_TRUE(says("wrong", "namespace", "workspace whose use is counted wrong: 2"));
  EXPECT_EQ(way_out("namespace"), "aster_drive check --repair");
  change("UPDATE workspaces SET bytes=bytes-1");
  change("DELETE FROM inodes WHERE ino IN (SELECT root FROM workspaces)");
  examine();
  EXPECT_TRUE(says("wrong", "namespace", "workspace without root directory"));
  EXPECT_EQ(way_out("namespace"), "aster_drive check says where");
  primary.reset();
  const std::string file = database_file("primary");
  {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(4096);
    damage << std::string(8 * 4096, '\xff');
  }
  examine();
  EXPECT_EQ(way_out("database"), "aster_drive restore a backup") << json::serialize(findings);
  for (const char* end : {"", "-wal", "-shm"}) filesystem::remove(file + end);
  examine();
  EXPECT_TRUE(says("wrong", "database", "is not there yet"));
}

TEST_F(Doctor, finds_nodes_that_cannot_work) {
  ASSERT_NO_FATAL_FAILURE(enroll_follower());
  add_target();
  add_policy("presigned");
  clock.seconds = 90;
  examine();
  EXPECT_TRUE(says("warning", "node f1", "s behind this one"));
  clock.seconds = -kHour;
  examine();
  EXPECT_TRUE(says("wrong", "node f1", "s ahead of this one: signatures are refused"));
  EXPECT_EQ(way_out("node f1"), "set both clocks by NTP");
  clock.seconds = 0;
  patch_node({{"is_enabled", false}});
  examine();
  EXPECT_TRUE(says("warning", "node f1", "disabled"));
  EXPECT_EQ(way_out("node f1"), "aster node enable f1");
  patch_node({{"is_enabled", true}});
  change("UPDATE remote_nodes SET last_error='storage is away'");
  examine();
  EXPECT_TRUE(says("warning", "node f1", "storage is away"));
  change("UPDATE remote_nodes SET last_error=''");
  patch_node({{"base_url", primary_url() + "/none"}});
  examine();
  EXPECT_TRUE(says("wrong", "node f1", "answers with status"));
  patch_node({{"base_url", ""}});
  examine();
  EXPECT_TRUE(says("wrong", "node f1", "has no base URL"));
  ASSERT_EQ(
      api("POST", "/api/v1/admin/remote-nodes", R"({"name":"f2","namespace":"other"})").status,
      201);
  examine();
  EXPECT_TRUE(says("warning", "node f2", "not enrolled yet"));
  patch_node({{"base_url", url_of(follower->port())}});
  follower.reset();
  examine();
  EXPECT_TRUE(says("wrong", "node f1", "http://127.0.0.1:"));
}

TEST_F(Doctor, finds_garbage_that_nobody_takes) {
  add_policy("local");
  change(
      "INSERT INTO objects(name, workspace, policy, state, size, refs, since) "
      "VALUES (randomblob(16), 1, 99, 2, 0, 0, unixepoch() * 1000000000)");
  clock.seconds = 23 * kHour;
  examine();
  EXPECT_TRUE(says("ok", "collector", "no garbage"));
  clock.seconds = 25 * kHour;
  examine();
  EXPECT_TRUE(says("warning", "collector", "1 objects wait"));
}

TEST_F(Doctor, examines_a_follower) {
  ASSERT_TRUE(config_of("follower").ok());
  examine("follower");
  EXPECT_TRUE(says("wrong", "database", "is not there yet"));
  ASSERT_NO_FATAL_FAILURE(enroll_follower());
  examine("follower");
  EXPECT_TRUE(says("wrong", "objects", "No such file")) << "it comes with the first target";
  EXPECT_TRUE(says("wrong", "primary f1", "no default target"));
  add_target();
  examine("follower");
  EXPECT_EQ(status, 0) << json::serialize(findings);
  EXPECT_TRUE(says("ok", "objects", "MiB free"));
  patch_node({{"is_enabled", false}});
  examine("follower");
  EXPECT_TRUE(says("warning", "primary f1", "the primary has disabled this node"));
  patch_node({{"is_enabled", true}});
  free_bytes = 1 << 20;
  examine("follower");
  EXPECT_TRUE(says("wrong", "objects", "1 MiB free"));
  free_bytes = 100ull << 30;
  primary.reset();
  examine("follower");
  EXPECT_EQ(status, 1);
  EXPECT_TRUE(says("wrong", "primary f1", "http://127.0.0.1:"));
  follower.reset();
  std::ofstream(database_file("follower"), std::ios::binary | std::ios::trunc)
      << std::string(8192, '\xff');
  examine("follower");
  EXPECT_FALSE(way_out("database").empty());
}

}  // namespace
}  // namespace aster

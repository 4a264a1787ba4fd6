// Commands that are about folders, and whose tree they mean.
#include "tests/unit/tools/aster_fixture.h"
#include "tools/aster_mounts.h"

namespace aster::cli {
namespace {

constexpr const char* kQuota =
    R"({"id":9,"workspace_id":4,"path":"/d","quota":1048576,"used":1024,"state":"active",)"
    R"("counted":3})";

TEST_F(Aster, quota_names_the_folder_and_whose_it_is) {
  log_in();
  http_.answer(200, envelope(kQuota));
  const Outcome set = aster({"quota", "set", "/d", "1M", "--team", "crew"});
  EXPECT_EQ(set.out, "/d: 1 KiB of 1 MiB used, active\n") << set.err;
  EXPECT_EQ(body_of(0),
            (json::object{{"workspace", "team:crew"}, {"path", "/d"}, {"quota", 1048576}}));
  http_.answer(200, envelope(kQuota));
  EXPECT_EQ(aster({"quota", "remove", "d/"}).out, "/d has no quota any more\n");
  EXPECT_EQ(body_of(1), (json::object{{"path", "/d"}}));
  EXPECT_TRUE(http_.requests()[1].url.ends_with("/tree-quotas/remove"));
  http_.answer(200, list_of(kQuota, 1));
  EXPECT_EQ(aster({"quota", "list"}).out,
            "ID  WORKSPACE  USED   QUOTA  STATE   COUNTED  PATH\n"
            "9   4          1 KiB  1 MiB  active  3        /d\n");
  EXPECT_EQ(aster({"quota", "set", "/d", "0"}).status, 1);
  EXPECT_EQ(aster({"quota", "set", "/d", "1M", "--team", "a", "--user", "b"}).status, 2);
}

TEST_F(Aster, trash_and_versions_are_those_of_a_team) {
  log_in();
  http_.fail_with(Errc::unavailable);
  EXPECT_EQ(aster({"trash", "list", "--team", "crew"}).status, 1);
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/fs/batch?workspace=team%3Acrew"));
  http_.fail_with(Errc::unavailable);
  EXPECT_EQ(aster({"versions", "/f", "--team", "crew"}).status, 1);
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/info/f?workspace=team%3Acrew"));
  http_.fail_with(Errc::unavailable);
  EXPECT_EQ(aster({"trash", "list"}).status, 1);
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/fs/batch"));
}

TEST_F(Aster, group_is_assigned_to_a_team_by_name) {
  log_in();
  http_.answer(200, list_of(R"({"id":5,"name":"g"})", 1));
  http_.answer(200, envelope("null"));
  ASSERT_EQ(aster({"group", "assign", "g", "--team", "crew"}).status, 0);
  EXPECT_EQ(body_of(1), (json::object{{"workspace", "team:crew"}}));
  EXPECT_EQ(aster({"group", "assign", "g", "--team", "crew", "--user", "ann"}).status, 1);
}

TEST_F(Aster, team_is_removed_for_ever_only_when_asked) {
  log_in();
  const auto answers = [&] {
    http_.answer(200, envelope(R"({"username":"root","role":"admin"})"));
    http_.answer(200, list_of(R"({"id":5,"name":"crew"})", 1));
    http_.answer(200, envelope(R"({"id":5,"name":"crew"})"));
  };
  answers();
  ASSERT_EQ(aster({"team", "remove", "crew"}).status, 0);
  EXPECT_EQ(http_.request_count(), 3u);
  answers();
  http_.answer(202, envelope(R"({"name":"crew","inodes_left":12,"bytes_left":5})"));
  const Outcome purged = aster({"team", "remove", "crew", "--purge"});
  EXPECT_NE(purged.out.find("its 12 files"), std::string::npos) << purged.out << purged.err;
  EXPECT_TRUE(http_.requests().back().url.ends_with("/teams/5/purge"));
}

TEST_F(Aster, mounts_say_of_which_team_they_are) {
  const auto table = home_ / "mounts";
  testing::write_file(table,
                      "http://a /mnt/a fuse.aster rw 0 0\n"
                      "team:crew@a:3000 /mnt/a/crew fuse.aster rw 0 0\n"
                      "https://team:x@a /mnt/x fuse.aster rw 0 0\n"
                      "team:other@a /mnt/o ext4 rw 0 0\n");
  EXPECT_EQ(team_of_mount(table, "/mnt/a/f"), "");
  EXPECT_EQ(team_of_mount(table, "/mnt/a/crew"), "crew");
  EXPECT_EQ(team_of_mount(table, "/mnt/a/crew/d/f"), "crew");
  EXPECT_EQ(team_of_mount(table, "/mnt/a/crewmen"), "");
  EXPECT_EQ(team_of_mount(table, "/mnt/x/f"), "x");
  EXPECT_EQ(team_of_mount(table, "/mnt/o/f"), "");
}

}  // namespace
}  // namespace aster::cli

// Trees of teams and tokens with limits, as a mount shows them.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "tests/mounted/mount_program_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

class PeopleMounts : public MountProgram {
 protected:
  void SetUp() override {
    MountProgram::SetUp();
    set_up_drive();
    const ApiAnswer made =
        api("POST", "/api/v1/admin/teams", R"({"name":"crew","admin_identifier":"ann"})");
    ASSERT_EQ(made.status, 201) << made.body;
    ASSERT_EQ(
        api("POST", "/api/v1/admin/users", R"({"username":"bob","password":"bob's own"})").status,
        201);
  }
  int mount_team(const std::string& source) {
    return mount({source + "127.0.0.1:" + std::to_string(primary->port()), place(), "-o",
                  "token_file=" + (dir / "token").string() + ",cache_dir=" +
                      (dir / "cache").string() + ",log_file=" + (dir / "log").string()});
  }
  /// Opens a file to write; its errno, 0 when that worked.
  int write_errno(const std::string& path, size_t bytes = 1) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return errno;
    const std::string content(bytes, 'x');
    int error = ::write(fd, content.data(), content.size()) < 0 ? errno : 0;
    if (error == 0 && ::fsync(fd) != 0) error = errno;
    if (::close(fd) != 0 && error == 0) error = errno;
    return error;
  }
  /// Uses the token of ann with these limits for mounts.
  void use_limited(json::object wanted) {
    std::swap(token, user_token);
    const ApiAnswer made = api("POST", "/api/v1/auth/tokens", json::serialize(wanted));
    std::swap(token, user_token);
    ASSERT_EQ(made.status, 201) << made.body;
    secret("token", made.data.at("token").as_string().c_str());
  }
};

TEST_F(PeopleMounts, a_team_is_a_tree_of_its_own_with_its_own_quota) {
  ASSERT_EQ(api("PATCH", "/api/v1/admin/teams/1", R"({"storage_quota":1048576})").status, 200);
  ASSERT_EQ(mount_team("team:crew@"), 0) << output();
  EXPECT_EQ(write_errno(place() + "/f", 1 << 19), 0);
  struct statvfs room {};
  ASSERT_EQ(::statvfs(place().c_str(), &room), 0);
  EXPECT_EQ(room.f_blocks * room.f_frsize, 1u << 20);
  EXPECT_EQ(write_errno(place() + "/g", 1 << 20), EDQUOT);
  EXPECT_EQ(verify(place() + "/f"), 0) << output();
  unmount();
  std::filesystem::remove(dir / "log");
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_FALSE(std::filesystem::exists(place() + "/f"));
  EXPECT_EQ(write_errno(place() + "/own", 2 << 20), 0);
  unmount();
}

TEST_F(PeopleMounts, a_folder_has_a_quota_of_its_own) {
  ASSERT_EQ(mount_team("team:crew@"), 0) << output();
  const std::string dir = place() + "/d";
  ASSERT_EQ(::mkdir(dir.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir((dir + "/sub").c_str(), 0755), 0);
  ASSERT_EQ(write_errno(dir + "/f", 1 << 18), 0);
  ASSERT_EQ(write_errno(place() + "/outside", 1 << 18), 0);
  ASSERT_EQ(api("POST", "/api/v1/admin/tree-quotas",
                R"({"workspace":"team:crew","path":"/d","quota":1048576})")
                .status,
            200);
  for (const char* name : {"/d", "/d/sub", "/d/f"}) {
    struct statvfs room {};
    ASSERT_EQ(::statvfs((place() + name).c_str(), &room), 0);
    EXPECT_EQ(room.f_blocks * room.f_frsize, 1u << 20) << name;
    EXPECT_EQ(room.f_bavail * room.f_frsize, (1u << 20) - (1 << 18)) << name;
  }
  ::unlink((this->dir / "out").c_str());
  EXPECT_EQ(start({"-B1", "--output=size", dir}, "df").wait(), 0);
  EXPECT_NE(output().find("1048576\n"), std::string::npos) << output();
  EXPECT_EQ(write_errno(dir + "/sub/g", 1 << 20), EDQUOT);
  EXPECT_EQ(write_errno(dir + "/sub/h", 3 << 18), 0) << "to the byte";
  EXPECT_EQ(write_errno(dir + "/i"), EDQUOT);
  EXPECT_EQ(write_errno(place() + "/elsewhere", 1 << 20), 0);
  EXPECT_EQ(::rename((dir + "/f").c_str(), (place() + "/f").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(::link((place() + "/outside").c_str(), (dir + "/link").c_str()), -1);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(start({dir + "/f", place() + "/moved"}, "mv").wait(), 0) << "mv copies: " << output();
  char table[256];
  const ssize_t size = ::getxattr(dir.c_str(), "user.aster.quota", table, sizeof table);
  ASSERT_GT(size, 0);
  EXPECT_NE(std::string(table, static_cast<size_t>(size)).find("1048576\t"), std::string::npos);
}

TEST_F(PeopleMounts, a_reader_of_a_team_mounts_read_only_and_loses_it_with_the_membership) {
  secret("token", login("bob", "bob's own"));
  EXPECT_EQ(mount_team("team:crew@"), 1);
  EXPECT_NE(output().find("\"team:crew\" is no workspace of yours"), std::string::npos) << output();
  ASSERT_EQ(api("POST", "/api/v1/admin/teams/1/members", R"({"identifier":"bob","role":"reader"})")
                .status,
            201);
  ASSERT_EQ(mount_team("team:crew@"), 0) << output();
  EXPECT_EQ(write_errno(place() + "/f"), EROFS);
  EXPECT_EQ(::mkdir((place() + "/d").c_str(), 0755), -1);
  EXPECT_EQ(errno, EROFS);
  struct stat none {};
  EXPECT_EQ(::stat((place() + "/none").c_str(), &none), -1);
  EXPECT_EQ(errno, ENOENT);
  ASSERT_EQ(api("DELETE", "/api/v1/admin/teams/1/members/3").status, 200);
  while (::stat((place() + "/other").c_str(), &none) == -1 && errno == ENOENT) {
    ::usleep(1000);  // the end of the session is on its way
  }
  EXPECT_EQ(errno, EACCES);
}

TEST_F(PeopleMounts, a_token_that_only_reads_mounts_read_only) {
  use_limited({{"name", "ro"}, {"read_only", true}});
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_EQ(write_errno(place() + "/f"), EROFS);
  EXPECT_EQ(std::filesystem::is_empty(place()), true);
  unmount();
}

TEST_F(PeopleMounts, a_token_for_folders_is_refused_clearly) {
  use_limited({{"name", "part"}, {"paths", json::array{"/photos"}}});
  EXPECT_EQ(mount_drive(), 1);
  EXPECT_NE(output().find("good for the whole tree"), std::string::npos) << output();
  EXPECT_FALSE(is_mounted());
}

}  // namespace
}  // namespace aster

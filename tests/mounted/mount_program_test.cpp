#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/integration/drive_fixture.h"
#include "tests/support/process.h"

namespace aster {
namespace {

using testing::Process;
using testing::read_file;
using testing::write_file;

/// mount.aster itself, against a primary and a follower of this program.
class MountProgram : public DriveFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir(place().c_str(), 0755), 0);
    secret("token", "wrong");
  }
  void TearDown() override {
    ::umount2(place().c_str(), MNT_DETACH);
    DriveFixture::TearDown();
  }

  std::string place() const { return dir / "mnt"; }
  std::string secret(const char* name, const std::string& content) {
    const std::string path = dir / name;
    write_file(path, content);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  void set_up_drive() {
    set_up_accounts();
    enroll_follower();
    add_target();
    add_policy("presigned");
    secret("token", user_token);
  }
  /// Runs mount.aster to the end of its foreground part; its exit status. Output is in output().
  int mount(std::vector<std::string> arguments) {
    ::unlink((dir / "out").c_str());
    Process process = start(std::move(arguments));
    return process.wait().value_or(-1);
  }
  int mount_drive(const std::string& options = "") {
    return mount({primary_url(), place(), "-o",
                  "token_file=" + (dir / "token").string() + ",cache_dir=" +
                      (dir / "cache").string() + ",log_file=" + (dir / "log").string() + options});
  }
  Process start(std::vector<std::string> arguments) {
    Process::Options options;
    options.argv = {ASTER_MOUNT_PROGRAM};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.env = {{"ASTER_CONFIG_DIR", dir / "config"}};
    options.output = dir / "out";
    return std::move(Process::spawn(std::move(options)).value());
  }
  std::string output() const { return read_file(dir / "out"); }
  std::string log() const { return read_file(dir / "log"); }
  /// Unmounts and waits until the mount's process has written its last line.
  void unmount() {
    ASSERT_EQ(::umount2(place().c_str(), 0), 0) << std::strerror(errno);
    while (log().find("event=ended") == std::string::npos) ::usleep(1000);
  }
  bool is_mounted() const {
    struct stat here {};
    struct stat above {};
    return ::stat(place().c_str(), &here) == 0 && ::stat(dir.path().c_str(), &above) == 0 &&
           here.st_dev != above.st_dev;
  }
};

TEST_F(MountProgram, refuses_what_cannot_work_with_one_clear_line) {
  EXPECT_EQ(mount({}), 2);
  EXPECT_EQ(mount({place(), "-o", "colour=red"}), 2);
  EXPECT_EQ(output(), "mount.aster: unknown option 'colour'\n");
  EXPECT_EQ(mount({place()}), 1);
  EXPECT_NE(output().find("aster login"), std::string::npos);
  EXPECT_EQ(mount({primary_url(), dir / "missing"}), 1);
  EXPECT_NE(output().find("No such file"), std::string::npos);
  EXPECT_EQ(mount({primary_url(), secret("file", "")}), 1);
  EXPECT_NE(output().find("is not a directory"), std::string::npos);
  EXPECT_EQ(mount({"http://127.0.0.1:1", place(), "--token-file", dir / "token"}), 1);
  EXPECT_EQ(output().find("mount.aster: cannot reach http://127.0.0.1:1"), 0u);
  EXPECT_EQ(output().find('\n'), output().size() - 1);
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountProgram, a_refused_token_is_said_so) {
  set_up_accounts();
  EXPECT_EQ(mount_drive(), 1);
  EXPECT_NE(output().find("refused the token"), std::string::npos) << output();
  EXPECT_EQ(output().find("wrong"), std::string::npos) << "never the token itself";
}

TEST_F(MountProgram, mounts_in_the_background_and_keeps_what_was_closed) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_EQ(output(), "");
  ASSERT_TRUE(is_mounted());
  std::string large(9 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i / 1000);
  write_file(place() + "/small", "hello");
  write_file(place() + "/large", large);
  unmount();
  EXPECT_FALSE(is_mounted());
  std::filesystem::remove_all(dir / "cache");
  std::filesystem::remove(dir / "log");
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_EQ(read_file(place() + "/small"), "hello");
  EXPECT_TRUE(read_file(place() + "/large") == large);
  unmount();
}

TEST_F(MountProgram, a_second_mount_does_not_take_the_cache_of_the_first) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  const std::string second = dir / "second";
  ASSERT_EQ(::mkdir(second.c_str(), 0755), 0);
  EXPECT_EQ(
      mount({primary_url(), second, "-o",
             "token_file=" + (dir / "token").string() + ",cache_dir=" + (dir / "cache").string()}),
      1);
  EXPECT_EQ(output().find("mount.aster: "), 0u);
  unmount();
}

TEST_F(MountProgram, shows_what_another_mount_writes) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  const std::string other = dir / "other";
  ASSERT_EQ(::mkdir(other.c_str(), 0755), 0);
  ASSERT_EQ(
      mount({primary_url(), other, "-o", "cache_size=0,token_file=" + (dir / "token").string()}), 0)
      << output();
  write_file(place() + "/f", "one");
  EXPECT_EQ(read_file(other + "/f"), "one");
  const int open_there = ::open((other + "/f").c_str(), O_RDONLY | O_CLOEXEC);
  write_file(place() + "/f", "two, and longer");
  while (read_file(other + "/f") != "two, and longer") ::usleep(1000);
  char buffer[32] = "";
  EXPECT_EQ(::pread(open_there, buffer, sizeof buffer, 0), 15);
  EXPECT_EQ(::unlink((place() + "/f").c_str()), 0);
  while (::access((other + "/f").c_str(), F_OK) == 0) ::usleep(1000);
  std::memset(buffer, 0, sizeof buffer);
  EXPECT_EQ(::pread(open_there, buffer, sizeof buffer, 0), 15) << "open, though removed";
  ::close(open_there);
  EXPECT_EQ(::umount2(other.c_str(), 0), 0);
  unmount();
}

TEST_F(MountProgram, a_read_only_mount_refuses_changes) {
  set_up_drive();
  ASSERT_EQ(mount_drive(",ro"), 0) << output();
  EXPECT_EQ(::mkdir((place() + "/d").c_str(), 0755), -1);
  EXPECT_EQ(errno, EROFS);
  unmount();
}

}  // namespace
}  // namespace aster

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  constexpr int kSkipped = 77;
  if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
    std::fputs("needs root and /dev/fuse\n", stderr);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}

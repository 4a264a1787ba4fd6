#pragma once

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/drive_fixture.h"
#include "tests/support/process.h"

namespace aster {

using testing::Process;
using testing::read_file;
using testing::write_file;

/// mount.aster itself, against a primary and a follower of this program.
class MountProgram : public DriveFixture {
 protected:
  explicit MountProgram(DriveSettings how = {}) : DriveFixture(std::move(how)) {}
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
  Process start(std::vector<std::string> arguments, const char* program = ASTER_MOUNT_PROGRAM) {
    Process::Options options;
    options.argv = {program};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.env = {{"ASTER_CONFIG_DIR", dir / "config"}};
    options.output = dir / "out";
    return std::move(Process::spawn(std::move(options)).value());
  }
  /// `aster verify --deep PATH`; its exit status.
  int verify(const std::string& path) {
    Process process = start({"verify", "--deep", path, "--server", primary_url(), "--token-file",
                             (dir / "token").string()},
                            ASTER_CLI_PROGRAM);
    return process.wait().value_or(-1);
  }
  /// `aster_drive check --deep` of the primary; its exit status.
  int check() {
    ::unlink((dir / "out").c_str());
    Process process = start({"--config", (dir / "primary/config.toml").string(), "check", "--deep"},
                            ASTER_DRIVE_PROGRAM);
    return process.wait().value_or(-1);
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

}  // namespace aster

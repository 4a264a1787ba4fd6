#include "tests/mounted/mounted_fixture.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace aster::testing {

void MountedTest::SetUp() {
  ASSERT_EQ(::mkdir(local().c_str(), 0755), 0);
  if (const char* place = std::getenv("ASTER_MOUNTED_ON")) {
    mount_ = std::string(place) + "/" + dir_.path().filename().string();
    ASSERT_EQ(::mkdir(mount().c_str(), 0755), 0) << std::strerror(errno);
  } else {
    ASSERT_EQ(::mkdir(mount().c_str(), 0755), 0);
    start_fake_drive();
  }
}

void MountedTest::start_fake_drive() {
  Process::Options options;
  options.argv = {ASTER_FAKE_DRIVE, mount(), scratch("control")};
  options.output = scratch("drive.log");
  options.ready_pipe = true;
  auto drive = Process::spawn(std::move(options));
  ASSERT_TRUE(drive.ok()) << drive.error().message();
  drive_ = std::move(*drive);
  const auto ready = drive_->wait_ready();
  ASSERT_TRUE(ready.ok()) << read_file(scratch("drive.log"));
  control_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  scratch("control").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(control_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

void MountedTest::TearDown() {
  if (is_real()) {
    std::filesystem::remove_all(mount());
    return;
  }
  ::umount2(mount().c_str(), MNT_DETACH);
  if (!drive_->wait(std::chrono::seconds(15))) drive_->kill();
  if (HasFailure()) std::fputs(read_file(scratch("drive.log")).c_str(), stderr);
}

void MountedTest::tell(const std::string& command) {
  ASSERT_GT(::send(control_.get(), command.data(), command.size(), 0), 0);
  char answer[16] = "";
  ASSERT_GT(::recv(control_.get(), answer, sizeof answer - 1, 0), 0);
  ASSERT_STREQ(answer, "done") << command;
}

std::optional<int> MountedTest::unmount() {
  EXPECT_EQ(::umount2(mount().c_str(), 0), 0) << std::strerror(errno);
  return drive_->wait();
}

Process MountedTest::start_shell(const std::string& script) {
  Process::Options options;
  options.argv = {"bash", "-euc", script};
  options.env = {{"M", mount()}, {"L", local()}, {"HOME", scratch("")}, {"LC_ALL", "C"}};
  options.output = scratch("shell.log");
  options.working_dir = "/";
  return std::move(Process::spawn(std::move(options)).value());
}

void MountedTest::shell(const std::string& script) {
  Process process = start_shell(script);
  const std::optional<int> status = process.wait(std::chrono::seconds(90));
  ASSERT_EQ(status, 0) << read_file(scratch("shell.log"));
}

void MountedTest::compare(const std::function<void(const std::string&, Notes&)>& steps) {
  Notes expected;
  Notes seen;
  steps(local(), expected);
  steps(mount(), seen);
  EXPECT_EQ(seen, expected);
}

std::string outcome(int result) {
  return result >= 0 ? "0" : strerrorname_np(errno);
}

std::string facts(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return outcome(-1);
  // The link count of directories is not defined everywhere; ext4 and we count subdirectories.
  std::string text = "mode=" + std::to_string(st.st_mode) + " links=" + std::to_string(st.st_nlink);
  if (!S_ISDIR(st.st_mode)) text += " size=" + std::to_string(st.st_size);
  return text + " owner=" + std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid);
}

}  // namespace aster::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  constexpr int kSkipped = 77;
  if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
    std::fputs("needs root and /dev/fuse\n", stderr);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}

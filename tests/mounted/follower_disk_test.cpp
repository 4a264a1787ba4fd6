// What an application sees of a follower's disk that is full, read-only or gone, through
// mount.aster and real servers; and that all is well again without a new mount.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "protocol/base/unique_handle.h"
#include "tests/integration/drive_fixture.h"
#include "tests/support/process.h"

namespace aster {
namespace {

using testing::Process;
using testing::read_file;
using testing::write_file;

constexpr size_t kMiB = 1 << 20;

std::string noise(size_t size, uint32_t seed) {
  std::string out(size, 0);
  for (char& c : out) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return out;
}

class FollowerDisk : public DriveFixture {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(disk());
    if (::mount("small", disk().c_str(), "tmpfs", 0, "size=8m") != 0) {
      GTEST_SKIP() << "needs the right to mount: " << std::strerror(errno);
    }
    ASSERT_EQ(::mkdir(place().c_str(), 0755), 0);
    set_up_accounts();
    enroll_follower();
    add_target();
    add_policy("presigned");
    write_file(dir / "token", user_token);
    ::chmod((dir / "token").c_str(), 0600);
    mount_drive();
  }
  void TearDown() override {
    ::umount2(place().c_str(), MNT_DETACH);
    ::umount2(disk().c_str(), MNT_DETACH);
    DriveFixture::TearDown();
  }

  std::string place() const { return dir / "mnt"; }
  std::string file(const std::string& name) const { return place() + "/" + name; }
  std::string disk() const { return dir / "follower/remote-storage-targets"; }
  std::string log() const { return read_file(dir / "log"); }

  void mount_drive() {
    const std::string options = "timeout=3s,token_file=" + (dir / "token").string() +
                                ",cache_dir=" + (dir / "cache").string() +
                                ",log_file=" + (dir / "log").string();
    Process process = std::move(
        Process::spawn({.argv = {ASTER_MOUNT_PROGRAM, primary_url(), place(), "-o", options},
                        .env = {{"ASTER_CONFIG_DIR", dir / "config"}},
                        .output = dir / "out"})
            .value());
    ASSERT_EQ(process.wait().value_or(-1), 0) << read_file(dir / "out");
  }
  /// With a cache that holds nothing.
  void mount_again() {
    ASSERT_EQ(::umount2(place().c_str(), 0), 0) << std::strerror(errno);
    while (log().find("event=ended") == std::string::npos) ::usleep(1000);
    std::filesystem::remove_all(dir / "cache");
    std::filesystem::remove(dir / "log");
    mount_drive();
  }
  void change_disk(unsigned long flags, const char* options) {
    ASSERT_EQ(::mount("small", disk().c_str(), "tmpfs", MS_REMOUNT | flags, options), 0)
        << std::strerror(errno);
  }
  UniqueFd create(const std::string& name) {
    UniqueFd fd(::open(file(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    EXPECT_TRUE(fd) << std::strerror(errno);
    return fd;
  }
  /// All of it with one call.
  static void put(const UniqueFd& fd, const std::string& data) {
    EXPECT_EQ(::write(fd.get(), data.data(), data.size()), static_cast<ssize_t>(data.size()))
        << std::strerror(errno);
  }
  /// errno of a close, 0 for success.
  static int closed(UniqueFd fd) { return ::close(fd.release()) == 0 ? 0 : errno; }
  static int synced(const UniqueFd& fd) { return ::fsync(fd.get()) == 0 ? 0 : errno; }

  size_t leftovers() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(disk() + "/disk/.aster-tmp")) {
      count += entry.is_regular_file();
    }
    return count;
  }
};

TEST_F(FollowerDisk, full_is_enospc_at_the_call_that_waits_for_the_data) {
  const std::string kept = noise(kMiB, 1);
  const std::string large = noise(12 * kMiB, 2);
  write_file(file("kept"), kept);
  {
    const UniqueFd fd = create("synced");
    put(fd, large);
    EXPECT_EQ(synced(fd), ENOSPC);
    EXPECT_EQ(::ftruncate(fd.get(), 0), 0);
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
    put(fd, "this fits");
    EXPECT_EQ(synced(fd), 0) << "what does not fit is not there any more";
  }
  UniqueFd fd = create("closed");
  put(fd, large);
  EXPECT_EQ(closed(std::move(fd)), ENOSPC);
  while (leftovers() != 0) ::usleep(1000);  // removed at once, but behind the answer

  EXPECT_TRUE(read_file(file("synced")) == "this fits");
  write_file(file("another"), "fits, too");
  EXPECT_EQ(read_file(file("another")), "fits, too");
  EXPECT_TRUE(read_file(file("kept")) == kept);

  change_disk(0, "size=64m");
  write_file(file("closed"), large);
  EXPECT_TRUE(read_file(file("closed")) == large);
  mount_again();
  EXPECT_TRUE(read_file(file("closed")) == large);
  EXPECT_TRUE(read_file(file("kept")) == kept);
  EXPECT_TRUE(read_file(file("synced")) == "this fits");
}

TEST_F(FollowerDisk, full_stops_a_long_copy_with_enospc) {
  UniqueFd fd = create("endless");
  const std::string piece = noise(kMiB, 3);
  int error = 0;
  int written = 0;
  // More than the mount holds back: some write has to wait for the follower.
  for (; written < 4096 && error == 0; ++written) {
    if (::write(fd.get(), piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) {
      error = errno;
    }
  }
  EXPECT_EQ(error, ENOSPC) << std::strerror(error) << " after " << written << " MiB";
  ::close(fd.release());
  EXPECT_EQ(::unlink(file("endless").c_str()), 0);
  write_file(file("after"), "works");
  EXPECT_EQ(read_file(file("after")), "works");
}

TEST_F(FollowerDisk, read_only_is_eio_and_mends) {
  write_file(file("before"), "kept");
  change_disk(MS_RDONLY, "");
  {
    const UniqueFd fd = create("synced");
    put(fd, "data");
    EXPECT_EQ(synced(fd), EIO);
  }
  UniqueFd fd = create("closed");
  put(fd, "data");
  EXPECT_EQ(closed(std::move(fd)), EIO);
  EXPECT_EQ(read_file(file("before")), "kept");
  change_disk(0, "");
  write_file(file("after"), "works again");
  mount_again();
  EXPECT_EQ(read_file(file("after")), "works again");
  EXPECT_EQ(read_file(file("before")), "kept");
}

TEST_F(FollowerDisk, gone_is_eio_and_never_enoent_and_mends) {
  write_file(file("before"), "kept");
  std::filesystem::rename(disk() + "/disk", disk() + "/away");
  {
    const UniqueFd fd = create("synced");
    put(fd, "data");
    EXPECT_EQ(synced(fd), EIO);
  }
  UniqueFd fd = create("closed");
  put(fd, "data");
  EXPECT_EQ(closed(std::move(fd)), EIO);
  EXPECT_FALSE(std::filesystem::exists(disk() + "/disk")) << "made anew elsewhere";
  std::filesystem::rename(disk() + "/away", disk() + "/disk");
  write_file(file("after"), "works again");
  mount_again();
  EXPECT_EQ(read_file(file("after")), "works again");
  EXPECT_EQ(read_file(file("before")), "kept");
}

}  // namespace
}  // namespace aster

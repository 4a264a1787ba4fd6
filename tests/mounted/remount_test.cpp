#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <optional>

#include "tests/mounted/mount_program_fixture.h"
#include "tests/mounted/node_handle.h"
#include "tests/support/tcp_proxy.h"

namespace aster {
namespace {

/// What must outlive the mount, its caches and the primary's process.
class Remount : public MountProgram {
 protected:
  void SetUp() override {
    MountProgram::SetUp();
    set_up_drive();
    to_primary_.emplace(primary->port());
    mount_again();
  }
  void TearDown() override {
    ::umount2(place().c_str(), MNT_DETACH);
    to_primary_.reset();
    MountProgram::TearDown();
  }

  void mount_again(const std::string& options = "") {
    std::filesystem::remove(dir / "log");
    const std::string url = "http://127.0.0.1:" + std::to_string(to_primary_->port());
    ASSERT_EQ(
        mount({url, place(), "-o",
               "token_file=" + (dir / "token").string() + ",cache_dir=" + (dir / "cache").string() +
                   ",log_file=" + (dir / "log").string() + ",dev,suid" + options}),
        0)
        << output();
  }
  /// A mount that knows nothing.
  void remount_cold(const std::string& options = "") {
    unmount();
    std::filesystem::remove_all(dir / "cache");
    mount_again(options);
  }
  void restart_primary() {
    primary.reset();
    start_primary();
    ASSERT_NE(primary, nullptr);
    to_primary_->set_target(primary->port());
    to_primary_->cut();
    to_primary_->restore();
  }
  static void forget_pages() { write_file("/proc/sys/vm/drop_caches", "3"); }
  std::string at(const std::string& name) const { return place() + "/" + name; }

  std::optional<testing::TcpProxy> to_primary_;
};

struct stat status(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path << ": " << std::strerror(errno);
  return st;
}

void expect_same(const struct stat& now, const struct stat& before) {
  EXPECT_EQ(now.st_ino, before.st_ino);
  EXPECT_EQ(now.st_mode, before.st_mode);
  EXPECT_EQ(now.st_nlink, before.st_nlink);
  EXPECT_EQ(now.st_uid, before.st_uid);
  EXPECT_EQ(now.st_gid, before.st_gid);
  EXPECT_EQ(now.st_rdev, before.st_rdev);
  EXPECT_EQ(now.st_size, before.st_size);
  EXPECT_EQ(now.st_blocks, before.st_blocks);
  EXPECT_EQ(now.st_atim.tv_sec, before.st_atim.tv_sec);
  EXPECT_EQ(now.st_atim.tv_nsec, before.st_atim.tv_nsec);
  EXPECT_EQ(now.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(now.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(now.st_ctim.tv_sec, before.st_ctim.tv_sec);
  EXPECT_EQ(now.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

TEST_F(Remount, keeps_all_that_stat_shows_of_every_kind_of_file) {
  const std::string names[] = {
      "dir", "bytes \xff\x01\n\\", "link", "fifo", "socket", "disk", "tty", "holes"};
  ASSERT_EQ(::mkdir(at(names[0]).c_str(), 01777), 0);
  write_file(at(names[1]), std::string(100'000, 'x'));
  ASSERT_EQ(::symlink(std::string(4095, 't').c_str(), at(names[2]).c_str()), 0);
  ASSERT_EQ(::mkfifo(at(names[3]).c_str(), 0600), 0);
  ASSERT_EQ(::mknod(at(names[4]).c_str(), S_IFSOCK | 0600, 0), 0);
  ASSERT_EQ(::mknod(at(names[5]).c_str(), S_IFBLK | 0600, makedev(7, 1000)), 0);
  ASSERT_EQ(::mknod(at(names[6]).c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  write_file(at(names[7]), "a");
  ASSERT_EQ(::truncate(at(names[7]).c_str(), 1 << 30), 0);
  ASSERT_EQ(::link(at(names[1]).c_str(), at("twin").c_str()), 0);
  ASSERT_EQ(::chown(at(names[1]).c_str(), 1000, 2000), 0);
  ASSERT_EQ(::chmod(at(names[1]).c_str(), 06751), 0);
  const timespec times[] = {{1'000'000'000, 1}, {4'000'000'000, 999'999'999}};
  ASSERT_EQ(::utimensat(AT_FDCWD, at(names[1]).c_str(), times, 0), 0);
  ASSERT_EQ(::setxattr(at(names[1]).c_str(), "trusted.t", "\0\xff", 2, 0), 0);
  std::vector<struct stat> before;
  for (const std::string& name : names) before.push_back(status(at(name)));
  EXPECT_EQ(before[1].st_nlink, 2u);
  EXPECT_LT(before[7].st_blocks, 1024) << "the hole costs nothing";

  remount_cold();
  for (size_t i = 0; i < before.size(); ++i) {
    SCOPED_TRACE(names[i]);
    expect_same(status(at(names[i])), before[i]);
  }
  EXPECT_EQ(status(at("twin")).st_ino, before[1].st_ino);
  char value[8] = "";
  EXPECT_EQ(::getxattr(at(names[1]).c_str(), "trusted.t", value, sizeof value), 2);
  EXPECT_EQ(std::string(value, 2), std::string("\0\xff", 2));
  std::string target(5000, '\0');
  EXPECT_EQ(::readlink(at(names[2]).c_str(), target.data(), target.size()), 4095);
  // The null device behind "tty": the kernel serves it by its numbers.
  const int null = ::open(at(names[6]).c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_GE(null, 0) << std::strerror(errno);
  EXPECT_EQ(::write(null, "x", 1), 1);
  ::close(null);
}

TEST_F(Remount, a_file_without_a_name_outlives_the_primary) {
  const int fd = ::open(at("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  const std::string data(300'000, 'd');
  ASSERT_EQ(::write(fd, data.data(), data.size()), static_cast<ssize_t>(data.size()));
  ASSERT_EQ(::fsync(fd), 0);
  ASSERT_EQ(::unlink(at("f").c_str()), 0);
  restart_primary();
  forget_pages();
  std::string back(data.size(), '\0');
  ASSERT_EQ(::pread(fd, back.data(), back.size(), 0), static_cast<ssize_t>(data.size()))
      << std::strerror(errno);
  EXPECT_TRUE(back == data);
  EXPECT_EQ(::pwrite(fd, "more", 4, 400'000), 4);
  EXPECT_EQ(::ftruncate(fd, 400'002), 0) << std::strerror(errno);
  struct stat st {};
  ASSERT_EQ(::fstat(fd, &st), 0) << std::strerror(errno);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(st.st_size, 400'002);
  EXPECT_EQ(::pread(fd, back.data(), 4, 400'000), 2);
  EXPECT_EQ(::close(fd), 0);
}

TEST_F(Remount, file_handles_of_an_nfs_server_lead_to_the_same_files) {
  ASSERT_EQ(::mkdir(at("a").c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(at("a/b").c_str(), 0755), 0);
  write_file(at("a/b/f"), "text");
  testing::NodeHandle file(at("a/b/f"));
  testing::NodeHandle folder(at("a/b"));
  ASSERT_TRUE(file.valid() && folder.valid()) << std::strerror(errno);
  ASSERT_EQ(::rename(at("a/b/f").c_str(), at("a/b/g").c_str()), 0);

  remount_cold();
  const int root = ::open(place().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int fd = file.open(root, O_RDONLY);
  ASSERT_GE(fd, 0) << std::strerror(errno);
  char text[8] = "";
  EXPECT_EQ(::read(fd, text, sizeof text), 4);
  EXPECT_STREQ(text, "text");
  ::close(fd);
  // A folder's handle needs its way up to the root as well.
  const int b = folder.open(root, O_RDONLY | O_DIRECTORY);
  ASSERT_GE(b, 0) << std::strerror(errno);
  char path[4096] = "";
  ASSERT_GT(::readlink(("/proc/self/fd/" + std::to_string(b)).c_str(), path, sizeof path), 0);
  EXPECT_EQ(path, at("a/b"));
  EXPECT_EQ(::faccessat(b, "g", F_OK, 0), 0);
  ::close(b);
  // What is removed is found no more, though the primary may keep it for a while.
  EXPECT_EQ(::unlink(at("a/b/g").c_str()), 0);
  forget_pages();
  EXPECT_EQ(file.open(root, O_RDONLY), -1);
  EXPECT_EQ(errno, ESTALE);
  ::close(root);
}

TEST_F(Remount, copying_a_range_moves_no_bytes) {
  testing::TcpProxy to_follower(follower->port());
  const std::string url = "http://127.0.0.1:" + std::to_string(to_follower.port());
  ASSERT_EQ(api("PATCH", "/api/v1/admin/remote-nodes/1", R"({"base_url":")" + url + "\"}").status,
            200);
  std::string data(8 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + i / 4096);
  write_file(at("from"), data);
  ASSERT_GT(to_follower.bytes_to_target(), data.size());
  const uint64_t before = to_follower.bytes_to_target() + to_follower.bytes_from_target() +
                          to_primary_->bytes_to_target() + to_primary_->bytes_from_target();
  const int from = ::open(at("from").c_str(), O_RDONLY | O_CLOEXEC);
  const int to = ::open(at("to").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  loff_t in = 12'345;
  loff_t out = 777;
  const size_t length = 7 << 20;
  EXPECT_EQ(::copy_file_range(from, &in, to, &out, length, 0), static_cast<ssize_t>(length));
  EXPECT_EQ(::close(to), 0);
  EXPECT_EQ(::close(from), 0);
  const uint64_t after = to_follower.bytes_to_target() + to_follower.bytes_from_target() +
                         to_primary_->bytes_to_target() + to_primary_->bytes_from_target();
  EXPECT_LT(after - before, 64u << 10);
  remount_cold();
  EXPECT_TRUE(read_file(at("to")) == std::string(777, '\0') + data.substr(12'345, length));
}

TEST_F(Remount, holes_are_found_and_cost_no_blocks) {
  constexpr off_t kMiB = 1 << 20;
  const int fd = ::open(at("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_EQ(::pwrite(fd, "a", 1, 0), 1);
  ASSERT_EQ(::pwrite(fd, "b", 1, 10 * kMiB), 1);
  ASSERT_EQ(::ftruncate(fd, 20 * kMiB), 0);
  for (const bool committed : {false, true}) {
    SCOPED_TRACE(committed);
    EXPECT_EQ(::lseek(fd, 0, SEEK_DATA), 0);
    const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
    EXPECT_GE(hole, 1);
    EXPECT_LT(hole, 9 * kMiB);
    EXPECT_EQ(::lseek(fd, hole, SEEK_DATA), 10 * kMiB);
    EXPECT_EQ(::lseek(fd, 19 * kMiB, SEEK_HOLE), 19 * kMiB);
    EXPECT_EQ(::lseek(fd, 11 * kMiB, SEEK_DATA), -1);
    EXPECT_EQ(errno, ENXIO);
    EXPECT_EQ(::lseek(fd, 20 * kMiB, SEEK_HOLE), -1);
    EXPECT_EQ(errno, ENXIO);
    struct stat st {};
    ASSERT_EQ(::fstat(fd, &st), 0);
    EXPECT_GE(st.st_blocks, 1);
    EXPECT_LT(st.st_blocks, 1024);
    ASSERT_EQ(::fsync(fd), 0);
  }
  EXPECT_EQ(::close(fd), 0);
}

TEST_F(Remount, sparse_files_reach_to_the_end_of_64_bit_offsets) {
  constexpr off_t kLargest = INT64_MAX;
  int fd = ::open(at("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_EQ(::pwrite(fd, "begin", 5, 0), 5);
  ASSERT_EQ(::pwrite(fd, "end", 3, kLargest - 3), 3) << std::strerror(errno);
  ASSERT_EQ(::close(fd), 0);
  remount_cold();
  EXPECT_EQ(status(at("f")).st_size, kLargest);
  EXPECT_LT(status(at("f")).st_blocks, 1024);
  fd = ::open(at("f").c_str(), O_RDWR | O_CLOEXEC);
  const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
  EXPECT_GE(hole, 5);
  EXPECT_LE(hole, 1 << 20);
  const off_t data = ::lseek(fd, hole, SEEK_DATA);
  EXPECT_GE(data, kLargest - (1 << 20));
  EXPECT_LE(data, kLargest - 3);
  char back[8] = "";
  EXPECT_EQ(::pread(fd, back, 3, kLargest - 3), 3);
  EXPECT_STREQ(back, "end");
  EXPECT_EQ(::pread(fd, back, 8, kLargest / 2), 8);
  EXPECT_EQ(std::string(back, 8), std::string(8, '\0'));
  EXPECT_EQ(::close(fd), 0);
}

TEST_F(Remount, statfs_shows_what_the_policy_has_left) {
  struct statvfs drive {};
  struct statvfs disk {};
  do {  // the first question only starts the first answer on its way
    ASSERT_EQ(::statvfs(place().c_str(), &drive), 0);
  } while (drive.f_blocks == 0);
  ASSERT_EQ(::statvfs(dir.path().c_str(), &disk), 0);
  const double free = static_cast<double>(drive.f_bavail) * static_cast<double>(drive.f_frsize);
  const double there = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  EXPECT_GT(free, there / 2);  // others write to the same disk meanwhile
  EXPECT_LT(free, there * 2);
  EXPECT_GE(drive.f_blocks, drive.f_bfree);
  EXPECT_GT(drive.f_favail, 0u);
  EXPECT_EQ(drive.f_namemax, 255u);
}

}  // namespace
}  // namespace aster

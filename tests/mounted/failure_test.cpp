#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "tests/mounted/mounted_fixture.h"

namespace aster::testing {
namespace {

class Failure : public MountedTest {
 protected:
  void SetUp() override {
    if (std::getenv("ASTER_MOUNTED_ON") != nullptr) GTEST_SKIP() << "needs the fake drive";
    MountedTest::SetUp();
  }
};

TEST_F(Failure, unmounting_flushes_and_ends_the_process) {
  write_file(on_mount("f"), "content");
  EXPECT_EQ(unmount(), 0);
}

TEST_F(Failure, sigterm_unmounts_and_ends_the_process) {
  write_file(on_mount("f"), "content");
  drive().signal(SIGTERM);
  EXPECT_EQ(drive().wait(), 0);
  struct stat st {};
  EXPECT_EQ(::stat(on_mount("f").c_str(), &st), -1);
  EXPECT_EQ(errno, ENOENT) << "nothing is mounted there any more";
}

TEST_F(Failure, sigterm_flushes_files_that_are_still_open) {
  const int fd = ::open(on_mount("f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_EQ(::write(fd, "unsent", 6), 6);
  drive().signal(SIGTERM);
  EXPECT_EQ(drive().wait(), 0);
  ::close(fd);
}

TEST_F(Failure, lazy_unmount_serves_open_files_to_the_end) {
  const int fd = ::open(on_mount("f").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::umount2(mount().c_str(), MNT_DETACH), 0);
  EXPECT_EQ(::write(fd, "late", 4), 4);
  char buffer[8] = "";
  EXPECT_EQ(::pread(fd, buffer, sizeof buffer, 0), 4);
  EXPECT_TRUE(drive().running());
  EXPECT_EQ(::close(fd), 0);
  EXPECT_EQ(drive().wait(), 0);
}

TEST_F(Failure, unsent_data_shows_in_close_fsync_and_exit_status) {
  const int fd = ::open(on_mount("f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  ASSERT_EQ(::write(fd, "data", 4), 4);
  tell("fail_flush");
  EXPECT_EQ(::fsync(fd), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(::close(fd), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(unmount(), 1);
  EXPECT_NE(read_file(scratch("drive.log")).find("unsent_data_lost"), std::string::npos);
}

TEST_F(Failure, ctrl_c_ends_a_wait_for_a_stalled_server) {
  tell("stall");
  Process waiting = start_shell("exec stat $M/something");
  ASSERT_FALSE(waiting.wait(std::chrono::milliseconds(300)));
  waiting.signal(SIGINT);
  EXPECT_EQ(waiting.wait(std::chrono::seconds(10)), 128 + SIGINT);
  tell("resume");
}

TEST_F(Failure, ctrl_c_ends_a_wait_also_after_a_harmless_signal) {
  tell("stall");
  Process waiting = start_shell("trap : CHLD; (sleep 0.2)& exec mkdir $M/something");
  ASSERT_FALSE(waiting.wait(std::chrono::milliseconds(600)));
  waiting.signal(SIGINT);
  EXPECT_EQ(waiting.wait(std::chrono::seconds(10)), 128 + SIGINT);
  tell("resume");
}

TEST_F(Failure, harmless_signals_do_not_make_calls_fail) {
  tell("stall");
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    ::ualarm(50'000, 50'000);
    ::_exit(::mkdir(on_mount("dir").c_str(), 0755) == 0 ? 0 : errno);
  }
  // Long enough for several of its alarms.
  ASSERT_EQ(::usleep(400'000), 0);
  tell("resume");
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Failure, a_stalled_read_can_be_killed_and_stalls_nobody_else) {
  write_file(on_mount("f"), std::string(200'000, 'x'));
  tell("put f");
  tell("stall_reads");
  Process waiting = start_shell("exec cat $M/f");
  ASSERT_FALSE(waiting.wait(std::chrono::milliseconds(300)));
  write_file(on_mount("other"), "works");
  struct stat st {};
  EXPECT_EQ(::stat(on_mount("other").c_str(), &st), 0);
  waiting.signal(SIGKILL);
  EXPECT_EQ(waiting.wait(std::chrono::seconds(10)), 128 + SIGKILL);
  tell("resume_reads");
}

TEST_F(Failure, changes_by_others_are_seen_through_the_page_cache) {
  write_file(on_mount("f"), "written here");
  EXPECT_EQ(read_file(on_mount("f")), "written here");
  tell("put f");
  // The kernel is told on a thread of its own: until then it believes the old size, as it would
  // while another program writes.
  while (read_file(on_mount("f")) != "changed by another") {
  }
}

TEST_F(Failure, a_file_that_others_removed_can_be_read_by_who_has_it_open) {
  write_file(on_mount("f"), "still here");
  const int fd = ::open(on_mount("f").c_str(), O_RDONLY | O_CLOEXEC);
  tell("remove f");
  struct stat st {};
  while (::stat(on_mount("f").c_str(), &st) == 0) {
  }
  EXPECT_EQ(errno, ENOENT);
  char buffer[16] = "";
  EXPECT_EQ(::read(fd, buffer, sizeof buffer), 10);
  ::close(fd);
}

TEST_F(Failure, known_files_can_be_read_while_the_primary_is_away) {
  write_file(on_mount("f"), "known");
  tell("away");
  EXPECT_EQ(read_file(on_mount("f")), "known");
  EXPECT_EQ(::mkdir(on_mount("dir").c_str(), 0755), -1);
  EXPECT_EQ(errno, EIO);
  struct stat st {};
  EXPECT_EQ(::stat(on_mount("unknown").c_str(), &st), -1);
  EXPECT_EQ(errno, EIO) << "not ENOENT: nobody knows";
  tell("back");
  EXPECT_EQ(::mkdir(on_mount("dir").c_str(), 0755), 0);
}

}  // namespace
}  // namespace aster::testing

#include "fuse/kernel/errno_map.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "fuse/kernel/convert.h"
#include "fuse/kernel/node_ids.h"
#include "fuse/kernel/request.h"

namespace aster {
namespace {

TEST(ErrnoMap, every_code_has_an_errno) {
  for (int i = 0; i <= static_cast<int>(kLastErrc); ++i) {
    const int err = to_errno(static_cast<Errc>(i));
    EXPECT_GT(err, 0) << to_string(static_cast<Errc>(i));
    EXPECT_LT(err, 512) << "the kernel refuses its own restart codes";
  }
}

TEST(ErrnoMap, files_and_names_keep_their_errno) {
  for (const int err : {ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ENAMETOOLONG, EMLINK, EXDEV,
                        EPERM, EACCES, ENODATA, ERANGE, EROFS, EDQUOT, ENOSPC, ESTALE, EINTR}) {
    EXPECT_EQ(to_errno(errc_from_errno(err)), err);
  }
}

TEST(ErrnoMap, unreachable_servers_and_damage_are_eio) {
  for (const Errc code : {Errc::unavailable, Errc::timeout, Errc::corrupt, Errc::internal}) {
    EXPECT_EQ(to_errno(code), EIO);
  }
}

TEST(NodeIds, the_root_and_inode_one_change_places) {
  for (const uint64_t root : {1ull, 2ull, 1000ull}) {
    const NodeIds ids{InodeNo(root)};
    EXPECT_EQ(ids.node(InodeNo(root)), FUSE_ROOT_ID);
    for (const uint64_t ino : {1ull, 2ull, 3ull, 1000ull, ~0ull}) {
      EXPECT_EQ(ids.inode(ids.node(InodeNo(ino))), InodeNo(ino));
    }
  }
}

TEST(Convert, times_survive_also_before_1970) {
  for (const int64_t ns : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1'700'000'000'123'456'789},
                           int64_t{-2'000'000'000'000'000'001}}) {
    const timespec time = to_timespec(ns);
    EXPECT_GE(time.tv_nsec, 0);
    EXPECT_LT(time.tv_nsec, 1'000'000'000);
    EXPECT_EQ(to_ns(time), ns);
  }
}

TEST(Convert, times_out_of_range_become_the_nearest_inside) {
  EXPECT_EQ(to_ns({9'223'372'036, 854'775'807}), INT64_MAX);
  EXPECT_EQ(to_ns({9'223'372'036, 854'775'808}), INT64_MAX);
  EXPECT_EQ(to_ns({INT64_MAX, 0}), INT64_MAX);
  EXPECT_EQ(to_ns({INT64_MIN, 999'999'999}), INT64_MIN);
  EXPECT_EQ(to_timespec(INT64_MAX).tv_sec, 9'223'372'036);
  EXPECT_EQ(to_timespec(INT64_MIN).tv_sec, -9'223'372'037);
  EXPECT_EQ(to_timespec(INT64_MIN).tv_nsec, 145'224'192);
}

TEST(Convert, types_survive) {
  for (int i = 0; i <= static_cast<int>(fs::FileType::block_device); ++i) {
    const auto type = static_cast<fs::FileType>(i);
    EXPECT_EQ(file_type(type_bits(type)), type);
  }
}

TEST(AskedToStop, blocked_signals_do_not_count_and_unknown_threads_do) {
  EXPECT_FALSE(asked_to_stop(::gettid()));
  EXPECT_TRUE(asked_to_stop(0));
  EXPECT_TRUE(asked_to_stop(INT32_MAX));
  std::thread([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    pthread_kill(pthread_self(), SIGTERM);
    EXPECT_FALSE(asked_to_stop(::gettid()));
    timespec none{};
    EXPECT_EQ(sigtimedwait(&set, nullptr, &none), SIGTERM);
  }).join();
}

TEST(IsEnding, a_living_thread_is_not_and_a_zombie_is) {
  EXPECT_FALSE(is_ending(::gettid()));
  EXPECT_FALSE(is_ending(0));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(is_ending(child));
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

}  // namespace
}  // namespace aster

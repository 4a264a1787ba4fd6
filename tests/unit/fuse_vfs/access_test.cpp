#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using Access = VfsTest;

/// atime as stat(2) shows it.
int64_t atime_of(Filesystem& fs, InodeNo ino) {
  return run_blocking(fs.getattr(ino, Caller{})).value().attr.atime;
}

TEST_F(Access, the_first_read_after_a_change_counts_at_once) {
  const Created file = create("a");
  const InodeNo ino = file.entry.attr.ino;
  write(file.opened.handle, 0, "text");
  ASSERT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  clock.advance(seconds(10));
  EXPECT_EQ(read(file.opened.handle), "text");
  const int64_t first = clock.now_ns();
  EXPECT_EQ(atime_of(fs(), ino), first);
  clock.advance(seconds(10));
  EXPECT_EQ(read(file.opened.handle), "text");
  EXPECT_EQ(atime_of(fs(), ino), first);
  clock.advance(hours(24));
  EXPECT_EQ(read(file.opened.handle), "text");
  EXPECT_EQ(atime_of(fs(), ino), clock.now_ns());
}

TEST_F(Access, the_primary_is_told_before_the_end_and_nothing_else_moves) {
  const Created file = create("a");
  const InodeNo ino = file.entry.attr.ino;
  clock.advance(seconds(10));
  (void)read(file.opened.handle);
  const fs::Attr before = *primary.attr(ino);
  EXPECT_EQ(run(fs().flush_all()), 0u);
  const fs::Attr after = *primary.attr(ino);
  EXPECT_EQ(after.atime, clock.now_ns());
  EXPECT_EQ(after.change, before.change);
  EXPECT_EQ(after.ctime, before.ctime);
  EXPECT_EQ(primary.calls("touch"), 1u);
  EXPECT_EQ(atime_of(fs(), ino), clock.now_ns());
}

TEST_F(Access, reads_that_must_not_count_do_not) {
  const Created quiet = create("quiet", O_RDWR | O_CREAT | O_EXCL | O_NOATIME);
  const Created written = create("written", O_WRONLY | O_CREAT | O_EXCL);
  clock.advance(seconds(10));
  (void)read(quiet.opened.handle);
  (void)read(written.opened.handle);
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_EQ(primary.calls("touch"), 0u);
  VfsOptions options;
  options.access_times = AccessTimes::off;
  remount(options);
  const Created file = create("never");
  (void)read(file.opened.handle);
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_EQ(primary.calls("touch"), 0u);
}

TEST_F(Access, every_read_counts_when_that_is_asked_for) {
  VfsOptions options;
  options.access_times = AccessTimes::strict;
  remount(options);
  const Created file = create("a");
  for (int i = 0; i < 3; ++i) {
    clock.advance(seconds(10));
    (void)read(file.opened.handle);
    EXPECT_EQ(atime_of(fs(), file.entry.attr.ino), clock.now_ns());
  }
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_EQ(primary.attr(file.entry.attr.ino)->atime, clock.now_ns());
}

TEST_F(Access, a_time_that_is_set_wins_over_reads_before) {
  const Created file = create("a");
  clock.advance(seconds(10));
  (void)read(file.opened.handle);
  fs::SetAttr change;
  change.ino = file.entry.attr.ino;
  change.atime = 5;
  ASSERT_TRUE(run(fs().setattr(change, who)).ok());
  EXPECT_EQ(atime_of(fs(), change.ino), 5);
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_EQ(primary.attr(change.ino)->atime, 5);
}

TEST_F(Access, small_files_are_read_anew_after_a_change_so_that_it_is_seen) {
  const InodeNo ino = foreign("a", "text");
  ASSERT_TRUE(lookup(root(), "a").ok());
  const auto open = [&] { return run(fs().open(ino, O_RDONLY, who)).value(); };
  const Opened first = open();
  EXPECT_FALSE(first.keep_cache);
  clock.advance(seconds(10));
  EXPECT_EQ(read(first.handle), "text");
  EXPECT_TRUE(open().keep_cache);
}

}  // namespace
}  // namespace aster::testing

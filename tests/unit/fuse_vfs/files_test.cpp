#include <fcntl.h>
#include <linux/falloc.h>

#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using Files = VfsTest;

TEST_F(Files, unsent_writes_show_in_size_and_content) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  EXPECT_EQ(size_of(file.entry.attr.ino), 5u);
  EXPECT_EQ(read(file.opened.handle), "hello");
  EXPECT_EQ(primary.attr(file.entry.attr.ino)->size, 0u);
}

TEST_F(Files, close_makes_writes_durable_and_costs_no_further_round_trip) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  ASSERT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  EXPECT_EQ(primary.content(file.entry.attr.ino).value(), "hello");
  const size_t before = primary.round_trips();
  EXPECT_EQ(size_of(file.entry.attr.ino), 5u);
  EXPECT_EQ(primary.round_trips(), before);
}

TEST_F(Files, only_the_last_writer_seals) {
  const Created one = create("a");
  const Opened two = run(fs().open(one.entry.attr.ino, O_WRONLY, who)).value();
  write(one.opened.handle, 0, "1");
  ASSERT_TRUE(run(fs().flush(one.opened.handle, who)).ok());
  EXPECT_EQ(io.sealed(), 0u);
  fs().release(one.opened.handle);
  ASSERT_TRUE(run(fs().flush(two.handle, who)).ok());
  EXPECT_EQ(io.sealed(), 1u);
}

TEST_F(Files, readers_have_nothing_to_flush) {
  const InodeNo ino = foreign("a", "text");
  const Opened reader = run(fs().open(ino, O_RDONLY, who)).value();
  EXPECT_TRUE(reader.no_flush);
  ASSERT_TRUE(run(fs().flush(reader.handle, who)).ok());
  EXPECT_EQ(io.flushes(), 0u);
}

TEST_F(Files, a_failed_flush_is_reported_and_the_data_kept) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  io.fail_flush(Errc::unavailable);
  EXPECT_TRUE(run(fs().flush(file.opened.handle, who)).failed_with(Errc::unavailable));
  EXPECT_EQ(read(file.opened.handle), "hello");
  io.fail_flush(std::nullopt);
  EXPECT_TRUE(run(fs().fsync(file.opened.handle, who)).ok());
  EXPECT_EQ(primary.content(file.entry.attr.ino).value(), "hello");
}

TEST_F(Files, what_is_refused_after_a_local_flush_is_told_to_every_handle_once) {
  TempDir dir;
  auto journal = WritebackJournal::open({dir / "j", 1 << 30, "test"}, executor);
  ASSERT_TRUE(journal.ok());
  VfsOptions options;
  options.journal = journal->get();
  remount(options);
  const Created file = create("a");
  const InodeNo ino = file.entry.attr.ino;
  const Opened other = run(fs().open(ino, O_RDWR, who)).value();
  write(file.opened.handle, 0, "hello");
  JournaledWrite write;
  write.ino = ino;
  ASSERT_TRUE(run((*journal)->append(write)).ok());
  io.refuse_drains(Errc::quota_exceeded);
  // Each fsync is content with the journal; the upload behind it fails a little later.
  while (run(fs().fsync(file.opened.handle, who)).ok()) {
  }
  EXPECT_TRUE(run(fs().flush(other.handle, who)).failed_with(Errc::quota_exceeded));
  io.refuse_drains(std::nullopt);
  (*journal)->drop(ino);
  // An attempt that began before may still fail.
  while (!run(fs().fsync(file.opened.handle, who)).ok() ||
         !run(fs().flush(other.handle, who)).ok()) {
  }
  EXPECT_EQ(primary.content(ino).value(), "hello");
  filesystem.reset();
}

TEST_F(Files, what_is_in_the_journal_waits_for_more_until_it_is_half_full) {
  TempDir dir;
  constexpr uint64_t kLimit = 1 << 20;
  auto journal = WritebackJournal::open({dir / "j", kLimit, "test"}, executor);
  ASSERT_TRUE(journal.ok());
  VfsOptions options;
  options.journal = journal->get();
  options.gather = std::chrono::hours(1);
  remount(options);
  const auto close_journaled = [&](const std::string& name, size_t size) {
    const Created file = create(name);
    write(file.opened.handle, 0, name);
    JournaledWrite write;
    write.ino = file.entry.attr.ino;
    write.pieces.push_back({0, Bytes::from_string(std::string(size, '.'))});
    EXPECT_TRUE(run((*journal)->append(std::move(write))).ok());
    EXPECT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
    return file.entry.attr.ino;
  };
  io.refuse_drains(Errc::unavailable);
  const InodeNo first = close_journaled("first", 100);
  const InodeNo second = close_journaled("second", kLimit / 2);
  io.refuse_drains(std::nullopt);
  while (primary.content(second).value() != "second") std::this_thread::yield();
  EXPECT_EQ(primary.content(first).value(), "") << "nobody asked for it";
  filesystem.reset();
}

TEST_F(Files, what_a_failed_close_left_is_flushed_at_the_end) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  io.fail_flush(Errc::unavailable);
  fs().release(file.opened.handle);
  fs().forget(file.entry.attr.ino, 1);
  EXPECT_EQ(run(fs().flush_all()), 1u);
  io.fail_flush(std::nullopt);
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_EQ(primary.content(file.entry.attr.ino).value(), "hello");
}

TEST_F(Files, a_hard_mount_repeats_until_the_server_is_back) {
  VfsOptions options;
  options.hard = true;
  remount(options);
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  io.fail_flush(Errc::unavailable);
  Completion<bool> done;
  start<Result<void>>(fs().flush(file.opened.handle, who),
                      [&](Result<void> r) { done.set(r.ok()); });
  EXPECT_FALSE(done.is_set());
  io.fail_flush(std::nullopt);
  EXPECT_TRUE(run([](Completion<bool> d) -> Task<bool> { co_return co_await d; }(done)));
}

TEST_F(Files, a_hard_mount_stops_repeating_for_a_caller_that_left) {
  VfsOptions options;
  options.hard = true;
  remount(options);
  auto gone = std::make_shared<std::atomic<bool>>(true);
  primary.set_away(true);
  const auto made =
      run(fs().make({root(), "d", fs::FileType::directory, 0755, 0, {}}, Caller{0, 0, gone}));
  EXPECT_TRUE(made.failed_with(Errc::unavailable));
}

TEST_F(Files, a_failed_read_that_the_kernel_repeats_at_once_fails_at_once) {
  const InodeNo ino = foreign("a", "text");
  const Opened file = run(fs().open(ino, O_RDONLY, who)).value();
  io.fail_fetch(Errc::unavailable);
  EXPECT_TRUE(run(fs().read(file.handle, 0, 100, who)).failed_with(Errc::unavailable));
  io.fail_fetch(std::nullopt);
  EXPECT_TRUE(run(fs().read(file.handle, 0, 4, who)).failed_with(Errc::unavailable));
  EXPECT_TRUE(run(fs().read(file.handle, 100, 4, who)).ok());
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(read(file.handle), "text");
}

/// Opens that do not want to see accesses: those of small files read the pages anew (access_test).
constexpr int kQuietly = O_RDONLY | O_NOATIME;

TEST_F(Files, opening_an_unchanged_file_keeps_the_pages) {
  const InodeNo ino = foreign("a", "one");
  ASSERT_TRUE(lookup(root(), "a").ok());
  EXPECT_FALSE(run(fs().open(ino, kQuietly, who)).value().keep_cache);
  EXPECT_TRUE(run(fs().open(ino, kQuietly, who)).value().keep_cache);
  primary.put_content(ino, "two");
  clock.advance(kTtl);
  const Opened changed = run(fs().open(ino, kQuietly, who)).value();
  EXPECT_EQ(read(changed.handle), "two");
  ASSERT_EQ(kernel.contents().size(), 1u);
  EXPECT_EQ(kernel.contents()[0], ino);
}

TEST_F(Files, own_writes_keep_the_pages) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  ASSERT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  fs().release(file.opened.handle);
  EXPECT_TRUE(run(fs().open(file.entry.attr.ino, kQuietly, who)).value().keep_cache);
  clock.advance(kTtl);
  EXPECT_TRUE(run(fs().open(file.entry.attr.ino, kQuietly, who)).value().keep_cache);
  EXPECT_TRUE(kernel.contents().empty());
}

TEST_F(Files, appending_goes_to_the_end_as_it_is_now) {
  const InodeNo ino = foreign("a", "12345");
  (void)lookup(root(), "a");
  const Opened file = run(fs().open(ino, O_WRONLY | O_APPEND, who)).value();
  write(file.handle, 3, "678", O_WRONLY | O_APPEND);
  EXPECT_EQ(read(file.handle), "12345678");
  EXPECT_EQ(kernel.contents(), std::vector{ino});
}

TEST_F(Files, pages_written_back_go_where_they_belong_even_with_append) {
  const InodeNo ino = foreign("a", "12345");
  const Opened file = run(fs().open(ino, O_RDWR | O_APPEND, who)).value();
  const auto bytes = Bytes::from_string("X");
  ASSERT_TRUE(run(fs().write(file.handle, bytes, {1, O_RDWR | O_APPEND, true}, who)).ok());
  EXPECT_EQ(read(file.handle), "1X345");
}

TEST_F(Files, truncating_open_cuts_at_once) {
  const InodeNo ino = foreign("a", "12345");
  const Opened file = run(fs().open(ino, O_WRONLY | O_TRUNC, who)).value();
  EXPECT_EQ(size_of(ino), 0u);
  EXPECT_EQ(primary.attr(ino)->size, 0u);
  EXPECT_EQ(read(file.handle), "");
}

TEST_F(Files, creating_over_a_name_that_others_just_made_opens_theirs) {
  const InodeNo ino = foreign("a", "12345");
  const Created file = run(fs().create({root(), "a", 0644, O_WRONLY | O_CREAT}, who)).value();
  EXPECT_EQ(file.entry.attr.ino, ino);
  EXPECT_TRUE(run(fs().create({root(), "a", 0644, O_WRONLY | O_CREAT | O_EXCL}, who))
                  .failed_with(Errc::exists));
}

TEST_F(Files, a_time_that_was_set_survives_the_commit_of_earlier_writes) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  fs::SetAttr change;
  change.ino = file.entry.attr.ino;
  change.mtime = 42;
  ASSERT_TRUE(run(fs().setattr(change, who)).ok());
  ASSERT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  EXPECT_EQ(primary.attr(file.entry.attr.ino)->mtime, 42);
  EXPECT_EQ(primary.content(file.entry.attr.ino).value(), "hello");
}

TEST_F(Files, fallocate_extends_and_punches_but_reserves_nothing) {
  const Created file = create("a");
  const HandleId handle = file.opened.handle;
  write(handle, 0, "0123456789");
  ASSERT_TRUE(run(fs().fallocate(handle, 0, {0, 20}, who)).ok());
  EXPECT_EQ(size_of(file.entry.attr.ino), 20u);
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  ASSERT_TRUE(run(fs().fallocate(handle, punch, {2, 100}, who)).ok());
  EXPECT_EQ(size_of(file.entry.attr.ino), 20u);
  EXPECT_EQ(read(handle, 0, 4), std::string("01\0\0", 4));
  ASSERT_TRUE(run(fs().fallocate(handle, FALLOC_FL_KEEP_SIZE, {0, 99}, who)).ok());
  EXPECT_EQ(size_of(file.entry.attr.ino), 20u);
  EXPECT_TRUE(run(fs().fallocate(handle, FALLOC_FL_COLLAPSE_RANGE, {0, 4096}, who))
                  .failed_with(Errc::unsupported));
}

TEST_F(Files, fallocate_of_more_than_is_free_fails) {
  const Created file = create("a");
  const HandleId handle = file.opened.handle;
  while (fs().statfs().total_bytes == 0) std::this_thread::yield();
  const uint64_t free = fs().statfs().free_bytes;
  for (const int mode : {0, FALLOC_FL_KEEP_SIZE}) {
    EXPECT_TRUE(run(fs().fallocate(handle, mode, {0, free + 1}, who)).failed_with(Errc::no_space));
  }
  EXPECT_EQ(size_of(file.entry.attr.ino), 0u);
  EXPECT_TRUE(run(fs().fallocate(handle, FALLOC_FL_KEEP_SIZE, {0, free}, who)).ok());
}

TEST_F(Files, copying_a_range_sends_unsent_data_first) {
  const Created from = create("from");
  const Created to = create("to");
  write(from.opened.handle, 0, "0123456789");
  const auto copied = run(fs().copy_range(from.opened.handle, 4, to.opened.handle, {0, 100}, who));
  EXPECT_EQ(copied.value(), 6u);
  EXPECT_EQ(read(to.opened.handle), "456789");
  EXPECT_EQ(run(fs().copy_range(from.opened.handle, 10, to.opened.handle, {0, 1}, who)).value(),
            0u);
}

TEST_F(Files, closed_handles_are_stale) {
  const Created file = create("a");
  fs().release(file.opened.handle);
  EXPECT_TRUE(run(fs().read(file.opened.handle, 0, 1, who)).failed_with(Errc::stale_handle));
  fs().release(file.opened.handle);
}

TEST_F(Files, attributes_outlive_what_is_kept_of_closed_files) {
  const Created first = create("first");
  write(first.opened.handle, 0, "12345");
  ASSERT_TRUE(run(fs().flush(first.opened.handle, who)).ok());
  fs().release(first.opened.handle);
  for (int i = 0; i < 8200; ++i) fs().release(create("f" + std::to_string(i)).opened.handle);
  EXPECT_EQ(size_of(first.entry.attr.ino), 5u);
  EXPECT_EQ(lookup(root(), "first")->entry->attr.size, 5u);
}

TEST_F(Files, writes_past_the_largest_offset_are_refused) {
  const Created file = create("a");
  EXPECT_TRUE(run(fs().write(file.opened.handle, Bytes::from_string("xx"),
                             {fs::kFileSizeMax - 1, O_RDWR, false}, who))
                  .failed_with(Errc::too_large));
}

}  // namespace
}  // namespace aster::testing

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using fs::FileType;
using Names = VfsTest;

TEST_F(Names, missing_names_are_believed_for_a_while) {
  const auto found = lookup(root(), "nothing");
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->entry.has_value());
  EXPECT_EQ(found->ttl, kTtl);
}

TEST_F(Names, nothing_is_believed_while_the_event_stream_is_lost) {
  foreign("a");
  fs().on_state(false);
  const auto found = lookup(root(), "a");
  ASSERT_TRUE(found->entry.has_value());
  EXPECT_EQ(found->entry->entry_ttl, Duration::zero());
  EXPECT_EQ(found->entry->attr_ttl, Duration::zero());
  EXPECT_EQ(lookup(root(), "b")->ttl, Duration::zero());
}

TEST_F(Names, attributes_are_asked_for_again_after_their_time) {
  const InodeNo ino = foreign("a");
  ASSERT_TRUE(lookup(root(), "a").ok());
  (void)size_of(ino);
  EXPECT_EQ(primary.calls("getattr"), 0u);
  clock.advance(kTtl);
  (void)size_of(ino);
  EXPECT_EQ(primary.calls("getattr"), 1u);
}

TEST_F(Names, an_inode_leaves_the_table_with_its_last_lookup) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  (void)lookup(root(), "a");
  const size_t with = fs().inodes().size();
  fs().forget(ino, 1);
  EXPECT_EQ(fs().inodes().size(), with);
  fs().forget(ino, 1);
  EXPECT_EQ(fs().inodes().size(), with - 1);
}

TEST_F(Names, the_root_is_never_forgotten) {
  fs().forget(root(), 100);
  EXPECT_EQ(fs().inodes().size(), 1u);
  EXPECT_TRUE(run(fs().getattr(root(), who)).ok());
}

TEST_F(Names, new_things_belong_to_the_caller) {
  const Entry made = make(FileType::directory, root(), "d");
  EXPECT_EQ(made.attr.uid, 1000u);
  EXPECT_EQ(made.attr.gid, 100u);
}

TEST_F(Names, set_group_id_directories_pass_their_group_on) {
  const Entry parent = make(FileType::directory, root(), "d");
  fs::SetAttr change;
  change.ino = parent.attr.ino;
  change.mode = 02775;
  change.gid = 7;
  ASSERT_TRUE(run(fs().setattr(change, who)).ok());
  const Entry below = make(FileType::directory, parent.attr.ino, "below");
  EXPECT_EQ(below.attr.gid, 7u);
  EXPECT_TRUE(below.attr.mode & S_ISGID);
  const Entry fifo = make(FileType::fifo, parent.attr.ino, "fifo");
  EXPECT_EQ(fifo.attr.gid, 7u);
  EXPECT_FALSE(fifo.attr.mode & S_ISGID);
}

TEST_F(Names, removing_an_open_file_keeps_it_until_the_last_close) {
  const Created file = create("a");
  write(file.opened.handle, 0, "hello");
  ASSERT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  ASSERT_TRUE(run(fs().unlink(root(), "a", who)).ok());
  EXPECT_EQ(primary.held(), 1u);
  EXPECT_EQ(read(file.opened.handle), "hello");
  fs().release(file.opened.handle);
  EXPECT_EQ(primary.held(), 0u);
  EXPECT_FALSE(primary.attr(file.entry.attr.ino).ok());
}

TEST_F(Names, data_of_a_nameless_file_does_not_travel) {
  const Created file = create("a");
  ASSERT_TRUE(run(fs().unlink(root(), "a", who)).ok());
  write(file.opened.handle, 0, "scratch");
  EXPECT_EQ(read(file.opened.handle), "scratch");
  EXPECT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  fs().release(file.opened.handle);
  EXPECT_EQ(io.flushes(), 0u);
  EXPECT_EQ(run(fs().flush_all()), 0u);
}

TEST_F(Names, replacing_an_open_file_keeps_it_until_the_last_close) {
  const Created old = create("old");
  const Created fresh = create("new");
  fs().release(fresh.opened.handle);
  ASSERT_TRUE(run(fs().rename({root(), "new", root(), "old", 0}, who)).ok());
  EXPECT_EQ(primary.held(), 1u);
  fs().release(old.opened.handle);
  EXPECT_EQ(primary.held(), 0u);
}

TEST_F(Names, removing_a_closed_file_holds_nothing) {
  const Created file = create("a");
  fs().release(file.opened.handle);
  ASSERT_TRUE(run(fs().unlink(root(), "a", who)).ok());
  EXPECT_EQ(primary.held(), 0u);
}

TEST_F(Names, rename_variants_answer_as_rename_2) {
  make(FileType::directory, root(), "d");
  make(FileType::fifo, root(), "f");
  make(FileType::directory, root(), "e");
  auto rename = [&](const char* from, const char* to, unsigned flags) {
    const auto done = run(fs().rename({root(), from, root(), to, flags}, who));
    return done.ok() ? std::string("ok") : std::string(to_string(done.error().code));
  };
  EXPECT_EQ(rename("f", "d", RENAME_NOREPLACE), "exists");
  EXPECT_EQ(rename("f", "d", 0), "is_directory");
  EXPECT_EQ(rename("d", "f", 0), "not_directory");
  EXPECT_EQ(rename("d", "e", 0), "ok");
  EXPECT_EQ(rename("e", "f", RENAME_EXCHANGE), "ok");
  EXPECT_EQ(rename("e", "f", 1u << 2), "bad_request");
  EXPECT_EQ(lookup(root(), "f")->entry->attr.type, FileType::directory);
}

TEST_F(Names, a_read_only_mount_changes_nothing) {
  VfsOptions options;
  options.read_only = true;
  remount(options);
  const InodeNo ino = foreign("a");
  EXPECT_TRUE(run(fs().unlink(root(), "a", who)).failed_with(Errc::read_only));
  EXPECT_TRUE(run(fs().open(ino, O_WRONLY, who)).failed_with(Errc::read_only));
  EXPECT_TRUE(run(fs().create({root(), "b", 0644, O_WRONLY}, who)).failed_with(Errc::read_only));
  EXPECT_TRUE(run(fs().open(ino, O_RDONLY, who)).ok());
}

TEST_F(Names, too_long_names_never_leave) {
  const std::string name(256, 'x');
  EXPECT_TRUE(lookup(root(), name).failed_with(Errc::name_too_long));
  EXPECT_EQ(primary.round_trips(), 0u);
}

TEST_F(Names, readlink_needs_no_round_trip_after_a_lookup) {
  ASSERT_TRUE(run(fs().make({root(), "l", FileType::symlink, 0777, 0, "to/there"}, who)).ok());
  const InodeNo ino = lookup(root(), "l")->entry->attr.ino;
  clock.advance(kTtl * 2);
  const size_t before = primary.round_trips();
  EXPECT_EQ(run(fs().readlink(ino, who)).value(), "to/there");
  EXPECT_EQ(primary.round_trips(), before);
}

TEST_F(Names, statfs_never_waits) {
  primary.stall();
  EXPECT_EQ(fs().statfs().total_bytes, 0u);
  EXPECT_EQ(fs().statfs().total_bytes, 0u);
  primary.resume();
}

TEST_F(Names, statfs_of_something_asks_for_it) {
  EXPECT_EQ(run(fs().statfs_of(make(FileType::directory, root(), "d").attr.ino)).total_bytes,
            1ull << 40);
}

}  // namespace
}  // namespace aster::testing

#include <set>

#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using Listing = VfsTest;

/// All names from `offset` on, `step` at a time.
std::vector<std::string> list(Filesystem& fs, HandleId handle, uint64_t offset, size_t step) {
  std::vector<std::string> names;
  for (;;) {
    const DirSlice slice = run_blocking(fs.readdir(handle, offset, Caller{})).value();
    const auto& items = slice.page->items;
    if (slice.begin == items.size()) return names;
    for (size_t i = slice.begin; i < std::min(items.size(), slice.begin + step); ++i) {
      names.push_back(items[i].name);
      offset = items[i].next;
    }
  }
}

TEST_F(Listing, begins_with_dot_and_dot_dot) {
  foreign("a");
  const HandleId handle = run(fs().opendir(root(), who)).value();
  EXPECT_EQ(list(fs(), handle, 0, 100), (std::vector<std::string>{".", "..", "a"}));
  EXPECT_EQ(list(fs(), handle, 0, 1), (std::vector<std::string>{".", "..", "a"}));
}

TEST_F(Listing, goes_on_through_many_pages_in_any_step) {
  std::set<std::string> all{".", ".."};
  for (int i = 0; i < 2500; ++i) {
    foreign("f" + std::to_string(i));
    all.insert("f" + std::to_string(i));
  }
  const HandleId handle = run(fs().opendir(root(), who)).value();
  for (const size_t step : {1000, 333}) {
    const auto names = list(fs(), handle, 0, step);
    EXPECT_EQ(names.size(), all.size());
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), all);
  }
  EXPECT_EQ(primary.calls("readdir"), 6u);
}

TEST_F(Listing, stays_stable_while_names_come_and_go) {
  for (int i = 0; i < 10; ++i) foreign("f" + std::to_string(i));
  const HandleId handle = run(fs().opendir(root(), who)).value();
  const DirSlice first = run(fs().readdir(handle, 0, who)).value();
  const uint64_t middle = first.page->items[6].next;  // after f4
  ASSERT_TRUE(primary.as_other(fs::Unlink{root(), "f1"}).ok());
  ASSERT_TRUE(primary.as_other(fs::Unlink{root(), "f4"}).ok());
  const HandleId other = run(fs().opendir(root(), who)).value();
  EXPECT_EQ(list(fs(), other, middle, 100),
            (std::vector<std::string>{"f5", "f6", "f7", "f8", "f9"}));
}

TEST_F(Listing, rewinding_shows_the_present) {
  foreign("a");
  const HandleId handle = run(fs().opendir(root(), who)).value();
  EXPECT_EQ(list(fs(), handle, 0, 100).size(), 3u);
  foreign("b");
  EXPECT_EQ(list(fs(), handle, 0, 100).size(), 4u);
}

TEST_F(Listing, listed_entries_count_as_looked_up) {
  const InodeNo ino = foreign("a");
  const HandleId handle = run(fs().opendir(root(), who)).value();
  const DirSlice slice = run(fs().readdir(handle, 0, who)).value();
  const Entry entry = fs().listed(root(), slice.page->items[2], slice.page->ticket);
  EXPECT_EQ(entry.entry_ttl, kTtl);
  EXPECT_EQ(entry.attr_ttl, kTtl);
  EXPECT_EQ(fs().inodes().size(), 2u);
  fs().forget(ino, 1);
  EXPECT_EQ(fs().inodes().size(), 1u);
}

TEST_F(Listing, a_name_removed_after_its_page_was_fetched_is_not_believed) {
  foreign("a");
  foreign("b");
  const HandleId handle = run(fs().opendir(root(), who)).value();
  const DirSlice slice = run(fs().readdir(handle, 0, who)).value();
  ASSERT_TRUE(run(fs().unlink(root(), "a", who)).ok());
  const auto& items = slice.page->items;
  EXPECT_EQ(fs().listed(root(), items[2], slice.page->ticket).entry_ttl, Duration::zero());
  EXPECT_EQ(fs().listed(root(), items[3], slice.page->ticket).entry_ttl, kTtl);
}

TEST_F(Listing, newer_attributes_survive_an_older_page) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  const HandleId handle = run(fs().opendir(root(), who)).value();
  const DirSlice slice = run(fs().readdir(handle, 0, who)).value();
  fs::SetAttr change;
  change.ino = ino;
  change.mode = 0600;
  ASSERT_TRUE(run(fs().setattr(change, who)).ok());
  const Entry entry = fs().listed(root(), slice.page->items[2], slice.page->ticket);
  EXPECT_EQ(entry.attr.mode, 0600u);
}

TEST_F(Listing, xattr_names_are_remembered) {
  const InodeNo ino = make(fs::FileType::fifo, root(), "a").attr.ino;
  EXPECT_TRUE(run(fs().getxattr(ino, "security.capability", who)).failed_with(Errc::no_attribute));
  EXPECT_EQ(primary.calls("getxattr"), 0u);
  ASSERT_TRUE(run(fs().setxattr({ino, "user.a", "value", false, false}, who)).ok());
  EXPECT_EQ(run(fs().getxattr(ino, "user.a", who)).value(), "value");
  EXPECT_EQ(run(fs().listxattr(ino, who)).value(), std::vector<std::string>{"user.a"});
  EXPECT_TRUE(run(fs().setxattr({ino, "user.a", "", true, false}, who)).failed_with(Errc::exists));
  ASSERT_TRUE(run(fs().removexattr(ino, "user.a", who)).ok());
  EXPECT_TRUE(run(fs().removexattr(ino, "user.a", who)).failed_with(Errc::no_attribute));
  EXPECT_TRUE(run(fs().listxattr(ino, who)).value().empty());
}

TEST_F(Listing, access_control_lists_are_refused) {
  EXPECT_TRUE(run(fs().setxattr({root(), "system.posix_acl_access", "x", false, false}, who))
                  .failed_with(Errc::unsupported));
}

}  // namespace
}  // namespace aster::testing

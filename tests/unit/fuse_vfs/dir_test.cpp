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

/// rwx for the owner and user 1000, nothing for the rest.
const std::string kList(
    "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\7\0\xe8\3\0\0\4\0\0\0\xff\xff\xff\xff"
    "\x10\0\7\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
    44);
const std::string kListName = "system.posix_acl_access";

TEST_F(Listing, access_control_lists_come_with_the_attributes) {
  const InodeNo ino = make(fs::FileType::regular, root(), "a", 0640).attr.ino;
  EXPECT_TRUE(run(fs().getxattr(ino, kListName, who)).failed_with(Errc::no_attribute));
  EXPECT_EQ(primary.calls("getxattr"), 0u);
  ASSERT_TRUE(run(fs().set_acl({ino, kListName, kList, false, false, false}, {100}, who)).ok());
  EXPECT_EQ(run(fs().getattr(ino, who)).value().attr.mode, 0770u);
  const size_t trips = primary.round_trips();
  EXPECT_EQ(run(fs().getxattr(ino, kListName, who)).value(), kList);
  EXPECT_EQ(primary.round_trips(), trips);
  ASSERT_TRUE(run(fs().removexattr(ino, kListName, who)).ok());
  EXPECT_TRUE(run(fs().getxattr(ino, kListName, who)).failed_with(Errc::no_attribute));
}

TEST_F(Listing, setting_a_list_takes_the_group_bit_from_strangers) {
  const InodeNo ino = make(fs::FileType::regular, root(), "a", 02750).attr.ino;
  const auto mode_after = [&](std::vector<uint32_t> groups, Caller caller) {
    fs::SetAttr change;
    change.ino = ino;
    change.mode = 02750;
    EXPECT_TRUE(run(fs().setattr(change, who)).ok());
    fs::SetXattr list{ino, kListName, kList, false, false, false};
    EXPECT_TRUE(run(fs().set_acl(list, std::move(groups), caller)).ok());
    return run(fs().getattr(ino, who)).value().attr.mode;
  };
  EXPECT_EQ(mode_after({5, 100}, who), 02770u);
  EXPECT_EQ(mode_after({5}, who), 0770u);
  EXPECT_EQ(mode_after({5}, Caller{0, 0, nullptr}), 02770u);
}

TEST_F(Listing, only_the_kinds_of_attributes_that_linux_knows_are_taken) {
  const InodeNo ino = make(fs::FileType::regular, root(), "a").attr.ino;
  const auto set = [&](const std::string& name) {
    return run(fs().setxattr({ino, name, "v", false, false, false}, who));
  };
  EXPECT_TRUE(set("plain").failed_with(Errc::unsupported));
  EXPECT_TRUE(set("system.other").failed_with(Errc::unsupported));
  EXPECT_TRUE(set("user.").failed_with(Errc::bad_request));
  EXPECT_TRUE(run(fs().getxattr(ino, "plain", who)).failed_with(Errc::unsupported));
  EXPECT_TRUE(run(fs().removexattr(ino, "plain", who)).failed_with(Errc::unsupported));
  EXPECT_TRUE(set("security.label").ok());
}

TEST_F(Listing, trusted_attributes_show_to_root_only) {
  const InodeNo ino = make(fs::FileType::regular, root(), "a").attr.ino;
  const Caller administrator{0, 0, nullptr};
  ASSERT_TRUE(run(fs().setxattr({ino, "trusted.t", "v", false, false, false}, administrator)).ok());
  ASSERT_TRUE(run(fs().setxattr({ino, "user.u", "v", false, false, false}, who)).ok());
  EXPECT_EQ(run(fs().listxattr(ino, who)).value(), std::vector<std::string>{"user.u"});
  EXPECT_EQ(run(fs().listxattr(ino, administrator)).value().size(), 2u);
}

}  // namespace
}  // namespace aster::testing

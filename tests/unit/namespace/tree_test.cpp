#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using fs::FileType;
using Tree = testing::NamespaceFixture;

std::vector<std::string> names_of(const fs::DirPage& page) {
  std::vector<std::string> names;
  for (const fs::DirEntry& e : page.entries) names.push_back(e.name);
  return names;
}

TEST_F(Tree, new_workspace_has_an_empty_root) {
  const Attr root = attr(root_);
  EXPECT_EQ(root.type, FileType::directory);
  EXPECT_EQ(root.mode, 0755u);
  EXPECT_EQ(root.nlink, 2u);
  const auto page = call<fs::DirPage>(fs::ReadDir{root_});
  ASSERT_TRUE(page.ok());
  EXPECT_TRUE(page->entries.empty());
  EXPECT_TRUE(page->end);
  EXPECT_EQ(page->parent, root_);
}

TEST_F(Tree, create_stores_what_it_is_given) {
  clock_.advance(std::chrono::seconds(5));
  fs::Create create;
  create.parent = root_;
  create.name = "dev\xff";
  create.type = FileType::char_device;
  create.mode = 0102644;
  create.uid = 10;
  create.gid = 20;
  create.rdev = 0x103;
  const auto made = call<Attr>(create);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->mode, 02644u);
  EXPECT_EQ(made->uid, 10u);
  EXPECT_EQ(made->rdev, 0x103u);
  EXPECT_EQ(made->nlink, 1u);
  EXPECT_EQ(made->btime, clock_.now_ns());
  EXPECT_EQ(attr(root_).mtime, clock_.now_ns());
  const auto found = lookup(root_, "dev\xff");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->ino, made->ino);
}

TEST_F(Tree, symlink_keeps_its_target) {
  fs::Create create{root_, "l", FileType::symlink};
  create.target = "../a b\xfe";
  const auto made = call<Attr>(create);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(attr(made->ino).target, create.target);
  EXPECT_EQ(made->size, create.target.size());
  create.name = "too long";
  create.target = std::string(fs::kSymlinkMax + 1, 'x');
  EXPECT_TRUE(call<Attr>(create).failed_with(Errc::name_too_long));
  create.target = "";
  EXPECT_TRUE(call<Attr>(create).failed_with(Errc::bad_request));
}

TEST_F(Tree, create_over_an_existing_name) {
  const Attr first = make(root_, "f");
  fs::Create again{root_, "f"};
  EXPECT_TRUE(call<Attr>(again).failed_with(Errc::exists));
  again.exclusive = false;
  const auto same = call<Attr>(again);
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->ino, first.ino);
}

TEST_F(Tree, names_are_checked) {
  for (const char* bad : {"", ".", "..", "a/b"}) {
    EXPECT_TRUE(call<Attr>(fs::Create{root_, bad}).failed_with(Errc::bad_request)) << bad;
    EXPECT_TRUE(lookup(root_, bad).failed_with(Errc::bad_request)) << bad;
  }
  EXPECT_TRUE(call<Attr>(fs::Create{root_, std::string("a\0b", 3)}).failed_with(Errc::bad_request));
  EXPECT_TRUE(
      call<Attr>(fs::Create{root_, std::string(256, 'n')}).failed_with(Errc::name_too_long));
  EXPECT_TRUE(call<Attr>(fs::Create{root_, std::string(255, 'n')}).ok());
}

TEST_F(Tree, only_directories_have_entries) {
  const Attr file = make(root_, "f");
  EXPECT_TRUE(lookup(file.ino, "x").failed_with(Errc::not_directory));
  EXPECT_TRUE(call<Attr>(fs::Create{file.ino, "x"}).failed_with(Errc::not_directory));
  EXPECT_TRUE(call<fs::DirPage>(fs::ReadDir{file.ino}).failed_with(Errc::not_directory));
}

TEST_F(Tree, directories_count_their_subdirectories) {
  const Attr a = make_dir(root_, "a");
  EXPECT_EQ(a.nlink, 2u);
  EXPECT_EQ(attr(root_).nlink, 3u);
  make_dir(a.ino, "b");
  EXPECT_EQ(attr(a.ino).nlink, 3u);
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{root_, "a"}).failed_with(Errc::not_empty));
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{a.ino, "b"}).ok());
  EXPECT_EQ(attr(a.ino).nlink, 2u);
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{root_, "a"}).ok());
  EXPECT_EQ(attr(root_).nlink, 2u);
  EXPECT_EQ(attr(a.ino).nlink, 0u);
  EXPECT_TRUE(call<Attr>(fs::Create{a.ino, "late"}).failed_with(Errc::not_found));
}

TEST_F(Tree, unlink_and_rmdir_keep_apart) {
  make(root_, "f");
  make_dir(root_, "d");
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "d"}).failed_with(Errc::is_directory));
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{root_, "f"}).failed_with(Errc::not_directory));
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "none"}).failed_with(Errc::not_found));
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{root_, "none"}).failed_with(Errc::not_found));
}

TEST_F(Tree, hard_links_share_an_inode) {
  const Attr file = make(root_, "f");
  const Attr dir = make_dir(root_, "d");
  clock_.advance(std::chrono::seconds(1));
  const auto linked = call<Attr>(fs::Link{file.ino, dir.ino, "g"});
  ASSERT_TRUE(linked.ok());
  EXPECT_EQ(linked->nlink, 2u);
  EXPECT_EQ(linked->ctime, clock_.now_ns());
  EXPECT_EQ(linked->mtime, file.mtime);
  EXPECT_TRUE(call<Attr>(fs::Link{file.ino, dir.ino, "g"}).failed_with(Errc::exists));
  EXPECT_TRUE(call<Attr>(fs::Link{dir.ino, root_, "h"}).failed_with(Errc::not_permitted));
  const auto removed = call<fs::Removed>(fs::Unlink{root_, "f"});
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->nlink, 1u);
  const auto last = call<fs::Removed>(fs::Unlink{dir.ino, "g"});
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->nlink, 0u);
  EXPECT_TRUE(call<Attr>(fs::Link{file.ino, root_, "back"}).failed_with(Errc::not_found));
}

TEST_F(Tree, link_count_has_a_limit) {
  const Attr file = make(root_, "f");
  ASSERT_TRUE(run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
                txn.exec("UPDATE inodes SET nlink=?2 WHERE ino=?1", file.ino, fs::kLinkMax);
                return ok();
              })).ok());
  EXPECT_TRUE(call<Attr>(fs::Link{file.ino, root_, "g"}).failed_with(Errc::too_many_links));
}

TEST_F(Tree, listing_is_stable_while_the_directory_changes) {
  for (int i = 0; i < 10; ++i) make(root_, "f" + std::to_string(i));
  const auto first = call<fs::DirPage>(fs::ReadDir{root_, 0, 4});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(names_of(*first), (std::vector<std::string>{"f0", "f1", "f2", "f3"}));
  EXPECT_FALSE(first->end);
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f3"}).ok());  // the one we stopped at
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f5"}).ok());
  make(root_, "aaa");
  const auto rest = call<fs::DirPage>(fs::ReadDir{root_, first->entries.back().cookie, 100});
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(names_of(*rest), (std::vector<std::string>{"f4", "f6", "f7", "f8", "f9", "aaa"}));
  EXPECT_TRUE(rest->end);
}

TEST_F(Tree, removed_names_never_give_their_cookie_to_another) {
  make(root_, "a");
  const auto before = call<fs::DirPage>(fs::ReadDir{root_});
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}).ok());
  make(root_, "b");
  const auto after = call<fs::DirPage>(fs::ReadDir{root_});
  EXPECT_GT(after->entries[0].cookie, before->entries[0].cookie);
}

TEST_F(Tree, other_workspaces_are_out_of_reach) {
  const Attr file = make(root_, "f");
  primary::Caller other = caller_;
  other.workspace = *run_blocking(service_->create_workspace("other"));
  const InodeNo other_root = *service_->root_of(other.workspace);
  EXPECT_TRUE(call_as<Attr>(other, fs::GetAttr{file.ino}).failed_with(Errc::stale_handle));
  EXPECT_TRUE(call_as<Attr>(other, fs::Lookup{root_, "f"}).failed_with(Errc::stale_handle));
  EXPECT_TRUE(
      call_as<Attr>(other, fs::Link{file.ino, other_root, "f"}).failed_with(Errc::stale_handle));
  EXPECT_TRUE(call_as<fs::Renamed>(other, fs::Rename{root_, "f", other_root, "f"})
                  .failed_with(Errc::stale_handle));
  EXPECT_TRUE(
      call_as<fs::UploadGrants>(other, fs::Grant{file.ino, 1, 1}).failed_with(Errc::stale_handle));
}

TEST_F(Tree, read_only_callers_change_nothing) {
  primary::Caller reader = caller_;
  reader.read_only = true;
  EXPECT_TRUE(call_as<Attr>(reader, fs::Create{root_, "x"}).failed_with(Errc::read_only));
  EXPECT_TRUE(
      call_as<fs::UploadGrants>(reader, fs::Grant{root_, 1, 1}).failed_with(Errc::read_only));
  EXPECT_TRUE(call_as<Attr>(reader, fs::GetAttr{root_}).ok());
}

TEST_F(Tree, everything_is_there_after_a_restart) {
  const Attr dir = make_dir(root_, "d");
  const Attr file = make(dir.ino, "f");
  restart();
  EXPECT_EQ(lookup(dir.ino, "f")->ino, file.ino);
  const Attr next = make(dir.ino, "g");
  EXPECT_GT(next.ino, file.ino);
}

TEST_F(Tree, inode_numbers_are_never_used_twice) {
  const Attr file = make(root_, "f");
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  clock_.advance(options_.orphan_grace + std::chrono::seconds(1));
  run_duties();
  EXPECT_TRUE(call<Attr>(fs::GetAttr{file.ino}).failed_with(Errc::stale_handle));
  restart();
  EXPECT_GT(make(root_, "g").ino, file.ino);
}

}  // namespace
}  // namespace aster::primary

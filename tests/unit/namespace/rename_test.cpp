#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using fs::Rename;

class RenameTest : public testing::NamespaceFixture {
 protected:
  Result<fs::Renamed> rename(InodeNo from, std::string name, InodeNo to, std::string new_name) {
    return call<fs::Renamed>(Rename{from, std::move(name), to, std::move(new_name)});
  }
  Result<fs::Renamed> exchange(InodeNo from, std::string name, InodeNo to, std::string new_name) {
    Rename op{from, std::move(name), to, std::move(new_name)};
    op.exchange = true;
    return call<fs::Renamed>(op);
  }
};

TEST_F(RenameTest, moves_a_file_between_directories) {
  const Attr a = make_dir(root_, "a");
  const Attr file = make(root_, "f");
  clock_.advance(std::chrono::seconds(1));
  const auto moved = rename(root_, "f", a.ino, "g");
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->moved.ino, file.ino);
  EXPECT_EQ(moved->moved.ctime, clock_.now_ns());
  EXPECT_FALSE(moved->replaced);
  EXPECT_TRUE(lookup(root_, "f").failed_with(Errc::not_found));
  EXPECT_EQ(lookup(a.ino, "g")->ino, file.ino);
  EXPECT_EQ(attr(root_).mtime, clock_.now_ns());
  EXPECT_EQ(attr(a.ino).mtime, clock_.now_ns());
}

TEST_F(RenameTest, replaces_a_file) {
  const Attr f = make(root_, "f");
  const Attr g = make(root_, "g");
  const auto moved = rename(root_, "f", root_, "g");
  ASSERT_TRUE(moved.ok());
  ASSERT_TRUE(moved->replaced);
  EXPECT_EQ(moved->replaced->ino, g.ino);
  EXPECT_EQ(moved->replaced->nlink, 0u);
  EXPECT_EQ(lookup(root_, "g")->ino, f.ino);
  EXPECT_EQ(call<fs::DirPage>(fs::ReadDir{root_})->entries.size(), 1u);
}

TEST_F(RenameTest, replacing_one_of_two_names_keeps_the_other) {
  make(root_, "f");
  const Attr g = make(root_, "g");
  ASSERT_TRUE(call<Attr>(fs::Link{g.ino, root_, "h"}).ok());
  const auto moved = rename(root_, "f", root_, "g");
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->replaced->nlink, 1u);
  EXPECT_EQ(lookup(root_, "h")->ino, g.ino);
}

TEST_F(RenameTest, two_names_of_one_inode_stay) {
  const Attr f = make(root_, "f");
  ASSERT_TRUE(call<Attr>(fs::Link{f.ino, root_, "g"}).ok());
  const auto moved = rename(root_, "f", root_, "g");
  ASSERT_TRUE(moved.ok());
  EXPECT_FALSE(moved->replaced);
  EXPECT_TRUE(lookup(root_, "f").ok());
  EXPECT_EQ(attr(f.ino).nlink, 2u);
}

TEST_F(RenameTest, no_replace_refuses) {
  make(root_, "f");
  make(root_, "g");
  Rename op{root_, "f", root_, "g"};
  op.no_replace = true;
  EXPECT_TRUE(call<fs::Renamed>(op).failed_with(Errc::exists));
  op.new_name = "h";
  EXPECT_TRUE(call<fs::Renamed>(op).ok());
  op.exchange = true;
  EXPECT_TRUE(call<fs::Renamed>(op).failed_with(Errc::bad_request));
}

TEST_F(RenameTest, replaces_only_empty_directories) {
  const Attr a = make_dir(root_, "a");
  const Attr b = make_dir(root_, "b");
  const Attr in_b = make(b.ino, "f");
  EXPECT_TRUE(rename(root_, "a", root_, "b").failed_with(Errc::not_empty));
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{b.ino, "f"}).ok());
  const auto moved = rename(root_, "a", root_, "b");
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->replaced->ino, b.ino);
  EXPECT_EQ(attr(b.ino).nlink, 0u);
  EXPECT_EQ(attr(root_).nlink, 3u);
  EXPECT_EQ(lookup(root_, "b")->ino, a.ino);
  EXPECT_NE(in_b.ino, a.ino);
}

TEST_F(RenameTest, kinds_must_agree) {
  make_dir(root_, "d");
  make(root_, "f");
  EXPECT_TRUE(rename(root_, "d", root_, "f").failed_with(Errc::not_directory));
  EXPECT_TRUE(rename(root_, "f", root_, "d").failed_with(Errc::is_directory));
  EXPECT_TRUE(rename(root_, "none", root_, "x").failed_with(Errc::not_found));
}

TEST_F(RenameTest, directory_moves_with_its_parent_link) {
  const Attr a = make_dir(root_, "a");
  const Attr b = make_dir(root_, "b");
  const Attr d = make_dir(a.ino, "d");
  ASSERT_TRUE(rename(a.ino, "d", b.ino, "e").ok());
  EXPECT_EQ(attr(a.ino).nlink, 2u);
  EXPECT_EQ(attr(b.ino).nlink, 3u);
  EXPECT_EQ(call<fs::DirPage>(fs::ReadDir{d.ino})->parent, b.ino);
}

TEST_F(RenameTest, directory_cannot_move_into_itself) {
  const Attr a = make_dir(root_, "a");
  const Attr b = make_dir(a.ino, "b");
  const Attr c = make_dir(b.ino, "c");
  EXPECT_TRUE(rename(root_, "a", a.ino, "x").failed_with(Errc::bad_request));
  EXPECT_TRUE(rename(root_, "a", c.ino, "x").failed_with(Errc::bad_request));
  EXPECT_TRUE(exchange(root_, "a", b.ino, "c").failed_with(Errc::bad_request));
  EXPECT_TRUE(exchange(b.ino, "c", root_, "a").failed_with(Errc::bad_request));
  EXPECT_TRUE(rename(b.ino, "c", root_, "a").failed_with(Errc::not_empty));
}

TEST_F(RenameTest, exchange_swaps_file_and_directory) {
  const Attr a = make_dir(root_, "a");
  const Attr b = make_dir(root_, "b");
  const Attr d = make_dir(a.ino, "x");
  const Attr f = make(b.ino, "y");
  const auto swapped = exchange(a.ino, "x", b.ino, "y");
  ASSERT_TRUE(swapped.ok());
  EXPECT_EQ(lookup(a.ino, "x")->ino, f.ino);
  EXPECT_EQ(lookup(b.ino, "y")->ino, d.ino);
  EXPECT_EQ(attr(a.ino).nlink, 2u);
  EXPECT_EQ(attr(b.ino).nlink, 3u);
  EXPECT_EQ(call<fs::DirPage>(fs::ReadDir{d.ino})->parent, b.ino);
  EXPECT_TRUE(exchange(a.ino, "x", b.ino, "none").failed_with(Errc::not_found));
}

TEST_F(RenameTest, held_replaced_file_survives_while_held) {
  caller_ = open_session();
  make(root_, "f");
  const Attr g = make(root_, "g");
  ASSERT_TRUE(write(g.ino, 0, "old content").ok());
  Rename op{root_, "f", root_, "g"};
  op.hold = true;
  ASSERT_TRUE(call<fs::Renamed>(op).ok());
  clock_.advance(options_.orphan_grace * 2);
  service_->touch_session(caller_);
  run_duties();
  EXPECT_EQ(content(g.ino), "old content");
}

}  // namespace
}  // namespace aster::primary

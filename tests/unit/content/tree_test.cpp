#include "tests/unit/content/content_fixture.h"

namespace aster::content {
namespace {

class TreeOps : public testing::ContentFixture {
 protected:
  Failures copy(Path from, Path to, bool deep = true) {
    return run_blocking(tree_->copy(spot(std::move(from)), spot(std::move(to)), deep));
  }
  void set_xattr(InodeNo ino, const std::string& name, const std::string& value) {
    ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, name, value}).ok());
  }
  std::string xattr(InodeNo ino, const std::string& name) {
    const auto got = call<fs::XattrValue>(fs::GetXattr{ino, name});
    return got.ok() ? got->value : "(none)";
  }
};

TEST_F(TreeOps, finds_what_is_there_and_says_what_is_missing) {
  const fs::Attr dir = make_dir(root_, "d");
  make(dir.ino, "f");
  EXPECT_TRUE(spot({}).is_directory());
  EXPECT_TRUE(spot({}).is_root());
  EXPECT_EQ(spot({"d"}).node->ino, dir.ino);
  EXPECT_TRUE(spot({"d", "f"}).is_file());
  EXPECT_EQ(spot({"d", "f"}).above.size(), 2u);
  const Spot missing = spot({"d", "g"});
  EXPECT_TRUE(missing.has_parent);
  EXPECT_FALSE(missing.node);
  EXPECT_EQ(missing.parent().ino, dir.ino);
  EXPECT_FALSE(spot({"x", "y"}).has_parent);
  EXPECT_FALSE(spot({"d", "f", "y"}).has_parent) << "a file is no directory";
}

TEST_F(TreeOps, copies_extents_attributes_and_everything_below) {
  const fs::Attr dir = make_dir(root_, "d");
  const fs::Attr sub = make_dir(dir.ino, "sub");
  const auto file = put_new("f", some_bytes(200'000));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{root_, "f", sub.ino, "f"}).ok());
  make(dir.ino, "link", fs::FileType::symlink);
  for (int i = 0; i < 300; ++i) make(dir.ino, "n" + std::to_string(i));
  set_xattr(dir.ino, "user.dav.x", "on the directory");
  set_xattr(file->ino, "user.dav.y", "on the file");
  const size_t objects = backends_.count();

  EXPECT_TRUE(copy({"d"}, {"e"}).empty());
  EXPECT_EQ(backends_.count(), objects) << "bytes moved";
  const Spot copied = spot({"e", "sub", "f"});
  ASSERT_TRUE(copied.is_file());
  EXPECT_NE(copied.node->ino, file->ino);
  EXPECT_TRUE(*read(*copied.node) == some_bytes(200'000));
  EXPECT_EQ(xattr(copied.node->ino, "user.dav.y"), "on the file");
  EXPECT_EQ(xattr(spot({"e"}).node->ino, "user.dav.x"), "on the directory");
  EXPECT_EQ(spot({"e", "link"}).node->target, "there");
  EXPECT_TRUE(spot({"e", "n299"}).is_file());
}

TEST_F(TreeOps, a_shallow_copy_is_empty) {
  const fs::Attr dir = make_dir(root_, "d");
  make(dir.ino, "f");
  set_xattr(dir.ino, "user.p", "v");
  EXPECT_TRUE(copy({"d"}, {"e"}, false).empty());
  EXPECT_FALSE(spot({"e", "f"}).node);
  EXPECT_EQ(xattr(spot({"e"}).node->ino, "user.p"), "v");
}

TEST_F(TreeOps, copying_onto_a_file_replaces_its_content_and_attributes) {
  const auto from = put_new("from", "new");
  const auto to = put_new("to", "much older content");
  ASSERT_TRUE(from.ok() && to.ok());
  set_xattr(from->ino, "user.a", "1");
  set_xattr(to->ino, "user.b", "2");
  EXPECT_TRUE(copy({"from"}, {"to"}).empty());
  const Spot now = spot({"to"});
  EXPECT_EQ(now.node->ino, to->ino);
  EXPECT_EQ(*read(*now.node), "new");
  EXPECT_EQ(xattr(to->ino, "user.a"), "1");
  EXPECT_EQ(xattr(to->ino, "user.b"), "(none)");
}

TEST_F(TreeOps, a_copy_onto_something_says_what_failed) {
  const fs::Attr dir = make_dir(root_, "d");
  make(dir.ino, "f");
  make(root_, "e");
  const Failures failures = copy({"d"}, {"e"});
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].path, Path{"e"});
  EXPECT_EQ(failures[0].error.code, Errc::exists);
}

TEST_F(TreeOps, removes_everything_below) {
  const fs::Attr dir = make_dir(root_, "d");
  const fs::Attr sub = make_dir(make_dir(dir.ino, "sub").ino, "sub");
  for (int i = 0; i < 600; ++i) make(sub.ino, "n" + std::to_string(i));
  EXPECT_TRUE(run_blocking(tree_->remove(spot({"d"}))).empty());
  EXPECT_FALSE(spot({"d"}).node);
  EXPECT_EQ(sql<int64_t>("SELECT count(*) FROM inodes WHERE nlink > 0"), 1);
}

TEST_F(TreeOps, a_read_only_caller_removes_and_copies_nothing) {
  make(make_dir(root_, "d").ino, "f");
  primary::Caller reader = caller_;
  reader.read_only = true;
  Tree tree(*service_, reader, root_);
  const Failures failures = run_blocking(tree.remove(spot({"d"})));
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].path, (Path{"d", "f"}));
  EXPECT_EQ(failures[0].error.code, Errc::read_only);
  EXPECT_EQ(run_blocking(tree.copy(spot({"d"}), spot({"e"}), true)).size(), 1u);
  EXPECT_TRUE(run_blocking(tree.make_directory(spot({"x"}))).failed_with(Errc::read_only));
  EXPECT_TRUE(spot({"d", "f"}).is_file());
}

TEST_F(TreeOps, moves_and_never_replaces_what_appeared_meanwhile) {
  make(root_, "a");
  const Spot from = spot({"a"});
  const Spot to = spot({"b"});
  make(root_, "b");
  EXPECT_TRUE(run_blocking(tree_->move(from, to)).failed_with(Errc::exists));
  EXPECT_TRUE(run_blocking(tree_->move(from, spot({"b"}))).ok());
  EXPECT_FALSE(spot({"a"}).node);
}

}  // namespace
}  // namespace aster::content

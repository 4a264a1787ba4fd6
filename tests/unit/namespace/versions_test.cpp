#include "tests/unit/namespace/keeping_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using std::chrono::hours;
using std::chrono::minutes;
using Versions = KeepingFixture;

TEST_F(Versions, replaced_content_becomes_a_version_at_most_once_in_a_while) {
  const InodeNo ino = file(root_, "f", "one one");
  ASSERT_TRUE(write(ino, 0, "two").ok());
  clock_.advance(minutes(1));
  ASSERT_TRUE(write(ino, 0, "2.1").ok());
  ASSERT_EQ(versions(ino).size(), 1u);
  EXPECT_EQ(content(versions(ino)[0].attr.ino), "one one");
  clock_.advance(minutes(10));
  ASSERT_TRUE(write(ino, 0, "three is long").ok());
  const auto all = versions(ino);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(content(all[0].attr.ino), "2.1 one");
  EXPECT_EQ(content(ino), "three is long");
  EXPECT_EQ(used(), 13u) << "versions do not count";
  collect();
  EXPECT_EQ(content(all[1].attr.ino), "one one");
}

TEST_F(Versions, growing_and_new_files_have_no_versions) {
  const InodeNo ino = file(root_, "log", "line\n");
  ASSERT_TRUE(write(ino, 5, "more\n").ok());
  fs::SetAttr longer;
  longer.ino = ino;
  longer.size = 100;
  ASSERT_TRUE(call<Attr>(longer).ok());
  ASSERT_TRUE(write(ino, 50, "in the hole").ok());
  EXPECT_TRUE(versions(ino).empty());
  const InodeNo fresh = make(root_, "fresh").ino;
  ASSERT_TRUE(write(fresh, 0, "draft").ok());
  clock_.advance(minutes(5));
  ASSERT_TRUE(write(fresh, 0, "final").ok());
  EXPECT_TRUE(versions(fresh).empty());
}

TEST_F(Versions, cutting_and_copying_over_make_versions_too) {
  const InodeNo ino = file(root_, "f", "content");
  const InodeNo source = file(root_, "source", "SOURCE");
  fs::SetAttr cut;
  cut.ino = ino;
  cut.size = 0;
  ASSERT_TRUE(call<Attr>(cut).ok());
  ASSERT_TRUE(write(ino, 0, "again").ok());
  ASSERT_EQ(versions(ino).size(), 1u);
  EXPECT_EQ(content(versions(ino)[0].attr.ino), "content");
  grow_old();
  ASSERT_TRUE(call<Attr>(fs::CopyRange{source, 0, ino, 0, 3}).ok());
  ASSERT_EQ(versions(ino).size(), 2u);
  EXPECT_EQ(content(versions(ino)[0].attr.ino), "again");
  EXPECT_EQ(content(ino), "SOUin");
}

TEST_F(Versions, versions_are_limited_in_count_and_age) {
  const InodeNo ino = file(root_, "f", "0");
  for (const char* text : {"1", "2", "3", "4", "5"}) {
    ASSERT_TRUE(write(ino, 0, text).ok());
    grow_old();
  }
  const auto all = versions(ino);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(content(all[0].attr.ino), "4");
  EXPECT_EQ(content(all[2].attr.ino), "2");
  collect();
  EXPECT_EQ(backends_.count(), 4u) << "the two dropped ones are gone";
  clock_.advance(options_.keep.version_age);
  collect();
  EXPECT_TRUE(versions(ino).empty());
  EXPECT_EQ(content(ino), "5");
  EXPECT_EQ(backends_.count(), 1u);
}

TEST_F(Versions, a_version_comes_back_and_what_was_there_is_kept) {
  const InodeNo ino = file(root_, "f", "first content");
  ASSERT_TRUE(write(ino, 0, "second").ok());
  fs::SetAttr mode;
  mode.ino = ino;
  mode.mode = 0600;
  ASSERT_TRUE(call<Attr>(mode).ok());
  fs::RestoreVersion op;
  op.id = versions(ino)[0].id;
  const auto back = call<Attr>(op);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->mode, 0600u);
  EXPECT_EQ(content(ino), "first content");
  ASSERT_EQ(versions(ino).size(), 2u);
  EXPECT_EQ(content(versions(ino)[0].attr.ino), "secondcontent");
  const InodeNo copy = make(root_, "copy").ino;
  const fs::Kept newest = versions(ino)[0];
  ASSERT_TRUE(call<Attr>(fs::CopyRange{newest.attr.ino, 0, copy, 0, newest.attr.size}).ok());
  EXPECT_EQ(content(copy), "secondcontent");
}

TEST_F(Versions, versions_do_not_change) {
  const InodeNo ino = file(root_, "f", "first");
  ASSERT_TRUE(write(ino, 0, "other").ok());
  const InodeNo version = versions(ino)[0].attr.ino;
  EXPECT_TRUE(write(version, 0, "x").failed_with(Errc::read_only));
  fs::SetAttr cut;
  cut.ino = version;
  cut.size = 0;
  EXPECT_TRUE(call<Attr>(cut).failed_with(Errc::read_only));
  EXPECT_TRUE(call<Attr>(fs::Link{version, root_, "l"}).failed_with(Errc::not_found));
}

TEST_F(Versions, versions_go_with_their_file_and_come_back_with_it) {
  const InodeNo ino = file(root_, "f", "first");
  ASSERT_TRUE(write(ino, 0, "other").ok());
  unlink(root_, "f");
  collect();
  EXPECT_EQ(versions(ino).size(), 1u) << "while it is in the trash";
  fs::RestoreVersion op;
  op.id = versions(ino)[0].id;
  EXPECT_TRUE(call<Attr>(op).failed_with(Errc::not_found));
  ASSERT_TRUE(restore(trash()[0].id).ok());
  ASSERT_TRUE(call<Attr>(op).ok());
  EXPECT_EQ(content(ino), "first");
  fs::Unlink forever{root_, "f"};
  forever.skip_trash = true;
  ASSERT_TRUE(call<fs::Removed>(forever).ok());
  collect();
  collect();
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM kept"), 0);
}

TEST_F(Versions, versions_survive_composition) {
  const InodeNo ino = make(root_, "f").ino;
  const std::string part(kBlockSize, 'p');
  ASSERT_TRUE(write(ino, 0, part).ok());
  grow_old();
  ASSERT_TRUE(write(ino, kBlockSize, "tail", true).ok());
  ASSERT_TRUE(write(ino, 0, std::string(10, 'n')).ok());
  ASSERT_EQ(versions(ino).size(), 1u);
  clock_.advance(hours(1));
  collect();
  EXPECT_EQ(content(versions(ino)[0].attr.ino), part + "tail");
}

}  // namespace
}  // namespace aster::primary

#include <thread>

#include "protocol/checksum.h"
#include "server/db/backup.h"
#include "tests/unit/namespace/keeping_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Trash = KeepingFixture;

TEST_F(Trash, an_answer_with_long_paths_is_cut_and_goes_on) {
  InodeNo deep = root_;
  for (int i = 0; i < 14; ++i) deep = make_dir(deep, std::string(255, 'd')).ino;
  constexpr size_t kFiles = 400;
  for (size_t i = 0; i < kFiles; ++i) (void)make(deep, "f" + std::to_string(i));
  grow_old();
  for (size_t i = 0; i < kFiles; ++i) unlink(deep, "f" + std::to_string(i));
  const auto first = call<fs::KeptPage>(fs::ListTrash{});
  ASSERT_TRUE(first.ok());
  EXPECT_LT(first->entries.size(), kFiles);
  EXPECT_NE(first->next, 0u);
  EXPECT_EQ(trash().size(), kFiles);
}

TEST_F(Trash, keeps_and_restores_with_everything) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo ino = file(dir, "f", "content");
  fs::SetAttr set;
  set.ino = ino;
  set.mode = 0640;
  set.uid = 12;
  set.mtime = 5'000'000'000;
  ASSERT_TRUE(call<Attr>(set).ok());
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.colour", "red"}).ok());
  const uint64_t files = inodes();
  unlink(dir, "f");
  EXPECT_EQ(used(), 0u) << "what is in the trash does not count";
  EXPECT_EQ(inodes(), files - 1);
  EXPECT_EQ(attr(ino).nlink, 0u);
  const auto kept = trash();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].path, "/d/f");
  EXPECT_EQ(kept[0].attr.ino, ino);
  collect();
  EXPECT_EQ(content(ino), "content") << "readable by its number, never collected";
  const auto back = restore(kept[0].id);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->ino, ino);
  EXPECT_EQ(back->nlink, 1u);
  EXPECT_EQ(back->mode, 0640u);
  EXPECT_EQ(back->uid, 12u);
  EXPECT_EQ(back->mtime, 5'000'000'000);
  EXPECT_EQ(lookup(dir, "f")->ino, ino);
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{ino, "user.colour"})->value, "red");
  EXPECT_EQ(content(ino), "content");
  EXPECT_EQ(used(), 7u);
  EXPECT_EQ(inodes(), files);
  EXPECT_TRUE(trash().empty());
  EXPECT_TRUE(restore(kept[0].id).failed_with(Errc::not_found));
}

TEST_F(Trash, leaves_out_the_young_the_linked_and_what_is_not_wanted) {
  const InodeNo young = make(root_, "young").ino;
  ASSERT_TRUE(write(young, 0, "x").ok());
  clock_.advance(options_.keep.trash_min_age - seconds(1));
  unlink(root_, "young");
  const InodeNo linked = file(root_, "linked", "y");
  ASSERT_TRUE(call<Attr>(fs::Link{linked, root_, "other"}).ok());
  unlink(root_, "linked");
  EXPECT_TRUE(trash().empty());
  unlink(root_, "other");
  EXPECT_EQ(trash().size(), 1u) << "the last name";
  file(root_, "skipped", "z");
  fs::Unlink skip{root_, "skipped"};
  skip.skip_trash = true;
  ASSERT_TRUE(call<fs::Removed>(skip).ok());
  EXPECT_EQ(trash().size(), 1u);
  collect();
  EXPECT_EQ(backends_.count(), 1u);
}

TEST_F(Trash, keeps_what_a_rename_replaces_but_not_over_and_over) {
  const InodeNo first = file(root_, "f", "first");
  for (const char* text : {"second", "third"}) {
    const InodeNo next = make(root_, "new").ino;
    ASSERT_TRUE(write(next, 0, text).ok());
    clock_.advance(minutes(1));
    fs::Rename rename{root_, "new", root_, "f"};
    ASSERT_TRUE(call<fs::Renamed>(rename).ok());
  }
  const auto kept = trash();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].attr.ino, first);
  EXPECT_TRUE(restore(kept[0].id).failed_with(Errc::exists));
  fs::RestoreTrash beside;
  beside.id = kept[0].id;
  beside.parent = root_;
  beside.name = "before";
  ASSERT_TRUE(call<Attr>(beside).ok());
  EXPECT_EQ(content(lookup(root_, "before")->ino), "first");
  EXPECT_EQ(content(lookup(root_, "f")->ino), "third");
}

TEST_F(Trash, directories_say_so_for_everything_below) {
  const InodeNo off = make_dir(root_, "off").ino;
  const InodeNo below = make_dir(off, "below").ino;
  const InodeNo on = make_dir(below, "on").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{off, "user.aster.trash", "off"}).ok());
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{on, "user.aster.trash", "on"}).ok());
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{off, "user.aster.trash", "perhaps"})
                  .failed_with(Errc::bad_request));
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{below, "user.aster.trash"})->value, "off");
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{on, "user.aster.trash"})->value, "on");
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{root_, "user.aster.trash"})->value, "on");
  file(below, "f", "1");
  const InodeNo kept = file(on, "g", "2");
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{kept, "user.aster.trash", "on"})
                  .failed_with(Errc::not_permitted));
  unlink(below, "f");
  unlink(on, "g");
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].attr.ino, kept);
  // A directory that something kept was in is kept all the same: there must be a way back.
  rmdir(below, "on");
  rmdir(off, "below");
  rmdir(root_, "off");
  EXPECT_EQ(trash().size(), 4u);
  ASSERT_TRUE(restore(trash().back().id).ok());
  EXPECT_EQ(content(lookup(on, "g")->ino), "2");
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{below, "user.aster.trash"})->value, "off");
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{off, "user.aster.trash"}).ok());
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{below, "user.aster.trash"})->value, "on");
}

TEST_F(Trash, brings_a_tree_back_from_its_deepest_file) {
  const InodeNo a = make_dir(root_, "a").ino;
  const InodeNo b = make_dir(a, "b").ino;
  fs::SetAttr mode;
  mode.ino = b;
  mode.mode = 0700;
  ASSERT_TRUE(call<Attr>(mode).ok());
  file(b, "deep", "deep");
  file(a, "flat", "");
  unlink(b, "deep");
  rmdir(a, "b");
  unlink(a, "flat");
  rmdir(root_, "a");
  fs::ListTrash tops;
  tops.tops = true;
  ASSERT_EQ(trash(tops).size(), 1u);
  EXPECT_EQ(trash(tops)[0].path, "/a");
  fs::ListTrash inside;
  inside.parent = a;
  EXPECT_EQ(trash(inside).size(), 2u);
  fs::ListTrash under;
  under.under = "/a/b";
  ASSERT_EQ(trash(under).size(), 2u);
  EXPECT_EQ(trash(under)[1].path, "/a/b/deep");
  collect();
  ASSERT_TRUE(restore(trash(under)[1].id).ok());
  EXPECT_EQ(lookup(root_, "a")->ino, a);
  EXPECT_EQ(lookup(a, "b")->ino, b);
  EXPECT_EQ(lookup(a, "b")->mode, 0700u);
  EXPECT_EQ(attr(a).nlink, 3u);
  EXPECT_EQ(content(lookup(b, "deep")->ino), "deep");
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].path, "/a/flat");
}

TEST_F(Trash, goes_into_the_directory_that_has_the_name_now) {
  const InodeNo old = make_dir(root_, "d").ino;
  file(old, "f", "x");
  unlink(old, "f");
  rmdir(root_, "d");
  const InodeNo now = make_dir(root_, "d").ino;
  EXPECT_NE(now, old);
  fs::ListTrash all;
  const uint64_t id = trash(all).back().id;
  ASSERT_TRUE(restore(id).ok());
  EXPECT_EQ(content(lookup(now, "f")->ino), "x");
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_TRUE(restore(trash()[0].id).failed_with(Errc::exists));
}

TEST_F(Trash, a_file_in_the_way_of_a_directory_is_said_so) {
  const InodeNo dir = make_dir(root_, "d").ino;
  file(dir, "f", "x");
  unlink(dir, "f");
  rmdir(root_, "d");
  make(root_, "d");
  const auto back = restore(trash().back().id);
  ASSERT_TRUE(back.failed_with(Errc::exists));
  EXPECT_NE(back.error().context.find("another place"), std::string::npos);
}

TEST_F(Trash, ends_after_its_time_the_oldest_first) {
  file(root_, "old", "old");
  unlink(root_, "old");
  clock_.advance(hours(24 * 20));
  const InodeNo newer = file(root_, "newer", "newer");
  unlink(root_, "newer");
  clock_.advance(hours(24 * 15));
  collect();
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].attr.ino, newer);
  EXPECT_EQ(backends_.count(), 1u);
  clock_.advance(hours(24 * 30));
  collect();
  EXPECT_TRUE(trash().empty());
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM kept"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM inodes"), 1) << "the root";
}

TEST_F(Trash, is_bounded_by_a_share_of_the_quota) {
  set_quota(1000);  // a quarter of it
  for (const char* name : {"a", "b", "c"}) {
    file(root_, name, std::string(100, *name));
    unlink(root_, name);
  }
  EXPECT_EQ(used(), 0u);
  run_duties();
  const auto kept = trash();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[1].name, "b");
}

TEST_F(Trash, restoring_keeps_the_quota) {
  file(root_, "f", std::string(600, 'a'));
  unlink(root_, "f");
  file(root_, "g", std::string(600, 'b'));
  set_quota(1000);
  EXPECT_TRUE(restore(trash()[0].id).failed_with(Errc::quota_exceeded));
  EXPECT_EQ(trash().size(), 1u);
  EXPECT_EQ(used(), 600u);
  set_quota(1200);
  EXPECT_TRUE(restore(trash()[0].id).ok());
  EXPECT_EQ(used(), 1200u);
}

TEST_F(Trash, what_is_written_on_after_its_removal_is_the_programs_own) {
  const Caller session = open_session();
  const InodeNo ino = file(root_, "log", "line");
  fs::Unlink unlink{root_, "log"};
  unlink.hold = true;
  ASSERT_TRUE(call_as<fs::Removed>(session, unlink).ok());
  EXPECT_EQ(trash().size(), 1u);
  EXPECT_EQ(used(), 0u);
  ASSERT_TRUE(write(ino, 4, " more").ok());
  EXPECT_TRUE(trash().empty());
  EXPECT_EQ(used(), 9u) << "it counts again";
  clock_.advance(options_.orphan_grace);
  ASSERT_TRUE(run_blocking(service_->close_session(session)).ok());
  collect();
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(Trash, an_emptied_file_that_somebody_has_open_stays_until_released) {
  const Caller session = open_session();
  const InodeNo ino = file(root_, "f", "data");
  fs::Unlink unlink{root_, "f"};
  unlink.hold = true;
  ASSERT_TRUE(call_as<fs::Removed>(session, unlink).ok());
  fs::EmptyTrash empty;
  empty.until = clock_.now_ns();
  EXPECT_EQ(call<fs::Counted>(empty)->count, 1u);
  EXPECT_TRUE(trash().empty());
  run_duties();
  EXPECT_EQ(content(ino), "data");
  ASSERT_TRUE(write(ino, 4, "!").ok()) << "and may be written";
  EXPECT_EQ(content(ino), "data!");
  EXPECT_EQ(used(), 5u);
  ASSERT_TRUE(call_as<fs::Empty>(session, fs::Release{ino}).ok());
  collect();
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(Trash, emptying_takes_what_is_below_along) {
  const InodeNo dir = make_dir(root_, "d").ino;
  file(dir, "f", "x");
  unlink(dir, "f");
  rmdir(root_, "d");
  file(root_, "other", "y");
  unlink(root_, "other");
  fs::EmptyTrash one;
  one.id = trash()[1].id;
  ASSERT_TRUE(call<fs::Counted>(one).ok());
  run_duties();
  ASSERT_EQ(trash().size(), 1u);
  EXPECT_EQ(trash()[0].name, "other");
  EXPECT_EQ(sql<int>("SELECT count(*) FROM inodes"), 2);
}

TEST_F(Trash, is_each_workspaces_own) {
  file(root_, "f", "x");
  unlink(root_, "f");
  Caller stranger = caller_;
  stranger.workspace = *run_blocking(service_->create_workspace("other"));
  EXPECT_TRUE(call_as<fs::KeptPage>(stranger, fs::ListTrash{})->entries.empty());
  fs::RestoreTrash restore;
  restore.id = trash()[0].id;
  EXPECT_TRUE(call_as<Attr>(stranger, restore).failed_with(Errc::not_found));
  fs::EmptyTrash empty;
  empty.id = restore.id;
  EXPECT_TRUE(call_as<fs::Counted>(stranger, empty).failed_with(Errc::not_found));
  Caller reader = caller_;
  reader.read_only = true;
  EXPECT_TRUE(call_as<Attr>(reader, restore).failed_with(Errc::read_only));
}

TEST_F(Trash, a_repeated_restore_is_answered_once_more) {
  const InodeNo ino = file(root_, "f", "x");
  unlink(root_, "f");
  fs::RestoreTrash op;
  op.id = trash()[0].id;
  const OperationId id = OperationId::random();
  ASSERT_TRUE(call<Attr>(op, id).ok());
  restart();
  const auto again = call<Attr>(op, id);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->ino, ino);
}

TEST_F(Trash, many_at_once_are_all_there) {
  constexpr int kFiles = 200;
  for (int i = 0; i < kFiles; ++i) make(root_, std::to_string(i));
  grow_old();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = t; i < kFiles; i += 4) unlink(root_, std::to_string(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  fs::ListTrash few;
  few.limit = 7;
  const auto kept = trash(few);
  ASSERT_EQ(kept.size(), size_t{kFiles});
  threads.clear();
  std::atomic<int> restored{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {  // all try all: each comes back once
      for (const fs::Kept& one : kept) restored += restore(one.id).ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(restored, kFiles);
  EXPECT_EQ(inodes(), kFiles + 1u);
}

TEST_F(Trash, survives_rewriting_of_packs) {
  // Two files share an object; the other one goes, and this one is in the trash.
  const InodeNo ino = make(root_, "kept").ino;
  const InodeNo other = make(root_, "other").ino;
  std::string pack(300'000, 'o');
  pack.replace(0, 4, "kept");
  fs::NewObject object = upload(ino, pack);
  BlockChecksums sums;
  sums.update(as_bytes(pack));
  object.crc32c = sums.finish();
  fs::Commit mine{ino};
  mine.extents = {{0, 4, object.id, 0}};
  mine.objects = {object};
  ASSERT_TRUE(call<Attr>(mine).ok());
  fs::Commit theirs{other};
  theirs.extents = {{0, 299'996, object.id, 4}};
  ASSERT_TRUE(call<Attr>(theirs).ok());
  grow_old();
  unlink(root_, "kept");
  fs::Unlink gone{root_, "other"};
  gone.skip_trash = true;
  ASSERT_TRUE(call<fs::Removed>(gone).ok());
  collect();
  collect();
  EXPECT_NE(manifest(ino).objects.at(0).id, object.id) << "it was rewritten";
  EXPECT_EQ(content(ino), "kept");
  ASSERT_TRUE(restore(trash()[0].id).ok());
  EXPECT_EQ(content(ino), "kept");
}

TEST_F(Trash, survives_backup_and_restore) {
  const InodeNo ino = file(root_, "f", "precious");
  unlink(root_, "f");
  const uint64_t id = trash()[0].id;
  ASSERT_TRUE(db::back_up({dir_ / "aster.db", dir_ / "copy", hours(24 * 60)}, clock_).ok());
  fs::EmptyTrash empty;
  empty.id = id;
  ASSERT_TRUE(call<fs::Counted>(empty).ok());
  collect();
  EXPECT_EQ(backends_.count(), 1u) << "the backup names it";
  service_.reset();
  database_.reset();
  ASSERT_TRUE(db::restore({dir_ / "copy", dir_ / "aster.db", true}, clock_).ok());
  start();
  ASSERT_TRUE(restore(id).ok());
  EXPECT_EQ(content(ino), "precious");
}

}  // namespace
}  // namespace aster::primary

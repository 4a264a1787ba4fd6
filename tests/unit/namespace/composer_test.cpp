#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class ComposerTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    file_ = make(root_, "f").ino;
  }
  static std::string part(char fill, size_t size = kBlockSize) { return std::string(size, fill); }
  /// Three parts, the last shorter; sealed.
  std::string write_parts() {
    EXPECT_TRUE(write(file_, 0, part('a')).ok());
    EXPECT_TRUE(write(file_, kBlockSize, part('b', 2 * kBlockSize)).ok());
    EXPECT_TRUE(write(file_, 3 * kBlockSize, "tail", true).ok());
    return part('a') + part('b', 2 * kBlockSize) + "tail";
  }
  void due() { clock_.advance(options_.compose_delay); }
  size_t extents() { return manifest(file_).extents.size(); }
  int jobs() { return sql<int>("SELECT count(*) FROM compose_jobs"); }

  InodeNo file_;
};

TEST_F(ComposerTest, sealed_parts_become_one_object) {
  const std::string bytes = write_parts();
  const Attr before = attr(file_);
  run_duties();
  EXPECT_EQ(extents(), 3u);  // not due yet
  due();
  run_duties();
  const fs::Manifest m = manifest(file_);
  ASSERT_EQ(m.extents.size(), 1u);
  ASSERT_EQ(m.objects.size(), 1u);
  EXPECT_EQ(backends_.get(m.objects[0].id), bytes);
  EXPECT_EQ(m.objects[0].crc32c, (std::vector<uint32_t>{crc(0), crc(0), crc(kBlockSize), crc(0)}));
  EXPECT_EQ(content(file_), bytes);
  EXPECT_EQ(m.attr.data_version, before.data_version);
  EXPECT_EQ(m.attr.change, before.change);
  EXPECT_EQ(jobs(), 0);
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
  EXPECT_EQ(content(file_), bytes);
}

TEST_F(ComposerTest, parts_stay_readable_for_their_grace) {
  write_parts();
  const fs::Manifest old = manifest(file_);
  due();
  run_duties();
  for (const fs::ObjectAccess& part : old.objects) EXPECT_TRUE(backends_.get(part.id));
}

TEST_F(ComposerTest, works_when_the_follower_deletes_parts) {
  backends_.knobs.lock()->parts_kept = false;
  const std::string bytes = write_parts();
  due();
  run_duties();
  EXPECT_EQ(extents(), 1u);
  EXPECT_EQ(content(file_), bytes);
  clock_.advance(std::chrono::seconds(1));
  run_duties();
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 1);
}

TEST_F(ComposerTest, unsealed_file_is_composed_when_idle) {
  ASSERT_TRUE(write(file_, 0, part('a')).ok());
  ASSERT_TRUE(write(file_, kBlockSize, part('b')).ok());
  clock_.advance(std::chrono::minutes(9));
  run_duties();
  EXPECT_EQ(extents(), 2u);
  clock_.advance(std::chrono::minutes(1));
  run_duties();
  EXPECT_EQ(extents(), 1u);
}

TEST_F(ComposerTest, files_that_do_not_qualify_stay) {
  const auto stays = [&](size_t count) {
    due();
    run_duties();
    EXPECT_EQ(extents(), count);
    EXPECT_EQ(sql<int>("SELECT count(*) FROM compose_queue"), 0);
    file_ = make(root_, "f" + std::to_string(file_.value + 1)).ino;
  };
  ASSERT_TRUE(write(file_, 0, "odd length").ok());
  ASSERT_TRUE(write(file_, 10, part('b'), true).ok());
  stays(2);  // block checksums do not line up
  ASSERT_TRUE(write(file_, 0, part('a')).ok());
  ASSERT_TRUE(write(file_, 2 * kBlockSize, part('b'), true).ok());
  stays(2);  // a hole
  ASSERT_TRUE(write(file_, 0, part('a', 3 * kBlockSize)).ok());
  ASSERT_TRUE(write(file_, kBlockSize, part('b'), true).ok());
  stays(3);  // a part that is not whole
  ASSERT_TRUE(write(file_, 0, part('a', 2 * kBlockSize)).ok());
  backends_.knobs.lock()->second_policy_from = 1;
  backends_.knobs.lock()->limits.part_size = kBlockSize;
  ASSERT_TRUE(write(file_, 2 * kBlockSize, part('b'), true).ok());
  stays(2);  // two policies, and complete under the first
  backends_.knobs.lock()->limits.max_object = 2 * kBlockSize - 1;
  ASSERT_TRUE(write(file_, 0, part('a')).ok());
  ASSERT_TRUE(write(file_, kBlockSize, part('b'), true).ok());
  stays(2);  // too large for one object
}

TEST_F(ComposerTest, shared_parts_are_left_alone) {
  write_parts();
  const InodeNo copy = make(root_, "copy").ino;
  ASSERT_TRUE(call<Attr>(fs::CopyRange{file_, 0, copy, 0, 10}).ok());
  due();
  run_duties();
  EXPECT_EQ(extents(), 3u);
}

class ChangedMeanwhile : public ComposerTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(PartsKept, ChangedMeanwhile, ::testing::Bool());

TEST_P(ChangedMeanwhile, overwritten_cut_and_cloned_file_stays_right) {
  std::string bytes = write_parts();
  const InodeNo copy = make(root_, "copy").ino;
  {
    const auto knobs = backends_.knobs.lock();
    knobs->parts_kept = GetParam();
    knobs->before_compose_answers = [&] {
      ASSERT_TRUE(call<Attr>(fs::CopyRange{file_, 100, copy, 7, kBlockSize}).ok());
      ASSERT_TRUE(write(file_, 50, "changed").ok());
      fs::SetAttr cut;
      cut.ino = file_;
      cut.size = 3 * kBlockSize + 1;
      ASSERT_TRUE(call<Attr>(cut).ok());
    };
  }
  due();
  run_duties();
  const std::string copied = std::string(7, '\0') + bytes.substr(100, kBlockSize);
  bytes.replace(50, 7, "changed");
  bytes.resize(3 * kBlockSize + 1);
  EXPECT_EQ(content(file_), bytes);
  EXPECT_EQ(content(copy), copied);
  EXPECT_EQ(extents(), 3u);
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(content(file_), bytes);
  EXPECT_EQ(content(copy), copied);
  EXPECT_EQ(backends_.count(), 2u);  // the whole and the change
}

TEST_P(ChangedMeanwhile, removed_file_leaves_nothing) {
  write_parts();
  {
    const auto knobs = backends_.knobs.lock();
    knobs->parts_kept = GetParam();
    knobs->before_compose_answers = [&] {
      ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
      clock_.advance(options_.orphan_grace);
    };
  }
  due();
  run_duties();
  clock_.advance(options_.object_grace);
  run_duties();
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 0);
}

TEST_P(ChangedMeanwhile, lost_answer_is_settled_after_a_restart) {
  const std::string bytes = write_parts();
  {
    const auto knobs = backends_.knobs.lock();
    knobs->parts_kept = GetParam();
    knobs->compose_loses_answer = true;
  }
  due();
  run_duties();
  EXPECT_EQ(jobs(), 1);
  clock_.advance(options_.object_grace * 2);  // the collector must not take the target
  restart();
  run_duties();
  EXPECT_EQ(jobs(), 0);
  EXPECT_EQ(extents(), 1u);
  EXPECT_EQ(content(file_), bytes);
}

TEST_F(ComposerTest, target_of_unknown_outcome_is_waited_for_then_dropped) {
  const std::string bytes = write_parts();
  backends_.knobs.lock()->compose_error = fail(Errc::unavailable, "connection lost");
  due();
  run_duties();
  clock_.advance(std::chrono::minutes(14));
  run_duties();
  EXPECT_EQ(jobs(), 1);  // the follower may still be at it
  backends_.knobs.lock()->stat_error = fail(Errc::unavailable, "down");
  clock_.advance(std::chrono::minutes(2));
  run_duties();
  EXPECT_EQ(jobs(), 1);  // nobody can tell
  backends_.knobs.lock()->stat_error.reset();
  run_duties();
  EXPECT_EQ(jobs(), 0);
  EXPECT_EQ(content(file_), bytes);
  backends_.knobs.lock()->compose_error.reset();
  clock_.advance(std::chrono::minutes(10));
  run_duties();
  EXPECT_EQ(extents(), 1u);
  EXPECT_EQ(content(file_), bytes);
}

TEST_F(ComposerTest, refused_composition_is_tried_again_later) {
  const std::string bytes = write_parts();
  backends_.knobs.lock()->compose_error = fail(Errc::no_space, "disk full");
  due();
  run_duties();
  EXPECT_EQ(jobs(), 0);
  EXPECT_EQ(content(file_), bytes);
  backends_.knobs.lock()->compose_error.reset();
  clock_.advance(std::chrono::minutes(10));
  run_duties();
  EXPECT_EQ(extents(), 1u);
}

TEST_F(ComposerTest, followers_without_composition_are_asked_once) {
  write_parts();
  backends_.knobs.lock()->compose_error = fail(Errc::unsupported);
  due();
  run_duties();
  EXPECT_EQ(jobs(), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM compose_queue"), 0);
}

TEST_F(ComposerTest, many_parts_make_one_object) {
  const auto grants = call<fs::UploadGrants>(fs::Grant{file_, 1, 64});
  fs::Commit commit;
  commit.ino = file_;
  commit.sealed = true;
  std::string bytes;
  for (size_t i = 0; i < grants->grants.size(); ++i) {
    fs::NewObject object{grants->grants[i].object, kBlockSize, {static_cast<uint32_t>(i)}};
    backends_.put(object.id, part(static_cast<char>('0' + i)));
    bytes += part(static_cast<char>('0' + i));
    commit.extents.push_back({i * kBlockSize, kBlockSize, object.id, 0});
    commit.objects.push_back(object);
  }
  ASSERT_TRUE(call<Attr>(commit).ok());
  due();
  run_duties();
  const fs::Manifest m = manifest(file_);
  ASSERT_EQ(m.objects.size(), 1u);
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(m.objects[0].crc32c[i], i);
  EXPECT_TRUE(content(file_) == bytes);
}

}  // namespace
}  // namespace aster::primary

#include "protocol/checksum.h"
#include "server/primary/rewrite_plan.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

constexpr uint64_t kPart = 8 * kBlockSize;  // 1 MiB

std::string noise(uint64_t seed, size_t size) {
  std::string bytes(size, '\0');
  uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
  for (char& c : bytes) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(x >> 56);
  }
  return bytes;
}
std::vector<uint32_t> sums_of(const std::string& bytes) {
  BlockChecksums sums;
  sums.update(as_bytes(bytes));
  return sums.finish();
}

// ---- the plan

class RewritePlanTest : public ::testing::Test {
 protected:
  /// The next extent, of a new object unless one is named; `object_offset` into it.
  void add(uint64_t length, uint64_t object_offset = 0, uint64_t object = 0, uint64_t size = 0) {
    if (object == 0) object = 100 + objects_.size();
    db::ObjectRow& row = objects_[object];
    row.policy = policy_;
    row.size = std::max({row.size, object_offset + length, size});
    extents_.push_back({end_, length, object, object_offset});
    end_ += length;
  }
  std::optional<RewritePlan> plan() { return plan_rewrite(extents_, objects_, max_object_); }

  std::vector<db::ExtentRow> extents_;
  ObjectRows objects_;
  PolicyId policy_{1};
  uint64_t max_object_ = UINT64_MAX;
  uint64_t end_ = 0;
};

TEST_F(RewritePlanTest, parts_with_a_new_header_become_whole) {
  add(100);  // the header
  add(kPart - 100, 100);
  add(kPart);
  add(kPart + 5);
  const auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->extents.size(), 4u);
  EXPECT_EQ(p->size(), 3 * kPart + 5);
  EXPECT_EQ(p->fresh(), kBlockSize);
  ASSERT_EQ(p->runs.size(), 4u);
  EXPECT_EQ(p->runs[0].object, 0u);
  EXPECT_EQ(p->runs[1].at, kBlockSize);
  EXPECT_EQ(p->runs[1].object_offset, kBlockSize);
  EXPECT_EQ(p->runs[3].length, kPart + 5) << "the last block may be short";
}

TEST_F(RewritePlanTest, a_last_block_that_is_cut_is_fresh) {
  for (int i = 0; i < 3; ++i) add(kPart);
  add(kPart + 5, 0, 0, kPart + 6);
  const auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->fresh(), 5u);
}

TEST_F(RewritePlanTest, what_is_not_aligned_is_fresh_as_a_whole) {
  add(kBlockSize + 1);
  for (int i = 0; i < 3; ++i) add(kPart);
  const auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->fresh(), p->size() - kBlockSize);
}

TEST_F(RewritePlanTest, one_object_with_half_of_it_is_whole_enough) {
  add(2 * kPart, 0, 7);
  add(kPart);
  add(kPart, 2 * kPart, 7);
  EXPECT_FALSE(plan());
}

TEST_F(RewritePlanTest, holes_and_policies_and_the_limit_end_a_stretch) {
  for (int i = 0; i < 3; ++i) add(kPart);
  end_ += 1;
  for (int i = 0; i < 5; ++i) add(kPart);
  auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->extents.size(), 3u);
  max_object_ = 3 * kPart - 1;
  EXPECT_FALSE(plan()) << "too large for one object";
  max_object_ = UINT64_MAX;
  objects_[extents_[1].object].policy = PolicyId(2);
  p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->begin(), 3 * kPart + 1);
}

TEST_F(RewritePlanTest, many_small_changes_within_a_large_object) {
  for (int i = 0; i < 32; ++i) {
    add(4096);
    add(kBlockSize - 4096, end_, 7, 1 << 30);
  }
  add((1 << 30) - end_, end_, 7);
  const auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->extents.size(), 64u) << "what is large stays";
  EXPECT_EQ(p->size(), 32 * kBlockSize);
}

TEST_F(RewritePlanTest, few_small_changes_stay) {
  for (int i = 0; i < 31; ++i) {
    add(4096);
    add(kBlockSize - 4096, end_, 7, 1 << 30);
  }
  add((1 << 30) - end_, end_, 7);
  EXPECT_FALSE(plan());
}

TEST_F(RewritePlanTest, reads_are_bounded) {
  for (int i = 0; i < 4000; ++i) {
    add(4096);
    add(3 * kBlockSize - 4096, end_, 7, 4ull << 30);
  }
  const auto p = plan();
  ASSERT_TRUE(p);
  EXPECT_GE(p->extents.size(), 64u);
  EXPECT_LE(p->fresh(), 64u << 20);
  EXPECT_LT(p->extents.size(), extents_.size());
}

// ---- carried out

class ManifestRewriterTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    file_ = make(root_, "f").ino;
  }
  /// With checksums of its bytes.
  void put(uint64_t offset, const std::string& bytes, bool sealed = false) {
    fs::NewObject object = upload(file_, bytes);
    object.crc32c = sums_of(bytes);
    fs::Commit commit;
    commit.ino = file_;
    commit.extents = {{offset, bytes.size(), object.id, 0}};
    commit.objects = {object};
    commit.sealed = sealed;
    ASSERT_TRUE(call<fs::Attr>(commit).ok());
    expected_.resize(std::max<size_t>(expected_.size(), offset + bytes.size()));
    expected_.replace(offset, bytes.size(), bytes);
  }
  /// Four parts and a change of a few bytes, not yet composed.
  void put_parts() {
    for (uint64_t i = 0; i < 4; ++i) put(i * kPart, noise(i, kPart + (i == 3 ? 77 : 0)));
    put(100, "header", true);
  }
  void due() {
    clock_.advance(std::chrono::minutes(10));  // the longest wait before a file is looked at
    run_duties();
  }
  size_t extents() { return manifest(file_).extents.size(); }
  int64_t pending() {
    return sql<int>(
        "SELECT pending_objects FROM workspaces WHERE id=(SELECT MAX(id) FROM "
        "workspaces)");
  }
  void expect_whole(int64_t left_pending = 0) {
    const fs::Manifest m = manifest(file_);
    ASSERT_EQ(m.extents.size(), 1u);
    EXPECT_EQ(backends_.get(m.objects[0].id), expected_);
    EXPECT_EQ(m.objects[0].crc32c, sums_of(expected_));
    EXPECT_EQ(content(file_), expected_);
    EXPECT_EQ(pending(), left_pending) << "what failed attempts left to the collector";
  }

  InodeNo file_;
  std::string expected_;
};

TEST_F(ManifestRewriterTest, parts_of_which_some_was_written_again_become_one_object) {
  put_parts();
  const fs::Attr before = attr(file_);
  EXPECT_EQ(extents(), 6u);
  due();
  expect_whole();
  EXPECT_EQ(backends_.joined(), 5u) << "a fresh block, three times as it was, and its rest";
  EXPECT_EQ(attr(file_).data_version, before.data_version);
  EXPECT_EQ(attr(file_).change, before.change);
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 1u) << "parts and the fresh block are removed";
  EXPECT_EQ(content(file_), expected_);
}

TEST_F(ManifestRewriterTest, many_small_pieces_are_put_together_anew_anywhere) {
  backends_.knobs.lock()->joins_pieces = false;
  for (uint64_t i = 0; i < 100; ++i) put(i * 1000, noise(i, 1000));
  due();
  expect_whole();
  EXPECT_EQ(backends_.joined(), 0u);
}

TEST_F(ManifestRewriterTest, a_follower_that_cannot_join_is_left_alone) {
  backends_.knobs.lock()->joins_pieces = false;
  put_parts();
  due();
  EXPECT_EQ(extents(), 6u);
  EXPECT_EQ(pending(), 0);
  EXPECT_EQ(content(file_), expected_);
}

TEST_F(ManifestRewriterTest, a_clone_keeps_the_old_objects) {
  put_parts();
  const InodeNo clone = make(root_, "clone").ino;
  ASSERT_TRUE(call<fs::Attr>(fs::CopyRange{file_, 0, clone, 0, 2 * kPart}).ok());
  due();
  expect_whole();
  for (int i = 0; i < 3; ++i) {
    clock_.advance(options_.object_grace);
    run_duties();
  }
  EXPECT_EQ(content(clone), expected_.substr(0, 2 * kPart));
  EXPECT_EQ(content(file_), expected_);
}

TEST_F(ManifestRewriterTest, what_was_written_meanwhile_stays) {
  put_parts();
  backends_.knobs.lock()->before_join_answers = [this] {
    backends_.knobs.lock()->before_join_answers = nullptr;
    put(kPart + 10, noise(9, 1000));
  };
  due();
  EXPECT_EQ(content(file_), expected_);
  EXPECT_EQ(extents(), 3u) << "of the new object, around the new bytes";
  EXPECT_EQ(pending(), 0);
}

TEST_F(ManifestRewriterTest, most_of_it_written_meanwhile_drops_the_target) {
  put_parts();
  backends_.knobs.lock()->before_join_answers = [this] {
    backends_.knobs.lock()->before_join_answers = nullptr;
    put(0, noise(9, 3 * kPart));
  };
  due();
  EXPECT_EQ(content(file_), expected_);
  EXPECT_EQ(pending(), 0);
}

TEST_F(ManifestRewriterTest, a_file_that_is_removed_meanwhile) {
  put_parts();
  backends_.knobs.lock()->before_join_answers = [this] {
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f", false}).ok());
  };
  due();
  for (int i = 0; i < 4; ++i) {
    clock_.advance(options_.object_grace + options_.orphan_grace + std::chrono::seconds(1));
    run_duties();
  }
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(ManifestRewriterTest, a_failed_join_is_tried_again_and_leaves_nothing) {
  put_parts();
  backends_.knobs.lock()->join_error = Error(Errc::unavailable, "the follower is away");
  due();
  EXPECT_EQ(extents(), 6u);
  backends_.knobs.lock()->join_error.reset();
  clock_.advance(std::chrono::minutes(10));
  run_duties();
  expect_whole(2);
  clock_.advance(options_.grant_lifetime);
  run_duties();
  clock_.advance(std::chrono::seconds(1));
  run_duties();
  EXPECT_EQ(pending(), 0);
  EXPECT_EQ(backends_.count(), 1u);
}

TEST_F(ManifestRewriterTest, damage_gets_no_good_checksum) {
  put_parts();
  const ObjectId damaged = manifest(file_).objects.at(0).id;
  std::string bytes = *backends_.get(damaged);
  for (char& c : bytes) c ^= 1;
  backends_.put(damaged, bytes);
  due();
  EXPECT_EQ(extents(), 6u);
  EXPECT_EQ(backends_.joined(), 0u);
  EXPECT_EQ(pending(), 0) << "an attempt leaves nothing behind";
}

}  // namespace
}  // namespace aster::primary

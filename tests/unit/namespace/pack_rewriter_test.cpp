#include "protocol/checksum.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

constexpr size_t kFiles = 10;

/// Ten files that share one object.
class PackRewriterTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    std::string pack;
    for (size_t i = 0; i < kFiles; ++i) {
      files_.push_back(make(root_, name(i)).ino);
      pack += text(i);
    }
    object_ = upload(files_[0], pack);
    BlockChecksums sums;
    sums.update(as_bytes(pack));
    object_.crc32c = sums.finish();
    uint64_t at = 0;
    for (size_t i = 0; i < kFiles; ++i) {
      fs::Commit commit;
      commit.ino = files_[i];
      commit.extents = {{0, text(i).size(), object_.id, at}};
      commit.objects = {object_};
      ASSERT_TRUE(call<fs::Attr>(commit).ok());
      at += text(i).size();
    }
  }
  static std::string name(size_t i) { return "f" + std::to_string(i); }
  static std::string text(size_t i) {
    return std::string(40'000 + 100 * i, static_cast<char>('a' + i));
  }
  void remove(size_t i) { ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, name(i), false}).ok()); }
  /// Long enough for every grace period to be over several times.
  void later() {
    for (int i = 0; i < 3; ++i) {
      clock_.advance(options_.object_grace + options_.orphan_grace + std::chrono::seconds(1));
      run_duties();
    }
  }
  ObjectId object_of(size_t i) { return manifest(files_[i]).objects.at(0).id; }

  std::vector<InodeNo> files_;
  fs::NewObject object_;
};

TEST_F(PackRewriterTest, a_pack_of_which_half_is_used_stays) {
  for (size_t i = 0; i < 4; ++i) remove(i);
  later();
  EXPECT_EQ(object_of(9), object_.id);
}

TEST_F(PackRewriterTest, less_than_half_in_use_is_written_anew) {
  for (size_t i = 0; i < kFiles; ++i) {
    if (i != 2 && i != 7 && i != 8) remove(i);
  }
  const fs::Attr before = attr(files_[7]);
  later();
  EXPECT_NE(object_of(2), object_.id);
  EXPECT_EQ(object_of(2), object_of(7));
  EXPECT_EQ(backends_.get(object_of(2)), text(2) + text(7) + text(8));
  for (const size_t i : {2, 7, 8}) EXPECT_EQ(content(files_[i]), text(i));
  EXPECT_EQ(attr(files_[7]).data_version, before.data_version) << "the content is the same";
  EXPECT_EQ(backends_.count(), 1u) << "the old one is removed";
  BlockChecksums sums;
  const std::string expected = text(2) + text(7) + text(8);
  sums.update(as_bytes(expected));
  EXPECT_EQ(manifest(files_[2]).objects[0].crc32c, sums.finish());
  EXPECT_EQ(sql<int>("SELECT pending_objects FROM workspaces WHERE id=(SELECT MAX(id) FROM "
                     "workspaces)"),
            0);
}

TEST_F(PackRewriterTest, a_clone_of_a_part_moves_along) {
  const InodeNo clone = make(root_, "clone").ino;
  ASSERT_TRUE(call<fs::Attr>(fs::CopyRange{files_[7], 1000, clone, 0, 500}).ok());
  for (size_t i = 0; i < kFiles; ++i) {
    if (i != 7) remove(i);
  }
  later();
  EXPECT_NE(object_of(7), object_.id);
  EXPECT_EQ(content(clone), text(7).substr(1000, 500));
  EXPECT_EQ(content(files_[7]), text(7));
  EXPECT_EQ(backends_.count(), 1u);
}

TEST_F(PackRewriterTest, damage_is_not_given_a_good_checksum) {
  for (size_t i = 1; i < kFiles; ++i) remove(i);
  std::string damaged = *backends_.get(object_.id);
  damaged[10] ^= 1;
  backends_.put(object_.id, damaged);
  later();
  EXPECT_EQ(object_of(0), object_.id);
}

TEST_F(PackRewriterTest, a_failed_write_changes_nothing_and_is_tried_again) {
  for (size_t i = 1; i < kFiles; ++i) remove(i);
  backends_.knobs.lock()->write_error = Error{Errc::no_space, "full"};
  later();
  EXPECT_EQ(object_of(0), object_.id);
  backends_.knobs.lock()->write_error.reset();
  later();
  EXPECT_NE(object_of(0), object_.id);
  EXPECT_EQ(content(files_[0]), text(0));
}

}  // namespace
}  // namespace aster::primary

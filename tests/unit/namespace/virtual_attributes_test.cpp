#include <gtest/gtest.h>

#include "protocol/checksum.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

class VirtualAttributes : public testing::NamespaceFixture {
 protected:
  Result<std::string> get(InodeNo ino, const std::string& name) {
    auto value = call<fs::XattrValue>(fs::GetXattr{ino, name});
    if (!value.ok()) return value.error();
    return value->value;
  }
  std::string text(InodeNo ino, const std::string& name) {
    const Result<std::string> value = get(ino, name);
    return value.ok() ? *value : "error: " + value.error().message();
  }
  /// Like write(), with the checksums that the bytes really have.
  bool write_sound(InodeNo ino, uint64_t offset, const std::string& bytes) {
    fs::Commit commit;
    commit.ino = ino;
    commit.objects = {upload(ino, bytes)};
    BlockChecksums sums;
    sums.update(as_bytes(bytes));
    commit.objects[0].crc32c = sums.finish();
    commit.extents = {{offset, bytes.size(), commit.objects[0].id, 0}};
    return call<fs::Attr>(commit).ok();
  }
};

TEST_F(VirtualAttributes, tell_where_the_bytes_of_a_file_are) {
  backends_.knobs.lock()->second_policy_from = 1 << 20;
  const InodeNo small = make(root_, "small").ino;
  const InodeNo large = make(root_, "large").ino;
  ASSERT_TRUE(write(small, 0, "abc").ok());
  ASSERT_TRUE(write(large, 0, std::string(1 << 20, 'x')).ok());
  EXPECT_EQ(text(small, "user.aster.policy"), "small");
  EXPECT_EQ(text(small, "user.aster.node"), "attic");
  EXPECT_EQ(text(large, "user.aster.policy"), "large");
  EXPECT_EQ(text(large, "user.aster.node"), "(primary)");
  backends_.knobs.lock()->second_policy_from = UINT64_MAX;
  ASSERT_TRUE(write(large, 0, "abc").ok());
  EXPECT_EQ(text(large, "user.aster.policy"), "small\nlarge") << "in order of the file";
}

TEST_F(VirtualAttributes, list_the_extents) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 10, "abc").ok());
  const auto manifest = call<fs::Manifest>(fs::GetManifest{ino, 0, UINT64_MAX});
  ASSERT_TRUE(manifest.ok());
  ASSERT_EQ(manifest->objects.size(), 1u);
  EXPECT_EQ(text(ino, "user.aster.object"), "10 3 " + manifest->objects[0].id.hex() + " 0");
}

TEST_F(VirtualAttributes, of_very_many_extents_fit_into_one_value) {
  const InodeNo ino = make(root_, "f").ino;
  fs::Commit commit;
  commit.ino = ino;
  commit.objects = {upload(ino, std::string(1030, 'x'))};
  for (uint64_t i = 0; i < 1030; ++i) {
    const uint64_t offset = (uint64_t{1} << 50) + i * 2'000'000'000'000;
    commit.extents.push_back({offset, 1, commit.objects[0].id, i});
  }
  ASSERT_TRUE(call<fs::Attr>(commit).ok());
  const std::string lines = text(ino, "user.aster.object");
  EXPECT_LE(lines.size(), fs::kXattrValueMax);
  EXPECT_TRUE(lines.ends_with("\n...")) << lines.size();
  EXPECT_EQ(text(ino, "user.aster.policy"), "small");
  EXPECT_TRUE(get(ino, "user.aster.crc32c").failed_with(Errc::no_attribute));
}

TEST_F(VirtualAttributes, checksum_is_that_of_the_bytes_or_none) {
  const InodeNo ino = make(root_, "f").ino;
  EXPECT_EQ(text(ino, "user.aster.crc32c"), "00000000") << "nothing";
  std::string bytes(kBlockSize * 2, 'a');
  bytes[kBlockSize + 7] = 'b';
  ASSERT_TRUE(write_sound(ino, 0, bytes));
  ASSERT_TRUE(write_sound(ino, bytes.size(), "the rest"));
  bytes += "the rest";
  EXPECT_EQ(text(ino, "user.aster.crc32c"), crc32c_hex(crc32c(as_bytes(bytes))));
  ASSERT_TRUE(write_sound(ino, 5, "in the middle of a block"));
  EXPECT_TRUE(get(ino, "user.aster.crc32c").failed_with(Errc::no_attribute));
  const InodeNo sparse = make(root_, "sparse").ino;
  ASSERT_TRUE(write_sound(sparse, kBlockSize, "x"));
  EXPECT_TRUE(get(sparse, "user.aster.crc32c").failed_with(Errc::no_attribute)) << "a hole";
}

TEST_F(VirtualAttributes, show_policies_and_nodes) {
  EXPECT_EQ(text(root_, "user.aster.policies"),
            "policy\tdefault\tdriver\tnode\tfree\ttotal\ttrouble\n"
            "small\tyes\tremote\tattic\t629145600\t1048576000\t-\n"
            "large\tno\tlocal\t-\t-\t-\tdisk on fire\n");
  EXPECT_EQ(text(root_, "user.aster.nodes"), "node\tstate\nattic\tready\n");
}

TEST_F(VirtualAttributes, are_nothing_to_set_or_list) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, "abc").ok());
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.aster.crc32c", "0"})
                  .failed_with(Errc::not_permitted));
  EXPECT_TRUE(
      call<fs::Empty>(fs::SetXattr{ino, "user.aster.mine", "0"}).failed_with(Errc::not_permitted));
  EXPECT_TRUE(
      call<fs::Empty>(fs::RemoveXattr{ino, "user.aster.policy"}).failed_with(Errc::not_permitted));
  EXPECT_TRUE(call<fs::XattrNames>(fs::ListXattr{ino})->names.empty());
  EXPECT_TRUE(get(ino, "user.aster.unheard").failed_with(Errc::no_attribute));
  EXPECT_TRUE(get(root_, "user.aster.object").failed_with(Errc::no_attribute)) << "a directory";
}

}  // namespace
}  // namespace aster::primary

#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using fs::SetAttr;
using Attributes = testing::NamespaceFixture;

TEST_F(Attributes, absent_fields_stay) {
  const Attr before = make(root_, "f");
  clock_.advance(std::chrono::seconds(1));
  SetAttr op;
  op.ino = before.ino;
  op.mode = 0104755;
  const auto after = call<Attr>(op);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->mode, 04755u);
  EXPECT_EQ(after->uid, before.uid);
  EXPECT_EQ(after->mtime, before.mtime);
  EXPECT_EQ(after->ctime, clock_.now_ns());
  EXPECT_EQ(after->data_version, before.data_version);
  EXPECT_GT(after->change, before.change);
}

TEST_F(Attributes, given_times_are_kept_to_the_nanosecond) {
  SetAttr op;
  op.ino = make(root_, "f").ino;
  op.atime = -1;
  op.mtime = 1'234'567'890'123'456'789;
  op.ctime = 5;
  ASSERT_TRUE(call<Attr>(op).ok());
  const Attr after = attr(op.ino);
  EXPECT_EQ(after.atime, -1);
  EXPECT_EQ(after.mtime, 1'234'567'890'123'456'789);
  EXPECT_EQ(after.ctime, 5);
}

TEST_F(Attributes, size_cuts_and_extends) {
  const Attr file = make(root_, "f");
  ASSERT_TRUE(write(file.ino, 0, "0123456789").ok());
  SetAttr op;
  op.ino = file.ino;
  op.size = 4;
  const auto cut = call<Attr>(op);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->allocated, 4u);
  EXPECT_EQ(content(file.ino), "0123");
  op.size = 6;
  const auto longer = call<Attr>(op);
  ASSERT_TRUE(longer.ok());
  EXPECT_EQ(longer->data_version, cut->data_version + 1);
  EXPECT_EQ(longer->allocated, 4u);
  EXPECT_EQ(content(file.ino), std::string("0123\0\0", 6));
  op.size = 0;
  EXPECT_EQ(call<Attr>(op)->allocated, 0u);
  EXPECT_EQ(sql<int>("SELECT refs FROM objects"), 0);
  EXPECT_EQ(sql<int>("SELECT bytes FROM workspaces"), 0);
}

TEST_F(Attributes, size_is_for_regular_files_within_limits) {
  SetAttr op;
  op.size = 1;
  op.ino = root_;
  EXPECT_TRUE(call<Attr>(op).failed_with(Errc::is_directory));
  op.ino = make(root_, "l", fs::FileType::symlink).ino;
  EXPECT_TRUE(call<Attr>(op).failed_with(Errc::bad_request));
  op.ino = make(root_, "f").ino;
  op.size = uint64_t{INT64_MAX} + 1;
  EXPECT_TRUE(call<Attr>(op).failed_with(Errc::too_large));
  op.size = INT64_MAX;
  EXPECT_TRUE(call<Attr>(op).ok());
  backends_.knobs.lock()->limits.max_file = 100;
  op.ino = make(root_, "g").ino;
  op.size = 101;
  EXPECT_TRUE(call<Attr>(op).failed_with(Errc::too_large));
}

TEST_F(Attributes, xattrs_keep_bytes_and_flags) {
  const InodeNo ino = make(root_, "f").ino;
  const std::string value("a\0\xff", 3);
  EXPECT_TRUE(call<fs::XattrValue>(fs::GetXattr{ino, "user.a"}).failed_with(Errc::no_attribute));
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.a", value, false, true})
                  .failed_with(Errc::no_attribute));
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.a", value, true, false}).ok());
  EXPECT_TRUE(
      call<fs::Empty>(fs::SetXattr{ino, "user.a", "x", true, false}).failed_with(Errc::exists));
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{ino, "user.a"})->value, value);
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.b", ""}).ok());
  EXPECT_EQ(call<fs::XattrNames>(fs::ListXattr{ino})->names,
            (std::vector<std::string>{"user.a", "user.b"}));
  EXPECT_TRUE(call<fs::Empty>(fs::RemoveXattr{ino, "user.a"}).ok());
  EXPECT_TRUE(call<fs::Empty>(fs::RemoveXattr{ino, "user.a"}).failed_with(Errc::no_attribute));
}

TEST_F(Attributes, xattrs_have_limits) {
  const InodeNo ino = make(root_, "f").ino;
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.a", std::string(65537, 'v')})
                  .failed_with(Errc::too_large));
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.a", std::string(65536, 'v')}).ok());
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, std::string(256, 'n'), "v"})
                  .failed_with(Errc::name_too_long));
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "", "v"}).failed_with(Errc::bad_request));
  std::vector<fs::BatchItem> items;
  for (int i = 0; i < 300; ++i) {
    items.push_back({fs::SetXattr{ino, std::string(250, 'n') + std::to_string(i), "v"}, {}});
  }
  const auto answers = batch(caller_, items);
  EXPECT_TRUE(answers[100].ok());
  EXPECT_TRUE(answers[299].failed_with(Errc::no_space));
}

TEST_F(Attributes, statfs_tells_use_and_free_space) {
  const Attr file = make(root_, "f");
  ASSERT_TRUE(write(file.ino, 0, std::string(1000, 'x')).ok());
  const auto statfs = call<fs::StatFsAnswer>(fs::StatFs{root_});
  ASSERT_TRUE(statfs.ok());
  EXPECT_EQ(statfs->free_bytes, 600u << 20);
  EXPECT_EQ(statfs->total_bytes, (600u << 20) + 1000);
  EXPECT_EQ(statfs->files, 2u);
  backends_.knobs.lock()->route_error = fail(Errc::precondition_failed, "no policy");
  EXPECT_TRUE(call<fs::StatFsAnswer>(fs::StatFs{root_}).ok());
}

}  // namespace
}  // namespace aster::primary

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

TEST_F(Attributes, tell_whether_there_are_extended_ones) {
  const Attr made = make(root_, "f");
  EXPECT_TRUE(made.no_xattrs);
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{made.ino, "user.tag", "x"}).ok());
  EXPECT_FALSE(attr(made.ino).no_xattrs);
  EXPECT_FALSE(call<Attr>(fs::Lookup{root_, "f"})->no_xattrs);
  EXPECT_FALSE(call<fs::DirPage>(fs::ReadDir{root_})->entries.at(0).attr.no_xattrs);
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{made.ino, "user.tag"}).ok());
  EXPECT_TRUE(attr(made.ino).no_xattrs);
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

/// Owner rwx, user 1000 rwx, group nothing, mask `mask`, others nothing.
std::string list(char mask) {
  std::string acl(
      "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\7\0\xe8\3\0\0\4\0\0\0\xff\xff\xff\xff"
      "\x10\0\7\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
      44);
  acl[30] = mask;
  return acl;
}

TEST_F(Attributes, access_lists_and_modes_follow_each_other_and_survive_a_restart) {
  const std::string name = "system.posix_acl_access";
  const InodeNo ino = make(root_, "f").ino;
  const Attr before = attr(ino);
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, name, list(6)}).ok());
  EXPECT_EQ(attr(ino).mode, 0760u);
  EXPECT_GT(attr(ino).change, before.change);
  SetAttr chmod;
  chmod.ino = ino;
  chmod.mode = 0740;
  ASSERT_TRUE(call<Attr>(chmod).ok());
  restart();
  EXPECT_EQ(attr(ino).acl, list(4));
  EXPECT_EQ(lookup(root_, "f")->acl, list(4));
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{ino, name})->value, list(4));
  EXPECT_EQ(call<fs::XattrNames>(fs::ListXattr{ino})->names, std::vector<std::string>{name});
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{ino, name}).ok());
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{ino, name}).ok());
  EXPECT_TRUE(call<fs::XattrValue>(fs::GetXattr{ino, name}).failed_with(Errc::no_attribute));
  EXPECT_EQ(attr(ino).mode, 0740u);
}

TEST_F(Attributes, default_lists_belong_to_directories_and_are_handed_down) {
  const std::string name = "system.posix_acl_default";
  const Attr directory = make_dir(root_, "d");
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{directory.ino, name, list(7)}).ok());
  EXPECT_EQ(attr(directory.ino).mode, directory.mode);
  fs::Create create;
  create.parent = directory.ino;
  create.name = "f";
  create.mode = 0664;
  create.umask = 077;
  const auto file = call<Attr>(create);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->mode, 0660u);
  EXPECT_EQ(attr(file->ino).acl.size(), 44u);
  EXPECT_EQ(attr(make_dir(directory.ino, "below").ino).default_acl, list(7));
  EXPECT_TRUE(
      call<fs::Empty>(fs::SetXattr{file->ino, name, list(7)}).failed_with(Errc::access_denied));
  const InodeNo link = make(root_, "l", fs::FileType::symlink).ino;
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{link, name, list(7)}).failed_with(Errc::unsupported));
  EXPECT_TRUE(
      call<fs::Empty>(fs::SetXattr{directory.ino, name, "xx"}).failed_with(Errc::bad_request));
}

TEST_F(Attributes, a_new_inode_gets_the_group_of_a_sgid_directory_and_the_umask_off) {
  const InodeNo directory = make_dir(root_, "d").ino;
  SetAttr op;
  op.ino = directory;
  op.mode = 02775;
  op.gid = 77;
  ASSERT_TRUE(call<Attr>(op).ok());
  fs::Create create;
  create.parent = directory;
  create.name = "f";
  create.mode = 0666;
  create.umask = 022;
  EXPECT_EQ(call<Attr>(create)->gid, 77u);
  EXPECT_EQ(lookup(directory, "f")->mode, 0644u);
  EXPECT_EQ(make_dir(directory, "below").mode, 02755u);
}

TEST_F(Attributes, an_access_moves_atime_on_and_nothing_else) {
  const Attr before = make(root_, "f");
  ASSERT_TRUE(call<fs::Empty>(fs::Touch{before.ino, before.atime + 5}).ok());
  ASSERT_TRUE(call<fs::Empty>(fs::Touch{before.ino, before.atime + 3}).ok());
  const Attr after = attr(before.ino);
  EXPECT_EQ(after.atime, before.atime + 5);
  EXPECT_EQ(after.ctime, before.ctime);
  EXPECT_EQ(after.change, before.change);
  EXPECT_TRUE(call<fs::Empty>(fs::Touch{InodeNo(999), 1}).failed_with(Errc::stale_handle));
  fs::SetAttr set;
  set.ino = before.ino;
  set.atime = 7;
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(call<Attr>(set).ok());
  ASSERT_TRUE(call<fs::Empty>(fs::Touch{before.ino, before.atime + 5}).ok());
  EXPECT_EQ(attr(before.ino).atime, 7);  // the access was before
  primary::Caller reader = caller_;
  reader.read_only = true;
  EXPECT_TRUE(call_as<fs::Empty>(reader, fs::Touch{before.ino, 1}).failed_with(Errc::read_only));
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

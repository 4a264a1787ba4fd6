#include "protocol/fs/acl.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace aster::fs {
namespace {

constexpr uint16_t kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32;

struct Line {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id = 0xffffffff;
};

std::string list(std::initializer_list<Line> lines, char version = 2) {
  std::string out{version, 0, 0, 0};
  for (const Line& line : lines) {
    for (const uint16_t word : {line.tag, line.permissions, static_cast<uint16_t>(line.id),
                                static_cast<uint16_t>(line.id >> 16)}) {
      out += static_cast<char>(word & 0xff);
      out += static_cast<char>(word >> 8);
    }
  }
  return out;
}

/// Owner rwx, user 1000 rwx, group r-x, mask as given, others nothing.
std::string with_mask(uint16_t mask, uint16_t owner = 7, uint16_t other = 0) {
  return list(
      {{kOwner, owner}, {kUser, 7, 1000}, {kOwningGroup, 5}, {kMask, mask}, {kOther, other}});
}

Attr inode(uint32_t mode, FileType type = FileType::regular) {
  Attr attr;
  attr.type = type;
  attr.mode = mode;
  return attr;
}

TEST(Acl, a_list_that_says_no_more_than_a_mode_becomes_the_mode) {
  Attr attr = inode(04644);
  ASSERT_TRUE(set_acl(attr, list({{kOwner, 7}, {kOwningGroup, 5}, {kOther, 1}})).ok());
  EXPECT_EQ(attr.mode, 04751u);
  EXPECT_TRUE(attr.acl.empty());
}

TEST(Acl, the_mode_shows_the_mask_of_an_extended_list) {
  Attr attr = inode(0644);
  ASSERT_TRUE(set_acl(attr, with_mask(6)).ok());
  EXPECT_EQ(attr.mode, 0760u);
  EXPECT_EQ(attr.acl, with_mask(6));
}

TEST(Acl, changing_the_mode_changes_the_mask_and_not_the_group) {
  Attr attr = inode(0);
  ASSERT_TRUE(set_acl(attr, with_mask(7)).ok());
  set_mode(attr, 02641);
  EXPECT_EQ(attr.mode, 02641u);
  EXPECT_EQ(attr.acl, with_mask(4, 6, 1));
  Attr plain = inode(0644);
  set_mode(plain, 0600);
  EXPECT_EQ(plain.mode, 0600u);
  EXPECT_TRUE(plain.acl.empty());
}

TEST(Acl, what_is_no_list_is_refused) {
  const auto refused = [](const std::string& acl) {
    return check_acl(acl).failed_with(Errc::bad_request);
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("abc"));
  EXPECT_TRUE(refused(list({})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kOwningGroup, 5}, {kOther, 1}}, 1)));
  EXPECT_TRUE(refused(with_mask(7).substr(0, 20)));
  EXPECT_TRUE(refused(with_mask(8)));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kOwningGroup, 5}})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kOwner, 7}, {kOwningGroup, 5}, {kOther, 1}})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kUser, 7, 5}, {kOwningGroup, 5}, {kOther, 1}})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kOwningGroup, 5}, {kGroup, 5, 3}, {kOther, 1}})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {kOther, 1}, {kOwningGroup, 5}})));
  EXPECT_TRUE(refused(list({{kOwner, 7}, {3, 7}, {kOwningGroup, 5}, {kOther, 1}})));
  EXPECT_TRUE(check_acl(with_mask(7)).ok());
}

TEST(Acl, the_largest_list_is_what_the_kernel_reads) {
  std::string acl = list({{kOwner, 7}});
  const size_t users = (kAclMax - 4) / 8 - 4;
  for (size_t i = 0; i < users; ++i) {
    acl += list({{kUser, 4, static_cast<uint32_t>(i)}}).substr(4);
  }
  const std::string end = list({{kOwningGroup, 4}, {kMask, 4}, {kOther, 4}}).substr(4);
  EXPECT_TRUE(check_acl(acl + end).ok());
  acl += list({{kUser, 4, 70000}}).substr(4);
  EXPECT_TRUE(check_acl(acl + end).failed_with(Errc::too_large));
}

TEST(Acl, a_default_list_is_inherited_instead_of_the_umask) {
  Attr directory = inode(0755, FileType::directory);
  directory.default_acl = with_mask(7, 7, 5);
  Attr file = inode(0664);
  inherit(directory, 077, file);
  EXPECT_EQ(file.mode, 0664u);
  EXPECT_EQ(file.acl, with_mask(6, 6, 4));
  EXPECT_TRUE(file.default_acl.empty());
  Attr below = inode(0777, FileType::directory);
  inherit(directory, 077, below);
  EXPECT_EQ(below.mode, 0775u);
  EXPECT_EQ(below.acl, directory.default_acl);
  EXPECT_EQ(below.default_acl, directory.default_acl);
}

TEST(Acl, a_short_default_list_only_limits_the_mode) {
  Attr directory = inode(0755, FileType::directory);
  directory.default_acl = list({{kOwner, 6}, {kOwningGroup, 4}, {kOther, 0}});
  Attr file = inode(0777);
  inherit(directory, 077, file);
  EXPECT_EQ(file.mode, 0640u);
  EXPECT_TRUE(file.acl.empty());
}

TEST(Acl, without_a_list_the_umask_counts_and_a_sgid_directory_gives_its_group) {
  Attr directory = inode(02755, FileType::directory);
  directory.gid = 77;
  Attr file = inode(04666);
  inherit(directory, 022, file);
  EXPECT_EQ(file.mode, 04644u);
  EXPECT_EQ(file.gid, 77u);
  Attr below = inode(0777, FileType::directory);
  inherit(directory, 022, below);
  EXPECT_EQ(below.mode, 02755u);
  Attr link = inode(0777, FileType::symlink);
  inherit(directory, 022, link);
  EXPECT_EQ(link.mode, 0777u);
}

}  // namespace
}  // namespace aster::fs

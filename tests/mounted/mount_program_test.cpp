#include <fcntl.h>
#include <sys/xattr.h>

#include <set>

#include "tests/mounted/mount_program_fixture.h"

namespace aster {
namespace {

/// The value, or "error NUMBER".
std::string xattr(const std::string& path, const char* name) {
  char value[4096] = "";
  const ssize_t length = ::getxattr(path.c_str(), name, value, sizeof value);
  if (length < 0) return "error " + std::to_string(errno);
  return std::string(value, static_cast<size_t>(length));
}

TEST_F(MountProgram, refuses_what_cannot_work_with_one_clear_line) {
  EXPECT_EQ(mount({}), 2);
  EXPECT_EQ(mount({place(), "-o", "colour=red"}), 2);
  EXPECT_EQ(output(), "mount.aster: unknown option 'colour'\n");
  EXPECT_EQ(mount({place()}), 1);
  EXPECT_NE(output().find("aster login"), std::string::npos);
  EXPECT_EQ(mount({primary_url(), dir / "missing"}), 1);
  EXPECT_NE(output().find("No such file"), std::string::npos);
  EXPECT_EQ(mount({primary_url(), secret("file", "")}), 1);
  EXPECT_NE(output().find("is not a directory"), std::string::npos);
  EXPECT_EQ(mount({"http://127.0.0.1:1", place(), "--token-file", dir / "token"}), 1);
  EXPECT_EQ(output().find("mount.aster: cannot reach http://127.0.0.1:1"), 0u);
  EXPECT_EQ(output().find('\n'), output().size() - 1);
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountProgram, a_refused_token_is_said_so) {
  set_up_accounts();
  EXPECT_EQ(mount_drive(), 1);
  EXPECT_NE(output().find("refused the token"), std::string::npos) << output();
  EXPECT_EQ(output().find("wrong"), std::string::npos) << "never the token itself";
}

TEST_F(MountProgram, mounts_in_the_background_and_keeps_what_was_closed) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_EQ(output(), "");
  ASSERT_TRUE(is_mounted());
  std::string large(9 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i / 1000);
  write_file(place() + "/small", "hello");
  write_file(place() + "/large", large);
  unmount();
  EXPECT_FALSE(is_mounted());
  std::filesystem::remove_all(dir / "cache");
  std::filesystem::remove(dir / "log");
  ASSERT_EQ(mount_drive(), 0) << output();
  EXPECT_EQ(read_file(place() + "/small"), "hello");
  EXPECT_TRUE(read_file(place() + "/large") == large);
  unmount();
}

TEST_F(MountProgram, a_second_mount_does_not_take_the_cache_of_the_first) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  const std::string second = dir / "second";
  ASSERT_EQ(::mkdir(second.c_str(), 0755), 0);
  EXPECT_EQ(
      mount({primary_url(), second, "-o",
             "token_file=" + (dir / "token").string() + ",cache_dir=" + (dir / "cache").string()}),
      1);
  EXPECT_EQ(output().find("mount.aster: "), 0u);
  unmount();
}

TEST_F(MountProgram, shows_what_another_mount_writes) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  const std::string other = dir / "other";
  ASSERT_EQ(::mkdir(other.c_str(), 0755), 0);
  ASSERT_EQ(
      mount({primary_url(), other, "-o", "cache_size=0,token_file=" + (dir / "token").string()}), 0)
      << output();
  write_file(place() + "/f", "one");
  EXPECT_EQ(read_file(other + "/f"), "one");
  const int open_there = ::open((other + "/f").c_str(), O_RDONLY | O_CLOEXEC);
  write_file(place() + "/f", "two, and longer");
  while (read_file(other + "/f") != "two, and longer") ::usleep(1000);
  char buffer[32] = "";
  EXPECT_EQ(::pread(open_there, buffer, sizeof buffer, 0), 15);
  EXPECT_EQ(::unlink((place() + "/f").c_str()), 0);
  while (::access((other + "/f").c_str(), F_OK) == 0) ::usleep(1000);
  std::memset(buffer, 0, sizeof buffer);
  EXPECT_EQ(::pread(open_there, buffer, sizeof buffer, 0), 15) << "open, though removed";
  ::close(open_there);
  EXPECT_EQ(::umount2(other.c_str(), 0), 0);
  unmount();
}

TEST_F(MountProgram, a_read_only_mount_refuses_changes) {
  set_up_drive();
  ASSERT_EQ(mount_drive(",ro"), 0) << output();
  EXPECT_EQ(::mkdir((place() + "/d").c_str(), 0755), -1);
  EXPECT_EQ(errno, EROFS);
  unmount();
}

TEST_F(MountProgram, explains_itself) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  write_file(place() + "/f", "hello");
  EXPECT_EQ(xattr(place() + "/f", "user.aster.policy"), "presigned");
  EXPECT_EQ(xattr(place() + "/f", "user.aster.durable"), "remote");
  EXPECT_EQ(xattr(place() + "/f", "user.aster.crc32c"), "9a71bb4c");
  EXPECT_EQ(xattr(place() + "/f", "user.aster.node"), "f1");
  EXPECT_TRUE(xattr(place() + "/f", "user.aster.object").starts_with("0 5 "));

  const std::string self = place() + "/.aster";
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(self)) {
    names.insert(entry.path().filename());
    EXPECT_FALSE(read_file(entry.path()).empty()) << entry.path();
  }
  EXPECT_EQ(names, (std::set<std::string>{"cache", "configuration", "nodes", "policies", "state",
                                          "statistics"}));
  EXPECT_NE(read_file(self + "/statistics").find("\ncreate\t1\t0\t"), std::string::npos);
  EXPECT_NE(read_file(self + "/state").find("event_stream\talive\n"), std::string::npos);
  EXPECT_NE(read_file(self + "/configuration").find("server\t" + primary_url()), std::string::npos);
  unmount();
}

TEST_F(MountProgram, verifies_files_down_to_the_nodes_disk) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  ASSERT_EQ(::mkdir((place() + "/d").c_str(), 0755), 0);
  write_file(place() + "/d/sound", std::string(300'000, 's'));
  write_file(place() + "/d/damaged", std::string(300'000, 'd'));
  EXPECT_EQ(verify(place()), 0) << output();
  EXPECT_NE(output().find("2 files, 2 objects, 600000 bytes compared, 0 findings"),
            std::string::npos)
      << output();
  EXPECT_EQ(check(), 0) << output();
  EXPECT_NE(output().find("2 objects asked for\nall is well\n"), std::string::npos) << output();
  const std::string extent = xattr(place() + "/d/damaged", "user.aster.object");
  const std::string object = extent.substr(9, 32);  // "0 300000 OBJECT 0"
  std::string file;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path())) {
    if (entry.path().filename() == object) file = entry.path();
  }
  ASSERT_FALSE(file.empty()) << extent;
  std::string bytes = read_file(file);
  bytes[200'000] ^= 1;
  write_file(file, bytes);
  EXPECT_EQ(verify(place()), 1);
  EXPECT_NE(output().find("/d/damaged: object " + object +
                          " is damaged on the node, in the block at 131072"),
            std::string::npos)
      << output();
  ASSERT_EQ(::unlink(file.c_str()), 0);
  EXPECT_EQ(check(), 1);
  EXPECT_NE(output().find("object that its node has lost: 1\n  object " + object),
            std::string::npos)
      << output();
  EXPECT_EQ(verify(place() + "/d/damaged"), 1);
  EXPECT_NE(output().find("object " + object + " is gone"), std::string::npos) << output();
  EXPECT_EQ(verify(place() + "/d/sound"), 0) << output();
  EXPECT_EQ(verify(dir.path().string()), 1);
  EXPECT_NE(output().find("is not on a mounted drive"), std::string::npos) << output();
  unmount();
}

TEST_F(MountProgram, doctor_finds_a_healthy_drive_and_a_dead_node) {
  set_up_drive();
  const auto doctor = [this](const std::string& mode) {
    ::unlink((dir / "out").c_str());
    Process process =
        start({"--config", (dir / mode / "config.toml").string(), "doctor"}, ASTER_DRIVE_PROGRAM);
    return process.wait().value_or(-1);
  };
  EXPECT_EQ(doctor("primary"), 0) << output();
  for (const char* line :
       {"ok       namespace: all its rules hold\n",
        "ok       policies: new files go to presigned\n", "ok       node f1: http://127.0.0.1:"}) {
    EXPECT_NE(output().find(line), std::string::npos) << line << output();
  }
  follower->stop(std::chrono::seconds(1));
  EXPECT_EQ(doctor("primary"), 1) << output();
  EXPECT_NE(output().find("wrong    node f1: "), std::string::npos) << output();
  EXPECT_EQ(doctor("absent"), 1);
  EXPECT_NE(output().find("absent/config.toml is not there\n"), std::string::npos) << output();
}

TEST_F(MountProgram, keeps_its_own_directory_hidden_and_unchanged) {
  set_up_drive();
  ASSERT_EQ(mount_drive(), 0) << output();
  write_file(place() + "/f", "hello");
  for (const auto& entry : std::filesystem::directory_iterator(place())) {
    EXPECT_EQ(entry.path().filename(), "f");
  }
  const std::string self = place() + "/.aster";
  const auto fails = [](int result, int error) { return result == -1 && errno == error; };
  EXPECT_TRUE(fails(::mkdir(self.c_str(), 0755), EEXIST));
  EXPECT_TRUE(fails(::rmdir(self.c_str()), EPERM));
  EXPECT_TRUE(fails(::rename(self.c_str(), (place() + "/g").c_str()), EPERM));
  EXPECT_TRUE(fails(::rename((place() + "/f").c_str(), (self + "/g").c_str()), EPERM));
  EXPECT_TRUE(fails(::open((self + "/new").c_str(), O_CREAT | O_WRONLY, 0600), EPERM));
  EXPECT_TRUE(fails(::open((self + "/state").c_str(), O_WRONLY), EROFS));
  EXPECT_TRUE(fails(::unlink((self + "/state").c_str()), EPERM));
  EXPECT_TRUE(fails(::chmod((self + "/state").c_str(), 0600), EPERM));
  EXPECT_TRUE(fails(::link((self + "/state").c_str(), (place() + "/g").c_str()), EPERM));
  EXPECT_TRUE(fails(::access((self + "/unheard").c_str(), F_OK), ENOENT));
  EXPECT_TRUE(fails(::setxattr((place() + "/f").c_str(), "user.aster.policy", "x", 1, 0), EPERM));
  EXPECT_EQ(::listxattr((place() + "/f").c_str(), nullptr, 0), 0);
  EXPECT_EQ(::listxattr((self + "/state").c_str(), nullptr, 0), 0);
  unmount();
}

}  // namespace
}  // namespace aster

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  constexpr int kSkipped = 77;
  if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
    std::fputs("needs root and /dev/fuse\n", stderr);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "tests/mounted/mounted_fixture.h"

namespace aster::testing {
namespace {

using Posix = MountedTest;

int touch(const std::string& path, int flags = O_CREAT | O_WRONLY, mode_t mode = 0644) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd >= 0) ::close(fd);
  return fd;
}

std::string names_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(directory.c_str());
  if (dir == nullptr) return outcome(-1);
  while (const dirent* entry = ::readdir(dir)) names.emplace_back(entry->d_name);
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += name + " ";
  return all;
}

std::string contents(const std::string& path) {
  return read_file(path);
}

TEST_F(Posix, names_and_attributes_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const mode_t old = ::umask(027);
    notes.push_back(outcome(::mkdir((d + "/dir").c_str(), 0777)));
    notes.push_back(outcome(::mkdir((d + "/dir").c_str(), 0777)));
    notes.push_back(outcome(touch(d + "/file", O_CREAT | O_EXCL | O_WRONLY, 0666)));
    notes.push_back(outcome(touch(d + "/file", O_CREAT | O_EXCL | O_WRONLY)));
    notes.push_back(outcome(touch(d + "/none/file")));
    notes.push_back(outcome(touch(d + "/file/below")));
    notes.push_back(outcome(::symlink("some/where", (d + "/link").c_str())));
    notes.push_back(outcome(::mkfifo((d + "/fifo").c_str(), 0600)));
    notes.push_back(outcome(::mknod((d + "/socket").c_str(), S_IFSOCK | 0600, 0)));
    notes.push_back(outcome(::link((d + "/file").c_str(), (d + "/dir/hard").c_str())));
    notes.push_back(outcome(::link((d + "/dir").c_str(), (d + "/hard").c_str())));
    for (const char* name : {"", "/dir", "/file", "/link", "/fifo", "/socket", "/dir/hard"}) {
      notes.push_back(facts(d + name));
    }
    char target[64] = "";
    notes.push_back(std::to_string(::readlink((d + "/link").c_str(), target, sizeof target)));
    notes.emplace_back(target);
    notes.push_back(names_in(d));
    notes.push_back(outcome(::rmdir((d + "/dir").c_str())));
    notes.push_back(outcome(::unlink((d + "/dir").c_str())));
    notes.push_back(outcome(::rmdir((d + "/file").c_str())));
    notes.push_back(outcome(::unlink((d + "/file").c_str())));
    notes.push_back(facts(d + "/dir/hard"));
    notes.push_back(outcome(touch(d + "/" + std::string(255, 'n'))));
    notes.push_back(outcome(touch(d + "/" + std::string(256, 'n'))));
    notes.push_back(outcome(touch(d + "/bytes \xff\x01\n")));
    notes.push_back(names_in(d));
    ::umask(old);
  });
}

TEST_F(Posix, rename_matches_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const auto rename2 = [&](const char* from, const char* to, unsigned flags) {
      notes.push_back(
          outcome(::renameat2(AT_FDCWD, (d + from).c_str(), AT_FDCWD, (d + to).c_str(), flags)));
      notes.push_back(names_in(d) + "| " + names_in(d + "/a"));
    };
    ::mkdir((d + "/a").c_str(), 0755);
    ::mkdir((d + "/b").c_str(), 0755);
    ::mkdir((d + "/b/sub").c_str(), 0755);
    touch(d + "/f");
    touch(d + "/g");
    rename2("/f", "/a/f", 0);
    rename2("/a/f", "/g", RENAME_NOREPLACE);
    rename2("/a/f", "/g", 0);
    rename2("/g", "/a", 0);
    rename2("/a", "/g", 0);
    rename2("/a", "/b", 0);
    rename2("/b", "/b/sub/b", 0);
    rename2("/a", "/b", RENAME_EXCHANGE);
    rename2("/g", "/a/sub", RENAME_EXCHANGE);
    rename2("/none", "/x", 0);
    rename2("/g", "/g", 0);
    ::link((d + "/a/sub").c_str(), (d + "/twin").c_str());
    rename2("/twin", "/a/sub", 0);
    notes.push_back(facts(d + "/a") + facts(d + "/b") + facts(d));
  });
}

TEST_F(Posix, writes_at_any_place_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    std::mt19937 random(42);
    const int fd = ::open(path.c_str(), O_CREAT | O_RDWR, 0644);
    for (int i = 0; i < 300; ++i) {
      const auto offset = static_cast<off_t>(random() % 300'000);
      const std::string data(random() % 20'000, static_cast<char>('a' + i % 26));
      if (i % 17 == 0) {
        notes.push_back(outcome(::ftruncate(fd, offset)));
      } else if (i % 5 == 0) {
        std::string back(data.size(), '\0');
        const ssize_t n = ::pread(fd, back.data(), back.size(), offset);
        notes.push_back(std::to_string(n) + " " + std::to_string(std::hash<std::string>()(back)));
      } else {
        notes.push_back(std::to_string(::pwrite(fd, data.data(), data.size(), offset)));
      }
    }
    notes.push_back(outcome(::fsync(fd)));
    ::close(fd);
    notes.push_back(facts(path) + std::to_string(std::hash<std::string>()(contents(path))));
  });
}

TEST_F(Posix, append_and_truncating_open_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    const int one = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    const int two = ::open(path.c_str(), O_WRONLY | O_APPEND);
    for (int i = 0; i < 10; ++i) {
      notes.push_back(std::to_string(::write(i % 2 ? one : two, "line\n", 5)));
    }
    ::close(one);
    ::close(two);
    notes.push_back(contents(path));
    notes.push_back(outcome(touch(path, O_WRONLY | O_TRUNC)));
    notes.push_back(facts(path));
    notes.push_back(outcome(::truncate(path.c_str(), 5000)) + facts(path));
    notes.push_back(outcome(touch(path, O_RDONLY | O_DIRECTORY)));
    notes.push_back(outcome(touch(d, O_WRONLY)));
  });
}

TEST_F(Posix, times_and_permissions_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    touch(path);
    const timespec times[] = {{1'000'000'000, 123'456'789}, {-5, 999'999'999}};
    notes.push_back(outcome(::utimensat(AT_FDCWD, path.c_str(), times, 0)));
    struct stat st {};
    ::stat(path.c_str(), &st);
    notes.push_back(std::to_string(st.st_atim.tv_sec) + "." + std::to_string(st.st_atim.tv_nsec) +
                    " " + std::to_string(st.st_mtim.tv_sec) + "." +
                    std::to_string(st.st_mtim.tv_nsec));
    notes.push_back(outcome(::chmod(path.c_str(), 06755)) + facts(path));
    notes.push_back(outcome(::chown(path.c_str(), 1000, 1001)) + facts(path));
    notes.push_back(outcome(::chmod(path.c_str(), 06755)) + facts(path));
    const int fd = ::open(path.c_str(), O_WRONLY);
    notes.push_back(std::to_string(::write(fd, "x", 1)));
    ::close(fd);
    notes.push_back(facts(path));
    ::mkdir((d + "/shared").c_str(), 0755);
    notes.push_back(outcome(::chown((d + "/shared").c_str(), -1, 77)) +
                    outcome(::chmod((d + "/shared").c_str(), 02775)));
    ::mkdir((d + "/shared/sub").c_str(), 0755);
    touch(d + "/shared/file");
    notes.push_back(facts(d + "/shared/sub") + facts(d + "/shared/file"));
  });
}

TEST_F(Posix, the_time_set_on_an_open_file_outlives_its_close) {
  const std::string path = on_mount("f");
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY, 0644);
  ASSERT_EQ(::write(fd, "data", 4), 4);
  const timespec times[] = {{100, 0}, {200, 0}};
  ASSERT_EQ(::futimens(fd, times), 0);
  ASSERT_EQ(::close(fd), 0);
  struct stat st {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, 200);
  EXPECT_EQ(st.st_size, 4);
}

TEST_F(Posix, extended_attributes_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    touch(path);
    char buffer[100] = "";
    const auto get = [&](const char* name, size_t size) {
      const ssize_t n = ::getxattr(path.c_str(), name, buffer, size);
      notes.push_back(n < 0 ? outcome(-1) : std::to_string(n));
    };
    get("user.a", sizeof buffer);
    notes.push_back(outcome(::setxattr(path.c_str(), "user.a", "value", 5, 0)));
    get("user.a", sizeof buffer);
    get("user.a", 0);
    get("user.a", 2);
    notes.push_back(outcome(::setxattr(path.c_str(), "user.a", "v", 1, XATTR_CREATE)));
    notes.push_back(outcome(::setxattr(path.c_str(), "user.b", "v", 1, XATTR_REPLACE)));
    notes.push_back(outcome(::setxattr(path.c_str(), "user.empty", "", 0, 0)));
    get("user.empty", sizeof buffer);
    notes.push_back(std::to_string(::listxattr(path.c_str(), buffer, sizeof buffer)));
    notes.push_back(std::to_string(::listxattr(path.c_str(), nullptr, 0)));
    notes.push_back(outcome(::removexattr(path.c_str(), "user.a")));
    notes.push_back(outcome(::removexattr(path.c_str(), "user.a")));
  });
}

TEST_F(Posix, an_open_file_without_a_name_works_on) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    const int fd = ::open(path.c_str(), O_CREAT | O_RDWR, 0644);
    notes.push_back(std::to_string(::write(fd, "before ", 7)));
    notes.push_back(outcome(::unlink(path.c_str())));
    notes.push_back(std::to_string(::write(fd, "after", 5)));
    char buffer[32] = "";
    notes.push_back(std::to_string(::pread(fd, buffer, sizeof buffer, 0)));
    notes.emplace_back(buffer);
    struct stat st {};
    notes.push_back(outcome(::fstat(fd, &st)) + std::to_string(st.st_nlink) + " " +
                    std::to_string(st.st_size));
    touch(path);
    notes.push_back(facts(path));
    notes.push_back(outcome(::fsync(fd)) + outcome(::ftruncate(fd, 3)));
    ::fstat(fd, &st);
    notes.push_back(std::to_string(st.st_size) + outcome(::close(fd)));
    notes.push_back(facts(path));
  });
}

TEST_F(Posix, a_removed_working_directory_matches_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/gone";
    ::mkdir(path.c_str(), 0755);
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    notes.push_back(outcome(::rmdir(path.c_str())));
    struct stat st {};
    notes.push_back(outcome(::fstat(fd, &st)) + std::to_string(st.st_nlink));
    notes.push_back(outcome(::openat(fd, "file", O_CREAT | O_WRONLY, 0644)));
    notes.push_back(outcome(::mkdirat(fd, "dir", 0755)));
    DIR* dir = ::fdopendir(fd);
    notes.push_back(::readdir(dir) == nullptr ? "nothing" : "something");
    ::closedir(dir);
  });
}

TEST_F(Posix, shared_mappings_read_and_write) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    const int fd = ::open(path.c_str(), O_CREAT | O_RDWR, 0644);
    ::ftruncate(fd, 300'000);
    auto* map =
        static_cast<char*>(::mmap(nullptr, 300'000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ASSERT_NE(map, MAP_FAILED);
    ::close(fd);
    for (int i = 0; i < 300'000; i += 1000) map[i] = static_cast<char>(i / 1000);
    notes.push_back(outcome(::msync(map, 300'000, MS_SYNC)));
    const std::string once = contents(path);
    map[299'999] = 'z';
    ::munmap(map, 300'000);
    const std::string again = contents(path);
    notes.push_back(std::to_string(std::hash<std::string>()(once)));
    notes.push_back(std::to_string(std::hash<std::string>()(again)));
  });
}

TEST_F(Posix, many_entries_are_listed_completely_while_some_are_removed) {
  compare([](const std::string& d, Notes& notes) {
    for (int i = 0; i < 3000; ++i) touch(d + "/entry-with-a-name-" + std::to_string(i));
    notes.push_back(names_in(d));
    DIR* dir = ::opendir(d.c_str());
    size_t seen = 0;
    while (const dirent* entry = ::readdir(dir)) {
      if (entry->d_name[0] == '.') continue;
      ++seen;
      ::unlink((d + "/" + entry->d_name).c_str());
    }
    ::closedir(dir);
    notes.push_back(std::to_string(seen) + names_in(d));
  });
}

TEST_F(Posix, fallocate_and_copy_file_range_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const int from = ::open((d + "/from").c_str(), O_CREAT | O_RDWR, 0644);
    const int to = ::open((d + "/to").c_str(), O_CREAT | O_RDWR, 0644);
    const std::string data(100'000, 'd');
    ::write(from, data.data(), data.size());
    notes.push_back(outcome(::fallocate(from, 0, 0, 120'000)) + facts(d + "/from"));
    notes.push_back(
        outcome(::fallocate(from, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10'000, 50'000)));
    loff_t in = 5000;
    loff_t out = 100;
    notes.push_back(std::to_string(::copy_file_range(from, &in, to, &out, 80'000, 0)));
    notes.push_back(std::to_string(in) + " " + std::to_string(out));
    notes.push_back(std::to_string(::copy_file_range(from, &in, to, &out, 80'000, 0)));
    ::close(from);
    ::close(to);
    for (const char* name : {"/from", "/to"}) {
      notes.push_back(facts(d + name));
      notes.push_back(std::to_string(std::hash<std::string>()(contents(d + name))));
    }
  });
}

TEST_F(Posix, a_large_file_comes_back_and_many_read_it_at_once) {
  std::string data(16 << 20, '\0');
  std::mt19937_64 random(7);
  for (size_t i = 0; i + 8 <= data.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(data.data() + i, &word, sizeof word);
  }
  write_file(on_mount("large"), data);
  EXPECT_TRUE(read_file(on_mount("large")) == data);
  std::vector<std::thread> readers;
  std::atomic<int> wrong{0};
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&, r] {
      const int fd = ::open(on_mount("large").c_str(), O_RDONLY | O_CLOEXEC);
      std::string piece(1 << 20, '\0');
      for (size_t i = 0; i < 12; ++i) {
        const size_t offset = (i * 7 + static_cast<size_t>(r) * 11) % 15 << 20;
        const ssize_t n = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(offset));
        if (n != 1 << 20 || data.compare(offset, piece.size(), piece) != 0) ++wrong;
      }
      ::close(fd);
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Posix, statfs_shows_the_drive) {
  if (is_real()) GTEST_SKIP() << "needs the fake drive";
  struct statvfs stat {};
  // The first question only starts the first answer on its way.
  do {
    ASSERT_EQ(::statvfs(mount().c_str(), &stat), 0);
  } while (stat.f_blocks == 0);
  EXPECT_EQ(stat.f_blocks * stat.f_frsize, 1ull << 40);
  EXPECT_EQ(stat.f_namemax, 255u);
}

}  // namespace
}  // namespace aster::testing

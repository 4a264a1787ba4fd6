#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "tests/mounted/mounted_fixture.h"
#include "tests/mounted/node_handle.h"

namespace aster::testing {
namespace {

using Content = MountedTest;

int make_file(const std::string& path, int flags = 0) {
  return ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | flags, 0644);
}

std::string digest(const std::string& text) {
  return std::to_string(text.size()) + ":" + std::to_string(std::hash<std::string>()(text));
}

TEST_F(Content, every_kind_of_fallocate_matches_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    const int fd = make_file(path);
    const std::string data(200'000, 'd');
    ::write(fd, data.data(), data.size());
    const auto step = [&](int mode, off_t offset, off_t length) {
      notes.push_back(outcome(::fallocate(fd, mode, offset, length)) + facts(path) +
                      digest(read_file(path)));
    };
    step(FALLOC_FL_KEEP_SIZE, 190'000, 100'000);
    step(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1'000, 70'000);
    step(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 190'000, 70'000);
    step(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 150'000, 100'000);
    step(FALLOC_FL_ZERO_RANGE, 100'000, 200'000);
    step(0, 250'000, 100'000);
    step(FALLOC_FL_PUNCH_HOLE, 0, 10);
    step(0, 0, 0);
    step(0, -1, 10);
    ::close(fd);
  });
}

TEST_F(Content, appends_by_several_at_once_all_arrive) {
  constexpr int kWriters = 4;
  constexpr int kLines = 200;
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      const int fd =
          ::open(on_mount("log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
      for (int i = 0; i < kLines; ++i) {
        char line[16];
        std::snprintf(line, sizeof line, "%d %05d\n", w, i);
        if (::write(fd, line, 8) != 8) ++failed;
      }
      ::close(fd);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 0);
  const std::string all = read_file(on_mount("log"));
  ASSERT_EQ(all.size(), 8u * kWriters * kLines);
  std::set<std::string> lines;
  for (size_t at = 0; at < all.size(); at += 8) lines.insert(all.substr(at, 8));
  EXPECT_EQ(lines.size(), size_t{kWriters} * kLines);
}

TEST_F(Content, one_of_several_exclusive_creates_wins) {
  for (int round = 0; round < 20; ++round) {
    const std::string path = on_mount("lock" + std::to_string(round));
    std::atomic<int> won{0};
    std::atomic<int> strange{0};
    std::vector<std::thread> takers;
    for (int t = 0; t < 4; ++t) {
      takers.emplace_back([&] {
        const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        if (fd >= 0) {
          ++won;
          ::close(fd);
        } else if (errno != EEXIST) {
          ++strange;
        }
      });
    }
    for (std::thread& taker : takers) taker.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(strange, 0);
  }
}

TEST_F(Content, direct_io_and_the_page_cache_agree) {
  constexpr size_t kSize = 1 << 20;
  void* memory = nullptr;
  ASSERT_EQ(::posix_memalign(&memory, 4096, kSize), 0);
  const std::unique_ptr<char, decltype(&std::free)> buffer(static_cast<char*>(memory), std::free);
  const int direct = make_file(on_mount("f"), O_DIRECT);
  const int cached = ::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(direct, 0);
  std::memset(buffer.get(), 'a', kSize);
  ASSERT_EQ(::pwrite(direct, buffer.get(), kSize, 0), static_cast<ssize_t>(kSize));
  char byte = 0;
  ASSERT_EQ(::pread(cached, &byte, 1, 5000), 1);
  EXPECT_EQ(byte, 'a');
  ASSERT_EQ(::pwrite(cached, "b", 1, 5000), 1);
  ASSERT_EQ(::pread(direct, buffer.get(), 4096, 4096), 4096);
  EXPECT_EQ(buffer.get()[904], 'b');
  std::memset(buffer.get(), 'c', 4096);
  ASSERT_EQ(::pwrite(direct, buffer.get(), 4096, 4096), 4096);
  ASSERT_EQ(::pread(cached, &byte, 1, 5000), 1);
  EXPECT_EQ(byte, 'c');
  ::close(direct);
  ::close(cached);
}

TEST_F(Content, private_mappings_keep_changes_to_themselves) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    write_file(path, std::string(10'000, 'o'));
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    auto* own =
        static_cast<char*>(::mmap(nullptr, 10'000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    auto* shared = static_cast<char*>(::mmap(nullptr, 10'000, PROT_READ, MAP_SHARED, fd, 0));
    ASSERT_NE(own, MAP_FAILED);
    ASSERT_NE(shared, MAP_FAILED);
    own[10] = 'p';
    ::pwrite(fd, "w", 1, 5'000);
    notes.push_back(std::string{own[10], own[11], shared[10], shared[5'000]});
    ::munmap(own, 10'000);
    ::munmap(shared, 10'000);
    ::close(fd);
    notes.push_back(digest(read_file(path)));
  });
}

TEST_F(Content, times_of_access_are_those_of_relatime) {
  compare([](const std::string& d, Notes& notes) {
    const std::string path = d + "/f";
    write_file(path, "text");
    const auto set = [&](time_t atime, time_t mtime) {
      const timespec times[] = {{atime, 0}, {mtime, 0}};
      notes.push_back(outcome(::utimensat(AT_FDCWD, path.c_str(), times, 0)));
    };
    const auto moved_by_reading = [&](int flags) {
      struct stat before {};
      struct stat after {};
      ::stat(path.c_str(), &before);
      const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
      char text[8];
      const ssize_t n = ::read(fd, text, sizeof text);
      ::close(fd);
      ::stat(path.c_str(), &after);
      notes.push_back(std::to_string(n) +
                      std::to_string(after.st_atim.tv_sec != before.st_atim.tv_sec) +
                      std::to_string(after.st_ctim.tv_sec - before.st_ctim.tv_sec));
    };
    const time_t now = ::time(nullptr);
    set(now - 100, now - 50);
    moved_by_reading(O_NOATIME);
    moved_by_reading(0);
    set(now - 2 * 86400, now - 3 * 86400);
    moved_by_reading(0);
    const timespec far[] = {{0, UTIME_OMIT}, {4'000'000'000, 5}};
    notes.push_back(outcome(::utimensat(AT_FDCWD, path.c_str(), far, 0)));
    struct stat st {};
    ::stat(path.c_str(), &st);
    notes.push_back(std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec));
  });
}

TEST_F(Content, entries_that_stay_are_listed_once_while_others_come_and_go) {
  constexpr int kStaying = 4000;
  const std::string d = on_mount("d");
  const auto make = [&](const std::string& name) {
    ASSERT_EQ(::mknod((d + "/" + name).c_str(), S_IFREG | 0600, 0), 0) << std::strerror(errno);
  };
  ASSERT_EQ(::mkdir(d.c_str(), 0755), 0);
  for (int i = 0; i < kStaying; ++i) make("staying-" + std::to_string(i));
  for (int i = 0; i < kStaying / 4; ++i) make("going-" + std::to_string(i));
  DIR* const dir = ::opendir(d.c_str());
  ASSERT_NE(dir, nullptr);
  std::map<std::string, int> seen;
  long middle = 0;
  std::string after_middle;
  for (int n = 0; const dirent* entry = ::readdir(dir); ++n) {
    const std::string name = entry->d_name;
    ++seen[name];
    if (n == kStaying / 2) middle = ::telldir(dir);
    if (n == kStaying / 2 + 1) after_middle = name;
    if (n % 4 != 0 || n >= kStaying) continue;
    const std::string number = std::to_string(n / 4);
    make("new-" + number);
    EXPECT_EQ(::rename((d + "/new-" + number).c_str(), (d + "/moved-" + number).c_str()), 0);
    EXPECT_EQ(::unlink((d + "/going-" + number).c_str()), 0);
  }
  for (const auto& [name, times] : seen) EXPECT_EQ(times, 1) << name;
  for (int i = 0; i < kStaying; ++i) {
    EXPECT_EQ(seen.count("staying-" + std::to_string(i)), 1u) << i;
  }
  ::seekdir(dir, middle);
  const dirent* again = ::readdir(dir);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->d_name, after_middle);
  ::rewinddir(dir);
  int now = 0;
  while (const dirent* entry = ::readdir(dir)) {
    ++now;
    EXPECT_NE(std::string(entry->d_name).substr(0, 6), "going-");
  }
  EXPECT_EQ(now, 2 + kStaying + kStaying / 4);
  ::closedir(dir);
}

TEST_F(Content, long_names_and_deep_trees_match_a_local_directory) {
  compare([](const std::string& d, Notes& notes) {
    constexpr int kDepth = 20;  // PATH_MAX is reached after 16
    const std::string name(255, 'n');
    int at = ::open(d.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::string path = d;
    const auto go = [&](const std::string& to) {
      const int next = ::openat(at, to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      ::close(at);
      at = next;
    };
    for (int i = 0; i < kDepth; ++i) {
      notes.push_back(outcome(::mkdirat(at, name.c_str(), 0755)));
      go(name);
      path += "/" + name;
    }
    notes.push_back(facts(path));
    notes.push_back(outcome(::mkdirat(at, (name + "n").c_str(), 0755)));
    notes.push_back(outcome(::mknodat(at, "f", S_IFREG | 0600, 0)) +
                    outcome(::unlinkat(at, "f", 0)));
    for (int i = 0; i < kDepth; ++i) {
      go("..");
      notes.push_back(outcome(::unlinkat(at, name.c_str(), AT_REMOVEDIR)));
    }
    ::close(at);
    for (const size_t length : {0, 1, 255, 4095, 4096}) {
      const std::string link = d + "/link" + std::to_string(length);
      notes.push_back(outcome(::symlink(std::string(length, 't').c_str(), link.c_str())) +
                      facts(link));
    }
  });
}

TEST_F(Content, file_handles_open_what_they_name) {
  ASSERT_EQ(::mkdir(on_mount("dir").c_str(), 0755), 0);
  write_file(on_mount("dir/f"), "by handle");
  NodeHandle handle(on_mount("dir/f"));
  ASSERT_TRUE(handle.valid()) << std::strerror(errno);
  const int place = ::open(mount().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::rename(on_mount("dir/f").c_str(), on_mount("dir/g").c_str()), 0);
  // The kernel forgets the inode, so it must ask by number alone.
  write_file("/proc/sys/vm/drop_caches", "2");
  const int fd = handle.open(place, O_RDONLY);
  ASSERT_GE(fd, 0) << std::strerror(errno);
  char text[16] = "";
  EXPECT_EQ(::read(fd, text, sizeof text), 9);
  EXPECT_STREQ(text, "by handle");
  ::close(fd);
  ASSERT_EQ(::unlink(on_mount("dir/g").c_str()), 0);
  write_file("/proc/sys/vm/drop_caches", "2");
  EXPECT_EQ(handle.open(place, O_RDONLY), -1);
  EXPECT_EQ(errno, ESTALE);
  ::close(place);
}

}  // namespace
}  // namespace aster::testing

#include "server/storage/local_target.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "protocol/checksum.h"
#include "server/storage/object_store.h"
#include "tests/support/faulty_ingress_target.h"
#include "tests/support/temp_dir.h"

namespace aster::storage {
namespace {

namespace fs = std::filesystem;

/// A body in memory that gives odd pieces; ends early after `cut` bytes when that is set.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, std::optional<Error> failure = std::nullopt)
      : text_(std::move(text)), failure_(std::move(failure)) {}
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const size_t n = std::min({buffer.size(), text_.size() - at_, size_t{10'007}});
    if (n == 0 && failure_) co_return *failure_;
    std::copy_n(as_bytes(text_).begin() + static_cast<ptrdiff_t>(at_), n, buffer.begin());
    at_ += n;
    co_return n;
  }

 private:
  const std::string text_;
  const std::optional<Error> failure_;
  size_t at_ = 0;
};

std::string noise(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string out(size, 0);
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

class LocalObjects : public ::testing::Test {
 protected:
  LocalObjects() { reopen(); }

  void reopen(const std::string& base = "t") {
    store_.reset();
    target_.reset();
    auto opened = LocalTarget::open({.root = root().string(), .base = base}, *executor_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    target_ = *opened;
    store_ = std::make_unique<ObjectStore>(target_, "ns", *executor_);
  }
  fs::path root() const { return dir_ / "root"; }

  Result<std::string> put(const std::string& key, const std::string& text,
                          std::optional<uint32_t> crc = std::nullopt) {
    return run_blocking(store_->put(key, std::make_shared<TextSource>(text), {text.size(), crc}));
  }
  std::string get(const std::string& key) {
    auto opened = run_blocking(store_->open(key));
    if (!opened.ok()) return "(" + opened.error().message() + ")";
    std::string out(opened->size, 0);
    EXPECT_EQ(::pread(opened->fd.get(), out.data(), out.size(), 0),
              static_cast<ssize_t>(out.size()));
    return out;
  }
  std::vector<std::string> keys(const std::string& prefix = "") {
    return run_blocking(store_->list(prefix, 0, std::nullopt))->items;
  }
  /// Temporary files that are there once everything queued has run.
  size_t temps() {
    executor_ = std::make_unique<Executor>(Executor::Options{.name = "disk", .threads = 4});
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(root() / "t/.aster-tmp")) {
      count += entry.is_regular_file();
    }
    return count;
  }

  testing::TempDir dir_;
  std::unique_ptr<Executor> executor_ =
      std::make_unique<Executor>(Executor::Options{.name = "disk", .threads = 4});
  std::shared_ptr<LocalTarget> target_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(LocalObjects, come_back_as_they_were_put_with_their_digest) {
  for (const size_t size : {0, 1, 5, 262'143, 262'144, 262'145, 3'000'000}) {
    const std::string text = noise(size, 7);
    const auto digest = put("files/x", text, crc32c(as_bytes(text)));
    ASSERT_TRUE(digest.ok()) << digest.error().message();
    EXPECT_EQ(*digest, to_hex(sha256(as_bytes(text))));
    EXPECT_TRUE(get("files/x") == text) << size;
    EXPECT_EQ(*run_blocking(store_->stat("files/x")), size);
  }
  EXPECT_EQ(testing::read_file(root() / "t/ns/files/x").size(), 3'000'000u);
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, leave_nothing_when_the_body_fails_is_short_or_corrupt) {
  ASSERT_TRUE(put("k", "old").ok());
  const auto broken =
      std::make_shared<TextSource>(noise(600'000, 1), fail(Errc::unavailable, "client left"));
  EXPECT_TRUE(
      run_blocking(store_->put("k", broken, {1'000'000, {}})).failed_with(Errc::unavailable));
  const auto brief = std::make_shared<TextSource>("abc");
  EXPECT_TRUE(run_blocking(store_->put("k", brief, {4, {}})).failed_with(Errc::io_error));
  EXPECT_TRUE(put("k", "abc", 1).failed_with(Errc::corrupt));
  EXPECT_EQ(get("k"), "old");
  EXPECT_EQ(keys(), std::vector<std::string>{"k"});
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, take_no_more_than_their_length) {
  const auto longer = std::make_shared<TextSource>("abcdef");
  ASSERT_TRUE(run_blocking(store_->put("k", longer, {3, {}})).ok());
  EXPECT_EQ(get("k"), "abc");
}

TEST_F(LocalObjects, leftovers_of_a_killed_process_go_at_open) {
  testing::write_file(root() / "t/.aster-tmp/put-00112233445566778899aabbccddeeff", "torn");
  EXPECT_EQ(temps(), 1u);
  reopen();
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, stay_readable_while_they_are_replaced_and_removed) {
  ASSERT_TRUE(put("k", "old").ok());
  const auto before = run_blocking(store_->open("k"));
  ASSERT_TRUE(put("k", "newer").ok());
  ASSERT_TRUE(run_blocking(store_->remove("k")).ok());
  char text[8] = {};
  EXPECT_EQ(::pread(before->fd.get(), text, sizeof text, 0), 3);
  EXPECT_STREQ(text, "old");
}

TEST_F(LocalObjects, missing_ones_and_folders_are_not_found) {
  ASSERT_TRUE(put("a/b", "x").ok());
  for (const char* key : {"none", "a", "a/none", "a/b/c", "none/none"}) {
    EXPECT_TRUE(run_blocking(store_->open(key)).failed_with(Errc::not_found)) << key;
    EXPECT_TRUE(run_blocking(store_->stat(key)).failed_with(Errc::not_found)) << key;
    EXPECT_TRUE(run_blocking(store_->remove(key)).failed_with(Errc::not_found)) << key;
  }
  EXPECT_EQ(get("a/b"), "x");
}

TEST_F(LocalObjects, hostile_keys_never_leave_the_namespace) {
  testing::write_file(root() / "t/secret", "s");
  testing::write_file(dir_ / "outside", "o");
  const std::vector<std::string> hostile = {
      "../secret",         "a/../../secret",       "..",  "", "/", ".",
      "a\\..\\..\\secret", std::string("a\0b", 3), "\xff"};
  for (const std::string& key : hostile) {
    EXPECT_TRUE(put(key, "x").failed_with(Errc::bad_request)) << key;
    EXPECT_TRUE(run_blocking(store_->open(key)).failed_with(Errc::bad_request)) << key;
    EXPECT_TRUE(run_blocking(store_->remove(key)).failed_with(Errc::bad_request)) << key;
  }
  EXPECT_TRUE(run_blocking(store_->list("../", 0, {})).failed_with(Errc::bad_request));
  EXPECT_EQ(testing::read_file(root() / "t/secret"), "s");
}

TEST_F(LocalObjects, symbolic_links_are_not_followed) {
  ASSERT_TRUE(put("a/b", "x").ok());
  const fs::path ns = root() / "t/ns";
  testing::write_file(dir_ / "outside", "o");
  fs::create_symlink(dir_ / "outside", ns / "link");
  fs::create_directory_symlink(dir_.path(), ns / "dir");
  fs::create_symlink("a/b", ns / "inner");
  for (const char* key : {"link", "dir/outside", "inner"}) {
    EXPECT_TRUE(run_blocking(store_->open(key)).failed_with(Errc::not_found)) << key;
    EXPECT_TRUE(run_blocking(store_->stat(key)).failed_with(Errc::not_found)) << key;
  }
  EXPECT_FALSE(put("dir/new", "x").ok());
  EXPECT_FALSE(fs::exists(dir_ / "new"));
  EXPECT_TRUE(put("link", "replaced").ok());
  EXPECT_EQ(testing::read_file(dir_ / "outside"), "o");
  EXPECT_EQ(keys(), (std::vector<std::string>{"a/b", "link"}));
}

TEST_F(LocalObjects, fifos_neither_block_nor_count) {
  ASSERT_TRUE(put("a", "x").ok());
  ASSERT_EQ(::mkfifo((root() / "t/ns/fifo").c_str(), 0600), 0);
  EXPECT_TRUE(run_blocking(store_->open("fifo")).failed_with(Errc::not_found));
  EXPECT_EQ(keys(), std::vector<std::string>{"a"});
}

TEST_F(LocalObjects, are_listed_sorted_by_whole_key_below_a_folder) {
  for (const char* key : {"b/z", "b/a/y", "a", "b.txt", "b/a.txt", "bc"}) {
    ASSERT_TRUE(put(key, "x").ok());
  }
  testing::write_file(root() / "t/ns/b/bad\xff", "x");
  EXPECT_EQ(keys(), (std::vector<std::string>{"a", "b.txt", "b/a.txt", "b/a/y", "b/z", "bc"}));
  EXPECT_EQ(keys("b"), (std::vector<std::string>{"b/a.txt", "b/a/y", "b/z"}));
  EXPECT_EQ(keys("/b//"), keys("b"));
  EXPECT_TRUE(keys("none").empty());
  EXPECT_TRUE(keys("a").empty()) << "a prefix that is a file";
}

TEST_F(LocalObjects, are_listed_in_pages) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(put("k" + std::to_string(i), "x").ok());
  auto page = run_blocking(store_->list("", 0, 2));
  EXPECT_EQ(page->items, (std::vector<std::string>{"k0", "k1"}));
  EXPECT_EQ(page->next_cursor, 2u);
  page = run_blocking(store_->list("", 4, 2));
  EXPECT_EQ(page->items, std::vector<std::string>{"k4"});
  EXPECT_EQ(page->next_cursor, std::nullopt);
  EXPECT_TRUE(run_blocking(store_->list("", 99, 2))->items.empty());
  EXPECT_TRUE(run_blocking(store_->list("", UINT64_MAX, 1000))->items.empty());
}

TEST_F(LocalObjects, pages_do_not_shift_when_what_was_listed_is_removed) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(put("k" + std::to_string(i), "x").ok());
  const auto first = run_blocking(store_->list("", 0, 2));
  for (const std::string& key : first->items) ASSERT_TRUE(run_blocking(store_->remove(key)).ok());
  EXPECT_EQ(run_blocking(store_->list("", 2, 2))->items, (std::vector<std::string>{"k2", "k3"}));
  EXPECT_EQ(run_blocking(store_->list("", 4, 2))->items, (std::vector<std::string>{"k4", "k5"}));
  EXPECT_EQ(keys(), (std::vector<std::string>{"k2", "k3", "k4", "k5"})) << "a new one is fresh";
}

TEST_F(LocalObjects, compose_joins_in_order_and_drops_the_parts) {
  const std::string big = noise(9'000'000, 3);
  ASSERT_TRUE(put("p/1", big).ok());
  ASSERT_TRUE(put("p/2", "").ok());
  ASSERT_TRUE(put("q/3", "tail").ok());
  const auto written =
      run_blocking(store_->compose("files/x", {"p/1", "p/2", "q/3"}, {.expected_size = 9'000'004}));
  ASSERT_TRUE(written.ok()) << written.error().message();
  EXPECT_EQ(*written, 9'000'004u);
  EXPECT_TRUE(get("files/x") == big + "tail");
  EXPECT_EQ(keys(), std::vector<std::string>{"files/x"});
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, compose_keeps_the_parts_on_request) {
  ASSERT_TRUE(put("p/1", "a").ok());
  ASSERT_TRUE(put("p/2", "b").ok());
  ASSERT_TRUE(run_blocking(store_->compose("x", {"p/1", "p/2"}, {2, true})).ok());
  ASSERT_TRUE(run_blocking(store_->compose("y", {"p/2"}, {1, true})).ok());
  EXPECT_EQ(get("x") + get("y"), "abb");
  EXPECT_EQ(keys().size(), 4u);
}

TEST_F(LocalObjects, compose_of_one_part_moves_it) {
  ASSERT_TRUE(put("p/1", "a").ok());
  struct stat before {};
  ASSERT_EQ(::stat((root() / "t/ns/p/1").c_str(), &before), 0);
  ASSERT_TRUE(run_blocking(store_->compose("new/x", {"p/1"}, {.expected_size = 1})).ok());
  struct stat after {};
  ASSERT_EQ(::stat((root() / "t/ns/new/x").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(keys(), std::vector<std::string>{"new/x"});
}

TEST_F(LocalObjects, compose_that_fails_changes_nothing) {
  ASSERT_TRUE(put("x", "old").ok());
  ASSERT_TRUE(put("p/1", "a").ok());
  ASSERT_TRUE(put("p/2", "b").ok());
  EXPECT_TRUE(run_blocking(store_->compose("x", {"p/1", "none"}, {.expected_size = 2}))
                  .failed_with(Errc::not_found));
  EXPECT_TRUE(run_blocking(store_->compose("x", {"p/1", "p/2"}, {.expected_size = 3}))
                  .failed_with(Errc::corrupt));
  EXPECT_TRUE(run_blocking(store_->compose("x", {"p/1", "./x"}, {.expected_size = 2}))
                  .failed_with(Errc::bad_request));
  EXPECT_EQ(get("x"), "old");
  EXPECT_EQ(keys().size(), 3u);
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, a_part_may_be_used_twice) {
  ASSERT_TRUE(put("p/1", "ab").ok());
  ASSERT_TRUE(run_blocking(store_->compose("x", {"p/1", "p/1"}, {.expected_size = 4})).ok());
  EXPECT_EQ(get("x"), "abab");
  EXPECT_EQ(keys(), std::vector<std::string>{"x"});
}

TEST_F(LocalObjects, many_uploads_at_once_are_all_whole) {
  std::vector<Task<Result<std::string>>> puts;
  for (int i = 0; i < 64; ++i) {
    puts.push_back(store_->put("d" + std::to_string(i % 3) + "/" + std::to_string(i),
                               std::make_shared<TextSource>(noise(40'000, 100 + i)), {40'000, {}}));
  }
  for (const auto& result : run_blocking(when_all(std::move(puts)))) {
    EXPECT_TRUE(result.ok());
  }
  for (int i = 0; i < 64; ++i) {
    EXPECT_TRUE(get("d" + std::to_string(i % 3) + "/" + std::to_string(i)) ==
                noise(40'000, 100 + i));
  }
}

/// Calls `body` on a thread that sees a file system of 1 MiB at `where`; false when this process
/// may not mount one.
bool on_small_disk(const fs::path& where, const std::function<void()>& body) {
  bool mounted = false;
  std::jthread([&] {
    mounted = ::unshare(CLONE_NEWNS) == 0 &&
              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              ::mount("small", where.c_str(), "tmpfs", 0, "size=1m") == 0;
    if (mounted) body();
  }).join();
  return mounted;
}

TEST_F(LocalObjects, a_read_only_disk_is_a_clear_error_and_still_serves) {
  const fs::path disk = dir_ / "disk";
  fs::create_directory(disk);
  const bool ran = on_small_disk(disk, [&] {
    Executor executor({.name = "small", .threads = 2});  // its threads see this disk
    const auto target = LocalTarget::open({.root = disk.string()}, executor);
    ASSERT_TRUE(target.ok());
    const ObjectStore store(*target, "ns", executor);
    const auto put = [&](const std::string& key) {
      return run_blocking(store.put(key, std::make_shared<TextSource>("text"), {4, {}}));
    };
    ASSERT_TRUE(put("k").ok());
    ASSERT_TRUE(put("p").ok());
    ASSERT_EQ(::mount(nullptr, disk.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    EXPECT_TRUE(put("new").failed_with(Errc::read_only));
    EXPECT_TRUE(run_blocking(store.remove("k")).failed_with(Errc::read_only));
    EXPECT_TRUE(
        run_blocking(store.compose("x", {"k", "p"}, {8, true})).failed_with(Errc::read_only));
    EXPECT_TRUE(run_blocking(store.compose("x", {"p"}, {4, false})).failed_with(Errc::read_only));
    EXPECT_EQ(*run_blocking(store.stat("k")), 4u);
    EXPECT_EQ(run_blocking(store.list("", 0, {}))->items, (std::vector<std::string>{"k", "p"}));
    EXPECT_TRUE(LocalTarget::open({.root = disk.string(), .create = false}, executor).ok())
        << "a read-only disk can be served after a restart";
  });
  if (!ran) GTEST_SKIP() << "needs the right to mount";
}

TEST_F(LocalObjects, a_full_disk_is_no_space_and_tears_nothing) {
  const fs::path disk = dir_ / "disk";
  fs::create_directory(disk);
  const bool ran = on_small_disk(disk, [&] {
    Executor executor({.name = "small", .threads = 2});
    const auto target = LocalTarget::open({.root = disk.string()}, executor);
    ASSERT_TRUE(target.ok());
    const ObjectStore store(*target, "ns", executor);
    const auto put = [&](size_t size) {
      return run_blocking(store.put("k", std::make_shared<TextSource>(noise(size, 1)), {size, {}}));
    };
    ASSERT_TRUE(put(600'000).ok());
    EXPECT_TRUE(put(700'000).failed_with(Errc::no_space));
    EXPECT_EQ(*run_blocking(store.stat("k")), 600'000u);
    EXPECT_TRUE(
        run_blocking(store.compose("x", {"k"}, {600'000, true})).failed_with(Errc::no_space));
    EXPECT_EQ(run_blocking(store.list("", 0, {}))->items.size(), 1u);
    EXPECT_TRUE(run_blocking(store.remove("k")).ok());
    EXPECT_TRUE(put(700'000).ok()) << "the space of failed uploads is free again";
  });
  if (!ran) GTEST_SKIP() << "needs the right to mount";
}

TEST_F(LocalObjects, an_io_error_anywhere_in_an_upload_tears_nothing) {
  auto faulty = std::make_shared<testing::FaultyIngressTarget>(target_);
  const ObjectStore store(faulty, "ns", *executor_);
  const auto put_large = [&] {
    return run_blocking(
        store.put("k", std::make_shared<TextSource>(noise(1'000'000, 2)), {1'000'000, {}}));
  };
  ASSERT_TRUE(put("k", "old").ok());
  ASSERT_TRUE(put("p", "part").ok());
  for (const int64_t good : {0, 1, 262'144, 600'000, 999'999}) {
    faulty->writable = good;
    EXPECT_TRUE(put_large().failed_with(Errc::io_error)) << good;
    EXPECT_EQ(get("k"), "old") << good;
  }
  faulty->writable = INT64_MAX;
  faulty->commits_fail = true;
  EXPECT_TRUE(put_large().failed_with(Errc::io_error));
  // The general way of joining pieces stages, too.
  EXPECT_TRUE(run_blocking(store.join_pieces("x", {{"p", 1, 2}}, 2)).failed_with(Errc::io_error));
  faulty->commits_fail = false;
  faulty->opens_fail = true;
  EXPECT_TRUE(run_blocking(store.join_pieces("x", {{"p", 1, 2}}, 2)).failed_with(Errc::io_error));
  EXPECT_TRUE(run_blocking(store.open("k")).failed_with(Errc::io_error));
  faulty->opens_fail = false;
  EXPECT_EQ(get("k"), "old");
  EXPECT_EQ(keys(), (std::vector<std::string>{"k", "p"}));
  ASSERT_EQ(*run_blocking(store.join_pieces("x", {{"p", 1, 2}, {"k", 0, 3}}, 5)), 5u);
  EXPECT_EQ(get("x"), "arold");
  EXPECT_TRUE(put_large().ok());
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, pieces_of_objects_are_joined_and_the_objects_stay) {
  const std::string big = noise(9'000'000, 4);
  ASSERT_TRUE(put("a", big).ok());
  ASSERT_TRUE(put("b", "tail").ok());
  const auto join = [&](std::vector<PartRange> parts, uint64_t size) {
    return run_blocking(store_->join_pieces("x", std::move(parts), size));
  };
  ASSERT_TRUE(join({{"a", 1, 8'999'998}, {"b", 2, 2}, {"a", 0, 1}}, 9'000'001).ok());
  EXPECT_TRUE(get("x") == big.substr(1, 8'999'998) + "il" + big.substr(0, 1));
  EXPECT_TRUE(join({{"b", 3, 2}}, 2).failed_with(Errc::bad_request));
  EXPECT_TRUE(join({{"b", UINT64_MAX, 2}}, 2).failed_with(Errc::bad_request));
  EXPECT_TRUE(join({{"b", 0, 0}}, 0).failed_with(Errc::bad_request));
  EXPECT_TRUE(join({{"a", 0, UINT64_MAX}, {"b", 0, 2}}, 1).failed_with(Errc::bad_request));
  EXPECT_TRUE(join({{"b", 0, 2}, {"none", 0, 1}}, 3).failed_with(Errc::not_found));
  EXPECT_TRUE(join({{"b", 0, 2}}, 3).failed_with(Errc::corrupt));
  EXPECT_TRUE(join({{"x", 0, 2}}, 2).failed_with(Errc::bad_request));
  EXPECT_EQ(get("x").size(), 9'000'001u);
  EXPECT_EQ(keys(), (std::vector<std::string>{"a", "b", "x"}));
  EXPECT_EQ(temps(), 0u);
}

TEST_F(LocalObjects, many_are_removed_in_one_call_each_with_its_own_outcome) {
  std::vector<std::string> names;
  for (int i = 0; i < 150; ++i) {
    names.push_back("d" + std::to_string(i % 3) + "/" + std::to_string(i));
    ASSERT_TRUE(put(names.back(), "x").ok());
  }
  ASSERT_TRUE(put("kept", "x").ok());
  names.insert(names.begin() + 1, "none");
  names.insert(names.begin() + 2, "../up");
  const auto removed = run_blocking(store_->remove_many(names));
  ASSERT_EQ(removed.size(), 152u);
  EXPECT_TRUE(removed[0].ok());
  EXPECT_TRUE(removed[1].failed_with(Errc::not_found));
  EXPECT_TRUE(removed[2].failed_with(Errc::bad_request));
  for (size_t i = 3; i < removed.size(); ++i) EXPECT_TRUE(removed[i].ok()) << i;
  EXPECT_EQ(keys(), std::vector<std::string>{"kept"});
}

TEST_F(LocalObjects, are_unavailable_and_not_missing_while_their_folder_is_away) {
  ASSERT_TRUE(put("a/b", "kept").ok());
  ASSERT_TRUE(put("p", "part").ok());
  fs::rename(root(), dir_ / "away");
  const auto all_unavailable = [&](const char* when) {
    EXPECT_TRUE(put("new", "x").failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(store_->stat("none")).failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(store_->open("none")).failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(store_->remove("none")).failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(store_->list("", 0, {})).failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(target_->capacity()).failed_with(Errc::unavailable)) << when;
    EXPECT_TRUE(run_blocking(store_->compose("x", {"p"}, {.expected_size = 4}))
                    .failed_with(Errc::unavailable))
        << when;
  };
  all_unavailable("moved");
  fs::create_directories(root() / "t");  // as the bare mount point of a disk that is not there
  all_unavailable("an empty folder in its place");
  fs::remove_all(root());
  fs::rename(dir_ / "away", root());
  EXPECT_EQ(get("a/b"), "kept");
  EXPECT_TRUE(put("new", "x").ok());
  EXPECT_EQ(keys(), (std::vector<std::string>{"a/b", "new", "p"}));
}

TEST_F(LocalObjects, go_on_in_a_folder_that_was_brought_back_as_another) {
  ASSERT_TRUE(put("a", "kept").ok());
  fs::copy(root(), dir_ / "copy", fs::copy_options::recursive);
  fs::remove_all(root());
  EXPECT_TRUE(run_blocking(store_->open("a")).failed_with(Errc::unavailable));
  fs::rename(dir_ / "copy", root());
  EXPECT_EQ(get("a"), "kept");
  EXPECT_TRUE(put("b", "x").ok());
  EXPECT_EQ(testing::read_file(root() / "t/ns/b"), "x");
}

TEST_F(LocalObjects, an_upload_whose_folder_leaves_is_not_acknowledged) {
  auto staged = run_blocking(target_->stage("ns/k", 5));
  ASSERT_TRUE(staged.ok());
  ASSERT_TRUE(run_blocking((*staged)->write(as_bytes("bytes"))).ok());
  fs::rename(root(), dir_ / "away");
  EXPECT_TRUE(run_blocking((*staged)->commit()).failed_with(Errc::unavailable));
  EXPECT_FALSE(fs::exists(dir_ / "away/t/ns/k"));
  fs::rename(dir_ / "away", root());
}

TEST_F(LocalObjects, an_applied_folder_is_not_made_anew) {
  const LocalTarget::Options gone{.root = root().string(), .base = "other", .create = false};
  EXPECT_TRUE(LocalTarget::open(gone, *executor_).failed_with(Errc::unavailable));
  EXPECT_FALSE(fs::exists(root() / "other"));
  const LocalTarget::Options there{.root = root().string(), .base = "t", .create = false};
  EXPECT_TRUE(LocalTarget::open(there, *executor_).ok());
}

TEST_F(LocalObjects, capacity_is_that_of_the_file_system) {
  const auto capacity = run_blocking(target_->capacity());
  ASSERT_TRUE(capacity.ok());
  EXPECT_GT(capacity->total, 0u);
  EXPECT_LE(capacity->available + capacity->used, capacity->total);
  EXPECT_EQ(capacity->source, "local_filesystem");
}

TEST_F(LocalObjects, a_base_that_is_a_link_is_refused) {
  fs::create_directory_symlink(dir_.path(), root() / "away");
  EXPECT_FALSE(LocalTarget::open({.root = root().string(), .base = "away/x"}, *executor_).ok());
  EXPECT_FALSE(LocalTarget::open({.root = root().string(), .base = "../x"}, *executor_).ok());
  EXPECT_TRUE(LocalTarget::open({.root = root().string(), .base = "."}, *executor_).ok());
}

}  // namespace
}  // namespace aster::storage

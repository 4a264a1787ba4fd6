#include <algorithm>
#include <atomic>
#include <thread>

#include "protocol/checksum.h"
#include "tests/contract/ingress_target_fixture.h"

/// What every driver of a storage place must do; s3_target_test.cpp and local_target_test.cpp have
/// the rest.
namespace aster::testing {
namespace {

using Keys = std::vector<std::string>;

template <class Place>
class IngressTarget : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = Place::missing()) GTEST_SKIP() << *why;
    objects_ = std::make_unique<Objects<Place>>();
  }
  Objects<Place>& o() { return *objects_; }

 private:
  std::unique_ptr<Objects<Place>> objects_;
};

using Places = ::testing::Types<LocalPlace, S3Place>;
TYPED_TEST_SUITE(IngressTarget, Places);

TYPED_TEST(IngressTarget, gives_back_what_was_put_with_its_digest) {
  for (const size_t size : {0, 1, 262'143, 262'145, 5 << 20, (5 << 20) + 1, 11'000'000}) {
    const std::string text = noise(size, 7);
    const auto digest = this->o().put("files/x", text, crc32c(as_bytes(text)));
    ASSERT_TRUE(digest.ok()) << size << ": " << digest.error().message();
    EXPECT_EQ(*digest, to_hex(sha256(as_bytes(text))));
    EXPECT_TRUE(this->o().get("files/x") == text) << size;
    EXPECT_EQ(*run_blocking(this->o().store().stat("files/x")), size);
  }
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, gives_any_range) {
  const std::string text = noise(6'000'000, 3);
  ASSERT_TRUE(this->o().put("r", text).ok());
  for (const auto& [offset, length] : {std::pair<size_t, size_t>{0, 1},
                                       {0, 6'000'000},
                                       {5'999'999, 1},
                                       {1, 5'242'880},
                                       {5'242'879, 2},
                                       {3'000'000, 100'000},
                                       {17, 0}}) {
    const auto piece = this->o().range("r", offset, length);
    ASSERT_TRUE(piece.ok()) << piece.error().message();
    EXPECT_TRUE(*piece == text.substr(offset, length)) << offset << "+" << length;
  }
}

TYPED_TEST(IngressTarget, shows_nothing_before_the_commit_and_keeps_nothing_without_it) {
  const std::string text = noise(12'000'000, 1);
  {
    auto staged = run_blocking(this->o().target().stage("ns/k", text.size()));
    ASSERT_TRUE(staged.ok()) << staged.error().message();
    ASSERT_TRUE(run_blocking((*staged)->write(as_bytes(text))).ok());
    EXPECT_TRUE(run_blocking(this->o().store().stat("k")).failed_with(Errc::not_found));
    EXPECT_EQ(this->o().keys(), Keys{});
  }
  EXPECT_EQ(this->o().leftovers(), 0u);
  EXPECT_EQ(this->o().keys(), Keys{});
}

TYPED_TEST(IngressTarget, keeps_the_old_object_when_the_body_fails_is_short_or_corrupt) {
  ASSERT_TRUE(this->o().put("k", "old").ok());
  const auto store = this->o().store();
  const auto broken =
      std::make_shared<TextSource>(noise(11'000'000, 1), fail(Errc::unavailable, "client left"));
  EXPECT_TRUE(
      run_blocking(store.put("k", broken, {12'000'000, {}})).failed_with(Errc::unavailable));
  const auto brief = std::make_shared<TextSource>("abc");
  EXPECT_TRUE(run_blocking(store.put("k", brief, {4, {}})).failed_with(Errc::io_error));
  EXPECT_TRUE(this->o().put("k", "abc", 1).failed_with(Errc::corrupt));
  EXPECT_TRUE(this->o().put("k", noise(11'000'000, 2), 1).failed_with(Errc::corrupt));
  EXPECT_EQ(this->o().get("k"), "old");
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, replaces_silently_and_removes_once) {
  ASSERT_TRUE(this->o().put("k", noise(6'000'000, 1)).ok());
  ASSERT_TRUE(this->o().put("k", "newer").ok());
  EXPECT_EQ(this->o().get("k"), "newer");
  const auto store = this->o().store();
  EXPECT_TRUE(run_blocking(store.remove("k")).ok());
  EXPECT_TRUE(run_blocking(store.remove("k")).failed_with(Errc::not_found));
  EXPECT_TRUE(run_blocking(store.open("k")).failed_with(Errc::not_found));
}

TYPED_TEST(IngressTarget, knows_no_missing_objects_and_no_folders) {
  ASSERT_TRUE(this->o().put("a/b", "x").ok());
  const auto store = this->o().store();
  for (const char* key : {"none", "a", "a/none", "none/none"}) {
    EXPECT_TRUE(run_blocking(store.open(key)).failed_with(Errc::not_found)) << key;
    EXPECT_TRUE(run_blocking(store.stat(key)).failed_with(Errc::not_found)) << key;
    EXPECT_TRUE(run_blocking(store.remove(key)).failed_with(Errc::not_found)) << key;
  }
  EXPECT_EQ(this->o().get("a/b"), "x");
}

TYPED_TEST(IngressTarget, lists_folders_sorted_at_any_depth) {
  for (const char* key : {"files/b", "files/a", "files/a.d/1", "files/a-d", "filesx", "z/y/x"}) {
    ASSERT_TRUE(this->o().put(key, "x").ok());
  }
  EXPECT_EQ(this->o().keys("files"), (Keys{"files/a", "files/a-d", "files/a.d/1", "files/b"}));
  EXPECT_EQ(this->o().keys("fil"), Keys{});
  EXPECT_EQ(this->o().keys("files/a"), Keys{});
  EXPECT_EQ(this->o().keys("none"), Keys{});
  EXPECT_EQ(this->o().keys("z"), Keys{"z/y/x"});
  EXPECT_EQ(this->o().keys().size(), 6u);
}

TYPED_TEST(IngressTarget, pages_stay_in_step_while_objects_go) {
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(this->o().put("p/" + std::to_string(100 + i), "x").ok());
  }
  Keys seen;
  std::optional<uint64_t> cursor = 0;
  const auto store = this->o().store();
  while (cursor) {
    const auto page = run_blocking(store.list("p", *cursor, 10));
    ASSERT_TRUE(page.ok()) << page.error().message();
    EXPECT_LE(page->items.size(), 10u);
    for (const std::string& key : page->items) {
      seen.push_back(key);
      ASSERT_TRUE(run_blocking(store.remove(key)).ok());
    }
    cursor = page->next_cursor;
  }
  ASSERT_EQ(seen.size(), 25u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(this->o().keys("p"), Keys{});
}

TYPED_TEST(IngressTarget, pages_begin_anywhere) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(this->o().put("p/" + std::to_string(i), "x").ok());
  const auto store = this->o().store();
  const auto middle = run_blocking(store.list("p", 5, 1));
  EXPECT_EQ(middle->items, Keys{"p/5"});
  EXPECT_EQ(middle->next_cursor, 6u);
  const auto last = run_blocking(store.list("p", 5, 2));
  EXPECT_EQ(last->items, (Keys{"p/5", "p/6"}));
  EXPECT_EQ(last->next_cursor, std::nullopt);
  EXPECT_EQ(run_blocking(store.list("p", 99, 2))->items, Keys{});
}

Keys hard_keys() {
  return {"a b/c+d",   "100%",       "%2F",      "%41",       "q?x=1&y=2",
          "#frag",     "é/ü/日本",   "🙂",     "'\"<>&;",   "~*()!$,:@=",
          "[b]{c}|^`", "back/slash", "metadata", "tab\there", std::string(200, 'k')};
}

TYPED_TEST(IngressTarget, takes_hard_keys) {
  Keys hard = hard_keys();
  for (const std::string& key : hard) {
    const auto put = this->o().put(key, "bytes of " + key);
    ASSERT_TRUE(put.ok()) << key << ": " << put.error().message();
  }
  for (const std::string& key : hard) {
    EXPECT_EQ(this->o().get(key), "bytes of " + key) << key;
  }
  std::sort(hard.begin(), hard.end());
  EXPECT_EQ(this->o().keys(), hard);
  for (const std::string& key : hard) {
    EXPECT_TRUE(this->o().compose("whole/" + key, {key}, 9 + key.size()).ok()) << key;
    EXPECT_EQ(this->o().get("whole/" + key), "bytes of " + key) << key;
    EXPECT_TRUE(run_blocking(this->o().store().stat(key)).failed_with(Errc::not_found)) << key;
  }
}

TYPED_TEST(IngressTarget, composes_parts_of_all_sizes) {
  const std::vector<size_t> sizes = {6'000'000, 3, 0, 7'000'000, 1'000, 5'242'880, 2};
  std::string whole;
  Keys parts;
  for (size_t i = 0; i < sizes.size(); ++i) {
    parts.push_back("parts/" + std::to_string(i));
    const std::string text = noise(sizes[i], static_cast<unsigned>(i));
    ASSERT_TRUE(this->o().put(parts.back(), text).ok());
    whole += text;
  }
  const auto written = this->o().compose("files/w", parts, whole.size(), true);
  ASSERT_TRUE(written.ok()) << written.error().message();
  EXPECT_EQ(*written, whole.size());
  EXPECT_TRUE(this->o().get("files/w") == whole);
  EXPECT_EQ(this->o().keys("parts"), parts);
  ASSERT_TRUE(this->o().compose("files/w", {"parts/1", "parts/6"}, 5).ok());
  EXPECT_EQ(this->o().get("files/w"), whole.substr(6'000'000, 3) + whole.substr(whole.size() - 2));
  EXPECT_EQ(this->o().keys("parts").size(), 5u);
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, composes_one_part_and_parts_without_bytes) {
  const std::string text = noise(6'000'000, 4);
  ASSERT_TRUE(this->o().put("one", text).ok());
  ASSERT_TRUE(this->o().put("none", "").ok());
  ASSERT_TRUE(this->o().compose("w", {"one"}, text.size()).ok());
  EXPECT_TRUE(this->o().get("w") == text);
  ASSERT_TRUE(this->o().compose("e", {"none"}, 0).ok());
  EXPECT_EQ(this->o().keys(), (Keys{"e", "w"}));
  EXPECT_EQ(this->o().get("e"), "");
}

TYPED_TEST(IngressTarget, changes_nothing_when_parts_are_missing_or_of_another_size) {
  ASSERT_TRUE(this->o().put("k", "old").ok());
  ASSERT_TRUE(this->o().put("p", "part").ok());
  EXPECT_TRUE(this->o().compose("k", {"p", "none"}, 4).failed_with(Errc::not_found));
  EXPECT_TRUE(this->o().compose("k", {"p"}, 5).failed_with(Errc::corrupt));
  EXPECT_TRUE(this->o().compose("k", {"p", "p"}, 4).failed_with(Errc::corrupt));
  EXPECT_EQ(this->o().get("k"), "old");
  EXPECT_EQ(this->o().get("p"), "part");
}

TYPED_TEST(IngressTarget, joins_pieces_of_objects_which_stay) {
  const std::string large = noise(11'000'000, 5);
  ASSERT_TRUE(this->o().put("a", large).ok());
  ASSERT_TRUE(this->o().put("b", "tail").ok());
  const auto join = [&](std::vector<PartRange> parts, uint64_t size) {
    return run_blocking(this->o().store().join_pieces("x", std::move(parts), size));
  };
  const auto joined = join({{"a", 1, 10'999'998}, {"b", 2, 2}, {"a", 0, 1}}, 11'000'001);
  ASSERT_TRUE(joined.ok()) << joined.error().message();
  EXPECT_TRUE(this->o().get("x") == large.substr(1, 10'999'998) + "il" + large.substr(0, 1));
  EXPECT_TRUE(join({{"b", 3, 2}}, 2).failed_with(Errc::bad_request));
  EXPECT_TRUE(join({{"b", 0, 2}, {"none", 0, 1}}, 3).failed_with(Errc::not_found));
  EXPECT_EQ(this->o().get("x").size(), 11'000'001u);
  EXPECT_EQ(this->o().keys(), (Keys{"a", "b", "x"}));
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, removes_many_each_with_its_own_outcome) {
  Keys keys;
  for (int i = 0; i < 70; ++i) {
    keys.push_back("d" + std::to_string(i % 3) + "/" + std::to_string(i));
    ASSERT_TRUE(this->o().put(keys.back(), "x").ok());
  }
  ASSERT_TRUE(this->o().put("kept", "x").ok());
  keys.insert(keys.begin() + 1, "../up");
  const auto removed = run_blocking(this->o().store().remove_many(keys));
  ASSERT_EQ(removed.size(), 71u);
  EXPECT_TRUE(removed[1].failed_with(Errc::bad_request));
  for (size_t i = 2; i < removed.size(); ++i) EXPECT_TRUE(removed[i].ok()) << i;
  EXPECT_EQ(this->o().keys(), Keys{"kept"});
}

TYPED_TEST(IngressTarget, of_several_writers_one_wins_whole) {
  constexpr int kWriters = 6;
  std::vector<std::jthread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([this, i] {
      const auto put = this->o().put("k", noise(5'500'000, static_cast<unsigned>(i)));
      EXPECT_TRUE(put.ok()) << put.error().message();
    });
  }
  writers.clear();
  const std::string text = this->o().get("k");
  int winners = 0;
  for (unsigned i = 0; i < kWriters; ++i) winners += text == noise(5'500'000, i);
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, one_key_is_whole_or_missing_under_everything_at_once) {
  constexpr size_t kSize = 300'000;
  constexpr int kRounds = 12;
  std::vector<std::string> versions;  // the last one is composed
  for (unsigned i = 0; i < 3; ++i) versions.push_back(noise(kSize, i));
  ASSERT_TRUE(this->o().put("p1", versions[2].substr(0, kSize / 2)).ok());
  ASSERT_TRUE(this->o().put("p2", versions[2].substr(kSize / 2)).ok());
  std::atomic<int> writers = 4;
  std::vector<std::jthread> threads;
  const auto repeat = [&](auto step) {
    threads.emplace_back([&writers, step] {
      for (int i = 0; i < kRounds; ++i) step();
      --writers;
    });
  };
  for (size_t i = 0; i < 2; ++i) {
    repeat([this, &text = versions[i]] { EXPECT_TRUE(this->o().put("k", text).ok()); });
  }
  repeat([this] { EXPECT_TRUE(this->o().compose("k", {"p1", "p2"}, kSize, true).ok()); });
  repeat([this] {
    const auto removed = run_blocking(this->o().store().remove("k"));
    // unavailable: a bucket's service may answer 500 to a removal in the middle of a replacement.
    EXPECT_TRUE(removed.ok() || removed.failed_with(Errc::not_found) ||
                removed.failed_with(Errc::unavailable))
        << removed.error().message();
  });
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, this] {
      while (writers > 0) {
        const auto text = this->o().range("k", 0, kSize);
        if (!text.ok()) continue;  // removed, or replaced in a bucket while it was read
        EXPECT_TRUE(std::find(versions.begin(), versions.end(), *text) != versions.end());
      }
    });
  }
  threads.clear();
  ASSERT_TRUE(this->o().put("k", versions[0]).ok());
  EXPECT_TRUE(this->o().get("k") == versions[0]);
  EXPECT_EQ(this->o().keys(), (Keys{"k", "p1", "p2"}));
  EXPECT_EQ(this->o().leftovers(), 0u);
}

TYPED_TEST(IngressTarget, tells_its_capacity_or_that_it_cannot) {
  const auto capacity = run_blocking(this->o().target().capacity());
  if (capacity.ok()) {
    EXPECT_GT(capacity->total, 0u);
    EXPECT_GE(capacity->total, capacity->used);
  } else {
    EXPECT_EQ(capacity.error().code, Errc::unsupported);
  }
}

}  // namespace
}  // namespace aster::testing

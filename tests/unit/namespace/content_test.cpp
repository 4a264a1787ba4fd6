#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using fs::Commit;
using fs::Extent;

class Content : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    file_ = make(root_, "f").ino;
  }
  /// A commit of one fresh object at `offset`, to be spoiled by the test.
  Commit fresh(uint64_t offset, const std::string& bytes) {
    const fs::NewObject object = upload(file_, bytes);
    Commit commit;
    commit.ino = file_;
    commit.extents = {{offset, bytes.size(), object.id, 0}};
    commit.objects = {object};
    return commit;
  }
  uint64_t refs(const ObjectId& id) {
    const auto n = database_->read([&](db::Txn& txn) -> Result<uint64_t> {
      const auto row = db::ObjectStore(txn).find(id);
      if (!row) return fail(Errc::not_found);
      return row->refs;
    });
    return n.ok() ? *n : 999;
  }

  InodeNo file_;
};

TEST_F(Content, grants_tell_place_and_limits) {
  backends_.knobs.lock()->limits.part_size = 1 << 20;
  const auto grants = call<fs::UploadGrants>(fs::Grant{file_, 10, 3});
  ASSERT_TRUE(grants.ok());
  EXPECT_EQ(grants->part_size, 1u << 20);
  ASSERT_EQ(grants->grants.size(), 3u);
  EXPECT_NE(grants->grants[0].object, grants->grants[1].object);
  EXPECT_EQ(grants->grants[0].url, "/put/1/" + grants->grants[0].object.hex());
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{file_, 1, 0}).failed_with(Errc::bad_request));
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{file_, 1, 65}).failed_with(Errc::bad_request));
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{root_, 1, 1}).ok()) << "for a file to be made there";
}

TEST_F(Content, grant_routes_by_expected_size) {
  backends_.knobs.lock()->second_policy_from = 1000;
  EXPECT_EQ(call<fs::UploadGrants>(fs::Grant{file_, 999, 1})->grants[0].url.substr(0, 7),
            "/put/1/");
  EXPECT_EQ(call<fs::UploadGrants>(fs::Grant{file_, 1000, 1})->grants[0].url.substr(0, 7),
            "/put/2/");
  backends_.knobs.lock()->limits.max_file = 2000;
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{file_, 2001, 1}).failed_with(Errc::too_large));
  backends_.knobs.lock()->route_error = fail(Errc::precondition_failed, "no policy");
  EXPECT_TRUE(
      call<fs::UploadGrants>(fs::Grant{file_, 1, 1}).failed_with(Errc::precondition_failed));
}

TEST_F(Content, commit_makes_content) {
  const Attr before = attr(file_);
  clock_.advance(std::chrono::seconds(3));
  const auto after = write(file_, 0, "hello");
  ASSERT_TRUE(after.ok()) << after.error().message();
  EXPECT_EQ(after->size, 5u);
  EXPECT_EQ(after->allocated, 5u);
  EXPECT_EQ(after->data_version, before.data_version + 1);
  EXPECT_EQ(after->mtime, clock_.now_ns());
  EXPECT_EQ(content(file_), "hello");
}

TEST_F(Content, overwrite_splits_what_is_below) {
  ASSERT_TRUE(write(file_, 0, "0123456789").ok());
  ASSERT_TRUE(write(file_, 3, "abc").ok());
  EXPECT_EQ(content(file_), "012abc6789");
  EXPECT_EQ(manifest(file_).extents.size(), 3u);
  EXPECT_EQ(attr(file_).allocated, 10u);
  ASSERT_TRUE(write(file_, 2, "WXYZ_").ok());
  EXPECT_EQ(content(file_), "01WXYZ_789");
  EXPECT_EQ(manifest(file_).objects.size(), 2u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects WHERE refs=0 AND state=1"), 1);
}

TEST_F(Content, gaps_and_punched_holes_read_as_zeros) {
  ASSERT_TRUE(write(file_, 4, "data").ok());
  EXPECT_EQ(content(file_), std::string("\0\0\0\0data", 8));
  Commit punch;
  punch.ino = file_;
  punch.extents = {{5, 2, std::nullopt, 0}};
  const auto after = call<Attr>(punch);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->allocated, 2u);
  EXPECT_EQ(content(file_), std::string("\0\0\0\0d\0\0a", 8));
}

TEST_F(Content, several_extents_of_one_object_and_a_hole_at_the_end) {
  Commit commit = fresh(0, "ABCDEF");
  const ObjectId id = commit.objects[0].id;
  commit.extents = {{0, 2, id, 4}, {10, 3, id, 0}};
  commit.min_size = 20;
  commit.mtime = 77;
  const auto after = call<Attr>(commit);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->size, 20u);
  EXPECT_EQ(after->mtime, 77);
  EXPECT_EQ(content(file_), std::string("EF\0\0\0\0\0\0\0\0ABC\0\0\0\0\0\0\0", 20));
  EXPECT_EQ(refs(id), 2u);
}

TEST_F(Content, pieces_of_one_object_in_order_stay_one_extent) {
  Commit commit = fresh(0, "ABCDEF");
  const ObjectId id = commit.objects[0].id;
  commit.extents = {{0, 3, id, 0}};
  ASSERT_TRUE(call<Attr>(commit).ok());
  commit.objects.clear();
  commit.extents = {{3, 3, id, 3}};
  ASSERT_TRUE(call<Attr>(commit).ok());
  EXPECT_EQ(manifest(file_).extents.size(), 1u);
  EXPECT_EQ(refs(id), 1u);
  EXPECT_EQ(content(file_), "ABCDEF");
}

TEST_F(Content, base_guards_against_other_writers) {
  Commit commit = fresh(0, "mine");
  commit.base = attr(file_).data_version;
  ASSERT_TRUE(write(file_, 0, "theirs").ok());
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::stale_version));
  EXPECT_EQ(content(file_), "theirs");
  commit.base = attr(file_).data_version;
  EXPECT_TRUE(call<Attr>(commit).ok());
}

TEST_F(Content, malformed_commits_change_nothing) {
  const Attr before = attr(file_);
  const auto refused = [&](Errc code, const std::function<void(Commit&)>& spoil) {
    Commit commit = fresh(0, "0123456789");
    spoil(commit);
    const auto answer = call<Attr>(commit);
    EXPECT_TRUE(answer.failed_with(code)) << (answer.ok() ? "ok" : answer.error().message());
  };
  refused(Errc::bad_request, [](Commit& c) { c.extents[0].length = 0; });
  refused(Errc::bad_request, [](Commit& c) { c.extents[0].length = 11; });
  refused(Errc::bad_request, [](Commit& c) { c.extents[0].object_offset = UINT64_MAX; });
  refused(Errc::bad_request, [](Commit& c) { c.extents.push_back({5, 5, c.objects[0].id, 0}); });
  refused(Errc::too_large, [](Commit& c) { c.extents[0].offset = INT64_MAX; });
  refused(Errc::too_large, [](Commit& c) { c.extents[0].offset = UINT64_MAX - 3; });
  refused(Errc::too_large, [](Commit& c) { c.min_size = uint64_t{INT64_MAX} + 1; });
  refused(Errc::bad_request, [](Commit& c) { c.objects[0].crc32c.push_back(1); });
  refused(Errc::bad_request, [](Commit& c) { c.objects[0].size = 0; });
  refused(Errc::precondition_failed, [](Commit& c) { c.objects.clear(); });
  refused(Errc::precondition_failed, [](Commit& c) { c.extents[0].object = ObjectId::random(); });
  refused(Errc::precondition_failed, [](Commit& c) { c.objects[0].id = ObjectId::random(); });
  refused(Errc::is_directory, [&](Commit& c) { c.ino = root_; });
  refused(Errc::too_large, [](Commit& c) {
    c.extents.clear();
    for (uint64_t i = 0; i <= fs::kManifestExtentsMax; ++i) c.extents.push_back({i, 1, {}, 0});
  });
  EXPECT_EQ(attr(file_).change, before.change);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects WHERE state=1"), 0);
}

TEST_F(Content, policy_limits_hold_at_commit) {
  Commit commit = fresh(0, "0123456789");
  backends_.knobs.lock()->limits.max_object = 9;
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::too_large));
  backends_.knobs.lock()->limits.max_object = 10;
  backends_.knobs.lock()->limits.max_file = 9;
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::too_large));
  backends_.knobs.lock()->limits.max_file = 10;
  EXPECT_TRUE(call<Attr>(commit).ok());
}

TEST_F(Content, objects_of_other_workspaces_cannot_be_named) {
  ASSERT_TRUE(write(file_, 0, "secret").ok());
  const ObjectId id = manifest(file_).objects[0].id;
  primary::Caller other = caller_;
  other.workspace = *run_blocking(service_->create_workspace("other"));
  const auto made = call_as<Attr>(other, fs::Create{*service_->root_of(other.workspace), "thief"});
  Commit commit;
  commit.ino = made->ino;
  commit.extents = {{0, 6, id, 0}};
  EXPECT_TRUE(call_as<Attr>(other, commit).failed_with(Errc::precondition_failed));
}

TEST_F(Content, object_is_recorded_once) {
  Commit commit = fresh(0, "0123456789");
  ASSERT_TRUE(call<Attr>(commit).ok());
  EXPECT_TRUE(call<Attr>(commit).ok());  // says the same
  commit.objects[0].crc32c[0] ^= 1;
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::bad_request));
  commit.objects[0].crc32c[0] ^= 1;
  commit.objects[0].size = 9;
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::bad_request));
}

TEST_F(Content, sealing_alone_is_no_change) {
  ASSERT_TRUE(write(file_, 0, "x").ok());
  const Attr before = attr(file_);
  Commit seal;
  seal.ino = file_;
  seal.sealed = true;
  const auto after = call<Attr>(seal);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->change, before.change);
  EXPECT_EQ(after->data_version, before.data_version);
}

TEST_F(Content, copy_shares_objects) {
  ASSERT_TRUE(write(file_, 0, "0123").ok());
  ASSERT_TRUE(write(file_, 6, "6789").ok());
  const InodeNo copy = make(root_, "copy").ino;
  ASSERT_TRUE(write(copy, 0, "xxxxxxxxxxxxxxxx").ok());
  const auto after = call<Attr>(fs::CopyRange{file_, 2, copy, 3, 6});
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(content(copy), std::string("xxx23\0\0").substr(0, 5) + std::string("\0\0", 2) + "67" +
                               std::string(7, 'x'));
  EXPECT_EQ(content(file_), std::string("0123\0\0", 6) + "6789");
  EXPECT_EQ(after->size, 16u);
  EXPECT_EQ(after->allocated, 14u);
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  clock_.advance(options_.object_grace * 2);
  run_duties();
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(content(copy).substr(0, 5), "xxx23");
}

TEST_F(Content, copy_ends_at_the_end_of_the_source) {
  ASSERT_TRUE(write(file_, 0, "0123").ok());
  const InodeNo copy = make(root_, "copy").ino;
  EXPECT_EQ(call<Attr>(fs::CopyRange{file_, 1, copy, 0, UINT64_MAX})->size, 3u);
  const Attr before = attr(copy);
  EXPECT_EQ(call<Attr>(fs::CopyRange{file_, 4, copy, 0, 10})->change, before.change);
  EXPECT_TRUE(call<Attr>(fs::CopyRange{file_, 0, copy, INT64_MAX, 4}).failed_with(Errc::too_large));
}

TEST_F(Content, copy_within_a_file_must_not_overlap) {
  ASSERT_TRUE(write(file_, 0, "0123456789").ok());
  EXPECT_TRUE(call<Attr>(fs::CopyRange{file_, 0, file_, 4, 5}).failed_with(Errc::bad_request));
  ASSERT_TRUE(call<Attr>(fs::CopyRange{file_, 1, file_, 6, 3}).ok());
  EXPECT_EQ(content(file_), "0123451239");
}

TEST_F(Content, manifest_gives_a_window_with_its_checksums) {
  const uint64_t block = kBlockSize;
  ASSERT_TRUE(write(file_, 0, std::string(10 * block + 5, 'a')).ok());
  const fs::Manifest m = manifest(file_, 3 * block + 1, 2 * block);
  ASSERT_EQ(m.extents.size(), 1u);
  EXPECT_EQ(m.extents[0].offset, 3 * block + 1);
  EXPECT_EQ(m.extents[0].length, 2 * block);
  EXPECT_EQ(m.extents[0].object_offset, 3 * block + 1);
  ASSERT_EQ(m.objects.size(), 1u);
  EXPECT_EQ(m.objects[0].size, 10 * block + 5);
  EXPECT_EQ(m.objects[0].first_block, 3u);
  EXPECT_EQ(m.objects[0].crc32c,
            (std::vector<uint32_t>{crc(3 * block), crc(4 * block), crc(5 * block)}));
  EXPECT_EQ(m.objects[0].url, "/get/1/" + m.objects[0].id.hex());
  EXPECT_EQ(m.objects[0].expires, 2);
  EXPECT_EQ(m.window_end, 5 * block + 1);
  EXPECT_EQ(manifest(file_, 10 * block).objects[0].crc32c,
            (std::vector<uint32_t>{crc(10 * block)}));
  EXPECT_TRUE(manifest(file_, 11 * block).extents.empty());
  EXPECT_EQ(manifest(file_, 11 * block).window_end, UINT64_MAX);
}

TEST_F(Content, manifest_of_many_extents_comes_in_windows) {
  const fs::NewObject object = upload(file_, std::string(8, 'z'));
  Commit commit;
  commit.ino = file_;
  commit.objects = {object};
  for (uint64_t part = 0; part < 2; ++part) {
    commit.extents.clear();
    for (uint64_t i = 0; i < 3000; ++i) {
      commit.extents.push_back({(part * 3000 + i) * 10, 1, object.id, i % 8});
    }
    ASSERT_TRUE(call<Attr>(commit).ok());
    commit.objects.clear();
  }
  const fs::Manifest first = manifest(file_);
  EXPECT_EQ(first.extents.size(), fs::kManifestExtentsMax);
  EXPECT_EQ(first.window_end, fs::kManifestExtentsMax * 10);
  const fs::Manifest rest = manifest(file_, first.window_end);
  EXPECT_EQ(rest.extents.size(), 6000 - fs::kManifestExtentsMax);
  EXPECT_EQ(rest.window_end, UINT64_MAX);
}

TEST_F(Content, manifest_of_a_huge_object_never_carries_all_checksums) {
  const auto grants = call<fs::UploadGrants>(fs::Grant{file_, 1ull << 40, 1});
  fs::NewObject object;
  object.id = grants->grants[0].object;
  object.size = 200'000 * kBlockSize;  // 24 GiB
  for (uint64_t i = 0; i < 200'000; ++i) object.crc32c.push_back(static_cast<uint32_t>(i));
  Commit commit;
  commit.ino = file_;
  commit.objects = {object};
  commit.extents = {{0, object.size, object.id, 0}};
  ASSERT_TRUE(call<Attr>(commit).ok());
  uint64_t blocks = 0;
  int answers = 0;
  for (uint64_t at = 0; at < object.size; ++answers) {
    const fs::Manifest m = manifest(file_, at);
    ASSERT_EQ(m.extents.size(), 1u);
    EXPECT_LE(m.objects[0].crc32c.size(), 65536u);
    EXPECT_EQ(m.objects[0].crc32c[0], m.objects[0].first_block);
    blocks += m.objects[0].crc32c.size();
    at = std::min(m.window_end, object.size);
  }
  EXPECT_EQ(blocks, 200'000u);
  EXPECT_EQ(answers, 4);
  EXPECT_EQ(manifest(file_, 150'000 * kBlockSize, 1).objects[0].crc32c,
            (std::vector<uint32_t>{150'000}));
}

TEST_F(Content, manifest_is_for_regular_files) {
  EXPECT_TRUE(call<fs::Manifest>(fs::GetManifest{root_}).failed_with(Errc::is_directory));
}

}  // namespace
}  // namespace aster::primary

#include "server/primary/policy_gatherer.h"

#include "protocol/checksum.h"
#include "server/db/consistency.h"
#include "server/db/migration_store.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

/// Files that grow part by part; from four blocks on they belong to policy 2.
class PolicyGathererTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.keep.versions = 3;
    NamespaceFixture::SetUp();
    backends_.knobs.lock()->limits.part_size = kBlockSize;
    bound(4 * kBlockSize);
    file_ = make(root_, "f").ino;
  }
  void TearDown() override {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    ASSERT_TRUE(found.ok());
    for (const db::Finding& one : *found) ADD_FAILURE() << one.rule << ": " << one.examples[0];
    NamespaceFixture::TearDown();
  }
  void bound(uint64_t size) { backends_.knobs.lock()->second_policy_from = size; }
  /// One part, granted for the size that the file has with it.
  void put(InodeNo ino, uint64_t offset, const std::string& bytes, bool sealed = false) {
    const auto granted =
        call<fs::UploadGrants>(fs::Grant{ino, std::max<uint64_t>(offset + bytes.size(), 1), 1});
    ASSERT_TRUE(granted.ok()) << granted.error().message();
    BlockChecksums sums;
    sums.update(as_bytes(bytes));
    const ObjectId id = granted->grants[0].object;
    backends_.put(id, bytes);
    fs::Commit commit;
    commit.ino = ino;
    commit.extents = {{offset, bytes.size(), id, 0}};
    commit.objects = {{id, bytes.size(), sums.finish()}};
    commit.sealed = sealed;
    const auto committed = call<fs::Attr>(commit);
    ASSERT_TRUE(committed.ok()) << committed.error().message();
  }
  /// In parts of a block, the last one sealed.
  std::string stream(InodeNo ino, uint64_t size, uint64_t from = 0) {
    std::string all;
    for (uint64_t at = from; at < size; at += kBlockSize) {
      std::string part(std::min(kBlockSize, size - at), '\0');
      for (size_t i = 0; i < part.size(); ++i) {
        part[i] = static_cast<char>('a' + at / kBlockSize + i * 7 + i / 251);
      }
      put(ino, at, part, at + part.size() == size);
      all += part;
    }
    return all;
  }
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.advance(options_.compose_delay);
      run_duties();
    }
  }
  size_t extents(InodeNo ino) { return manifest(ino).extents.size(); }
  /// Bytes of files under policy 1.
  uint64_t in_small() {
    return sql<uint64_t>(
        "SELECT coalesce(sum(e.length), 0) FROM extents e JOIN objects o ON o.id=e.object "
        "WHERE o.policy=1");
  }

  InodeNo file_;
};

TEST_F(PolicyGathererTest, a_stream_over_the_bound_becomes_one_object_where_it_belongs) {
  const std::string bytes = stream(file_, 6 * kBlockSize + 100);
  const fs::Attr before = attr(file_);
  ASSERT_EQ(in_small(), 3 * kBlockSize) << "the first ones were granted as parts of a small file";
  rounds(5);
  EXPECT_EQ(in_small(), 0u);
  const fs::Manifest whole = manifest(file_);
  ASSERT_EQ(whole.objects.size(), 1u);
  EXPECT_EQ(whole.extents.size(), 1u);
  EXPECT_EQ(backends_.get(whole.objects[0].id), bytes);
  EXPECT_EQ(content(file_), bytes);
  EXPECT_EQ(whole.attr.data_version, before.data_version);
  EXPECT_EQ(whole.attr.change, before.change);
  EXPECT_EQ(whole.attr.allocated, before.allocated);
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 1);
  EXPECT_EQ(sql<int>("SELECT sum(pending_objects) FROM workspaces"), 0);
  EXPECT_EQ(content(file_), bytes);
}

TEST_F(PolicyGathererTest, other_rules_later_move_nothing) {
  std::string large = stream(file_, 6 * kBlockSize);
  const InodeNo small = make(root_, "small").ino;
  std::string grown = stream(small, 3 * kBlockSize);
  rounds(6);
  ASSERT_EQ(in_small(), 3 * kBlockSize);
  bound(UINT64_MAX);
  rounds(6);
  EXPECT_EQ(in_small(), 3 * kBlockSize);
  large += stream(file_, 7 * kBlockSize, 6 * kBlockSize);
  bound(2 * kBlockSize);
  grown += stream(small, 4 * kBlockSize, 3 * kBlockSize);
  rounds(6);
  EXPECT_EQ(in_small(), 4 * kBlockSize) << "what was complete stays, what is new follows the rules";
  EXPECT_EQ(content(file_), large);
  EXPECT_EQ(content(small), grown);
}

TEST_F(PolicyGathererTest, goes_on_after_a_failure_and_a_restart) {
  const std::string bytes = stream(file_, 5 * kBlockSize);
  rounds(1);
  ASSERT_EQ(in_small(), 2 * kBlockSize) << "a piece in a round";
  backends_.knobs.lock()->write_error = Error{Errc::unavailable, "storage is away"};
  rounds(1);
  EXPECT_EQ(in_small(), 2 * kBlockSize);
  EXPECT_EQ(content(file_), bytes);
  backends_.knobs.lock()->write_error.reset();
  restart();
  rounds(2);
  EXPECT_EQ(in_small(), 2 * kBlockSize) << "not again at once";
  clock_.advance(std::chrono::minutes(10));
  rounds(4);
  EXPECT_EQ(in_small(), 0u);
  EXPECT_EQ(extents(file_), 1u);
  EXPECT_EQ(content(file_), bytes);
}

TEST_F(PolicyGathererTest, what_is_written_meanwhile_is_right) {
  std::string bytes = stream(file_, 5 * kBlockSize);
  bool written = false;
  backends_.knobs.lock()->before_write = [&] {
    if (std::exchange(written, true)) return;
    put(file_, 0, std::string(kBlockSize, 'N'), true);  // the piece under way
    put(file_, kBlockSize + 10, "middle", true);
  };
  rounds(12);
  ASSERT_TRUE(written);
  bytes.replace(0, kBlockSize, std::string(kBlockSize, 'N'));
  bytes.replace(kBlockSize + 10, 6, "middle");
  EXPECT_EQ(content(file_), bytes);
  // The others are its versions.
  EXPECT_EQ(sql<int>("SELECT count(*) FROM extents e JOIN objects o ON o.id=e.object "
                     "WHERE o.policy=1 AND e.ino=(SELECT min(ino) FROM extents)"),
            0);
}

TEST_F(PolicyGathererTest, a_copy_keeps_its_bytes) {
  const std::string bytes = stream(file_, 5 * kBlockSize);
  const InodeNo copy = make(root_, "copy").ino;
  ASSERT_TRUE(call<fs::Attr>(fs::CopyRange{file_, 0, copy, 0, 2 * kBlockSize}).ok());
  rounds(6);
  EXPECT_EQ(in_small(), 2 * kBlockSize) << "the copy's";
  EXPECT_EQ(extents(file_), 1u);
  EXPECT_EQ(content(file_), bytes);
  EXPECT_EQ(content(copy), bytes.substr(0, 2 * kBlockSize));
}

TEST_F(PolicyGathererTest, a_migration_that_has_the_file_goes_first) {
  const std::string bytes = stream(file_, 5 * kBlockSize);
  const auto begun = run_blocking(database_->write([&](db::Txn& txn) -> Result<uint64_t> {
    db::MigrationStore jobs(txn);
    db::MigrationRow row;
    row.workspace = caller_.workspace;
    row.root = root_;
    row.policy = PolicyId(1);
    const uint64_t id = jobs.insert(row);
    jobs.add_inode(id, db::MigrationStore::Kind::file, file_);
    return id;
  }));
  ASSERT_TRUE(begun.ok());
  rounds(6);
  EXPECT_EQ(in_small(), 3 * kBlockSize);
  EXPECT_EQ(content(file_), bytes);
}

}  // namespace
}  // namespace aster::primary

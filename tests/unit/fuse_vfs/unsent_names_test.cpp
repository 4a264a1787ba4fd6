#include "fuse/vfs/local_names.h"
#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

constexpr std::chrono::milliseconds kPatience{20000};
constexpr uint64_t kLease = 5;

/// durability=remote under write leases: names are made here, close and fsync wait for them.
class UnsentNames : public VfsTest {
 protected:
  void SetUp() override {
    primary.set_lease(kLease);
    names = std::make_unique<LocalNames>(
        LocalNamesOptions{"host", primary.root(), kPatience, true, true}, primary, nullptr,
        executor, clock);
    VfsOptions options;
    options.root = primary.root();
    options.entry_ttl = kTtl;
    options.timeout = std::chrono::milliseconds(200);
    options.lease_term = std::chrono::seconds(10);
    options.write_leases = names.get();
    filesystem = std::make_unique<Filesystem>(
        Filesystem::Parts{*names, io, kernel, executor, clock}, options);
    names->serve(*filesystem, primary);
    names->on_state(true);
    names->on_lease(kLease);
    ASSERT_TRUE(run(names->acknowledge({SessionId(), kLease, "", {}}, kPatience)).ok());
    (void)make(fs::FileType::directory, root(), "first");
    (void)make(fs::FileType::directory, root(), "second");  // that is worth a lease
    ASSERT_TRUE(run(names->settle(kPatience)).ok());
  }
  void TearDown() override {
    primary.resume();
    names->close();
    filesystem.reset();
    names.reset();
  }
  bool at_primary(const std::string& name) {
    return primary.as_other(fs::Lookup{root(), name}).ok();
  }

  std::unique_ptr<LocalNames> names;
};

TEST_F(UnsentNames, making_one_waits_for_nobody_and_close_does) {
  primary.stall();
  const Created file = create("file");
  EXPECT_EQ(run(fs().getxattr(file.entry.attr.ino, "user.aster.durable", who)).value(), "no");
  EXPECT_TRUE(run(fs().flush(file.opened.handle, who)).failed_with(Errc::unavailable));
  EXPECT_TRUE(run(fs().fsync(file.opened.handle, who)).failed_with(Errc::unavailable));
  EXPECT_TRUE(run(fs().fsyncdir(who)).failed_with(Errc::unavailable));
  primary.resume();
  EXPECT_TRUE(run(fs().flush(file.opened.handle, who)).ok());
  EXPECT_TRUE(at_primary("file"));
}

TEST_F(UnsentNames, fsync_of_a_directory_waits_for_what_was_made_and_removed) {
  (void)make(fs::FileType::directory, root(), "made");
  ASSERT_TRUE(run(fs().rmdir(root(), "first", who)).ok());
  ASSERT_TRUE(run(fs().fsyncdir(who)).ok());
  EXPECT_TRUE(at_primary("made"));
  EXPECT_FALSE(at_primary("first"));
}

TEST_F(UnsentNames, the_end_of_a_mount_sends_them_or_says_how_many_are_lost) {
  (void)make(fs::FileType::directory, root(), "made");
  EXPECT_EQ(run(fs().flush_all()), 0u);
  EXPECT_TRUE(at_primary("made"));
  primary.stall();
  (void)make(fs::FileType::directory, root(), "lost");
  (void)make(fs::FileType::directory, root(), "as well");
  EXPECT_EQ(run(fs().flush_all()), 2u);
}

}  // namespace
}  // namespace aster::testing

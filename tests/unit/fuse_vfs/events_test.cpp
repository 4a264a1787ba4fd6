#include <fcntl.h>

#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using Events = VfsTest;

fs::Invalidation content_of(InodeNo ino) {
  fs::Invalidation event;
  event.inodes.push_back({ino, true, false});
  return event;
}

TEST_F(Events, content_of_others_is_seen_at_once) {
  const InodeNo ino = foreign("a", "one");
  (void)lookup(root(), "a");
  const Opened file = run(fs().open(ino, O_RDONLY, who)).value();
  EXPECT_EQ(read(file.handle), "one");
  primary.put_content(ino, "other");
  fs().on_event(content_of(ino));
  EXPECT_EQ(read(file.handle), "other");
  EXPECT_EQ(size_of(ino), 5u);
  EXPECT_EQ(kernel.contents(), std::vector{ino});
  EXPECT_TRUE(run(fs().open(ino, O_RDONLY, who)).ok());
}

TEST_F(Events, names_are_dropped_from_the_kernel) {
  fs::Invalidation event;
  event.entries.push_back({root(), "a"});
  event.inodes.push_back({root(), false, false});
  fs().on_event(event);
  EXPECT_EQ(kernel.entries(), std::vector{std::to_string(root().value) + "/a"});
  EXPECT_EQ(kernel.attributes(), std::vector{root()});
}

TEST_F(Events, an_answer_older_than_an_event_is_not_believed) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  clock.advance(kTtl);
  primary.stall();
  Completion<bool> done;
  Duration ttl{-1};
  start<Result<Attributes>>(fs().getattr(ino, who), [&](Result<Attributes> answer) {
    ttl = answer.value().ttl;
    done.set(true);
  });
  fs().on_event(content_of(ino));
  primary.resume();
  ASSERT_TRUE(done.is_set());
  EXPECT_EQ(ttl, Duration::zero());
}

TEST_F(Events, a_negative_answer_older_than_an_event_is_not_believed) {
  primary.stall();
  Duration ttl{-1};
  start<Result<Found>>(fs().lookup(root(), "a", who),
                       [&](Result<Found> answer) { ttl = answer.value().ttl; });
  fs::Invalidation event;
  event.entries.push_back({root(), "a"});
  fs().on_event(event);
  primary.resume();
  EXPECT_EQ(ttl, Duration::zero());
}

TEST_F(Events, an_open_file_that_others_remove_is_held) {
  const InodeNo ino = foreign("a", "text");
  (void)lookup(root(), "a");
  const Opened file = run(fs().open(ino, O_RDONLY, who)).value();
  fs::Invalidation event;
  event.inodes.push_back({ino, false, true});
  fs().on_event(event);
  EXPECT_EQ(primary.calls("hold"), 1u);
  fs().release(file.handle);
  EXPECT_EQ(primary.calls("release"), 1u);
}

TEST_F(Events, a_reset_expires_and_drops_everything) {
  const InodeNo ino = foreign("a", "one");
  (void)lookup(root(), "a");
  const Opened file = run(fs().open(ino, O_RDONLY, who)).value();
  EXPECT_EQ(read(file.handle), "one");
  primary.put_content(ino, "two!");
  fs().on_reset();
  EXPECT_EQ(read(file.handle), "two!");
  EXPECT_EQ(size_of(ino), 4u);
  EXPECT_EQ(kernel.contents().size(), 2u);
}

TEST_F(Events, cached_metadata_serves_readers_while_the_primary_is_away) {
  const InodeNo ino = foreign("a", "text");
  (void)lookup(root(), "a");
  const Opened before = run(fs().open(ino, O_RDONLY, who)).value();
  EXPECT_EQ(read(before.handle), "text");
  fs().on_state(false);
  primary.set_away(true);
  const auto found = lookup(root(), "a");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->entry->entry_ttl, Duration::zero());
  EXPECT_EQ(size_of(ino), 4u);
  const auto again = run(fs().open(ino, O_RDONLY, who));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(read(again->handle), "text");
  EXPECT_TRUE(lookup(root(), "unknown").failed_with(Errc::unavailable));
}

TEST_F(Events, attributes_that_are_known_to_be_missing_cost_no_wait_while_the_primary_is_away) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  EXPECT_TRUE(run(fs().getxattr(ino, "user.a", who)).failed_with(Errc::no_attribute));
  fs().on_state(false);
  primary.set_away(true);
  EXPECT_TRUE(run(fs().getxattr(ino, "user.a", who)).failed_with(Errc::no_attribute));
  primary.set_away(false);
  ASSERT_TRUE(primary.as_other(fs::SetXattr{ino, "user.a", "v", false, false}).ok());
  fs().on_state(true);
  EXPECT_EQ(run(fs().getxattr(ino, "user.a", who)).value(), "v");
}

TEST_F(Events, an_unreachable_primary_with_a_living_stream_is_an_error) {
  const InodeNo ino = foreign("a", "text");
  (void)lookup(root(), "a");
  clock.advance(kTtl);
  primary.set_away(true);
  EXPECT_TRUE(run(fs().getattr(ino, who)).failed_with(Errc::unavailable));
}

TEST_F(Events, while_the_primary_is_known_to_be_away_nobody_waits_for_it) {
  (void)foreign("a");
  (void)lookup(root(), "a");
  fs().on_state(false);
  primary.set_away(true);
  (void)lookup(root(), "a");
  const size_t before = primary.round_trips();
  ASSERT_TRUE(lookup(root(), "a").ok());
  EXPECT_EQ(primary.round_trips(), before);
  clock.advance(std::chrono::seconds(5));
  primary.set_away(false);
  fs().on_state(true);
  EXPECT_EQ(lookup(root(), "a")->entry->entry_ttl, kTtl);
}

}  // namespace
}  // namespace aster::testing

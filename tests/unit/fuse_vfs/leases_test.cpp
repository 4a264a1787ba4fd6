#include <fcntl.h>

#include <thread>

#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kLease = 7;
/// What is believed of a term of ten seconds.
constexpr milliseconds kHeld{9000};

class Leased : public VfsTest {
 protected:
  void SetUp() override {
    VfsOptions options;
    options.lease_term = seconds(10);
    primary.set_lease(kLease);
    remount(options);
    fs().on_state(true);
    fs().on_lease(kLease);
    ASSERT_TRUE(fs().inodes().trusted());
  }
  /// Round trips that `what` costs.
  size_t cost(const std::function<void()>& what) {
    const size_t before = primary.round_trips();
    what();
    return primary.round_trips() - before;
  }
  std::vector<std::string> list() {
    std::vector<std::string> names;
    const HandleId handle = run(fs().opendir(root(), who)).value();
    for (uint64_t offset = 0;;) {
      const DirSlice slice = run(fs().readdir(handle, offset, who)).value();
      if (slice.begin == slice.page->items.size()) break;
      for (size_t i = slice.begin; i < slice.page->items.size(); ++i) {
        const DirItem& item = slice.page->items[i];
        if (!item.dot) names.push_back(item.name);
        if (!item.dot) (void)fs().listed(root(), item, slice.page->ticket);
        offset = item.next;
      }
    }
    fs().releasedir(handle);
    return names;
  }
  fs::Invalidation event_of(InodeNo ino, bool content = false) {
    fs::Invalidation event;
    event.cursor = "c" + std::to_string(++cursor_);
    event.inodes.push_back({ino, content, false});
    return event;
  }
  fs::Invalidation event_of_name(const std::string& name) {
    fs::Invalidation event = event_of(root());
    event.entries.push_back({root(), name});
    return event;
  }
  std::string cursor() const { return "c" + std::to_string(cursor_); }
  /// Waits until an Ack with this cursor was sent.
  void wait_for_ack(const std::string& wanted) {
    for (;;) {
      for (const fs::Ack& ack : primary.acks()) {
        if (ack.cursor == wanted) return;
      }
      std::this_thread::yield();
    }
  }
  bool acked_out_of_turn(const std::string& wanted) {
    for (const fs::Ack& ack : primary.acks()) {
      for (const std::string& one : ack.done) {
        if (one == wanted) return true;
      }
    }
    return false;
  }

 private:
  int cursor_ = 0;
};

TEST_F(Leased, what_was_told_costs_no_round_trip_again) {
  const InodeNo ino = foreign("a", "text");
  (void)foreign("b");
  ASSERT_TRUE(lookup(root(), "a").ok());
  EXPECT_FALSE(lookup(root(), "none")->entry.has_value());
  EXPECT_EQ(list().size(), 2u);
  const HandleId first = run(fs().open(ino, O_RDONLY, who))->handle;
  EXPECT_EQ(read(first), "text");
  clock.advance(seconds(8));  // far longer than the ttl of mounts without leases
  EXPECT_EQ(cost([&] {
              EXPECT_EQ(lookup(root(), "a")->entry->attr.ino, ino);
              EXPECT_FALSE(lookup(root(), "none")->entry.has_value());
              EXPECT_EQ(list().size(), 2u);
              EXPECT_EQ(size_of(ino), 4u);
              EXPECT_TRUE(run(fs().open(ino, O_RDONLY, who)).ok());
            }),
            0u);
}

TEST_F(Leased, the_kernel_believes_for_what_is_left_of_the_lease_at_most) {
  (void)foreign("a");
  (void)lookup(root(), "a");
  clock.advance(seconds(2));
  const Found again = *lookup(root(), "a");
  EXPECT_EQ(again.entry->entry_ttl, kHeld - seconds(2));
  EXPECT_EQ(again.entry->attr_ttl, kHeld - seconds(2));
  EXPECT_EQ(lookup(root(), "none")->ttl, kHeld - seconds(2));
}

TEST_F(Leased, a_lease_that_ran_out_serves_nothing) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  (void)lookup(root(), "none");
  (void)list();
  clock.advance(kHeld);
  EXPECT_EQ(lookup(root(), "a")->entry->entry_ttl, Duration::zero());
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
  EXPECT_EQ(cost([&] { (void)lookup(root(), "none"); }), 1u);
  EXPECT_GE(cost([&] { (void)list(); }), 1u);
}

TEST_F(Leased, a_mount_that_was_stopped_reads_open_files_anew) {
  const InodeNo ino = foreign("a", "one");
  (void)lookup(root(), "a");
  const HandleId handle = run(fs().open(ino, O_RDONLY, who))->handle;
  EXPECT_EQ(read(handle), "one");
  clock.advance(seconds(20));
  primary.put_content(ino, "other");  // its event is still under way
  EXPECT_EQ(read(handle), "other");
}

TEST_F(Leased, the_same_lease_goes_on_after_the_stream_has_caught_up) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  fs().on_state(false);
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
  fs().on_state(true);
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u) << "events of meanwhile have not come yet";
  fs().on_lease(kLease);
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 0u);
}

TEST_F(Leased, another_lease_covers_nothing_of_before) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  (void)lookup(root(), "none");
  primary.set_lease(kLease + 1);
  fs().on_lease(kLease + 1);
  EXPECT_TRUE(fs().inodes().trusted());
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
  EXPECT_EQ(cost([&] { (void)lookup(root(), "none"); }), 1u);
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 0u);
}

TEST_F(Leased, an_answer_asked_for_under_another_lease_is_not_believed) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  (void)run(fs().setattr(
      [&] {
        fs::SetAttr c;
        c.ino = ino;
        c.mode = 0600;
        return c;
      }(),
      who));
  fs().on_event(event_of(ino));
  primary.stall();
  Completion<bool> done;
  start<Result<Attributes>>(fs().getattr(ino, who), [&](Result<Attributes>) { done.set(true); });
  primary.set_lease(kLease + 1);
  fs().on_lease(kLease + 1);
  primary.resume();
  ASSERT_TRUE(done.is_set());
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
}

TEST_F(Leased, events_end_what_is_believed) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  (void)lookup(root(), "none");
  (void)list();
  fs().on_event(event_of(ino));
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
  fs().on_event(event_of_name("none"));
  EXPECT_EQ(cost([&] { (void)lookup(root(), "none"); }), 1u);
  EXPECT_GE(cost([&] { (void)list(); }), 1u);
  EXPECT_EQ(cost([&] { (void)lookup(root(), "a"); }), 0u) << "another name of the directory";
}

TEST_F(Leased, own_changes_are_seen_without_a_round_trip_or_asked_for) {
  (void)lookup(root(), "mine");
  (void)list();
  const Created made = create("mine");
  EXPECT_EQ(lookup(root(), "mine")->entry->attr.ino, made.entry.attr.ino);
  EXPECT_EQ(list(), std::vector<std::string>{"mine"});
  ASSERT_TRUE(run(fs().unlink(root(), "mine", who)).ok());
  EXPECT_FALSE(lookup(root(), "mine")->entry.has_value());
  EXPECT_TRUE(list().empty());
}

TEST_F(Leased, own_changes_of_what_the_kernel_forgot_are_not_hidden_by_an_old_listing) {
  const InodeNo ino = foreign("a");
  (void)list();
  fs::SetAttr change;
  change.ino = ino;
  change.mode = 0600;
  ASSERT_TRUE(run(fs().setattr(change, who)).ok());
  fs().forget(ino, 1);
  (void)list();
  EXPECT_EQ(run(fs().getattr(ino, who))->attr.mode, 0600u);
}

TEST_F(Leased, a_change_of_unknown_outcome_ends_what_is_believed) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  primary.stall();
  Completion<bool> done;
  start<Result<void>>(fs().unlink(root(), "a", who), [&](Result<void> r) { done.set(r.ok()); });
  primary.drop_stalled();
  primary.resume();
  ASSERT_TRUE(done.is_set());
  EXPECT_EQ(cost([&] { (void)size_of(ino); }), 1u);
}

TEST_F(Leased, recalls_are_acknowledged_once_the_kernel_has_forgotten) {
  const InodeNo ino = foreign("a", "text");
  (void)lookup(root(), "a");
  kernel.slow = true;
  fs().on_event(event_of(ino, true), true);
  const size_t before = primary.acks().size();
  kernel.finish();
  wait_for_ack(cursor());
  EXPECT_GT(primary.acks().size(), before);
}

TEST_F(Leased, a_kernel_that_takes_its_time_with_one_file_holds_up_no_other) {
  const InodeNo slow = foreign("slow", "text");
  const InodeNo quick = foreign("quick");
  (void)lookup(root(), "slow");
  (void)lookup(root(), "quick");
  kernel.slow = true;
  fs().on_event(event_of(slow, true), true);
  kernel.slow = false;
  fs().on_event(event_of(quick), true);
  while (!acked_out_of_turn(cursor())) std::this_thread::yield();
  kernel.finish();
  wait_for_ack(cursor());
}

TEST_F(Leased, names_of_a_directory_that_is_being_changed_are_not_waited_for) {
  (void)lookup(root(), "a");
  kernel.slow = true;
  primary.stall();
  start<Result<Entry>>(fs().make({root(), "mine", fs::FileType::directory, 0755, 0, {}}, who),
                       [](Result<Entry>) {});
  fs().on_event(event_of_name("a"), true);
  EXPECT_EQ(kernel.all_names, 1);
  kernel.finish();
  wait_for_ack(cursor());
  primary.resume();
}

TEST_F(Leased, a_change_that_comes_while_names_are_dropped_sets_them_free) {
  (void)lookup(root(), "a");
  kernel.slow = true;
  fs().on_event(event_of_name("a"), true);
  EXPECT_EQ(kernel.all_names, 0);
  primary.stall();
  start<Result<Entry>>(fs().make({root(), "mine", fs::FileType::directory, 0755, 0, {}}, who),
                       [](Result<Entry>) {});
  EXPECT_EQ(kernel.all_names, 1);
  primary.resume();
}

TEST_F(Leased, kernels_that_cannot_forget_all_names_are_told_to_believe_them_shortly) {
  kernel.epochs = false;
  (void)foreign("a");
  EXPECT_EQ(lookup(root(), "a")->entry->entry_ttl, Duration(kShortNameTtl));
  EXPECT_EQ(lookup(root(), "a")->entry->attr_ttl, Duration(kHeld));
  EXPECT_EQ(lookup(root(), "none")->ttl, Duration(kShortNameTtl));
}

TEST_F(Leased, a_primary_that_cannot_be_reached_is_an_error_and_one_that_is_down_is_not) {
  const InodeNo ino = foreign("a");
  (void)lookup(root(), "a");
  fs().on_state(false);
  primary.set_away(true);  // refuses connections
  EXPECT_TRUE(run(fs().getattr(ino, who)).ok());
  clock.advance(seconds(4));  // longer than this is believed
  primary.set_refusing(false);
  EXPECT_FALSE(run(fs().getattr(ino, who)).ok());
}

}  // namespace
}  // namespace aster::testing

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

TEST_F(Leased, a_change_of_names_tells_what_became_of_its_directories) {
  const Entry a = make(fs::FileType::directory, root(), "a");
  const Entry b = make(fs::FileType::directory, root(), "b");
  const auto links = [&](InodeNo ino) { return run(fs().getattr(ino, who))->attr.nlink; };
  EXPECT_EQ(cost([&] { EXPECT_EQ(links(root()), 4u); }), 0u);
  EXPECT_EQ(cost([&] { (void)make(fs::FileType::directory, a.attr.ino, "sub"); }), 1u);
  EXPECT_EQ(cost([&] { EXPECT_EQ(links(a.attr.ino), 3u); }), 0u);
  EXPECT_EQ(cost([&] {
              EXPECT_TRUE(run(fs().rename({a.attr.ino, "sub", b.attr.ino, "moved", 0}, who)).ok());
            }),
            1u);
  EXPECT_EQ(cost([&] {
              EXPECT_EQ(links(a.attr.ino), 2u);
              EXPECT_EQ(links(b.attr.ino), 3u);
            }),
            0u);
  EXPECT_EQ(cost([&] { EXPECT_TRUE(run(fs().rmdir(b.attr.ino, "moved", who)).ok()); }), 1u);
  EXPECT_EQ(cost([&] { EXPECT_EQ(links(b.attr.ino), 2u); }), 0u);
}

TEST_F(Leased, a_name_less_of_several_is_told_at_once) {
  const InodeNo ino = create("one").entry.attr.ino;
  ASSERT_TRUE(run(fs().link(ino, root(), "two", who)).ok());
  ASSERT_TRUE(run(fs().unlink(root(), "one", who)).ok());
  EXPECT_EQ(cost([&] { EXPECT_EQ(run(fs().getattr(ino, who))->attr.nlink, 1u); }), 0u);
}

TEST_F(Leased, an_event_about_a_changed_directory_is_newer_than_what_came_with_the_change) {
  primary.stall();
  Task<Result<Entry>> making =
      fs().make({root(), "dir", fs::FileType::directory, 0755, 0, {}}, who);
  Completion<bool> made;
  start<Result<Entry>>(std::move(making), [made](Result<Entry> entry) { made.set(entry.ok()); });
  fs().on_event(event_of(root()));
  primary.resume();
  EXPECT_TRUE(run([](Completion<bool> done) -> Task<bool> { co_return co_await done; }(made)));
  EXPECT_EQ(cost([&] { (void)run(fs().getattr(root(), who)); }), 1u);
}

TEST_F(Leased, looking_names_up_one_by_one_fetches_the_listing) {
  for (int i = 0; i < 20; ++i) (void)foreign("f" + std::to_string(i), "text");
  EXPECT_LE(cost([&] {
              for (int i = 0; i < 20; ++i) {
                const auto found = lookup(root(), "f" + std::to_string(i));
                ASSERT_TRUE(found->entry) << i;
                EXPECT_EQ(found->entry->entry_ttl, kHeld);
                EXPECT_EQ(found->entry->attr_ttl, kHeld);
              }
              EXPECT_FALSE(lookup(root(), "none")->entry);
            }),
            3u);
  EXPECT_EQ(primary.calls("readdir"), 1u);
}

TEST_F(Leased, a_listing_says_nothing_about_names_that_changed_after_it) {
  for (int i = 0; i < 20; ++i) (void)foreign("f" + std::to_string(i));
  for (int i = 0; i < 3; ++i) (void)lookup(root(), "f" + std::to_string(i));
  ASSERT_TRUE(run(fs().unlink(root(), "f9", who)).ok());
  EXPECT_FALSE(lookup(root(), "f9")->entry);
  const InodeNo own = create("new").entry.attr.ino;
  EXPECT_EQ(lookup(root(), "new")->entry->attr.ino, own);
  ASSERT_TRUE(primary.as_other(fs::Unlink{root(), "f10", false}).ok());
  fs().on_event(event_of_name("f10"));
  EXPECT_FALSE(lookup(root(), "f10")->entry);
  clock.advance(kHeld);
  ASSERT_TRUE(primary.as_other(fs::Unlink{root(), "f11", false}).ok());
  EXPECT_FALSE(lookup(root(), "f11")->entry) << "the lease is over";
}

TEST_F(Leased, what_has_no_extended_attributes_is_known_from_its_attributes) {
  const InodeNo plain = foreign("plain");
  const InodeNo tagged = foreign("tagged");
  ASSERT_TRUE(primary.as_other(fs::SetXattr{tagged, "user.tag", "x"}).ok());
  (void)list();
  EXPECT_EQ(cost([&] {
              const auto none = run(fs().getxattr(plain, "security.selinux", who));
              EXPECT_TRUE(none.failed_with(Errc::no_attribute));
              EXPECT_TRUE(run(fs().listxattr(plain, who))->empty());
            }),
            0u);
  EXPECT_EQ(run(fs().getxattr(tagged, "user.tag", who)).value(), "x");
  ASSERT_TRUE(primary.as_other(fs::SetXattr{plain, "user.tag", "y"}).ok());
  fs().on_event(event_of(plain));
  EXPECT_EQ(run(fs().getxattr(plain, "user.tag", who)).value(), "y");
}

TEST_F(Leased, whoever_reads_one_small_file_after_the_other_finds_the_next_ones_fetched) {
  for (int i = 0; i < 50; ++i) (void)foreign("f" + std::to_string(i), "text");
  (void)list();
  const auto open = [&](int i) {
    const InodeNo ino = lookup(root(), "f" + std::to_string(i))->entry->attr.ino;
    fs().release(run(fs().open(ino, O_RDONLY, who))->handle);
  };
  open(0);
  open(1);
  EXPECT_EQ(io.warmed(), 0u) << "one or two files are no walk over the directory";
  for (int i = 2; i < 50; ++i) open(i);
  EXPECT_EQ(io.warmed(), 47u) << "each once";
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

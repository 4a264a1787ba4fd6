#include "server/primary/lease_table.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace aster::primary {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SessionId kWriter{1};
constexpr SessionId kReader{2};
constexpr InodeNo kFile{10};
constexpr InodeNo kDir{20};

class Leases : public ::testing::Test {
 protected:
  void SetUp() override { start({}); }
  void start(LeaseTable::Options options) {
    table = std::make_shared<LeaseTable>(
        options, executor, clock,
        [this](SessionId id, uint64_t lease) { announced.lock()->emplace_back(id, lease); });
    for (const SessionId id : {kWriter, kReader}) {
      table->open(id, 1, false);
      take_up(id);
    }
  }
  void take_up(SessionId id) {
    const auto answer = table->acknowledge(id, {table->lease_of(id), 0, {}});
    ASSERT_GT(answer.lease_ms, 0u);
  }
  bool grant(SessionId id, LeaseWish wish) { return table->grant(id, table->mark(), {&wish, 1}); }
  RecallPtr change_of(InodeNo ino) {
    fs::Invalidation told;
    told.inodes.push_back({ino, true, false});
    return table->changed({1, kWriter, ++position, &told, {}});
  }
  RecallPtr change_name(InodeNo parent) {
    fs::Invalidation told;
    told.entries.push_back({parent, "name"});
    return table->changed({1, kWriter, ++position, &told, {}});
  }
  fs::AckAnswer ack(SessionId id, uint64_t up_to, std::vector<uint64_t> done = {}) {
    return table->acknowledge(id, {table->lease_of(id), up_to, std::move(done)});
  }
  /// The outcome, once it is there.
  static bool wait(const RecallPtr& recall) {
    return run_blocking([](RecallPtr r) -> Task<bool> { co_return co_await r->done(); }(recall));
  }

  testing::FakeClock clock;
  Executor executor{{"leases", 1}};
  Guarded<std::vector<std::pair<SessionId, uint64_t>>> announced;
  std::shared_ptr<LeaseTable> table;
  uint64_t position = 100;
};

TEST_F(Leases, changes_without_holders_wait_for_nobody) {
  EXPECT_EQ(change_of(kFile), nullptr);
  ASSERT_TRUE(grant(kWriter, {kFile}));
  EXPECT_EQ(change_of(kFile), nullptr) << "its own lease";
  ASSERT_TRUE(grant(kReader, {InodeNo(11)}));
  EXPECT_EQ(change_of(kFile), nullptr) << "another inode";
}

TEST_F(Leases, a_change_waits_for_the_acknowledgement_of_the_holder) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  const RecallPtr recall = change_of(kFile);
  ASSERT_NE(recall, nullptr);
  ack(kReader, position - 1);
  EXPECT_FALSE(recall->done().is_set());
  ack(kReader, position);
  EXPECT_TRUE(wait(recall));
  EXPECT_EQ(change_of(kFile), nullptr) << "the lease is gone with the recall";
}

TEST_F(Leases, events_may_be_acknowledged_out_of_turn) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  ASSERT_TRUE(grant(kReader, {InodeNo(11)}));
  const RecallPtr first = change_of(kFile);
  const RecallPtr second = change_of(InodeNo(11));
  ack(kReader, 0, {position});
  EXPECT_TRUE(wait(second));
  EXPECT_FALSE(first->done().is_set());
  ack(kReader, position);
  EXPECT_TRUE(wait(first));
}

TEST_F(Leases, names_and_attributes_are_held_apart) {
  ASSERT_TRUE(grant(kReader, {kDir, true}));
  EXPECT_EQ(change_of(kDir), nullptr) << "attributes were not told";
  const RecallPtr recall = change_name(kDir);
  ASSERT_NE(recall, nullptr);
  ack(kReader, position);
  EXPECT_TRUE(wait(recall));
  EXPECT_NE(change_name(kDir), nullptr) << "only one name was forgotten, the others are held";
}

TEST_F(Leases, a_silent_holder_delays_a_change_by_its_term_and_loses_everything) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  ASSERT_TRUE(grant(kReader, {InodeNo(11)}));
  clock.advance(seconds(4));
  const uint64_t before = table->lease_of(kReader);
  const RecallPtr recall = change_of(kFile);
  clock.advance(milliseconds(5999));
  table->expire();
  EXPECT_FALSE(recall->done().is_set());
  clock.advance(milliseconds(1));
  table->expire();
  EXPECT_TRUE(wait(recall));
  EXPECT_NE(table->lease_of(kReader), before);
  EXPECT_EQ(change_of(InodeNo(11)), nullptr);
  ASSERT_EQ(announced.lock()->size(), 1u);
  EXPECT_EQ(announced.lock()->front(), std::make_pair(kReader, table->lease_of(kReader)));
}

TEST_F(Leases, a_lease_that_ran_out_is_lost_with_the_first_change_and_not_before) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  clock.advance(seconds(11));
  const uint64_t before = table->lease_of(kReader);
  EXPECT_EQ(change_of(InodeNo(11)), nullptr);
  EXPECT_EQ(table->lease_of(kReader), before) << "nothing of it was changed";
  EXPECT_EQ(change_of(kFile), nullptr) << "nobody to wait for";
  EXPECT_NE(table->lease_of(kReader), before);
}

TEST_F(Leases, a_late_renewal_keeps_what_nobody_changed) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  clock.advance(seconds(11));
  EXPECT_EQ(ack(kReader, 0).lease_ms, 10000u);
  EXPECT_NE(change_of(kFile), nullptr);
}

TEST_F(Leases, an_old_number_renews_nothing) {
  const uint64_t old = table->lease_of(kReader);
  ASSERT_TRUE(grant(kReader, {kFile}));
  clock.advance(seconds(11));
  (void)change_of(kFile);
  const auto answer = table->acknowledge(kReader, {old, position, {}});
  EXPECT_EQ(answer.lease_ms, 0u);
  EXPECT_EQ(answer.lease, table->lease_of(kReader));
}

TEST_F(Leases, before_it_is_taken_up_nothing_is_held) {
  table->open(SessionId(3), 1, false);
  EXPECT_TRUE(grant(SessionId(3), {kFile}));
  EXPECT_EQ(change_of(kFile), nullptr);
  take_up(SessionId(3));
  EXPECT_EQ(change_of(kFile), nullptr);
  EXPECT_TRUE(grant(SessionId(3), {kFile}));
  EXPECT_NE(change_of(kFile), nullptr);
}

TEST_F(Leases, renewing_without_acknowledging_does_not_hold_others_up_for_longer) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  const RecallPtr recall = change_of(kFile);
  clock.advance(seconds(6));
  EXPECT_EQ(ack(kReader, 0).lease_ms, 4000u);
  clock.advance(seconds(4));
  EXPECT_EQ(ack(kReader, 0).lease_ms, 0u);
  table->expire();
  EXPECT_TRUE(wait(recall));
}

TEST_F(Leases, an_answer_older_than_a_change_is_refused) {
  const uint64_t mark = table->mark();
  EXPECT_EQ(change_of(kFile), nullptr);
  const LeaseWish wish{kFile};
  EXPECT_FALSE(table->grant(kReader, mark, {&wish, 1}));
  const LeaseWish other{InodeNo(11)};
  EXPECT_TRUE(table->grant(kReader, mark, {&other, 1}));
  EXPECT_TRUE(table->grant(kReader, table->mark(), {&wish, 1}));
}

TEST_F(Leases, a_mark_older_than_what_is_remembered_is_refused) {
  start({.recent_limit = 4});
  const uint64_t mark = table->mark();
  for (uint64_t i = 0; i < 6; ++i) (void)change_of(InodeNo(100 + i));
  const LeaseWish wish{kFile};
  EXPECT_FALSE(table->grant(kReader, mark, {&wish, 1}));
}

TEST_F(Leases, during_a_reading_every_change_conflicts) {
  std::optional<LeaseTable::Reading> reading(std::in_place, *table, kReader);
  const RecallPtr recall = change_of(kFile);
  ASSERT_NE(recall, nullptr);
  const LeaseWish wish{kFile};
  reading->grant({&wish, 1});
  reading.reset();
  ack(kReader, position);
  EXPECT_TRUE(wait(recall));
  EXPECT_NE(change_of(kFile), nullptr);
}

TEST_F(Leases, beyond_the_bound_a_session_holds_everything_in_no_memory) {
  start({.session_limit = 3});
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(grant(kReader, {InodeNo(100 + i)}));
  EXPECT_EQ(table->stats().leases, 3u);
  ASSERT_TRUE(grant(kReader, {InodeNo(200)}));
  EXPECT_EQ(table->stats().leases, 0u);
  const RecallPtr recall = change_of(InodeNo(999));
  ASSERT_NE(recall, nullptr);
  ack(kReader, position);
  EXPECT_TRUE(wait(recall));
  EXPECT_NE(change_of(InodeNo(998)), nullptr) << "still everything";
}

TEST_F(Leases, all_sessions_together_are_bounded) {
  start({.total_limit = 4});
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(grant(kReader, {InodeNo(100 + i)}));
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(grant(kWriter, {InodeNo(100 + i)}));
  EXPECT_LE(table->stats().leases, 4u);
}

TEST_F(Leases, what_an_answer_of_a_change_tells_is_leased) {
  const LeaseWish wish{kFile};
  fs::Invalidation told;
  told.inodes.push_back({kFile, true, false});
  (void)table->changed({1, kReader, ++position, &told, {&wish, 1}});
  EXPECT_NE(change_of(kFile), nullptr);
}

TEST_F(Leases, sessions_of_before_a_restart_hold_everything_for_one_term) {
  table->open(SessionId(3), 1, true);
  const RecallPtr first = change_of(kFile);
  ASSERT_NE(first, nullptr);
  EXPECT_GT(ack(SessionId(3), position).lease_ms, 0u) << "it is back";
  EXPECT_TRUE(wait(first));
  clock.advance(seconds(5));
  EXPECT_NE(change_of(kFile), nullptr);
  ack(SessionId(3), position);
  clock.advance(seconds(5));
  EXPECT_EQ(change_of(kFile), nullptr);
}

TEST_F(Leases, sessions_that_do_not_come_back_after_a_restart_delay_by_one_term) {
  table->open(SessionId(3), 1, true);
  const RecallPtr recall = change_of(kFile);
  clock.advance(seconds(10));
  table->expire();
  EXPECT_TRUE(wait(recall));
}

TEST_F(Leases, a_repeated_answer_waits_for_whom_the_first_waited) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  const RecallPtr first = change_of(kFile);
  const RecallPtr again = table->unacknowledged(1, kWriter, position);
  ASSERT_NE(again, nullptr);
  ack(kReader, position);
  EXPECT_TRUE(wait(first));
  EXPECT_TRUE(wait(again));
  EXPECT_EQ(table->unacknowledged(1, kWriter, position), nullptr);
}

TEST_F(Leases, a_repeated_answer_waits_for_sessions_of_before_a_restart) {
  table->open(SessionId(3), 1, true);
  const RecallPtr again = table->unacknowledged(1, kWriter, 77);
  ASSERT_NE(again, nullptr);
  ack(SessionId(3), 77);
  EXPECT_TRUE(wait(again));
  EXPECT_EQ(table->unacknowledged(1, kWriter, 77), nullptr);
}

TEST_F(Leases, nobody_waits_for_sessions_that_ended) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  const RecallPtr recall = change_of(kFile);
  table->close(kReader);
  EXPECT_TRUE(wait(recall));
  EXPECT_EQ(table->stats().leases, 0u);
  EXPECT_EQ(table->lease_of(kReader), 0u);
}

TEST_F(Leases, a_server_that_stops_confirms_nothing) {
  ASSERT_TRUE(grant(kReader, {kFile}));
  const RecallPtr recall = change_of(kFile);
  table->stop();
  EXPECT_FALSE(wait(recall));
  ASSERT_TRUE(grant(kReader, {kFile}));
  EXPECT_FALSE(wait(change_of(kFile)));
}

TEST_F(Leases, other_workspaces_have_nothing_to_do_with_it) {
  table->open(SessionId(3), 2, true);
  EXPECT_EQ(change_of(kFile), nullptr);
}

}  // namespace
}  // namespace aster::primary

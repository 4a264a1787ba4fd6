#include <gtest/gtest.h>

#include "protocol/client/event_parser.h"
#include "protocol/fs/json.h"
#include "server/primary/lease_table.h"
#include "server/primary/tree_quotas.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SessionId kHolder{1};
constexpr SessionId kOther{2};
constexpr InodeNo kDir{20};
constexpr InodeNo kFile{10};

class WriteLeaseTable : public ::testing::Test {
 protected:
  void SetUp() override {
    start();
    for (const SessionId id : {kHolder, kOther}) {
      table->open(id, 1, false);
      take_up(id);
    }
  }
  void start() {
    table = std::make_shared<LeaseTable>(LeaseTable::Options{}, executor, clock,
                                         [](SessionId, uint64_t) {});
    table->on_want([this](SessionId id, const fs::LeaseWanted& wanted) {
      asked.lock()->emplace_back(id, wanted);
    });
  }
  uint32_t take_up(SessionId id) {
    return table->acknowledge(id, {table->lease_of(id), 0, {}}).lease_ms;
  }
  bool take(SessionId id, std::vector<InodeNo> inodes) {
    return table->take(id, table->lease_of(id), inodes);
  }
  RecallPtr want(SessionId id, InodeNo ino) {
    const std::vector<InodeNo> inodes{ino};
    return table->want(id, 1, inodes);
  }
  void give(SessionId id, InodeNo ino) {
    const std::vector<InodeNo> inodes{ino};
    table->give(id, inodes);
  }
  static bool wait(const RecallPtr& recall) {
    return run_blocking([](RecallPtr r) -> Task<bool> { co_return co_await r->done(); }(recall));
  }

  testing::FakeClock clock;
  Executor executor{{"leases", 1}};
  Guarded<std::vector<std::pair<SessionId, fs::LeaseWanted>>> asked;
  std::shared_ptr<LeaseTable> table;
};

TEST_F(WriteLeaseTable, one_session_holds_it_and_others_wait_until_it_is_given_back) {
  EXPECT_FALSE(table->writing());
  ASSERT_TRUE(take(kHolder, {kDir, kFile}));
  EXPECT_TRUE(table->writing());
  EXPECT_FALSE(take(kOther, {kFile})) << "all or nothing";
  EXPECT_EQ(want(kHolder, kDir), nullptr) << "its own";
  EXPECT_EQ(want(kOther, InodeNo(99)), nullptr);
  const RecallPtr recall = want(kOther, kDir);
  ASSERT_NE(recall, nullptr);
  const RecallPtr second = want(SessionId(), kDir);
  ASSERT_NE(second, nullptr) << "callers without a session wait, too";
  ASSERT_EQ(asked.lock()->size(), 1u) << "asked once";
  EXPECT_EQ(asked.lock()->at(0).first, kHolder);
  EXPECT_EQ(asked.lock()->at(0).second.inodes, std::vector<InodeNo>{kDir});
  EXPECT_EQ(table->wanted(kHolder).inodes, std::vector<InodeNo>{kDir});
  EXPECT_FALSE(recall->done().is_set());
  give(kHolder, kDir);
  EXPECT_TRUE(wait(recall));
  EXPECT_TRUE(wait(second));
  EXPECT_EQ(want(kOther, kDir), nullptr);
  EXPECT_NE(want(kOther, kFile), nullptr) << "still held";
}

TEST_F(WriteLeaseTable, what_was_wanted_a_moment_ago_is_not_leased_again) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  const RecallPtr recall = want(kOther, kDir);
  give(kHolder, kDir);
  ASSERT_TRUE(wait(recall));
  EXPECT_FALSE(take(kHolder, {kDir}));
  EXPECT_FALSE(take(kOther, {kDir}));
  clock.advance(seconds(2));
  EXPECT_TRUE(take(kOther, {kDir}));
}

TEST_F(WriteLeaseTable, everything_of_a_workspace_can_be_called_back) {
  EXPECT_EQ(table->want_all(1), nullptr) << "nothing is held";
  ASSERT_TRUE(take(kHolder, {kDir}));
  ASSERT_TRUE(take(kOther, {kFile}));
  EXPECT_EQ(table->want_all(2), nullptr);
  const RecallPtr recall = table->want_all(1);
  ASSERT_NE(recall, nullptr);
  EXPECT_TRUE(table->wanted(kHolder).all);
  EXPECT_TRUE(table->wanted(kOther).all);
  table->give_all(kHolder);
  EXPECT_FALSE(recall->done().is_set()) << "both are waited for";
  table->give_all(kOther);
  EXPECT_TRUE(wait(recall));
  EXPECT_FALSE(table->writing());
  EXPECT_FALSE(take(kHolder, {kDir})) << "not before whoever waited had its turn";
}

TEST_F(WriteLeaseTable, a_silent_holder_delays_by_its_term_and_is_fenced) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  const uint64_t before = table->lease_of(kHolder);
  clock.advance(seconds(4));
  const RecallPtr recall = want(kOther, kDir);
  clock.advance(milliseconds(5999));
  table->expire();
  EXPECT_FALSE(recall->done().is_set());
  clock.advance(milliseconds(1));
  table->expire();
  EXPECT_TRUE(wait(recall));
  EXPECT_NE(table->lease_of(kHolder), before);
  EXPECT_FALSE(table->writing());
  take_up(kHolder);
  const std::vector<InodeNo> inodes{InodeNo(30)};
  EXPECT_FALSE(table->take(kHolder, before, inodes)) << "under the number that was lost";
}

TEST_F(WriteLeaseTable, renewing_does_not_hold_others_up_for_longer) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  const RecallPtr recall = want(kOther, kDir);
  clock.advance(seconds(6));
  EXPECT_EQ(take_up(kHolder), 4000u);
  clock.advance(seconds(4));
  EXPECT_EQ(take_up(kHolder), 0u);
  table->expire();
  EXPECT_TRUE(wait(recall));
}

TEST_F(WriteLeaseTable, a_lease_that_ran_out_holds_nobody_up) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  clock.advance(seconds(11));
  EXPECT_EQ(want(kOther, kDir), nullptr);
}

TEST_F(WriteLeaseTable, the_end_of_the_session_gives_everything_back) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  const RecallPtr recall = want(kOther, kDir);
  table->close(kHolder);
  EXPECT_TRUE(wait(recall));
  EXPECT_FALSE(table->writing());
}

TEST_F(WriteLeaseTable, what_is_made_under_a_lease_is_leased_with_it) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  fs::Invalidation told;
  told.entries.push_back({kDir, "new"});
  const std::vector<LeaseWish> granted{{kFile, false, LeaseMode::write, kDir},
                                       {InodeNo(11), false, LeaseMode::write, InodeNo(21)}};
  (void)table->changed({1, kHolder, 7, &told, granted});
  EXPECT_NE(want(kOther, kFile), nullptr);
  EXPECT_EQ(want(kOther, InodeNo(11)), nullptr) << "made elsewhere";
}

TEST_F(WriteLeaseTable, who_held_it_may_still_believe_what_it_knows) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  give(kHolder, kDir);
  fs::Invalidation told;
  told.entries.push_back({kDir, "x"});
  EXPECT_NE(table->changed({1, kOther, 7, &told, {}}), nullptr);
}

TEST_F(WriteLeaseTable, an_event_of_all_names_ends_the_lease_on_them) {
  const LeaseWish names{kDir, true};
  ASSERT_TRUE(table->grant(kOther, table->mark(), {&names, 1}));
  fs::Invalidation told;
  told.entries.push_back({kDir, ""});
  const RecallPtr recall = table->changed({1, kHolder, 7, &told, {}});
  ASSERT_NE(recall, nullptr);
  table->acknowledge(kOther, {table->lease_of(kOther), 7, {}});
  EXPECT_TRUE(wait(recall));
  EXPECT_EQ(table->changed({1, kHolder, 8, &told, {}}), nullptr);
}

TEST_F(WriteLeaseTable, after_a_restart_a_former_holder_is_waited_for_whatever_is_asked) {
  start();
  table->open(kHolder, 1, true, true);
  table->open(kOther, 1, true, false);
  table->open(SessionId(3), 2, true, false);
  const std::vector<InodeNo> inodes{kFile};
  EXPECT_EQ(table->want(SessionId(3), 2, inodes), nullptr) << "another workspace";
  const RecallPtr recall = want(kOther, kFile);
  ASSERT_NE(recall, nullptr);
  EXPECT_TRUE(table->wanted(kHolder).all);
  EXPECT_FALSE(take(kOther, {kFile}));
  table->give_all(kHolder);
  EXPECT_TRUE(wait(recall));
  EXPECT_FALSE(table->writing());
  const std::vector<InodeNo> more{kDir};
  EXPECT_TRUE(take(kHolder, more));
}

TEST_F(WriteLeaseTable, a_former_holder_that_stays_away_delays_for_one_term) {
  start();
  table->open(kHolder, 1, true, true);
  const RecallPtr recall = want(kOther, kFile);
  ASSERT_NE(recall, nullptr);
  clock.advance(seconds(10));
  table->expire();
  EXPECT_TRUE(wait(recall));
}

TEST_F(WriteLeaseTable, the_end_of_the_server_ends_every_wait) {
  ASSERT_TRUE(take(kHolder, {kDir}));
  const RecallPtr recall = want(kOther, kDir);
  table->stop();
  EXPECT_FALSE(wait(recall));
}

/// The service with a session that leases for writing and another that looks.
class ServiceWriteLeases : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.directory_policies = true;
    NamespaceFixture::SetUp();
    holder_ = open_session();
    other_ = open_session();
    dir_ino_ = make_dir(root_, "d").ino;
    file_ = make(dir_ino_, "file").ino;
    follow();
  }
  void follow() {
    stream_ = *service_->events(holder_, cursor_);
    parser_ = EventParser();
    while (lease_ == 0) pump();
    ack();
  }
  void pump() {
    std::array<std::byte, 4096> buffer;
    const auto n = run_blocking(stream_->read(buffer));
    ASSERT_TRUE(n.ok() && *n > 0);
    parser_.feed(as_text({buffer.data(), *n}), [&](std::string_view name, std::string_view data) {
      if (name == "lease") lease_ = fs::decode_lease_notice(data)->lease;
      if (name == "want") wanted_ = *fs::decode_lease_wanted(data);
      if (name == "inval" || name == "recall") cursor_ = fs::decode_invalidation(data)->cursor;
    });
  }
  void ack() {
    const fs::Ack ack{holder_.session, lease_, cursor_, {}};
    ASSERT_TRUE(service_->acknowledge(holder_, ack).ok());
  }
  Result<fs::LeaseAnswer> take(InodeNo ino) {
    fs::LeaseRequest request;
    request.lease = lease_;
    request.take = ino;
    return run_blocking(service_->lease(holder_, request));
  }
  void give(std::vector<InodeNo> inodes) {
    fs::LeaseRequest request;
    request.give = std::move(inodes);
    ASSERT_TRUE(run_blocking(service_->lease(holder_, request)).ok());
  }
  Completion<bool> ask(const Caller& caller, std::vector<fs::BatchItem> items) {
    Completion<bool> done;
    aster::start<std::vector<Result<fs::Answer>>>(
        service_->apply(caller, {caller.session, false, std::move(items)}),
        [done](std::vector<Result<fs::Answer>> answers) { done.set(answers.back().ok()); });
    return done;
  }
  static bool wait(const Completion<bool>& done) {
    return run_blocking([](Completion<bool> d) -> Task<bool> { co_return co_await d; }(done));
  }
  /// Pumps until something is wanted; gives back what is, until the question is answered.
  bool give_until(const Completion<bool>& done) {
    size_t rounds = 0;
    while (!done.is_set()) {
      while (wanted_.inodes.empty() && !done.is_set()) {
        pump();
        ack();  // of changes: what was leased for writing may be believed afterwards, too
      }
      if (wanted_.inodes.empty()) break;
      EXPECT_FALSE(done.is_set());
      ++rounds;
      give(std::exchange(wanted_, {}).inodes);
    }
    EXPECT_GT(rounds, 0u) << "nobody was asked";
    return wait(done);
  }

  bool give_all_until(const Completion<bool>& done) {
    while (!wanted_.all && !done.is_set()) {
      pump();
      ack();
    }
    EXPECT_FALSE(done.is_set()) << "nobody was asked";
    fs::LeaseRequest request;
    request.lease = lease_;
    request.give_all = true;
    EXPECT_TRUE(run_blocking(service_->lease(holder_, request)).ok());
    return wait(done);
  }

  Caller holder_;
  Caller other_;
  InodeNo dir_ino_;
  InodeNo file_;
  std::shared_ptr<ByteSource> stream_;
  EventParser parser_;
  std::string cursor_;
  uint64_t lease_ = 0;
  fs::LeaseWanted wanted_;
};

TEST_F(ServiceWriteLeases, it_comes_with_all_that_is_in_the_directory) {
  const auto answer = take(dir_ino_);
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  ASSERT_TRUE(answer->granted);
  EXPECT_EQ(answer->attr->ino, dir_ino_);
  ASSERT_EQ(answer->entries.size(), 1u);
  EXPECT_EQ(answer->entries[0].attr.ino, file_);
}

TEST_F(ServiceWriteLeases, each_kind_of_question_of_others_waits) {
  fs::SetAttr mode{.ino = file_};
  mode.mode = 0600;
  fs::Create create;
  create.parent = dir_ino_;
  create.name = "new";
  const std::vector<fs::Operation> questions{fs::GetAttr{file_},
                                             fs::GetAttr{dir_ino_},
                                             fs::Lookup{dir_ino_, "file"},
                                             fs::ReadDir{dir_ino_},
                                             fs::Lookup{dir_ino_, "none"},
                                             fs::GetManifest{file_},
                                             fs::ListXattr{file_},
                                             fs::GetXattr{file_, "user.none"},
                                             mode,
                                             fs::Link{file_, root_, "l"},
                                             create,
                                             fs::Unlink{dir_ino_, "new"},
                                             fs::Rename{dir_ino_, "file", root_, "f"},
                                             fs::Rmdir{dir_ino_, "none"}};
  for (const fs::Operation& question : questions) {
    SCOPED_TRACE(std::string(fs::operation_name(question)));
    ASSERT_TRUE(take(dir_ino_)->granted);
    ASSERT_TRUE(take(file_)->granted);
    const bool absent = std::holds_alternative<fs::GetXattr>(question) ||
                        std::holds_alternative<fs::Rmdir>(question) ||
                        (std::holds_alternative<fs::Lookup>(question) &&
                         std::get<fs::Lookup>(question).name == "none");
    EXPECT_EQ(give_until(ask(other_, {{question, {}}})), !absent);
    give({dir_ino_, file_});
    clock_.advance(seconds(2));
    ack();
  }
}

TEST_F(ServiceWriteLeases, callers_without_a_session_wait_too) {
  ASSERT_TRUE(take(dir_ino_)->granted);
  EXPECT_TRUE(give_until(ask(caller_, {{fs::GetAttr{file_}, {}}})));
}

TEST_F(ServiceWriteLeases, what_the_holder_kept_is_seen_by_whoever_waited) {
  ASSERT_TRUE(take(dir_ino_)->granted);
  const auto there = ask(other_, {{fs::Lookup{dir_ino_, "kept"}, {}}});
  while (wanted_.inodes.empty()) pump();
  fs::Create create;
  create.parent = dir_ino_;
  create.name = "kept";
  const auto made = call_as<Attr>(holder_, create);
  ASSERT_TRUE(made.ok()) << "the holder does not wait for itself";
  give({dir_ino_, made->ino});
  EXPECT_TRUE(wait(there));
}

TEST_F(ServiceWriteLeases, the_rest_of_a_batch_goes_on_behind_what_waited) {
  ASSERT_TRUE(take(dir_ino_)->granted);
  fs::Create before;
  before.parent = root_;
  before.name = "before";
  fs::Create behind = before;
  behind.name = "behind";
  fs::SetAttr mode{.ino = file_};
  mode.mode = 0640;
  const auto done = ask(other_, {{before, {}}, {mode, {}}, {behind, {}}});
  while (wanted_.inodes.empty()) pump();
  EXPECT_FALSE(lookup(root_, "behind").ok()) << "in order";
  EXPECT_TRUE(give_until(done));
  EXPECT_EQ(attr(file_).mode, 0640u);
  EXPECT_TRUE(lookup(root_, "before").ok());
  EXPECT_TRUE(lookup(root_, "behind").ok());
}

TEST_F(ServiceWriteLeases, too_large_a_directory_is_not_leased) {
  for (size_t i = 0; i <= fs::kTakeNamesMax; ++i) (void)make(dir_ino_, "f" + std::to_string(i));
  EXPECT_FALSE(take(dir_ino_)->granted);
}

// Deep below: whoever keeps names there has to learn of the rule.
TEST_F(ServiceWriteLeases, a_policy_waits_for_what_is_kept_anywhere_below) {
  const InodeNo below = make_dir(dir_ino_, "below").ino;
  ASSERT_TRUE(take(below)->granted);
  const fs::SetXattr rule{dir_ino_, "user.aster.policy", "large"};
  EXPECT_TRUE(give_all_until(ask(other_, {{rule, {}}})));
  EXPECT_FALSE(take(below)->granted);
}

TEST_F(ServiceWriteLeases, the_holder_itself_gives_back_for_a_policy) {
  const InodeNo below = make_dir(dir_ino_, "below").ino;
  ASSERT_TRUE(take(below)->granted);
  const fs::SetXattr rule{dir_ino_, "user.aster.policy", "large"};
  EXPECT_TRUE(give_all_until(ask(holder_, {{rule, {}}})));
}

TEST_F(ServiceWriteLeases, a_quota_waits_for_what_is_kept_anywhere_below) {
  TreeQuotas quotas(*database_, executor_, clock_,
                    [this](uint64_t workspace) { return service_->call_back(workspace); });
  const InodeNo below = make_dir(dir_ino_, "below").ino;
  ASSERT_TRUE(take(below)->granted);
  const Completion<bool> done;
  std::jthread administrator([&] {
    done.set(run_blocking(quotas.set({caller_.workspace, "/d", 1000})).ok());
  });
  EXPECT_TRUE(give_all_until(done));
  EXPECT_FALSE(take(below)->granted);
}

TEST_F(ServiceWriteLeases, a_folder_with_a_quota_is_not_leased) {
  TreeQuotas quotas(*database_, executor_, clock_, [](uint64_t) { return nullptr; });
  ASSERT_TRUE(run_blocking(quotas.set({caller_.workspace, "/d", 1000})).ok());
  const InodeNo below = make_dir(dir_ino_, "below").ino;
  EXPECT_FALSE(take(dir_ino_)->granted);
  EXPECT_FALSE(take(below)->granted);
  EXPECT_TRUE(take(root_)->granted) << "what lies in it is in no tree";
}

TEST_F(ServiceWriteLeases, a_folder_with_a_policy_is_not_leased) {
  const InodeNo below = make_dir(dir_ino_, "below").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{dir_ino_, "user.aster.policy", "large"}).ok());
  EXPECT_FALSE(take(dir_ino_)->granted);
  EXPECT_FALSE(take(below)->granted);
  EXPECT_TRUE(make_dir(below, "new").own_policy) << "so that a mount makes no names in it";
  EXPECT_FALSE(make_dir(root_, "new").own_policy);
  EXPECT_TRUE(take(root_)->granted);
}

TEST_F(ServiceWriteLeases, late_changes_take_nothing_from_others) {
  fs::Unlink unlink{dir_ino_, "file"};
  unlink.only = InodeNo(file_.value + 1000);
  EXPECT_TRUE(call<fs::Removed>(unlink).failed_with(Errc::not_found));
  fs::Rename rename{dir_ino_, "file", root_, "f"};
  rename.only = unlink.only;
  EXPECT_TRUE(call<fs::Renamed>(rename).failed_with(Errc::not_found));
  (void)make(root_, "f");
  rename.only = file_;
  rename.replaces = file_;
  EXPECT_TRUE(call<fs::Renamed>(rename).failed_with(Errc::exists));
  fs::Rmdir rmdir{root_, "d"};
  rmdir.only = file_;
  EXPECT_TRUE(call<fs::Removed>(rmdir).failed_with(Errc::not_found));
  unlink.only = file_;
  EXPECT_TRUE(call<fs::Removed>(unlink).ok());
}

TEST_F(ServiceWriteLeases, a_restarted_server_waits_for_the_former_holder) {
  ASSERT_TRUE(take(dir_ino_)->granted);
  restart();
  const auto done = ask(other_, {{fs::GetAttr{file_}, {}}});
  lease_ = 0;
  follow();
  EXPECT_FALSE(done.is_set());
  fs::LeaseRequest request;
  request.give_all = true;
  ASSERT_TRUE(run_blocking(service_->lease(holder_, request)).ok());
  EXPECT_TRUE(wait(done));
}

}  // namespace
}  // namespace aster::primary

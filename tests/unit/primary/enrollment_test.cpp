#include "server/primary/enrollment.h"

#include "tests/unit/primary/admin_fixture.h"

namespace aster::primary {
namespace {

class EnrollmentTest : public AdminFixture {
 protected:
  Enrollment::Issued issue() { return *run_blocking(enrollment.issue(node.id)); }
  Result<RedeemAnswer> redeem(const std::string& token, Dialect dialect = Dialect::str) {
    return run_blocking(enrollment.redeem(token, dialect));
  }
  Result<void> acknowledge(const std::string& token) {
    return run_blocking(enrollment.acknowledge(token));
  }
  std::string status() {
    const auto latest = run_blocking(node_store->latest_enrollment(node.id));
    const auto nodes = run_blocking(node_store->nodes());
    return enrollment.status(nodes->at(0), *latest);
  }
  Task<void> note(NodeId id, bool first) {
    enrolled.emplace_back(id, first);
    co_return;
  }

  using Told = std::vector<std::pair<NodeId, bool>>;
  Told enrolled;
  db::NodeRow node = add_node("f1");
  Enrollment enrollment{*node_store,
                        [] { return Result<std::string>("https://drive.example.com"); }, clock,
                        [this](NodeId id, bool first) { return note(id, first); }};
};

TEST_F(EnrollmentTest, leads_from_token_to_completion) {
  EXPECT_EQ(status(), "not_started");
  const auto issued = issue();
  EXPECT_EQ(status(), "pending");
  EXPECT_EQ(issued.command,
            "aster_drive node enroll --master-url https://drive.example.com"
            " --token " +
                issued.token);
  const auto answer = redeem(issued.token);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->access_key, "rn_f1");
  EXPECT_EQ(answer->secret_key, "rns_f1");
  EXPECT_EQ(answer->master_url, "https://drive.example.com");
  EXPECT_EQ(answer->resolved_transport, "direct");
  EXPECT_EQ(answer->storage_namespace, "ns-f1");
  EXPECT_EQ(status(), "redeemed");
  ASSERT_TRUE(acknowledge(answer->ack_token).ok());
  EXPECT_EQ(status(), "completed");
  EXPECT_EQ(enrolled, (Told{{node.id, true}}));
}

TEST_F(EnrollmentTest, takes_an_acknowledgement_again_and_by_the_raw_token) {
  const auto issued = issue();
  ASSERT_TRUE(redeem(issued.token).ok());
  EXPECT_TRUE(acknowledge(issued.token).ok());
  EXPECT_TRUE(acknowledge(issued.token).ok());
  EXPECT_EQ(enrolled, (Told{{node.id, true}, {node.id, false}}));
}

TEST_F(EnrollmentTest, refuses_unknown_tokens) {
  EXPECT_EQ(redeem("enr_none").error().context, "invalid enrollment token");
  EXPECT_EQ(redeem("").error().context, "invalid enrollment token");
  EXPECT_EQ(redeem(std::string(100'000, 'x')).error().context, "invalid enrollment token");
  EXPECT_EQ(acknowledge("enr_none").error().context, "invalid enrollment token");
}

TEST_F(EnrollmentTest, refuses_a_token_after_thirty_minutes) {
  const auto issued = issue();
  clock.advance(std::chrono::minutes(30));
  EXPECT_EQ(redeem(issued.token).error().context, "enrollment token has expired");
  EXPECT_EQ(status(), "expired");
}

TEST_F(EnrollmentTest, refuses_a_second_redeem) {
  const auto issued = issue();
  const auto answer = redeem(issued.token);
  EXPECT_EQ(redeem(issued.token).error().context, "enrollment token has already been redeemed");
  ASSERT_TRUE(acknowledge(answer->ack_token).ok());
  EXPECT_EQ(redeem(issued.token).error().context, "enrollment token has already been completed");
}

TEST_F(EnrollmentTest, refuses_what_a_newer_token_replaced) {
  const auto old = issue();
  const auto redeemed_first = issue();
  EXPECT_EQ(redeem(old.token).error().context,
            "enrollment token has been replaced by a newer session");
  const auto answer = redeem(redeemed_first.token);
  issue();
  EXPECT_EQ(acknowledge(answer->ack_token).error().context,
            "enrollment session has been invalidated");
}

TEST_F(EnrollmentTest, refuses_an_acknowledgement_before_the_redeem) {
  EXPECT_TRUE(acknowledge(issue().token).failed_with(Errc::bad_request));
}

TEST_F(EnrollmentTest, does_not_take_an_acknowledgement_token_for_a_redeem) {
  const auto answer = redeem(issue().token);
  EXPECT_EQ(redeem(answer->ack_token).error().context, "invalid enrollment token");
}

TEST_F(EnrollmentTest, issues_nothing_for_enrolled_or_unknown_nodes) {
  const auto issued = issue();
  ASSERT_TRUE(redeem(issued.token).ok());
  ASSERT_TRUE(acknowledge(issued.token).ok());
  EXPECT_TRUE(run_blocking(enrollment.issue(node.id)).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(enrollment.issue(NodeId(99))).failed_with(Errc::not_found));
}

TEST_F(EnrollmentTest, remembers_the_dialect_of_the_follower) {
  ASSERT_TRUE(redeem(issue().token, Dialect::num).ok());
  EXPECT_EQ(run_blocking(node_store->nodes())->at(0).dialect, "num");
}

TEST_F(EnrollmentTest, stores_tokens_as_hashes_only) {
  const auto issued = issue();
  std::string files;
  for (const char* name : {"primary.db", "primary.db-wal"}) files += testing::read_file(dir / name);
  EXPECT_EQ(files.find(issued.token), std::string::npos);
}

}  // namespace
}  // namespace aster::primary

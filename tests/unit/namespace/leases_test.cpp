#include "protocol/client/event_parser.h"
#include "protocol/fs/json.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

/// The namespace service with two sessions, one of which reads under leases.
class ServiceLeases : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    writer_ = open_session();
    reader_ = open_session();
    file_ = make(root_, "file");
    follow();
  }

  /// Reads the stream until a lease was noticed, and takes it up.
  void follow() {
    stream_ = *service_->events(reader_, cursor_);
    parser_ = EventParser();
    const uint64_t before = std::exchange(lease_, 0);
    while (lease_ == 0 || lease_ == before) pump();
    ASSERT_GT(ack().lease_ms, 0u);
  }
  void pump() {
    std::array<std::byte, 4096> buffer;
    const auto n = run_blocking(stream_->read(buffer));
    ASSERT_TRUE(n.ok() && *n > 0);
    parser_.feed(as_text({buffer.data(), *n}), [&](std::string_view name, std::string_view data) {
      if (name == "lease") lease_ = fs::decode_lease_notice(data)->lease;
      if (name == "recall") ++recalled_;
      if (name == "inval" || name == "recall") cursor_ = fs::decode_invalidation(data)->cursor;
    });
  }
  fs::AckAnswer ack() {
    const auto answer = service_->acknowledge(reader_, {reader_.session, lease_, cursor_, {}});
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? *answer : fs::AckAnswer();
  }
  /// A change by the writer, under way.
  Completion<bool> change(fs::Operation operation, OperationId id = OperationId::random()) {
    Completion<bool> done;
    std::vector<fs::BatchItem> items;
    items.push_back({std::move(operation), id});
    aster::start<std::vector<Result<fs::Answer>>>(
        service_->apply(writer_, {writer_.session, false, std::move(items)}),
        [done](std::vector<Result<fs::Answer>> answers) { done.set(answers[0].ok()); });
    return done;
  }
  static bool wait(const Completion<bool>& done) {
    return run_blocking([](Completion<bool> d) -> Task<bool> { co_return co_await d; }(done));
  }
  fs::SetAttr mode(uint32_t bits) {
    fs::SetAttr op;
    op.ino = file_.ino;
    op.mode = bits;
    return op;
  }
  /// Pumps until the change is in the stream; it must not be answered before it is acknowledged.
  void expect_recall(const Completion<bool>& done) {
    const int before = recalled_;
    while (recalled_ == before) pump();
    EXPECT_FALSE(done.is_set());
    ack();
    EXPECT_TRUE(wait(done));
  }

  Caller writer_;
  Caller reader_;
  Attr file_;
  std::shared_ptr<ByteSource> stream_;
  EventParser parser_;
  uint64_t lease_ = 0;
  int recalled_ = 0;
};

TEST_F(ServiceLeases, each_kind_of_read_is_leased_until_recalled) {
  const auto reads = [&]() -> std::vector<fs::Operation> {
    return {fs::GetAttr{file_.ino},   fs::Lookup{root_, "file"},       fs::ReadDir{root_},
            fs::ListXattr{file_.ino}, fs::GetXattr{file_.ino, "none"}, fs::GetManifest{file_.ino}};
  };
  uint32_t bits = 0600;
  for (const fs::Operation& read : reads()) {
    (void)batch(reader_, {{read, {}}});
    expect_recall(change(mode(bits ^= 1)));
    EXPECT_TRUE(wait(change(mode(bits ^= 1)))) << "nobody holds it any more";
  }
}

TEST_F(ServiceLeases, names_that_are_not_there_are_leased) {
  ASSERT_TRUE(call_as<Attr>(reader_, fs::Lookup{root_, "new"}).failed_with(Errc::not_found));
  fs::Create create;
  create.parent = root_;
  create.name = "new";
  expect_recall(change(create));
}

TEST_F(ServiceLeases, own_creations_are_leased) {
  fs::Create create;
  create.parent = root_;
  create.name = "mine";
  ASSERT_TRUE(call_as<Attr>(reader_, create).ok());
  expect_recall(change(fs::Unlink{root_, "mine"}));
}

TEST_F(ServiceLeases, attributes_that_came_with_a_change_are_leased) {
  (void)batch(reader_, {{fs::Create{root_, "mine"}, {}}, {fs::GetAttr{file_.ino}, {}}});
  expect_recall(change(mode(0600)));
}

TEST_F(ServiceLeases, what_was_not_looked_at_costs_nothing) {
  EXPECT_TRUE(wait(change(mode(0600))));
  EXPECT_TRUE(wait(change(fs::Unlink{root_, "file"})));
}

TEST_F(ServiceLeases, a_silent_holder_delays_for_its_term_only) {
  options_.lease_term = std::chrono::milliseconds(50);
  restart();
  follow();
  ASSERT_TRUE(call_as<Attr>(reader_, fs::GetAttr{file_.ino}).ok());
  clock_.advance(options_.lease_term);
  EXPECT_TRUE(wait(change(mode(0600)))) << "its time was over before the change";
  const uint64_t before = lease_;
  while (lease_ == before) pump();
  EXPECT_GT(ack().lease_ms, 0u) << "the new lease comes by the stream";
}

TEST_F(ServiceLeases, a_repeated_change_waits_like_the_first) {
  ASSERT_TRUE(call_as<Attr>(reader_, fs::GetAttr{file_.ino}).ok());
  const OperationId id = OperationId::random();
  const auto first = change(mode(0600), id);
  const std::string before = cursor_;
  while (cursor_ == before) pump();
  const auto again = change(mode(0600), id);
  EXPECT_TRUE(wait(change(fs::Unlink{root_, "file"}))) << "goes through the writer after it";
  EXPECT_FALSE(first.is_set());
  EXPECT_FALSE(again.is_set());
  ack();
  EXPECT_TRUE(wait(first));
  EXPECT_TRUE(wait(again));
}

TEST_F(ServiceLeases, after_a_restart_changes_wait_for_everybody_of_before) {
  restart();
  const auto changed = change(mode(0600));
  follow();  // comes back and acknowledges what the journal has
  while (!changed.is_set()) {
    pump();
    ack();
  }
  EXPECT_TRUE(wait(changed));
}

TEST_F(ServiceLeases, a_closed_session_holds_nobody_up) {
  ASSERT_TRUE(call_as<Attr>(reader_, fs::GetAttr{file_.ino}).ok());
  const auto changed = change(mode(0600));
  ASSERT_TRUE(run_blocking(service_->close_session(reader_)).ok());
  EXPECT_TRUE(wait(changed));
  EXPECT_TRUE(service_->acknowledge(reader_, {reader_.session, lease_, "", {}})
                  .failed_with(Errc::stale_handle));
}

}  // namespace
}  // namespace aster::primary

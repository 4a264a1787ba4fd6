#include "protocol/client/coalescing_client.h"

#include <gtest/gtest.h>

#include <future>

#include "protocol/base/guarded.h"

namespace aster {
namespace {

/// Keeps requests until the test answers them.
class HeldPrimary final : public PrimaryClient {
 public:
  struct Request {
    std::vector<fs::BatchItem> items;
    std::chrono::milliseconds deadline;
    Completion<Result<fs::BatchAnswer>> done;
  };

  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      std::chrono::milliseconds deadline) override {
    Request request{std::move(items), deadline, {}};
    const Completion<Result<fs::BatchAnswer>> done = request.done;
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
    }
    arrived_.notify_all();
    Result<fs::BatchAnswer> answer = co_await done;
    co_return answer;
  }
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest) override {
    co_return fail(Errc::unsupported);
  }
  Task<Result<void>> close_session() override { co_return ok(); }
  Task<Result<void>> follow_events(EventHandlers, CancelToken) override { co_return ok(); }
  std::string absolute(const std::string& url) const override { return url; }

  /// The request number `index`, once it is there.
  Request request(size_t index) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return requests_.size() > index; });
    return requests_[index];
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return requests_.size();
  }
  /// Every operation is answered with the inode that it names.
  static void answer(const Request& request) {
    fs::BatchAnswer answer;
    for (const fs::BatchItem& item : request.items) {
      fs::Attr attr;
      if (const auto* get = std::get_if<fs::GetAttr>(&item.operation)) attr.ino = get->ino;
      if (const auto* set = std::get_if<fs::SetAttr>(&item.operation)) attr.ino = set->ino;
      answer.results.push_back(fs::Answer(std::move(attr)));
    }
    request.done.set(std::move(answer));
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Request> requests_;
};

class CoalescingClientTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::hours kNever{1};

  void use(CoalescingOptions options) {
    client = make_coalescing_client(options, primary, executor);
  }
  std::future<Result<fs::Attr>> set(uint64_t ino,
                                    std::chrono::milliseconds deadline = std::chrono::minutes(1)) {
    fs::SetAttr change;
    change.ino = InodeNo(ino);
    return ask(change, deadline);
  }
  std::future<Result<fs::Attr>> ask(fs::Operation operation,
                                    std::chrono::milliseconds deadline = std::chrono::minutes(1)) {
    auto promise = std::make_shared<std::promise<Result<fs::Attr>>>();
    std::future<Result<fs::Attr>> future = promise->get_future();
    start<Result<fs::Attr>>(client->call<fs::Attr>(std::move(operation), deadline),
                            [promise](Result<fs::Attr> a) { promise->set_value(std::move(a)); });
    return future;
  }

  Executor executor{{.name = "test", .threads = 2}};
  HeldPrimary primary;
  std::unique_ptr<PrimaryClient> client;
};

TEST_F(CoalescingClientTest, WhatComesDuringARequestLeavesTogetherInOrder) {
  use({.writes_under_way = 1, .longest_wait = kNever});
  std::vector<std::future<Result<fs::Attr>>> asked;
  for (uint64_t ino = 1; ino <= 5; ++ino) asked.push_back(set(ino));
  EXPECT_EQ(primary.count(), 1u);
  EXPECT_EQ(primary.request(0).items.size(), 1u);
  HeldPrimary::answer(primary.request(0));
  const auto second = primary.request(1);
  ASSERT_EQ(second.items.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::get<fs::SetAttr>(second.items[i].operation).ino.value, i + 2);
    EXPECT_TRUE(second.items[i].id.has_value());
  }
  HeldPrimary::answer(second);
  for (uint64_t ino = 1; ino <= 5; ++ino) EXPECT_EQ(asked[ino - 1].get()->ino.value, ino);
  EXPECT_EQ(primary.count(), 2u);
}

TEST_F(CoalescingClientTest, NothingWaitsLongForAnOperationThatIsHeldUp) {
  use({.writes_under_way = 1, .longest_wait = std::chrono::milliseconds(1)});
  auto held_up = set(1);
  auto next = set(2);
  HeldPrimary::answer(primary.request(1));  // comes although the first was not answered
  EXPECT_EQ(next.get()->ino.value, 2u);
  HeldPrimary::answer(primary.request(0));
  EXPECT_TRUE(held_up.get().ok());
}

TEST_F(CoalescingClientTest, ReadsDoNotWaitForWrites) {
  use({.writes_under_way = 1, .reads_under_way = 1, .longest_wait = kNever});
  auto write = set(1);
  auto read = ask(fs::GetAttr{InodeNo(7)});
  HeldPrimary::answer(primary.request(1));
  EXPECT_EQ(read.get()->ino.value, 7u);
  HeldPrimary::answer(primary.request(0));
  EXPECT_TRUE(write.get().ok());
}

TEST_F(CoalescingClientTest, AMalformedCompanionHarmsNobody) {
  use({.writes_under_way = 1, .longest_wait = kNever});
  auto first = set(1);
  auto good = set(2);
  auto bad = set(3);
  HeldPrimary::answer(primary.request(0));
  const auto together = primary.request(1);
  ASSERT_EQ(together.items.size(), 2u);
  together.done.set(Error{Errc::bad_request, "no such JSON"});
  const auto good_again = primary.request(2);
  const auto bad_again = primary.request(3);
  ASSERT_EQ(good_again.items.size(), 1u);
  EXPECT_EQ(good_again.items[0].id, together.items[0].id);
  EXPECT_EQ(bad_again.items[0].id, together.items[1].id);
  HeldPrimary::answer(good_again);
  bad_again.done.set(Error{Errc::bad_request, "no such JSON"});
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(good.get().ok());
  EXPECT_TRUE(bad.get().failed_with(Errc::bad_request));
}

TEST_F(CoalescingClientTest, AnErrorOfTheRequestReachesAll) {
  use({.writes_under_way = 1, .longest_wait = kNever});
  auto first = set(1);
  auto second = set(2);
  auto third = set(3);
  HeldPrimary::answer(primary.request(0));
  primary.request(1).done.set(Error{Errc::unavailable, "gone"});
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().failed_with(Errc::unavailable));
  EXPECT_TRUE(third.get().failed_with(Errc::unavailable));
  EXPECT_EQ(primary.count(), 2u);
}

TEST_F(CoalescingClientTest, OtherDeadlinesAndLargeOperationsGoApart) {
  use({.writes_under_way = 1, .longest_wait = kNever});
  auto first = set(1);
  auto patient = set(2);
  auto hasty = set(3, std::chrono::seconds(2));
  fs::SetXattr large{InodeNo(4), "user.x", std::string(60000, 'x')};
  std::vector<std::future<Result<fs::Attr>>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(ask(large));
  HeldPrimary::answer(primary.request(0));
  EXPECT_EQ(primary.request(1).items.size(), 1u);
  HeldPrimary::answer(primary.request(1));
  EXPECT_LE(primary.request(2).deadline, std::chrono::seconds(2));
  HeldPrimary::answer(primary.request(2));
  EXPECT_EQ(primary.request(3).items.size(), 8u);  // 1 MiB of values
  HeldPrimary::answer(primary.request(3));
  HeldPrimary::answer(primary.request(4));
  for (auto& one : asked) EXPECT_TRUE(one.get().ok());
  EXPECT_TRUE(first.get().ok() && patient.get().ok() && hasty.get().ok());
}

TEST_F(CoalescingClientTest, WhoeverGathersSendsOneRequest) {
  use({.writes_under_way = 2, .longest_wait = kNever});
  std::vector<std::future<Result<fs::Attr>>> asked;
  {
    const auto gathering = client->gather();
    for (uint64_t ino = 1; ino <= 3; ++ino) asked.push_back(set(ino));
    EXPECT_EQ(primary.count(), 0u);
  }
  ASSERT_EQ(primary.request(0).items.size(), 3u);
  HeldPrimary::answer(primary.request(0));
  for (auto& one : asked) EXPECT_TRUE(one.get().ok());
}

}  // namespace
}  // namespace aster

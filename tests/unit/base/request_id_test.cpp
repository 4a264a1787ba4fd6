#include "protocol/base/request_id.h"

#include <gtest/gtest.h>

#include <mutex>

#include "protocol/base/executor.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

std::string current() {
  return RequestId::current().text();
}

TEST(RequestId, is_kept_as_given_or_made) {
  EXPECT_TRUE(RequestId().empty());
  EXPECT_EQ(RequestId().text(), "");
  EXPECT_EQ(RequestId("abc-1").text(), "abc-1");
  EXPECT_EQ(RequestId(std::string(100, 'x')).text(), std::string(64, 'x'));
  const RequestId one = RequestId::make();
  EXPECT_FALSE(one.empty());
  EXPECT_EQ(one.text(), one.text());
  EXPECT_NE(one.text(), RequestId::make().text());
}

TEST(RequestId, a_scope_gives_back_what_was_before) {
  const RequestScope outer(RequestId("outer"));
  {
    const RequestScope inner(RequestId("inner"));
    EXPECT_EQ(current(), "inner");
  }
  EXPECT_EQ(current(), "outer");
}

Task<Result<std::string>> wander(Executor& one, Executor& two, Completion<bool> gate) {
  std::string seen = current();
  co_await one.hop();
  seen += " " + current();
  const Result<std::string> there =
      co_await two.run([]() -> Result<std::string> { return current(); });
  seen += " " + *there;
  co_await gate;
  seen += " " + current();
  co_await two.sleep(std::chrono::milliseconds(1));
  seen += " " + current();
  AsyncMutex mutex(one);
  const auto lock = co_await mutex.acquire();
  seen += " " + current();
  co_return seen;
}

TEST(RequestId, follows_a_coroutine_over_threads) {
  Executor one({.name = "one", .threads = 2});
  Executor two({.name = "two", .threads = 1});
  std::vector<Completion<bool>> gates(20);
  std::vector<Completion<Result<std::string>>> outcomes(gates.size());
  for (size_t i = 0; i < gates.size(); ++i) {
    const RequestScope scope(RequestId("r" + std::to_string(i)));
    start<Result<std::string>>(wander(one, two, gates[i]),
                               [done = outcomes[i]](auto seen) { done.set(std::move(seen)); });
    EXPECT_EQ(current(), "r" + std::to_string(i)) << "the starter keeps its own";
  }
  const RequestScope mine(RequestId("mine"));
  for (const Completion<bool>& gate : gates) {
    gate.set(true);
    EXPECT_EQ(current(), "mine") << "waking another request changes nothing here";
  }
  for (size_t i = 0; i < gates.size(); ++i) {
    const std::string id = "r" + std::to_string(i);
    const auto seen =
        run_blocking([](Completion<Result<std::string>> done) -> Task<Result<std::string>> {
          Result<std::string> value = co_await done;
          co_return value;
        }(outcomes[i]));
    ASSERT_TRUE(seen.ok());
    EXPECT_EQ(*seen, id + " " + id + " " + id + " " + id + " " + id + " " + id);
  }
}

TEST(RequestId, work_that_belongs_to_no_request_has_none) {
  Executor executor({.name = "one", .threads = 1});
  Completion<Result<std::string>> seen;
  {
    const RequestScope scope(RequestId("r"));
    EXPECT_TRUE(run_blocking(executor.run([]() -> Result<void> { return ok(); })).ok());
  }
  executor.post([seen] { seen.set(current()); });
  const auto text =
      run_blocking([](Completion<Result<std::string>> done) -> Task<Result<std::string>> {
        Result<std::string> value = co_await done;
        co_return value;
      }(seen));
  EXPECT_EQ(*text, "");
}

TEST(RequestId, lines_of_the_log_name_it_once) {
  std::vector<std::string> lines;
  log::set_sink([&](log::Level, std::string_view line) { lines.emplace_back(line); });
  ASTER_LOG(warn, "outside");
  {
    const RequestScope scope(RequestId("r-1"));
    ASTER_LOG(warn, "inside", {"a", 1});
    ASTER_LOG(warn, "named", {"request", "other"});
  }
  log::set_sink(nullptr);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "level=warn event=outside");
  EXPECT_EQ(lines[1], "level=warn event=inside a=1 request=r-1");
  EXPECT_EQ(lines[2], "level=warn event=named request=other");
}

}  // namespace
}  // namespace aster

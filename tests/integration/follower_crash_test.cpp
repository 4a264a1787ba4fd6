// kill -9 among many concurrent uploads and compositions: what was acknowledged is whole, what was
// not is whole or absent, nothing else stays. ASTER_CRASH_CLIENTS and ASTER_CRASH_ROUNDS make it as
// large as one wants.
#include <sys/resource.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "protocol/base/guarded.h"
#include "tests/integration/follower_fixture.h"

namespace aster {
namespace {

using conformance::Call;

size_t setting(const char* name, size_t fallback) {
  const char* const text = std::getenv(name);
  return text ? std::stoul(text) : fallback;
}

std::string body_of(const std::string& key) {
  std::mt19937_64 random(std::hash<std::string>()(key));
  std::string out(1000 + random() % 60'000, 0);
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

/// What the clients of all rounds were told.
struct Told {
  std::vector<std::string> stored;     ///< single objects, acknowledged
  std::vector<std::string> composed;   ///< acknowledged
  std::vector<std::string> open;       ///< single objects whose answer never came
  std::vector<std::string> undecided;  ///< compositions whose answer never came, parts acknowledged
};

class FollowerCrash : public testing::FollowerProcess {
 protected:
  FollowerCrash() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }

  bool put(const std::string& key) {
    return peer_->put("/objects/" + key, body_of(key)).status == 200;
  }
  bool compose(const std::string& key) {
    const size_t size = body_of(key + ".1").size() + body_of(key + ".2").size();
    return peer_
               ->json("POST", "/compose",
                      "{\"target_key\":\"" + key + "\",\"part_keys\":[\"" + key + ".1\",\"" + key +
                          ".2\"],\"expected_size\":" + std::to_string(size) + "}")
               .status == 200;
  }
  /// One client: objects and compositions until the follower is gone.
  void work(const std::string& name) {
    for (int i = 0;; ++i) {
      const std::string key = "f/" + name + "-" + std::to_string(i);
      if (!put(key)) return told_.lock()->open.push_back(key);
      told_.lock()->stored.push_back(key);
      const std::string whole = "w/" + name + "-" + std::to_string(i);
      for (const char* part : {".1", ".2"}) {
        if (!put(whole + part)) return told_.lock()->open.push_back(whole + part);
      }
      if (!compose(whole)) return told_.lock()->undecided.push_back(whole);
      told_.lock()->composed.push_back(whole);
      ++done_;
      done_.notify_all();
    }
  }
  /// An upload that begins and never ends.
  testing::RawClient half_an_upload(const std::string& key) {
    Call call{.method = "PUT", .path = "/objects/" + key, .body = std::string(100'000, 'h')};
    std::string text = "PUT " + peer_->target(call) + " HTTP/1.1\r\nContent-Length: 100000\r\n";
    for (const auto& [name, value] : peer_->sign(call)) text += name + ": " + value + "\r\n";
    testing::RawClient client(peer_->options().port);
    client.send(text + "\r\n" + std::string(99'999, 'h'));
    return client;
  }
  std::string get(const std::string& key) {
    const auto answer = peer_->get("/objects/" + key);
    if (answer.status == 404) return "absent";
    return answer.status == 200 ? answer.body : "status " + std::to_string(answer.status);
  }
  void check_single(const std::string& key, bool acknowledged) {
    const std::string found = get(key);
    EXPECT_TRUE(found == body_of(key) || (!acknowledged && found == "absent")) << key;
  }
  void check_composed(const std::string& key, bool acknowledged) {
    const std::string found = get(key);
    const std::string one = body_of(key + ".1");
    const std::string two = body_of(key + ".2");
    if (found == one + two) {
      if (acknowledged) {
        EXPECT_EQ(get(key + ".1") + get(key + ".2"), "absentabsent") << key;
      }
      return;
    }
    EXPECT_TRUE(!acknowledged && found == "absent") << key;
    EXPECT_TRUE(get(key + ".1") == one && get(key + ".2") == two)
        << key << ": parts of a composition that did not happen";
  }

  Guarded<Told> told_;
  std::atomic<size_t> done_ = 0;
};

TEST_F(FollowerCrash, kill_among_uploads_and_compositions_tears_nothing) {
  const size_t clients = setting("ASTER_CRASH_CLIENTS", 100);
  const size_t rounds = setting("ASTER_CRASH_ROUNDS", 2);
  prepare("max_connections = 5000\n");
  size_t halves = 0;
  for (size_t round = 0; round < rounds; ++round) {
    start();
    if (round == 0) make_target();
    std::vector<testing::RawClient> unfinished;
    for (int i = 0; i < 10; ++i) {
      unfinished.push_back(half_an_upload("half/" + std::to_string(halves++)));
    }
    const size_t enough = done_ + clients;
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < clients; ++i) {
      const std::string name = std::to_string(round) + "-" + std::to_string(i);
      threads.emplace_back([this, name] { work(name); });
    }
    for (size_t have = done_; have < enough; have = done_) done_.wait(have);
    process_->kill();
  }
  start();
  EXPECT_EQ(temps(), 0u);
  const Told told = *told_.lock();
  EXPECT_GE(told.composed.size(), rounds * clients);
  for (const std::string& key : told.stored) check_single(key, true);
  for (const std::string& key : told.open) check_single(key, false);
  for (const std::string& key : told.composed) check_composed(key, true);
  for (const std::string& key : told.undecided) check_composed(key, false);
  for (size_t i = 0; i < halves; ++i) EXPECT_EQ(get("half/" + std::to_string(i)), "absent");
}

}  // namespace
}  // namespace aster

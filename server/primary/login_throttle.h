#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "server/primary/fading_table.h"

namespace aster::primary {

/// Slows down the guessing of passwords, by three limits at once:
/// - a name from one address: after `kFreeTries` failures each further try has to wait twice as
///   long as the one before, up to `kLongestWait`;
/// - an address over all names, for the list of names with one password each;
/// - a name over all addresses, for many machines. It only slows down, by one interval, so that
///   nobody is locked out by strangers; an address where the name has logged in before is exempt.
/// An IPv6 address counts with all of its /64, which is what one customer has. Memory is bounded,
/// and tries with made-up names or addresses do not make it forget the others (FadingTable).
/// Thread-safe.
class LoginThrottle {
 public:
  static constexpr int kFreeTries = 5;
  static constexpr std::chrono::seconds kLongestWait{60};
  /// A failure of a pair is remembered this long, each further one adds as much.
  static constexpr std::chrono::minutes kRemembered{10};
  /// How long an address where a name has logged in is known for it.
  static constexpr std::chrono::hours kKnown{30 * 24};

  /// So many tries at once, afterwards one each `interval`.
  struct Rate {
    int burst = 1;
    std::chrono::seconds interval{1};
  };
  struct Options {
    Rate address{30, std::chrono::seconds(2)};
    Rate name{60, std::chrono::seconds(1)};
    bool count_successes = false;  ///< tries of an address count even when they were right
    size_t capacity = 8192;        ///< of each limit's memory: pairs, addresses, names
  };
  /// How long to wait, rounded up; no time: go ahead.
  struct Verdict {
    std::chrono::seconds wait{0};
    std::string_view limit;  ///< which limit holds the try back: "pair", "address", "name"
    bool begins = false;     ///< the first try that this limit holds back: worth a note
    bool ok() const { return wait.count() == 0; }
  };

  explicit LoginThrottle(const Clock& clock) : LoginThrottle(clock, Options()) {}
  LoginThrottle(const Clock& clock, Options options);

  /// Counts a try that may go ahead as a failure until succeeded() is called, so that parallel
  /// tries count too. A try that is held back counts nowhere.
  Verdict begin(std::string_view name, std::string_view peer);
  void succeeded(std::string_view name, std::string_view peer);
  /// Entries in all.
  size_t size() const;

 private:
  struct Pair {
    int failures = 0;
    SteadyTime not_before;
    bool noted = false;
  };
  struct Tries {
    bool noted = false;
  };
  struct Known {};
  struct State {
    explicit State(size_t capacity)
        : pairs(capacity), addresses(capacity), names(capacity), known(capacity) {}
    FadingTable<Pair> pairs;
    FadingTable<Tries> addresses;  ///< until the last of the tries has drained away
    FadingTable<Tries> names;
    FadingTable<Known> known;  ///< filled by right passwords only
  };

  static Verdict judge_pair(State& state, const std::string& key, SteadyTime now);
  static Verdict judge(FadingTable<Tries>& table, const std::string& key, Rate rate, SteadyTime now,
                       std::string_view limit);
  static void count_pair(State& state, const std::string& key, SteadyTime now);

  const Clock& clock_;
  const Options options_;
  Guarded<State> state_;
};

}  // namespace aster::primary

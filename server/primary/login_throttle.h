#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster::primary {

/// Slows down guessing: after `kFreeTries` failures of one name from one peer each further try has
/// to wait twice as long as the one before, up to `kLongestWait`. Remembers a bounded number of
/// pairs, the least recently tried is forgotten first. Thread-safe.
class LoginThrottle {
 public:
  static constexpr int kFreeTries = 5;
  static constexpr std::chrono::seconds kLongestWait{60};

  explicit LoginThrottle(const Clock& clock, size_t capacity = 8192)
      : clock_(clock), capacity_(capacity) {}

  /// Counts the try as a failure until succeeded() is called, so that parallel tries count too.
  /// rate_limited, with the seconds to wait in the text, while the pair is held back.
  Result<void> begin(std::string_view name, std::string_view peer);
  void succeeded(std::string_view name, std::string_view peer);
  size_t size() const { return table_.lock()->entries.size(); }

 private:
  struct Entry {
    std::string key;
    int failures = 0;
    SteadyTime not_before;
  };
  struct Table {
    std::list<Entry> entries;  ///< least recently tried first
    std::unordered_map<std::string, std::list<Entry>::iterator> index;
  };

  Entry& touch(Table& table, const std::string& key);

  const Clock& clock_;
  const size_t capacity_;
  Guarded<Table> table_;
};

}  // namespace aster::primary

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/task.h"

namespace aster {

/// One fetch per key however many want its value at the same time. Thread-safe. A failure reaches
/// all who wait and is not kept: the next caller fetches anew. Must outlive its flights.
template <class K, class V>
class SingleFlight {
 public:
  /// Starts the fetch. Not a coroutine lambda with captures: its captures would die with it; let it
  /// call a coroutine that takes what it needs by value.
  using Fetch = std::function<Task<Result<V>>()>;

  /// Waiters go on on `executor`, so that none of them delays the others.
  explicit SingleFlight(Executor& executor) : executor_(executor) {}

  /// The first caller for a key runs `fetch`, on its own thread until that first waits; others that
  /// come before it is done get a copy of its value. An exception in `fetch` is Errc::internal.
  Task<Result<V>> run(K key, Fetch fetch) {
    Waiter waiter;
    if (!join(key, waiter)) {
      Result<V> value = co_await waiter;
      co_await executor_.hop();
      co_return value;
    }
    Result<V> value = co_await guarded(std::move(fetch));
    for (const Waiter& other : leave(key)) other.set(value);
    co_return value;
  }

  /// Keys that are being fetched now.
  size_t in_flight() const { return flights_.lock()->size(); }

 private:
  using Waiter = Completion<Result<V>>;

  /// True: nobody fetches this key yet, the caller has to.
  bool join(const K& key, const Waiter& waiter) {
    auto flights = flights_.lock();
    const auto [flight, first] = flights->try_emplace(key);
    if (!first) flight->second.push_back(waiter);
    return first;
  }

  std::vector<Waiter> leave(const K& key) {
    auto flights = flights_.lock();
    auto flight = flights->extract(key);
    return std::move(flight.mapped());
  }

  /// A thrown fetch must not leave the others waiting for ever.
  static Task<Result<V>> guarded(Fetch fetch) {
    std::string what;
    try {
      Task<Result<V>> task = fetch();
      co_return co_await std::move(task);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
      what = "unknown exception";
    }
    co_return fail(Errc::internal, std::move(what));
  }

  Executor& executor_;
  Guarded<std::unordered_map<K, std::vector<Waiter>>> flights_;
};

}  // namespace aster

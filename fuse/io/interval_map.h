#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "protocol/base/check.h"

namespace aster {

/// Half-open ranges of a file that do not overlap, each with a value that can be cut: V has
/// `V slice(uint64_t skip, uint64_t length) const`. Not thread-safe.
template <class V>
class IntervalMap {
 public:
  struct Entry {
    uint64_t length;
    V value;
  };
  using Map = std::map<uint64_t, Entry>;

  bool empty() const noexcept { return map_.empty(); }
  size_t entries() const noexcept { return map_.size(); }
  /// Bytes covered by all ranges.
  uint64_t bytes() const noexcept { return bytes_; }
  /// End of the last range; 0 when empty.
  uint64_t end() const {
    return map_.empty() ? 0 : map_.rbegin()->first + map_.rbegin()->second.length;
  }
  const Map& map() const noexcept { return map_; }

  /// Puts `value` over [begin, begin + length); what stood there is cut away.
  void insert(uint64_t begin, uint64_t length, V value) {
    if (length == 0) return;
    ASTER_CHECK(begin + length > begin);
    erase(begin, begin + length);
    map_.emplace(begin, Entry{length, std::move(value)});
    bytes_ += length;
  }
  /// Fills only those parts of [begin, begin + length) that nothing covers.
  void insert_below(uint64_t begin, uint64_t length, const V& value) {
    std::map<uint64_t, uint64_t> gaps;
    visit(
        begin, begin + length, [](uint64_t, uint64_t, const V&) {},
        [&](uint64_t at, uint64_t n) { gaps[at] = n; });
    for (const auto& [at, n] : gaps) insert(at, n, value.slice(at - begin, n));
  }
  void erase(uint64_t begin, uint64_t end) {
    erase_if(begin, end, [](const V&) { return true; });
  }
  /// Cuts [begin, end) out of the ranges whose value `match` accepts.
  template <class F>
  void erase_if(uint64_t begin, uint64_t end, F match) {
    if (begin >= end) return;
    auto it = first_touching(begin);
    while (it != map_.end() && it->first < end) {
      it = match(std::as_const(it->second.value)) ? cut_out(it, begin, end) : std::next(it);
    }
  }
  void clear() {
    map_.clear();
    bytes_ = 0;
  }

  /// Calls piece(offset, length, value) for what is covered of [begin, end), everything cut to that
  /// range, and gap(offset, length) for the rest, in order.
  template <class P, class G>
  void visit(uint64_t begin, uint64_t end, P piece, G gap) const {
    uint64_t at = begin;
    for (auto it = first_touching(begin); it != map_.end() && it->first < end && at < end; ++it) {
      const uint64_t from = std::max(it->first, begin);
      const uint64_t to = std::min(it->first + it->second.length, end);
      if (from > at) gap(at, from - at);
      if (from == it->first && to == it->first + it->second.length) {
        piece(from, to - from, it->second.value);
      } else {
        piece(from, to - from, it->second.value.slice(from - it->first, to - from));
      }
      at = to;
    }
    if (at < end) gap(at, end - at);
  }
  /// Calls change(offset, length, value) with every range that touches [begin, end), uncut.
  template <class F>
  void update(uint64_t begin, uint64_t end, F change) {
    for (auto it = first_touching(begin); it != map_.end() && it->first < end; ++it) {
      change(it->first, it->second.length, it->second.value);
    }
  }

  /// First covered byte at or after `offset`.
  std::optional<uint64_t> next_covered(uint64_t offset) const {
    const auto it = first_touching(offset);
    if (it == map_.end()) return std::nullopt;
    return std::max(it->first, offset);
  }
  /// End of the unbroken cover that starts at `offset`; `offset` itself when it is not covered.
  uint64_t covered_until(uint64_t offset) const {
    for (auto it = first_touching(offset); it != map_.end() && it->first <= offset; ++it) {
      offset = it->first + it->second.length;
    }
    return offset;
  }
  bool covers(uint64_t begin, uint64_t end) const { return covered_until(begin) >= end; }
  bool touches(uint64_t begin, uint64_t end) const {
    const auto it = first_touching(begin);
    return it != map_.end() && it->first < end;
  }
  /// The range that ends exactly at `offset`: its begin and its value, or {0, nullptr}. Valid until
  /// the next change.
  std::pair<uint64_t, const V*> ending_at(uint64_t offset) const {
    const auto it = map_.lower_bound(offset);
    if (it == map_.begin()) return {0, nullptr};
    const auto before = std::prev(it);
    if (before->first + before->second.length != offset) return {0, nullptr};
    return {before->first, &before->second.value};
  }

 private:
  using Iterator = typename Map::iterator;
  using ConstIterator = typename Map::const_iterator;

  ConstIterator first_touching(uint64_t offset) const {
    auto it = map_.upper_bound(offset);
    if (it == map_.begin()) return it;
    const auto before = std::prev(it);
    return before->first + before->second.length > offset ? before : it;
  }
  Iterator first_touching(uint64_t offset) {
    auto it = map_.upper_bound(offset);
    if (it == map_.begin()) return it;
    const auto before = std::prev(it);
    return before->first + before->second.length > offset ? before : it;
  }
  // Removes [begin, end) from one entry, which may leave a head and a tail; returns what follows.
  Iterator cut_out(Iterator it, uint64_t begin, uint64_t end) {
    const uint64_t entry_begin = it->first;
    const uint64_t entry_end = it->first + it->second.length;
    const uint64_t from = std::max(begin, entry_begin);
    const uint64_t to = std::min(end, entry_end);
    bytes_ -= to - from;
    if (to < entry_end) {
      map_.emplace_hint(
          std::next(it), to,
          Entry{entry_end - to, it->second.value.slice(to - entry_begin, entry_end - to)});
    }
    if (from > entry_begin) {
      it->second.value = it->second.value.slice(0, from - entry_begin);
      it->second.length = from - entry_begin;
      return std::next(it);
    }
    return map_.erase(it);
  }

  Map map_;
  uint64_t bytes_ = 0;
};

}  // namespace aster

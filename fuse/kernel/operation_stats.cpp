#include "fuse/kernel/operation_stats.h"

#include <algorithm>
#include <bit>
#include <map>

namespace aster {

/// What the slots of one name add up to: equal literals may have several addresses.
struct OperationStats::Sum {
  uint64_t count = 0;
  uint64_t failed = 0;
  uint64_t total_ns = 0;
  uint64_t longest_ns = 0;
  std::array<uint64_t, kClasses> classes{};

  void add(const Slot& slot) {
    failed += slot.failed;
    total_ns += slot.total_ns;
    longest_ns = std::max<uint64_t>(longest_ns, slot.longest_ns);
    for (size_t i = 0; i < kClasses; ++i) {
      const uint64_t n = slot.classes[i];
      classes[i] += n;
      count += n;
    }
  }
  uint64_t percentile_us(uint64_t percent) const {
    uint64_t left = (count * percent + 99) / 100;
    for (size_t i = 0; i < kClasses; ++i) {
      if (classes[i] >= left) return uint64_t{1} << i;
      left -= classes[i];
    }
    return 0;
  }
};

void OperationStats::record(const char* operation, Duration took, bool failed) {
  Slot* slot = slot_of(operation);
  if (slot == nullptr) return;
  const uint64_t ns = static_cast<uint64_t>(std::max<Duration::rep>(0, took.count()));
  const size_t cls = std::min<size_t>(std::bit_width(ns / 1000), kClasses - 1);
  constexpr auto kRelaxed = std::memory_order_relaxed;
  slot->classes[cls].fetch_add(1, kRelaxed);
  slot->total_ns.fetch_add(ns, kRelaxed);
  if (failed) slot->failed.fetch_add(1, kRelaxed);
  uint64_t longest = slot->longest_ns.load(kRelaxed);
  while (longest < ns && !slot->longest_ns.compare_exchange_weak(longest, ns, kRelaxed)) {
  }
}

OperationStats::Slot* OperationStats::slot_of(const char* operation) {
  const size_t start = std::hash<const void*>()(operation) * 0x9E3779B97F4A7C15ull >> 58;
  static_assert(kSlots == 64, "six bits");
  for (size_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots_[(start + i) % kSlots];
    const char* there = slot.operation.load(std::memory_order_relaxed);
    if (there == operation) return &slot;
    if (there != nullptr) continue;
    if (slot.operation.compare_exchange_strong(there, operation) || there == operation) {
      return &slot;
    }
  }
  return nullptr;
}

std::map<std::string, OperationStats::Sum> OperationStats::sums() const {
  std::map<std::string, Sum> sums;
  for (const Slot& slot : slots_) {
    if (const char* operation = slot.operation) sums[operation].add(slot);
  }
  std::erase_if(sums, [](const auto& entry) { return entry.second.count == 0; });
  return sums;
}

void OperationStats::write(metrics::Exposition& out) const {
  const auto all = sums();
  const auto seconds = [](uint64_t us) { return static_cast<double>(us) * 1e-6; };
  for (const auto& [name, sum] : all) {
    out.summary(
        "aster_mount_operation_seconds", "Operations of the kernel", {{"operation", name}},
        {seconds(sum.percentile_us(50)), seconds(sum.percentile_us(90)),
         seconds(sum.percentile_us(99)), static_cast<double>(sum.total_ns) * 1e-9, sum.count});
  }
  for (const auto& [name, sum] : all) {
    out.counter("aster_mount_operations_failed_total", "Operations answered with an error",
                {{"operation", name}}, sum.failed);
  }
}

std::string OperationStats::table() const {
  std::string out = "operation\tcount\tfailed\tmean_us\tp50_us\tp90_us\tp99_us\tlongest_us\n";
  for (const auto& [name, sum] : sums()) {
    out += name;
    for (const uint64_t figure :
         {sum.count, sum.failed, sum.total_ns / sum.count / 1000, sum.percentile_us(50),
          sum.percentile_us(90), sum.percentile_us(99), sum.longest_ns / 1000}) {
      out += '\t' + std::to_string(figure);
    }
    out += '\n';
  }
  return out;
}

}  // namespace aster

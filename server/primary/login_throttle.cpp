#include "server/primary/login_throttle.h"

#include <algorithm>

namespace aster::primary {
namespace {

std::string key_of(std::string_view name, std::string_view peer) {
  std::string key(peer);
  key.push_back('\0');  // in no address, so pairs cannot be confused
  return key.append(name);
}

std::chrono::seconds wait_after(int failures) {
  const int doublings = std::min(failures - LoginThrottle::kFreeTries, 16);
  return std::min(std::chrono::seconds(1ll << doublings), LoginThrottle::kLongestWait);
}

}  // namespace

Result<void> LoginThrottle::begin(std::string_view name, std::string_view peer) {
  auto table = table_.lock();
  Entry& entry = touch(*table, key_of(name, peer));
  const SteadyTime now = clock_.steady();
  if (now < entry.not_before) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(entry.not_before - now);
    return fail(Errc::rate_limited,
                "too many failed logins; try again in " + std::to_string(left.count()) + " s");
  }
  ++entry.failures;
  if (entry.failures >= kFreeTries) entry.not_before = now + wait_after(entry.failures);
  return ok();
}

void LoginThrottle::succeeded(std::string_view name, std::string_view peer) {
  auto table = table_.lock();
  const auto found = table->index.find(key_of(name, peer));
  if (found == table->index.end()) return;
  table->entries.erase(found->second);
  table->index.erase(found);
}

LoginThrottle::Entry& LoginThrottle::touch(Table& table, const std::string& key) {
  const auto found = table.index.find(key);
  if (found != table.index.end()) {
    table.entries.splice(table.entries.end(), table.entries, found->second);
    return *found->second;
  }
  if (table.entries.size() >= capacity_) {
    table.index.erase(table.entries.front().key);
    table.entries.pop_front();
  }
  table.entries.push_back({.key = key});
  table.index.emplace(key, std::prev(table.entries.end()));
  return table.entries.back();
}

}  // namespace aster::primary

#include "server/primary/login_throttle.h"

#include <algorithm>
#include <utility>

#include "server/http/forwarded.h"

namespace aster::primary {
namespace {

constexpr size_t kNetworkBytes = 8;  // of an IPv6 address: /64

bool is_mapped_ipv4(const http::AddressBytes& address) {
  const bool zeros =
      std::all_of(address.begin(), address.begin() + 10, [](uint8_t byte) { return byte == 0; });
  return zeros && address[10] == 0xff && address[11] == 0xff;
}

/// What counts as one address; a text that is none counts as it is.
std::string network_of(std::string_view peer) {
  auto address = http::parse_address(peer);
  if (!address) return std::string(peer);
  if (!is_mapped_ipv4(*address)) std::fill(address->begin() + kNetworkBytes, address->end(), 0);
  return {address->begin(), address->end()};
}

std::string pair_of(std::string_view name, std::string_view network) {
  return std::string(name) + '/' + std::string(network);  // '/' is in no name
}

std::chrono::seconds wait_after(int failures) {
  const int doublings = std::min(failures - LoginThrottle::kFreeTries, 16);
  return std::min(std::chrono::seconds(1ll << doublings), LoginThrottle::kLongestWait);
}

std::chrono::seconds left_until(SteadyTime then, SteadyTime now) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(then - now), std::chrono::seconds(0));
}

}  // namespace

LoginThrottle::LoginThrottle(const Clock& clock, Options options)
    : clock_(clock), options_(options), state_(options.capacity) {}

LoginThrottle::Verdict LoginThrottle::begin(std::string_view name, std::string_view peer) {
  const std::string who(name);
  const std::string network = network_of(peer);
  const std::string pair = pair_of(name, network);
  const SteadyTime now = clock_.steady();
  auto state = state_.lock();
  Verdict verdict = judge_pair(*state, pair, now);
  const auto also = [&](const Verdict& other) {
    const bool begins = verdict.begins || other.begins;
    if (other.wait > verdict.wait) verdict = other;
    verdict.begins = begins;
  };
  also(judge(state->addresses, network, options_.address, now, "address"));
  if (state->known.find(pair, now) == nullptr) {
    also(judge(state->names, who, options_.name, now, "name"));
  }
  if (!verdict.ok()) return verdict;
  count_pair(*state, pair, now);
  state->addresses.keep(network, state->addresses.until(network, now) + options_.address.interval);
  state->names.keep(who, state->names.until(who, now) + options_.name.interval);
  return verdict;
}

LoginThrottle::Verdict LoginThrottle::judge_pair(State& state, const std::string& key,
                                                 SteadyTime now) {
  Pair* const pair = state.pairs.find(key, now);
  if (pair == nullptr) return {};
  const auto wait = left_until(pair->not_before, now);
  if (wait.count() == 0) return {};
  return {wait, "pair", !std::exchange(pair->noted, true)};
}

LoginThrottle::Verdict LoginThrottle::judge(FadingTable<Tries>& table, const std::string& key,
                                            Rate rate, SteadyTime now, std::string_view limit) {
  Tries* const tries = table.find(key, now);
  if (tries == nullptr) return {};
  const auto wait = left_until(table.until(key, now) - (rate.burst - 1) * rate.interval, now);
  if (wait.count() == 0) return {};
  return {wait, limit, !std::exchange(tries->noted, true)};
}

void LoginThrottle::count_pair(State& state, const std::string& key, SteadyTime now) {
  Pair& pair = state.pairs.keep(key, state.pairs.until(key, now) + kRemembered);
  ++pair.failures;
  if (pair.failures >= kFreeTries) pair.not_before = now + wait_after(pair.failures);
}

void LoginThrottle::succeeded(std::string_view name, std::string_view peer) {
  const std::string who(name);
  const std::string network = network_of(peer);
  const std::string pair = pair_of(name, network);
  const SteadyTime now = clock_.steady();
  auto state = state_.lock();
  // Only this try is taken back: who knows one password may go on guessing others at that rate.
  const auto take_back = [&](FadingTable<Tries>& table, const std::string& key, Rate rate) {
    if (table.find(key, now) != nullptr) table.keep(key, table.until(key, now) - rate.interval);
  };
  state->pairs.forget(pair);
  if (!options_.count_successes) take_back(state->addresses, network, options_.address);
  take_back(state->names, who, options_.name);
  state->known.keep(pair, now + kKnown);
}

size_t LoginThrottle::size() const {
  const auto state = state_.lock();
  return state->pairs.size() + state->addresses.size() + state->names.size() + state->known.size();
}

}  // namespace aster::primary

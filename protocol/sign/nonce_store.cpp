#include "protocol/sign/nonce_store.h"

#include <cstring>
#include <string>

#include "protocol/checksum.h"

namespace aster::sign {

MemoryNonceStore::MemoryNonceStore(const Clock& clock, size_t limit)
    : clock_(clock), limit_(limit) {}

size_t MemoryNonceStore::Hash::operator()(const Fingerprint& f) const noexcept {
  size_t h;
  std::memcpy(&h, f.data(), sizeof h);
  return h;
}

MemoryNonceStore::Fingerprint MemoryNonceStore::fingerprint(std::string_view key_id,
                                                            std::string_view nonce) {
  // The length in front keeps ("ab", "c") and ("a", "bc") apart.
  std::string text = std::to_string(key_id.size()) + ':';
  text.append(key_id).append(nonce);
  const Sha256Digest digest = sha256(as_bytes(text));
  Fingerprint out;
  std::memcpy(out.data(), digest.data(), out.size());
  return out;
}

void MemoryNonceStore::drop_expired(State& state, int64_t now) {
  // Expiries grow with age but for steps of the clock; those only let an entry stay longer.
  while (!state.by_age.empty()) {
    const auto oldest = state.expiry_of.find(state.by_age.front());
    if (oldest->second >= now) return;
    state.expiry_of.erase(oldest);
    state.by_age.pop_front();
  }
}

Result<bool> MemoryNonceStore::insert(std::string_view key_id, std::string_view nonce,
                                      int64_t expiry) {
  const Fingerprint entry = fingerprint(key_id, nonce);
  auto state = state_.lock();
  drop_expired(*state, clock_.now_seconds());
  if (state->expiry_of.contains(entry)) return false;
  if (state->expiry_of.size() >= limit_) {
    return fail(Errc::out_of_resources, "too many requests within the nonce window");
  }
  state->expiry_of.emplace(entry, expiry);
  state->by_age.push_back(entry);
  return true;
}

size_t MemoryNonceStore::size() const {
  return state_.lock()->expiry_of.size();
}

}  // namespace aster::sign

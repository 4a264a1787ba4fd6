#pragma once

#include <memory>
#include <string>

#include "protocol/sign/nonce_store.h"

namespace aster::follower {

/// Nonces in memory and in two append-only files that take turns, so that a request captured before
/// a restart of this process is refused after it. Each record is in the file (though not synced)
/// before its request is accepted. A crash of the whole machine, or a full disk, may lose records:
/// then refused_before() makes up for it. Bounded by the memory store's limit. Thread-safe.
///
/// A file: 64 bytes of head (offset 0: "ASTRNNC1"; 8: the kernel's boot id as 36 characters; 44: 1
/// when records were lost; 48: refused_before(), little-endian), then records of 24 bytes (16 bytes
/// of SHA-256 over key and nonce, expiry as little-endian Unix seconds).
class NonceLog final : public sign::NonceStore {
 public:
  /// `folder` holds nonces-0.log and nonces-1.log. `clock` must outlive the store. `boot_id` empty
  /// = this machine's.
  static Result<std::unique_ptr<NonceLog>> open(const std::string& folder, const Clock& clock,
                                                std::string boot_id = "");
  ~NonceLog() override;

  Result<bool> insert(std::string_view key_id, std::string_view nonce, int64_t expiry) override;
  /// Stamps (Unix seconds) before this must be refused: their nonces may be forgotten. 0 = none.
  int64_t refused_before() const noexcept;

 private:
  struct State;
  explicit NonceLog(std::unique_ptr<State> state);
  Result<void> append(const std::string& fingerprint, int64_t expiry);

  std::unique_ptr<State> state_;
};

}  // namespace aster::follower

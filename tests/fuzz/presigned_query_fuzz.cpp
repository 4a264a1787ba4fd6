#include "protocol/http_text.h"
#include "protocol/sign/nonce_store.h"
#include "protocol/sign/signature.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/fake_clock.h"

/// Nobody gets in without the secret; what our signer made gets in, and not when it was altered.
void fuzz_one(std::string_view input) {
  using namespace aster;
  static testing::FakeClock clock;
  static sign::MemoryNonceStore nonces(clock, 1024);
  const sign::Verifier verifier(
      [](std::string_view key) -> std::optional<sign::KeyRecord> {
        if (key != "rn_1") return std::nullopt;
        return sign::KeyRecord{"rns_secret", true};
      },
      nonces, clock);
  (void)form_decode_query(input);
  EXPECT(!verifier.verify_presigned("GET", input).ok());
  const size_t cut = input.find('|');
  const std::string_view path = input.substr(0, cut);
  for (const char c : path) {
    if (c <= ' ' || c >= 127 || c == '#') return;
  }
  if (path.find("aster_") != std::string_view::npos) return;
  const sign::Signer signer({"rn_1", "rns_secret"}, clock);
  const std::string url = signer.presign("GET", path, clock.now_seconds() + 60);
  EXPECT(verifier.verify_presigned("GET", url).ok());
  EXPECT(!verifier.verify_presigned("PUT", url).ok());
  EXPECT(!verifier.verify_presigned("GET", "/x" + url).ok());
}

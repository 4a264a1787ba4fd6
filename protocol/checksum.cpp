#include "protocol/checksum.h"

#include <isa-l/crc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/ids.h"
#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // Castagnoli, bit-reflected
constexpr uint32_t kXToTheZero = 0x80000000;  // the lowest power stands in the highest bit
constexpr uint32_t kXToTheEighth = 0x00800000;

// Product of two polynomials over GF(2), modulo the checksum's.
uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kXToTheZero; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b & 1) ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(8 * bytes): what `bytes` zero bytes do to a checksum.
uint32_t shift_by(uint64_t bytes) {
  uint32_t result = kXToTheZero;
  for (uint32_t power = kXToTheEighth; bytes != 0; bytes >>= 1) {
    if (bytes & 1) result = multiply(result, power);
    power = multiply(power, power);
  }
  return result;
}

using DigestContext = CHandle<EVP_MD_CTX, EVP_MD_CTX_free>;
using MacContext = CHandle<EVP_MAC_CTX, EVP_MAC_CTX_free>;

// Fetching an algorithm by name costs more than a short digest, so it is done once.
const EVP_MD* sha256_algorithm() {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  ASTER_CHECK(algorithm != nullptr);
  return algorithm;
}

MacContext new_hmac_context() {
  static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  ASTER_CHECK(algorithm != nullptr);
  MacContext context(EVP_MAC_CTX_new(algorithm));
  char name[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
                               OSSL_PARAM_construct_end()};
  ASTER_CHECK(context && EVP_MAC_CTX_set_params(context.get(), params) == 1);
  return context;
}

const unsigned char* raw(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

uint32_t crc32c(ByteView bytes, uint32_t before) {
  constexpr size_t kMostAtOnce = 1 << 30;  // ISA-L takes an int
  uint32_t state = ~before;                // ISA-L leaves both inversions to its caller
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), kMostAtOnce);
    state = crc32_iscsi(const_cast<unsigned char*>(raw(bytes)), static_cast<int>(n), state);
    bytes = bytes.subspan(n);
  }
  return ~state;
}

uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_length) {
  return multiply(a, shift_by(b_length)) ^ b;
}

std::string crc32c_hex(uint32_t crc) {
  const std::byte big_endian[4] = {std::byte(crc >> 24), std::byte(crc >> 16), std::byte(crc >> 8),
                                   std::byte(crc)};
  return encode_hex(big_endian, sizeof big_endian);
}

void BlockChecksums::update(ByteView piece) {
  while (!piece.empty()) {
    const uint64_t in_block = length_ % kBlockSize;
    if (in_block == 0) blocks_.push_back(0);
    const size_t n = std::min<uint64_t>(piece.size(), kBlockSize - in_block);
    blocks_.back() = crc32c(piece.first(n), blocks_.back());
    length_ += n;
    piece = piece.subspan(n);
  }
}

std::vector<uint32_t> BlockChecksums::finish() {
  length_ = 0;
  return std::exchange(blocks_, {});
}

uint32_t crc32c_of_blocks(const std::vector<uint32_t>& blocks, uint64_t length) {
  ASTER_CHECK(blocks.size() == (length + kBlockSize - 1) / kBlockSize);
  if (blocks.empty()) return 0;
  const uint32_t by_block = shift_by(kBlockSize);
  uint32_t crc = blocks.front();
  for (size_t i = 1; i + 1 < blocks.size(); ++i) crc = multiply(crc, by_block) ^ blocks[i];
  if (blocks.size() == 1) return crc;
  return crc32c_combine(crc, blocks.back(), length - (blocks.size() - 1) * kBlockSize);
}

struct Sha256::Context {
  DigestContext evp{EVP_MD_CTX_new()};
  Context() { begin(); }
  void begin() {
    ASTER_CHECK(evp && EVP_DigestInit_ex2(evp.get(), sha256_algorithm(), nullptr) == 1);
  }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView piece) {
  ASTER_CHECK(EVP_DigestUpdate(context_->evp.get(), piece.data(), piece.size()) == 1);
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  ASTER_CHECK(EVP_DigestFinal_ex(context_->evp.get(),
                                 reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
  context_->begin();
  return digest;
}

Sha256Digest sha256(ByteView bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string to_hex(const Sha256Digest& digest) {
  return encode_hex(digest.data(), digest.size());
}

Sha256Digest hmac_sha256(ByteView key, ByteView message) {
  thread_local const MacContext context = new_hmac_context();
  static const unsigned char kNoKey = 0;  // a null key would mean "the key of last time"
  Sha256Digest digest;
  size_t length = 0;
  const bool done =
      EVP_MAC_init(context.get(), key.empty() ? &kNoKey : raw(key), key.size(), nullptr) == 1 &&
      EVP_MAC_update(context.get(), raw(message), message.size()) == 1 &&
      EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &length,
                    digest.size()) == 1;
  ASTER_CHECK(done && length == digest.size());
  return digest;
}

bool constant_time_equal(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace aster

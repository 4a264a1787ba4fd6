#include "protocol/checksum.h"

#include <gtest/gtest.h>

#include <random>

namespace aster {
namespace {

std::string random_text(size_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(generator());
  return out;
}

TEST(Crc32c, gives_the_standard_values) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\0'))), 0x8A9136AAu);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\xff'))), 0x62A8AB43u);
  EXPECT_EQ(crc32c_hex(0xE3069283), "e3069283");
  EXPECT_EQ(crc32c_hex(0x1), "00000001");
}

TEST(Crc32c, goes_on_from_an_earlier_piece) {
  EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xE3069283u);
}

TEST(Crc32c, combines_without_the_bytes) {
  const std::string data = random_text(300'000, 1);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{131072}, size_t{299'999}, data.size()}) {
    const uint32_t a = crc32c(as_bytes(data.substr(0, cut)));
    const uint32_t b = crc32c(as_bytes(data.substr(cut)));
    EXPECT_EQ(crc32c_combine(a, b, data.size() - cut), crc32c(as_bytes(data))) << cut;
  }
}

TEST(BlockChecksums, are_the_same_however_the_bytes_are_cut) {
  const std::string data = random_text(3 * kBlockSize + 77, 2);
  std::vector<uint32_t> wanted;
  for (size_t at = 0; at < data.size(); at += kBlockSize) {
    wanted.push_back(crc32c(as_bytes(data).subspan(at, std::min(kBlockSize, data.size() - at))));
  }
  for (const size_t piece : {size_t{1000}, size_t{kBlockSize}, size_t{200'001}, data.size()}) {
    BlockChecksums sums;
    for (size_t at = 0; at < data.size(); at += piece) {
      sums.update(as_bytes(data).subspan(at, std::min(piece, data.size() - at)));
    }
    EXPECT_EQ(sums.length(), data.size());
    EXPECT_EQ(sums.finish(), wanted) << piece;
  }
  EXPECT_EQ(crc32c_of_blocks(wanted, data.size()), crc32c(as_bytes(data)));
}

TEST(BlockChecksums, of_whole_blocks_and_of_nothing) {
  BlockChecksums sums;
  EXPECT_TRUE(sums.finish().empty());
  EXPECT_EQ(crc32c_of_blocks({}, 0), 0u);
  const std::string data = random_text(2 * kBlockSize, 3);
  sums.update(as_bytes(data));
  const auto blocks = sums.finish();
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(crc32c_of_blocks(blocks, data.size()), crc32c(as_bytes(data)));
  sums.update(as_bytes("123456789"));
  EXPECT_EQ(sums.finish(), std::vector<uint32_t>{0xE3069283u});
  EXPECT_EQ(crc32c_of_blocks({0xE3069283u}, 9), 0xE3069283u);
}

TEST(Sha256, gives_the_standard_values_and_starts_anew) {
  Sha256 hash;
  hash.update(as_bytes("a"));
  hash.update(as_bytes("bc"));
  constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(to_hex(hash.finish()), kAbc);
  EXPECT_EQ(to_hex(hash.finish()), to_hex(sha256({})));
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))), kAbc);
}

TEST(Hmac, gives_the_standard_values) {
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256({}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(ConstantTimeEqual, compares_lengths_and_bytes) {
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abcd")));
  EXPECT_TRUE(constant_time_equal({}, {}));
}

}  // namespace
}  // namespace aster

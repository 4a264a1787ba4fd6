#include "cache/block_format.h"

#include <gtest/gtest.h>

namespace aster::block_format {
namespace {

BlockKey sample_key() {
  return {*ObjectId::from_hex("00112233445566778899aabbccddeeff"), 0x01020304};
}

template <class Array>
std::string hex(const Array& bytes) {
  return encode_hex(bytes.data(), bytes.size());
}

// Golden bytes: what version 1 wrote must stay readable as long as version 1 is accepted.
TEST(BlockFormat, file_header_has_its_documented_layout) {
  const auto bytes = encode(FileHeader{FileKind::segment, 0x0a0b, 0x1122334455667788, "aster/1"});
  EXPECT_EQ(hex(bytes).substr(0, 24), "415354525345474d01000000");
  EXPECT_EQ(hex(bytes).substr(32, 46),
            "0b0a000000000000"
            "8877665544332211"
            "61737465722f31");
  EXPECT_EQ(hex(bytes).substr(78), std::string(256 - 78, '0'));
  EXPECT_EQ(hex(bytes).substr(24, 8), "ba83735f");
}

TEST(BlockFormat, record_header_has_its_documented_layout) {
  const auto bytes = encode(RecordHeader{sample_key(), 0x20000, 0xdeadbeef, 0x77});
  EXPECT_EQ(hex(bytes),
            "424b5231"
            "7e4f9357"
            "00112233445566778899aabbccddeeff"
            "04030201"
            "00000200"
            "efbeadde"
            "00000000"
            "7700000000000000");
}

TEST(BlockFormat, index_key_and_value_have_their_documented_layout) {
  EXPECT_EQ(hex(encode(sample_key())), "00112233445566778899aabbccddeeff01020304");
  EXPECT_EQ(hex(encode(Location{0x77, 0x200, 0x20000, 0xdeadbeef, 2})),
            "01020000"
            "00020000"
            "7700000000000000"
            "00000200"
            "efbeadde");
}

TEST(BlockFormat, everything_reads_back) {
  const auto file = decode_file_header(encode(FileHeader{FileKind::directory, 0, -5, "aster/1"}),
                                       FileKind::directory);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->created_ns, -5);
  EXPECT_EQ(file->program, "aster/1");
  const RecordHeader record{sample_key(), 1, 2, 3};
  EXPECT_EQ(decode_record_header(encode(record)), record);
  const Location location{1, 2, 3, 4, 3};
  EXPECT_EQ(decode_location(encode(location)), location);
  EXPECT_EQ(decode_index_key(encode(sample_key())), sample_key());
}

TEST(BlockFormat, a_long_program_name_is_cut) {
  const auto header = decode_file_header(
      encode(FileHeader{FileKind::segment, 1, 0, std::string(200, 'p')}), FileKind::segment);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->program, std::string(63, 'p'));
}

TEST(BlockFormat, any_flipped_bit_of_a_header_is_noticed) {
  const auto file = encode(FileHeader{FileKind::segment, 1, 2, "aster/1"});
  const auto record = encode(RecordHeader{sample_key(), 1, 2, 3});
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    auto damaged = file;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_file_header(damaged, FileKind::segment).ok()) << bit;
  }
  for (size_t bit = 0; bit < 8 * record.size(); ++bit) {
    auto damaged = record;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_record_header(damaged)) << bit;
  }
}

TEST(BlockFormat, another_version_is_refused_with_the_programs_name) {
  auto bytes = encode(FileHeader{FileKind::segment, 1, 2, "aster/9.1"});
  bytes[8] = std::byte{2};
  const auto header = decode_file_header(bytes, FileKind::segment);
  ASSERT_TRUE(header.failed_with(Errc::unsupported));
  EXPECT_EQ(header.error().context, "format version 2 of aster/9.1, this program knows 1");
}

TEST(BlockFormat, a_hostile_program_name_cannot_break_a_log_line) {
  auto bytes = encode(FileHeader{FileKind::segment, 1, 2, "a\nlevel=error \x1b[0m"});
  bytes[8] = std::byte{2};
  const auto header = decode_file_header(bytes, FileKind::segment);
  ASSERT_TRUE(header.failed_with(Errc::unsupported));
  EXPECT_NE(header.error().context.find("a?level=error ?[0m"), std::string::npos);
}

TEST(BlockFormat, short_and_foreign_input_is_refused) {
  const auto segment = encode(FileHeader{FileKind::segment, 1, 2, "aster"});
  EXPECT_TRUE(decode_file_header(segment, FileKind::directory).failed_with(Errc::corrupt));
  EXPECT_TRUE(decode_file_header(ByteView(segment).first(127), FileKind::segment)
                  .failed_with(Errc::corrupt));
  EXPECT_FALSE(decode_record_header(ByteView(segment).first(47)));
  EXPECT_FALSE(decode_location(ByteView(segment).first(24)));
  EXPECT_FALSE(decode_location(ByteView(segment).first(23)));
  EXPECT_FALSE(decode_index_key(ByteView(segment).first(19)));
}

TEST(BlockFormat, lengths_out_of_range_are_refused) {
  EXPECT_FALSE(decode_record_header(encode(RecordHeader{sample_key(), 0, 2, 3})));
  EXPECT_FALSE(decode_record_header(encode(RecordHeader{sample_key(), 131073, 2, 3})));
  EXPECT_FALSE(decode_location(encode(Location{1, 2, 131073, 4, 0})));
}

}  // namespace
}  // namespace aster::block_format

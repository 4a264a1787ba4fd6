#include "cache/block_format.h"

#include <algorithm>
#include <cstring>

#include "protocol/checksum.h"

namespace aster::block_format {
namespace {

constexpr std::string_view kDirectoryMagic = "ASTRBLKC";
constexpr std::string_view kSegmentMagic = "ASTRSEGM";
constexpr std::string_view kRecordMagic = "BKR1";
constexpr size_t kProgramOffset = 32;
constexpr size_t kProgramSize = 64;

template <class T>
void store(std::byte* out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

template <class T>
T load(const std::byte* in) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(in[i]) << (8 * i);
  return value;
}

void store_text(std::byte* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
}

std::string_view magic_of(FileKind kind) {
  return kind == FileKind::directory ? kDirectoryMagic : kSegmentMagic;
}

/// The checksum of a header whose own field at `at` counts as zero.
uint32_t header_checksum(ByteView header, size_t at) {
  constexpr std::byte kZero[4] = {};
  uint32_t crc = crc32c(header.first(at));
  crc = crc32c(kZero, crc);
  return crc32c(header.subspan(at + sizeof kZero), crc);
}

/// Whatever stands there reaches a log line: printable ASCII only.
std::string program_of(ByteView header) {
  std::string program;
  for (const std::byte b : header.subspan(kProgramOffset, kProgramSize)) {
    const char c = static_cast<char>(b);
    if (c == '\0') break;
    program += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return program.empty() ? "an unknown program" : program;
}

}  // namespace

FileHeaderBytes encode(const FileHeader& header) {
  FileHeaderBytes out{};
  store_text(&out[0], magic_of(header.kind));
  store<uint32_t>(&out[8], kVersion);
  store<uint64_t>(&out[16], header.segment);
  store<uint64_t>(&out[24], static_cast<uint64_t>(header.created_ns));
  store_text(&out[kProgramOffset], std::string_view(header.program).substr(0, kProgramSize - 1));
  store<uint32_t>(&out[12], header_checksum(out, 12));
  return out;
}

Result<FileHeader> decode_file_header(ByteView bytes, FileKind kind) {
  if (bytes.size() < kFileHeaderSize) return fail(Errc::corrupt, "file header is cut short");
  bytes = bytes.first(kFileHeaderSize);
  if (as_text(bytes.first(8)) != magic_of(kind)) return fail(Errc::corrupt, "no file header");
  const uint32_t version = load<uint32_t>(&bytes[8]);
  if (version != kVersion) {
    return fail(Errc::unsupported, "format version " + std::to_string(version) + " of " +
                                       program_of(bytes) + ", this program knows " +
                                       std::to_string(kVersion));
  }
  if (load<uint32_t>(&bytes[12]) != header_checksum(bytes, 12)) {
    return fail(Errc::corrupt, "file header has a wrong checksum");
  }
  FileHeader header;
  header.kind = kind;
  header.segment = load<uint64_t>(&bytes[16]);
  header.created_ns = static_cast<int64_t>(load<uint64_t>(&bytes[24]));
  header.program = program_of(bytes);
  return header;
}

RecordHeaderBytes encode(const RecordHeader& header) {
  RecordHeaderBytes out{};
  store_text(&out[0], kRecordMagic);
  std::copy(header.key.object.bytes.begin(), header.key.object.bytes.end(), &out[8]);
  store<uint32_t>(&out[24], header.key.index);
  store<uint32_t>(&out[28], header.length);
  store<uint32_t>(&out[32], header.crc32c);
  store<uint64_t>(&out[40], header.segment);
  store<uint32_t>(&out[4], header_checksum(out, 4));
  return out;
}

std::optional<RecordHeader> decode_record_header(ByteView bytes) {
  if (bytes.size() < kRecordHeaderSize) return std::nullopt;
  bytes = bytes.first(kRecordHeaderSize);
  if (as_text(bytes.first(4)) != kRecordMagic) return std::nullopt;
  if (load<uint32_t>(&bytes[4]) != header_checksum(bytes, 4)) return std::nullopt;
  RecordHeader header;
  std::copy_n(&bytes[8], header.key.object.bytes.size(), header.key.object.bytes.begin());
  header.key.index = load<uint32_t>(&bytes[24]);
  header.length = load<uint32_t>(&bytes[28]);
  header.crc32c = load<uint32_t>(&bytes[32]);
  header.segment = load<uint64_t>(&bytes[40]);
  if (header.length == 0 || header.length > kBlockSize) return std::nullopt;
  return header;
}

IndexKeyBytes encode(const BlockKey& key) {
  IndexKeyBytes out;
  std::copy(key.object.bytes.begin(), key.object.bytes.end(), out.begin());
  for (size_t i = 0; i < 4; ++i) out[16 + i] = static_cast<std::byte>(key.index >> (24 - 8 * i));
  return out;
}

std::optional<BlockKey> decode_index_key(ByteView bytes) {
  if (bytes.size() != kIndexKeySize) return std::nullopt;
  BlockKey key;
  std::copy_n(bytes.begin(), key.object.bytes.size(), key.object.bytes.begin());
  for (size_t i = 16; i < kIndexKeySize; ++i) {
    key.index = key.index << 8 | static_cast<uint32_t>(bytes[i]);
  }
  return key;
}

IndexValueBytes encode(const Location& location) {
  IndexValueBytes out{};
  out[0] = std::byte{1};
  out[1] = static_cast<std::byte>(location.heat);
  store<uint32_t>(&out[4], location.offset);
  store<uint64_t>(&out[8], location.segment);
  store<uint32_t>(&out[16], location.length);
  store<uint32_t>(&out[20], location.crc32c);
  return out;
}

std::optional<Location> decode_location(ByteView bytes) {
  if (bytes.size() != kIndexValueSize || bytes[0] != std::byte{1}) return std::nullopt;
  Location location;
  location.heat = std::min(static_cast<uint8_t>(bytes[1]), kMaxHeat);
  location.offset = load<uint32_t>(&bytes[4]);
  location.segment = load<uint64_t>(&bytes[8]);
  location.length = load<uint32_t>(&bytes[16]);
  location.crc32c = load<uint32_t>(&bytes[20]);
  if (location.length == 0 || location.length > kBlockSize) return std::nullopt;
  return location;
}

}  // namespace aster::block_format

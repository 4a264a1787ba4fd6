#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cache/block_cache.h"
#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

/// What the block cache keeps on disk. All numbers are little-endian, except in index keys.
///
///   DIR/lock            held by flock(2) while the cache is open; the holder's process number
///   DIR/format          one file header, segment number 0
///   DIR/segments/N.seg  N = segment number, 16 hex digits; file header, then records
///   DIR/index/          RocksDB; column family "blocks"
///
/// File header, 128 bytes. Magic, version and program keep their place in every version, so that
/// any program can say whose files it refuses.
///   0    8   magic: "ASTRBLKC" for DIR/format, "ASTRSEGM" for a segment
///   8    4   version, 1
///   12   4   CRC32C of these 128 bytes with this field as zero
///   16   8   segment number
///   24   8   created, nanoseconds since the Unix epoch
///   32   64  program that wrote it, text, padded with NUL
///   96   32  zero
///
/// Record, begins at a multiple of 512 bytes (the first at 512). Header of 48 bytes, then the
/// block's bytes:
///   0    4   magic: "BKR1"
///   4    4   CRC32C of these 48 bytes with this field as zero
///   8    16  object
///   24   4   number of the block in the object
///   28   4   length of the block's bytes, 1 to 131072
///   32   4   CRC32C of the block's bytes
///   36   4   zero
///   40   8   segment number, as in the file header
///
/// Index key, 20 bytes: object (16), number of the block (4, big-endian so that an object's blocks
/// lie in order). Index value, 24 bytes:
///   0    1   version, 1
///   1    1   heat: reads that the block still gets credit for, 0 to 3
///   2    2   zero
///   4    4   offset of the record in its segment
///   8    8   segment number
///   16   4   length of the block's bytes
///   20   4   CRC32C of the block's bytes
namespace aster::block_format {

inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kFileHeaderSize = 128;
inline constexpr size_t kRecordHeaderSize = 48;
/// Bounds the records of a segment, and so the index, when blocks are tiny; 0.35 % of full blocks.
inline constexpr uint64_t kRecordAlignment = 512;
inline constexpr size_t kIndexKeySize = 20;
inline constexpr size_t kIndexValueSize = 24;
inline constexpr uint8_t kMaxHeat = 3;

enum class FileKind { directory, segment };

struct FileHeader {
  FileKind kind = FileKind::segment;
  uint64_t segment = 0;
  int64_t created_ns = 0;
  std::string program;  ///< at most 63 bytes are kept
};

struct RecordHeader {
  BlockKey key;
  uint32_t length = 0;
  uint32_t crc32c = 0;
  uint64_t segment = 0;
  friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
};

/// Where a block's record lies, as the index knows it.
struct Location {
  uint64_t segment = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t crc32c = 0;
  uint8_t heat = 0;
  friend bool operator==(const Location&, const Location&) = default;
};

/// Bytes that a record of `length` payload takes in its segment.
constexpr uint64_t record_size(uint64_t length) {
  return (kRecordHeaderSize + length + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

using FileHeaderBytes = std::array<std::byte, kFileHeaderSize>;
using RecordHeaderBytes = std::array<std::byte, kRecordHeaderSize>;
using IndexKeyBytes = std::array<std::byte, kIndexKeySize>;
using IndexValueBytes = std::array<std::byte, kIndexValueSize>;

FileHeaderBytes encode(const FileHeader& header);
/// corrupt for what is no header of this kind, unsupported for another version: the text then names
/// the program that wrote it.
Result<FileHeader> decode_file_header(ByteView bytes, FileKind kind);

RecordHeaderBytes encode(const RecordHeader& header);
/// nullopt unless every field is sound.
std::optional<RecordHeader> decode_record_header(ByteView bytes);

IndexKeyBytes encode(const BlockKey& key);
std::optional<BlockKey> decode_index_key(ByteView bytes);
IndexValueBytes encode(const Location& location);
std::optional<Location> decode_location(ByteView bytes);

}  // namespace aster::block_format

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/writeback_journal.h"
#include "protocol/base/result.h"

// How a write-back journal lies in RocksDB. A journal outlives the program that wrote it: what
// stands here is only ever added to, or kFormatText changes.
namespace aster::journal_records {

// Keys: one letter, then numbers of 8 bytes, big-endian, so that they sort.
//   F                  format version and identity
//   W number           the intent of a write, without its data
//   D number index     offset, CRC32C, data
//   S ino              a request that was sent: covers, text
//   V ino              newest data_version
//   N number           a name that the primary does not know: inode, text
//   Y                  nothing; written to make durable what was written before
inline constexpr char kFormat = 'F';
inline constexpr char kWrite = 'W';
inline constexpr char kData = 'D';
inline constexpr char kSent = 'S';
inline constexpr char kVersion = 'V';
inline constexpr char kName = 'N';
inline constexpr char kSync = 'Y';
inline constexpr std::string_view kFormatText = "aster write-back journal 1\n";

void put_number(std::string& out, uint64_t number);
void put_text(std::string& out, std::string_view text);

/// Reads what put_number and put_text wrote; `good` falls once and for all when it ends too early.
struct Reader {
  std::string_view rest;
  bool good = true;

  uint64_t number();
  std::string text();
};

std::string key_of(char kind, uint64_t number);
std::string data_key(uint64_t number, uint64_t index);

struct Intent {
  JournaledWrite write;  ///< without its pieces
  uint64_t pieces = 0;
  uint64_t bytes = 0;
};
std::string encode_intent(const Intent& intent);
/// corrupt: it is not one.
Result<Intent> decode_intent(std::string_view value);

std::string encode_data(const JournaledWrite::Piece& piece);
/// corrupt: it is none, or its checksum is wrong.
Result<JournaledWrite::Piece> decode_data(std::string_view value);

std::string encode_name(InodeNo ino, const std::string& text);

}  // namespace aster::journal_records

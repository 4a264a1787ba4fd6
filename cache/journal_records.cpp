#include "cache/journal_records.h"

#include <utility>

#include "protocol/checksum.h"

namespace aster::journal_records {

void put_number(std::string& out, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}
void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out.append(text);
}

uint64_t Reader::number() {
  if (rest.size() < 8) {
    good = false;
    return 0;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(rest[i]);
  rest.remove_prefix(8);
  return value;
}

std::string Reader::text() {
  const uint64_t size = number();
  if (!good || rest.size() < size) {
    good = false;
    return {};
  }
  std::string value(rest.substr(0, size));
  rest.remove_prefix(size);
  return value;
}

std::string key_of(char kind, uint64_t number) {
  std::string key(1, kind);
  put_number(key, number);
  return key;
}
std::string data_key(uint64_t number, uint64_t index) {
  std::string key = key_of(kData, number);
  put_number(key, index);
  return key;
}

std::string encode_intent(const Intent& intent) {
  const JournaledWrite& write = intent.write;
  std::string out;
  put_number(out, write.ino.value);
  put_number(out, write.base);
  put_number(out, write.parent.value);
  put_text(out, write.name);
  put_number(out, static_cast<uint64_t>(write.mtime));
  put_text(out, write.attributes);
  put_number(out, intent.pieces);
  put_number(out, intent.bytes);
  return out;
}

Result<Intent> decode_intent(std::string_view value) {
  Reader in{value};
  Intent intent;
  intent.write.ino = InodeNo(in.number());
  intent.write.base = in.number();
  intent.write.parent = InodeNo(in.number());
  intent.write.name = in.text();
  intent.write.mtime = static_cast<int64_t>(in.number());
  intent.write.attributes = in.text();
  intent.pieces = in.number();
  intent.bytes = in.number();
  if (!in.good || !in.rest.empty()) return fail(Errc::corrupt, "write-back journal: bad intent");
  return intent;
}

std::string encode_data(const JournaledWrite::Piece& piece) {
  std::string out;
  out.reserve(piece.data.size() + 16);
  put_number(out, piece.offset);
  put_number(out, crc32c(piece.data.view()));
  out.append(as_text(piece.data.view()));
  return out;
}

Result<JournaledWrite::Piece> decode_data(std::string_view value) {
  Reader in{value};
  const uint64_t offset = in.number();
  const uint64_t crc = in.number();
  if (!in.good || crc32c(as_bytes(in.rest)) != crc) {
    return fail(Errc::corrupt, "write-back journal: damaged data");
  }
  return JournaledWrite::Piece{offset, Bytes::from_string(std::string(in.rest))};
}

std::string encode_name(InodeNo ino, const std::string& text) {
  std::string out;
  put_number(out, ino.value);
  put_text(out, text);
  return out;
}

}  // namespace aster::journal_records

#include "protocol/base/ids.h"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "protocol/base/check.h"

namespace aster {

void fill_random(std::byte* out, size_t n) {
  while (n > 0) {
    const ssize_t got = ::getrandom(out, n, 0);
    ASTER_CHECK(got > 0 || errno == EINTR);
    if (got <= 0) continue;
    out += got;
    n -= static_cast<size_t>(got);
  }
}

std::string encode_hex(const std::byte* in, size_t n) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(n * 2, '0');
  for (size_t i = 0; i < n; ++i) {
    const auto b = static_cast<unsigned>(in[i]);
    out[2 * i] = kDigits[b >> 4];
    out[2 * i + 1] = kDigits[b & 15];
  }
  return out;
}

namespace {
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

bool decode_hex(std::string_view hex, std::byte* out, size_t n) {
  if (hex.size() != 2 * n) return false;
  for (size_t i = 0; i < n; ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

std::string random_hex(size_t bytes) {
  std::vector<std::byte> raw(bytes);
  fill_random(raw.data(), raw.size());
  return encode_hex(raw.data(), raw.size());
}

}  // namespace aster

#include "server/content/path.h"

#include <algorithm>

#include "protocol/base/ids.h"
#include "protocol/fs/messages.h"
#include "protocol/http_text.h"

namespace aster::content {
namespace {

constexpr size_t kDepthMax = 4096;

/// What RFC 3986 lets stand in a segment as it is; the rest of "pchar" confuses some client each.
bool stays(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

Result<std::string> unescape(std::string_view segment) {
  std::string name;
  name.reserve(segment.size());
  for (size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      name += segment[i];
      continue;
    }
    std::byte value;
    if (i + 2 >= segment.size() || !decode_hex(segment.substr(i + 1, 2), &value, 1)) {
      return fail(Errc::bad_request, "malformed percent escape in the path");
    }
    name += static_cast<char>(value);
    i += 2;
  }
  return name;
}

}  // namespace

Result<void> check_name(std::string_view name) {
  if (name.size() > fs::kNameMax) return fail(Errc::name_too_long, "a name has at most 255 bytes");
  if (name.empty() || name == "." || name == "..") {
    return fail(Errc::bad_request, "\"\", \".\" and \"..\" are no names");
  }
  if (name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos) {
    return fail(Errc::bad_request, "a name has no '/' and no NUL");
  }
  return ok();
}

Result<Path> decode_path(std::string_view raw) {
  Path path;
  while (!raw.empty()) {
    const size_t slash = std::min(raw.find('/'), raw.size());
    const std::string_view segment = raw.substr(0, slash);
    raw.remove_prefix(std::min(slash + 1, raw.size()));
    if (segment.empty()) continue;
    ASTER_TRY(std::string name, unescape(segment));
    ASTER_TRY(check_name(name));
    if (path.size() == kDepthMax) return fail(Errc::name_too_long, "too many names in the path");
    path.push_back(std::move(name));
  }
  return path;
}

std::string encode_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (stays(c)) {
      out += c;
    } else {
      append_percent(out, static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string encode_path(const Path& path) {
  std::string out;
  for (const std::string& name : path) out += "/" + encode_name(name);
  return out;
}

bool is_within(const Path& path, const Path& top) {
  return path.size() >= top.size() && std::equal(top.begin(), top.end(), path.begin());
}

}  // namespace aster::content

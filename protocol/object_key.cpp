#include "protocol/object_key.h"

#include <algorithm>
#include <vector>

#include "protocol/base/text.h"
#include "protocol/http_text.h"

namespace aster {
namespace {

std::vector<std::string> split_segments(std::string_view path) {
  std::vector<std::string> segments(1);
  for (const char c : path) {
    if (c == '/' || c == '\\') {
      segments.emplace_back();
    } else {
      segments.back() += c;
    }
  }
  return segments;
}

std::string join(const std::vector<std::string>& segments) {
  std::string out;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (i != 0) out += '/';
    out += segments[i];
  }
  return out;
}

// Segments that name something: neither empty nor '.'.
std::string join_plain(std::string_view path) {
  std::vector<std::string> segments = split_segments(path);
  std::erase_if(segments, [](const std::string& s) { return s.empty() || s == "."; });
  return segments.empty() ? "." : join(segments);
}

bool has_parent_segment(std::string_view path) {
  const auto segments = split_segments(path);
  return std::find(segments.begin(), segments.end(), "..") != segments.end();
}

// What the reference client's two encoding steps leave encoded: the first set by its own rule, the
// last three by its URL parser.
bool must_encode(unsigned char c) {
  return c <= ' ' || c >= 0x7F ||
         std::string_view("\"#%?[]{}<>`").find(c) != std::string_view::npos;
}

std::string encode(std::string_view text, std::string_view also = {}) {
  std::string out;
  for (const char c : text) {
    if (must_encode(static_cast<unsigned char>(c)) || also.find(c) != std::string_view::npos) {
      append_percent(out, static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

// Resolves '.' and '..' as a URL parser does: a dot segment at the end leaves an empty one.
Result<std::vector<std::string>> resolve_dots(std::vector<std::string> segments) {
  std::vector<std::string> out;
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    const bool parent = segments[i] == "..";
    if (parent) {
      if (out.empty()) return fail(Errc::bad_request, "key leads out of its path");
      out.pop_back();
    }
    if (!parent && segments[i] != ".") {
      out.push_back(std::move(segments[i]));
    } else if (last) {
      out.emplace_back();
    }
  }
  return out;
}

}  // namespace

Result<std::string> normalize_key(std::string_view key) {
  if (key.find('\0') != std::string_view::npos) return fail(Errc::bad_request, "key holds a NUL");
  if (!is_utf8(key)) return fail(Errc::bad_request, "key is not UTF-8");
  if (has_parent_segment(key)) return fail(Errc::bad_request, "key holds a '..' segment");
  return join_plain(key);
}

Result<std::string> object_path(std::string_view storage_namespace, std::string_view key) {
  ASTER_TRY(const std::string normal, normalize_key(key));
  if (normal == ".") return fail(Errc::bad_request, "key names no object");
  return std::string(storage_namespace) + '/' + normal;
}

Result<std::string> prefix_path(std::string_view storage_namespace, std::string_view prefix) {
  ASTER_TRY(const std::string normal, normalize_key(prefix));
  if (normal == ".") return std::string(storage_namespace);
  return std::string(storage_namespace) + '/' + normal;
}

ApiResult<std::string> normalize_base_path(std::string_view base_path) {
  base_path = trim(base_path);
  if (base_path.empty()) return ApiError(ApiCode::bad_request, "base_path must not be blank");
  if (base_path.find('\0') != std::string_view::npos || !is_utf8(base_path)) {
    return ApiError(ApiCode::target_local_path_invalid, "base_path is not a plain path");
  }
  if (base_path.front() == '/' || base_path.front() == '\\' || has_parent_segment(base_path)) {
    return ApiError(ApiCode::target_local_path_invalid,
                    "base_path must be relative and without '..'");
  }
  return join_plain(base_path);
}

Result<std::string> encode_key(std::string_view key) {
  if (key.find('\0') != std::string_view::npos) return fail(Errc::bad_request, "key holds a NUL");
  key.remove_prefix(std::min(key.find_first_not_of('/'), key.size()));
  ASTER_TRY(auto segments, resolve_dots(split_segments(key)));
  return encode(join(segments));
}

std::string encode_target_key(std::string_view target_key) {
  return encode(trim(target_key), "/");
}

}  // namespace aster

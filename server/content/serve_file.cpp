#include "server/content/serve_file.h"

#include <algorithm>
#include <ctime>

#include "protocol/http_text.h"

namespace aster::content {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

struct MediaType {
  std::string_view ending;
  std::string_view type;
};
constexpr MediaType kMediaTypes[] = {
    {"avif", "image/avif"},
    {"css", "text/css"},
    {"csv", "text/csv"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html"},
    {"html", "text/html"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript"},
    {"json", "application/json"},
    {"m4a", "audio/mp4"},
    {"md", "text/markdown"},
    {"mkv", "video/x-matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"ogg", "audio/ogg"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"txt", "text/plain"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webp", "image/webp"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
};

int64_t seconds_of(int64_t unix_ns) {
  return unix_ns >= 0 ? unix_ns / kSecond : -((-unix_ns + kSecond - 1) / kSecond);
}

/// "W/" off: what is left compares weakly.
std::string_view opaque_tag(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  return tag;
}

/// Whether a list of tags, or "*", names the file. A weak tag never matches strongly.
bool names_file(std::string_view list, const fs::Attr* file, bool weakly) {
  if (trim(list) == "*") return file != nullptr;
  if (file == nullptr) return false;
  const std::string own = etag_of(*file);
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view tag = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if ((weakly ? opaque_tag(tag) : tag) == own) return true;
  }
  return false;
}

bool is_reading(const http::Request& request) {
  return request.method == "GET" || request.method == "HEAD";
}

/// False: the condition does not hold any more and the whole file is wanted.
bool if_range_holds(const http::Request& request, const fs::Attr& file) {
  const std::string* const header = request.header("If-Range");
  if (header == nullptr) return true;
  const std::string_view value = trim(*header);
  if (value.starts_with('"') || value.starts_with("W/")) return value == etag_of(file);
  return parse_http_date(*header) == seconds_of(file.mtime);
}

/// "A-B", "A-", "-N"; nullopt for what is none of them.
std::optional<WantedPart> parse_range(std::string_view text, uint64_t size) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.find('+') != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view end_text = trim(text.substr(dash + 1));
  const auto first = parse_decimal<uint64_t>(trim(text.substr(0, dash)));
  const auto last = parse_decimal<uint64_t>(end_text);
  WantedPart part{.partial = true};
  if (dash == 0) {
    if (!last) return std::nullopt;
    part.length = std::min(*last, size);
    part.offset = size - part.length;
    part.unsatisfiable = part.length == 0;
    return part;
  }
  if (!first || (!end_text.empty() && (!last || *last < *first))) return std::nullopt;
  part.unsatisfiable = *first >= size;
  if (part.unsatisfiable) return part;
  part.offset = *first;
  part.length = std::min(end_text.empty() ? UINT64_MAX : *last - *first + 1, size - *first);
  if (part.length == 0) part.length = size - *first;  // 0-18446744073709551615
  return part;
}

void describe(http::Response& answer, const fs::Attr& file, std::string_view name) {
  answer.headers.emplace_back("ETag", etag_of(file));
  answer.headers.emplace_back("Last-Modified", http_date(file.mtime));
  answer.headers.emplace_back("Accept-Ranges", "bytes");
  answer.headers.emplace_back("Content-Type", std::string(content_type_of(name)));
}

}  // namespace

std::string etag_of(const fs::Attr& file) {
  return "\"" + std::to_string(file.ino.value) + "-" + std::to_string(file.data_version) + "\"";
}

std::string http_date(int64_t unix_ns) {
  const time_t seconds = static_cast<time_t>(seconds_of(unix_ns));
  tm parts{};
  char text[64];
  ::gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::optional<int64_t> parse_http_date(const std::string& text) {
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    tm parts{};
    const char* const end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return ::timegm(&parts);
  }
  return std::nullopt;
}

std::string_view content_type_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) {
    for (const MediaType& known : kMediaTypes) {
      if (equals_ignoring_case(name.substr(dot + 1), known.ending)) return known.type;
    }
  }
  return "application/octet-stream";
}

Verdict judge_conditions(const http::Request& request, const fs::Attr* existing) {
  const auto date = [&](const char* name) -> std::optional<int64_t> {
    const std::string* const header = request.header(name);
    if (header == nullptr || existing == nullptr) return std::nullopt;
    return parse_http_date(*header);
  };
  if (const std::string* match = request.header("If-Match")) {
    if (!names_file(*match, existing, false)) return Verdict::precondition_failed;
  } else if (const auto since = date("If-Unmodified-Since")) {
    if (seconds_of(existing->mtime) > *since) return Verdict::precondition_failed;
  }
  if (const std::string* match = request.header("If-None-Match")) {
    if (!names_file(*match, existing, true)) return Verdict::go_on;
    return is_reading(request) ? Verdict::not_modified : Verdict::precondition_failed;
  }
  const auto since = date("If-Modified-Since");
  if (since && is_reading(request) && seconds_of(existing->mtime) <= *since) {
    return Verdict::not_modified;
  }
  return Verdict::go_on;
}

WantedPart wanted_part(const http::Request& request, const fs::Attr& file) {
  const WantedPart whole{0, file.size, false, false};
  const std::string* const header = request.header("Range");
  if (header == nullptr || !if_range_holds(request, file)) return whole;
  std::string_view text = trim(*header);
  if (!text.starts_with("bytes=")) return whole;
  text.remove_prefix(6);
  return parse_range(trim(text), file.size).value_or(whole);
}

Task<Result<http::Response>> serve_file(ContentReader& reader, primary::Caller caller,
                                        const http::Request& request, fs::Attr file,
                                        std::string name) {
  http::Response answer;
  const Verdict verdict = judge_conditions(request, &file);
  if (verdict == Verdict::precondition_failed) {
    co_return http::Response::text(412, "the file is another one than expected\n");
  }
  describe(answer, file, name);
  if (verdict == Verdict::not_modified) {
    answer.status = 304;
    co_return answer;
  }
  const WantedPart part = wanted_part(request, file);
  if (part.unsatisfiable) {
    answer = http::Response::text(416, "the file does not have these bytes\n");
    answer.headers.emplace_back("Content-Range", "bytes */" + std::to_string(file.size));
    co_return answer;
  }
  if (part.partial) {
    answer.status = 206;
    answer.headers.emplace_back("Content-Range",
                                content_range({part.offset, part.length}, file.size));
  }
  if (request.method == "HEAD") {
    answer.head_length = part.length;
    co_return answer;
  }
  ASTER_CO_TRY(auto source,
               co_await reader.open(caller, std::move(file), part.offset, part.length));
  answer.body = http::StreamBody{std::move(source), part.length};
  co_return answer;
}

}  // namespace aster::content

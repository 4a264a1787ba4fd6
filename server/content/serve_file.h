#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/content/content_reader.h"
#include "server/http/http.h"

/// How files look over HTTP: validators, conditional requests, ranges (RFC 9110).
namespace aster::content {

/// Strong, quoted: changes with every change of content.
std::string etag_of(const fs::Attr& file);
/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(int64_t unix_ns);
/// Unix seconds of any of the three forms; nullopt for anything else.
std::optional<int64_t> parse_http_date(const std::string& text);
/// By the ending of the name; application/octet-stream for the rest.
std::string_view content_type_of(std::string_view name);

enum class Verdict { go_on, not_modified, precondition_failed };
/// If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since against what is there now
/// (nullptr: nothing). Only GET and HEAD can be `not_modified`.
Verdict judge_conditions(const http::Request& request, const fs::Attr* existing);

/// What of a file a GET wants. More than one range, or what is no range, counts as none.
struct WantedPart {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool partial = false;
  bool unsatisfiable = false;
};
WantedPart wanted_part(const http::Request& request, const fs::Attr& file);

/// Answers GET or HEAD of a file, conditions and ranges included.
Task<Result<http::Response>> serve_file(ContentReader& reader, primary::Caller caller,
                                        const http::Request& request, fs::Attr file,
                                        std::string name);

}  // namespace aster::content

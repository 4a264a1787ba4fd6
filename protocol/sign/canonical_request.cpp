#include "protocol/sign/canonical_request.h"

namespace aster::sign {
namespace {

bool is_presign_name(std::string_view name) {
  return name == kAccessKeyQuery || name == kExpiresQuery || name == kSignatureQuery;
}

}  // namespace

std::string canonical_text(const CanonicalRequest& request) {
  std::string out;
  out.reserve(request.method.size() + request.target.size() + request.nonce.size() + 48);
  out.append(request.method).append("\n").append(request.target).append("\n");
  out.append(request.timestamp).append("\n").append(request.nonce).append("\n");
  if (request.content_length) out += std::to_string(*request.content_length);
  return out;
}

std::string canonical_text(const CanonicalUrl& url) {
  std::string out;
  out.append(url.method).append("\n").append(url.target).append("\n");
  out.append(url.access_key).append("\n").append(url.expires);
  return out;
}

std::vector<std::string_view> query_segments(std::string_view target) {
  std::vector<std::string_view> out;
  size_t start = target.find('?');
  while (start != std::string_view::npos) {
    const size_t end = target.find('&', ++start);
    const std::string_view segment = target.substr(start, end - start);
    if (!segment.empty()) out.push_back(segment);
    start = end;
  }
  return out;
}

std::string_view segment_name(std::string_view segment) {
  return segment.substr(0, segment.find('='));
}

std::string without_presign_query(std::string_view target) {
  std::string out(target.substr(0, target.find('?')));
  char separator = '?';
  for (const std::string_view segment : query_segments(target)) {
    if (is_presign_name(segment_name(segment))) continue;
    out += separator;
    out += segment;
    separator = '&';
  }
  return out;
}

}  // namespace aster::sign

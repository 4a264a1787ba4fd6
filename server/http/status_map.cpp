#include "server/http/status_map.h"

namespace aster::http {

// Codes are the ones of the follower protocol (section 2.3) where it has one; the others are ours.
StatusEntry status_of(Errc code) noexcept {
  switch (code) {
    case Errc::bad_request: return {400, "bad_request"};
    case Errc::token_invalid: return {401, "auth.token_invalid"};
    case Errc::credentials_failed: return {401, "auth.credentials_failed"};
    case Errc::forbidden: return {403, "forbidden"};
    case Errc::precondition_failed: return {412, "precondition_failed"};
    case Errc::conflict: return {409, "conflict"};
    case Errc::rate_limited: return {429, "rate_limited"};
    case Errc::too_large: return {413, "file.too_large"};
    case Errc::unsupported: return {501, "storage.unsupported"};
    case Errc::not_found: return {404, "not_found"};
    case Errc::exists: return {409, "exists"};
    case Errc::not_directory: return {409, "not_directory"};
    case Errc::is_directory: return {409, "is_directory"};
    case Errc::not_empty: return {409, "not_empty"};
    case Errc::name_too_long: return {400, "name_too_long"};
    case Errc::too_many_links: return {409, "too_many_links"};
    case Errc::cross_workspace: return {409, "cross_workspace"};
    case Errc::not_permitted: return {403, "not_permitted"};
    case Errc::access_denied: return {403, "access_denied"};
    case Errc::no_attribute: return {404, "no_attribute"};
    case Errc::range_too_small: return {400, "range_too_small"};
    case Errc::read_only: return {403, "read_only"};
    case Errc::quota_exceeded: return {507, "storage.quota_exceeded"};
    case Errc::no_space: return {507, "no_space"};
    case Errc::locked: return {423, "resource.locked"};
    case Errc::stale_version: return {409, "stale_version"};
    case Errc::stale_handle: return {410, "stale_handle"};
    case Errc::interrupted: return {503, "interrupted"};
    case Errc::timeout: return {504, "timeout"};
    case Errc::unavailable: return {503, "storage.transient"};
    case Errc::corrupt: return {500, "corrupt"};
    case Errc::io_error: return {500, "storage.unknown"};
    case Errc::out_of_resources: return {503, "out_of_resources"};
    case Errc::internal: return {500, "internal_server_error"};
  }
  return {500, "internal_server_error"};
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

}  // namespace aster::http

#include "protocol/base_url.h"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "protocol/http_text.h"

namespace aster {
namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_default_port(std::string_view scheme, std::string_view port) {
  return port.empty() || (scheme == "http" && port == "80") || (scheme == "https" && port == "443");
}

std::string_view view(boost::urls::string_view text) {
  return {text.data(), text.size()};
}

Result<std::string> origin_of(const boost::urls::url_view& url) {
  const std::string scheme = lower_case(view(url.scheme()));
  if (scheme != "http" && scheme != "https") {
    return fail(Errc::bad_request, "URL must start with http:// or https://");
  }
  if (!url.has_authority() || url.encoded_host().empty()) {
    return fail(Errc::bad_request, "URL names no host");
  }
  if (url.has_userinfo()) return fail(Errc::bad_request, "URL must not hold user or password");
  const std::string_view port = view(url.port());
  if (!port.empty() && !parse_decimal<uint16_t>(port)) {
    return fail(Errc::bad_request, "URL has an invalid port");
  }
  std::string origin = scheme + "://" + lower_case(view(url.encoded_host()));
  if (!is_default_port(scheme, port)) origin += ':' + std::string(port);
  return origin;
}

}  // namespace

Result<std::string> normalize_base_url(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::string();
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return fail(Errc::bad_request, "not a URL");
  ASTER_TRY(std::string url, origin_of(*parsed));
  std::string_view path = view(parsed->encoded_path());
  while (path.ends_with('/')) path.remove_suffix(1);
  url += path;
  return url;
}

Result<std::string> normalize_master_url(std::string_view text) {
  ASTER_TRY(std::string url, normalize_base_url(text));
  if (url.empty()) return fail(Errc::bad_request, "the URL of the primary must not be empty");
  return url;
}

BaseUrl split_base_url(std::string_view normalized) {
  const size_t scheme = normalized.find("://");
  const size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t slash = std::min(normalized.find('/', start), normalized.size());
  return {std::string(normalized.substr(0, slash)), std::string(normalized.substr(slash))};
}

Result<std::string> normalize_origin(std::string_view header) {
  const std::string text = lower_case(trim(header));
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return fail(Errc::bad_request, "malformed origin");
  const std::string_view path = view(parsed->encoded_path());
  if ((!path.empty() && path != "/") || parsed->has_query() || parsed->has_fragment()) {
    return fail(Errc::bad_request, "origin must be scheme, host and port only");
  }
  return origin_of(*parsed);
}

}  // namespace aster

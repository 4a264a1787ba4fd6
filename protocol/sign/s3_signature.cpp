#include "protocol/sign/s3_signature.h"

#include <algorithm>
#include <ctime>
#include <map>

#include "protocol/checksum.h"
#include "protocol/http_text.h"

namespace aster::sign {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

struct Target {
  std::string host;
  std::string path;
  std::string query;
};

Target split(std::string_view url) {
  const size_t scheme = url.find("://");
  const size_t host = scheme == url.npos ? 0 : scheme + 3;
  const size_t path = std::min(url.find_first_of("/?", host), url.size());
  const size_t query = std::min(url.find('?', path), url.size());
  Target out{
      std::string(url.substr(host, path - host)), std::string(url.substr(path, query - path)), {}};
  if (query < url.size()) out.query = url.substr(query + 1);
  if (out.path.empty()) out.path = "/";
  return out;
}

/// "20130524T000000Z"
std::string stamp(int64_t seconds) {
  const time_t when = static_cast<time_t>(seconds);
  tm parts{};
  ::gmtime_r(&when, &parts);
  char text[24];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

/// Inner runs of blanks count as one.
std::string squeeze(std::string_view value) {
  std::string out;
  for (const char c : trim(value)) {
    if (c != ' ' || !out.ends_with(' ')) out += c;
  }
  return out;
}

/// By name alone: "x-amz-copy-source" stands before "x-amz-copy-source-range".
std::map<std::string, std::string> canonical_headers(const S3Headers& headers,
                                                     const std::string& host) {
  std::map<std::string, std::string> out{{"host", host}};
  for (const auto& [name, value] : headers) out[lower_case(name)] = squeeze(value);
  return out;
}

Sha256Digest signing_key(const S3Identity& identity, std::string_view day) {
  const std::string secret = "AWS4" + identity.secret_key;
  Sha256Digest key = hmac_sha256(as_bytes(secret), as_bytes(day));
  for (const std::string_view step : {std::string_view(identity.region), std::string_view("s3"),
                                      std::string_view("aws4_request")}) {
    key = hmac_sha256(key, as_bytes(step));
  }
  return key;
}

}  // namespace

S3Headers sign_s3(const S3Identity& identity, const S3Request& request, int64_t now) {
  const std::string when = stamp(now);
  const std::string day = when.substr(0, 8);
  S3Headers out = request.headers;
  out.emplace_back("x-amz-content-sha256", request.payload_sha256);
  out.emplace_back("x-amz-date", when);

  const Target target = split(request.url);
  std::string lines;
  std::string names;
  for (const auto& [name, value] : canonical_headers(out, target.host)) {
    lines += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = std::string(request.method) + "\n" + target.path + "\n" +
                                target.query + "\n" + lines + "\n" + names + "\n" +
                                std::string(request.payload_sha256);
  const std::string scope = day + "/" + identity.region + "/s3/aws4_request";
  const std::string to_sign = std::string(kAlgorithm) + "\n" + when + "\n" + scope + "\n" +
                              to_hex(sha256(as_bytes(canonical)));
  const std::string signature = to_hex(hmac_sha256(signing_key(identity, day), as_bytes(to_sign)));
  out.emplace_back("Authorization", std::string(kAlgorithm) + " Credential=" + identity.access_key +
                                        "/" + scope + ", SignedHeaders=" + names +
                                        ", Signature=" + signature);
  return out;
}

}  // namespace aster::sign

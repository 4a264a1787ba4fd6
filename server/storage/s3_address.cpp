#include "server/storage/s3_address.h"

#include <algorithm>

#include "protocol/base_url.h"

namespace aster::storage {
namespace {

constexpr std::string_view kAwsHost = ".amazonaws.com";
constexpr char kDefaultRegion[] = "us-east-1";

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_unreserved(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

/// The encoding that the signature prescribes.
std::string encode(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slash && c == '/')) {
      out += c;
    } else {
      append_percent(out, static_cast<unsigned char>(c));
    }
  }
  return out;
}

Result<void> check_bucket(std::string_view bucket) {
  const bool plain = std::all_of(bucket.begin(), bucket.end(), is_unreserved);
  if (bucket.size() >= 3 && bucket.size() <= 255 && plain && bucket.find("..") == bucket.npos) {
    return ok();
  }
  return fail(Errc::bad_request,
              "bucket: a name has 3 to 255 letters, digits, '-', '.' and '_', no '..'");
}

/// Fit to be one label before the host, also under a wildcard certificate.
bool fits_host(std::string_view bucket) {
  return bucket.size() <= 63 && bucket.front() != '-' && bucket.back() != '-' &&
         std::all_of(bucket.begin(), bucket.end(),
                     [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

/// "s3.eu-west-1.amazonaws.com" and "s3-eu-west-1.amazonaws.com"; empty when there is none.
std::string region_of(std::string_view host) {
  const size_t end = host.find(kAwsHost);
  if (end == host.npos) return {};
  std::string_view front = host.substr(0, end);
  if (const size_t service = front.rfind("s3"); service != front.npos) {
    front.remove_prefix(service + 2);
    if (!front.empty() && (front.front() == '.' || front.front() == '-')) front.remove_prefix(1);
    if (front.starts_with("dualstack.")) front.remove_prefix(10);
    return std::string(front);
  }
  return {};
}

Result<void> check_region(std::string_view region) {
  const bool plain = std::all_of(region.begin(), region.end(),
                                 [](char c) { return is_unreserved(c) && c != '.'; });
  if (!region.empty() && region.size() <= 64 && plain) return ok();
  return fail(Errc::bad_request, "endpoint: 'region' must be letters, digits, '-' and '_'");
}

struct Choices {
  std::string region;
  std::string style;
};

Result<Choices> read_choices(std::string_view query) {
  Choices out;
  ASTER_TRY(const QueryList list, form_decode_query(query));
  for (const auto& [name, value] : list) {
    if (name == "region") {
      ASTER_TRY(check_region(value));
      out.region = value;
    } else if (name == "style" && (value == "path" || value == "virtual")) {
      out.style = value;
    } else {
      return fail(Errc::bad_request,
                  "endpoint: after '?' only region=NAME and style=path|virtual may stand");
    }
  }
  return out;
}

}  // namespace

Result<S3Address> S3Address::parse(std::string_view endpoint, std::string_view bucket) {
  endpoint = trim(endpoint);
  bucket = trim(bucket);
  ASTER_TRY(check_bucket(bucket));
  const size_t mark = std::min(endpoint.find('?'), endpoint.size());
  ASTER_TRY(Choices choices, read_choices(endpoint.substr(std::min(mark + 1, endpoint.size()))));
  Result<std::string> base = normalize_base_url(endpoint.substr(0, mark));
  if (!base.ok()) return fail(Errc::bad_request, "endpoint: " + base.error().context);
  if (base->empty()) return fail(Errc::bad_request, "endpoint: must not be empty");

  const auto [origin, path] = split_base_url(*base);
  const size_t host_at = origin.find("://") + 3;
  std::string host = origin.substr(host_at);
  const bool aws = host.find(kAwsHost) != host.npos;
  // People copy AWS's URL with the bucket in it.
  if (aws && host.starts_with(std::string(bucket) + ".")) host.erase(0, bucket.size() + 1);
  if (choices.style.empty()) choices.style = aws && fits_host(bucket) ? "virtual" : "path";
  if (choices.style == "virtual" && !fits_host(bucket)) {
    return fail(Errc::bad_request, "bucket: this name cannot stand in a host; use style=path");
  }

  S3Address out;
  out.bucket_ = bucket;
  out.region_ = !choices.region.empty() ? choices.region : region_of(host);
  if (out.region_.empty()) out.region_ = kDefaultRegion;
  const std::string scheme = origin.substr(0, host_at);
  out.root_ = choices.style == "virtual" ? scheme + std::string(bucket) + "." + host + path
                                         : scheme + host + path + "/" + std::string(bucket);
  return out;
}

std::string S3Address::url(std::string_view key, QueryList query) const {
  std::string out = root_ + "/" + encode(key, true);
  std::sort(query.begin(), query.end());
  char mark = '?';
  for (const auto& [name, value] : query) {
    out += mark + encode(name, false) + "=" + encode(value, false);
    mark = '&';
  }
  return out;
}

std::string S3Address::copy_source(std::string_view key) const {
  return "/" + bucket_ + "/" + encode(key, true);
}

}  // namespace aster::storage

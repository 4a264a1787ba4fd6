#include "server/storage/s3_error.h"

#include <algorithm>
#include <array>

#include "server/storage/s3_xml.h"

namespace aster::storage {
namespace {

constexpr size_t kMostWords = 200;

struct Row {
  std::string_view code;
  Errc errc;
};

constexpr std::array kCodes = {
    Row{"NoSuchKey", Errc::not_found},
    Row{"NoSuchUpload", Errc::stale_handle},
    Row{"NoSuchBucket", Errc::precondition_failed},
    Row{"InvalidBucketName", Errc::precondition_failed},
    Row{"PermanentRedirect", Errc::precondition_failed},
    Row{"TemporaryRedirect", Errc::precondition_failed},
    Row{"AuthorizationHeaderMalformed", Errc::precondition_failed},
    Row{"AccessDenied", Errc::access_denied},
    Row{"InvalidAccessKeyId", Errc::access_denied},
    Row{"XAdminUserNotFound", Errc::access_denied},
    Row{"SignatureDoesNotMatch", Errc::access_denied},
    Row{"RequestTimeTooSkewed", Errc::access_denied},
    Row{"PreconditionFailed", Errc::stale_version},
    Row{"InvalidRange", Errc::stale_version},
    Row{"SlowDown", Errc::rate_limited},
    Row{"TooManyRequests", Errc::rate_limited},
    Row{"KeyTooLongError", Errc::name_too_long},
    Row{"KeyTooLong", Errc::name_too_long},
    Row{"EntityTooLarge", Errc::too_large},
    Row{"EntityTooSmall", Errc::unsupported},
    Row{"InvalidPart", Errc::unsupported},
    Row{"InvalidPartOrder", Errc::unsupported},
    Row{"NotImplemented", Errc::unsupported},
    Row{"MethodNotAllowed", Errc::unsupported},
    Row{"QuotaExceeded", Errc::quota_exceeded},
    Row{"XMinioAdminBucketQuotaExceeded", Errc::quota_exceeded},
    Row{"XMinioStorageFull", Errc::no_space},
    Row{"InsufficientStorage", Errc::no_space},
};

Errc errc_of_status(int status) {
  switch (status) {
    case 301:
    case 302:
    case 307:
    case 308: return Errc::precondition_failed;
    case 401:
    case 403: return Errc::access_denied;
    case 404: return Errc::unavailable;  // not of an S3 service: that would say NoSuchKey
    case 405:
    case 501: return Errc::unsupported;
    case 412:
    case 416: return Errc::stale_version;
    case 429: return Errc::rate_limited;
    case 507: return Errc::no_space;
    default: return status >= 500 ? Errc::unavailable : Errc::io_error;
  }
}

Errc errc_of(const std::string& code, int status) {
  for (const Row& row : kCodes) {
    if (row.code == code) return row.errc;
  }
  return errc_of_status(status);
}

/// The way out, where one is known.
std::string_view advice(const std::string& code, Errc errc) {
  if (code == "RequestTimeTooSkewed") return "; set this machine's clock";
  if (code == "NoSuchBucket") return "; create the bucket or correct its name";
  if (code == "InvalidAccessKeyId" || code == "XAdminUserNotFound" ||
      code == "SignatureDoesNotMatch") {
    return "; check the access key and the secret key";
  }
  if (errc == Errc::precondition_failed) {
    return "; check the bucket, and the region (?region=NAME after the endpoint)";
  }
  if (errc == Errc::access_denied) return "; the identity needs rights on this bucket and prefix";
  return "";
}

/// Some services repeat the identity in what they say.
std::string words_of(const std::string& message, const sign::S3Identity& identity) {
  if (message.empty() || message.find(identity.access_key) != message.npos ||
      message.find(identity.secret_key) != message.npos) {
    return {};
  }
  std::string out = message.substr(0, kMostWords);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return ": " + out;
}

}  // namespace

Error s3_failure(const HttpClientResponse& answer, const std::string& doing,
                 const sign::S3Identity& identity) {
  const S3ErrorAnswer error = parse_s3_error(as_text(answer.body.view()));
  const Errc errc = errc_of(error.code, answer.status);
  const std::string what = error.code.empty() ? "status " + std::to_string(answer.status)
                                              : error.code + words_of(error.message, identity);
  return fail(errc, "S3: " + doing + ": " + what + std::string(advice(error.code, errc)));
}

std::string s3_wanted_region(const HttpClientResponse& answer) {
  if (answer.status != 400 && answer.status != 403) return {};
  const S3ErrorAnswer error = parse_s3_error(as_text(answer.body.view()));
  if (error.code == "AuthorizationHeaderMalformed" && !error.region.empty()) return error.region;
  const std::string* header = find_header(answer.headers, "x-amz-bucket-region");
  return answer.status == 400 && header ? *header : std::string();
}

}  // namespace aster::storage

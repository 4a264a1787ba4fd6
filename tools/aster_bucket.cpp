#include "tools/aster_bucket.h"

namespace aster::cli {
namespace {

/// The protocol has no fields for the last two.
std::string endpoint_of(const BucketOptions& options) {
  std::string out = options.endpoint;
  char mark = out.find('?') == out.npos ? '?' : '&';
  for (const auto& [name, value] :
       {std::pair{"region=", &options.region}, std::pair{"style=", &options.addressing}}) {
    if (value->empty()) continue;
    out += mark + (name + *value);
    mark = '&';
  }
  return out;
}

}  // namespace

void describe_bucket(CLI::App* command, BucketOptions& options) {
  command->add_option("--endpoint", options.endpoint, "s3: URL of the service");
  command->add_option("--bucket", options.bucket, "s3: name of the bucket");
  command->add_option("--region", options.region, "s3: region (default: the service's own)");
  command
      ->add_option("--addressing", options.addressing,
                   "s3: bucket in the path or in the host (default: by the service)")
      ->check(CLI::IsMember({"path", "virtual"}));
  describe_credentials(command, options);
}

void describe_credentials(CLI::App* command, BucketOptions& options) {
  command->add_option("--credentials-file", options.credentials_file,
                      "s3: file with one line ACCESS_KEY:SECRET_KEY ('-': standard input); else it "
                      "is asked for");
}

Result<void> add_credentials(const Session& session, const BucketOptions& options,
                             boost::json::object& body) {
  ASTER_TRY(const std::string line,
            session.password(options.credentials_file, "ACCESS_KEY:SECRET_KEY of the bucket: "));
  const size_t colon = line.find(':');
  if (colon == 0 || colon == line.npos || colon + 1 == line.size()) {
    return fail(Errc::bad_request, "credentials are one line ACCESS_KEY:SECRET_KEY");
  }
  body["access_key"] = line.substr(0, colon);
  body["secret_key"] = line.substr(colon + 1);
  return ok();
}

Result<void> add_bucket_fields(const Session& session, const BucketOptions& options,
                               const std::string& what, boost::json::object& body) {
  for (const auto& [option, value] :
       {std::pair{"--endpoint", &options.endpoint}, std::pair{"--bucket", &options.bucket}}) {
    if (value->empty()) return fail(Errc::bad_request, what + " needs " + std::string(option));
  }
  ASTER_TRY(add_credentials(session, options, body));
  body["endpoint"] = endpoint_of(options);
  body["bucket"] = options.bucket;
  return ok();
}

}  // namespace aster::cli

#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "tools/aster_command.h"

namespace aster::cli {

/// How a bucket is named on the command line, for targets of nodes and for policies.
struct BucketOptions {
  std::string endpoint;
  std::string bucket;
  std::string region;
  std::string addressing;
  std::string credentials_file;
};

void describe_bucket(CLI::App* command, BucketOptions& options);
void describe_credentials(CLI::App* command, BucketOptions& options);

/// Puts endpoint, bucket and keys into a request; bad_request says which option `what` needs.
Result<void> add_bucket_fields(const Session& session, const BucketOptions& options,
                               const std::string& what, boost::json::object& body);
/// The keys alone. Never from the command line: other users can read that.
Result<void> add_credentials(const Session& session, const BucketOptions& options,
                             boost::json::object& body);

}  // namespace aster::cli

#pragma once

#include <string>

#include "protocol/client/http_client.h"
#include "protocol/sign/s3_signature.h"

namespace aster::storage {

/// What an answer of an S3 service that is no success means. `doing` names the call and the key.
/// The text holds what the service says, unless that mentions the identity. Codes that callers look
/// at: not_found (the object), stale_handle (the multipart upload), stale_version (another ETag
/// than demanded), unsupported (a call or a part that the service does not take), access_denied,
/// precondition_failed (the target is set up wrongly: bucket, region), rate_limited, unavailable.
Error s3_failure(const HttpClientResponse& answer, const std::string& doing,
                 const sign::S3Identity& identity);

/// The region that the service demands instead of ours; empty when it names none.
std::string s3_wanted_region(const HttpClientResponse& answer);

}  // namespace aster::storage

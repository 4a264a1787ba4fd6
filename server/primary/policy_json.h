#pragma once

#include <string_view>

#include "server/db/policy_store.h"
#include "server/primary/policies.h"

namespace aster::primary {

/// Default size of one part, bytes.
inline constexpr uint64_t kDefaultPartSize = 16ull << 20;
/// Largest part that a policy may ask for, bytes: what one upload keeps under way.
inline constexpr uint64_t kMaxPartSize = 1ull << 30;

/// Puts the members of a create or patch body over `row`. bad_request names the member;
/// unsupported for abilities that this server does not have. `driver_type` counts on creation only;
/// keys of a bucket that a patch does not name stay.
Result<db::PolicyRow> apply_policy_json(db::PolicyRow row, std::string_view body, bool creating);

/// The row's meaning; it was written by apply_policy_json.
Policy parse_policy(const db::PolicyRow& row);

}  // namespace aster::primary

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/db/node_store.h"
#include "server/db/policy_store.h"
#include "server/primary/accounts.h"

/// How rows look in answers of the auth and admin APIs. Secrets never do.
namespace aster::primary {

/// "2026-08-22T10:00:00Z"
std::string rfc3339(int64_t unix_seconds);

/// `group`: the policy group of the user, 0 = none.
std::string user_json(const db::UserRow& user, const db::AccountStore::Storage& storage,
                      uint64_t group);
std::string login_json(const LoginAnswer& answer, int64_t now);
/// `storage`: of the user's own tree; `read_only`: in the workspace that was asked about.
std::string me_json(const Identity& who, const db::AccountStore::Storage& storage, bool read_only);
/// `status` is the enrolment status. Without keys, as the protocol says.
std::string node_json(const db::NodeRow& node, std::string_view status);
std::string policy_json(const db::PolicyRow& policy);
std::string token_json(const db::TokenRow& token, uint64_t current);
std::string audit_json(const db::AuditRow& row);

/// {items, total, limit, offset}; `items` are JSON texts.
std::string list_json(const std::vector<std::string>& items, uint64_t total,
                      const db::PageRequest& page);
/// [a,b,...]
std::string array_json(const std::vector<std::string>& items);

/// `limit` (default 50, at most 100) and `offset` of a list's query. bad_request, also for a wish
/// for another order: what is asked for page by page must not come in an order nobody asked for.
Result<db::PageRequest> page_of_query(std::string_view raw_query);
/// `force` of a removal's query, false without. bad_request for what is neither true nor false.
Result<bool> is_forced(std::string_view raw_query);

}  // namespace aster::primary

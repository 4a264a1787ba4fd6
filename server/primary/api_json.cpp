#include "server/primary/api_json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <ctime>

#include "protocol/http_text.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr uint64_t kPageMax = 100;

json::value time_or_null(int64_t unix_seconds) {
  if (unix_seconds == 0) return nullptr;
  return json::value(rfc3339(unix_seconds));
}

/// Stored JSON, which this server wrote itself; `otherwise` when there is none.
json::value stored(const std::string& text, json::value otherwise) {
  if (text.empty()) return otherwise;
  boost::system::error_code failed;
  json::value parsed = json::parse(text, failed);
  return failed ? otherwise : parsed;
}

json::object user_object(const db::UserRow& user) {
  return {{"id", user.id.value},
          {"username", user.name},
          {"role", to_string(user.role)},
          {"status", to_string(user.status)},
          {"created_at", rfc3339(user.created_at)},
          {"updated_at", rfc3339(user.updated_at)}};
}

}  // namespace

std::string rfc3339(int64_t unix_seconds) {
  const std::time_t seconds = unix_seconds;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, n);
}

std::string user_json(const db::UserRow& user, const db::AccountStore::Storage& storage,
                      uint64_t group) {
  json::object object = user_object(user);
  object["storage_used"] = storage.used;
  object["storage_quota"] = storage.quota;
  object["policy_group_id"] = group == 0 ? json::value() : json::value(group);
  return json::serialize(object);
}

std::string login_json(const LoginAnswer& answer, int64_t now) {
  return json::serialize(json::object{{"status", "authenticated"},
                                      {"token", answer.token},
                                      {"token_type", "bearer"},
                                      {"expires_at", rfc3339(answer.expires_at)},
                                      {"expires_in", answer.expires_at - now},
                                      {"user", user_object(answer.user)}});
}

std::string me_json(const Identity& who, const db::AccountStore::Storage& storage, bool read_only) {
  json::array paths;
  if (who.scope != nullptr) {
    for (const TokenScope::Place& place : who.scope->places) paths.emplace_back(to_text(place));
  }
  return json::serialize(json::object{{"id", who.user.value},
                                      {"username", who.name},
                                      {"role", to_string(who.role)},
                                      {"storage_used", storage.used},
                                      {"storage_quota", storage.quota},
                                      {"access_token_expires_at", time_or_null(who.expires_at)},
                                      {"access_token_is_limited", who.scope != nullptr},
                                      {"read_only", read_only},
                                      {"paths", paths}});
}

std::string token_json(const db::TokenRow& token, uint64_t current) {
  json::object out{{"id", token.id},
                   {"name", token.name},
                   {"created_at", rfc3339(token.created_at)},
                   {"expires_at", time_or_null(token.expires_at)},
                   {"last_used_at", time_or_null(token.last_used_at)},
                   {"is_current", token.id == current}};
  const Result<TokenScope> scope = decode_token_scope(token.scopes);
  json::array paths;
  if (scope.ok()) {
    for (const TokenScope::Place& place : scope->places) paths.emplace_back(to_text(place));
  }
  out["read_only"] = scope.ok() && scope->read_only;
  out["paths"] = std::move(paths);
  out["is_limited"] = !scope.ok() || !scope->whole();
  return json::serialize(out);
}

std::string node_json(const db::NodeRow& node, std::string_view status) {
  return json::serialize(json::object{{"id", node.id.value},
                                      {"name", node.name},
                                      {"namespace", node.storage_namespace},
                                      {"base_url", node.base_url},
                                      {"is_enabled", node.enabled},
                                      {"transport_mode", node.transport_mode},
                                      {"enrollment_status", status},
                                      {"last_error", node.last_error},
                                      {"last_checked_at", time_or_null(node.last_checked_at)},
                                      {"capabilities", stored(node.capabilities, json::object())},
                                      {"desired_revision", node.desired_revision},
                                      {"created_at", rfc3339(node.created_at)},
                                      {"updated_at", rfc3339(node.updated_at)}});
}

std::string policy_json(const db::PolicyRow& policy) {
  json::object out{{"id", policy.id.value},
                   {"name", policy.name},
                   {"driver_type", policy.driver},
                   {"endpoint", policy.s3.endpoint},
                   {"bucket", policy.s3.bucket},
                   {"base_path", policy.base_path},
                   {"remote_node_id", nullptr},
                   {"remote_storage_target_key", nullptr},
                   {"max_file_size", policy.max_file_size},
                   {"chunk_size", policy.chunk_size},
                   {"is_default", policy.is_default},
                   {"allowed_types", stored(policy.allowed_types, json::array())},
                   {"options", stored(policy.options, json::object())},
                   {"created_at", rfc3339(policy.created_at)},
                   {"updated_at", rfc3339(policy.updated_at)}};
  if (policy.node) out["remote_node_id"] = policy.node->value;
  if (!policy.target_key.empty()) out["remote_storage_target_key"] = policy.target_key;
  return json::serialize(out);
}

std::string audit_json(const db::AuditRow& row) {
  return json::serialize(json::object{{"at", rfc3339(row.at)},
                                      {"actor", row.actor.value},
                                      {"actor_name", row.actor_name},
                                      {"action", row.action},
                                      {"subject", row.subject},
                                      {"detail", row.detail}});
}

std::string array_json(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) {
    if (out.size() > 1) out += ',';
    out += item;
  }
  return out += ']';
}

std::string list_json(const std::vector<std::string>& items, uint64_t total,
                      const db::PageRequest& page) {
  return "{\"items\":" + array_json(items) + ",\"total\":" + std::to_string(total) +
         ",\"limit\":" + std::to_string(page.limit) + ",\"offset\":" + std::to_string(page.offset) +
         "}";
}

Result<db::PageRequest> page_of_query(std::string_view raw_query) {
  ASTER_TRY(const QueryList query, form_decode_query(raw_query));
  db::PageRequest page;
  for (const auto& [name, value] : query) {
    if (name == "sort_by" || name == "sort_order") {
      return fail(Errc::bad_request, name + ": the lists of this server have one order each");
    }
    if (name != "limit" && name != "offset") continue;
    const auto number = parse_decimal<uint64_t>(value);
    if (!number || *number > INT64_MAX) return fail(Errc::bad_request, name + " is no number");
    (name == "limit" ? page.limit : page.offset) = *number;
  }
  if (page.limit == 0) return fail(Errc::bad_request, "limit is at least 1");
  page.limit = std::min(page.limit, kPageMax);
  return page;
}

Result<bool> is_forced(std::string_view raw_query) {
  ASTER_TRY(const QueryList query, form_decode_query(raw_query));
  bool forced = false;
  for (const auto& [name, value] : query) {
    if (name != "force") continue;
    if (value != "true" && value != "false") {
      return fail(Errc::bad_request, "force is \"true\" or \"false\"");
    }
    forced = value == "true";
  }
  return forced;
}

}  // namespace aster::primary

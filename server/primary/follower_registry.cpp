#include "server/primary/follower_registry.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/base/text.h"
#include "protocol/base_url.h"
#include "protocol/http_text.h"
#include "protocol/version.h"

namespace aster::primary {
namespace {

constexpr size_t kNameMax = 128;
constexpr size_t kNamespaceMax = 64;
constexpr size_t kProbesAtOnce = 4;
/// Somebody waits for most of these calls: a follower that is away is told within a second.
constexpr RetryPolicy kRetries{.most_attempts = 4};

bool is_namespace_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Result<std::string> check_node_name(std::string_view given) {
  const std::string_view name = trim(given);
  if (name.empty() || name.size() > kNameMax || !is_utf8(name)) {
    return fail(Errc::bad_request, "a node name has 1 to 128 bytes");
  }
  return std::string(name);
}

/// What becomes a folder name on the follower.
Result<std::string> check_namespace(const std::string& given, const std::string& name) {
  if (given.empty()) {
    std::string made = name.substr(0, kNamespaceMax);
    for (char& c : made) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (!is_namespace_char(c)) c = '-';
    }
    return check_namespace(made, name);
  }
  const bool fits = given.size() <= kNamespaceMax && given != "." && given != ".." &&
                    std::all_of(given.begin(), given.end(), is_namespace_char);
  if (!fits) return fail(Errc::bad_request, "namespace is 1 to 64 of a-z, 0-9, '.', '_' and '-'");
  return given;
}

Result<void> check_transport(const std::string& mode) {
  if (mode == "direct" || mode == "auto") return ok();
  if (mode == "reverse_tunnel") {
    return fail(Errc::unsupported, "this server has no reverse tunnel; transport_mode is direct");
  }
  return fail(Errc::bad_request, "transport_mode is \"direct\" or \"auto\"");
}

std::string range_text(const Capabilities& capabilities) {
  const std::string& min = capabilities.min_supported_protocol_version;
  return (min.empty() ? capabilities.protocol_version : min) + " to " +
         capabilities.protocol_version;
}

Result<void> judge_version(const Capabilities& capabilities) {
  switch (negotiate(kPrimaryRange, capabilities.protocol_version,
                    capabilities.min_supported_protocol_version)) {
    case Negotiation::ok: return ok();
    case Negotiation::incompatible:
      return fail(Errc::precondition_failed,
                  "the follower speaks protocol " + range_text(capabilities) +
                      ", this server v1 to v" + std::to_string(kProtocolVersion));
    case Negotiation::inverted:
      return fail(Errc::precondition_failed,
                  "the follower announces an inverted protocol range: " + range_text(capabilities));
    case Negotiation::invalid:
      return fail(Errc::precondition_failed, "the follower announces no readable protocol version");
  }
  return fail(Errc::internal, "negotiation");
}

/// As the reference answers for a name or namespace that is taken, 400.
ApiError unique_conflict(Error error) {
  if (error.code != Errc::conflict) return ApiError(std::move(error));
  return ApiError(ApiCode::node_unique_conflict, std::move(error.context));
}

}  // namespace

FollowerRegistry::FollowerRegistry(db::NodeStore& store, HttpClient& http, Executor& executor,
                                   const Clock& clock)
    : store_(store), http_(http), executor_(executor), clock_(clock), changing_(executor) {}

Task<Result<void>> FollowerRegistry::load() {
  return refresh();
}

Task<Result<void>> FollowerRegistry::refresh() {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(std::vector<db::NodeRow> rows, co_await store_.nodes());
  std::map<NodeId, FollowerRef> fresh;
  for (db::NodeRow& row : rows) {
    const NodeId id = row.id;
    fresh.emplace(id, make(std::move(row)));
  }
  *nodes_.lock() = std::move(fresh);
  co_return ok();
}

FollowerRef FollowerRegistry::make(db::NodeRow row) const {
  auto follower = std::make_shared<Follower>();
  if (!row.capabilities.empty()) {
    auto parsed = parse_capabilities(row.capabilities);
    if (parsed.ok()) follower->capabilities = std::move(*parsed);
  }
  if (!row.base_url.empty()) {
    FollowerEndpoint endpoint{.base_url = row.base_url,
                              .credentials = {row.access_key, row.secret_key}};
    if (follower->capabilities) endpoint.adopt(*follower->capabilities);
    follower->client = std::make_shared<FollowerClient>(std::move(endpoint), http_, executor_,
                                                        clock_, FollowerTimeouts{}, kRetries);
  }
  follower->row = std::move(row);
  return follower;
}

void FollowerRegistry::keep(db::NodeRow row) {
  FollowerRef fresh = make(std::move(row));
  const NodeId id = fresh->row.id;
  nodes_.lock()->insert_or_assign(id, std::move(fresh));
}

Task<ApiResult<db::NodeRow>> FollowerRegistry::create(NewNode node) {
  db::NodeRow row;
  ASTER_CO_TRY(row.name, check_node_name(node.name));
  ASTER_CO_TRY(row.storage_namespace, check_namespace(node.storage_namespace, row.name));
  ASTER_CO_TRY(row.base_url, normalize_base_url(node.base_url));
  ASTER_CO_TRY(check_transport(node.transport_mode));
  row.transport_mode = node.transport_mode;
  row.enabled = node.enabled;
  row.access_key = "rn_" + random_hex(16);
  row.secret_key = "rns_" + random_hex(32);
  const auto lock = co_await changing_.acquire();
  Result<db::NodeRow> made = co_await store_.create_node(std::move(row));
  if (!made.ok()) co_return unique_conflict(std::move(made).error());
  keep(*made);
  co_return std::move(*made);
}

Task<ApiResult<db::NodeRow>> FollowerRegistry::update(NodeId id, db::NodeChange change) {
  if (change.name) {
    ASTER_CO_TRY(*change.name, check_node_name(*change.name));
  }
  if (change.base_url) {
    ASTER_CO_TRY(*change.base_url, normalize_base_url(*change.base_url));
  }
  if (change.transport_mode) ASTER_CO_TRY(check_transport(*change.transport_mode));
  auto lock = co_await changing_.acquire();
  Result<db::NodeRow> changed = co_await store_.update_node(id, std::move(change));
  if (!changed.ok()) co_return unique_conflict(std::move(changed).error());
  keep(*changed);
  lock.release();
  if (const auto follower = reachable(id); follower.ok()) co_await push_binding(*follower);
  co_return std::move(*changed);
}

Task<Result<void>> FollowerRegistry::remove(NodeId id) {
  const auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(co_await store_.remove_node(id));
  nodes_.lock()->erase(id);
  co_return ok();
}

Result<FollowerRef> FollowerRegistry::find(NodeId id) const {
  auto nodes = nodes_.lock();
  const auto found = nodes->find(id);
  if (found == nodes->end()) {
    return fail(Errc::not_found, "no remote node with id " + std::to_string(id.value));
  }
  return found->second;
}

FollowerRef FollowerRegistry::by_access_key(std::string_view access_key) const {
  auto nodes = nodes_.lock();
  for (const auto& [id, follower] : *nodes) {
    if (follower->row.access_key == access_key) return follower;
  }
  return nullptr;
}

std::vector<FollowerRef> FollowerRegistry::all() const {
  std::vector<FollowerRef> found;
  auto nodes = nodes_.lock();
  for (const auto& [id, follower] : *nodes) found.push_back(follower);
  return found;
}

ApiResult<FollowerRef> FollowerRegistry::reachable(NodeId id) const {
  ASTER_TRY(FollowerRef follower, find(id));
  const db::NodeRow& row = follower->row;
  if (!row.enrolled) {
    return ApiError(ApiCode::node_enrollment_required, "node " + row.name + " is not enrolled yet");
  }
  if (row.base_url.empty()) {
    return ApiError(ApiCode::precondition_failed,
                    "node " + row.name + " has no base_url, so this server cannot connect to it: " +
                        "aster node set " + row.name + " --base-url URL");
  }
  return follower;
}

ApiResult<FollowerRef> FollowerRegistry::usable(NodeId id) const {
  ASTER_TRY(const FollowerRef follower, find(id));
  if (!follower->row.enabled) {
    return ApiError(ApiCode::node_disabled, "node " + follower->row.name + " is disabled");
  }
  return reachable(id);
}

std::shared_ptr<FollowerClient> FollowerRegistry::client_for(const Follower& follower,
                                                             const std::string& target_key) const {
  if (target_key.empty()) return follower.client;
  FollowerEndpoint endpoint = follower.client->endpoint();
  endpoint.target_key = target_key;
  return std::make_shared<FollowerClient>(std::move(endpoint), http_, executor_, clock_,
                                          FollowerTimeouts{}, kRetries);
}

Task<void> FollowerRegistry::push_binding(FollowerRef follower) {
  for (int64_t sent = -1; follower->client && follower->row.desired_revision != sent;) {
    const db::NodeRow& row = follower->row;
    sent = row.desired_revision;
    BindingState state{.name = row.name, .is_enabled = row.enabled, .resolved_transport = "direct"};
    state.desired_revision = sent;
    const Result<void> pushed = co_await follower->client->put_binding(std::move(state));
    if (pushed.ok()) {
      told_.lock()->insert_or_assign(row.id, sent);
    } else {
      ASTER_LOG(warn, "binding_not_pushed", {"node", row.id.value}, {"err", pushed.error()});
    }
    // A newer state may have been pushed meanwhile and have arrived before this one.
    if (auto now = find(row.id); now.ok()) follower = std::move(*now);
  }
}

Task<void> FollowerRegistry::tell_disabled() {
  for (const FollowerRef& follower : all()) {
    const db::NodeRow& row = follower->row;
    if (row.enabled || !reachable(row.id).ok()) continue;
    const auto told = [&] {
      auto all_told = told_.lock();
      const auto found = all_told->find(row.id);
      return found != all_told->end() && found->second == row.desired_revision;
    };
    if (!told()) co_await push_binding(follower);
  }
}

Task<Result<Capabilities>> FollowerRegistry::ask(FollowerRef follower) {
  co_await push_binding(follower);
  ASTER_CO_TRY(Capabilities capabilities, co_await follower->client->capabilities());
  ASTER_CO_TRY(judge_version(capabilities));
  co_return capabilities;
}

Task<ApiResult<db::NodeRow>> FollowerRegistry::test(NodeId id) {
  ASTER_CO_TRY(const FollowerRef follower, usable(id));
  const Result<Capabilities> found = co_await ask(follower);
  db::NodeProbe probe;
  if (found.ok()) {
    probe.capabilities = to_json(*found);
  } else {
    probe.last_error = found.error().context;
  }
  auto lock = co_await changing_.acquire();
  ASTER_CO_TRY(db::NodeRow row, co_await store_.record_probe(id, std::move(probe)));
  keep(row);
  lock.release();
  if (!found.ok()) co_return found.error();
  co_return row;
}

Task<ApiResult<Capabilities>> FollowerRegistry::test_unsaved(std::string base_url,
                                                             std::string access_key,
                                                             std::string secret_key) {
  FollowerEndpoint endpoint{.credentials = {std::move(access_key), std::move(secret_key)}};
  ASTER_CO_TRY(endpoint.base_url, normalize_master_url(base_url));
  FollowerClient client(std::move(endpoint), http_, executor_, clock_, {}, kRetries);
  ASTER_CO_TRY(Capabilities capabilities, co_await client.capabilities());
  ASTER_CO_TRY(judge_version(capabilities));
  co_return capabilities;
}

Task<void> FollowerRegistry::probe_all() {
  co_await tell_disabled();
  std::vector<NodeId> due;
  for (const FollowerRef& follower : all()) {
    if (usable(follower->row.id).ok()) due.push_back(follower->row.id);
  }
  for (size_t i = 0; i < due.size(); i += kProbesAtOnce) {
    std::vector<Task<ApiResult<db::NodeRow>>> round;
    for (size_t j = i; j < std::min(due.size(), i + kProbesAtOnce); ++j) {
      round.push_back(test(due[j]));
    }
    const auto outcomes = co_await when_all(std::move(round));
    for (const auto& outcome : outcomes) {
      if (!outcome.ok()) {
        ASTER_LOG(warn, "probe_failed", {"err", outcome.error().to_error()});
      }
    }
  }
}

}  // namespace aster::primary

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/api_error.h"
#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/capabilities.h"
#include "protocol/client/follower_client.h"
#include "protocol/messages.h"
#include "server/db/node_store.h"

namespace aster::primary {

/// A remote node as calls need it; immutable, replaced when anything changes.
struct Follower {
  db::NodeRow row;
  std::optional<Capabilities> capabilities;  ///< nullopt = never read
  std::shared_ptr<FollowerClient> client;    ///< null without a base URL
};
using FollowerRef = std::shared_ptr<const Follower>;

/// The remote nodes: stored in the database, kept in memory for the data paths, probed from time to
/// time. Thread-safe.
class FollowerRegistry {
 public:
  FollowerRegistry(db::NodeStore& store, HttpClient& http, Executor& executor, const Clock& clock);

  /// Reads the stored nodes; before anything else.
  Task<Result<void>> load();

  struct NewNode {
    std::string name;
    std::string storage_namespace;  ///< empty = made from the name
    std::string base_url;
    bool enabled = true;
    std::string transport_mode = "direct";
  };
  /// node_unique_conflict when the name or the namespace is taken.
  Task<ApiResult<db::NodeRow>> create(NewNode node);
  /// Tells an enrolled follower, whose refusal or silence is only logged: probe_all() repeats it.
  /// node_unique_conflict.
  Task<ApiResult<db::NodeRow>> update(NodeId id, db::NodeChange change);
  Task<Result<void>> remove(NodeId id);
  /// Takes over what enrolment changed in the store.
  Task<Result<void>> refresh();

  /// not_found.
  Result<FollowerRef> find(NodeId id) const;
  /// Null for an unknown key.
  FollowerRef by_access_key(std::string_view access_key) const;
  std::vector<FollowerRef> all() const;
  /// Enrolled and reachable by its base URL: what talking to it takes. 412 says what is missing.
  ApiResult<FollowerRef> reachable(NodeId id) const;
  /// And enabled: what storing data takes.
  ApiResult<FollowerRef> usable(NodeId id) const;

  /// A client for one storage target of a reachable follower; empty = its default.
  std::shared_ptr<FollowerClient> client_for(const Follower& follower,
                                             const std::string& target_key) const;

  /// Pushes the binding, reads the capabilities, judges the protocol version, stores what was
  /// found. The error is what failed; it is stored as last_error, too.
  Task<ApiResult<db::NodeRow>> test(NodeId id);
  /// Reads the capabilities of something that is no node yet.
  Task<ApiResult<Capabilities>> test_unsaved(std::string base_url, std::string access_key,
                                             std::string secret_key);
  /// test() of every enabled, enrolled node that has a base URL, four at a time. One that is
  /// disabled and has not heard of it yet is told.
  Task<void> probe_all();

 private:
  FollowerRef make(db::NodeRow row) const;
  void keep(db::NodeRow row);
  Task<void> push_binding(FollowerRef follower);
  Task<void> tell_disabled();
  Task<Result<Capabilities>> ask(FollowerRef follower);

  db::NodeStore& store_;
  HttpClient& http_;
  Executor& executor_;
  const Clock& clock_;
  AsyncMutex changing_;  ///< held from a change in the store until memory has it, never for a call
  Guarded<std::map<NodeId, FollowerRef>> nodes_;
  Guarded<std::map<NodeId, int64_t>> told_;  ///< revision that the follower took last
};

}  // namespace aster::primary

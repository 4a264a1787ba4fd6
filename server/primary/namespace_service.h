#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/task.h"
#include "protocol/client/http_client.h"
#include "protocol/fs/lease_messages.h"
#include "protocol/fs/lock_messages.h"
#include "protocol/fs/messages.h"

namespace aster {
class Clock;
class Executor;
namespace db {
class Database;
}
}  // namespace aster

namespace aster::primary {

class ObjectBackends;
class Recall;
using RecallPtr = std::shared_ptr<Recall>;

/// Folders that a caller is limited to, as names from the root of its workspace down.
using PathScope = std::vector<std::vector<std::string>>;

/// Who asks. A workspace is one tree with its own root; callers never reach beyond theirs (an inode
/// of another workspace is stale_handle).
struct Caller {
  UserId user;
  uint64_t workspace = 0;
  SessionId session;  ///< 0 for callers without a mount (WebDAV, scripts)
  bool read_only = false;
  /// Null: the whole tree. Operations by inode know no paths: only front ends that go by paths
  /// (content::Tree) take callers that are limited, everybody else refuses them.
  std::shared_ptr<const PathScope> only;
};

/// The tree rules: every operation of fs/messages.h over the metadata database. Thread-safe.
class NamespaceService {
 public:
  virtual ~NamespaceService() = default;

  /// Runs the operations in order. Answers of mutations are durable, and whoever held a lease on
  /// what they changed has acknowledged or lost it; a repeated operation id gets the stored answer.
  /// Consecutive mutations of one batch share a transaction's commit, each in its own savepoint;
  /// reads see the mutations before them.
  virtual Task<std::vector<Result<fs::Answer>>> apply(Caller caller, fs::BatchRequest request) = 0;

  /// Makes a tree with an empty root (mode 0755, owned by uid/gid 0) and returns its id.
  virtual Task<Result<uint64_t>> create_workspace(std::string name) = 0;
  virtual Result<InodeNo> root_of(uint64_t workspace) = 0;

  /// A mounted client. The session lives until closed or silent for `kSessionTimeout`.
  virtual Task<Result<fs::SessionAnswer>> open_session(Caller caller,
                                                       fs::SessionRequest request) = 0;
  virtual Task<Result<void>> close_session(Caller caller) = 0;
  /// Ends all sessions of a user in one workspace (0: in all), their streams, leases and locks.
  virtual Task<Result<void>> end_sessions(UserId user, uint64_t workspace) = 0;
  /// Where a living session of this user is; nullopt for another's and for one that has ended.
  virtual std::optional<uint64_t> workspace_of_session(UserId user, SessionId session) = 0;
  /// True when `session` belongs to the caller's user and lives; renews it.
  virtual bool touch_session(const Caller& caller) = 0;

  /// What the session has carried out of its event stream; renews its lease. stale_handle when the
  /// session has ended.
  virtual Result<fs::AckAnswer> acknowledge(const Caller& caller, const fs::Ack& ack) = 0;

  /// Takes and gives back write leases. When it is answered, whoever believed something of what was
  /// taken has acknowledged or lost it.
  virtual Task<Result<fs::LeaseAnswer>> lease(Caller caller, fs::LeaseRequest request) = 0;
  /// Calls back whatever mounts keep to themselves in a workspace; null: nothing. From within a
  /// transaction, which is to be repeated when all of it is here.
  virtual RecallPtr call_back(uint64_t workspace) = 0;

  /// Sets, tests or ends a file lock of the session; never waits. Locks end with their session.
  virtual Task<Result<fs::LockAnswer>> lock(Caller caller, fs::LockRequest request) = 0;

  /// The event stream of a session from `cursor` on, as server-sent events text, ready for a
  /// StreamBody: "event: inval" or "event: recall" (somebody waits for its acknowledgement),
  /// "event: reset" (events were lost), "event: lease", "event: want", and a heartbeat comment. The
  /// previous stream of the same session ends.
  virtual Result<std::shared_ptr<ByteSource>> events(const Caller& caller, std::string cursor) = 0;

  /// Starts the background duties: collector (unreferenced objects after a grace period, stray
  /// grants, ended sessions' orphans) and composition of sealed files. stop() ends them and waits.
  virtual void start_duties() = 0;
  virtual void stop() = 0;
  /// One round of each duty now, for tests and `aster_drive`; the grace periods still hold.
  virtual Task<Result<void>> run_duties_once() = 0;
};

/// What is kept of deleted files and of earlier contents of files. See aster-config(5).
struct KeepOptions {
  std::chrono::seconds trash_age{0};       ///< 0: no trash
  std::chrono::seconds trash_min_age{30};  ///< younger ones are not kept when they are deleted
  uint32_t versions = 0;                   ///< of each file; 0: none
  std::chrono::seconds version_age{30 * 86400};
  std::chrono::seconds version_interval{600};  ///< between two versions of a file
  uint32_t percent = 25;  ///< of the quota, else of the storage, that all of it may cover; 0: any
};

struct NamespaceOptions {
  std::chrono::seconds object_grace{600};      ///< an unreferenced object is kept this long
  std::chrono::seconds grant_lifetime{86400};  ///< an uploaded object may be committed this long
  std::chrono::seconds orphan_grace{60};       ///< nameless inode without holder
  std::chrono::seconds session_timeout{90};
  std::chrono::milliseconds heartbeat{3000};
  std::chrono::milliseconds entry_ttl{1000};
  std::chrono::milliseconds lease_term{10000};
  std::chrono::milliseconds compose_delay{500};  ///< after a sealed commit
  KeepOptions keep;
  bool directory_policies = false;  ///< people may choose the policy of what is below a directory
};

/// `executor` runs SQL reads; everything handed in must outlive the service.
Result<std::unique_ptr<NamespaceService>> make_namespace_service(NamespaceOptions options,
                                                                 db::Database& database,
                                                                 ObjectBackends& backends,
                                                                 Executor& executor,
                                                                 const Clock& clock);

}  // namespace aster::primary

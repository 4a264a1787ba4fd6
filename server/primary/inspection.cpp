#include "server/primary/inspection.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>
#include <utility>

#include "protocol/client/curl_http_client.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/backends.h"
#include "server/primary/follower_registry.h"
#include "server/primary/s3_storage.h"
#include "server/primary/target_driver.h"

namespace aster::primary {
namespace {

namespace filesystem = std::filesystem;

/// Objects that are asked for at the same time, and per page of the list.
constexpr size_t kAtOnce = 16;
constexpr size_t kPage = 1024;
constexpr size_t kExamplesMax = 10;

struct Stored {
  uint64_t id = 0;
  ObjectId name;
  PolicyId policy;
  uint64_t size = 0;
};

/// What asking for objects takes, without a server.
struct Storage {
  Storage(const Config& config, db::Database& database)
      : node_store(database, work, clock),
        policy_store(database, work, clock),
        http({.ca_file = config.path("remote.ca_file").string()}, work),
        registry(node_store, http, work, clock),
        s3(http, work),
        policies(policy_store, registry, s3, work),
        group_store(database, work, clock),
        groups(group_store, work),
        relay({}, clock),
        backends(policies, groups, registry, relay, s3, nullptr, work, clock),
        local_root(config.path("server.primary.local_root")) {}

  Result<void> load() {
    ASTER_TRY(run_blocking(registry.load()));
    return run_blocking(policies.load());
  }
  /// Local objects are looked at as files: the server's own target belongs to the server.
  Task<Result<uint64_t>> size_of(Stored object) {
    ASTER_CO_TRY(const auto policy, policies.find(object.policy));
    if (policy->driver == Driver::local) {
      std::error_code error;
      const uint64_t size =
          filesystem::file_size(local_root / object_name(policy->base_path, object.name), error);
      if (error) co_return fail(Errc::not_found, error.message());
      co_return size;
    }
    co_return co_await backends.stat(object.policy, object.name);
  }

  SystemClock clock;
  Executor work{{.name = "check", .threads = 4}};
  db::NodeStore node_store;
  db::PolicyStore policy_store;
  CurlHttpClient http;
  FollowerRegistry registry;
  S3Storage s3;
  Policies policies;
  db::PolicyGroupStore group_store;
  PolicyGroups groups;
  RelayUrls relay;
  PolicyBackends backends;
  const filesystem::path local_root;
};

Result<std::vector<Stored>> live_objects(db::Database& database, uint64_t after) {
  return database.read([&](db::Txn& txn) -> Result<std::vector<Stored>> {
    std::vector<Stored> page;
    db::Query q = txn.query(
        "SELECT id, name, policy, size FROM objects WHERE state=1 AND id>?1 ORDER BY id LIMIT ?2",
        after, kPage);
    while (q.next()) {
      page.push_back({q.uint64(0), q.random_id<ObjectId>(1), PolicyId(q.uint64(2)), q.uint64(3)});
    }
    return page;
  });
}

/// True when the object is not referenced any more: it was collected since the page was read.
bool is_gone(db::Database& database, uint64_t id) {
  const auto live = database.read([&](db::Txn& txn) -> Result<bool> {
    const auto row = db::ObjectStore(txn).find(id);
    return row && row->state == db::ObjectState::live;
  });
  return live.ok() && !*live;
}

void note(db::Finding& finding, std::string example) {
  ++finding.count;
  if (finding.examples.size() < kExamplesMax) finding.examples.push_back(std::move(example));
}

/// A page of names: what stands behind the last "/" of keys.
using TakeNames = std::function<Result<void>(std::vector<std::string>)>;

/// The files of a folder, kPage names at a time.
Result<void> list_folder(const filesystem::path& folder, const TakeNames& take) {
  std::error_code error;
  filesystem::directory_iterator at(folder, error);
  if (error == std::errc::no_such_file_or_directory) return ok();
  std::vector<std::string> page;
  for (; !error && at != filesystem::directory_iterator(); at.increment(error)) {
    page.push_back(at->path().filename().string());
    if (page.size() == kPage) ASTER_TRY(take(std::exchange(page, {})));
  }
  if (error) return fail(Errc::io_error, folder.string() + ": " + error.message());
  return take(std::move(page));
}

/// Objects below a folder of a follower, as many names at a time as it tells. It lists anew for
/// each page: what comes and goes meanwhile may be missed.
Result<void> list_follower(FollowerClient& client, const std::string& folder,
                           const TakeNames& take) {
  std::optional<uint64_t> cursor;
  do {
    ASTER_TRY(ObjectList list, run_blocking(client.list(folder, cursor)));
    for (std::string& key : list.items) key.erase(0, key.rfind('/') + 1);
    ASTER_TRY(take(std::move(list.items)));
    cursor = list.next_cursor;
  } while (cursor);
  return ok();
}

/// Objects below a folder of a bucket, kPage names at a time.
Result<void> list_bucket(storage::S3Target& bucket, const std::string& folder,
                         const TakeNames& take) {
  storage::ListPage page{.more = true};
  for (uint64_t seen = 0; page.more; seen += page.paths.size()) {
    ASTER_TRY(page, run_blocking(bucket.list(folder, seen, kPage)));
    std::vector<std::string> names = page.paths;
    for (std::string& name : names) name.erase(0, name.rfind('/') + 1);
    ASTER_TRY(take(std::move(names)));
  }
  return ok();
}

/// The other way round: what is stored, and does the database know of it? Every object has its row
/// before it can be uploaded, and loses it when it has been removed.
class StrayCheck {
 public:
  StrayCheck(db::Database& database, Storage& storage) : database_(database), storage_(storage) {}

  void look_at(const Policy& policy) {
    // Policies may share a place.
    const bool first = places_
                           .emplace(policy.node, policy.target_key, policy.s3.endpoint,
                                    policy.s3.bucket, policy.base_path)
                           .second;
    if (!first) return;
    const Result<void> looked = list(policy, [&](std::vector<std::string> names) -> Result<void> {
      listed_ += names.size();
      ASTER_TRY(names, unknown_ones(std::move(names)));
      for (const std::string& name : names) judge(policy, name);
      return ok();
    });
    if (!looked.ok()) {
      note(silent_, "storage policy " + policy.name + ": " + looked.error().message());
    }
  }
  uint64_t listed() const { return listed_; }
  std::vector<db::Finding> findings() const {
    std::vector<db::Finding> found;
    for (const db::Finding& finding : {stray_, silent_}) {
      if (finding.count > 0) found.push_back(finding);
    }
    return found;
  }

 private:
  Result<void> list(const Policy& policy, const TakeNames& take) {
    const filesystem::path folder =
        filesystem::path(object_name(policy.base_path, ObjectId())).parent_path();
    if (policy.driver == Driver::local) return list_folder(storage_.local_root / folder, take);
    if (policy.driver == Driver::s3) {
      // The target puts the base path before its keys.
      const std::string below =
          filesystem::path(object_name({}, ObjectId())).parent_path().string();
      ASTER_TRY(const auto bucket, storage_.s3.open(policy));
      return list_bucket(*bucket, below, take);
    }
    const ApiResult<FollowerRef> follower = storage_.registry.usable(policy.node);
    if (!follower.ok()) return fail(Errc::precondition_failed, follower.error().message);
    const auto client = storage_.registry.client_for(**follower, policy.target_key);
    return list_follower(*client, folder.string(), take);
  }
  Result<std::vector<std::string>> unknown_ones(std::vector<std::string> names) {
    return database_.read([&](db::Txn& txn) -> Result<std::vector<std::string>> {
      db::ObjectStore objects(txn);
      std::erase_if(names, [&](const std::string& name) {
        const auto id = ObjectId::from_hex(name);
        return id && objects.find(*id);
      });
      return std::move(names);
    });
  }
  /// Not what was removed, and its row with it, since the page was read.
  void judge(const Policy& policy, const std::string& name) {
    const auto id = ObjectId::from_hex(name);
    if (id) {
      const Result<uint64_t> size = run_blocking(storage_.size_of({0, *id, policy.id, 0}));
      if (size.failed_with(Errc::not_found)) return;
    }
    note(stray_, "object " + name + " of storage policy " + policy.name);
  }

  db::Database& database_;
  Storage& storage_;
  std::set<std::tuple<NodeId, std::string, std::string, std::string, std::string>> places_;
  uint64_t listed_ = 0;
  db::Finding stray_{"object on a node that the database does not know", 0, {}, false};
  db::Finding silent_{"node that did not list its objects", 0, {}, false};
};

class ObjectCheck {
 public:
  ObjectCheck(db::Database& database, Storage& storage) : database_(database), storage_(storage) {}

  void look_at(const std::vector<Stored>& objects) {
    for (size_t at = 0; at < objects.size(); at += kAtOnce) {
      const size_t n = std::min(kAtOnce, objects.size() - at);
      std::vector<Completion<Result<uint64_t>>> answers(n);
      for (size_t i = 0; i < n; ++i) {
        start<Result<uint64_t>>(storage_.size_of(objects[at + i]),
                                [answer = answers[i]](Result<uint64_t> size) { answer.set(size); });
      }
      for (size_t i = 0; i < n; ++i) judge(objects[at + i], run_blocking(wait(answers[i])));
    }
  }
  std::vector<db::Finding> findings() const {
    std::vector<db::Finding> found;
    for (const db::Finding& finding : {missing_, wrong_size_, unknown_}) {
      if (finding.count > 0) found.push_back(finding);
    }
    return found;
  }

 private:
  static Task<Result<uint64_t>> wait(Completion<Result<uint64_t>> answer) {
    co_return co_await answer;
  }
  void judge(const Stored& object, const Result<uint64_t>& size) {
    if (size.ok() && *size == object.size) return;
    if (is_gone(database_, object.id)) return;
    const std::string name = "object " + object.name.hex();
    if (size.ok()) {
      note(wrong_size_, name + ": " + std::to_string(*size) + " bytes, should have " +
                            std::to_string(object.size));
    } else if (size.failed_with(Errc::not_found)) {
      note(missing_, name);
    } else {
      note(unknown_, name + ": " + size.error().message());
    }
  }

  db::Database& database_;
  Storage& storage_;
  db::Finding missing_{"object that its node has lost", 0, {}, false};
  db::Finding wrong_size_{"object of another size on its node", 0, {}, false};
  db::Finding unknown_{"object whose node did not answer", 0, {}, false};
};

Result<void> check_objects(const Config& config, db::Database& database,
                           const InspectionOptions& options, Inspection& inspection) {
  Storage storage(config, database);
  ASTER_TRY(storage.load());
  ASTER_TRY(const uint64_t all, database.read([](db::Txn& txn) -> Result<uint64_t> {
    db::Query q = txn.query("SELECT count(*) FROM objects WHERE state=1");
    return q.next() ? q.uint64(0) : 0;
  }));
  ObjectCheck check(database, storage);
  for (uint64_t last = 0;;) {
    ASTER_TRY(const std::vector<Stored> page, live_objects(database, last));
    if (page.empty()) break;
    check.look_at(page);
    last = page.back().id;
    inspection.objects += page.size();
    if (options.progress) options.progress(inspection.objects, all);
  }
  for (db::Finding& finding : check.findings()) inspection.findings.push_back(std::move(finding));
  StrayCheck strays(database, storage);
  for (const db::PolicyRow& row : storage.policies.rows()) {
    const auto policy = storage.policies.find(row.id);
    if (policy.ok()) strays.look_at(**policy);
  }
  inspection.listed = strays.listed();
  for (db::Finding& finding : strays.findings()) inspection.findings.push_back(std::move(finding));
  return ok();
}

}  // namespace

Result<Inspection> inspect(const Config& config, InspectionOptions options) {
  Executor executor({.name = "database", .threads = 2});
  db::DatabaseOptions place{.url = config.database_url()};
  ASTER_TRY(const auto path, db::parse_database_url(place.url));
  if (!filesystem::exists(path.path)) {
    return fail(Errc::not_found, "there is no database " + path.path + " yet");
  }
  ASTER_TRY(const auto database, db::Database::open(std::move(place), executor));
  Inspection inspection;
  if (options.repair) {
    ASTER_TRY(inspection.repaired,
              run_blocking(database->write([](db::Txn& txn) -> Result<uint64_t> {
                return db::repair_consistency(txn, SystemClock().now_ns());
              })));
  }
  ASTER_TRY(inspection.findings,
            database->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
              return db::check_consistency(txn);
            }));
  if (options.deep) ASTER_TRY(check_objects(config, *database, options, inspection));
  return inspection;
}

}  // namespace aster::primary

#include "server/primary/inspection.h"

#include <algorithm>

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

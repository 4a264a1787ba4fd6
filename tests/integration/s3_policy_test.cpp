// Storage policies with driver s3: objects in a bucket of a real S3 server, written, joined, moved
// and removed by the primary itself.
#include <boost/json.hpp>

#include "protocol/checksum.h"
#include "protocol/client/curl_http_client.h"
#include "server/db/consistency.h"
#include "server/primary/backends.h"
#include "server/primary/follower_registry.h"
#include "server/primary/inspection.h"
#include "server/primary/memory_source.h"
#include "server/primary/policy_migrator.h"
#include "server/primary/s3_storage.h"
#include "server/storage/local_target.h"
#include "tests/integration/drive_fixture.h"
#include "tests/support/namespace_fixture.h"
#include "tests/support/s3_server.h"
#include "tests/support/tcp_proxy.h"

namespace aster::primary {
namespace {

namespace json = boost::json;
using testing::S3Server;

std::string s3_policy_body(const std::string& endpoint, const std::string& secret) {
  return json::serialize(json::object{{"name", "bucket"},
                                      {"driver_type", "s3"},
                                      {"endpoint", endpoint},
                                      {"bucket", S3Server::kBucket},
                                      {"access_key", S3Server::kAccessKey},
                                      {"secret_key", secret},
                                      {"base_path", "/pre fix/"}});
}

/// Keys of the objects below the base path of the policy.
std::vector<std::string> keys_in(const S3Server& server) {
  std::vector<std::string> keys;
  const std::filesystem::path root = server.bucket_folder() / "pre fix";
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root, error)) {
    if (entry.is_regular_file()) keys.push_back(entry.path().lexically_relative(root).string());
  }
  return keys;
}

/// The policies and their storage, over the database of the namespace fixture.
struct PolicyParts {
  PolicyParts(db::Database& database, const std::filesystem::path& folder, Executor& executor,
              const Clock& clock)
      : node_store(database, executor, clock),
        policy_store(database, executor, clock),
        http({}, executor),
        registry(node_store, http, executor, clock),
        s3(http, executor),
        policies(policy_store, registry, s3, executor),
        group_store(database, executor, clock),
        groups(group_store, executor),
        relay("key", clock),
        backends(policies, groups, registry, relay, s3,
                 *storage::LocalTarget::open({.root = folder.string()}, executor), executor,
                 clock) {}

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
};

/// The tree over a bucket (policy 1, the default) and a folder (policy 2).
class S3Policy : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    if (const auto why = S3Server::missing()) GTEST_SKIP() << *why;
    server_ = S3Server::start();
    ASSERT_NE(server_, nullptr);
    NamespaceFixture::SetUp();
    service_.reset();
    parts_.emplace(*database_, dir_ / "objects", executor_, clock_);
    const auto made = run_blocking(
        parts_->policies.create(s3_policy_body(server_->endpoint(), S3Server::kSecretKey)));
    ASSERT_TRUE(made.ok()) << made.error().message;
    const auto local =
        run_blocking(parts_->policies.create(R"({"name":"disk","driver_type":"local"})"));
    ASSERT_TRUE(local.ok()) << local.error().message;
    auto service =
        make_namespace_service(options_, *database_, parts_->backends, executor_, clock_);
    ASSERT_TRUE(service.ok()) << service.error().message();
    service_ = std::move(*service);
  }
  void TearDown() override {
    service_.reset();
    if (database_) {
      const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
        return db::check_consistency(txn);
      });
      ASSERT_TRUE(found.ok());
      for (const db::Finding& one : *found) ADD_FAILURE() << one.rule << ": " << one.examples[0];
    }
    parts_.reset();
    NamespaceFixture::TearDown();
  }

  static std::string bytes(size_t size, char seed) {
    std::string out(size, '\0');
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(seed + i * 7 + i / 251);
    return out;
  }
  Result<void> put(PolicyId policy, const ObjectId& object, const std::string& content) {
    ASTER_TRY(const auto driver, parts_->backends.driver(policy));
    ObjectUpload upload{.body = std::make_shared<MemorySource>(Bytes::from_string(content)),
                        .length = content.size(),
                        .crc32c = crc32c(as_bytes(content))};
    return run_blocking(driver->put(object, std::move(upload)));
  }
  /// One object of the file, by way of a grant and with true checksums.
  void store(InodeNo ino, uint64_t offset, const std::string& content, bool sealed = false) {
    const auto grants = call<fs::UploadGrants>(fs::Grant{ino, content.size(), 1});
    ASSERT_TRUE(grants.ok()) << grants.error().message();
    const ObjectId object = grants->grants[0].object;
    const Result<void> stored = put(PolicyId(1), object, content);
    ASSERT_TRUE(stored.ok()) << stored.error().message();
    BlockChecksums sums;
    sums.update(as_bytes(content));
    fs::Commit commit{.ino = ino};
    commit.extents = {{offset, content.size(), object, 0}};
    commit.objects = {{.id = object, .size = content.size(), .crc32c = sums.finish()}};
    commit.sealed = sealed;
    ASSERT_TRUE(call<fs::Attr>(std::move(commit)).ok());
  }
  PolicyId policy_of(const ObjectId& object) {
    return *database_->read([&](db::Txn& txn) -> Result<PolicyId> {
      db::Query q = txn.query("SELECT policy FROM objects WHERE name=?1", object);
      return q.next() ? PolicyId(q.uint64(0)) : PolicyId();
    });
  }
  /// The whole file, read from wherever it lies.
  std::string read_all(InodeNo ino) {
    std::string out(attr(ino).size, '\0');
    for (const fs::Extent& e : manifest(ino).extents) {
      const auto piece = run_blocking(
          parts_->backends.read_range(policy_of(*e.object), *e.object, e.object_offset, e.length));
      EXPECT_TRUE(piece.ok()) << piece.error().message();
      if (piece.ok()) out.replace(e.offset, e.length, as_text(piece->view()));
    }
    return out;
  }
  void migrate(const std::string& path, PolicyId to) {
    PolicyMigrator migrator(*database_, parts_->backends, executor_, clock_);
    const auto added = run_blocking(migrator.add({caller_.workspace, path, to, 0}));
    ASSERT_TRUE(added.ok()) << added.error().message();
    ASSERT_TRUE(run_blocking(migrator.run_jobs()).ok());
    const auto done = database_->read([&](db::Txn& txn) -> Result<db::MigrationRow> {
      return db::MigrationStore(txn).find(added->id).value();
    });
    EXPECT_EQ(done->state, db::MigrationState::done) << done->problem;
  }
  /// Until nothing is due any more.
  void collect() {
    for (int round = 0; round < 3; ++round) {
      clock_.advance(options_.object_grace + options_.orphan_grace + options_.grant_lifetime);
      run_duties();
    }
  }

  std::unique_ptr<S3Server> server_;
  std::optional<PolicyParts> parts_;
};

TEST_F(S3Policy, stores_joins_and_collects_a_file_of_several_parts) {
  const std::string first = bytes(6 << 20, 'a');
  const std::string second = bytes(9 << 20, 'b');
  const InodeNo ino = make(root_, "f").ino;
  store(ino, 0, first);
  store(ino, first.size(), second);
  store(ino, first.size() + second.size(), "tail", true);
  EXPECT_EQ(keys_in(*server_).size(), 3u);
  EXPECT_EQ(keys_in(*server_)[0].substr(0, 6), "files/");
  EXPECT_EQ(read_all(ino), first + second + "tail");

  clock_.advance(options_.compose_delay);
  run_duties();
  const fs::Manifest joined = manifest(ino);
  ASSERT_EQ(joined.objects.size(), 1u);
  EXPECT_EQ(read_all(ino), first + second + "tail");
  collect();
  EXPECT_EQ(keys_in(*server_), std::vector<std::string>{"files/" + joined.objects[0].id.hex()});
  EXPECT_EQ(read_all(ino), first + second + "tail");

  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  collect();
  EXPECT_EQ(keys_in(*server_), std::vector<std::string>());
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 0);
  EXPECT_EQ(server_->open_uploads(), 0u);
}

TEST_F(S3Policy, a_policy_with_objects_stays_in_its_bucket) {
  store(make(root_, "f").ino, 0, "content", true);
  db::PolicyRow row = *parts_->policies.row(PolicyId(1));
  row.s3.bucket = "another";
  const auto moved = run_blocking(parts_->policy_store.update_policy(row));
  ASSERT_TRUE(moved.failed_with(Errc::precondition_failed));
  EXPECT_NE(moved.error().context.find("aster policy migrate"), std::string::npos);
  row = *parts_->policies.row(PolicyId(1));
  row.s3.endpoint = "http://127.0.0.1:1";
  EXPECT_TRUE(run_blocking(parts_->policy_store.update_policy(row)).ok()) << "it may move house";
}

TEST_F(S3Policy, a_body_that_breaks_its_promise_leaves_nothing) {
  const auto driver = parts_->backends.driver(PolicyId(1));
  ASSERT_TRUE(driver.ok());
  const std::string content = bytes(20 << 20, 'x');
  const auto put_wrong = [&](uint64_t length, uint32_t crc) {
    ObjectUpload upload{.body = std::make_shared<MemorySource>(Bytes::from_string(content)),
                        .length = length,
                        .crc32c = crc};
    return run_blocking((*driver)->put(ObjectId::random(), std::move(upload)));
  };
  EXPECT_TRUE(put_wrong(content.size(), 1).failed_with(Errc::corrupt));
  EXPECT_TRUE(put_wrong(content.size() + 1, 1).failed_with(Errc::bad_request));
  EXPECT_EQ(keys_in(*server_), std::vector<std::string>());
  parts_.reset();  // ends what goes on in the background
  EXPECT_EQ(server_->open_uploads(), 0u);
}

TEST_F(S3Policy, files_move_from_a_disk_to_a_bucket_and_back_bit_for_bit) {
  const std::string large = bytes((17 << 20) + 5, 'l');
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo one = make(dir, "one").ino;
  const InodeNo two = make(dir, "two").ino;
  store(one, 0, large);
  store(two, 0, "small");
  const auto lies_under = [&](PolicyId policy) {
    for (const InodeNo ino : {one, two}) {
      for (const fs::ObjectAccess& object : manifest(ino).objects) {
        EXPECT_EQ(policy_of(object.id), policy);
      }
    }
  };
  migrate("/d", PolicyId(2));
  collect();
  lies_under(PolicyId(2));
  EXPECT_EQ(keys_in(*server_), std::vector<std::string>()) << "nothing stays in the bucket";
  EXPECT_EQ(read_all(one), large);
  EXPECT_EQ(read_all(two), "small");
  migrate("/d", PolicyId(1));
  collect();
  lies_under(PolicyId(1));
  EXPECT_GE(keys_in(*server_).size(), 2u);
  EXPECT_EQ(read_all(one), large);
  EXPECT_EQ(read_all(two), "small");
}

TEST_F(S3Policy, wrong_keys_are_told_and_change_nothing) {
  const std::string wrong = R"({"secret_key":"wrong-secret"})";
  const auto refused = run_blocking(parts_->policies.update(PolicyId(1), wrong));
  ASSERT_TRUE(refused.failed_with(ApiCode::precondition_failed));
  EXPECT_NE(refused.error().message.find("SignatureDoesNotMatch"), std::string::npos);
  EXPECT_NE(refused.error().message.find("check the access key and the secret key"),
            std::string::npos);
  EXPECT_EQ(refused.error().message.find("wrong-secret"), std::string::npos);
  EXPECT_TRUE(put(PolicyId(1), ObjectId::random(), "x").ok());

  // Keys that the service takes back later: the storage's trouble, not the caller's rights.
  db::PolicyRow row = *parts_->policies.row(PolicyId(1));
  row.s3.secret_key = "wrong-secret";
  ASSERT_TRUE(run_blocking(parts_->policy_store.update_policy(row)).ok());
  ASSERT_TRUE(run_blocking(parts_->policies.load()).ok());
  const Result<void> stored = put(PolicyId(1), ObjectId::random(), "x");
  ASSERT_TRUE(stored.failed_with(Errc::precondition_failed)) << stored.error().message();
  EXPECT_NE(stored.error().context.find("SignatureDoesNotMatch"), std::string::npos);
}

TEST_F(S3Policy, a_bucket_or_service_that_is_not_there_is_refused) {
  for (const char* change :
       {R"({"bucket":"no-such-bucket"})", R"({"endpoint":"http://127.0.0.1:1"})"}) {
    const auto refused = run_blocking(parts_->policies.update(PolicyId(1), change));
    EXPECT_TRUE(refused.failed_with(ApiCode::precondition_failed)) << change;
    EXPECT_NE(refused.error().message, "");
  }
  EXPECT_EQ(parts_->policies.row(PolicyId(1))->s3.bucket, S3Server::kBucket);
  EXPECT_TRUE(
      run_blocking(parts_->backends.refresh_capacity(PolicyId(1))).failed_with(Errc::unsupported));
}

/// Begins before the primary, so that it does not inherit its sockets, and ends after it.
struct RunningBucket {
  RunningBucket() {
    if (!S3Server::missing()) server_ = S3Server::start();
  }
  std::unique_ptr<S3Server> server_;
};

/// The whole program over a bucket.
class S3Drive : private RunningBucket, public DriveFixture {
 protected:
  using RunningBucket::server_;

  void SetUp() override {
    if (const auto why = S3Server::missing()) GTEST_SKIP() << *why;
    ASSERT_NE(server_, nullptr);
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
    const ApiAnswer made = api("POST", "/api/v1/admin/policies",
                               s3_policy_body(server_->endpoint(), S3Server::kSecretKey));
    ASSERT_EQ(made.status, 201) << made.body;
    client_ = make_primary_client({primary_url(), user_token}, http, executor);
    const auto opened = run_blocking(client_->open_session({.client = "test"}));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    root_ = opened->root;
  }
  template <class A>
  Result<A> call(fs::Operation operation) {
    return run_blocking(client_->call<A>(std::move(operation)));
  }
  InodeNo create(const std::string& name) {
    return call<fs::Attr>(fs::Create{.parent = root_, .name = name, .mode = 0644}).value().ino;
  }
  fs::UploadGrant grant(InodeNo ino) {
    return call<fs::UploadGrants>(fs::Grant{.ino = ino}).value().grants.at(0);
  }
  ApiAnswer store(const std::string& name, const std::string& content) {
    const InodeNo ino = create(name);
    const fs::UploadGrant granted = grant(ino);
    ApiAnswer put = send("PUT", absolute(granted.url), content);
    if (put.status != 200) return put;
    BlockChecksums sums;
    sums.update(as_bytes(content));
    fs::Commit commit{.ino = ino};
    commit.extents = {{.offset = 0, .length = content.size(), .object = granted.object}};
    commit.objects = {{.id = granted.object, .size = content.size(), .crc32c = sums.finish()}};
    EXPECT_TRUE(call<fs::Attr>(std::move(commit)).ok());
    return put;
  }

  std::unique_ptr<PrimaryClient> client_;
  InodeNo root_;
};

TEST_F(S3Drive, a_deep_check_looks_into_the_bucket) {
  ASSERT_EQ(store("a", "content").status, 200);
  const auto config = config_of("primary");
  ASSERT_TRUE(config.ok());
  const auto whole = inspect(*config, {.deep = true});
  ASSERT_TRUE(whole.ok()) << whole.error().message();
  EXPECT_EQ(whole->objects, 1u);
  EXPECT_TRUE(whole->findings.empty()) << whole->findings[0].rule;
  EXPECT_EQ(whole->listed, 1u);
  const std::string key = keys_in(*server_).at(0);
  const auto place = server_->bucket_folder() / "pre fix" / key;
  const std::string stray(32, 'a');
  std::filesystem::copy_file(place, place.parent_path() / stray);
  const auto more = inspect(*config, {.deep = true});
  ASSERT_TRUE(more.ok()) << more.error().message();
  ASSERT_EQ(more->findings.size(), 1u);
  EXPECT_NE(more->findings[0].examples.at(0).find(stray), std::string::npos);
  ASSERT_TRUE(std::filesystem::remove(place.parent_path() / stray));
  ASSERT_TRUE(std::filesystem::remove(place));
  const auto torn = inspect(*config, {.deep = true});
  ASSERT_TRUE(torn.ok()) << torn.error().message();
  ASSERT_EQ(torn->findings.size(), 1u);
  EXPECT_EQ(torn->findings[0].examples.at(0), "object " + key.substr(key.rfind('/') + 1));
}

TEST_F(S3Drive, a_service_that_is_away_is_a_passing_failure) {
  ASSERT_EQ(store("a", "content").status, 200);
  EXPECT_EQ(api("POST", "/api/v1/admin/policies/1/test").status, 200);
  server_->process().kill();
  EXPECT_EQ(store("b", "content").status, 503);
  EXPECT_EQ(api("POST", "/api/v1/admin/policies/1/test").status, 503);
  EXPECT_EQ(api("PATCH", "/api/v1/admin/policies/1", R"({"name":"renamed"})").status, 200);
}

TEST_F(S3Drive, stops_although_its_bucket_hangs) {
  testing::TcpProxy proxy(server_->port());
  const json::object through{{"endpoint", S3Server::endpoint_at(proxy.port())}};
  ASSERT_EQ(api("PATCH", "/api/v1/admin/policies/1", json::serialize(through)).status, 200);
  ASSERT_EQ(store("a", "content").status, 200);
  const std::string url = absolute(grant(create("b")).url);
  proxy.stall();
  std::jthread tester([this] { api("POST", "/api/v1/admin/policies/1/test"); });
  std::jthread writer([this, url] { send("PUT", url, "content"); });
  primary->stop(std::chrono::milliseconds(200));
  EXPECT_NE(send("GET", primary_url() + "/health").status, 200);
}

TEST_F(S3Drive, what_a_dead_server_left_half_uploaded_goes_at_the_start) {
  const auto address = storage::S3Address::parse(server_->endpoint(), S3Server::kBucket);
  const auto client = std::make_shared<storage::S3Client>(
      http, executor, *address, S3Server::kAccessKey, S3Server::kSecretKey);
  ASSERT_TRUE(run_blocking(client->begin_upload("pre fix/files/" + ObjectId::random().hex())).ok());
  ASSERT_TRUE(run_blocking(client->begin_upload("pre fix/elsewhere")).ok());
  EXPECT_EQ(server_->open_uploads(), 2u);
  client_.reset();
  primary.reset();
  start_primary();
  ASSERT_NE(primary, nullptr);
  EXPECT_EQ(server_->open_uploads(), 1u) << "only what is below files/ is ours";
}

}  // namespace
}  // namespace aster::primary

#include "tests/integration/drive_fixture.h"

#include <thread>

#include "protocol/base/secret_file.h"
#include "protocol/checksum.h"
#include "tests/integration/answers.h"
#include "tests/support/s3_server.h"
#include "tests/support/tcp_proxy.h"

namespace aster {
namespace {

constexpr const char* kNodes = "/api/v1/admin/remote-nodes";

/// Gathers a stream until it has told of a change.
struct EventText final : ByteSink {
  explicit EventText(CancelToken e) : enough(std::move(e)) {}
  Task<Result<void>> write(ByteView piece) override {
    text += as_text(piece);
    if (text.find("event: inval") != std::string::npos && text.ends_with("\n\n")) enough.cancel();
    co_return ok();
  }
  CancelToken enough;
  std::string text;
};

std::vector<uint32_t> checksums_of(const std::string& content) {
  BlockChecksums sums;
  sums.update(as_bytes(content));
  return sums.finish();
}

class Drive : public DriveFixture {
 protected:
  Drive() = default;
  explicit Drive(DriveSettings how) : DriveFixture(std::move(how)) {}
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
  }
  void open_session() {
    client = make_primary_client({primary_url(), user_token}, http, executor);
    auto opened = run_blocking(client->open_session({.client = "test"}));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    session = *opened;
  }
  template <class A>
  Result<A> call(fs::Operation operation) {
    return run_blocking(client->call<A>(std::move(operation)));
  }
  fs::Attr create(const std::string& name) {
    auto made = call<fs::Attr>(fs::Create{.parent = session.root, .name = name, .mode = 0644});
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
    return made.ok() ? *made : fs::Attr{};
  }
  Result<fs::UploadGrant> grant(InodeNo ino) {
    ASTER_TRY(fs::UploadGrants grants, call<fs::UploadGrants>(fs::Grant{.ino = ino}));
    return grants.grants.at(0);
  }
  Result<fs::Attr> commit(InodeNo ino, const ObjectId& object, const std::string& content) {
    fs::Commit commit{.ino = ino};
    commit.extents = {{.offset = 0, .length = content.size(), .object = object}};
    commit.objects = {{.id = object, .size = content.size(), .crc32c = checksums_of(content)}};
    return call<fs::Attr>(std::move(commit));
  }
  /// A file with this content by way of a grant; the manifest's URL of its object.
  std::string store(const std::string& name, const std::string& content) {
    const fs::Attr file = create(name);
    const auto granted = grant(file.ino);
    EXPECT_TRUE(granted.ok()) << (granted.ok() ? "" : granted.error().message());
    if (!granted.ok()) return {};
    upload_url = granted->url;
    const ApiAnswer put = send("PUT", absolute(granted->url), content);
    EXPECT_EQ(put.status, 200) << put.body << put.msg;
    const auto committed = commit(file.ino, granted->object, content);
    EXPECT_TRUE(committed.ok()) << (committed.ok() ? "" : committed.error().message());
    return url_of(file.ino);
  }
  std::string url_of(InodeNo ino) {
    const auto manifest = call<fs::Manifest>(fs::GetManifest{.ino = ino});
    EXPECT_TRUE(manifest.ok());
    if (!manifest.ok() || manifest->objects.empty()) return {};
    return manifest->objects.at(0).url;
  }

  std::unique_ptr<PrimaryClient> client;
  fs::SessionAnswer session;
  std::string upload_url;
};

class DriveWithStrategy : public Drive, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    Drive::SetUp();
    if (is_remote()) {
      enroll_follower();
      add_target();
    }
    if (is_bucket()) {
      add_bucket();
    } else {
      add_policy(GetParam());
    }
    open_session();
  }
  void add_bucket() {
    if (const auto why = testing::S3Server::missing()) GTEST_SKIP() << *why;
    bucket_ = testing::S3Server::start();
    ASSERT_NE(bucket_, nullptr);
    const boost::json::object body{{"name", "s3"},
                                   {"driver_type", "s3"},
                                   {"endpoint", bucket_->endpoint()},
                                   {"bucket", testing::S3Server::kBucket},
                                   {"access_key", testing::S3Server::kAccessKey},
                                   {"secret_key", testing::S3Server::kSecretKey}};
    const ApiAnswer made = api("POST", "/api/v1/admin/policies", boost::json::serialize(body));
    ASSERT_EQ(made.status, 201) << made.body;
  }
  bool is_bucket() const { return std::string(GetParam()) == "s3"; }
  bool is_remote() const { return std::string(GetParam()) != "local" && !is_bucket(); }
  bool is_presigned() const { return std::string(GetParam()) == "presigned"; }

 private:
  std::unique_ptr<testing::S3Server> bucket_;
};

TEST_P(DriveWithStrategy, stores_and_serves_a_file) {
  const std::string content = some_content();
  const std::string url = store("a", content);
  EXPECT_EQ(url.starts_with("/api/v1/data/"), !is_presigned()) << "wrong way of transport";
  EXPECT_EQ(upload_url.starts_with("/api/v1/data/"), !is_presigned());
  EXPECT_EQ(send("GET", absolute(url)).body, content);
  const ApiAnswer part = send("GET", absolute(url), {}, {{"Range", "bytes=131072-131199"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, content.substr(131072, 128));
  const std::string* range = find_header(part.headers, "Content-Range");
  ASSERT_NE(range, nullptr);
  EXPECT_EQ(*range, "bytes 131072-131199/307200");
  EXPECT_EQ(send("GET", absolute(url), {}, {{"Range", "bytes=307000-"}}).body,
            content.substr(307000));
  EXPECT_EQ(send("GET", absolute(url), {}, {{"Range", "bytes=-10"}}).body,
            content.substr(content.size() - 10));
  EXPECT_EQ(send("GET", absolute(url), {}, {{"Range", "bytes=307200-"}}).status, 400);
  EXPECT_EQ(send("GET", absolute(url), {}, {{"Range", "lines=1-2"}}).status, 400);
}

TEST_P(DriveWithStrategy, refuses_a_body_that_does_not_match_its_checksum) {
  const auto granted = grant(create("a").ino);
  ASSERT_TRUE(granted.ok()) << granted.error().message();
  const ApiAnswer put =
      send("PUT", absolute(granted->url), "content", {{"x-aster-crc32c", "00000000"}});
  EXPECT_GE(put.status, 400);
  const ApiAnswer good = send("PUT", absolute(granted->url), "content",
                              {{"x-aster-crc32c", crc32c_hex(crc32c(as_bytes("content")))}});
  EXPECT_EQ(good.status, 200) << good.body;
}

TEST_P(DriveWithStrategy, does_not_serve_objects_to_forged_urls) {
  const std::string url = store("a", "secret");
  std::string other = url;
  other.back() = other.back() == '0' ? '1' : '0';
  const ApiAnswer forged = send("GET", absolute(other));
  EXPECT_EQ(forged.status, 401);
  EXPECT_EQ(forged.body.find("secret"), std::string::npos);
  EXPECT_EQ(send("PUT", absolute(url), "other").status, 401);
}

TEST_P(DriveWithStrategy, keeps_files_and_urls_across_a_restart_of_the_primary) {
  const std::string url = store("a", "content");
  const std::string path = url.substr(url.find("/api/"));
  primary.reset();
  start_primary();
  ASSERT_NE(primary, nullptr);
  EXPECT_EQ(send("GET", is_presigned() ? url : primary_url() + path).body, "content");
  token = login("root", "root password");
  EXPECT_EQ(api("GET", "/api/v1/admin/policies").data.at("total").as_int64(), 1);
}

INSTANTIATE_TEST_SUITE_P(Strategies, DriveWithStrategy,
                         ::testing::Values("presigned", "relay_stream", "local", "s3"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(Drive, quotas_are_set_and_shown) {
  const std::string path = std::string("/api/v1/admin/users/2");
  EXPECT_EQ(api("PATCH", path, R"({"storage_quota":1000})").status, 200);
  EXPECT_EQ(api("GET", path).data.at("storage_quota").to_number<uint64_t>(), 1000u);
  token.swap(user_token);
  const ApiAnswer me = api("GET", "/api/v1/auth/me");
  token.swap(user_token);
  EXPECT_EQ(me.data.at("storage_quota").to_number<uint64_t>(), 1000u);
  EXPECT_EQ(me.data.at("storage_used"), api("GET", path).data.at("storage_used"));
  open_session();
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{session.root})->total_bytes, 1000u);
  EXPECT_EQ(api("PATCH", path, R"({"storage_quota":0})").status, 200);
  EXPECT_EQ(api("GET", path).data.at("storage_quota").to_number<uint64_t>(), 0u);
}

TEST_F(Drive, says_that_there_is_no_storage_policy) {
  open_session();
  const auto granted = grant(create("a").ino);
  ASSERT_TRUE(granted.failed_with(Errc::precondition_failed));
  EXPECT_NE(granted.error().context.find("no default storage policy"), std::string::npos);
}

TEST_F(Drive, says_that_the_node_is_disabled_and_works_again_afterwards) {
  enroll_follower();
  add_target();
  add_policy("presigned");
  open_session();
  const InodeNo file = create("a").ino;
  ASSERT_TRUE(grant(file).ok());
  ASSERT_EQ(api("PATCH", std::string(kNodes) + "/1", R"({"is_enabled":false})").status, 200);
  const auto granted = grant(file);
  ASSERT_FALSE(granted.ok());
  EXPECT_NE(granted.error().context.find("node f1 is disabled"), std::string::npos)
      << granted.error().message();
  ASSERT_EQ(api("PATCH", std::string(kNodes) + "/1", R"({"is_enabled":true})").status, 200);
  EXPECT_EQ(send("GET", absolute(store("b", "again"))).body, "again");
}

TEST_F(Drive, a_disabled_node_stops_at_once_on_both_sides) {
  enroll_follower();
  add_target();
  add_policy("presigned");
  open_session();
  const std::string get = store("a", "content");
  const auto granted = grant(create("b").ino);
  ASSERT_TRUE(granted.ok()) << granted.error().message();
  const std::string put = granted->url;
  const std::string node = DriveFixture::url_of(follower->port());
  ASSERT_TRUE(get.starts_with(node)) << get;
  ASSERT_TRUE(put.starts_with(node)) << put;

  ASSERT_EQ(api("PATCH", std::string(kNodes) + "/1", R"({"is_enabled":false})").status, 200);
  const ApiAnswer read = send("GET", get);
  EXPECT_EQ(read.status, 412) << read.body;
  EXPECT_EQ(read.body.find("content"), std::string::npos);
  EXPECT_EQ(send("GET", get, {}, {{"Range", "bytes=0-2"}}).status, 412);
  EXPECT_EQ(send("PUT", put, "more").status, 412);
  const auto refused = grant(create("c").ino);
  ASSERT_TRUE(refused.failed_with(Errc::precondition_failed));
  EXPECT_NE(refused.error().context.find("node f1 is disabled"), std::string::npos);

  ASSERT_EQ(api("PATCH", std::string(kNodes) + "/1", R"({"is_enabled":true})").status, 200);
  EXPECT_EQ(send("GET", get).body, "content");
  EXPECT_EQ(send("PUT", put, "more").status, 200);
  EXPECT_EQ(send("GET", absolute(store("d", "again"))).body, "again");
}

TEST_F(Drive, says_that_the_follower_has_no_default_target) {
  enroll_follower();
  add_policy("relay_stream");
  open_session();
  const auto granted = grant(create("a").ino);
  ASSERT_TRUE(granted.ok());
  const ApiAnswer put = send("PUT", absolute(granted->url), "content");
  EXPECT_EQ(put.status, 412);
  EXPECT_NE(put.msg.find("managed_ingress.required"), std::string::npos) << put.msg;
}

TEST_F(Drive, answers_503_while_the_follower_is_down_and_recovers) {
  enroll_follower();
  add_target();
  add_policy("relay_stream");
  open_session();
  const std::string url = store("a", "content");
  const auto granted = grant(create("b").ino);
  ASSERT_TRUE(granted.ok());
  follower.reset();
  EXPECT_EQ(send("GET", absolute(url)).status, 503);
  EXPECT_EQ(send("PUT", absolute(granted->url), "more").status, 503);
  const ApiAnswer tested = api("POST", std::string(kNodes) + "/1/test");
  EXPECT_EQ(tested.status, 503) << tested.body;
  EXPECT_NE(api("GET", std::string(kNodes) + "/1").data.at("last_error").as_string(), "");
  start_follower();
  const boost::json::object change{
      {"base_url", "http://127.0.0.1:" + std::to_string(follower->port())}};
  ASSERT_EQ(api("PATCH", std::string(kNodes) + "/1", boost::json::serialize(change)).status, 200);
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

TEST_F(Drive, refuses_bad_enrolment_tokens) {
  ASSERT_EQ(api("POST", kNodes, R"({"name":"f1","namespace":"main"})").status, 201);
  EXPECT_EQ(enroll("enr_00000000000000000000000000000000"), 1);
  EXPECT_NE(enroll_output.find("invalid enrollment token"), std::string::npos) << enroll_output;
  const std::string old = issue_token();
  const std::string fresh = issue_token();
  EXPECT_EQ(enroll(old), 1);
  EXPECT_NE(enroll_output.find("replaced by a newer session"), std::string::npos) << enroll_output;
  EXPECT_EQ(enroll(fresh), 0) << enroll_output;
  EXPECT_EQ(enroll(fresh), 1);
  EXPECT_NE(enroll_output.find("already been completed"), std::string::npos) << enroll_output;
  EXPECT_EQ(api("POST", std::string(kNodes) + "/1/enrollment-token").status, 412);
}

TEST_F(Drive, needs_a_base_url_for_direct_connections) {
  ASSERT_EQ(api("POST", kNodes, R"({"name":"f1","namespace":"main"})").status, 201);
  ASSERT_EQ(enroll(issue_token()), 0) << enroll_output;
  for (const char* path : {"/1/test", "/1/storage-targets"}) {
    const ApiAnswer answer = api("POST", std::string(kNodes) + path,
                                 R"({"driver_type":"local","name":"disk","base_path":"disk"})");
    EXPECT_EQ(answer.status, 412) << path;
    EXPECT_NE(answer.msg.find("has no base_url"), std::string::npos) << answer.msg;
  }
  const ApiAnswer policy = api("POST", "/api/v1/admin/policies",
                               R"({"name":"p","driver_type":"remote","remote_node_id":1})");
  EXPECT_EQ(policy.status, 412);
}

TEST_F(Drive, manages_targets_on_the_follower) {
  enroll_follower();
  add_target();
  const std::string path = std::string(kNodes) + "/1/storage-targets";
  const ApiAnswer second =
      api("POST", path, R"({"driver_type":"local","name":"two","base_path":"two"})");
  ASSERT_EQ(second.status, 201) << second.body;
  const std::string key = second.data.at("target_key").as_string().c_str();
  EXPECT_EQ(api("PATCH", path + "/" + key, R"({"is_default":true})").status, 200);
  const ApiAnswer listed = api("GET", path);
  ASSERT_EQ(listed.data.as_array().size(), 2u);
  EXPECT_EQ(listed.data.as_array()[0].at("target_key").as_string(), key);
  EXPECT_EQ(api("DELETE", path + "/" + key).status, 412);
  EXPECT_EQ(api("DELETE", path + "/no-such-target").status, 404);
  EXPECT_EQ(api("POST", path, R"({"driver_type":"local","name":"x","base_path":"../up"})").status,
            400);
}

TEST_F(Drive, a_policy_with_data_stays_where_it_is) {
  enroll_follower();
  add_target();
  add_policy("relay_stream");
  open_session();
  const std::string policy = "/api/v1/admin/policies/1";
  EXPECT_EQ(api("PATCH", policy, R"({"base_path":"other"})").status, 200) << "nothing is stored";
  EXPECT_EQ(api("PATCH", policy, R"({"base_path":"drive"})").status, 200);
  const std::string url = store("a", "content");
  for (const char* change : {R"({"base_path":"other"})", R"({"base_path":""})",
                             R"({"remote_storage_target_key":"x"})"}) {
    const ApiAnswer refused = api("PATCH", policy, change);
    EXPECT_EQ(refused.status, 412) << change;
    EXPECT_NE(refused.msg.find("aster policy migrate"), std::string::npos) << refused.msg;
  }
  EXPECT_EQ(api("PATCH", policy, R"({"name":"new","base_path":"/drive/","remote_node_id":1,
      "options":{"remote_upload_strategy":"presigned"}})")
                .status,
            200);
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

TEST_F(Drive, a_local_policy_with_data_stays_where_it_is) {
  add_policy("local");
  open_session();
  const std::string url = store("a", "content");
  EXPECT_EQ(api("PATCH", "/api/v1/admin/policies/1", R"({"base_path":"other"})").status, 412);
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

class DriveTargets : public Drive {
 protected:
  void SetUp() override {
    Drive::SetUp();
    enroll_follower();
    first = add("one", false);
    second = add("two", false);
  }
  std::string add(const std::string& name, bool is_default) {
    const boost::json::object body{
        {"driver_type", "local"}, {"name", name}, {"base_path", name}, {"is_default", is_default}};
    last = api("POST", targets, boost::json::serialize(body));
    return last.status == 201 ? last.data.at("target_key").as_string().c_str() : "";
  }
  ApiAnswer patch(const std::string& key, const std::string& change) {
    return api("PATCH", targets + "/" + key, change);
  }
  /// Policy 1 on the second target, or on the node's default, which is the first.
  void add_policy_on(const std::string& key) {
    const boost::json::object body{{"name", "p"},
                                   {"driver_type", "remote"},
                                   {"remote_node_id", 1},
                                   {"remote_storage_target_key", key}};
    ASSERT_EQ(api("POST", "/api/v1/admin/policies", boost::json::serialize(body)).status, 201);
    open_session();
  }

  const std::string targets = std::string(kNodes) + "/1/storage-targets";
  std::string first;
  std::string second;
  ApiAnswer last;
};

TEST_F(DriveTargets, the_default_stays_while_objects_rest_on_it) {
  add_policy_on("");
  EXPECT_EQ(patch(second, R"({"is_default":true})").status, 200) << "nothing is stored";
  EXPECT_EQ(patch(first, R"({"is_default":true})").status, 200);
  const std::string url = store("a", "content");
  const ApiAnswer refused = patch(second, R"({"is_default":true})");
  EXPECT_EQ(refused.status, 412);
  EXPECT_NE(refused.msg.find("policy p has objects on the default target one"), std::string::npos)
      << refused.msg;
  EXPECT_EQ(add("three", true), "");
  EXPECT_EQ(last.status, 412) << last.body;
  EXPECT_EQ(patch(first, R"({"is_default":true,"name":"uno"})").status, 200);
  EXPECT_NE(add("three", false), "");
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

TEST_F(DriveTargets, a_target_with_objects_is_neither_removed_nor_moved) {
  add_policy_on("");
  ASSERT_EQ(api("DELETE", targets + "/" + second).status, 200);
  const std::string url = store("a", "content");
  EXPECT_EQ(patch(first, R"({"base_path":"other"})").status, 412);
  EXPECT_EQ(patch(first, R"({"base_path":"one","max_file_size":1000000})").status, 200);
  const ApiAnswer removed = api("DELETE", targets + "/" + first);
  EXPECT_EQ(removed.status, 412);
  EXPECT_NE(removed.msg.find("policy p has objects on target one"), std::string::npos)
      << removed.msg;
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

TEST_F(DriveTargets, a_target_that_a_policy_names_is_not_removed) {
  add_policy_on(second);
  const ApiAnswer removed = api("DELETE", targets + "/" + second);
  EXPECT_EQ(removed.status, 412);
  EXPECT_NE(removed.msg.find("is used by the storage policy p"), std::string::npos) << removed.msg;
  EXPECT_EQ(patch(second, R"({"base_path":"other"})").status, 200) << "nothing is stored";
  const std::string url = store("a", "content");
  EXPECT_EQ(patch(second, R"({"base_path":"two"})").status, 412);
  EXPECT_EQ(patch(second, R"({"is_default":true})").status, 200) << "the policy names its target";
  EXPECT_EQ(send("GET", absolute(url)).body, "content");
}

TEST_F(Drive, shows_the_capacity_of_the_follower) {
  enroll_follower();
  add_target();
  add_policy("presigned");
  open_session();
  const auto answer = call<fs::StatFsAnswer>(fs::StatFs{.ino = session.root});
  ASSERT_TRUE(answer.ok());
  EXPECT_GT(answer->total_bytes, 0u);
  const ApiAnswer tested = api("POST", "/api/v1/admin/policies/1/test");
  EXPECT_EQ(tested.status, 200) << tested.body;
}

TEST_F(Drive, does_not_remove_what_is_in_use) {
  enroll_follower();
  add_target();
  add_policy("presigned");
  EXPECT_EQ(api("DELETE", std::string(kNodes) + "/1").status, 412);
  open_session();
  ASSERT_FALSE(store("a", "content").empty());
  const ApiAnswer removed = api("DELETE", "/api/v1/admin/policies/1");
  EXPECT_EQ(removed.status, 412);
  EXPECT_NE(removed.msg.find("data is stored"), std::string::npos);
}

/// People choose the policies of their directories.
class ChoosingDrive : public Drive {
 protected:
  ChoosingDrive()
      : Drive(
            DriveSettings{.variables = {{"ASTER__SERVER__PRIMARY__DIRECTORY_POLICIES", "true"}}}) {}
  void SetUp() override {
    Drive::SetUp();
    add_policy("local");
    const ApiAnswer made = api("POST", "/api/v1/admin/policies",
                               R"({"name":"chosen","driver_type":"local","base_path":"chosen"})");
    ASSERT_EQ(made.status, 201) << made.body;
    open_session();
    directory = call<fs::Attr>(fs::Create{.parent = session.root,
                                          .name = "films",
                                          .type = fs::FileType::directory,
                                          .mode = 0755})
                    ->ino;
    ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{directory, kChoice, "chosen"}).ok());
  }
  ApiAnswer remove_policy() { return api("DELETE", "/api/v1/admin/policies/2"); }

  static constexpr const char* kChoice = "user.aster.policy";
  InodeNo directory;
};

TEST_F(ChoosingDrive, a_policy_that_a_directory_chose_is_not_removed) {
  const ApiAnswer refused = remove_policy();
  EXPECT_EQ(refused.status, 412);
  EXPECT_NE(refused.msg.find("ann: /films"), std::string::npos) << refused.msg;
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{directory, kChoice}).ok());
  EXPECT_EQ(remove_policy().status, 200);
}

TEST_F(ChoosingDrive, a_file_outlives_what_was_chosen_for_it) {
  const auto file = call<fs::Attr>(fs::Create{.parent = directory, .name = "a", .mode = 0644});
  ASSERT_TRUE(file.ok() && file->own_policy);
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{directory, kChoice}).ok());
  ASSERT_EQ(remove_policy().status, 200);
  const auto granted = grant(file->ino);
  ASSERT_TRUE(granted.ok()) << granted.error().message();
  EXPECT_EQ(send("PUT", absolute(granted->url), "content").status, 200);
  EXPECT_TRUE(commit(file->ino, granted->object, "content").ok());
  EXPECT_EQ(send("GET", absolute(url_of(file->ino))).body, "content");
}

TEST_F(Drive, answers_a_batch_without_session_as_the_manual_shows) {
  open_session();
  create("a");
  token = user_token;
  const std::string root = std::to_string(session.root.value);
  const ApiAnswer answer =
      api("POST", "/api/v1/fs/batch",
          R"({"session":0,"ops":[{"op":"readdir","limit":100,"ino":)" + root + "}]}");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto& page = answer.data.at("results").at(0).at("dir");
  EXPECT_EQ(page.at("entries").at(0).at("name").as_string(), "a");
}

TEST_F(Drive, tells_a_session_what_others_changed) {
  open_session();
  const SessionId watcher = session.session;
  const std::string cursor = session.cursor;
  const auto first = std::move(client);
  open_session();
  create("fresh");
  token = user_token;
  HttpClientRequest request;
  request.url = primary_url() + "/api/v1/fs/events?session=" + std::to_string(watcher.value) +
                "&cursor=" + cursor;
  request.headers = {{"Authorization", "Bearer " + token}};
  request.total_timeout = std::chrono::milliseconds(0);
  CancelToken enough;
  auto seen = std::make_shared<EventText>(enough);
  request.sink = seen;
  const auto ended = run_blocking(http.send(std::move(request), enough));
  EXPECT_TRUE(ended.failed_with(Errc::interrupted));
  EXPECT_NE(seen->text.find("\"name\":\"fresh\""), std::string::npos) << seen->text;
}

TEST_F(Drive, ends_event_streams_and_sessions_cleanly) {
  open_session();
  const std::string id = std::to_string(session.session.value);
  token = user_token;
  EXPECT_EQ(api("DELETE", "/api/v1/fs/session/" + id).status, 200);
  EXPECT_EQ(api("DELETE", "/api/v1/fs/session/" + id).status, 410);
  EXPECT_EQ(api("GET", "/api/v1/fs/events?session=" + id).status, 410);
  EXPECT_EQ(api("POST", "/api/v1/fs/batch", R"({"session":)" + id + R"(,"ops":[]})").status, 410);
}

TEST_F(Drive, stops_although_a_follower_hangs) {
  enroll_follower();
  add_target();
  add_policy("relay_stream");
  open_session();
  const std::string url = store("a", "content");
  testing::TcpProxy proxy(follower->port());
  proxy.stall();
  const boost::json::object change{
      {"base_url", "http://127.0.0.1:" + std::to_string(proxy.port())}};
  std::jthread update(
      [&] { api("PATCH", std::string(kNodes) + "/1", boost::json::serialize(change)); });
  std::jthread reader([this, url] { send("GET", absolute(url)); });
  primary->stop(std::chrono::milliseconds(200));
  EXPECT_NE(send("GET", primary_url() + "/health").status, 200);
}

TEST_F(Drive, relays_large_objects_both_ways) {
  enroll_follower();
  add_target();
  add_policy("relay_stream");
  open_session();
  std::string content;
  while (content.size() < (16u << 20)) content += some_content();
  const std::string url = store("large", content);
  EXPECT_TRUE(send("GET", absolute(url)).body == content);
  EXPECT_TRUE(send("GET", absolute(url), {}, {{"Range", "bytes=5000000-9999999"}}).body ==
              content.substr(5000000, 5000000));
}

TEST_F(Drive, keeps_users_apart) {
  add_policy("local");
  open_session();
  const fs::Attr file = create("mine");
  client = make_primary_client({primary_url(), token}, http, executor);
  ASSERT_TRUE(run_blocking(client->open_session({.client = "other"})).ok());
  EXPECT_TRUE(call<fs::Attr>(fs::GetAttr{file.ino}).failed_with(Errc::stale_handle));
  EXPECT_FALSE(grant(file.ino).ok());
}

TEST_F(Drive, takes_accounts_from_the_command_line_while_it_runs) {
  ASSERT_TRUE(write_private_file(dir / "password", "from a file\n"));
  testing::Process::Options options;
  options.argv = {ASTER_DRIVE_PROGRAM,
                  "--config",
                  (dir / "primary" / "config.toml").string(),
                  "user",
                  "add",
                  "carol",
                  "--admin",
                  "--password-file",
                  (dir / "password").string()};
  options.output = dir / "user.log";
  auto process = testing::Process::spawn(std::move(options));
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->wait(), 0) << testing::read_file(dir / "user.log");
  token = login("carol", "from a file");
  EXPECT_EQ(api("GET", "/api/v1/admin/users").status, 200);
  user_token = token;
  open_session();
  create("a");
}

}  // namespace
}  // namespace aster

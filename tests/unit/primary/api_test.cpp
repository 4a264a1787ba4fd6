#include <boost/json.hpp>
#include <fstream>

#include "protocol/client/curl_http_client.h"
#include "server/primary/admin_api.h"
#include "server/primary/auth_api.h"
#include "server/primary/client_api.h"
#include "server/primary/data_relay.h"
#include "server/primary/enrollment_api.h"
#include "server/primary/node_control_api.h"
#include "server/primary/s3_storage.h"
#include "server/primary/token_api.h"
#include "server/storage/local_target.h"
#include "tests/support/fake_http_client.h"
#include "tests/unit/primary/admin_fixture.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

struct Answer {
  int status = 0;
  std::string text;
  json::value data;
  std::string msg;
  std::string code;
};

/// The routes over real HTTP, with a scripted follower and a tree service that only counts.
class ApiTest : public AdminFixture {
 protected:
  ApiTest() {
    local = *storage::LocalTarget::open({.root = (dir / "uploads").string()}, executor);
    backends.emplace(policies, groups, registry, urls, s3, local, executor, clock);
    admin.emplace(gate, AdminParts{accounts, *accounts_store, *node_store, registry, enrollment,
                                   targets, policies, *backends, groups, purger});
    relay.emplace(*backends, urls);
    auth.add_routes(router);
    tokens.add_routes(router);
    admin->add_routes(router);
    enroll.add_routes(router);
    control.add_routes(router);
    client.add_routes(router);
    relay->add_routes(router);
    add_health_routes(router, []() -> Task<Result<void>> { co_return ok(); });
    server = std::move(http::start_server({}, router)).value();
  }

  Answer call(const std::string& method, const std::string& path, const std::string& body = {},
              HeaderList headers = {}) {
    HttpClientRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    request.headers = std::move(headers);
    if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
    if (!body.empty()) request.body.push_back(Bytes::from_string(body));
    request.send_empty_body = method != "GET" && body.empty();
    const auto response = run_blocking(http.send(std::move(request)));
    Answer answer;
    if (!response.ok()) {
      ADD_FAILURE() << response.error().message();
      return answer;
    }
    answer.status = response->status;
    answer.text = std::string(as_text(response->body.view()));
    read_envelope(answer);
    return answer;
  }
  static void read_envelope(Answer& answer) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(answer.text, failed);
    if (failed || !parsed.is_object()) return;
    const json::object& object = parsed.get_object();
    if (const auto* data = object.if_contains("data")) answer.data = *data;
    if (const auto* msg = object.if_contains("msg")) answer.msg = msg->as_string().c_str();
    const auto* code = object.if_contains("code");
    if (code != nullptr && code->is_string()) answer.code = code->as_string().c_str();
  }
  Answer login(const std::string& name, const std::string& password) {
    token.clear();
    const Answer answer =
        call("POST", "/api/v1/auth/login",
             json::serialize(json::object{{"identifier", name}, {"password", password}}));
    if (answer.status == 200) token = answer.data.at("token").as_string().c_str();
    return answer;
  }
  void become_admin() {
    const Answer made =
        call("POST", "/api/v1/auth/setup", R"({"username":"root","password":"root password"})");
    ASSERT_EQ(made.status, 201) << made.text;
    ASSERT_EQ(login("root", "root password").status, 200);
  }
  void become_user() {
    become_admin();
    ASSERT_EQ(
        call("POST", "/api/v1/admin/users", R"({"username":"ann","password":"ann's password"})")
            .status,
        201);
    ASSERT_EQ(login("ann", "ann's password").status, 200);
  }
  static constexpr char kKey[] = "THEKEY";
  /// Body of an s3 policy; `changes` go over the usual members, null removes one.
  static std::string s3_policy(const json::object& changes = {}) {
    json::object body{{"name", "far"},
                      {"driver_type", "s3"},
                      {"endpoint", "http://s3.test:9000?region=r-1"},
                      {"bucket", "the-bucket"},
                      {"access_key", kKey},
                      {"secret_key", "secret+of=bucket"},
                      {"base_path", "a/b"}};
    for (const auto& [name, value] : changes) {
      body[name] = value;
      if (value.is_null()) body.erase(name);
    }
    return json::serialize(body);
  }
  /// From now on a service answers that has an empty bucket.
  void serve_bucket() {
    followers.otherwise([](const auto& seen) -> Result<HttpClientResponse> {
      using testing::FakeHttpClient;
      if (seen.method == "DELETE") return FakeHttpClient::made(204);
      if (seen.method == "POST") {
        return FakeHttpClient::made(200,
                                    "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                                    "</InitiateMultipartUploadResult>");
      }
      return FakeHttpClient::made(200, "<ListBucketResult></ListBucketResult>");
    });
  }
  Answer add_local_policy() {
    return call("POST", "/api/v1/admin/policies", R"({"name":"here","driver_type":"local"})");
  }

  FakeNamespaces namespaces;
  testing::FakeHttpClient followers;
  FollowerRegistry registry{*node_store, followers, executor, clock};
  S3Storage s3{followers, executor};
  Policies policies{*policy_store, registry, s3, executor};
  db::PolicyGroupStore group_store{*database, executor, clock};
  PolicyGroups groups{group_store, executor};
  TreePurger purger{*database, *accounts_store, executor, clock};
  RelayUrls urls{"server key", clock};
  std::shared_ptr<storage::LocalTarget> local;
  std::optional<PolicyBackends> backends;
  Accounts accounts{
      {.cost = {.memory_kib = 64, .passes = 1}}, *accounts_store, &namespaces, executor, clock};
  Enrollment enrollment{*node_store, [] { return Result<std::string>("http://primary"); }, clock,
                        [this](NodeId, bool) { return reload(); }};
  Task<void> reload() {
    const auto done = co_await registry.refresh();
    EXPECT_TRUE(done.ok());
  }
  TargetService targets{registry, *node_store};
  ApiGate gate{accounts};
  db::TeamStore team_store{*database, executor, clock};
  Teams teams{{}, team_store, *accounts_store, accounts, namespaces, executor, clock};
  Workspaces workspaces{teams, namespaces};
  db::TokenStore token_store{*database, executor, clock};
  AuthApi auth{gate, accounts, workspaces, *accounts_store, clock};
  TokenApi tokens{gate, accounts, token_store, *accounts_store, clock};
  std::optional<AdminApi> admin;
  EnrollmentApi enroll{enrollment};
  NodeControlApi control{registry, clock};
  ClientApi client{gate, accounts, workspaces, namespaces};
  std::optional<DataRelay> relay;
  http::Router router;
  CurlHttpClient http{{}, executor};
  std::unique_ptr<http::Server> server;
  std::string token;
};

TEST_F(ApiTest, sets_up_the_first_administrator_once) {
  EXPECT_TRUE(call("POST", "/api/v1/auth/check").data.at("setup_needed").as_bool());
  become_admin();
  EXPECT_FALSE(call("POST", "/api/v1/auth/check").data.at("setup_needed").as_bool());
  const Answer again =
      call("POST", "/api/v1/auth/setup", R"({"username":"eve","password":"eve's password"})");
  EXPECT_EQ(again.status, 412);
  EXPECT_EQ(call("GET", "/api/v1/auth/me").data.at("role").as_string(), "admin");
}

TEST_F(ApiTest, lists_have_one_order_and_say_so) {
  become_admin();
  for (const char* list : {"users", "remote-nodes", "policies", "audit-logs"}) {
    const std::string path = std::string("/api/v1/admin/") + list;
    EXPECT_EQ(call("GET", path + "?limit=1").status, 200) << path;
    for (const char* wish : {"sort_by=created_at", "sort_order=desc"}) {
      const Answer refused = call("GET", path + "?" + wish);
      EXPECT_EQ(refused.status, 400) << path;
      EXPECT_NE(refused.msg.find("one order"), std::string::npos) << refused.msg;
    }
  }
}

TEST_F(ApiTest, refuses_wrong_passwords_and_missing_or_ended_tokens) {
  become_admin();
  const std::string good = token;
  const Answer wrong = login("root", "not the password");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.code, "auth.credentials_failed");
  EXPECT_EQ(wrong.msg, "wrong name or password");
  EXPECT_EQ(call("GET", "/api/v1/auth/me").status, 401);
  EXPECT_EQ(call("GET", "/api/v1/admin/users").status, 401);
  EXPECT_EQ(call("POST", "/api/v1/fs/batch", "{}").status, 401);
  token = good;
  EXPECT_EQ(call("POST", "/api/v1/auth/logout").status, 200);
  EXPECT_EQ(call("GET", "/api/v1/auth/me").status, 401);
}

TEST_F(ApiTest, keeps_administration_from_users) {
  become_user();
  for (const char* path : {"/api/v1/admin/users", "/api/v1/admin/remote-nodes",
                           "/api/v1/admin/policies", "/api/v1/admin/overview"}) {
    const Answer answer = call("GET", path);
    EXPECT_EQ(answer.status, 403) << path;
    EXPECT_EQ(answer.code, "forbidden");
  }
  EXPECT_EQ(
      call("POST", "/api/v1/admin/users", R"({"username":"x","password":"xxxxxxxxx"})").status,
      403);
}

TEST_F(ApiTest, changes_a_password_with_the_current_one) {
  become_user();
  EXPECT_EQ(call("PUT", "/api/v1/auth/password",
                 R"({"current_password":"wrong one","new_password":"brand new one"})")
                .status,
            401);
  EXPECT_EQ(call("PUT", "/api/v1/auth/password",
                 R"({"current_password":"ann's password","new_password":"brand new one"})")
                .status,
            200);
  EXPECT_EQ(call("GET", "/api/v1/auth/me").status, 401);
  EXPECT_EQ(login("ann", "brand new one").status, 200);
}

TEST_F(ApiTest, answers_clearly_to_malformed_and_oversized_input) {
  become_admin();
  EXPECT_EQ(call("POST", "/api/v1/admin/users", "{").status, 400);
  EXPECT_EQ(call("POST", "/api/v1/admin/users", "[]").status, 400);
  EXPECT_EQ(call("POST", "/api/v1/admin/users", R"({"username":7,"password":"x"})").status, 400);
  EXPECT_EQ(call("POST", "/api/v1/admin/users", std::string(kMaxApiBody + 1, ' ')).status, 413);
  EXPECT_EQ(call("GET", "/api/v1/admin/users/nobody").status, 404);
  EXPECT_EQ(call("GET", "/api/v1/admin/users/99").status, 404);
  EXPECT_EQ(call("GET", "/api/v1/admin/users?limit=x").status, 400);
  for (const char* quota : {"9223372036854775808", "-1", "\"10G\""}) {
    const std::string body = std::string(R"({"storage_quota":)") + quota + "}";
    EXPECT_EQ(call("PATCH", "/api/v1/admin/users/1", body).status, 400) << quota;
  }
  EXPECT_EQ(call("GET", "/api/v1/nothing").status, 404);
  EXPECT_EQ(
      call("POST", "/api/v1/admin/users", R"({"username":"root","password":"xxxxxxxxx"})").status,
      409);
}

TEST_F(ApiTest, users_get_policy_groups_with_their_accounts) {
  become_admin();
  ASSERT_TRUE(run_blocking(groups.create(R"({"name":"g"})")).ok());
  const std::string users = "/api/v1/admin/users";
  const Answer made =
      call("POST", users, R"({"username":"ann","password":"ann's password","policy_group_id":1})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.data.at("policy_group_id").to_number<uint64_t>(), 1u);
  EXPECT_EQ(groups.group_of_user(2), 1u);
  EXPECT_EQ(call("PATCH", users + "/2", R"({"policy_group_id":9,"role":"admin"})").status, 404);
  EXPECT_EQ(call("GET", users + "/2").data.at("role").as_string(), "user");
  EXPECT_EQ(call("PATCH", users + "/2", R"({"role":"user"})").status, 200);
  EXPECT_EQ(call("GET", users).data.at("items").at(1).at("policy_group_id").to_number<uint64_t>(),
            1u);
  EXPECT_EQ(call("PATCH", users + "/2", R"({"policy_group_id":0})").status, 200);
  EXPECT_TRUE(call("GET", users + "/2").data.at("policy_group_id").is_null());
  EXPECT_EQ(call("POST", users, R"({"username":"bob","password":"xxxxxxxxx","policy_group_id":9})")
                .status,
            404);
  EXPECT_EQ(call("GET", users).data.at("total").as_int64(), 2) << "bob was not made";
}

TEST_F(ApiTest, manages_nodes_without_showing_their_keys) {
  become_admin();
  const Answer made = call("POST", "/api/v1/admin/remote-nodes",
                           R"({"name":"f1","namespace":"main","base_url":"http://F1:80/"})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.data.at("base_url").as_string(), "http://f1");
  EXPECT_EQ(made.data.at("enrollment_status").as_string(), "not_started");
  EXPECT_EQ(made.text.find("rns_"), std::string::npos);
  EXPECT_EQ(made.text.find("rn_"), std::string::npos);
  const std::string nodes = "/api/v1/admin/remote-nodes";
  ASSERT_EQ(call("POST", nodes, R"({"name":"other","namespace":"other"})").status, 201);
  for (const Answer& taken : {call("POST", nodes, R"({"name":"f1","namespace":"b"})"),
                              call("POST", nodes, R"({"name":"f2","namespace":"main"})"),
                              call("PATCH", nodes + "/2", R"({"name":"f1"})")}) {
    EXPECT_EQ(taken.status, 400) << taken.text;
    EXPECT_EQ(taken.code, "remote_node.unique_conflict");
  }
  EXPECT_EQ(call("DELETE", nodes + "/2").status, 200);
  EXPECT_EQ(call("POST", "/api/v1/admin/remote-nodes", R"({"name":"f2","namespace":"A B"})").status,
            400);
  EXPECT_EQ(
      call("POST", "/api/v1/admin/remote-nodes", R"({"name":"f2","base_url":"ftp://x"})").status,
      400);
  EXPECT_EQ(call("GET", "/api/v1/admin/remote-nodes").data.at("total").as_int64(), 1);
  EXPECT_EQ(call("DELETE", "/api/v1/admin/remote-nodes/1").status, 200);
  EXPECT_EQ(call("GET", "/api/v1/admin/remote-nodes/1").status, 404);
}

TEST_F(ApiTest, enrols_in_the_dialect_of_the_caller) {
  become_admin();
  ASSERT_EQ(call("POST", "/api/v1/admin/remote-nodes", R"({"name":"f1"})").status, 201);
  const auto issue = [&] {
    const Answer issued = call("POST", "/api/v1/admin/remote-nodes/1/enrollment-token");
    return json::serialize(json::object{{"token", issued.data.at("token")}});
  };
  const std::string redeem = "/api/v1/public/remote-enrollment/redeem";
  const Answer old = call("POST", redeem, issue(), {{"User-Agent", "AsterDrive/0.2.2"}});
  EXPECT_TRUE(old.text.starts_with("{\"code\":0,")) << old.text;
  const std::string second = issue();
  const Answer fresh = call("POST", redeem, second, {{"User-Agent", "AsterDrive/0.5.0"}});
  EXPECT_EQ(fresh.code, "success");
  EXPECT_EQ(fresh.data.at("resolved_transport").as_string(), "direct");
  const Answer again = call("POST", redeem, second, {{"User-Agent", "AsterDrive/0.5.0"}});
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.msg, "enrollment token has already been redeemed");
  const std::string ack = json::serialize(json::object{{"ack_token", fresh.data.at("ack_token")}});
  EXPECT_EQ(call("POST", "/api/v1/public/remote-enrollment/ack", ack).status, 200);
  EXPECT_EQ(call("GET", "/api/v1/admin/remote-nodes/1").data.at("enrollment_status").as_string(),
            "completed");
}

TEST_F(ApiTest, tells_a_follower_its_binding_state_for_a_signed_question_only) {
  become_admin();
  ASSERT_EQ(
      call("POST", "/api/v1/admin/remote-nodes", R"({"name":"f1","is_enabled":false})").status,
      201);
  const db::NodeRow row = registry.find(NodeId(1)).value()->row;
  const std::string path = "/api/v1/internal/remote-node-control/binding-state";
  const auto ask = [&](const std::string& secret, const std::string& query) {
    const sign::Signer signer({row.access_key, secret}, clock);
    return call("GET", path + query, {}, signer.sign("GET", path + query, std::nullopt));
  };
  const Answer told = ask(row.secret_key, "?applied_revision=0");
  ASSERT_EQ(told.status, 200) << told.text;
  EXPECT_EQ(told.data.at("resolved_transport").as_string(), "direct");
  EXPECT_FALSE(told.data.at("is_enabled").as_bool());
  EXPECT_EQ(ask(row.secret_key, "?applied_revision=-1").status, 400);
  EXPECT_EQ(ask("wrong", "?applied_revision=0").status, 401);
  EXPECT_EQ(call("GET", path).status, 401);
  EXPECT_EQ(call("POST", "/api/v1/internal/remote-tunnel/poll").status, 404);
}

TEST_F(ApiTest, says_what_a_node_lacks_before_it_is_used) {
  become_admin();
  ASSERT_EQ(call("POST", "/api/v1/admin/remote-nodes", R"({"name":"f1"})").status, 201);
  const std::string node = "/api/v1/admin/remote-nodes/1";
  const Answer early = call("POST", node + "/test");
  EXPECT_EQ(early.status, 412);
  EXPECT_EQ(early.code, "remote_node.enrollment_required");
  const auto issued = run_blocking(enrollment.issue(NodeId(1)));
  ASSERT_TRUE(run_blocking(enrollment.redeem(issued->token, Dialect::str)).ok());
  ASSERT_TRUE(run_blocking(enrollment.acknowledge(issued->token)).ok());
  EXPECT_EQ(call("POST", node + "/test").msg,
            "node f1 has no base_url, so this server cannot connect to it: "
            "aster node set f1 --base-url URL");
  EXPECT_EQ(call("GET", node + "/storage-targets").status, 412);
  ASSERT_EQ(call("PATCH", node, R"({"is_enabled":false,"base_url":"http://f1"})").status, 200);
  const Answer disabled = call("POST", node + "/test");
  EXPECT_EQ(disabled.status, 412);
  EXPECT_EQ(disabled.code, "remote_node.disabled");
}

TEST_F(ApiTest, checks_policies_on_the_way_in) {
  become_admin();
  const std::string path = "/api/v1/admin/policies";
  for (const char* body :
       {R"({"driver_type":"local"})", R"({"name":"x"})", R"({"name":"x","driver_type":"ftp"})",
        R"({"name":" ","driver_type":"local"})",
        R"({"name":"x","driver_type":"local","base_path":"../up"})",
        R"({"name":"x","driver_type":"local","chunk_size":1000})",
        R"({"name":"x","driver_type":"local","options":{"remote_upload_strategy":"presigned"}})",
        R"({"name":"x","driver_type":"local","options":{"content_dedup":true}})",
        R"({"name":"x","driver_type":"remote"})"}) {
    EXPECT_EQ(call("POST", path, body).status, 400) << body;
  }
  EXPECT_EQ(call("POST", path, R"({"name":"x","driver_type":"remote","remote_node_id":9})").status,
            404);
  ASSERT_EQ(add_local_policy().status, 201);
  EXPECT_EQ(add_local_policy().status, 409);
}

TEST_F(ApiTest, checks_the_fields_of_an_s3_policy) {
  become_admin();
  serve_bucket();
  const std::string path = "/api/v1/admin/policies";
  const std::string long_path(961, 'p');
  for (const json::object& wrong :
       {json::object{{"endpoint", nullptr}}, json::object{{"endpoint", " "}},
        json::object{{"endpoint", "no url"}}, json::object{{"endpoint", "http://user:pw@h"}},
        json::object{{"endpoint", "http://h?region=a b"}}, json::object{{"bucket", nullptr}},
        json::object{{"bucket", "a/b"}}, json::object{{"access_key", nullptr}},
        json::object{{"access_key", "a\r\nb"}}, json::object{{"secret_key", nullptr}},
        json::object{{"secret_key", ""}}, json::object{{"base_path", "a/../../b"}},
        json::object{{"base_path", long_path}}, json::object{{"remote_node_id", 1}},
        json::object{{"remote_storage_target_key", "k"}},
        json::object{{"options", {{"remote_upload_strategy", "relay_stream"}}}},
        json::object{{"options", {{"s3_upload_strategy", "fast"}}}},
        json::object{{"driver_type", "local"}}, json::object{{"driver_type", "S3"}}}) {
    const Answer answer = call("POST", path, s3_policy(wrong));
    EXPECT_EQ(answer.status, 400) << json::serialize(wrong) << answer.text;
    EXPECT_NE(answer.msg, "");
  }
  const Answer presigned = call(
      "POST", path, s3_policy({{"options", {{"object_storage_download_strategy", "presigned"}}}}));
  EXPECT_EQ(presigned.status, 400);
  EXPECT_NE(presigned.msg.find("follower with an s3 target"), std::string::npos) << presigned.msg;
  EXPECT_EQ(followers.request_count(), 0u) << "a bucket was asked before the fields were checked";
  const Answer made =
      call("POST", path, s3_policy({{"options", {{"s3_upload_strategy", "relay_stream"}}}}));
  EXPECT_EQ(made.status, 201) << made.text;
}

TEST_F(ApiTest, shows_the_keys_of_an_s3_policy_to_nobody) {
  become_admin();
  serve_bucket();
  const std::string path = "/api/v1/admin/policies";
  const Answer made = call("POST", path, s3_policy());
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.data.at("driver_type").as_string(), "s3");
  EXPECT_EQ(made.data.at("endpoint").as_string(), "http://s3.test:9000?region=r-1");
  EXPECT_EQ(made.data.at("bucket").as_string(), "the-bucket");
  std::string shown = made.text + call("GET", path).text + call("GET", path + "/1").text;
  shown += call("PATCH", path + "/1", R"({"secret_key":"other+secret"})").text;
  shown += call("POST", path, s3_policy({{"name", "two"}, {"endpoint", "no url"}})).text;
  shown += call("GET", "/api/v1/admin/audit-logs").text;
  for (const auto& seen : followers.requests()) shown += seen.url + seen.body;
  EXPECT_NE(shown.find("policy.update"), std::string::npos) << "the audit log was not looked at";
  for (const char* secret : {"secret+of=bucket", "other+secret"}) {
    EXPECT_EQ(shown.find(secret), std::string::npos) << secret;
  }
  EXPECT_EQ((made.text + call("GET", path).text).find(kKey), std::string::npos);
}

TEST_F(ApiTest, keeps_the_keys_that_a_patch_of_an_s3_policy_does_not_name) {
  become_admin();
  serve_bucket();
  const std::string path = "/api/v1/admin/policies/1";
  ASSERT_EQ(call("POST", "/api/v1/admin/policies", s3_policy()).status, 201);
  const size_t before = followers.request_count();
  EXPECT_EQ(call("PATCH", path, R"({"name":"near"})").status, 200);
  EXPECT_EQ(followers.request_count(), before) << "a new name needs no bucket";
  EXPECT_EQ(policies.row(PolicyId(1))->s3.secret_key, "secret+of=bucket");
  EXPECT_EQ(call("PATCH", path, R"({"secret_key":"new"})").status, 200);
  EXPECT_GT(followers.request_count(), before) << "new keys are tried";
  EXPECT_EQ(call("PATCH", path, R"({"bucket":"other"})").status, 200);
  EXPECT_EQ(call("PATCH", path, R"({"secret_key":""})").status, 400);
  const db::PolicyRow row = *policies.row(PolicyId(1));
  EXPECT_EQ(row.s3.bucket, "other");
  EXPECT_EQ(row.s3.access_key, kKey);
  EXPECT_EQ(row.s3.secret_key, "new");
  ASSERT_TRUE(run_blocking(policies.load()).ok());
  EXPECT_EQ(policies.row(PolicyId(1))->s3, row.s3) << "the database has something else";
}

TEST_F(ApiTest, says_why_a_bucket_cannot_be_used_and_stores_nothing) {
  become_admin();
  const std::string path = "/api/v1/admin/policies";
  followers.otherwise([](const auto&) -> Result<HttpClientResponse> {
    return testing::FakeHttpClient::made(
        403, "<Error><Code>SignatureDoesNotMatch</Code><Message>THEKEY is wrong</Message></Error>");
  });
  const Answer refused = call("POST", path, s3_policy());
  EXPECT_EQ(refused.status, 412) << refused.text;
  EXPECT_NE(refused.msg.find("check the access key and the secret key"), std::string::npos);
  EXPECT_EQ(refused.text.find(kKey), std::string::npos);
  EXPECT_EQ(call("GET", path).data.at("total").as_int64(), 0);
  serve_bucket();
  ASSERT_EQ(call("POST", path, s3_policy()).status, 201);
  followers.otherwise([](const auto&) -> Result<HttpClientResponse> {
    return testing::FakeHttpClient::made(403, "<Error><Code>AccessDenied</Code></Error>");
  });
  EXPECT_EQ(call("PATCH", path + "/1", R"({"access_key":"stranger"})").status, 412);
  EXPECT_EQ(policies.row(PolicyId(1))->s3.access_key, kKey);
  // The identity of this server is refused, not whoever asked this server.
  EXPECT_EQ(call("POST", path + "/1/test").status, 412);
  token.clear();
  EXPECT_EQ(call("PUT", backends->upload_url(PolicyId(1), ObjectId::random())->url, "x").status,
            412);
}

TEST_F(ApiTest, tries_a_policy_that_is_not_stored) {
  become_admin();
  const std::string path = "/api/v1/admin/policies/test";
  const Answer local_one = call("POST", path, R"({"driver_type":"local","base_path":"new"})");
  EXPECT_EQ(local_one.status, 200) << local_one.text;
  EXPECT_EQ(call("POST", path, R"({"base_path":"new"})").status, 400);
  EXPECT_EQ(call("POST", path, R"({"driver_type":"local","base_path":"../up"})").status, 400);
  EXPECT_EQ(call("POST", path, R"({"driver_type":"remote","remote_node_id":9})").status, 404);
  followers.otherwise([](const auto&) -> Result<HttpClientResponse> {
    return testing::FakeHttpClient::made(
        403, "<Error><Code>SignatureDoesNotMatch</Code><Message>THEKEY is wrong</Message></Error>");
  });
  const Answer refused = call("POST", path, s3_policy({{"name", nullptr}}));
  EXPECT_EQ(refused.status, 412) << refused.text;
  EXPECT_NE(refused.msg.find("check the access key and the secret key"), std::string::npos);
  EXPECT_EQ(refused.text.find("secret+of=bucket"), std::string::npos);
  serve_bucket();
  EXPECT_EQ(call("POST", path, s3_policy({{"name", nullptr}})).status, 200);
  EXPECT_TRUE(policies.rows().empty()) << "a test stored something";
}

TEST_F(ApiTest, says_when_local_storage_that_is_tried_takes_nothing) {
  become_admin();
  std::ofstream(dir / "uploads" / "taken") << "a file where a folder has to be";
  const Answer refused =
      call("POST", "/api/v1/admin/policies/test", R"({"driver_type":"local","base_path":"taken"})");
  EXPECT_GE(refused.status, 400) << refused.text;
}

TEST_F(ApiTest, tells_that_a_bucket_does_not_answer_until_it_does) {
  become_admin();
  serve_bucket();
  const std::string path = "/api/v1/admin/policies";
  ASSERT_EQ(call("POST", path, s3_policy()).status, 201);
  const auto trouble = [&] {
    run_blocking(backends->refresh_capacities());
    return backends->places().at(0).trouble;
  };
  EXPECT_EQ(trouble(), "");
  followers.otherwise([](const auto&) -> Result<HttpClientResponse> {
    return testing::FakeHttpClient::made(403, "<Error><Code>AccessDenied</Code></Error>");
  });
  EXPECT_NE(trouble().find("AccessDenied"), std::string::npos);
  serve_bucket();
  EXPECT_EQ(call("PATCH", path + "/1", R"({"secret_key":"new"})").status, 200);
  EXPECT_TRUE(backends->route({}).ok());
  EXPECT_EQ(backends->places().at(0).trouble, "") << "that was said of other keys";
  EXPECT_EQ(trouble(), "");
}

TEST_F(ApiTest, keeps_one_default_policy) {
  become_admin();
  EXPECT_EQ(call("GET", "/api/v1/admin/overview").data.at("storage_problem").as_string(),
            "no default storage policy: an administrator has to create one");
  const Answer first = add_local_policy();
  EXPECT_TRUE(first.data.at("is_default").as_bool());
  EXPECT_EQ(first.data.at("chunk_size").as_int64(), 16 << 20);
  const std::string path = "/api/v1/admin/policies";
  ASSERT_EQ(call("POST", path, R"({"name":"two","driver_type":"local","base_path":"b"})").status,
            201);
  EXPECT_EQ(call("DELETE", path + "/1").status, 412);
  EXPECT_EQ(call("DELETE", path + "/1?force=true").status, 412) << "force loses nothing";
  EXPECT_EQ(call("DELETE", path + "/1?force=perhaps").status, 400);
  EXPECT_EQ(call("PATCH", path + "/1", R"({"is_default":false})").status, 412);
  ASSERT_EQ(call("PATCH", path + "/2", R"({"is_default":true})").status, 200);
  EXPECT_FALSE(call("GET", path + "/1").data.at("is_default").as_bool());
  EXPECT_EQ(call("DELETE", path + "/1?force=true").status, 200);
  EXPECT_EQ(call("POST", path + "/2/test").status, 200);
  EXPECT_EQ(call("GET", path + "/2/capacity").data.at("capacity").at("status").as_string(),
            "supported");
}

TEST_F(ApiTest, relays_objects_of_a_local_policy_by_signed_paths) {
  become_admin();
  ASSERT_EQ(add_local_policy().status, 201);
  token.clear();  // the path is the permission
  const ObjectId object = ObjectId::random();
  const std::string put = backends->upload_url(PolicyId(1), object)->url;
  const std::string get = backends->read_url(PolicyId(1), object)->url;
  EXPECT_EQ(call("GET", get).status, 404);
  EXPECT_EQ(call("PUT", put, "0123456789").status, 200);
  EXPECT_EQ(call("GET", get).text, "0123456789");
  const Answer part = call("GET", get, {}, {{"Range", "bytes=2-4"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.text, "234");
  EXPECT_EQ(call("GET", get, {}, {{"Range", "bytes=20-"}}).status, 400);
  EXPECT_EQ(call("PUT", get, "x").status, 401);
  EXPECT_EQ(call("GET", get + "0").status, 401);
  EXPECT_EQ(*run_blocking(backends->stat(PolicyId(1), object)), 10u);
  ASSERT_TRUE(run_blocking(backends->remove(PolicyId(1), object)).ok());
  EXPECT_TRUE(run_blocking(backends->remove(PolicyId(1), object)).ok());
  EXPECT_EQ(call("GET", get).status, 404);
  clock.advance(std::chrono::seconds(kUrlLifetime + 1));
  EXPECT_EQ(call("GET", get).status, 401);
}

TEST_F(ApiTest, composes_local_objects_and_keeps_the_parts) {
  become_admin();
  ASSERT_EQ(add_local_policy().status, 201);
  std::vector<ObjectId> parts{ObjectId::random(), ObjectId::random()};
  for (const ObjectId& part : parts) {
    ASSERT_EQ(call("PUT", backends->upload_url(PolicyId(1), part)->url, "part;").status, 200);
  }
  const ObjectId whole = ObjectId::random();
  const auto composed = run_blocking(backends->compose(PolicyId(1), whole, parts, 10));
  ASSERT_TRUE(composed.ok()) << composed.error().message();
  EXPECT_TRUE(composed->parts_kept);
  EXPECT_EQ(call("GET", backends->read_url(PolicyId(1), whole)->url).text, "part;part;");
  EXPECT_EQ(call("GET", backends->read_url(PolicyId(1), parts[0])->url).text, "part;");
}

TEST_F(ApiTest, answers_batches_of_ended_sessions_with_stale_handle) {
  become_user();
  EXPECT_EQ(call("POST", "/api/v1/fs/batch", "{}").status, 400);
  EXPECT_EQ(call("POST", "/api/v1/fs/batch", std::string(fs::kBatchBytesMax + 1, ' ')).status, 413);
  EXPECT_EQ(call("GET", "/api/v1/fs/events").status, 400);
}

TEST_F(ApiTest, tells_its_health) {
  EXPECT_EQ(call("GET", "/health").text, "{\"status\":\"ok\"}");
  EXPECT_EQ(call("GET", "/health/ready").data.at("status").as_string(), "ready");
}

}  // namespace
}  // namespace aster::primary

// Our primary with followers as other releases are: what it sends to each, in which dialect, and
// what it refuses.
#include "protocol/base/guarded.h"
#include "protocol/base/secret_file.h"
#include "protocol/envelope.h"
#include "protocol/fs/messages.h"
#include "server/http/http.h"
#include "tests/integration/drive_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

/// What tells the releases apart on the wire.
struct Release {
  const char* name;
  const char* version;
  const char* range;
  const char* agent;
  bool numeric = false;
  bool v5 = false;
};
constexpr Release kV2{"v2", "v2", "v2", "AsterDrive/0.2.2", true, false};
constexpr Release kV3{"v3", "v3", "v2 to v3", "AsterDrive/0.2.7", true, false};
constexpr Release kV4{"v4", "v4", "v4", "AsterDrive/0.3.0", false, false};
constexpr Release kV5{"v5", "v5", "v4 to v5", "AsterDrive/0.4.0", false, true};

constexpr const char* kFeatures[] = {"object_get",           "object_head", "object_put",
                                     "object_delete",        "metadata",    "range_get",
                                     "accept_ranges_header", "list",        "compose"};

/// A follower of another release, as far as a primary sees it. Verifies no signatures: what it
/// notes is the subject.
class ForeignFollower {
 public:
  explicit ForeignFollower(const Release& release) : release_(release) {
    router_.set_fallback([this](http::Request& r) { return serve(r); });
    server_ = std::move(*http::start_server({}, router_));
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  struct Seen {
    std::string line;  ///< method and target below the storage path
    std::string body;
  };
  std::vector<Seen> seen() const { return *seen_.lock(); }
  /// The first request whose line starts like this.
  Seen find(const std::string& start) const {
    for (const Seen& one : *seen_.lock()) {
      if (one.line.starts_with(start)) return one;
    }
    return {};
  }
  Guarded<std::string> missing;  ///< a feature that is not announced
  Guarded<bool> cors = Guarded<bool>(true);

 private:
  http::Response answer(const std::string& data = "") const {
    return http::Response::json(
        200, encode_success(release_.numeric ? Dialect::num : Dialect::str, data));
  }
  std::string capabilities() const {
    json::object features;
    for (const char* name : kFeatures) features[name] = *missing.lock() != name;
    features["browser_presigned_cors"] = *missing.lock() != "browser_presigned_cors";
    json::object out{{"protocol_version", release_.version},
                     {"min_supported_protocol_version", release_.numeric ? "v2" : "v4"},
                     {"server_version", release_.agent + 11},
                     {"features", features},
                     {"limits", json::object()},
                     {"supports_list", true},
                     {"supports_range_read", true},
                     {"supports_stream_upload", true}};
    const bool with_cors = *cors.lock();
    out["browser_cors"] = {
        {"allowed_headers", with_cors ? json::array{"content-type", "range"} : json::array{}},
        {"exposed_headers",
         with_cors ? json::array{"Accept-Ranges", "Content-Length", "Content-Range", "ETag"}
                   : json::array{}}};
    if (release_.v5) {
      out["managed_ingress"] = {{"enabled", true}, {"driver_types", json::array{"local"}}};
    }
    return json::serialize(out);
  }
  std::string target_info() const {
    json::object out{{"name", "disk"},
                     {"driver_type", "local"},
                     {"endpoint", ""},
                     {"bucket", ""},
                     {"base_path", "disk"},
                     {"is_default", true},
                     {"desired_revision", 1},
                     {"applied_revision", 1},
                     {"last_error", ""},
                     {"created_at", "2026-01-01T00:00:00Z"},
                     {"updated_at", "2026-01-01T00:00:00Z"}};
    out[release_.v5 ? "target_key" : "profile_key"] = release_.v5 ? "rst_1" : "igp_1";
    if (!release_.v5) out["max_file_size"] = 0;
    return json::serialize(out);
  }
  Task<http::Response> serve(http::Request& request) {
    constexpr std::string_view kBase = "/api/v1/internal/storage";
    std::string body;
    std::vector<std::byte> buffer(64 * 1024);
    for (;;) {
      const Result<size_t> got = co_await request.body->read(buffer);
      if (!got.ok() || *got == 0) break;
      body += as_text(ByteView(buffer).first(*got));
    }
    const std::string line = request.method + " " + request.target.substr(kBase.size());
    seen_.lock()->push_back({line, body});
    const std::string targets = release_.v5 ? "/targets" : "/ingress-profiles";
    if (line == "GET /capabilities") co_return answer(capabilities());
    if (line == "PUT /binding") co_return answer();
    if (line == "GET " + targets) co_return answer("[" + target_info() + "]");
    if (line == "POST " + targets) {
      http::Response made = answer(target_info());
      made.status = 201;
      co_return made;
    }
    if (line.starts_with("PUT /objects/")) co_return answer();
    if (line.starts_with("DELETE /objects/")) co_return failure(500, ApiCode::storage_not_found);
    co_return failure(404, ApiCode::not_found);
  }
  http::Response failure(int status, ApiCode code) const {
    const ApiError error(code, "x", status);
    return http::Response::json(
        status, encode_error(release_.numeric ? Dialect::num : Dialect::str, error));
  }

  const Release release_;
  http::Router router_;
  Guarded<std::vector<Seen>> seen_;
  std::unique_ptr<http::Server> server_;
};

class Foreign : public DriveFixture, public ::testing::WithParamInterface<Release> {
 protected:
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
    enrol();
  }
  /// As a follower of that release does: in its own dialect, which the answers must have.
  void enrol() {
    ASSERT_EQ(api("POST", "/api/v1/admin/remote-nodes", R"({"name":"old"})").status, 201);
    const json::object redeem{{"token", issue_token()}};
    const HeaderList headers{{"User-Agent", GetParam().agent}};
    const std::string path = primary_url() + "/api/v1/public/remote-enrollment/";
    const ApiAnswer told = send("POST", path + "redeem", json::serialize(redeem), headers);
    ASSERT_EQ(told.status, 200) << told.body;
    ASSERT_TRUE(told.body.starts_with(GetParam().numeric ? "{\"code\":0" : "{\"code\":\"success\""))
        << told.body;
    const json::object ack{{"ack_token", told.data.at("ack_token")}};
    ASSERT_EQ(send("POST", path + "ack", json::serialize(ack), headers).status, 200);
    const json::object change{{"base_url", other.url()}};
    ASSERT_EQ(api("PATCH", kNode, json::serialize(change)).status, 200);
  }
  ApiAnswer probe() { return api("POST", std::string(kNode) + "/test"); }
  ApiAnswer policy(const std::string& strategy) {
    const json::object body{{"name", "p-" + std::to_string(++policies)},
                            {"driver_type", "remote"},
                            {"remote_node_id", 1},
                            {"is_default", true},
                            {"options", json::object{{"remote_upload_strategy", strategy},
                                                     {"remote_download_strategy", strategy}}}};
    return api("POST", "/api/v1/admin/policies", json::serialize(body));
  }

  struct Shown {
    int status = -1;
    std::string text;
  };
  /// The command line of the administrator.
  Shown aster(std::vector<std::string> arguments) {
    EXPECT_TRUE(write_private_file(dir / "home/.config/aster/token", token + "\n"));
    arguments.insert(arguments.begin(), ASTER_CLI);
    auto process = testing::Process::spawn(
        {.argv = std::move(arguments),
         .env = {{"HOME", dir / "home"}, {"ASTER_URL", primary_url()}, {"XDG_CONFIG_HOME", ""}},
         .output = dir / "shown"});
    EXPECT_TRUE(process.ok());
    const int status = process->wait().value_or(-1);
    return {status, testing::read_file(dir / "shown")};
  }

  static constexpr const char* kNode = "/api/v1/admin/remote-nodes/1";
  int policies = 0;
  ForeignFollower other{GetParam()};
};

TEST_P(Foreign, is_enrolled_probed_and_shown) {
  const ApiAnswer tested = probe();
  ASSERT_EQ(tested.status, 200) << tested.body;
  const std::string shown = tested.body;
  EXPECT_NE(shown.find(GetParam().version), std::string::npos) << shown;
  EXPECT_NE(shown.find(GetParam().agent + 11), std::string::npos) << shown;
  EXPECT_EQ(other.find("PUT /binding").body.find("secret"), std::string::npos);
  const json::value binding = json::parse(other.find("PUT /binding").body);
  EXPECT_EQ(binding.at("name").as_string(), "old");
  EXPECT_TRUE(binding.at("is_enabled").as_bool());
}

TEST_P(Foreign, gets_targets_under_the_name_and_in_the_form_it_knows) {
  ASSERT_EQ(probe().status, 200);
  const std::string v5 = std::string(kNode) + "/storage-targets";
  const std::string create = R"({"driver_type":"local","name":"disk","base_path":"disk"})";
  const ApiAnswer made = api("POST", v5, create);
  ASSERT_EQ(made.status, 201) << made.body;
  const bool new_form = GetParam().v5;
  const auto sent = other.find(new_form ? "POST /targets" : "POST /ingress-profiles");
  ASSERT_FALSE(sent.line.empty());
  EXPECT_EQ(sent.body.find("max_file_size") == std::string::npos, new_form) << sent.body;
  const ApiAnswer refused = api(
      "POST", v5,
      R"({"driver_type":"s3","name":"b","base_path":"b","endpoint":"http://s","bucket":"b","access_key":"a","secret_key":"s"})");
  EXPECT_EQ(refused.status, new_form ? 412 : 201) << refused.body;
  if (new_form) {
    EXPECT_NE(refused.msg.find("takes no targets with driver s3"), std::string::npos);
  }
}

TEST_P(Foreign, is_asked_for_data_in_the_form_it_knows) {
  ASSERT_EQ(probe().status, 200);
  ASSERT_EQ(policy("relay_stream").status, 201);
  const auto client = make_primary_client({primary_url(), user_token}, http, executor);
  const auto session = run_blocking(client->open_session({.client = "test"}));
  ASSERT_TRUE(session.ok());
  fs::Create create{.parent = session->root, .name = "f", .mode = 0644};
  const auto file = run_blocking(client->call<fs::Attr>(create));
  ASSERT_TRUE(file.ok());
  fs::Grant ask{.ino = file->ino};
  const auto grants = run_blocking(client->call<fs::UploadGrants>(ask));
  ASSERT_TRUE(grants.ok()) << grants.error().message();
  const ApiAnswer put =
      send("PUT", absolute(grants->grants.at(0).url), "content", {{"x-aster-crc32c", "00000000"}});
  EXPECT_EQ(put.status, 200) << put.body;
  const auto sent = other.find("PUT /objects/");
  EXPECT_EQ(sent.body, "content");
  EXPECT_EQ(sent.line.find("?max_file_size=0") != std::string::npos, GetParam().v5) << sent.line;
  EXPECT_EQ(sent.line.find("crc32c"), std::string::npos) << "an extension it did not announce";
}

TEST_P(Foreign, is_refused_for_a_policy_by_the_name_of_the_feature_it_lacks) {
  for (const char* feature : kFeatures) {
    *other.missing.lock() = feature;
    ASSERT_EQ(probe().status, 200);
    const ApiAnswer refused = policy("relay_stream");
    EXPECT_EQ(refused.status, 412) << feature;
    EXPECT_EQ(refused.msg, "node old lacks what this policy needs: " + std::string(feature));
  }
  *other.missing.lock() = "browser_presigned_cors";
  ASSERT_EQ(probe().status, 200);
  EXPECT_EQ(policy("relay_stream").status, 201);
  EXPECT_NE(policy("presigned").msg.find("browser_presigned_cors"), std::string::npos);
  other.missing.lock()->clear();
  *other.cors.lock() = false;
  ASSERT_EQ(probe().status, 200);
  const ApiAnswer headers = policy("presigned");
  EXPECT_EQ(headers.status, 412);
  EXPECT_NE(headers.msg.find("browser_presigned_cors (answer header ETag)"), std::string::npos)
      << headers.msg;
  *other.cors.lock() = true;
  ASSERT_EQ(probe().status, 200);
  EXPECT_EQ(policy("presigned").status, 201);
}

TEST_P(Foreign, is_shown_and_its_refusal_explained_on_the_command_line) {
  EXPECT_NE(aster({"node", "show", "old"}).text.find("not known yet"), std::string::npos);
  *other.missing.lock() = "compose";
  ASSERT_EQ(aster({"node", "test", "old"}).status, 0);
  const std::string shown = aster({"node", "show", "old"}).text;
  const std::string range = GetParam().range;
  for (const std::string& line :
       {"protocol:            " + range + "\n",
        "version:             " + std::string(GetParam().agent + 11) + "\n",
        std::string("relay_stream:        no, lacks compose\n")}) {
    EXPECT_NE(shown.find(line), std::string::npos) << line << shown;
  }
  const Shown refused = aster({"policy", "add", "far", "--driver", "remote", "--node", "old"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.text.find("node old lacks what this policy needs: compose"), std::string::npos)
      << refused.text;
  other.missing.lock()->clear();
  ASSERT_EQ(aster({"node", "test", "old"}).status, 0);
  EXPECT_NE(aster({"node", "show", "old"}).text.find("relay_stream:        yes\n"),
            std::string::npos);
  const Shown added = aster({"policy", "add", "far", "--driver", "remote", "--node", "old"});
  EXPECT_EQ(added.status, 0) << added.text;
}

TEST_P(Foreign, is_not_used_for_a_policy_before_its_abilities_are_known) {
  const ApiAnswer refused = policy("relay_stream");
  EXPECT_EQ(refused.status, 412);
  EXPECT_NE(refused.msg.find("test its connection first"), std::string::npos) << refused.msg;
}

INSTANTIATE_TEST_SUITE_P(Releases, Foreign, ::testing::Values(kV2, kV3, kV4, kV5),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace aster

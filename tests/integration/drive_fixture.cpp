#include "tests/integration/drive_fixture.h"

namespace aster {

namespace json = boost::json;

Result<Config> DriveFixture::config_of(const std::string& mode) {
  const std::filesystem::path folder = dir / mode;
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = folder / "config.toml";
  if (!std::filesystem::exists(file)) ASTER_TRY(create_config(file, {.start_mode = mode}));
  Config::Environment variables = settings.variables;
  variables.emplace_back("ASTER__SERVER__PORT", "0");
  variables.emplace_back("ASTER__SERVER__WORKERS", "2");
  return Config::load(file, variables);
}

void DriveFixture::start_primary() {
  const auto config = config_of("primary");
  ASSERT_TRUE(config.ok()) << config.error().message();
  primary::PrimaryOptions options{.password_cost = {.memory_kib = 64, .passes = 1}};
  options.front_ends = settings.front_ends;
  auto started = primary::Primary::start(*config, std::move(options));
  ASSERT_TRUE(started.ok()) << started.error().message();
  primary = std::move(*started);
}

void DriveFixture::start_follower() {
  const auto config = config_of("follower");
  ASSERT_TRUE(config.ok()) << config.error().message();
  auto started = follower::Follower::start(*config);
  ASSERT_TRUE(started.ok()) << started.error().message();
  follower = std::move(*started);
}

ApiAnswer DriveFixture::send(const std::string& method, const std::string& url, std::string body,
                             HeaderList headers) {
  HttpClientRequest request;
  request.method = method;
  request.url = url;
  request.headers = std::move(headers);
  request.max_body = 64 << 20;
  request.send_empty_body = method != "GET" && method != "HEAD" && body.empty();
  if (!body.empty()) request.body.push_back(Bytes::from_string(std::move(body)));
  auto response = run_blocking(http.send(std::move(request)));
  ApiAnswer answer;
  if (!response.ok()) {
    answer.msg = response.error().message();
    return answer;
  }
  answer.status = response->status;
  answer.headers = std::move(response->headers);
  answer.body = std::string(as_text(response->body.view()));
  boost::system::error_code failed;
  const json::value parsed = json::parse(answer.body, failed);
  if (failed || !parsed.is_object()) return answer;
  if (const auto* data = parsed.get_object().if_contains("data")) answer.data = *data;
  if (const auto* msg = parsed.get_object().if_contains("msg"))
    answer.msg = msg->as_string().c_str();
  return answer;
}

ApiAnswer DriveFixture::api(const std::string& method, const std::string& path, std::string body) {
  HeaderList headers;
  if (!token.empty()) headers.emplace_back("Authorization", "Bearer " + token);
  return send(method, primary_url() + path, std::move(body), std::move(headers));
}

std::string DriveFixture::login(const std::string& name, const std::string& password) {
  const json::object body{{"identifier", name}, {"password", password}};
  const ApiAnswer answer =
      send("POST", primary_url() + "/api/v1/auth/login", json::serialize(body));
  return answer.status == 200 ? answer.data.at("token").as_string().c_str() : std::string();
}

void DriveFixture::set_up_accounts() {
  ASSERT_EQ(
      api("POST", "/api/v1/auth/setup", R"({"username":"root","password":"root password"})").status,
      201);
  token = login("root", "root password");
  ASSERT_FALSE(token.empty());
  ASSERT_EQ(api("POST", "/api/v1/admin/users", R"({"username":"ann","password":"ann's password"})")
                .status,
            201);
  user_token = login("ann", "ann's password");
  ASSERT_FALSE(user_token.empty());
}

std::string DriveFixture::issue_token() {
  const ApiAnswer issued = api("POST", "/api/v1/admin/remote-nodes/1/enrollment-token");
  EXPECT_EQ(issued.status, 201) << issued.body;
  if (issued.status != 201) return {};
  return issued.data.at("token").as_string().c_str();
}

int DriveFixture::enroll(const std::string& enrollment_token) {
  const auto config = config_of("follower");
  if (!config.ok()) return -1;
  testing::Process::Options options;
  options.argv = {ASTER_DRIVE_PROGRAM, "--config",    config->file().string(), "node", "enroll",
                  "--master-url",      primary_url(), "--output-format",       "json"};
  options.env = settings.variables;
  options.env.emplace_back("ASTER_CLI_ENROLLMENT_TOKEN", enrollment_token);
  options.output = dir / "enroll.log";
  auto process = testing::Process::spawn(std::move(options));
  EXPECT_TRUE(process.ok()) << process.error().message();
  if (!process.ok()) return -1;
  const auto status = process->wait();
  enroll_output = testing::read_file(dir / "enroll.log");
  return status.value_or(-1);
}

void DriveFixture::enroll_follower() {
  ASSERT_EQ(api("POST", "/api/v1/admin/remote-nodes", R"({"name":"f1","namespace":"main"})").status,
            201);
  ASSERT_EQ(enroll(issue_token()), 0) << enroll_output;
  start_follower();
  ASSERT_NE(follower, nullptr);
  const json::object change{{"base_url", url_of(follower->port())}};
  ASSERT_EQ(api("PATCH", "/api/v1/admin/remote-nodes/1", json::serialize(change)).status, 200);
  const ApiAnswer tested = api("POST", "/api/v1/admin/remote-nodes/1/test");
  ASSERT_EQ(tested.status, 200) << tested.body;
}

void DriveFixture::add_target() {
  const ApiAnswer made = api("POST", "/api/v1/admin/remote-nodes/1/storage-targets",
                             R"({"driver_type":"local","name":"disk","base_path":"disk"})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.data.at("last_error").as_string(), "");
}

void DriveFixture::add_policy(const std::string& strategy) {
  json::object body{{"name", strategy}, {"driver_type", "local"}, {"is_default", true}};
  if (strategy != "local") {
    body["driver_type"] = "remote";
    body["remote_node_id"] = 1;
    body["base_path"] = "drive";
    body["options"] = {{"remote_upload_strategy", strategy},
                       {"remote_download_strategy", strategy}};
  }
  const ApiAnswer made = api("POST", "/api/v1/admin/policies", json::serialize(body));
  ASSERT_EQ(made.status, 201) << made.body;
}

}  // namespace aster

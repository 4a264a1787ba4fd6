#include "fuse/credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "tests/support/fake_http_client.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

class CredentialsTest : public ::testing::Test {
 protected:
  std::string secret(const char* name, const std::string& content, mode_t mode = 0600) {
    const std::string path = dir_ / name;
    write_file(path, content);
    ::chmod(path.c_str(), mode);
    return path;
  }
  void log_in_as(const std::string& server) {
    secret("server", server + "\n");
    secret("token", "stored-token\n");
    variables_["ASTER_CONFIG_DIR"] = dir_.path();
  }
  Result<Credentials> find(const MountOptions& options) {
    return find_credentials(options, [this](const char* name) -> std::optional<std::string> {
      const auto it = variables_.find(name);
      if (it == variables_.end()) return std::nullopt;
      return it->second;
    });
  }

  TempDir dir_;
  std::map<std::string, std::string> variables_{{"ASTER_CONFIG_DIR", "/nonexistent"}};
};

TEST_F(CredentialsTest, the_login_of_this_user_is_the_default_drive) {
  log_in_as("http://localhost:3000");
  const auto found = find({});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->server, "http://localhost:3000");
  EXPECT_EQ(found->token, "stored-token");
}

TEST_F(CredentialsTest, a_stored_token_is_not_shown_to_another_server) {
  log_in_as("http://localhost:3000");
  MountOptions options;
  options.server = "https://elsewhere.example.com";
  EXPECT_TRUE(find(options).failed_with(Errc::credentials_failed));
}

TEST_F(CredentialsTest, without_any_login_it_says_what_to_do) {
  const auto found = find({});
  ASSERT_TRUE(found.failed_with(Errc::not_found));
  EXPECT_NE(found.error().context.find("aster login"), std::string::npos);
}

TEST_F(CredentialsTest, files_that_others_can_read_are_refused) {
  MountOptions options;
  options.server = "http://localhost:3000";
  options.token_file = secret("t", "token\n", 0644);
  EXPECT_TRUE(find(options).failed_with(Errc::forbidden));
  options.token_file = secret("u", "token\n");
  EXPECT_EQ(find(options)->token, "token");
  options.token_file = secret("empty", "");
  EXPECT_TRUE(find(options).failed_with(Errc::bad_request));
}

TEST_F(CredentialsTest, a_password_is_traded_for_a_token) {
  FakeHttpClient http;
  http.answer(200, R"({"code":"success","msg":"","data":{"token":"fresh"}})");
  const auto token = run_blocking(log_in(http, {"http://localhost:1", "", "anna", "pass\"word"}));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(*token, "fresh");
  EXPECT_EQ(http.requests()[0].url, "http://localhost:1/api/v1/auth/login");
  EXPECT_NE(http.requests()[0].body.find(R"(pass\"word)"), std::string::npos);
}

TEST_F(CredentialsTest, the_server_says_whether_a_token_may_only_read) {
  FakeHttpClient http;
  http.answer(200, R"({"code":"success","msg":"","data":{"id":1,"read_only":true}})");
  http.answer(200, R"({"code":"success","msg":"","data":{"id":1}})");
  http.answer(403, R"({"code":"forbidden","msg":"no"})");
  const Credentials credentials{"http://localhost:1", "t", "", ""};
  EXPECT_TRUE(*run_blocking(may_only_read(http, credentials, "team:crew")));
  EXPECT_FALSE(*run_blocking(may_only_read(http, credentials, "")));
  EXPECT_TRUE(run_blocking(may_only_read(http, credentials, "")).failed_with(Errc::forbidden));
  EXPECT_EQ(http.requests()[0].url, "http://localhost:1/api/v1/auth/me?workspace=team%3Acrew");
}

TEST_F(CredentialsTest, a_wrong_password_is_an_error_without_the_password) {
  FakeHttpClient http;
  http.answer(401, R"({"code":"unauthorized","msg":"no"})");
  const auto token = run_blocking(log_in(http, {"http://localhost:1", "", "anna", "topsecret"}));
  ASSERT_TRUE(token.failed_with(Errc::credentials_failed));
  EXPECT_EQ(token.error().message().find("topsecret"), std::string::npos);
}

}  // namespace
}  // namespace aster::testing

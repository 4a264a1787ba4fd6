#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "protocol/base/config.h"
#include "protocol/client/curl_http_client.h"
#include "protocol/client/primary_client.h"
#include "server/follower/follower.h"
#include "server/primary/primary_main.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster {

struct ApiAnswer {
  int status = 0;
  std::string body;
  HeaderList headers;
  boost::json::value data;
  std::string msg;
};

/// How the servers of a fixture differ from the usual ones.
struct DriveSettings {
  std::vector<primary::MakeFrontEnd> front_ends = {};  ///< besides the API
  Config::Environment variables = {};                  ///< of both servers and of commands
  CurlHttpClientOptions client = {};
};

/// A primary and a follower of this program over real HTTP, with everything an administrator does.
class DriveFixture : public ::testing::Test {
 protected:
  explicit DriveFixture(std::vector<primary::MakeFrontEnd> more = {})
      : DriveFixture(DriveSettings{.front_ends = std::move(more)}) {}
  explicit DriveFixture(DriveSettings how)
      : settings(std::move(how)), http(settings.client, executor) {
    start_primary();
  }

  void start_primary();
  void start_follower();
  Result<Config> config_of(const std::string& mode);

  ApiAnswer send(const std::string& method, const std::string& url, std::string body = {},
                 HeaderList headers = {});
  /// One call of the API with the current token.
  ApiAnswer api(const std::string& method, const std::string& path, std::string body = {});
  std::string url_of(uint16_t port) const {
    return (settings.client.ca_file.empty() ? "http" : "https") +
           ("://127.0.0.1:" + std::to_string(port));
  }
  std::string primary_url() const { return url_of(primary->port()); }
  std::string absolute(const std::string& url) const {
    return url.starts_with('/') ? primary_url() + url : url;
  }
  /// Sets up an administrator and a user; leaves the administrator logged in.
  void set_up_accounts();
  std::string login(const std::string& name, const std::string& password);

  /// The token of a fresh enrolment session of node 1.
  std::string issue_token();
  /// `aster_drive node enroll` with this token; its exit status, its output in `enroll_output`.
  int enroll(const std::string& token);
  /// Node, enrolment, follower, base URL, connection test.
  void enroll_follower();
  void add_target();
  void add_policy(const std::string& strategy);

  testing::TempDir dir;
  const DriveSettings settings;
  Executor executor{{.name = "test", .threads = 4}};
  CurlHttpClient http;
  std::unique_ptr<primary::Primary> primary;
  std::unique_ptr<follower::Follower> follower;
  std::string token;
  std::string user_token;
  std::string enroll_output;
};

}  // namespace aster

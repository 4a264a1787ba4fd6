#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <map>
#include <sstream>

#include "protocol/base/secret_file.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/temp_dir.h"
#include "tools/aster_command.h"

namespace aster::cli {

namespace json = boost::json;
using testing::FakeHttpClient;
using testing::TempDir;

inline std::string envelope(const std::string& data) {
  return R"({"code":"success","msg":"","data":)" + data + "}";
}
inline std::string list_of(const std::string& items, int total) {
  return envelope(R"({"items":[)" + items + R"(],"total":)" + std::to_string(total) +
                  R"(,"limit":100,"offset":0})");
}
inline std::string refusal(const std::string& code, const std::string& message) {
  return R"({"code":")" + code + R"(","msg":")" + message + R"(","error":{"retryable":false}})";
}

/// The program in-process, against a scripted server, with a home of its own.
class Aster : public ::testing::Test {
 protected:
  struct Outcome {
    int status = 0;
    std::string out;
    std::string err;
  };

  void SetUp() override {
    environment_["HOME"] = home_.path();
    environment_["ASTER_URL"] = "http://primary:3000";
  }

  void log_in() {
    ASSERT_TRUE(write_private_file(home_ / ".config/aster/token", "secret-token\n"));
  }
  std::filesystem::path secret_file(const std::string& content) {
    const auto path = home_ / "secret";
    EXPECT_TRUE(write_private_file(path, content));
    return path;
  }

  Outcome aster(std::vector<std::string> arguments) {
    std::ostringstream out;
    std::ostringstream err;
    World world{http_,
                out,
                err,
                [this](const std::string& name) -> std::optional<std::string> {
                  const auto it = environment_.find(name);
                  if (it == environment_.end()) return std::nullopt;
                  return it->second;
                },
                [this](const std::string& prompt) -> Result<std::string> {
                  prompts_.push_back(prompt);
                  return typed_;
                },
                "/dev/null"};
    if (at_terminal_) world.terminal = &err;
    const int status = run(world, arguments);
    return {status, out.str(), err.str()};
  }

  json::object body_of(size_t request) {
    return json::parse(http_.requests().at(request).body).as_object();
  }

  TempDir home_;
  FakeHttpClient http_;
  std::map<std::string, std::string> environment_;
  std::vector<std::string> prompts_;
  std::string typed_ = "typed-password";
  bool at_terminal_ = false;  ///< standard error is one
};

}  // namespace aster::cli

#pragma once

#include "protocol/base/text.h"
#include "server/files/file_api.h"
#include "server/webdav/front_end.h"
#include "tests/integration/drive_fixture.h"

namespace aster {

/// A primary with all its doors, an administrator "root", a user "ann", storage on its own disk.
class PeopleFixture : public DriveFixture {
 protected:
  explicit PeopleFixture(Config::Environment variables = {},
                         primary::MakeFrontEnd file_api = files::make_front_end)
      : DriveFixture(DriveSettings{.front_ends = {std::move(file_api), webdav::make_front_end},
                                   .variables = std::move(variables)}) {}
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
    add_policy("local");
    admin_token = token;
    token = user_token;
  }

  ApiAnswer with(const std::string& bearer, const std::string& method, const std::string& path,
                 std::string body = {}, HeaderList headers = {}) {
    headers.emplace_back("Authorization", "Bearer " + bearer);
    return send(method, primary_url() + path, std::move(body), std::move(headers));
  }
  int status(const std::string& bearer, const std::string& method, const std::string& path,
             std::string body = {}, HeaderList headers = {}) {
    return with(bearer, method, path, std::move(body), std::move(headers)).status;
  }
  /// The same with a name and password.
  int basic(const std::string& pair, const std::string& method, const std::string& path,
            std::string body = {}, HeaderList headers = {}) {
    headers.emplace_back("Authorization", "Basic " + encode_base64(pair));
    return send(method, primary_url() + path, std::move(body), std::move(headers)).status;
  }
  /// A user with the password "NAME's password"; the token.
  std::string add_user(const std::string& name) {
    const boost::json::object body{{"username", name}, {"password", name + "'s password"}};
    EXPECT_EQ(status(admin_token, "POST", "/api/v1/admin/users", boost::json::serialize(body)),
              201);
    return login(name, name + "'s password");
  }
  /// A token of the current user with limits.
  boost::json::value make_token(const boost::json::object& wanted) {
    const ApiAnswer made = api("POST", "/api/v1/auth/tokens", boost::json::serialize(wanted));
    EXPECT_EQ(made.status, 201) << made.body;
    return made.data;
  }
  std::string limited(const std::string& name, bool read_only, boost::json::array paths) {
    const boost::json::value made =
        make_token({{"name", name}, {"read_only", read_only}, {"paths", std::move(paths)}});
    return made.at("token").as_string().c_str();
  }
  PrimaryClient& client_of(const std::string& bearer) {
    clients.push_back(make_primary_client({primary_url(), bearer}, http, executor));
    return *clients.back();
  }
  /// "actor|action|subject|detail|" lines, the newest first.
  std::string audit_log() {
    const ApiAnswer log = with(admin_token, "GET", "/api/v1/admin/audit-logs?limit=100");
    std::string text;
    for (const boost::json::value& event : log.data.at("items").as_array()) {
      text += row_text(event) + "\n";
    }
    return text;
  }
  static std::string row_text(const boost::json::value& event) {
    std::string text;
    for (const char* member : {"actor_name", "action", "subject", "detail"}) {
      text += std::string(event.at(member).as_string()) + "|";
    }
    return text;
  }

  std::string admin_token;
  std::vector<std::unique_ptr<PrimaryClient>> clients;
};

/// Follows a client's events and says when they begin and end.
class Following {
 public:
  explicit Following(PrimaryClient& client) {
    PrimaryClient::EventHandlers handlers;
    handlers.on_event = [](const fs::Invalidation&, bool) {};
    handlers.on_lease = [](uint64_t) {};
    handlers.on_reset = [] {};
    handlers.on_state = [this](bool alive) {
      if (alive && !begun_seen_.exchange(true)) begun_.set(true);
      if (!alive && begun_seen_ && !ended_seen_.exchange(true)) ended_.set(true);
    };
    start<Result<void>>(client.follow_events(std::move(handlers), cancel_),
                        [stopped = stopped_](Result<void>) { stopped.set(true); });
    wait(begun_);
  }
  ~Following() {
    cancel_.cancel();
    wait(stopped_);
  }
  /// Until the server has ended the stream.
  void wait_for_end() { wait(ended_); }

 private:
  static Task<void> awaited(Completion<bool> done) { co_await done; }
  static void wait(Completion<bool> done) { run_blocking(awaited(std::move(done))); }

  Completion<bool> begun_;
  Completion<bool> ended_;
  Completion<bool> stopped_;
  std::atomic<bool> begun_seen_{false};
  std::atomic<bool> ended_seen_{false};
  CancelToken cancel_;
};

}  // namespace aster

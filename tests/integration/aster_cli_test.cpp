// The real `aster` against real servers: from an empty primary to a usable remote policy.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "protocol/base/executor.h"
#include "protocol/base/secret_file.h"
#include "protocol/client/curl_http_client.h"
#include "tests/support/process.h"
#include "tests/support/s3_server.h"
#include "tests/support/temp_dir.h"

namespace aster {
namespace {

namespace json = boost::json;
using testing::Process;
using testing::TempDir;

class AsterCli : public ::testing::Test {
 protected:
  using Env = std::vector<std::pair<std::string, std::string>>;
  struct Outcome {
    int status = -1;
    std::string text;  ///< both streams
  };
  struct Server {
    std::optional<Process> process;
    std::string port = "0";
    std::string url() const { return "http://127.0.0.1:" + port; }
  };

  void SetUp() override {
    for (const char* name : {"primary", "follower", "home"}) {
      std::filesystem::create_directory(dir_ / name);
    }
    ASSERT_TRUE(write_private_file(password(), "correct horse battery\n"));
    ASSERT_TRUE(write_private_file(dir_ / "wrong", "incorrect horse\n"));
    ASSERT_EQ(
        drive("primary", {"user", "add", "root", "--admin", "--password-file", password()}).status,
        0);
    start(primary_, "primary");
  }

  std::filesystem::path password() const { return dir_ / "password"; }

  Outcome run(std::vector<std::string> argv, Env env, const std::string& folder) {
    const auto output = dir_ / "output";
    std::filesystem::remove(output);
    auto spawned = Process::spawn({.argv = std::move(argv),
                                   .env = std::move(env),
                                   .output = output,
                                   .working_dir = dir_ / folder});
    if (!spawned.ok()) return {-2, spawned.error().message()};
    const int status = spawned->wait().value_or(-1);
    return {status, testing::read_file(output)};
  }
  /// aster_drive in the folder, and with the mode, that `mode` names.
  Outcome drive(const std::string& mode, std::vector<std::string> arguments, Env env = {}) {
    arguments.insert(arguments.begin(), ASTER_DRIVE);
    env.emplace_back("ASTER__SERVER__START_MODE", mode);
    return run(std::move(arguments), std::move(env), mode);
  }
  Outcome aster(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ASTER_CLI);
    return run(std::move(arguments),
               {{"HOME", dir_ / "home"}, {"ASTER_URL", primary_.url()}, {"XDG_CONFIG_HOME", ""}},
               "home");
  }
  json::value json_of(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Outcome outcome = aster(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    boost::system::error_code failed;
    json::value value = json::parse(outcome.text, failed);
    EXPECT_FALSE(failed) << outcome.text;
    return value;
  }
  void log_in() {
    const Outcome outcome = aster({"login", "--user", "root", "--password-file", password()});
    ASSERT_EQ(outcome.status, 0) << outcome.text;
  }

  /// (Re)starts a server; it keeps its port.
  void start(Server& server, const std::string& mode) {
    auto spawned = Process::spawn({.argv = {ASTER_DRIVE, "serve"},
                                   .env = {{"ASTER__SERVER__START_MODE", mode},
                                           {"ASTER__SERVER__HOST", "127.0.0.1"},
                                           {"ASTER__SERVER__PORT", server.port}},
                                   .output = dir_ / (mode + ".log"),
                                   .working_dir = dir_ / mode,
                                   .ready_pipe = true});
    ASSERT_TRUE(spawned.ok()) << spawned.error().message();
    server.process.emplace(std::move(*spawned));
    const auto port = server.process->wait_ready();
    ASSERT_TRUE(port.ok()) << testing::read_file(dir_ / (mode + ".log"));
    server.port = *port;
  }
  /// One request of the file API as whoever is logged in; the body, nullopt unless it succeeds.
  std::optional<std::string> files(const std::string& method, const std::string& path,
                                   std::string body = {}) {
    std::string secret = testing::read_file(dir_ / "home/.config/aster/token");
    while (secret.ends_with('\n')) secret.pop_back();
    Executor executor({.name = "test"});
    CurlHttpClient http({}, executor);
    HttpClientRequest request;
    request.method = method;
    request.url = primary_.url() + "/api/v1" + path;
    request.headers = {{"Authorization", "Bearer " + secret}};
    request.max_body = 8 << 20;
    request.send_empty_body = method != "GET" && body.empty();
    if (!body.empty()) request.body.push_back(Bytes::from_string(std::move(body)));
    const auto response = run_blocking(http.send(std::move(request)));
    if (!response.ok() || response->status / 100 != 2) return std::nullopt;
    return std::string(as_text(response->body.view()));
  }
  /// Two local policies, `near` the default one, and a folder /d with two files.
  void set_up_policies() {
    for (const char* name : {"near", "far"}) {
      std::vector<std::string> add{"policy", "add", name, "--driver", "local"};
      for (const char* more : {"--base-path", name}) add.emplace_back(more);
      const Outcome added = aster(add);
      ASSERT_EQ(added.status, 0) << added.text;
    }
    ASSERT_TRUE(files("POST", "/folders/d"));
    ASSERT_TRUE(files("PUT", "/files/d/one", std::string(3 << 20, 'o')));
    ASSERT_TRUE(files("PUT", "/files/d/two", "second"));
  }
  /// How many objects lie below a policy's base path on the primary's disk.
  size_t objects_below(const std::string& policy) const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "primary")) {
      const std::string path = entry.path().string();
      if (entry.is_regular_file() && path.find("/" + policy + "/") != std::string::npos) ++count;
    }
    return count;
  }
  void restart(Server& server, const std::string& mode) {
    server.process->signal(SIGTERM);
    EXPECT_EQ(server.process->wait(), 0);
    start(server, mode);
  }
  /// What enrolment prints and returns for a node.
  Outcome enroll(const std::string& node, const std::string& mode = "follower") {
    const json::value issued = json_of({"node", "enroll-command", node});
    return drive(mode, {"node", "enroll"},
                 {{"ASTER_CLI_MASTER_URL", primary_.url()},
                  {"ASTER_CLI_ENROLLMENT_TOKEN", issued.at("token").as_string().c_str()}});
  }

  TempDir dir_;
  Server primary_;
  Server follower_;
};

::testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

TEST_F(AsterCli, leads_from_nothing_to_a_default_remote_policy) {
  log_in();
  start(follower_, "follower");
  ASSERT_EQ(
      aster({"node", "add", "attic", "--namespace", "attic", "--base-url", follower_.url()}).status,
      0);
  const Outcome enrolled = enroll("attic");
  ASSERT_EQ(enrolled.status, 0) << enrolled.text;
  restart(follower_, "follower");
  const Outcome tested = aster({"node", "test", "attic"});
  ASSERT_EQ(tested.status, 0) << tested.text;
  EXPECT_EQ(json_of({"node", "show", "attic"}).at("enrollment_status").as_string(), "completed");

  const Outcome target = aster({"target", "add", "attic", "--name", "disk", "--default"});
  ASSERT_EQ(target.status, 0) << target.text;
  const json::value targets = json_of({"target", "list", "attic"});
  ASSERT_EQ(targets.as_array().size(), 1u);
  EXPECT_TRUE(targets.as_array()[0].at("is_default").as_bool());

  const Outcome policy = aster({"policy", "add", "far", "--driver", "remote", "--node", "attic",
                                "--strategy", "presigned", "--part-size", "8M", "--default"});
  ASSERT_EQ(policy.status, 0) << policy.text;
  const json::value shown = json_of({"policy", "show", "far"});
  EXPECT_TRUE(shown.at("is_default").as_bool());
  EXPECT_EQ(shown.at("chunk_size").as_int64(), 8 << 20);
  const Outcome status = aster({"status"});
  EXPECT_EQ(status.status, 0) << status.text;
  EXPECT_TRUE(says(status.text, "attic (ok)"));
  EXPECT_TRUE(says(status.text, "far"));

  const Outcome removal = aster({"node", "remove", "attic"});
  EXPECT_EQ(removal.status, 1) << removal.text;
  ASSERT_EQ(aster({"policy", "add", "near", "--driver", "local", "--default"}).status, 0);
  const Outcome first = aster({"policy", "set-default", "far"});
  EXPECT_EQ(first.status, 0) << first.text;
}

TEST_F(AsterCli, puts_a_target_of_a_node_into_a_bucket) {
  if (const auto why = testing::S3Server::missing()) GTEST_SKIP() << *why;
  const auto server = testing::S3Server::start();
  ASSERT_NE(server, nullptr);
  log_in();
  start(follower_, "follower");
  ASSERT_EQ(
      aster({"node", "add", "attic", "--namespace", "attic", "--base-url", follower_.url()}).status,
      0);
  ASSERT_EQ(enroll("attic").status, 0);
  restart(follower_, "follower");
  ASSERT_EQ(aster({"node", "test", "attic"}).status, 0);

  const std::string key = testing::S3Server::kAccessKey;
  const std::string secret = testing::S3Server::kSecretKey;
  ASSERT_TRUE(write_private_file(dir_ / "keys", key + ":" + secret + "\n"));
  ASSERT_TRUE(write_private_file(dir_ / "wrong-keys", key + ":wrong\n"));
  const std::string endpoint = "http://127.0.0.1:" + std::to_string(server->port());
  std::vector<std::string> add{"target",
                               "add",
                               "attic",
                               "--driver",
                               "s3",
                               "--name",
                               "bucket",
                               "--endpoint",
                               endpoint,
                               "--bucket",
                               "test-bucket",
                               "--region",
                               testing::S3Server::kRegion,
                               "--credentials-file"};
  add.push_back(dir_ / "wrong-keys");
  const Outcome refused = aster(add);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(says(refused.text, "SignatureDoesNotMatch"));
  const Outcome mended =
      aster({"target", "set-credentials", "attic", "bucket", "--credentials-file", dir_ / "keys"});
  EXPECT_EQ(mended.status, 0) << mended.text;
  const json::value targets = json_of({"target", "list", "attic"});
  ASSERT_EQ(targets.as_array().size(), 1u);
  EXPECT_EQ(targets.as_array()[0].at("driver_type").as_string(), "s3");
  EXPECT_EQ(targets.as_array()[0].at("last_error").as_string(), "");
  const std::string shown = refused.text + mended.text + json::serialize(targets) +
                            testing::read_file(dir_ / "primary.log") +
                            testing::read_file(dir_ / "follower.log");
  EXPECT_EQ(shown.find(secret), std::string::npos);
  EXPECT_EQ(shown.find(key), std::string::npos);
}

TEST_F(AsterCli, puts_a_policy_of_the_server_into_a_bucket) {
  if (const auto why = testing::S3Server::missing()) GTEST_SKIP() << *why;
  const auto server = testing::S3Server::start();
  ASSERT_NE(server, nullptr);
  log_in();
  const std::string key = testing::S3Server::kAccessKey;
  const std::string secret = testing::S3Server::kSecretKey;
  ASSERT_TRUE(write_private_file(dir_ / "keys", key + ":" + secret + "\n"));
  ASSERT_TRUE(write_private_file(dir_ / "wrong-keys", key + ":wrong-secret\n"));
  std::vector<std::string> add{"policy", "add", "bucket", "--driver", "s3"};
  for (const std::string& more :
       {std::string("--endpoint"), server->endpoint(), std::string("--bucket"),
        std::string(testing::S3Server::kBucket), std::string("--credentials-file")}) {
    add.push_back(more);
  }
  add.push_back(dir_ / "wrong-keys");
  const Outcome refused = aster(add);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(says(refused.text, "check the access key and the secret key"));
  add.back() = dir_ / "keys";
  const Outcome added = aster(add);
  ASSERT_EQ(added.status, 0) << added.text;
  const Outcome shown = aster({"policy", "show", "bucket"});
  EXPECT_TRUE(says(shown.text, testing::S3Server::kBucket));
  const Outcome wrong =
      aster({"policy", "set-credentials", "bucket", "--credentials-file", dir_ / "wrong-keys"});
  EXPECT_EQ(wrong.status, 1) << wrong.text;
  const Outcome again =
      aster({"policy", "set-credentials", "bucket", "--credentials-file", dir_ / "keys"});
  EXPECT_EQ(again.status, 0) << again.text;
  const Outcome sound = drive("primary", {"doctor"});
  EXPECT_TRUE(says(sound.text, "can be listed and written"));
  server->process().kill();
  const Outcome ill = drive("primary", {"doctor"});
  EXPECT_EQ(ill.status, 1) << ill.text;
  EXPECT_TRUE(says(ill.text, "aster policy set-credentials bucket"));
  const std::string told = sound.text + ill.text + refused.text + added.text + shown.text +
                           wrong.text + again.text + aster({"audit", "list"}).text +
                           testing::read_file(dir_ / "primary.log");
  EXPECT_TRUE(says(told, "policy.create"));
  for (const std::string& hidden : {key, secret, std::string("wrong-secret")}) {
    EXPECT_EQ(told.find(hidden), std::string::npos) << hidden;
  }
}

TEST_F(AsterCli, wrong_password_is_refused_and_nothing_is_kept) {
  const Outcome outcome = aster({"login", "--user", "root", "--password-file", dir_ / "wrong"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(says(outcome.text, "log in as 'root'"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "home/.config/aster/token"));
}

TEST_F(AsterCli, logout_ends_the_token_at_the_server) {
  log_in();
  const auto kept = testing::read_file(dir_ / "home/.config/aster/token");
  ASSERT_EQ(aster({"logout"}).status, 0);
  ASSERT_TRUE(write_private_file(dir_ / "stolen", kept));
  const Outcome outcome = aster({"node", "list", "--token-file", dir_ / "stolen"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(says(outcome.text, "aster login"));
}

TEST_F(AsterCli, users_may_not_administer) {
  log_in();
  ASSERT_EQ(aster({"user", "add", "ann", "--password-file", password()}).status, 0);
  EXPECT_EQ(json_of({"user", "list"}).as_array().size(), 2u);
  const Outcome again = aster({"user", "add", "ann", "--password-file", password()});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(says(again.text, "ann"));
  const auto token = dir_ / "ann.token";
  ASSERT_EQ(aster({"login", "--user", "ann", "--password-file", password(), "--token-file", token})
                .status,
            0);
  const Outcome refused = aster({"node", "list", "--token-file", token});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(says(refused.text, "administrator"));
  EXPECT_EQ(aster({"status", "--token-file", token}).status, 0);
}

TEST_F(AsterCli, accounts_are_disabled_enabled_and_given_roles) {
  log_in();
  ASSERT_EQ(aster({"user", "add", "ann", "--password-file", password()}).status, 0);
  const auto token = dir_ / "ann.token";
  const auto log_in_ann = [&] {
    return aster({"login", "--user", "ann", "--password-file", password(), "--token-file", token});
  };
  ASSERT_EQ(log_in_ann().status, 0);
  const auto list_users = [&] { return aster({"user", "list", "--token-file", token}); };
  EXPECT_TRUE(says(list_users().text, "administrator"));
  const Outcome promoted = aster({"user", "set", "ann", "--role", "admin"});
  ASSERT_EQ(promoted.status, 0) << promoted.text;
  EXPECT_EQ(list_users().status, 0);
  ASSERT_EQ(aster({"user", "set", "ann", "--role", "user"}).status, 0);
  EXPECT_EQ(list_users().status, 1);
  const Outcome disabled = aster({"user", "set", "ann", "--disable"});
  ASSERT_EQ(disabled.status, 0) << disabled.text;
  EXPECT_TRUE(says(aster({"status", "--token-file", token}).text, "aster login"));
  EXPECT_EQ(log_in_ann().status, 1);
  EXPECT_TRUE(says(aster({"user", "list"}).text, "disabled"));
  ASSERT_EQ(aster({"user", "set", "ann", "--enable"}).status, 0);
  EXPECT_EQ(log_in_ann().status, 0);
  EXPECT_EQ(aster({"user", "set", "root", "--disable"}).status, 1) << "the last administrator";
  EXPECT_EQ(aster({"user", "set", "root", "--role", "user"}).status, 1);
  EXPECT_EQ(aster({"user", "set", "ann", "--enable", "--disable"}).status, 2);
  const Outcome log = aster({"audit", "list"});
  EXPECT_TRUE(says(log.text, "status=disabled"));
  EXPECT_TRUE(says(log.text, "role=admin"));
}

TEST_F(AsterCli, tokens_with_limits_are_made_listed_and_revoked) {
  log_in();
  const auto file = dir_ / "limited";
  const Outcome made =
      aster({"token", "create", "--name", "backup", "--read-only", "--path", "/photos", "--path",
             "team:crew", "--expires", "30d", "--output", file});
  ASSERT_EQ(made.status, 0) << made.text;
  const std::string secret = testing::read_file(file);
  EXPECT_TRUE(secret.starts_with("ast_"));
  EXPECT_EQ(made.text.find(secret.substr(0, 20)), std::string::npos);
  const Outcome shown = aster({"token", "create", "--name", "shown"});
  EXPECT_TRUE(says(shown.text, "ast_"));
  const Outcome list = aster({"token", "list"});
  EXPECT_TRUE(says(list.text, "/photos team:crew"));
  EXPECT_TRUE(says(list.text, "login"));
  const Outcome refused = aster({"user", "list", "--token-file", file});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(says(refused.text, "limited to files"));
  EXPECT_EQ(aster({"token", "create", "--name", "x", "--expires", "soon"}).status, 1);
  ASSERT_EQ(aster({"token", "revoke", "backup"}).status, 0);
  EXPECT_TRUE(says(aster({"status", "--token-file", file}).text, "aster login"));
  EXPECT_EQ(aster({"token", "revoke", "backup"}).status, 1);
  EXPECT_EQ(testing::read_file(dir_ / "primary.log").find(secret.substr(0, 20)), std::string::npos);
}

TEST_F(AsterCli, teams_are_made_filled_and_archived) {
  log_in();
  ASSERT_EQ(aster({"user", "add", "ann", "--password-file", password()}).status, 0);
  const Outcome made = aster({"team", "add", "crew", "--quota", "10G", "--description", "Us"});
  ASSERT_EQ(made.status, 0) << made.text;
  const Outcome added = aster({"team", "member", "add", "crew", "ann", "--role", "reader"});
  ASSERT_EQ(added.status, 0) << added.text;
  ASSERT_EQ(aster({"team", "member", "set-role", "crew", "ann", "manager"}).status, 0);
  const Outcome shown = aster({"team", "show", "crew"});
  EXPECT_TRUE(says(shown.text, "team:crew"));
  EXPECT_TRUE(says(shown.text, "10 GiB"));
  EXPECT_TRUE(says(shown.text, "manager"));
  EXPECT_EQ(aster({"team", "member", "remove", "crew", "root"}).status, 1);  // the last owner
  ASSERT_EQ(aster({"team", "member", "remove", "crew", "ann"}).status, 0);
  EXPECT_EQ(json_of({"team", "show", "crew"}).at("members").as_array().size(), 1u);
  ASSERT_EQ(aster({"team", "set", "crew", "--quota", "none"}).status, 0);
  ASSERT_EQ(aster({"team", "remove", "crew"}).status, 0);
  EXPECT_TRUE(json_of({"team", "list"}).as_array()[0].at("is_archived").as_bool());
  ASSERT_EQ(aster({"team", "restore", "crew"}).status, 0);
  const Outcome log = aster({"audit", "list"});
  EXPECT_TRUE(says(log.text, "team.archive"));
  EXPECT_TRUE(says(log.text, "user=ann role=reader->manager"));
  EXPECT_TRUE(says(log.text, "by the command line, role=admin"));
  EXPECT_EQ(json_of({"audit", "list", "--limit", "3"}).as_array().size(), 3u);
}

TEST_F(AsterCli, stored_data_is_migrated_to_another_policy) {
  log_in();
  set_up_policies();
  EXPECT_EQ(objects_below("far"), 0u);
  const Outcome moved = aster({"policy", "migrate", "/d", "--to", "far", "--wait"});
  ASSERT_EQ(moved.status, 0) << moved.text;
  EXPECT_TRUE(says(moved.text, "migration 1 of /d to policy 'far': done, 100 %"));
  EXPECT_TRUE(says(moved.text, "2 of 2 files"));
  EXPECT_GT(objects_below("far"), 0u);
  EXPECT_EQ(files("GET", "/files/d/one"), std::string(3 << 20, 'o'));
  EXPECT_EQ(files("GET", "/files/d/two"), "second");
  const Outcome again = aster({"policy", "migrations", "--cancel", "1"});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(says(again.text, "the migration is done"));
  const Outcome nowhere = aster({"policy", "migrate", "/nowhere", "--to", "far"});
  EXPECT_EQ(nowhere.status, 1) << nowhere.text;
  const Outcome unknown = aster({"policy", "migrate", "/d", "--to", "farther"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_TRUE(says(unknown.text, "farther"));
  EXPECT_EQ(json_of({"policy", "migrations"}).as_array().size(), 1u);
}

TEST_F(AsterCli, migrations_are_listed_ended_and_resumed) {
  log_in();
  set_up_policies();
  // So slow that it is not done before it is ended.
  const json::value job = json_of({"policy", "migrate", "/d", "--to", "far", "--rate", "1"});
  EXPECT_EQ(job.at("rate").to_number<uint64_t>(), 1u);
  const std::string id = std::to_string(job.at("id").to_number<uint64_t>());
  const Outcome list = aster({"policy", "migrations"});
  EXPECT_EQ(list.status, 0);
  EXPECT_TRUE(says(list.text, "far"));
  EXPECT_TRUE(says(list.text, "/d"));
  const Outcome ended = aster({"policy", "migrations", "--cancel", id});
  ASSERT_EQ(ended.status, 0) << ended.text;
  EXPECT_TRUE(says(ended.text, "cancelled"));
  EXPECT_TRUE(says(aster({"policy", "migrations"}).text, "cancelled"));
  const Outcome resumed = aster({"policy", "migrations", "--resume", id});
  EXPECT_EQ(resumed.status, 0) << resumed.text;
  EXPECT_FALSE(says(aster({"policy", "migrations"}).text, "cancelled"));
  EXPECT_EQ(aster({"policy", "migrations", "--cancel", "77"}).status, 1);
  const Outcome log = aster({"audit", "list"});
  EXPECT_TRUE(says(log.text, "migration.cancel"));
  EXPECT_TRUE(says(log.text, "migration.resume"));
}

TEST_F(AsterCli, groups_are_made_assigned_and_removed) {
  log_in();
  set_up_policies();
  ASSERT_EQ(aster({"user", "add", "ann", "--password-file", password()}).status, 0);
  const Outcome added = aster({"group", "add", "sizes", "--description", "By size"});
  ASSERT_EQ(added.status, 0) << added.text;
  const Outcome rule = aster(
      {"group", "rule", "add", "sizes", "--policy", "far", "--priority", "1", "--min-size", "1M"});
  ASSERT_EQ(rule.status, 0) << rule.text;
  const Outcome other =
      aster({"group", "rule", "add", "sizes", "--policy", "near", "--priority", "2"});
  ASSERT_EQ(other.status, 0) << other.text;
  EXPECT_TRUE(says(aster({"group", "list"}).text, "By size"));
  const Outcome shown = aster({"group", "show", "sizes"});
  EXPECT_TRUE(says(shown.text, "far"));
  EXPECT_TRUE(says(shown.text, "1 MiB"));
  for (const char* user : {"root", "ann"}) {
    const Outcome given = aster({"group", "assign", "sizes", "--user", user});
    EXPECT_EQ(given.status, 0) << given.text;
  }
  EXPECT_EQ(json_of({"group", "show", "sizes"}).at("user_ids").as_array().size(), 2u);
  ASSERT_TRUE(files("PUT", "/files/d/small", "below"));
  EXPECT_EQ(objects_below("far"), 0u);
  ASSERT_TRUE(files("PUT", "/files/d/large", std::string(2 << 20, 'l')));
  EXPECT_GT(objects_below("far"), 0u);
  ASSERT_EQ(aster({"group", "set", "sizes", "--disable"}).status, 0);
  ASSERT_EQ(aster({"group", "set", "sizes", "--enable"}).status, 0);
  EXPECT_EQ(aster({"group", "remove", "sizes"}).status, 1) << "it is assigned";
  for (const char* user : {"root", "ann"}) {
    EXPECT_EQ(aster({"group", "assign", "none", "--user", user}).status, 0);
  }
  ASSERT_EQ(aster({"group", "rule", "drop", "sizes", "--policy", "far"}).status, 0);
  EXPECT_EQ(aster({"group", "rule", "drop", "sizes", "--policy", "far"}).status, 1);
  ASSERT_EQ(aster({"group", "remove", "sizes"}).status, 0);
  EXPECT_EQ(json_of({"group", "list"}).as_array().size(), 0u);
  EXPECT_EQ(aster({"group", "assign", "sizes", "--user", "ann"}).status, 1);
}

TEST_F(AsterCli, a_changed_password_ends_every_other_login) {
  log_in();
  const auto other = dir_ / "other.token";
  ASSERT_EQ(aster({"login", "--user", "root", "--password-file", password(), "--token-file", other})
                .status,
            0);
  ASSERT_TRUE(write_private_file(dir_ / "new", "another long password\n"));
  const Outcome wrong =
      aster({"passwd", "--password-file", dir_ / "wrong", "--new-password-file", dir_ / "new"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(says(wrong.text, "wrong name or password"));
  const Outcome changed =
      aster({"passwd", "--password-file", password(), "--new-password-file", dir_ / "new"});
  ASSERT_EQ(changed.status, 0) << changed.text;
  EXPECT_EQ(aster({"user", "list"}).status, 0);
  EXPECT_TRUE(says(aster({"user", "list", "--token-file", other}).text, "aster login"));
  EXPECT_EQ(aster({"login", "--user", "root", "--password-file", dir_ / "new"}).status, 0);
}

TEST_F(AsterCli, names_and_namespaces_are_unique) {
  log_in();
  ASSERT_EQ(aster({"node", "add", "a", "--namespace", "ns"}).status, 0);
  EXPECT_EQ(aster({"node", "add", "a", "--namespace", "other"}).status, 1);
  EXPECT_EQ(aster({"node", "add", "b", "--namespace", "ns"}).status, 1);
  EXPECT_EQ(aster({"node", "add", "c", "--namespace", "../up"}).status, 1);
  EXPECT_EQ(json_of({"node", "list"}).as_array().size(), 1u);
}

TEST_F(AsterCli, node_that_is_not_enrolled_cannot_be_used) {
  log_in();
  ASSERT_EQ(
      aster({"node", "add", "a", "--namespace", "a", "--base-url", "http://127.0.0.1:9"}).status,
      0);
  const Outcome tested = aster({"node", "test", "a"});
  EXPECT_EQ(tested.status, 1);
  EXPECT_TRUE(says(tested.text, "enrol"));
  const Outcome policy = aster({"policy", "add", "p", "--driver", "remote", "--node", "a"});
  EXPECT_EQ(policy.status, 1) << policy.text;
}

TEST_F(AsterCli, enrolment_tokens_work_once) {
  log_in();
  ASSERT_EQ(aster({"node", "add", "a", "--namespace", "a"}).status, 0);
  const json::value old = json_of({"node", "enroll-command", "a"});
  const Outcome enrolled = enroll("a");
  ASSERT_EQ(enrolled.status, 0) << enrolled.text;
  const Outcome late = drive("follower", {"node", "enroll"},
                             {{"ASTER_CLI_MASTER_URL", primary_.url()},
                              {"ASTER_CLI_ENROLLMENT_TOKEN", old.at("token").as_string().c_str()}});
  EXPECT_EQ(late.status, 1) << late.text;
  EXPECT_TRUE(says(late.text, "enrollment token has been replaced by a newer session"));
  const Outcome again = aster({"node", "enroll-command", "a"});
  EXPECT_EQ(again.status, 1) << again.text;
}

TEST_F(AsterCli, the_printed_command_enrols) {
  log_in();
  ASSERT_EQ(aster({"node", "add", "a", "--namespace", "a"}).status, 0);
  const Outcome printed = aster({"node", "enroll-command", "a"});
  ASSERT_EQ(printed.status, 0) << printed.text;
  std::filesystem::create_directory(dir_ / "bin");
  std::filesystem::create_symlink(ASTER_DRIVE, dir_ / "bin/aster_drive");
  // As somebody pastes it into a shell, with the database where --database-url says.
  const std::string database = (dir_ / "follower/elsewhere.db").string();
  std::string command = printed.text.substr(0, printed.text.find('\n'));
  command += " --database-url sqlite://" + database;
  const Outcome enrolled = run({"/bin/sh", "-c", command},
                               {{"PATH", (dir_ / "bin").string() + ":/usr/bin:/bin"},
                                {"ASTER__SERVER__START_MODE", "follower"}},
                               "follower");
  EXPECT_EQ(enrolled.status, 0) << command << ": " << enrolled.text;
  EXPECT_TRUE(std::filesystem::exists(database));
  EXPECT_EQ(json_of({"node", "show", "a"}).at("enrollment_status").as_string(), "completed");
}

TEST_F(AsterCli, primary_cannot_be_enrolled) {
  log_in();
  ASSERT_EQ(aster({"node", "add", "a", "--namespace", "a"}).status, 0);
  const Outcome outcome = enroll("a", "primary");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(says(outcome.text, "start_mode"));
}

TEST_F(AsterCli, node_without_base_url_cannot_be_tested_directly) {
  log_in();
  ASSERT_EQ(aster({"node", "add", "a", "--namespace", "a"}).status, 0);
  ASSERT_EQ(enroll("a").status, 0);
  const Outcome outcome = aster({"node", "test", "a"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(says(outcome.text, "base_url"));
}

TEST_F(AsterCli, unreachable_primary_is_named) {
  log_in();
  primary_.process->kill();
  const Outcome outcome = aster({"status"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(says(outcome.text, "cannot reach " + primary_.url()));
}

}  // namespace
}  // namespace aster

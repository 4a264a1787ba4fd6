#include <gtest/gtest.h>
#include <sys/stat.h>

#include "protocol/base/secret_file.h"
#include "tests/unit/tools/aster_fixture.h"

namespace aster::cli {
namespace {

constexpr const char* kNode =
    R"({"id":7,"name":"attic","namespace":"ns","base_url":"http://10.0.0.7:3001",)"
    R"("is_enabled":true,"enrollment_status":"completed","last_error":"","transport_mode":"direct"})";
constexpr const char* kPolicies =
    R"({"id":1,"name":"disk","driver_type":"local","is_default":true,"chunk_size":16777216},)"
    R"({"id":2,"name":"far","driver_type":"remote","remote_node_id":7,"is_default":false})";

mode_t mode_of(const std::filesystem::path& path) {
  struct stat attributes {};
  EXPECT_EQ(::stat(path.c_str(), &attributes), 0) << path;
  return attributes.st_mode & 07777;
}

// ---- usage ------------------------------------------------------------------------------------

TEST_F(Aster, help_and_version_go_to_standard_output) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--help"}, {"--version"}, {"node", "--help"}, {"policy", "add", "--help"}}) {
    const Outcome outcome = aster(arguments);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_NE(outcome.out, "");
    EXPECT_EQ(outcome.err, "");
  }
  EXPECT_EQ(aster({"--version"}).out, "aster " ASTER_VERSION "\n");
}

TEST_F(Aster, wrong_usage_is_one_line_and_status_2) {
  log_in();
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {},
           {"nod"},
           {"node"},
           {"node", "add"},
           {"node", "add", "attic"},
           {"node", "show"},
           {"node", "list", "--yaml"},
           {"policy", "add", "p"},
           {"policy", "add", "p", "--driver", "tape"},
           {"policy", "add", "p", "--driver", "remote", "--strategy", "pigeon"},
           {"policy", "add", "p", "--driver", "local", "--part-size", "many"},
           {"target", "set-default", "attic"},
           {"login", "http://primary:3000"}}) {
    const Outcome outcome = aster(arguments);
    EXPECT_EQ(outcome.status, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("aster: ")) << outcome.err;
  }
  EXPECT_EQ(http_.request_count(), 0u);
}

TEST_F(Aster, usage_error_names_the_command_to_ask_for_help) {
  EXPECT_NE(aster({"node", "add", "attic"}).err.find("aster node add --help"), std::string::npos);
}

TEST_F(Aster, usage_error_names_the_word_that_makes_no_sense) {
  for (const char* word : {"lst", "--yaml"}) {
    EXPECT_NE(aster({"node", word}).err.find(word), std::string::npos) << word;
  }
  EXPECT_NE(aster({"user", "list", "all"}).err.find("all"), std::string::npos);
}

// ---- login ------------------------------------------------------------------------------------

TEST_F(Aster, login_keeps_a_private_token_and_never_shows_it) {
  http_.answer(200, envelope(R"({"token":"t0ken","expires_at":"2030-01-01T00:00:00Z"})"));
  const auto password = secret_file("pass word\n");
  const Outcome outcome = aster(
      {"login", "HTTP://Primary:3000/", "--user", "ann", "--password-file", password, "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("t0ken"), std::string::npos);
  EXPECT_EQ(outcome.out.find("pass word"), std::string::npos);
  const auto seen = http_.requests().at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.url, "http://primary:3000/api/v1/auth/login");
  EXPECT_EQ(find_header(seen.headers, "Authorization"), nullptr);
  EXPECT_EQ(body_of(0), (json::object{{"identifier", "ann"}, {"password", "pass word"}}));
  const auto folder = home_ / ".config/aster";
  EXPECT_EQ(testing::read_file(folder / "token"), "t0ken\n");
  EXPECT_EQ(testing::read_file(folder / "server"), "http://primary:3000\n");
  EXPECT_EQ(mode_of(folder / "token"), 0600u);
  EXPECT_EQ(mode_of(folder), 0700u);
}

TEST_F(Aster, login_asks_for_the_password) {
  http_.answer(200, envelope(R"({"token":"t0ken"})"));
  EXPECT_EQ(aster({"login", "--user", "ann"}).status, 0);
  ASSERT_EQ(prompts_.size(), 1u);
  EXPECT_NE(prompts_[0].find("ann"), std::string::npos);
  EXPECT_EQ(body_of(0).at("password").as_string(), "typed-password");
}

TEST_F(Aster, commands_use_server_and_token_of_the_login) {
  environment_.erase("ASTER_URL");
  http_.answer(200, envelope(R"({"token":"t0ken"})"));
  ASSERT_EQ(aster({"login", "https://drive.example.com/a/", "--user", "ann"}).status, 0);
  http_.answer(200, list_of(kNode, 1));
  ASSERT_EQ(aster({"node", "list"}).status, 0);
  const auto seen = http_.requests().at(1);
  EXPECT_EQ(seen.url, "https://drive.example.com/a/api/v1/admin/remote-nodes?limit=100&offset=0");
  EXPECT_EQ(*find_header(seen.headers, "authorization"), "Bearer t0ken");
}

TEST_F(Aster, login_elsewhere_leaves_the_stored_one_alone) {
  log_in();
  const auto file = home_ / "other/token";
  http_.answer(200, envelope(R"({"token":"other"})"));
  ASSERT_EQ(aster({"login", "--user", "ann", "--token-file", file}).status, 0);
  EXPECT_EQ(testing::read_file(file), "other\n");
  EXPECT_EQ(testing::read_file(home_ / ".config/aster/token"), "secret-token\n");
}

TEST_F(Aster, wrong_password_is_told_in_the_servers_words) {
  http_.answer(401, refusal("auth.credentials_failed", "wrong user name or password"));
  const Outcome outcome = aster({"login", "--user", "ann"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "aster: log in as 'ann': wrong user name or password\n");
  EXPECT_FALSE(std::filesystem::exists(home_ / ".config/aster/token"));
}

TEST_F(Aster, login_at_something_that_is_no_aster_server) {
  http_.answer(200, "<html>welcome</html>");
  const Outcome outcome = aster({"login", "--user", "ann"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("does not answer like an Aster server"), std::string::npos);
}

TEST_F(Aster, secret_files_that_others_can_read_are_refused) {
  const auto file = home_ / "open";
  testing::write_file(file, "secret\n");
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  const Outcome outcome = aster({"login", "--user", "ann", "--password-file", file});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("chmod 600"), std::string::npos);
  EXPECT_EQ(http_.request_count(), 0u);
}

TEST_F(Aster, empty_missing_and_huge_secret_files_are_refused) {
  EXPECT_EQ(aster({"login", "--user", "a", "--password-file", home_ / "none"}).status, 1);
  EXPECT_EQ(aster({"login", "--user", "a", "--password-file", secret_file("\n")}).status, 1);
  EXPECT_EQ(aster({"login", "--user", "a", "--password-file", secret_file(std::string(5000, 'x'))})
                .status,
            1);
  EXPECT_EQ(http_.request_count(), 0u);
}

TEST_F(Aster, logout_revokes_and_removes_the_token) {
  log_in();
  http_.answer(200, R"({"code":"success","msg":""})");
  EXPECT_EQ(aster({"logout"}).status, 0);
  EXPECT_EQ(http_.requests().at(0).url, "http://primary:3000/api/v1/auth/logout");
  EXPECT_FALSE(std::filesystem::exists(home_ / ".config/aster/token"));
}

TEST_F(Aster, logout_without_the_server_says_that_the_token_still_works) {
  log_in();
  http_.fail_with(Errc::unavailable);
  const Outcome outcome = aster({"logout"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("still accepts it"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(home_ / ".config/aster/token"));
}

// ---- failures ---------------------------------------------------------------------------------

TEST_F(Aster, not_logged_in_names_the_way_out) {
  const Outcome outcome = aster({"node", "list"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("aster login http://primary:3000 --user NAME"), std::string::npos);
  environment_.erase("ASTER_URL");
  EXPECT_NE(aster({"node", "list"}).err.find("aster login URL"), std::string::npos);
}

TEST_F(Aster, expired_login_and_missing_rights_name_the_way_out) {
  log_in();
  http_.answer(401, refusal("auth.token_invalid", "token is not valid"));
  EXPECT_NE(aster({"node", "list"}).err.find("aster login http://primary:3000"), std::string::npos);
  http_.answer(403, refusal("forbidden", "not an administrator"));
  EXPECT_NE(aster({"user", "list"}).err.find("only an administrator"), std::string::npos);
}

TEST_F(Aster, unreachable_server_is_named) {
  log_in();
  http_.fail_with(Errc::unavailable, "connection refused");
  const Outcome outcome = aster({"status"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("cannot reach http://primary:3000: connection refused"),
            std::string::npos);
}

TEST_F(Aster, tokens_never_reach_the_output) {
  log_in();
  http_.fail_with(Errc::unavailable);
  const Outcome outcome = aster({"node", "list"});
  EXPECT_EQ((outcome.out + outcome.err).find("secret-token"), std::string::npos);
}

TEST_F(Aster, control_characters_of_the_server_do_not_reach_the_terminal) {
  log_in();
  http_.answer(200, list_of(R"({"id":1,"name":"a\u001b[2Jb"})", 1));
  EXPECT_NE(aster({"node", "list"}).out.find("a\\x1b[2Jb"), std::string::npos);
}

// ---- nodes ------------------------------------------------------------------------------------

TEST_F(Aster, node_add_sends_what_was_given) {
  log_in();
  http_.answer(201, envelope(kNode));
  const Outcome outcome =
      aster({"node", "add", "attic", "--namespace", "ns", "--base-url", "http://10.0.0.7:3001"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(body_of(0), (json::object{{"name", "attic"},
                                      {"namespace", "ns"},
                                      {"base_url", "http://10.0.0.7:3001"},
                                      {"is_enabled", true}}));
  EXPECT_NE(outcome.out.find("aster node enroll-command attic"), std::string::npos);
}

TEST_F(Aster, lists_are_fetched_page_by_page) {
  log_in();
  http_.answer(200, list_of(R"({"id":1,"name":"a"},{"id":2,"name":"b"})", 3));
  http_.answer(200, list_of(R"({"id":3,"name":"c"})", 3));
  const Outcome outcome = aster({"node", "list", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).as_array().size(), 3u);
  EXPECT_TRUE(http_.requests().at(1).url.ends_with("offset=2"));
}

TEST_F(Aster, node_table_has_one_line_per_node) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  EXPECT_EQ(aster({"node", "list"}).out,
            "ID  NAME   NAMESPACE  ENABLED  ENROLMENT  BASE URL              LAST ERROR\n"
            "7   attic  ns         yes      completed  http://10.0.0.7:3001  -\n");
}

TEST_F(Aster, unknown_node_names_the_known_ones) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  const Outcome outcome = aster({"node", "show", "cellar"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "aster: there is no node 'cellar' (known: attic)\n");
}

TEST_F(Aster, node_show_says_what_the_node_can_and_what_it_lacks) {
  log_in();
  const std::string able = std::string(kNode).substr(0, std::string(kNode).size() - 1) +
                           R"(,"capabilities":{"protocol_version":"v5",)"
                           R"("min_supported_protocol_version":"v4","server_version":"0.4\u001b",)"
                           R"("features":{"object_get":true,"object_head":true,"object_put":true,)"
                           R"("object_delete":true,"metadata":true,"range_get":true,"list":true,)"
                           R"("accept_ranges_header":true,"compose":false},)"
                           R"("managed_ingress":{"enabled":true,"driver_types":["s3"]}}})";
  http_.answer(200, list_of(able, 1));
  http_.answer(200, envelope(able));
  const std::string out = aster({"node", "show", "attic"}).out;
  for (const char* line :
       {"protocol:            v4 to v5\n", "version:             0.4\\x1b\n",
        "features:            accept_ranges_header, list, metadata, object_delete, object_get, "
        "object_head, object_put, range_get\n",
        "target drivers:      s3\n", "capacity:            not shown\n",
        "relay_stream:        no, lacks compose\n",
        "presigned uploads:   no, lacks compose, browser_presigned_cors\n"}) {
    EXPECT_NE(out.find(line), std::string::npos) << line << out;
  }
}

TEST_F(Aster, node_show_says_that_a_node_was_never_tested) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(200, envelope(kNode));
  EXPECT_NE(aster({"node", "show", "attic"}).out.find("not known yet (see: aster node test)\n"),
            std::string::npos);
}

TEST_F(Aster, nodes_are_found_by_id_too) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(200, envelope(kNode));
  const Outcome outcome = aster({"node", "show", "7"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(http_.requests().at(1).url.ends_with("/remote-nodes/7"));
  EXPECT_NE(outcome.out.find("enrolment:    completed\n"), std::string::npos) << outcome.out;
}

TEST_F(Aster, enroll_command_prints_only_the_command) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(201, envelope(R"({"command":"aster_drive node enroll --token enr_1"})"));
  EXPECT_EQ(aster({"node", "enroll-command", "attic"}).out,
            "aster_drive node enroll --token enr_1\n");
  EXPECT_TRUE(http_.requests().at(1).url.ends_with("/remote-nodes/7/enrollment-token"));
}

TEST_F(Aster, failed_node_test_is_status_1_with_the_reason) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(200, envelope(R"({"id":7,"name":"attic","last_error":"connection refused"})"));
  const Outcome outcome = aster({"node", "test", "attic", "--json"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "aster: node 'attic' failed the test: connection refused\n");
  EXPECT_EQ(json::parse(outcome.out).at("id").as_int64(), 7);
}

TEST_F(Aster, node_switches_and_removal) {
  log_in();
  http_.otherwise([](const FakeHttpClient::Seen& seen) -> Result<HttpClientResponse> {
    if (seen.method == "GET") return FakeHttpClient::made(200, list_of(kNode, 1));
    return FakeHttpClient::made(
        200, seen.method == "PATCH" ? envelope(kNode) : R"({"code":"success","msg":""})");
  });
  EXPECT_EQ(aster({"node", "disable", "attic"}).out, "node 'attic' is disabled\n");
  EXPECT_EQ(body_of(1), (json::object{{"is_enabled", false}}));
  EXPECT_EQ(aster({"node", "enable", "attic"}).out, "node 'attic' is enabled\n");
  EXPECT_EQ(aster({"node", "set", "attic", "--base-url", "http://10.0.0.7:3001"}).out,
            "node 'attic' is at http://10.0.0.7:3001\n");
  EXPECT_EQ(body_of(5), (json::object{{"base_url", "http://10.0.0.7:3001"}}));
  EXPECT_EQ(aster({"node", "set", "attic"}).status, 2);
  EXPECT_EQ(aster({"node", "remove", "attic"}).status, 0);
  EXPECT_EQ(http_.requests().back().method, "DELETE");
}

// ---- targets ----------------------------------------------------------------------------------

TEST_F(Aster, target_add_sends_the_fields_of_its_driver) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(201, envelope(R"({"target_key":"rst_1","name":"local","last_error":""})"));
  ASSERT_EQ(aster({"target", "add", "attic", "--base-path", "drive", "--default"}).status, 0);
  EXPECT_TRUE(http_.requests().at(1).url.ends_with("/remote-nodes/7/storage-targets"));
  EXPECT_EQ(body_of(1), (json::object{{"driver_type", "local"},
                                      {"name", "local"},
                                      {"base_path", "drive"},
                                      {"max_file_size", 0u},
                                      {"is_default", true}}));
  http_.answer(200, list_of(kNode, 1));
  http_.answer(201, envelope(R"({"target_key":"rst_2","name":"b","last_error":""})"));
  ASSERT_EQ(aster({"target", "add", "attic", "--driver", "s3", "--name", "b", "--endpoint",
                   "https://s3.example.com", "--bucket", "bkt", "--region", "eu-1", "--addressing",
                   "path", "--credentials-file", secret_file("ak:s:k/=\n")})
                .status,
            0);
  EXPECT_EQ(body_of(3).at("endpoint").as_string(), "https://s3.example.com?region=eu-1&style=path");
  EXPECT_EQ(body_of(3).at("access_key").as_string(), "ak");
  EXPECT_EQ(body_of(3).at("secret_key").as_string(), "s:k/=");
  EXPECT_EQ(body_of(3).at("bucket").as_string(), "bkt");
}

TEST_F(Aster, s3_target_gets_other_credentials) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(200, envelope(R"([{"target_key":"rst_2","name":"b"}])"));
  http_.answer(200, envelope(R"({"target_key":"rst_2","name":"b","last_error":""})"));
  const Outcome outcome = aster(
      {"target", "set-credentials", "attic", "b", "--credentials-file", secret_file("ak2:sk2\n")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(http_.requests().back().method, "PATCH");
  EXPECT_EQ(body_of(http_.request_count() - 1),
            (json::object{{"access_key", "ak2"}, {"secret_key", "sk2"}}));
  EXPECT_EQ((outcome.out + outcome.err).find("sk2"), std::string::npos);
}

TEST_F(Aster, s3_credentials_that_are_no_pair_are_refused_unseen) {
  log_in();
  for (const char* line : {"alone\n", ":sk\n", "ak:\n"}) {
    const Outcome outcome =
        aster({"target", "add", "attic", "--driver", "s3", "--endpoint", "https://s3.example.com",
               "--bucket", "bkt", "--credentials-file", secret_file(line)});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find("ACCESS_KEY:SECRET_KEY"), std::string::npos);
    EXPECT_EQ(outcome.err.find("alone"), std::string::npos);
  }
}

TEST_F(Aster, s3_target_without_its_fields_is_refused) {
  log_in();
  const Outcome outcome = aster({"target", "add", "attic", "--driver", "s3"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("--endpoint"), std::string::npos);
}

TEST_F(Aster, target_that_the_follower_cannot_use_is_a_failure) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(201, envelope(R"({"target_key":"rst_1","name":"t","last_error":"no such bucket"})"));
  const Outcome outcome = aster({"target", "add", "attic", "--name", "t"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "aster: target 't' cannot be used: no such bucket\n");
}

TEST_F(Aster, targets_are_named_by_name_or_key_of_any_version) {
  log_in();
  http_.otherwise([](const FakeHttpClient::Seen& seen) -> Result<HttpClientResponse> {
    if (seen.method != "GET") return FakeHttpClient::made(200, envelope(R"({"name":"t"})"));
    if (seen.url.find("storage-targets") == std::string::npos) {
      return FakeHttpClient::made(200, list_of(kNode, 1));
    }
    return FakeHttpClient::made(200, envelope(R"([{"profile_key":"igp_1","name":"t"}])"));
  });
  ASSERT_EQ(aster({"target", "set-default", "attic", "t"}).status, 0);
  EXPECT_TRUE(http_.requests().back().url.ends_with("/storage-targets/igp_1"));
  EXPECT_EQ(aster({"target", "remove", "attic", "igp_1"}).status, 0);
  EXPECT_EQ(http_.requests().back().method, "DELETE");
  EXPECT_EQ(aster({"target", "list", "attic"}).out,
            "KEY    NAME  DRIVER  DEFAULT  BASE PATH  LAST ERROR\nigp_1  t     -       -        -  "
            "        -\n");
}

// ---- policies ---------------------------------------------------------------------------------

TEST_F(Aster, remote_policy_carries_node_strategy_and_sizes) {
  log_in();
  http_.answer(200, list_of(kNode, 1));
  http_.answer(201, envelope(R"({"id":2,"name":"far","is_default":true})"));
  const Outcome outcome = aster({"policy", "add", "far", "--driver", "remote", "--node", "attic",
                                 "--strategy", "presigned", "--part-size", "8M", "--max-file-size",
                                 "1G", "--base-path", "b", "--default"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "policy 'far' is added and is the default\n");
  const json::object body = body_of(1);
  EXPECT_EQ(body.at("remote_node_id").as_int64(), 7);
  EXPECT_EQ(body.at("chunk_size").as_int64(), 8 << 20);
  EXPECT_EQ(body.at("max_file_size").as_int64(), 1 << 30);
  EXPECT_EQ(body.at("options").at("remote_upload_strategy").as_string(), "presigned");
  EXPECT_EQ(body.at("options").at("remote_download_strategy").as_string(), "presigned");
}

TEST_F(Aster, local_policy_names_no_node) {
  log_in();
  http_.answer(201, envelope(R"({"id":1,"name":"disk","is_default":false})"));
  ASSERT_EQ(aster({"policy", "add", "disk", "--driver", "local"}).status, 0);
  EXPECT_FALSE(body_of(0).contains("remote_node_id"));
  EXPECT_FALSE(body_of(0).contains("options"));
}

TEST_F(Aster, s3_policy_sends_its_bucket_and_keys) {
  log_in();
  http_.answer(201, envelope(R"({"name":"far","is_default":false})"));
  const Outcome outcome =
      aster({"policy", "add", "far", "--driver", "s3", "--endpoint", "https://s3.example.com",
             "--bucket", "bkt", "--region", "eu-1", "--base-path", "drive", "--credentials-file",
             secret_file("ak:s:k/=\n")});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(body_of(0), (json::object{{"name", "far"},
                                      {"driver_type", "s3"},
                                      {"base_path", "drive"},
                                      {"max_file_size", 0u},
                                      {"is_default", false},
                                      {"endpoint", "https://s3.example.com?region=eu-1"},
                                      {"bucket", "bkt"},
                                      {"access_key", "ak"},
                                      {"secret_key", "s:k/="}}));
  EXPECT_EQ((outcome.out + outcome.err).find("s:k"), std::string::npos);
}

TEST_F(Aster, s3_policy_is_shown_with_its_bucket_and_gets_other_credentials) {
  log_in();
  const std::string policy =
      R"({"id":3,"name":"far","driver_type":"s3","endpoint":"https://s3.test","bucket":"bkt"})";
  http_.answer(200, list_of(policy, 1));
  http_.answer(200, envelope(policy));
  const Outcome shown = aster({"policy", "show", "far"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_NE(shown.out.find("https://s3.test"), std::string::npos);
  EXPECT_NE(shown.out.find("bkt"), std::string::npos);
  http_.answer(200, list_of(policy, 1));
  http_.answer(200, envelope(policy));
  const Outcome changed =
      aster({"policy", "set-credentials", "far", "--credentials-file", secret_file("ak2:sk2\n")});
  ASSERT_EQ(changed.status, 0) << changed.err;
  EXPECT_EQ(http_.requests().back().method, "PATCH");
  EXPECT_TRUE(http_.requests().back().url.ends_with("/policies/3"));
  EXPECT_EQ(body_of(3), (json::object{{"access_key", "ak2"}, {"secret_key", "sk2"}}));
  EXPECT_EQ((changed.out + changed.err).find("sk2"), std::string::npos);
}

TEST_F(Aster, options_of_another_driver_are_refused_before_the_server_is_asked) {
  log_in();
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--driver", "local", "--bucket", "b"},
           {"--driver", "remote", "--node", "n", "--credentials-file", secret_file("a:b\n")},
           {"--driver", "s3", "--endpoint", "https://h", "--bucket", "b", "--node", "n"},
           {"--driver", "s3", "--endpoint", "https://h", "--bucket", "b", "--strategy",
            "presigned"},
           {"--driver", "s3", "--endpoint", "https://h"},
           {"--driver", "s3", "--bucket", "b"}}) {
    std::vector<std::string> arguments{"policy", "add", "p"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    const Outcome outcome = aster(arguments);
    EXPECT_EQ(outcome.status, 1) << wrong.back();
    EXPECT_NE(outcome.err, "");
  }
  EXPECT_EQ(http_.request_count(), 0u);
}

TEST_F(Aster, a_migration_that_is_waited_for_shows_its_progress_at_a_terminal_only) {
  log_in();
  const auto job = [](const char* state, int done) {
    return envelope(R"({"id":3,"path":"/a","policy":"far","problem":null,"state":")" +
                    std::string(state) + R"(","bytes":2048,"files":2,"files_done":)" +
                    std::to_string(done) + R"(,"bytes_done":)" + std::to_string(done * 1024) + "}");
  };
  for (const bool terminal : {false, true}) {
    at_terminal_ = terminal;
    http_.answer(200, list_of(kPolicies, 2));
    http_.answer(201, job("moving", 1));
    http_.answer(200, job("done", 2));
    const Outcome outcome = aster({"policy", "migrate", "/a", "--to", "far", "--wait"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out,
              "migration 3 of /a to policy 'far': done, 100 % of 2 KiB, 2 of 2 files\n");
    const std::string progress = "moving: 50 % of 2 KiB, 1 of 2 files";
    EXPECT_EQ(outcome.err.find("\r" + progress), terminal ? 0u : std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.empty(), !terminal) << outcome.err;
  }
}

TEST_F(Aster, remote_policy_without_node_is_refused) {
  log_in();
  const Outcome outcome = aster({"policy", "add", "far", "--driver", "remote"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("--node"), std::string::npos);
}

TEST_F(Aster, policy_list_starts_with_what_set_default_takes) {
  log_in();
  http_.otherwise([](const FakeHttpClient::Seen& seen) -> Result<HttpClientResponse> {
    return FakeHttpClient::made(
        200, seen.method == "GET" ? list_of(kPolicies, 2) : envelope(R"({"id":2,"name":"far"})"));
  });
  EXPECT_EQ(aster({"policy", "list"}).out,
            "ID  NAME  DRIVER  NODE  STRATEGY  PART SIZE  MAX FILE  DEFAULT\n"
            "1   disk  local   -     -         16 MiB     -         yes\n"
            "2   far   remote  7     -         -          -         no\n");
  EXPECT_EQ(aster({"policy", "set-default", "2"}).out,
            "policy 'far' is the default for new files\n");
  EXPECT_TRUE(http_.requests().back().url.ends_with("/policies/2"));
  EXPECT_EQ(aster({"policy", "set-default", "far"}).status, 0);
}

// ---- users and status -------------------------------------------------------------------------

TEST_F(Aster, user_add_reads_the_password_from_file_or_terminal) {
  log_in();
  http_.answer(201, envelope(R"({"id":3,"username":"bob"})"));
  ASSERT_EQ(aster({"user", "add", "bob", "--password-file", secret_file("pw\n")}).status, 0);
  EXPECT_EQ(body_of(0), (json::object{{"username", "bob"}, {"password", "pw"}}));
  http_.answer(201, envelope(R"({"id":4,"username":"eve"})"));
  ASSERT_EQ(aster({"user", "add", "eve", "--admin"}).status, 0);
  EXPECT_EQ(body_of(1).at("password").as_string(), "typed-password");
  EXPECT_EQ(body_of(1).at("role").as_string(), "admin");
}

TEST_F(Aster, user_is_removed_with_files_only_when_asked) {
  log_in();
  const std::string users = list_of(R"({"id":2,"username":"bob"})", 1);
  http_.answer(200, users);
  http_.answer(200, envelope("null"));
  ASSERT_EQ(aster({"user", "remove", "bob"}).status, 0);
  EXPECT_EQ(http_.requests().back().method, "DELETE");
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/admin/users/2"));
  http_.answer(200, users);
  http_.answer(200, envelope("null"));
  ASSERT_EQ(aster({"user", "remove", "bob", "--with-files"}).status, 0);
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/admin/users/2?force=true"));
  http_.answer(200, users);
  http_.answer(412, refusal("precondition_failed", "bob has files"));
  EXPECT_EQ(aster({"user", "remove", "bob"}).err, "aster: remove user 'bob': bob has files\n");
}

TEST_F(Aster, user_is_logged_out_everywhere) {
  log_in();
  http_.answer(200, list_of(R"({"id":2,"username":"bob"})", 1));
  http_.answer(200, envelope("null"));
  ASSERT_EQ(aster({"user", "revoke-sessions", "bob"}).status, 0);
  EXPECT_EQ(http_.requests().back().method, "POST");
  EXPECT_TRUE(http_.requests().back().url.ends_with("/api/v1/admin/users/2/sessions/revoke"));
}

TEST_F(Aster, taken_user_name_is_told) {
  log_in();
  http_.answer(409, refusal("conflict", "user name 'bob' is taken"));
  EXPECT_EQ(aster({"user", "add", "bob"}).err, "aster: add user 'bob': user name 'bob' is taken\n");
}

TEST_F(Aster, webdav_accounts_show_a_password_once_and_go_by_name) {
  log_in();
  const std::string account =
      R"({"id":3,"username":"laptop","root_path":"/photos","read_only":true,"is_active":true,)"
      R"("password":"0123"})";
  http_.answer(201, envelope(account));
  const Outcome made =
      aster({"webdav-account", "add", "laptop", "--root", "/photos", "--read-only"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.out.find("password, shown only now: 0123\n"), std::string::npos);
  EXPECT_EQ(body_of(0),
            (json::object{{"username", "laptop"}, {"read_only", true}, {"root_path", "/photos"}}));
  http_.answer(201, envelope(account));
  const Outcome given = aster({"webdav-account", "add", "laptop", "--json", "--password-file",
                               secret_file("given password\n")});
  EXPECT_EQ(given.status, 0) << given.err;
  EXPECT_EQ(given.out.find("0123"), std::string::npos);
  EXPECT_EQ(body_of(1).at("password").as_string(), "given password");
  http_.answer(200, list_of(account, 1));
  EXPECT_NE(aster({"webdav-account", "list"}).out.find("laptop  /photos"), std::string::npos);
  http_.answer(200, list_of(account, 1));
  http_.answer(200, R"({"code":"success","msg":""})");
  EXPECT_EQ(aster({"webdav-account", "remove", "laptop"}).status, 0);
  EXPECT_EQ(http_.requests().back().method, "DELETE");
  EXPECT_EQ(http_.requests().back().url, "http://primary:3000/api/v1/webdav-accounts/3");
  http_.answer(200, list_of(account, 1));
  EXPECT_EQ(aster({"webdav-account", "remove", "phone"}).status, 1);
}

TEST_F(Aster, status_sums_up_for_administrators) {
  log_in();
  http_.answer(200, envelope(R"({"username":"ann","role":"admin"})"));
  http_.answer(200, list_of(kNode, 1));
  http_.answer(200, list_of(kPolicies, 2));
  http_.answer(200, envelope(R"({"version":"1.2.3","storage_ready":true})"));
  const Outcome outcome = aster({"status"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "server:         http://primary:3000 (version 1.2.3)\n"
            "user:           ann (admin)\n"
            "nodes:          attic (ok)\n"
            "default policy: disk\n");
}

TEST_F(Aster, status_fails_when_new_files_cannot_be_stored) {
  log_in();
  http_.answer(200, envelope(R"({"username":"ann","role":"admin"})"));
  http_.answer(200, list_of("", 0));
  http_.answer(200, list_of("", 0));
  http_.answer(200, envelope(R"({"storage_ready":false,"storage_problem":"no policy"})"));
  const Outcome outcome = aster({"status"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.out.find("nodes:          none\n"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.err, "aster: new files cannot be stored: no policy\n");
}

TEST_F(Aster, status_of_a_user_asks_for_nothing_that_is_forbidden) {
  log_in();
  http_.answer(200, envelope(R"({"username":"bob","role":"user"})"));
  const Outcome outcome = aster({"status", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(json::parse(outcome.out).at("user").at("username").as_string(), "bob");
  EXPECT_EQ(http_.request_count(), 1u);
}

}  // namespace
}  // namespace aster::cli

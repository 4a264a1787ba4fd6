// Whatever changes something is in the audit log: who did it, to what, and what it became.
#include <set>

#include "tests/integration/people_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

constexpr std::string_view kAdmin = "/api/v1/admin/";

/// Routes of administration that only look at something.
const std::set<std::string> kChangeNothing = {
    "POST /api/v1/admin/remote-nodes/test",
    "POST /api/v1/admin/remote-nodes/{}/test",
    "POST /api/v1/admin/policies/{}/test",
    "POST /api/v1/admin/policies/test",
};

class Audit : public PeopleFixture {
 protected:
  void SetUp() override {
    PeopleFixture::SetUp();
    token = admin_token;
  }
  uint64_t rows() {
    return with(admin_token, "GET", "/api/v1/admin/audit-logs?limit=1")
        .data.at("total")
        .to_number<uint64_t>();
  }
  /// Calls `route` with its {} filled in one after the other; it has to add the row
  /// "actor|action|subject|detail" (or what begins like this).
  json::value change(const std::string& route, const std::vector<std::string>& ids,
                     const std::string& body, const std::string& row) {
    called.insert(route);
    std::string path = route.substr(route.find(' ') + 1);
    for (const std::string& id : ids) path.replace(path.find("{}"), 2, id);
    const uint64_t before = rows();
    const ApiAnswer answer = api(route.substr(0, route.find(' ')), path, body);
    EXPECT_TRUE(answer.status >= 200 && answer.status < 300)
        << route << " " << answer.status << answer.body;
    const std::string added = added_since(before);
    EXPECT_NE(added.find("\n" + row), std::string::npos)
        << route << "\nwanted: " << row << "\nfound:" << added;
    return answer.data;
  }
  /// The rows beyond the first `before`, the newest first, each after a line feed.
  std::string added_since(uint64_t before) {
    const ApiAnswer log = with(admin_token, "GET", "/api/v1/admin/audit-logs?limit=100");
    const auto total = log.data.at("total").to_number<uint64_t>();
    std::string text;
    for (uint64_t i = 0; i + before < total; ++i) {
      text += "\n" + row_text(log.data.at("items").as_array().at(i));
    }
    return text;
  }
  static std::string id_of(const json::value& made, const char* member = "id") {
    const json::value& id = made.at(member);
    return id.is_string() ? std::string(id.as_string()) : std::to_string(id.to_number<uint64_t>());
  }

  void change_users();
  void change_nodes();
  void change_targets();
  void change_policies();
  void change_groups();
  void change_migrations();
  void change_quotas();
  void change_teams();

  std::set<std::string> called;
  std::string carl;
};

void Audit::change_users() {
  const std::string users = "/api/v1/admin/users";
  carl = id_of(change("POST " + users, {},
                      R"({"username":"carl","password":"carl's password","storage_quota":9})",
                      "root|user.create|carl|quota=9|"));
  change("PATCH " + users + "/{}", {carl}, R"({"role":"admin"})",
         "root|user.update|carl|role=admin|");
  change("PUT " + users + "/{}/password", {carl}, R"({"password":"another password"})",
         "root|user.password|carl||");
  change("POST " + users + "/{}/sessions/revoke", {carl}, "", "root|user.sessions.revoke|carl||");
  const std::string gone =
      id_of(change("POST " + users, {}, R"({"username":"gone","password":"a password of gone"})",
                   "root|user.create|gone||"));
  change("DELETE " + users + "/{}", {gone}, "", "root|user.remove|gone|inodes=1 bytes=0|");
}

void Audit::change_nodes() {
  const std::string nodes = "/api/v1/admin/remote-nodes";
  change("POST " + nodes, {}, R"({"name":"f1","namespace":"main"})", "root|node.create|f1||");
  const json::value issued = change("POST " + nodes + "/{}/enrollment-token", {"1"}, "",
                                    "root|node.enrollment_token|f1||");
  const uint64_t before = rows();
  ASSERT_EQ(enroll(issued.at("token").as_string().c_str()), 0) << enroll_output;
  EXPECT_EQ(added_since(before), "\n|node.enrolled|f1||");
  start_follower();
  ASSERT_NE(follower, nullptr);
  const std::string url = url_of(follower->port());
  change("PATCH " + nodes + "/{}", {"1"}, R"({"is_enabled":true,"base_url":")" + url + "\"}",
         "root|node.update|f1|is_enabled=true base_url=" + url + "|");
  ASSERT_EQ(api("POST", nodes + "/1/test").status, 200);
  const std::string other = id_of(
      change("POST " + nodes, {}, R"({"name":"f2","namespace":"two"})", "root|node.create|f2||"));
  change("DELETE " + nodes + "/{}", {other}, "", "root|node.remove|f2||");
}

void Audit::change_targets() {
  add_target();  // the default one, which stays
  for (const std::string name : {"storage-targets", "ingress-profiles"}) {
    const std::string all = "/api/v1/admin/remote-nodes/{}/" + name;
    const std::string key = id_of(
        change("POST " + all, {"1"}, R"({"driver_type":"local","name":"two","base_path":"two"})",
               "root|target.create|two||"),
        "target_key");
    change("PATCH " + all + "/{}", {"1", key}, R"({"name":"three","max_file_size":5})",
           "root|target.update|three|name=three max_file_size=5|");
    change("DELETE " + all + "/{}", {"1", key}, "", "root|target.remove|" + key + "||");
  }
}

void Audit::change_policies() {
  const std::string policies = "/api/v1/admin/policies";
  const json::value made =
      change("POST " + policies, {}, R"({"name":"two","driver_type":"local","base_path":"two"})",
             "root|policy.create|two||");
  EXPECT_EQ(id_of(made), "2");
  change("PATCH " + policies + "/{}", {"2"}, R"({"name":"second","chunk_size":8388608})",
         "root|policy.update|second|name=second chunk_size=8388608|");
  change("POST " + policies + "/{}/set-default", {"2"}, "", "root|policy.set_default|second||");
  change("POST " + policies + "/{}/set-default", {"1"}, "", "root|policy.set_default|local||");
  const std::string third = id_of(
      change("POST " + policies, {}, R"({"name":"three","driver_type":"local","base_path":"3"})",
             "root|policy.create|three||"));
  change("DELETE " + policies + "/{}", {third}, "", "root|policy.remove|three||");
}

void Audit::change_groups() {
  const std::string groups = "/api/v1/admin/policy-groups";
  const std::string id =
      id_of(change("POST " + groups, {}, R"({"name":"g","items":[{"policy_id":2,"priority":1}]})",
                   "root|policy_group.create|g||"));
  change("PATCH " + groups + "/{}", {id}, R"({"description":"all of it"})",
         "root|policy_group.update|g|description=\"all of it\"|");
  change("POST " + groups + "/{}/assign", {id}, R"({"user_id":)" + carl + "}",
         "root|policy_group.assign|" + id + " to user " + carl + "||");
  change("POST /api/v1/admin/policy-group-assignments/remove", {}, R"({"user_id":)" + carl + "}",
         "root|policy_group.assign|0 to user " + carl + "||");
  change("DELETE " + groups + "/{}", {id}, "", "root|policy_group.remove|g||");
}

void Audit::change_migrations() {
  const std::string migrations = "/api/v1/admin/storage-migrations";
  for (const char* path : {"m", "n"}) {
    ASSERT_EQ(api("POST", std::string("/api/v1/folders/") + path).status, 201);
    for (const char* file : {"/1", "/2"}) {
      ASSERT_EQ(
          api("PUT", std::string("/api/v1/files/") + path + file, std::string(10'000, 'x')).status,
          201);
    }
  }
  // So slow that it is never done, and that the other one waits for it.
  const std::string slow =
      id_of(change("POST " + migrations, {}, R"({"path":"/m","policy_id":2,"rate":1})",
                   "root|migration.create|1 /m||"));
  const std::string waits = id_of(change("POST " + migrations, {}, R"({"path":"/n","policy_id":2})",
                                         "root|migration.create|2 /n||"));
  change("POST " + migrations + "/{}/cancel", {waits}, "", "root|migration.cancel|2 /n||");
  change("POST " + migrations + "/{}/resume", {waits}, "", "root|migration.resume|2 /n||");
  change("POST " + migrations + "/{}/cancel", {waits}, "", "root|migration.cancel|2 /n||");
  change("POST " + migrations + "/{}/cancel", {slow}, "", "root|migration.cancel|1 /m||");
}

void Audit::change_quotas() {
  const std::string quotas = "/api/v1/admin/tree-quotas";
  const std::string set = R"({"path":"/m","quota":1000000})";
  const std::string id = id_of(change("POST " + quotas, {}, set, "root|tree_quota.set|/m|"));
  change("DELETE " + quotas + "/{}", {id}, "", "root|tree_quota.remove|/m|");
  change("POST " + quotas, {}, set, "root|tree_quota.set|/m|");
  change("POST " + quotas + "/remove", {}, R"({"path":"/m"})", "root|tree_quota.remove|/m|");
}

void Audit::change_teams() {
  const std::string teams = "/api/v1/admin/teams";
  const std::string team =
      id_of(change("POST " + teams, {}, R"({"name":"crew","admin_identifier":"ann"})",
                   "root|team.create|crew|owner=ann|"));
  change("PATCH " + teams + "/{}", {team}, R"({"storage_quota":7})",
         "root|team.update|crew|quota=7|");
  const std::string members = teams + "/{}/members";
  change("POST " + members, {team}, R"({"identifier":"carl","role":"reader"})",
         "root|team.member.add|crew|user=carl");
  change("PATCH " + members + "/{}", {team, carl}, R"({"role":"manager"})",
         "root|team.member.role|crew|user=carl role=reader->manager|");
  change("DELETE " + members + "/{}", {team, carl}, "", "root|team.member.remove|crew|user=carl|");
  change("DELETE " + teams + "/{}", {team}, "", "root|team.archive|crew||");
  change("POST " + teams + "/{}/restore", {team}, "", "root|team.restore|crew||");
  change("DELETE " + teams + "/{}", {team}, "", "root|team.archive|crew||");
  change("POST " + teams + "/{}/purge", {team}, "", "root|team.purge|crew|");
}

TEST_F(Audit, every_route_of_administration_that_changes_something_adds_a_row) {
  change_users();
  change_nodes();
  change_targets();
  change_policies();
  change_groups();
  change_migrations();
  change_quotas();
  change_teams();
  for (const std::string& route : primary->routes()) {
    const bool looks = route.starts_with("GET ") || route.starts_with("HEAD ");
    const size_t path = route.find(' ') + 1;
    if (looks || route.compare(path, kAdmin.size(), kAdmin) != 0) continue;
    const int known = static_cast<int>(called.count(route) + kChangeNothing.count(route));
    EXPECT_EQ(known, 1) << "no case for " << route;
  }
}

TEST_F(Audit, what_users_do_with_their_proofs_adds_rows) {
  token = user_token;
  const std::string accounts = "/api/v1/webdav-accounts";
  const std::string account =
      id_of(change("POST " + accounts, {}, R"({"username":"annsdav","password":"dav password"})",
                   "ann|webdav_account.create|annsdav||"));
  change("POST " + accounts + "/{}/toggle", {account}, "", "ann|webdav_account.disable|annsdav||");
  change("POST " + accounts + "/{}/toggle", {account}, "", "ann|webdav_account.enable|annsdav||");
  change("DELETE " + accounts + "/{}", {account}, "",
         "ann|webdav_account.remove|" + account + "||");
  const std::string made = id_of(
      change("POST /api/v1/auth/tokens", {}, R"({"name":"backup"})", "ann|token.create|backup|"));
  change("DELETE /api/v1/auth/tokens/{}", {made}, "", "ann|token.revoke|backup||");
  change("PUT /api/v1/auth/password", {},
         R"({"current_password":"ann's password","new_password":"another password"})",
         "ann|user.password|ann|by the user|");
  const uint64_t before = rows();
  EXPECT_EQ(login("ann", "ann's password"), "");
  EXPECT_NE(login("ann", "another password"), "");
  EXPECT_EQ(added_since(before),
            "\nann|login.accepted|ann|from 127.0.0.1|\n|login.refused|ann|from 127.0.0.1|");
  for (const char* secret : {"ann's password", "another password", "dav password"}) {
    EXPECT_EQ(audit_log().find(secret), std::string::npos) << secret;
  }
}

TEST_F(Audit, a_stranger_does_not_fill_the_log) {
  int status = 401;
  for (int tries = 0; status == 401 && tries < 100; ++tries) {
    status = send("POST", primary_url() + "/api/v1/auth/login",
                  R"({"identifier":"ann","password":"guessed"})")
                 .status;
  }
  ASSERT_EQ(status, 429);
  EXPECT_EQ(added_since(rows() - 1), "\n|login.throttled|ann|from 127.0.0.1, limit=pair|");
}

}  // namespace
}  // namespace aster

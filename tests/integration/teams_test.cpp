// Teams: trees that several users share, by every door of a primary.
#include <thread>

#include "tests/integration/people_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

class Teams : public PeopleFixture {
 protected:
  void SetUp() override {
    PeopleFixture::SetUp();
    bob_token = add_user("bob");
    const ApiAnswer made = with(admin_token, "POST", "/api/v1/admin/teams",
                                R"({"name":"crew","admin_identifier":"ann"})");
    ASSERT_EQ(made.status, 201) << made.body;
    team = "/api/v1/teams/" + std::to_string(made.data.at("id").to_number<uint64_t>());
    admin_team = "/api/v1/admin" + team.substr(7);
  }
  int add(const std::string& bearer, const std::string& name, const std::string& role) {
    const json::object body{{"identifier", name}, {"role", role}};
    return status(bearer, "POST", team + "/members", json::serialize(body));
  }
  std::string member(const std::string& name) {
    const ApiAnswer members = with(admin_token, "GET", team + "/members");
    for (const json::value& one : members.data.as_array()) {
      if (one.at("username").as_string() == name) {
        return team + "/members/" + std::to_string(one.at("user_id").to_number<uint64_t>());
      }
    }
    return team + "/members/999";
  }
  static std::string at(const std::string& path) {
    return path + (path.find('?') == std::string::npos ? "?" : "&") + "workspace=team:crew";
  }

  std::string bob_token;
  std::string team;
  std::string admin_team;
};

TEST_F(Teams, have_a_tree_of_their_own) {
  ASSERT_EQ(api("PUT", at("/api/v1/files/f"), "of the crew").status, 201);
  EXPECT_EQ(api("GET", "/api/v1/files/f").status, 404);
  EXPECT_EQ(api("GET", at("/api/v1/files/f")).body, "of the crew");
  EXPECT_EQ(status(bob_token, "GET", at("/api/v1/files/f")), 403);
  // Neither who is no member nor who administrates learns whether there is such a team.
  const ApiAnswer there = with(bob_token, "GET", at("/api/v1/info"));
  const ApiAnswer nowhere = with(bob_token, "GET", "/api/v1/info?workspace=team:none");
  EXPECT_EQ(there.status, 403);
  EXPECT_EQ(nowhere.status, 403);
  EXPECT_EQ(status(admin_token, "GET", at("/api/v1/files/f")), 403);
  ASSERT_EQ(add(user_token, "bob", "member"), 201);
  EXPECT_EQ(with(bob_token, "GET", at("/api/v1/files/f")).body, "of the crew");
  EXPECT_EQ(status(bob_token, "PUT", at("/api/v1/files/g"), "by bob"), 201);
  EXPECT_EQ(status(bob_token, "GET", "/api/v1/files/g?workspace=crew"), 403);
}

TEST_F(Teams, let_readers_only_read) {
  ASSERT_EQ(api("PUT", at("/api/v1/files/f"), "x").status, 201);
  ASSERT_EQ(add(user_token, "bob", "reader"), 201);
  EXPECT_EQ(status(bob_token, "GET", at("/api/v1/files/f")), 200);
  EXPECT_EQ(status(bob_token, "PUT", at("/api/v1/files/f"), "y"), 403);
  EXPECT_EQ(status(bob_token, "DELETE", at("/api/v1/files/f")), 403);
  PrimaryClient& client = client_of(bob_token);
  const auto opened = run_blocking(client.open_session({"test", "team:crew"}));
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  fs::Create create{.parent = opened->root, .name = "x"};
  EXPECT_TRUE(run_blocking(client.call<fs::Attr>(create)).failed_with(Errc::read_only));
  EXPECT_TRUE(with(bob_token, "GET", at("/api/v1/auth/me")).data.at("read_only").as_bool());
  // A new role holds at once, in the same session.
  EXPECT_EQ(status(user_token, "PATCH", member("bob"), R"({"role":"member"})"), 200);
  EXPECT_TRUE(run_blocking(client.call<fs::Attr>(create)).ok());
}

TEST_F(Teams, that_a_member_leaves_end_the_sessions_there_and_only_there) {
  ASSERT_EQ(add(user_token, "bob", "member"), 201);
  PrimaryClient& shared = client_of(bob_token);
  PrimaryClient& own = client_of(bob_token);
  const auto opened = run_blocking(shared.open_session({"test", "team:crew"}));
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  const auto other = run_blocking(own.open_session({"test", ""}));
  ASSERT_TRUE(other.ok());
  Following events(shared);
  const json::object account{
      {"username", "bobdav"}, {"password", "bobdav's password"}, {"workspace", "team:crew"}};
  ASSERT_EQ(status(bob_token, "POST", "/api/v1/webdav-accounts", json::serialize(account)), 201);
  ASSERT_EQ(basic("bobdav:bobdav's password", "PUT", "/webdav/f", "x"), 201);
  EXPECT_EQ(api("GET", at("/api/v1/files/f")).body, "x");

  EXPECT_EQ(api("DELETE", member("bob")).status, 200);
  events.wait_for_end();
  EXPECT_TRUE(
      run_blocking(shared.call<fs::Attr>(fs::GetAttr{opened->root})).failed_with(Errc::forbidden));
  EXPECT_EQ(status(bob_token, "GET", at("/api/v1/files/f")), 403);
  EXPECT_EQ(basic("bobdav:bobdav's password", "GET", "/webdav/f"), 403);
  EXPECT_TRUE(run_blocking(own.call<fs::Attr>(fs::GetAttr{other->root})).ok());
}

TEST_F(Teams, are_run_by_their_owners_and_managers) {
  const std::string carl_token = add_user("carl");
  EXPECT_EQ(add(bob_token, "bob", "owner"), 404);
  ASSERT_EQ(add(user_token, "bob", "manager"), 201);
  EXPECT_EQ(add(user_token, "bob", "member"), 409);
  EXPECT_EQ(add(user_token, "nobody", "member"), 404);
  EXPECT_EQ(add(user_token, "carl", "king"), 400);
  EXPECT_EQ(add(bob_token, "carl", "manager"), 403);
  EXPECT_EQ(add(bob_token, "carl", "member"), 201);
  EXPECT_EQ(status(carl_token, "GET", team + "/members"), 200);
  EXPECT_EQ(status(carl_token, "PATCH", member("carl"), R"({"role":"owner"})"), 403);
  EXPECT_EQ(status(bob_token, "PATCH", member("bob"), R"({"role":"owner"})"), 403);
  EXPECT_EQ(status(bob_token, "PATCH", member("ann"), R"({"role":"reader"})"), 403);
  EXPECT_EQ(status(bob_token, "DELETE", member("ann")), 403);
  EXPECT_EQ(api("DELETE", member("ann")).status, 412);  // the last owner
  EXPECT_EQ(api("PATCH", member("ann"), R"({"role":"member"})").status, 412);
  EXPECT_EQ(api("PATCH", member("bob"), R"({"role":"owner"})").status, 200);
  EXPECT_EQ(api("DELETE", member("ann")).status, 200);
  EXPECT_EQ(api("GET", team).status, 404);
  EXPECT_EQ(status(carl_token, "DELETE", member("carl")), 200);  // everybody may leave
  // Administrators run every team, without being in it.
  EXPECT_EQ(status(carl_token, "GET", "/api/v1/admin/teams"), 403);
  EXPECT_EQ(status(admin_token, "PATCH", admin_team, R"({"name":"other"})"), 400);
  EXPECT_EQ(status(admin_token, "POST", admin_team + "/members",
                   R"({"identifier":"ann","role":"owner"})"),
            201);
  const std::string log = audit_log();
  for (const char* line : {"root|team.create|crew|owner=ann|", "bob|team.member.add|crew|user=carl",
                           "ann|team.member.role|crew|user=bob role=manager->owner|",
                           "carl|team.member.remove|crew|user=carl|"}) {
    EXPECT_NE(log.find(line), std::string::npos) << line << "\n" << log;
  }
}

TEST_F(Teams, that_are_archived_are_closed_and_come_back_whole) {
  ASSERT_EQ(api("PUT", at("/api/v1/files/f"), "x").status, 201);
  PrimaryClient& client = client_of(user_token);
  ASSERT_TRUE(run_blocking(client.open_session({"test", "team:crew"})).ok());
  Following events(client);
  EXPECT_EQ(status(user_token, "DELETE", admin_team), 403);
  EXPECT_EQ(status(admin_token, "DELETE", admin_team), 200);
  events.wait_for_end();
  EXPECT_EQ(api("GET", at("/api/v1/files/f")).status, 403);
  EXPECT_EQ(api("GET", "/api/v1/teams").data.as_array().size(), 0u);
  EXPECT_EQ(status(admin_token, "POST", "/api/v1/admin/teams",
                   R"({"name":"crew","admin_identifier":"ann"})"),
            409);
  EXPECT_EQ(status(admin_token, "POST", admin_team + "/restore"), 200);
  EXPECT_EQ(api("GET", at("/api/v1/files/f")).body, "x");
}

TEST_F(Teams, quota_is_the_teams_and_is_never_exceeded) {
  constexpr int kWriters = 16;
  constexpr size_t kFile = 10'000;
  ASSERT_EQ(status(admin_token, "PATCH", admin_team, R"({"storage_quota":100000})"), 200);
  ASSERT_EQ(add(user_token, "bob", "member"), 201);
  std::atomic<int> stored{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      const std::string& bearer = i % 2 == 0 ? user_token : bob_token;
      const int got =
          status(bearer, "PUT", at("/api/v1/files/n" + std::to_string(i)), std::string(kFile, 'x'));
      if (got == 201) ++stored;
      if (got == 507) ++refused;
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(stored, 10);
  EXPECT_EQ(refused, kWriters - 10);
  const ApiAnswer shown = api("GET", team);
  EXPECT_EQ(shown.data.at("storage_used").to_number<uint64_t>(), 100'000u);
  EXPECT_EQ(shown.data.at("storage_quota").to_number<uint64_t>(), 100'000u);
  // Each user's own tree has nothing to do with it.
  EXPECT_EQ(api("PUT", "/api/v1/files/own", std::string(kFile, 'x')).status, 201);
  PrimaryClient& client = client_of(bob_token);
  const auto opened = run_blocking(client.open_session({"test", "team:crew"}));
  ASSERT_TRUE(opened.ok());
  const auto room = run_blocking(client.call<fs::StatFsAnswer>(fs::StatFs{opened->root}));
  ASSERT_TRUE(room.ok()) << room.error().message();
  EXPECT_EQ(room->total_bytes, 100'000u);
  EXPECT_EQ(room->free_bytes, 0u);
  // All of it is free again at once, also what those who were refused had brought.
  for (int i = 0; i < kWriters; ++i) {
    const int gone = status(user_token, "DELETE", at("/api/v1/files/n" + std::to_string(i)));
    EXPECT_TRUE(gone == 200 || gone == 404) << gone;
  }
  EXPECT_EQ(api("PUT", at("/api/v1/files/all"), std::string(100'000, 'x')).status, 201);
  EXPECT_EQ(api("PUT", at("/api/v1/files/more"), "x").status, 507);
}

TEST_F(Teams, folders_have_quotas_that_are_never_exceeded) {
  constexpr int kWriters = 16;
  constexpr size_t kFile = 10'000;
  const std::string quotas = "/api/v1/admin/tree-quotas";
  ASSERT_EQ(api("POST", at("/api/v1/folders/d/sub?parents=true")).status, 201);
  ASSERT_EQ(api("PUT", at("/api/v1/files/d/there"), std::string(5'000, 'x')).status, 201);
  EXPECT_EQ(
      status(user_token, "POST", quotas, R"({"workspace":"team:crew","path":"/d","quota":9})"),
      403);
  EXPECT_EQ(status(admin_token, "POST", quotas,
                   R"({"workspace":"team:none","path":"/d","quota":105000})"),
            404);
  EXPECT_EQ(status(admin_token, "POST", quotas, R"({"workspace":"crew","path":"/d","quota":1})"),
            400);
  EXPECT_EQ(
      status(admin_token, "POST", quotas, R"({"workspace":"team:crew","path":"/d","quota":0})"),
      400);
  const ApiAnswer made =
      with(admin_token, "POST", quotas, R"({"workspace":"team:crew","path":"/d","quota":105000})");
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(made.data.at("used").to_number<int>(), 5'000);
  EXPECT_EQ(made.data.at("state").as_string(), "active");
  std::atomic<int> stored{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      const std::string path = (i % 2 == 0 ? "d/n" : "d/sub/n") + std::to_string(i);
      const int got =
          status(user_token, "PUT", at("/api/v1/files/" + path), std::string(kFile, 'x'));
      if (got == 201) ++stored;
      if (got == 507) ++refused;
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(stored, 10);
  EXPECT_EQ(refused, kWriters - 10);
  const ApiAnswer all = with(admin_token, "GET", quotas);
  EXPECT_EQ(all.data.at("total").to_number<int>(), 1);
  EXPECT_EQ(all.data.at("items").as_array()[0].at("used").to_number<int>(), 105'000);
  EXPECT_EQ(api("PUT", at("/api/v1/files/outside"), std::string(kFile, 'x')).status, 201);
  EXPECT_EQ(api("POST", at("/api/v1/move"), R"({"from":"/d/there","to":"/there"})").status, 409);
  EXPECT_EQ(
      status(admin_token, "POST", quotas + "/remove", R"({"workspace":"team:crew","path":"/d"})"),
      200);
  EXPECT_EQ(
      status(admin_token, "POST", quotas + "/remove", R"({"workspace":"team:crew","path":"/d"})"),
      404);
  EXPECT_EQ(api("POST", at("/api/v1/move"), R"({"from":"/d/there","to":"/there"})").status, 200);
  EXPECT_NE(audit_log().find("root|tree_quota.set|/d|"), std::string::npos) << audit_log();
}

TEST_F(Teams, are_purged_when_they_are_archived) {
  ASSERT_EQ(api("PUT", at("/api/v1/files/f"), "of the crew").status, 201);
  ASSERT_EQ(api("PUT", "/api/v1/files/own", "ann's").status, 201);
  EXPECT_EQ(status(admin_token, "POST", admin_team + "/purge"), 412);
  EXPECT_EQ(status(user_token, "POST", admin_team + "/purge"), 403);
  ASSERT_EQ(status(admin_token, "DELETE", admin_team), 200);
  const ApiAnswer begun = with(admin_token, "POST", admin_team + "/purge");
  ASSERT_EQ(begun.status, 202) << begun.body;
  EXPECT_EQ(begun.data.at("inodes_left").to_number<int>(), 2);
  EXPECT_EQ(status(admin_token, "POST", admin_team + "/restore"), 404);
  EXPECT_EQ(with(admin_token, "GET", "/api/v1/admin/team-purges").data.as_array().size(), 1u);
  EXPECT_NE(audit_log().find("root|team.purge|crew|inodes=2 bytes=11|"), std::string::npos)
      << audit_log();
  // The name is free again; the new team has nothing of the old one.
  ASSERT_EQ(status(admin_token, "POST", "/api/v1/admin/teams",
                   R"({"name":"crew","admin_identifier":"ann"})"),
            201);
  EXPECT_EQ(api("GET", at("/api/v1/files/f")).status, 404);
  EXPECT_EQ(api("GET", "/api/v1/files/own").body, "ann's");
}

TEST_F(Teams, are_described_archived_and_restored_by_their_owners) {
  ASSERT_EQ(add(user_token, "bob", "manager"), 201);
  const ApiAnswer described = api("PATCH", team, R"({"description":"all of us"})");
  ASSERT_EQ(described.status, 200) << described.body;
  EXPECT_EQ(described.data.at("description").as_string(), "all of us");
  for (const char* theirs : {R"({"storage_quota":0})", R"({"policy_group_id":0})"}) {
    EXPECT_EQ(api("PATCH", team, theirs).status, 403) << theirs;
  }
  EXPECT_EQ(status(bob_token, "PATCH", team, R"({"description":"mine"})"), 403);
  EXPECT_EQ(status(bob_token, "DELETE", team), 403);
  EXPECT_EQ(api("POST", "/api/v1/teams", R"({"name":"more","admin_user_id":2})").status, 403);

  EXPECT_TRUE(api("DELETE", team).data.at("is_archived").as_bool());
  EXPECT_EQ(api("GET", at("/api/v1/files")).status, 403) << "nobody enters";
  EXPECT_EQ(status(bob_token, "POST", team + "/restore"), 403);
  EXPECT_EQ(status(add_user("carl"), "POST", team + "/restore"), 404);
  EXPECT_FALSE(api("POST", team + "/restore").data.at("is_archived").as_bool());
  EXPECT_EQ(status(bob_token, "PUT", at("/api/v1/files/f"), "x"), 201);
  EXPECT_NE(audit_log().find("ann|team.archive|crew|"), std::string::npos) << audit_log();
  EXPECT_EQ(status(admin_token, "POST", "/api/v1/teams", R"({"name":"two","admin_user_id":1})"),
            201);
}

TEST_F(Teams, have_managers_that_others_call_admin) {
  ASSERT_EQ(add(user_token, "bob", "admin"), 201);
  const ApiAnswer shown = api("PATCH", member("bob"), R"({"role":"admin"})");
  ASSERT_EQ(shown.status, 200) << shown.body;
  EXPECT_EQ(shown.data.at("role").as_string(), "manager");
  add_user("carl");
  EXPECT_EQ(add(bob_token, "carl", "admin"), 403) << "no more than a manager";
  EXPECT_EQ(add(bob_token, "carl", "member"), 201);
}

TEST_F(Teams, get_policy_groups_by_name) {
  const ApiAnswer group =
      with(admin_token, "POST", "/api/v1/admin/policy-groups", R"({"name":"g"})");
  ASSERT_EQ(group.status, 201) << group.body;
  const std::string path =
      "/api/v1/admin/policy-groups/" + std::to_string(group.data.at("id").to_number<uint64_t>());
  EXPECT_EQ(status(admin_token, "POST", path + "/assign", R"({"workspace":"team:none"})"), 404);
  EXPECT_EQ(
      status(admin_token, "POST", path + "/assign", R"({"workspace":"team:crew","user_id":1})"),
      400);
  ASSERT_EQ(status(admin_token, "POST", path + "/assign", R"({"workspace":"team:crew"})"), 200);
  EXPECT_EQ(with(admin_token, "GET", path).data.at("workspace_ids").as_array().size(), 1u);
  EXPECT_NE(audit_log().find("to team:crew|"), std::string::npos) << audit_log();
}

TEST_F(Teams, get_policy_groups_with_what_else_is_said_of_them) {
  const std::string teams = "/api/v1/admin/teams";
  ASSERT_EQ(status(admin_token, "POST", "/api/v1/admin/policy-groups", R"({"name":"g"})"), 201);
  EXPECT_EQ(
      status(admin_token, "POST", teams, R"({"name":"two","admin_user_id":1,"policy_group_id":9})"),
      404);
  const ApiAnswer made =
      with(admin_token, "POST", teams, R"({"name":"two","admin_user_id":1,"policy_group_id":1})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.data.at("policy_group_id").to_number<uint64_t>(), 1u);
  const ApiAnswer group = with(admin_token, "GET", "/api/v1/admin/policy-groups/1");
  EXPECT_EQ(group.data.at("workspace_ids").as_array().size(), 1u);
  const std::string two = teams + "/" + std::to_string(made.data.at("id").to_number<uint64_t>());
  EXPECT_EQ(status(admin_token, "PATCH", two, R"({"policy_group_id":9})"), 404);
  const ApiAnswer changed =
      with(admin_token, "PATCH", two, R"({"description":"d","policy_group_id":0})");
  EXPECT_TRUE(changed.data.at("policy_group_id").is_null());
  EXPECT_NE(audit_log().find("team.update|two|description group=0|"), std::string::npos)
      << audit_log();
}

TEST_F(Teams, keep_their_last_owner) {
  const std::string ann = "/api/v1/admin/users/2";
  const ApiAnswer refused = with(admin_token, "DELETE", ann);
  EXPECT_EQ(refused.status, 412);
  EXPECT_NE(refused.msg.find("last owner of team crew"), std::string::npos) << refused.msg;
  ASSERT_EQ(add(user_token, "bob", "owner"), 201);
  EXPECT_EQ(status(admin_token, "DELETE", ann), 200);
  EXPECT_EQ(with(bob_token, "GET", team + "/members").data.as_array().size(), 1u);
}

TEST_F(Teams, are_places_for_tokens) {
  ASSERT_EQ(api("POST", at("/api/v1/folders/d")).status, 201);
  const std::string part = limited("part", false, {"team:crew/d"});
  EXPECT_EQ(status(part, "PUT", at("/api/v1/files/d/f"), "x"), 201);
  EXPECT_EQ(status(part, "PUT", at("/api/v1/files/f"), "x"), 403);
  EXPECT_EQ(status(part, "PUT", "/api/v1/files/d/f", "x"), 403);
  const std::string whole = limited("whole", true, {"team:crew"});
  EXPECT_EQ(status(whole, "GET", at("/api/v1/files/d/f")), 200);
  EXPECT_EQ(status(whole, "PUT", at("/api/v1/files/d/f"), "y"), 403);
  EXPECT_EQ(status(whole, "GET", "/api/v1/folders"), 403);
  EXPECT_TRUE(run_blocking(client_of(whole).open_session({"test", "team:crew"})).ok());
  EXPECT_TRUE(
      run_blocking(client_of(whole).open_session({"test", ""})).failed_with(Errc::forbidden));
}

}  // namespace
}  // namespace aster

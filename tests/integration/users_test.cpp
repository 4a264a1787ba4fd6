// Accounts, as an administrator lists, logs out and removes them.
#include "tests/integration/people_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

class Users : public PeopleFixture {
 protected:
  int as_admin(const std::string& method, const std::string& path, std::string body = {}) {
    return status(admin_token, method, kUsers + path, std::move(body));
  }
  /// The names that the list has with this query, the first one first.
  std::string listed(const std::string& query) {
    const ApiAnswer answer = with(admin_token, "GET", kUsers + "?" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::string names;
    for (const json::value& user : answer.data.at("items").as_array()) {
      names += (names.empty() ? "" : " ") + std::string(user.at("username").as_string());
    }
    return names;
  }

  static inline const std::string kUsers = "/api/v1/admin/users";
};

TEST_F(Users, are_found_by_keyword_role_and_status) {
  add_user("Hannah");
  add_user("bob");
  ASSERT_EQ(as_admin("PATCH", "/4", R"({"status":"disabled"})"), 200);
  EXPECT_EQ(listed("keyword=ann"), "ann Hannah");
  EXPECT_EQ(listed("keyword=HANN"), "Hannah");
  EXPECT_EQ(listed("keyword=%25"), "");
  EXPECT_EQ(listed("role=admin"), "root");
  EXPECT_EQ(listed("status=disabled"), "bob");
  EXPECT_EQ(listed("role=user&status=active&limit=1&offset=1"), "Hannah");
  EXPECT_EQ(with(admin_token, "GET", kUsers + "?role=user&limit=1").data.at("total").as_int64(), 3);
  EXPECT_EQ(as_admin("GET", "?role=king"), 400);
  EXPECT_EQ(as_admin("GET", "?status=asleep"), 400);
}

TEST_F(Users, are_logged_out_everywhere) {
  const std::string second = login("ann", "ann's password");
  PrimaryClient& client = client_of(second);
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  Following events(client);
  EXPECT_EQ(as_admin("POST", "/2/sessions/revoke"), 200);
  events.wait_for_end();
  EXPECT_EQ(status(user_token, "GET", "/api/v1/auth/me"), 401);
  EXPECT_EQ(status(second, "GET", "/api/v1/auth/me"), 401);
  EXPECT_EQ(status(admin_token, "GET", "/api/v1/auth/me"), 200);
  EXPECT_EQ(status(login("ann", "ann's password"), "GET", "/api/v1/auth/me"), 200);
  EXPECT_EQ(as_admin("POST", "/9/sessions/revoke"), 404);
  EXPECT_NE(audit_log().find("root|user.sessions.revoke|ann||"), std::string::npos) << audit_log();
}

TEST_F(Users, with_files_stay_unless_the_files_go_too) {
  ASSERT_EQ(api("PUT", "/api/v1/files/f", "content").status, 201);
  const ApiAnswer refused = with(admin_token, "DELETE", kUsers + "/2");
  EXPECT_EQ(refused.status, 412);
  EXPECT_NE(refused.msg.find("ann has files"), std::string::npos) << refused.msg;
  EXPECT_EQ(as_admin("DELETE", "/2?force=perhaps"), 400);
  EXPECT_EQ(api("GET", "/api/v1/files/f").body, "content");

  EXPECT_EQ(as_admin("DELETE", "/2?force=true"), 200);
  EXPECT_EQ(api("GET", "/api/v1/files/f").status, 401);
  EXPECT_EQ(login("ann", "ann's password"), "");
  EXPECT_EQ(as_admin("GET", "/2"), 404);
  EXPECT_EQ(as_admin("DELETE", "/2"), 404);
  // The name is free again; the new account has nothing of the old one.
  token = add_user("ann");
  EXPECT_EQ(api("GET", "/api/v1/files/f").status, 404);
}

TEST_F(Users, without_files_go_with_all_that_is_theirs) {
  ASSERT_EQ(status(admin_token, "POST", "/api/v1/admin/policy-groups",
                   R"({"name":"g","items":[{"policy_id":1,"priority":1}]})"),
            201);
  ASSERT_EQ(as_admin("PATCH", "/2", R"({"policy_group_id":1})"), 200);
  const json::object account{{"username", "anndav"}, {"password", "anndav's password"}};
  ASSERT_EQ(api("POST", "/api/v1/webdav-accounts", json::serialize(account)).status, 201);
  ASSERT_EQ(basic("anndav:anndav's password", "GET", "/webdav/f"), 404);
  ASSERT_EQ(api("PUT", "/api/v1/files/f", "content").status, 201);
  ASSERT_EQ(api("DELETE", "/api/v1/files/f").status, 200);
  make_token({{"name", "backup"}});
  PrimaryClient& client = client_of(user_token);
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  Following events(client);

  EXPECT_EQ(as_admin("DELETE", "/2"), 200);
  events.wait_for_end();
  EXPECT_EQ(basic("anndav:anndav's password", "GET", "/webdav/f"), 401);
  EXPECT_EQ(status(admin_token, "DELETE", "/api/v1/admin/policy-groups/1"), 200)
      << "nobody has it any more";
  EXPECT_NE(audit_log().find("ann|token.create|backup|"), std::string::npos)
      << "who did what is still known\n"
      << audit_log();
}

TEST_F(Users, do_not_remove_themselves_nor_the_last_administrator) {
  EXPECT_EQ(as_admin("DELETE", "/1"), 412);
  ASSERT_EQ(as_admin("PATCH", "/2", R"({"role":"admin"})"), 200);
  EXPECT_EQ(as_admin("DELETE", "/1"), 412);
  EXPECT_EQ(status(user_token, "DELETE", kUsers + "/1"), 200);
  EXPECT_EQ(status(user_token, "DELETE", kUsers + "/2"), 412);
}

}  // namespace
}  // namespace aster

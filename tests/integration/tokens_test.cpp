// Tokens with limits, at every door of a primary.
#include "tests/integration/people_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

class Tokens : public PeopleFixture {
 protected:
  void SetUp() override {
    PeopleFixture::SetUp();
    for (const char* folder : {"a", "a/sub", "b"}) {
      ASSERT_EQ(api("POST", std::string("/api/v1/folders/") + folder).status, 201);
    }
    ASSERT_EQ(api("PUT", "/api/v1/files/a/f", "of a").status, 201);
    ASSERT_EQ(api("PUT", "/api/v1/files/b/f", "of b").status, 201);
  }
  /// Of administration.
  std::string user_path(const std::string& name) {
    const ApiAnswer users = with(admin_token, "GET", "/api/v1/admin/users");
    for (const json::value& user : users.data.at("items").as_array()) {
      if (user.at("username").as_string() == name) {
        return "/api/v1/admin/users/" + std::to_string(user.at("id").to_number<uint64_t>());
      }
    }
    return "/api/v1/admin/users/999";
  }
};

TEST_F(Tokens, are_shown_once_listed_and_revoked) {
  const json::value made =
      make_token({{"name", "backup"}, {"read_only", true}, {"expires_in", 3600}});
  const std::string secret = made.at("token").as_string().c_str();
  EXPECT_EQ(status(secret, "GET", "/api/v1/files/a/f"), 200);
  const ApiAnswer list = api("GET", "/api/v1/auth/tokens");
  ASSERT_EQ(list.status, 200);
  EXPECT_EQ(list.body.find(secret), std::string::npos);
  const json::array& items = list.data.at("items").as_array();
  ASSERT_EQ(items.size(), 2u);  // the login and this one
  EXPECT_TRUE(items[0].at("is_current").as_bool());
  EXPECT_EQ(items[1].at("name").as_string(), "backup");
  EXPECT_TRUE(items[1].at("read_only").as_bool());
  EXPECT_FALSE(items[1].at("last_used_at").is_null());
  const std::string path =
      "/api/v1/auth/tokens/" + std::to_string(made.at("id").to_number<uint64_t>());
  EXPECT_EQ(status(admin_token, "DELETE", path), 404);  // another user's
  EXPECT_EQ(api("DELETE", path).status, 200);
  EXPECT_EQ(status(secret, "GET", "/api/v1/files/a/f"), 401);
  EXPECT_EQ(api("DELETE", path).status, 404);
}

TEST_F(Tokens, ask_for_sensible_names_and_limits) {
  const auto create = [&](const char* body) {
    return api("POST", "/api/v1/auth/tokens", body).status;
  };
  EXPECT_EQ(create("{}"), 400);
  EXPECT_EQ(create(R"({"name":"login"})"), 400);
  EXPECT_EQ(create(R"({"name":"a b"})"), 400);
  EXPECT_EQ(create(R"({"name":"x","paths":["a"]})"), 400);
  EXPECT_EQ(create(R"({"name":"x","paths":["/../a"]})"), 400);
  EXPECT_EQ(create(R"({"name":"x","expires_in":99999999999})"), 400);
  EXPECT_EQ(create(R"({"name":"x","expires_in":0})"), 201);
  EXPECT_EQ(create(R"({"name":"x"})"), 409);
}

TEST_F(Tokens, that_only_read_change_nothing_at_any_door) {
  const std::string bearer = limited("ro", true, {});
  EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a/f"), 200);
  EXPECT_EQ(status(bearer, "PUT", "/api/v1/files/a/f", "x"), 403);
  EXPECT_EQ(status(bearer, "PUT", "/api/v1/files/new", "x"), 403);
  EXPECT_EQ(status(bearer, "DELETE", "/api/v1/files/a/f"), 403);
  EXPECT_EQ(status(bearer, "DELETE", "/api/v1/files/a?recursive=true"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/folders/c"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/copy", R"({"from":"/a/f","to":"/g"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/move", R"({"from":"/a/f","to":"/g"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/uploads", R"({"path":"/g","total_size":1})"), 403);
  for (const char* method : {"PUT", "DELETE", "MKCOL"}) {
    EXPECT_EQ(status(bearer, method, "/webdav/new" + std::string(*method == 'D' ? "/../a/f" : "")),
              *method == 'D' ? 400 : 403)
        << method;
  }
  EXPECT_EQ(status(bearer, "DELETE", "/webdav/a/f"), 403);
  EXPECT_EQ(status(bearer, "PROPFIND", "/webdav/a", {}, {{"Depth", "1"}}), 207);
  PrimaryClient& client = client_of(bearer);
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_TRUE(run_blocking(client.call<fs::Attr>(fs::Lookup{opened->root, "a"})).ok());
  fs::Create create{.parent = opened->root, .name = "x"};
  EXPECT_TRUE(run_blocking(client.call<fs::Attr>(create)).failed_with(Errc::read_only));
  fs::Grant grant{};
  grant.ino = opened->root;
  grant.count = 1;
  EXPECT_TRUE(run_blocking(client.call<fs::UploadGrants>(grant)).failed_with(Errc::read_only));
  EXPECT_TRUE(with(bearer, "GET", "/api/v1/auth/me").data.at("read_only").as_bool());
  EXPECT_EQ(with(user_token, "GET", "/api/v1/files/a/f").body, "of a");
}

TEST_F(Tokens, for_folders_see_nothing_else_over_http) {
  const std::string bearer = limited("a", false, {"/a", "/not/yet"});
  EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a/f"), 200);
  EXPECT_EQ(status(bearer, "PUT", "/api/v1/files/a/sub/new", "x"), 201);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/folders/a/x/y?parents=true"), 201);
  EXPECT_EQ(status(bearer, "GET", "/api/v1/search/a?q=f"), 200);
  for (const char* path : {"/b/f", "", "/", "/b", "/ab", "/%61b", "/none"}) {
    EXPECT_EQ(status(bearer, "GET", std::string("/api/v1/info") + path), 403) << path;
    EXPECT_EQ(status(bearer, "GET", std::string("/api/v1/folders") + path), 403) << path;
    EXPECT_EQ(status(bearer, "GET", std::string("/api/v1/search") + path + "?q=f"), 403) << path;
  }
  EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a/../b/f"), 400);
  EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a/%2e%2e/b/f"), 400);
  EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a%2f..%2fb/f"), 400);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/copy", R"({"from":"/b/f","to":"/a/stolen"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/move", R"({"from":"/a/f","to":"/b/given"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/uploads", R"({"path":"/b/g","total_size":1})"), 403);
  // The folder itself has its place in what is not the token's.
  EXPECT_EQ(status(bearer, "DELETE", "/api/v1/files/a?recursive=true"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/move", R"({"from":"/a","to":"/a2"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/copy", R"({"from":"/a/f","to":"/a","overwrite":true})"),
            400);
  EXPECT_EQ(status(bearer, "DELETE", "/api/v1/files/a/f"), 200);
}

TEST_F(Tokens, for_folders_share_no_uploads_with_others) {
  const std::string other = limited("b", false, {"/b"});
  const ApiAnswer begun = api("POST", "/api/v1/uploads", R"({"path":"/a/up","total_size":3})");
  ASSERT_EQ(begun.status, 201);
  const std::string upload =
      std::string("/api/v1/uploads/") + begun.data.at("upload_id").as_string().c_str();
  EXPECT_EQ(status(other, "GET", upload), 404);
  EXPECT_EQ(status(other, "PUT", upload + "/0", "abc"), 404);
  EXPECT_EQ(status(other, "POST", upload + "/complete"), 404);
  EXPECT_EQ(status(other, "DELETE", upload), 404);
  EXPECT_EQ(api("PUT", upload + "/0", "abc").status, 200);
  EXPECT_EQ(api("POST", upload + "/complete").status, 201);
}

TEST_F(Tokens, for_folders_do_not_write_where_their_folder_was_moved_to) {
  const std::string bearer = limited("a", false, {"/a"});
  const ApiAnswer begun =
      with(bearer, "POST", "/api/v1/uploads", R"({"path":"/a/sub/up","total_size":3})");
  ASSERT_EQ(begun.status, 201) << begun.body;
  const std::string upload =
      std::string("/api/v1/uploads/") + begun.data.at("upload_id").as_string().c_str();
  EXPECT_EQ(status(bearer, "PUT", upload + "/0", "abc"), 200);
  ASSERT_EQ(api("POST", "/api/v1/move", R"({"from":"/a/sub","to":"/b/sub"})").status, 200);
  EXPECT_EQ(status(bearer, "POST", upload + "/complete"), 412);
  ASSERT_EQ(api("POST", "/api/v1/move", R"({"from":"/b/sub","to":"/a/sub"})").status, 200);
  EXPECT_EQ(status(bearer, "POST", upload + "/complete"), 201);
}

TEST_F(Tokens, for_folders_see_nothing_else_over_webdav) {
  const std::string bearer = limited("a", false, {"/a"});
  EXPECT_EQ(status(bearer, "GET", "/webdav/a/f"), 200);
  EXPECT_EQ(status(bearer, "PUT", "/webdav/a/g", "x"), 201);
  for (const char* path : {"/", "/b", "/b/f", "/ab"}) {
    EXPECT_EQ(status(bearer, "PROPFIND", std::string("/webdav") + path, {}, {{"Depth", "1"}}), 403)
        << path;
  }
  EXPECT_EQ(status(bearer, "GET", "/webdav/b/f"), 403);
  EXPECT_EQ(status(bearer, "PUT", "/webdav/b/f", "x"), 403);
  EXPECT_EQ(status(bearer, "MOVE", "/webdav/a/f", {}, {{"Destination", "/webdav/b/x"}}), 403);
  EXPECT_EQ(status(bearer, "COPY", "/webdav/b/f", {}, {{"Destination", "/webdav/a/x"}}), 403);
  EXPECT_EQ(status(bearer, "MOVE", "/webdav/a/", {}, {{"Destination", "/webdav/a2"}}), 403);
  EXPECT_EQ(status(bearer, "DELETE", "/webdav/a/"), 403);
  EXPECT_EQ(basic("ann:" + bearer, "GET", "/webdav/a/f"), 200);
  EXPECT_EQ(basic("ann:" + bearer, "GET", "/webdav/b/f"), 403);
}

TEST_F(Tokens, for_folders_open_no_mounts) {
  const std::string bearer = limited("a", false, {"/a"});
  const auto opened = run_blocking(client_of(bearer).open_session({"test", ""}));
  ASSERT_TRUE(opened.failed_with(Errc::forbidden));
  EXPECT_NE(opened.error().message().find("whole tree"), std::string::npos);
  // Nor do they use the session of a whole token.
  const auto session = run_blocking(client_of(user_token).open_session({"test", ""}));
  ASSERT_TRUE(session.ok());
  const std::string body = R"({"session":)" + std::to_string(session->session.value) +
                           R"(,"ops":[{"op":"getattr","ino":)" +
                           std::to_string(session->root.value) + "}]}";
  EXPECT_EQ(status(user_token, "POST", "/api/v1/fs/batch", body), 200);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/fs/batch", body), 403);
  EXPECT_EQ(status(admin_token, "POST", "/api/v1/fs/batch", body), 410);
  EXPECT_EQ(
      status(bearer, "GET", "/api/v1/fs/events?session=" + std::to_string(session->session.value)),
      403);
  const std::string whole = limited("root", true, {"/"});
  EXPECT_TRUE(run_blocking(client_of(whole).open_session({"test", ""})).ok());
}

TEST_F(Tokens, with_limits_manage_nothing) {
  token = admin_token;
  const std::string bearer = limited("ro", true, {});
  for (const char* path :
       {"/api/v1/admin/users", "/api/v1/admin/overview", "/api/v1/admin/audit-logs",
        "/api/v1/auth/tokens", "/api/v1/webdav-accounts"}) {
    EXPECT_EQ(status(bearer, "GET", path), 403) << path;
  }
  EXPECT_EQ(status(bearer, "POST", "/api/v1/auth/tokens", R"({"name":"more"})"), 403);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/webdav-accounts", R"({"username":"w"})"), 403);
  EXPECT_EQ(status(bearer, "PUT", "/api/v1/auth/password",
                   R"({"current_password":"root password","new_password":"12345678"})"),
            403);
  EXPECT_EQ(status(bearer, "GET", "/api/v1/auth/me"), 200);
  EXPECT_EQ(status(bearer, "POST", "/api/v1/auth/logout"), 200);
  EXPECT_EQ(status(bearer, "GET", "/api/v1/auth/me"), 401);
}

TEST_F(Tokens, that_are_revoked_end_event_streams_and_sessions) {
  const json::value made = make_token({{"name", "mount"}});
  PrimaryClient& client = client_of(made.at("token").as_string().c_str());
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok());
  Following events(client);
  const std::string path =
      "/api/v1/auth/tokens/" + std::to_string(made.at("id").to_number<uint64_t>());
  EXPECT_EQ(api("DELETE", path).status, 200);
  events.wait_for_end();
  const std::string session = "/api/v1/fs/events?session=" + std::to_string(opened->session.value);
  EXPECT_EQ(api("GET", session).status, 410);
}

TEST_F(Tokens, of_a_disabled_user_end_with_all_that_uses_them) {
  const std::string ann = user_path("ann");
  const std::string limits = limited("ro", true, {});
  ASSERT_EQ(
      api("POST", "/api/v1/webdav-accounts", R"({"username":"annsdav","password":"dav password"})")
          .status,
      201);
  PrimaryClient& client = client_of(user_token);
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok());
  const std::string events_path =
      "/api/v1/fs/events?session=" + std::to_string(opened->session.value);
  const std::vector<std::string> pairs = {"ann:ann's password", "annsdav:dav password",
                                          "ann:" + limits};
  for (const std::string& pair : pairs) EXPECT_EQ(basic(pair, "GET", "/webdav/a/f"), 200) << pair;
  Following events(client);

  EXPECT_EQ(status(admin_token, "PATCH", ann, R"({"status":"disabled"})"), 200);
  events.wait_for_end();
  for (const std::string& bearer : {user_token, limits}) {
    EXPECT_EQ(status(bearer, "GET", "/api/v1/files/a/f"), 401);
    EXPECT_EQ(status(bearer, "GET", "/webdav/a/f"), 401);
    EXPECT_EQ(status(bearer, "GET", "/api/v1/auth/me"), 401);
    EXPECT_EQ(status(bearer, "GET", events_path), 401);
  }
  for (const std::string& pair : pairs) EXPECT_EQ(basic(pair, "GET", "/webdav/a/f"), 401) << pair;
  EXPECT_EQ(login("ann", "ann's password"), "");
  EXPECT_TRUE(run_blocking(client.open_session({"test", ""})).failed_with(Errc::token_invalid));

  EXPECT_EQ(status(admin_token, "PATCH", ann, R"({"status":"active"})"), 200);
  EXPECT_EQ(status(user_token, "GET", "/api/v1/files/a/f"), 401) << "ended is ended";
  const std::string fresh = login("ann", "ann's password");
  ASSERT_NE(fresh, "");
  EXPECT_EQ(with(fresh, "GET", "/api/v1/files/a/f").body, "of a");
  EXPECT_EQ(status(fresh, "GET", events_path), 410) << "the session of the mount, too";
  EXPECT_EQ(basic("ann:ann's password", "GET", "/webdav/a/f"), 200);
  EXPECT_EQ(basic("annsdav:dav password", "GET", "/webdav/a/f"), 200);
  const std::string log = audit_log();
  EXPECT_NE(log.find("root|user.update|ann|status=disabled|"), std::string::npos) << log;
}

TEST_F(Tokens, have_the_role_that_their_user_has_now) {
  const std::string ann = user_path("ann");
  const auto users = [&] { return status(user_token, "GET", "/api/v1/admin/users"); };
  EXPECT_EQ(users(), 403);
  EXPECT_EQ(status(admin_token, "PATCH", ann, R"({"role":"admin"})"), 200);
  EXPECT_EQ(users(), 200);
  EXPECT_EQ(status(admin_token, "PATCH", ann, R"({"role":"user"})"), 200);
  EXPECT_EQ(users(), 403);
  EXPECT_EQ(status(user_token, "PATCH", ann, R"({"role":"admin"})"), 403);
  EXPECT_EQ(api("GET", "/api/v1/files/a/f").body, "of a") << "files are as before";
}

TEST_F(Tokens, and_failed_logins_are_in_the_audit_log) {
  limited("ro", true, {"/a"});
  EXPECT_EQ(login("ann", "wrong password"), "");
  EXPECT_EQ(login("my secret typed as a name", "x"), "");
  EXPECT_EQ(login("nobody", "wrong password"), "");
  EXPECT_EQ(basic("ann:wrong again", "GET", "/webdav/a/f"), 401);
  const std::string text = audit_log();
  EXPECT_NE(text.find("ann|token.create|ro|read-only /a|"), std::string::npos) << text;
  EXPECT_NE(text.find("ann|login.accepted|ann|from 127.0.0.1|"), std::string::npos) << text;
  EXPECT_NE(text.find("|login.refused|ann|from 127.0.0.1|\n|login.refused|(no such account)|"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("root|user.create|root|the first administrator, from"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("nobody"), std::string::npos) << text;
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
}

}  // namespace
}  // namespace aster

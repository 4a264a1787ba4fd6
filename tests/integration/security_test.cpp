// Every endpoint of a primary from the attacker's side. The routes come from the router itself: one
// without a row here fails the test. Prints `endpoint | case | answer`.
#include <algorithm>
#include <cstdio>
#include <set>

#include "tests/integration/people_fixture.h"
#include "tests/support/raw_client.h"

namespace aster {
namespace {

namespace json = boost::json;

/// Who may call, which says what the usual answers are.
enum class Door {
  open,   ///< anybody, by design
  proof,  ///< a signature that is no token
  admin,
  user,   ///< whoever logged in; tokens with limits may not
  token,  ///< any token; what it is limited to is told by the row
};

/// Answers of 0 are not asked for. In paths and bodies $U, $T, $W, $S, $R stand for ann's upload,
/// token, WebDAV account, session and root.
struct Row {
  const char* route;
  Door door;
  const char* path = nullptr;  ///< by default the route with 1 for {} and b/secret.txt for {...}
  const char* body = "";       ///< a good one
  int other = 0;               ///< with bob's token
  int read_only = 0;           ///< with a read-only token of ann's
  int scoped = 0;              ///< with a token of ann's for /a
  const char* says = "";       ///< in the answer to the read-only token
};

constexpr const char* kUser = R"({"username":"x","password":"xxxxxxxxx"})";
constexpr const char* kTransfer = R"({"from":"/b/secret.txt","to":"/a/x"})";
constexpr const char* kBatch =
    R"({"session":$S,"ops":[{"op":"rmdir","id":"00112233445566778899aabbccddeeff","parent":$R,)"
    R"("name":"a"}]})";
constexpr const char* kDataPath =
    "/api/v1/data/objects/00112233445566778899aabbccddeeff?policy=1&expires=99999999999&sig=00";
constexpr const char* kMember = R"({"identifier":"bob","role":"owner"})";

constexpr Row kRows[] = {
    {"GET /health", Door::open},
    {"HEAD /health", Door::open},
    {"GET /health/ready", Door::open},
    {"HEAD /health/ready", Door::open},
    {"POST /api/v1/auth/check", Door::open},
    {"POST /api/v1/auth/setup", Door::open, nullptr, kUser},
    {"POST /api/v1/auth/login", Door::open, nullptr, R"({"identifier":"x","password":"y"})"},
    {"POST /api/v1/public/remote-enrollment/redeem", Door::open, nullptr, R"({"token":"x"})"},
    {"POST /api/v1/public/remote-enrollment/ack", Door::open, nullptr, R"({"ack_token":"x"})"},
    {"GET /api/v1/internal/remote-node-control/binding-state", Door::proof},
    {"GET /api/v1/data/objects/{}", Door::proof, kDataPath},
    {"PUT /api/v1/data/objects/{}", Door::proof, kDataPath},
    {"OPTIONS /", Door::open},
    {"GET /metrics", Door::open},  // for this machine; who else may is told by metrics_test

    {"GET /api/v1/admin/overview", Door::admin},
    {"GET /api/v1/admin/audit-logs", Door::admin},
    {"GET /api/v1/admin/users", Door::admin},
    {"POST /api/v1/admin/users", Door::admin, nullptr, kUser},
    {"GET /api/v1/admin/users/{}", Door::admin},
    {"PATCH /api/v1/admin/users/{}", Door::admin, nullptr, R"({"role":"admin"})"},
    {"PUT /api/v1/admin/users/{}/password", Door::admin, nullptr, R"({"password":"xxxxxxxxx"})"},
    {"GET /api/v1/admin/remote-nodes", Door::admin},
    {"POST /api/v1/admin/remote-nodes", Door::admin, nullptr, R"({"name":"n"})"},
    {"POST /api/v1/admin/remote-nodes/test", Door::admin, nullptr,
     R"({"base_url":"http://127.0.0.1:1","access_key":"a","secret_key":"s"})"},
    {"GET /api/v1/admin/remote-nodes/{}", Door::admin},
    {"PATCH /api/v1/admin/remote-nodes/{}", Door::admin, nullptr, R"({"is_enabled":false})"},
    {"DELETE /api/v1/admin/remote-nodes/{}", Door::admin},
    {"POST /api/v1/admin/remote-nodes/{}/enrollment-token", Door::admin},
    {"POST /api/v1/admin/remote-nodes/{}/test", Door::admin},
    {"GET /api/v1/admin/remote-nodes/{}/storage-target-drivers", Door::admin},
    {"GET /api/v1/admin/remote-nodes/{}/storage-targets", Door::admin},
    {"POST /api/v1/admin/remote-nodes/{}/storage-targets", Door::admin, nullptr, R"({"name":"t"})"},
    {"PATCH /api/v1/admin/remote-nodes/{}/storage-targets/{}", Door::admin, nullptr, R"({})"},
    {"DELETE /api/v1/admin/remote-nodes/{}/storage-targets/{}", Door::admin},
    {"GET /api/v1/admin/remote-nodes/{}/ingress-profiles", Door::admin},
    {"POST /api/v1/admin/remote-nodes/{}/ingress-profiles", Door::admin, nullptr, R"({})"},
    {"PATCH /api/v1/admin/remote-nodes/{}/ingress-profiles/{}", Door::admin, nullptr, R"({})"},
    {"DELETE /api/v1/admin/remote-nodes/{}/ingress-profiles/{}", Door::admin},
    {"GET /api/v1/admin/policies", Door::admin},
    {"POST /api/v1/admin/policies", Door::admin, nullptr, R"({"name":"p","driver_type":"local"})"},
    {"GET /api/v1/admin/policies/{}", Door::admin},
    {"PATCH /api/v1/admin/policies/{}", Door::admin, nullptr, R"({"name":"q"})"},
    {"DELETE /api/v1/admin/policies/{}", Door::admin},
    {"POST /api/v1/admin/policies/{}/set-default", Door::admin},
    {"POST /api/v1/admin/policies/{}/test", Door::admin},
    {"GET /api/v1/admin/policies/{}/capacity", Door::admin},
    {"GET /api/v1/admin/policy-groups", Door::admin},
    {"POST /api/v1/admin/policy-groups", Door::admin, nullptr, R"({"name":"g"})"},
    {"GET /api/v1/admin/policy-groups/{}", Door::admin},
    {"PATCH /api/v1/admin/policy-groups/{}", Door::admin, nullptr, R"({"name":"h"})"},
    {"DELETE /api/v1/admin/policy-groups/{}", Door::admin},
    {"POST /api/v1/admin/policy-groups/{}/assign", Door::admin, nullptr, R"({"user_id":1})"},
    {"POST /api/v1/admin/policy-group-assignments/remove", Door::admin, nullptr,
     R"({"user_id":1})"},
    {"GET /api/v1/admin/storage-migrations", Door::admin},
    {"POST /api/v1/admin/storage-migrations", Door::admin, nullptr,
     R"({"path":"/b","policy_id":1})"},
    {"GET /api/v1/admin/storage-migrations/{}", Door::admin},
    {"POST /api/v1/admin/storage-migrations/{}/cancel", Door::admin},
    {"POST /api/v1/admin/storage-migrations/{}/resume", Door::admin},
    {"GET /api/v1/admin/teams", Door::admin},
    {"POST /api/v1/admin/teams", Door::admin, nullptr, R"({"name":"x","admin_user_id":1})"},
    {"GET /api/v1/admin/teams/{}", Door::admin},
    {"PATCH /api/v1/admin/teams/{}", Door::admin, nullptr, R"({"storage_quota":1})"},
    {"DELETE /api/v1/admin/teams/{}", Door::admin},
    {"POST /api/v1/admin/teams/{}/restore", Door::admin},
    {"GET /api/v1/admin/teams/{}/members", Door::admin},
    {"POST /api/v1/admin/teams/{}/members", Door::admin, nullptr, kMember},
    {"PATCH /api/v1/admin/teams/{}/members/{}", Door::admin, nullptr, R"({"role":"owner"})"},
    {"DELETE /api/v1/admin/teams/{}/members/{}", Door::admin},

    {"PUT /api/v1/auth/password", Door::user, nullptr,
     R"({"current_password":"ann's password","new_password":"xxxxxxxxx"})", 401},
    {"GET /api/v1/auth/tokens", Door::user, nullptr, "", 200},
    {"POST /api/v1/auth/tokens", Door::user, nullptr, R"({"name":"evil"})", 201},
    {"DELETE /api/v1/auth/tokens/{}", Door::user, "/api/v1/auth/tokens/$T", "", 404},
    {"GET /api/v1/webdav-accounts", Door::user, nullptr, "", 200},
    {"POST /api/v1/webdav-accounts", Door::user, nullptr,
     R"({"username":"evil","workspace":"team:crew"})", 403},
    {"GET /api/v1/webdav-accounts/settings", Door::user, nullptr, "", 200},
    {"DELETE /api/v1/webdav-accounts/{}", Door::user, "/api/v1/webdav-accounts/$W", "", 404},
    {"POST /api/v1/webdav-accounts/{}/toggle", Door::user, "/api/v1/webdav-accounts/$W/toggle", "",
     404},
    {"GET /api/v1/teams", Door::user, nullptr, "", 200},
    {"GET /api/v1/teams/{}", Door::user, nullptr, "", 404},
    {"GET /api/v1/teams/{}/members", Door::user, nullptr, "", 404},
    {"POST /api/v1/teams/{}/members", Door::user, nullptr, kMember, 404},
    {"PATCH /api/v1/teams/{}/members/{}", Door::user, nullptr, R"({"role":"owner"})", 404},
    {"DELETE /api/v1/teams/{}/members/{}", Door::user, nullptr, "", 404},

    {"GET /api/v1/files", Door::token, nullptr, "", 409, 409, 403},
    {"HEAD /api/v1/files", Door::token, nullptr, "", 409, 409, 403},
    {"PUT /api/v1/files", Door::token, nullptr, "x", 409, 409, 403},
    {"DELETE /api/v1/files", Door::token, nullptr, "", 403, 403, 403},
    {"GET /api/v1/files/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"HEAD /api/v1/files/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"PUT /api/v1/files/{...}", Door::token, nullptr, "x", 404, 403, 403},
    {"DELETE /api/v1/files/{...}", Door::token, nullptr, "", 404, 403, 403},
    {"GET /api/v1/info", Door::token, nullptr, "", 200, 200, 403},
    {"GET /api/v1/info/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"GET /api/v1/folders", Door::token, nullptr, "", 200, 200, 403},
    {"GET /api/v1/folders/{...}", Door::token, "/api/v1/folders/b", "", 404, 200, 403},
    {"POST /api/v1/folders", Door::token, nullptr, "", 409, 409, 409},
    {"POST /api/v1/folders/{...}", Door::token, "/api/v1/folders/b/x", "", 404, 403, 403},
    {"POST /api/v1/copy", Door::token, nullptr, kTransfer, 404, 403, 403},
    {"POST /api/v1/move", Door::token, nullptr, kTransfer, 404, 403, 403},
    {"GET /api/v1/search", Door::token, "/api/v1/search?q=secret", "", 200, 200, 403},
    {"GET /api/v1/search/{...}", Door::token, "/api/v1/search/b?q=secret", "", 404, 200, 403},
    {"POST /api/v1/uploads", Door::token, nullptr, R"({"path":"/b/x","total_size":3})", 404, 403,
     403},
    {"GET /api/v1/uploads/{}", Door::token, "/api/v1/uploads/$U", "", 404, 200, 404},
    {"PUT /api/v1/uploads/{}/{}", Door::token, "/api/v1/uploads/$U/0", "abc", 404, 403, 404},
    {"POST /api/v1/uploads/{}/complete", Door::token, "/api/v1/uploads/$U/complete", "", 404, 412,
     404},
    {"DELETE /api/v1/uploads/{}", Door::token, "/api/v1/uploads/$U", "", 404, 403, 404},

    {"POST /api/v1/fs/session", Door::token, nullptr, R"({"client":"x","workspace":"team:crew"})",
     403, 200, 403},
    {"POST /api/v1/fs/batch", Door::token, nullptr, kBatch, 410, 200, 403, "read_only"},
    {"POST /api/v1/fs/ack", Door::token, nullptr,
     R"({"session":$S,"lease":0,"cursor":"","done":[]})", 410, 200, 403},
    {"POST /api/v1/fs/lease", Door::token, nullptr, R"({"session":$S,"give":[$R]})", 410, 200, 403},
    {"POST /api/v1/fs/lock", Door::token, nullptr,
     R"({"session":$S,"ino":$R,"owner":1,"exclusive":true,"test":true})", 410, 200, 403},
    {"GET /api/v1/fs/events", Door::token, "/api/v1/fs/events?session=$S", "", 410, 0, 403},

    {"GET /webdav", Door::token, nullptr, "", 405, 405, 403},
    {"HEAD /webdav", Door::token, nullptr, "", 405, 405, 403},
    {"PUT /webdav", Door::token, nullptr, "x", 405, 405, 403},
    {"DELETE /webdav", Door::token, nullptr, "", 403, 403, 403},
    {"MKCOL /webdav", Door::token, nullptr, "", 405, 405, 403},
    {"PROPFIND /webdav", Door::token, nullptr, "", 207, 207, 403},
    {"PROPPATCH /webdav", Door::token, nullptr, "<x/>", 400, 400, 400},
    {"COPY /webdav", Door::token, nullptr, "", 400, 400, 400},
    {"MOVE /webdav", Door::token, nullptr, "", 400, 400, 400},
    {"LOCK /webdav", Door::token, nullptr, "<x/>", 400, 400, 400},
    {"UNLOCK /webdav", Door::token, nullptr, "", 400, 400, 400},
    {"GET /webdav/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"HEAD /webdav/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"PUT /webdav/{...}", Door::token, nullptr, "x", 409, 403, 403},
    {"DELETE /webdav/{...}", Door::token, nullptr, "", 404, 403, 403},
    {"MKCOL /webdav/{...}", Door::token, "/webdav/b/x", "", 409, 403, 403},
    {"PROPFIND /webdav/{...}", Door::token, nullptr, "", 404, 207, 403},
    {"PROPPATCH /webdav/{...}", Door::token, nullptr,
     R"(<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="y">1</x></D:prop></D:set>)"
     R"(</D:propertyupdate>)",
     404, 403, 403},
    {"COPY /webdav/{...}", Door::token, nullptr, "", 400, 400, 400},
    {"MOVE /webdav/{...}", Door::token, nullptr, "", 400, 400, 400},
    {"LOCK /webdav/{...}", Door::token, nullptr,
     R"(<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype>)"
     R"(<D:write/></D:locktype></D:lockinfo>)",
     409, 403, 403},
    {"UNLOCK /webdav/{...}", Door::token, nullptr, "", 400, 400, 400},

    // Last: what ends tokens and sessions.
    {"GET /api/v1/auth/me", Door::token, nullptr, "", 200, 200, 200},
    {"DELETE /api/v1/fs/session/{}", Door::token, "/api/v1/fs/session/$S", "", 410, 200, 403},
    {"POST /api/v1/auth/logout", Door::token, nullptr, "", 200, 200, 200},
};

/// Methods that WebDAV answers with 405, and OPTIONS, before it asks who is there.
bool refused_by_method(const std::string& route) {
  const std::string method = route.substr(0, route.find(' '));
  const bool dav = route.find(" /webdav") != std::string::npos;
  constexpr const char* kMethods[] = {"POST", "PATCH", "REPORT",     "VERSION-CONTROL", "SEARCH",
                                      "ACL",  "TRACE", "MKACTIVITY", "CHECKOUT",        "OPTIONS"};
  return dav && std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

class Security : public PeopleFixture {
 protected:
  void SetUp() override {
    PeopleFixture::SetUp();
    bob_token = add_user("bob");
    for (const char* folder : {"a", "b"}) {
      ASSERT_EQ(api("POST", std::string("/api/v1/folders/") + folder).status, 201);
    }
    ASSERT_EQ(api("PUT", "/api/v1/files/b/secret.txt", kSecret).status, 201);
    ASSERT_EQ(status(admin_token, "POST", "/api/v1/admin/teams",
                     R"({"name":"crew","admin_identifier":"ann"})"),
              201);
    const ApiAnswer upload = api("POST", "/api/v1/uploads", R"({"path":"/b/up","total_size":3})");
    ASSERT_EQ(upload.status, 201);
    names["$U"] = upload.data.at("upload_id").as_string().c_str();
    names["$T"] = number(make_token({{"name", "anns"}}).at("id"));
    const ApiAnswer account = api("POST", "/api/v1/webdav-accounts", R"({"username":"annsdav"})");
    ASSERT_EQ(account.status, 201);
    names["$W"] = number(account.data.at("id"));
    const ApiAnswer session = api("POST", "/api/v1/fs/session", R"({"client":"x","workspace":""})");
    ASSERT_EQ(session.status, 200) << session.body;
    names["$S"] = number(session.data.at("session"));
    names["$R"] = number(session.data.at("root"));
    read_only = limited("read-only", true, {});
    scoped = limited("scoped", false, {"/a"});
    std::swap(token, admin_token);
    admin_read_only = limited("read-only", true, {});
    admin_scoped = limited("scoped", false, {"/a"});
    std::swap(token, admin_token);
  }
  static std::string number(const json::value& value) {
    return std::to_string(value.to_number<uint64_t>());
  }
  std::string filled(std::string text) const {
    for (const auto& [name, value] : names) {
      for (size_t at = text.find(name); at != std::string::npos; at = text.find(name)) {
        text.replace(at, name.size(), value);
      }
    }
    return text;
  }
  static std::string method_of(const Row& row) {
    const std::string route = row.route;
    return route.substr(0, route.find(' '));
  }
  std::string path_of(const Row& row) const {
    std::string path = row.path != nullptr ? row.path : std::string(row.route);
    if (row.path == nullptr) path = path.substr(path.find(' ') + 1);
    for (size_t at = path.find("{...}"); at != std::string::npos; at = path.find("{...}")) {
      path.replace(at, 5, "b/secret.txt");
    }
    for (size_t at = path.find("{}"); at != std::string::npos; at = path.find("{}")) {
      path.replace(at, 2, "1");
    }
    return filled(path);
  }

  void report(const Row& row, const char* what, int answer) {
    std::printf("%s | %s | %d\n", row.route, what, answer);
  }
  /// One case; `expected` of 0 asks for any refusal.
  void expect(const Row& row, const char* what, const std::string& bearer, const std::string& path,
              const std::string& body, int expected) {
    HeaderList headers;
    if (!bearer.empty()) headers.emplace_back("Authorization", "Bearer " + bearer);
    const ApiAnswer answer = send(method_of(row), primary_url() + path, body, std::move(headers));
    report(row, what, answer.status);
    if (expected != 0) {
      EXPECT_EQ(answer.status, expected) << row.route << ": " << what << "\n" << answer.body;
    } else {
      EXPECT_TRUE(answer.status >= 400 && answer.status < 500)
          << row.route << ": " << what << " " << path << "\n"
          << answer.body << answer.msg;
    }
    const bool may_read = expected == 200 && bearer == read_only;
    if (!may_read) {
      EXPECT_EQ(answer.body.find(kSecret), std::string::npos) << row.route;
    }
    if (bearer == read_only && expected == 200) {
      EXPECT_NE(answer.body.find(row.says), std::string::npos) << row.route << "\n" << answer.body;
    }
  }

  void try_tokens(const Row& row) {
    const std::string path = path_of(row);
    const std::string body = filled(row.body);
    if (row.door == Door::open) return;
    expect(row, "no token", "", path, body, 401);
    expect(row, "bad token", "ast_0123456789abcdef", path, body, 401);
    if (row.door == Door::proof) {
      expect(row, "a token", admin_token, path, body, 401);
      return;
    }
    const bool admin = row.door == Door::admin;
    const bool limited_may = row.door == Door::token;
    const int of_other = admin ? 403 : row.other;
    expect(row, "another user's token", bob_token, path, body, of_other);
    expect(row, "path scope", admin ? admin_scoped : scoped, path, body,
           limited_may ? row.scoped : 403);
    const int of_reader = limited_may ? row.read_only : 403;
    if (of_reader != 0) {
      expect(row, "read-only scope", admin ? admin_read_only : read_only, path, body, of_reader);
    }
  }

  /// Paths that try to leave the folder of the scoped token, or are no ids.
  void try_tricks(const Row& row) {
    const std::string route = row.route;
    const std::string pattern = route.substr(route.find(' ') + 1);
    if (const size_t rest = pattern.find("{...}"); rest != std::string::npos) {
      const std::string base = pattern.substr(0, rest);
      for (const char* trick :
           {"a/../b/secret.txt", "a/%2e%2e/b/secret.txt", "a%2f..%2fb%2fsecret.txt",
            "a/..%2fb/secret.txt", "../../b/secret.txt", "a/%00/../../b/secret.txt",
            "a//../b/secret.txt", "./b/secret.txt", "%62/secret.txt", "//b/secret.txt", "a/%zz",
            "a%5c..%5cb/../../b/secret.txt"}) {
        expect(row, "path tricks", scoped, base + trick + "?q=secret", row.body, 0);
      }
      return;
    }
    const size_t id = pattern.find("{}");
    if (id == std::string::npos || row.door == Door::proof) return;
    const std::string& bearer = row.door == Door::admin ? admin_token : token;
    for (const char* trick :
         {"..%2f1", "0", "-1", "1%00", "99999999999999999999", "%2e%2e", "1'"}) {
      std::string path = pattern;
      for (size_t at = id; at != std::string::npos; at = path.find("{}")) {
        path.replace(at, 2, trick);
      }
      expect(row, "path tricks", bearer, path, filled(row.body), 0);
    }
  }

  void try_bodies(const Row& row) {
    const std::string& bearer = row.door == Door::admin ? admin_token : token;
    const bool takes_json = *row.body == '{';
    const bool takes_xml = *row.body == '<';
    if (takes_json || takes_xml) {
      const std::string path = path_of(row);
      for (const char* body : {"{", "[]", "null", "\xff\xfe", "{\"a\":", "<a>", "\"x\""}) {
        expect(row, "malformed body", bearer, path, body, 0);
      }
      expect(row, "malformed body", bearer, path, std::string(100, '['), 0);
    }
    const bool wrapped = row.door == Door::admin || row.door == Door::user;
    if (!wrapped && *row.body == '\0') return;
    testing::RawClient raw(primary->port());
    const auto answer = raw.exchange(method_of(row) + " " + path_of(row) +
                                     " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + bearer +
                                     "\r\nContent-Length: 1099511627776\r\n\r\n");
    ASSERT_TRUE(answer.has_value()) << row.route;
    report(row, "oversized body", answer->status);
    // What is no file, and a part whose size is known, are refused before the size is looked at.
    const bool too_large = answer->status == 413;
    const bool raw_body = *row.body == 'x' || *row.body == 'a';
    const bool sooner = answer->status == 400 || answer->status == 405 || answer->status == 409;
    EXPECT_TRUE(too_large || (raw_body && sooner)) << row.route << answer->body;
  }

  static constexpr const char* kSecret = "what only ann may see";
  std::map<std::string, std::string> names;
  std::string bob_token;
  std::string read_only;
  std::string scoped;
  std::string admin_read_only;
  std::string admin_scoped;
};

TEST_F(Security, every_endpoint_has_a_row) {
  std::set<std::string> known;
  for (const Row& row : kRows) EXPECT_TRUE(known.insert(row.route).second) << row.route;
  for (const std::string& route : primary->routes()) {
    if (refused_by_method(route)) continue;
    EXPECT_EQ(known.erase(route), 1u) << "no row for " << route;
  }
  for (const std::string& gone : known) ADD_FAILURE() << "no route for " << gone;
}

TEST_F(Security, every_endpoint_refuses_who_may_not) {
  for (const Row& row : kRows) {
    if (std::string_view(row.route) != "POST /api/v1/auth/logout") {
      try_tricks(row);
      try_bodies(row);
    }
    try_tokens(row);
  }
  for (const std::string& route : primary->routes()) {
    if (!refused_by_method(route) || route.starts_with("OPTIONS")) continue;
    const Row row{route.c_str(), Door::open};
    expect(row, "no token", "", "/webdav/b/secret.txt", "", 405);
  }
  // Nothing was changed.
  token = login("ann", "ann's password");
  EXPECT_EQ(api("GET", "/api/v1/files/b/secret.txt").body, kSecret);
  EXPECT_EQ(api("GET", "/api/v1/folders/b").data.at("items").as_array().size(), 1u);
  EXPECT_EQ(api("GET", "/api/v1/folders/a").data.at("items").as_array().size(), 0u);
  EXPECT_EQ(api("GET", "/api/v1/folders").data.at("items").as_array().size(), 2u);
}

}  // namespace
}  // namespace aster

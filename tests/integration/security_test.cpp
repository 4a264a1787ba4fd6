// Every endpoint of a primary from the attacker's side. The routes come from the router itself: one
// without a row here fails the test. Prints `endpoint | case | answer`.
#include <algorithm>
#include <cstdio>
#include <set>

#include "tests/integration/answers.h"
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

/// Answers of 0 are not asked for. In paths, bodies and headers $U, $V, $T, $W, $S, $R, $L stand
/// for ann's upload that has just begun, her upload that has all its parts, and her token, WebDAV
/// account, session, root and lock of /b/locked. Several rows may be of one route.
struct Row {
  const char* route;
  Door door;
  const char* path = nullptr;  ///< by default the route with 1 for {} and b/secret.txt for {...}
  const char* body = "";       ///< a good one
  int other = 0;               ///< with bob's token
  int read_only = 0;           ///< with a read-only token of ann's
  int scoped = 0;              ///< with a token of ann's for /a
  const char* says = "";       ///< in the answer to the read-only token
  const char* header = "";     ///< "Name: value", one more
};

constexpr const char* kUser = R"({"username":"x","password":"xxxxxxxxx"})";
constexpr const char* kTransfer = R"({"from":"/b/secret.txt","to":"/a/x"})";
constexpr const char* kBatch =
    R"({"session":$S,"ops":[{"op":"rmdir","id":"00112233445566778899aabbccddeeff","parent":$R,)"
    R"("name":"a"}]})";
constexpr const char* kDataPath =
    "/api/v1/data/objects/00112233445566778899aabbccddeeff?policy=1&expires=99999999999&sig=00";
constexpr const char* kProperty =
    R"(<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="y">1</x></D:prop></D:set>)"
    R"(</D:propertyupdate>)";
constexpr const char* kLock =
    R"(<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype>)"
    R"(<D:write/></D:locktype></D:lockinfo>)";
constexpr const char* kInto = "Destination: /webdav/a/x";
constexpr const char* kUnlock = "Lock-Token: <$L>";
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
    {"DELETE /api/v1/admin/users/{}", Door::admin},
    {"POST /api/v1/admin/users/{}/sessions/revoke", Door::admin},
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
    {"POST /api/v1/admin/policies/test", Door::admin, nullptr, R"({"driver_type":"local"})"},
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
    {"GET /api/v1/admin/tree-quotas", Door::admin},
    {"POST /api/v1/admin/tree-quotas", Door::admin, nullptr, R"({"path":"/b","quota":1})"},
    {"POST /api/v1/admin/tree-quotas/remove", Door::admin, nullptr, R"({"path":"/b"})"},
    {"GET /api/v1/admin/tree-quotas/{}", Door::admin},
    {"DELETE /api/v1/admin/tree-quotas/{}", Door::admin},
    {"GET /api/v1/admin/teams", Door::admin},
    {"POST /api/v1/admin/teams", Door::admin, nullptr, R"({"name":"x","admin_user_id":1})"},
    {"GET /api/v1/admin/teams/{}", Door::admin},
    {"PATCH /api/v1/admin/teams/{}", Door::admin, nullptr, R"({"storage_quota":1})"},
    {"DELETE /api/v1/admin/teams/{}", Door::admin},
    {"POST /api/v1/admin/teams/{}/restore", Door::admin},
    {"POST /api/v1/admin/teams/{}/purge", Door::admin},
    {"GET /api/v1/admin/team-purges", Door::admin},
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
    {"POST /api/v1/teams", Door::admin, nullptr, R"({"name":"x","admin_user_id":1})"},
    {"GET /api/v1/teams/{}", Door::user, nullptr, "", 404},
    {"PATCH /api/v1/teams/{}", Door::user, nullptr, R"({"description":"x"})", 404},
    {"DELETE /api/v1/teams/{}", Door::user, nullptr, "", 404},
    {"POST /api/v1/teams/{}/restore", Door::user, nullptr, "", 404},
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
    {"POST /api/v1/uploads/{}/complete", Door::token, "/api/v1/uploads/$V/complete", "", 404, 403,
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
    {"PROPPATCH /webdav", Door::token, nullptr, kProperty, 207, 403, 403},
    {"COPY /webdav", Door::token, nullptr, "", 403, 403, 403, "", kInto},
    {"MOVE /webdav", Door::token, nullptr, "", 403, 403, 403, "", kInto},
    {"LOCK /webdav", Door::token, nullptr, kLock, 200, 403, 403, "", "Depth: 0"},
    {"UNLOCK /webdav", Door::token, nullptr, "", 409, 403, 403, "", kUnlock},
    {"GET /webdav/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"HEAD /webdav/{...}", Door::token, nullptr, "", 404, 200, 403},
    {"PUT /webdav/{...}", Door::token, nullptr, "x", 409, 403, 403},
    {"DELETE /webdav/{...}", Door::token, nullptr, "", 404, 403, 403},
    {"MKCOL /webdav/{...}", Door::token, "/webdav/b/x", "", 409, 403, 403},
    {"PROPFIND /webdav/{...}", Door::token, nullptr, "", 404, 207, 403},
    {"PROPPATCH /webdav/{...}", Door::token, nullptr, kProperty, 404, 403, 403},
    {"COPY /webdav/{...}", Door::token, nullptr, "", 404, 403, 403, "", kInto},
    {"MOVE /webdav/{...}", Door::token, nullptr, "", 404, 403, 403, "", kInto},
    {"LOCK /webdav/{...}", Door::token, nullptr, kLock, 409, 403, 403},
    {"LOCK /webdav/{...}", Door::token, "/webdav/b/locked", "", 412, 403, 403, "", "If: (<$L>)"},
    {"UNLOCK /webdav/{...}", Door::token, "/webdav/b/locked", "", 404, 403, 403, "", kUnlock},

    // Last: what ends tokens and sessions.
    {"GET /api/v1/auth/me", Door::token, nullptr, "", 200, 200, 200},
    {"DELETE /api/v1/fs/session/{}", Door::token, "/api/v1/fs/session/$S", "", 410, 200, 403},
    {"POST /api/v1/auth/logout", Door::token, nullptr, "", 200, 200, 200},
};

/// Places outside of the token's folder, or none at all; $F is the name of what is there.
constexpr const char* kTricks[] = {"/a/../b/$F",   "/a/%2e%2e/b/$F", "/a%2f..%2fb%2f$F",
                                   "/../b/$F",     "../b/$F",        "a/../b/$F",
                                   "/a/./../b/$F", "/a/%00/../b/$F", "/b/../b/$F",
                                   "/%2e/b/$F",    "/a/%2E%2E/b/$F", "/./b/$F"};
/// The same, written so that it is a good path where the token may go there.
constexpr const char* kScopeTricks[] = {"/b/$F", "/%62/$F", "//b/$F", "/b//$F", "/b/$F/"};

/// A member of a body, or a header, that is a path: $P.
struct PathInside {
  const char* route;
  const char* path;  ///< to be called; nullptr: the route's own
  const char* body;
  const char* header;
  const char* name;  ///< $F: what is there, or nothing that is; empty for a folder
  bool admin = false;
};
constexpr PathInside kPathsInside[] = {
    {"POST /api/v1/copy", nullptr, R"({"from":"$P","to":"/a/x"})", "", "secret.txt"},
    {"POST /api/v1/copy", nullptr, R"({"from":"/a/mine","to":"$P"})", "", "new"},
    {"POST /api/v1/move", nullptr, R"({"from":"$P","to":"/a/x"})", "", "secret.txt"},
    {"POST /api/v1/move", nullptr, R"({"from":"/a/mine","to":"$P"})", "", "new"},
    {"POST /api/v1/move", nullptr, R"({"from":"/a/mine","to":"$P","overwrite":true})", "",
     "secret.txt"},
    {"POST /api/v1/uploads", nullptr, R"({"path":"$P","total_size":3})", "", "new"},
    {"COPY /webdav/{...}", "/webdav/a/mine", "", "Destination: /webdav$P", "new"},
    {"COPY /webdav/{...}", "/webdav/a/mine", "", "Destination: $H/webdav$P", "secret.txt"},
    {"MOVE /webdav/{...}", "/webdav/a/mine", "", "Destination: /webdav$P", "new"},
    {"MOVE /webdav/{...}", "/webdav/a/mine", "", "Destination: $H/webdav$P", "secret.txt"},
    {"POST /api/v1/webdav-accounts", nullptr, R"({"username":"evil","root_path":"$P"})", "", ""},
    {"POST /api/v1/admin/storage-migrations", nullptr, R"({"path":"$P","policy_id":1,"user_id":2})",
     "", "", true},
    {"POST /api/v1/admin/tree-quotas", nullptr, R"({"path":"$P","quota":1,"user_id":2})", "", "",
     true},
    {"POST /api/v1/admin/tree-quotas/remove", nullptr, R"({"path":"$P","user_id":2})", "", "",
     true},
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
    for (const char* file : {"a/mine", "b/locked"}) {
      ASSERT_EQ(api("PUT", std::string("/api/v1/files/") + file, "x").status, 201);
    }
    const ApiAnswer lock = with(user_token, "LOCK", "/webdav/b/locked", kLock);
    ASSERT_EQ(lock.status, 200) << lock.body;
    const std::string lock_token = header_of(lock, "Lock-Token");
    names["$L"] = lock_token.substr(1, lock_token.size() - 2);
    ASSERT_EQ(status(admin_token, "POST", "/api/v1/admin/teams",
                     R"({"name":"crew","admin_identifier":"ann"})"),
              201);
    names["$U"] = begin_upload("/b/up");
    names["$V"] = begin_upload("/b/whole");
    ASSERT_EQ(api("PUT", "/api/v1/uploads/" + names["$V"] + "/0", "abc").status, 200);
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
  std::string begin_upload(const std::string& path) {
    const json::object body{{"path", path}, {"total_size", 3}};
    const ApiAnswer upload = api("POST", "/api/v1/uploads", json::serialize(body));
    EXPECT_EQ(upload.status, 201) << upload.body;
    return upload.data.at("upload_id").as_string().c_str();
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
    const std::string header = filled(row.header);
    if (const size_t colon = header.find(": "); colon != std::string::npos) {
      headers.emplace_back(header.substr(0, colon), header.substr(colon + 2));
    }
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

  /// The same for paths in bodies and headers.
  void try_tricks(const PathInside& inside) {
    std::vector<std::string> tricks(std::begin(kTricks), std::end(kTricks));
    const bool limited_may = std::string_view(inside.name) != "";
    if (limited_may) tricks.insert(tricks.end(), std::begin(kScopeTricks), std::end(kScopeTricks));
    const std::string& bearer = inside.admin ? admin_token : limited_may ? scoped : token;
    for (std::string trick : tricks) {
      if (*inside.header != '\0' && trick.front() != '/') continue;  // a prefix of its own
      const auto put = [](std::string& text, const std::string& name, const std::string& value) {
        if (const size_t at = text.find(name); at != std::string::npos) text.replace(at, 2, value);
      };
      put(trick, "$F", inside.name);
      if (!limited_may) trick.pop_back();  // the slash before it
      std::string body = inside.body;
      std::string header = inside.header;
      put(body, "$P", trick);
      put(header, "$P", trick);
      put(header, "$H", primary_url());
      Row row{inside.route, Door::token};
      row.header = header.c_str();
      const std::string route = inside.route;
      const std::string path =
          inside.path != nullptr ? inside.path : route.substr(route.find(' ') + 1);
      SCOPED_TRACE(body + header);
      expect(row, "path tricks inside", bearer, path, body, 0);
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
  for (const Row& row : kRows) known.insert(row.route);
  for (const PathInside& inside : kPathsInside) EXPECT_EQ(known.count(inside.route), 1u);
  for (const std::string& route : primary->routes()) {
    if (refused_by_method(route)) continue;
    EXPECT_EQ(known.erase(route), 1u) << "no row for " << route;
  }
  for (const std::string& gone : known) ADD_FAILURE() << "no route for " << gone;
}

TEST_F(Security, every_endpoint_refuses_who_may_not) {
  for (const PathInside& inside : kPathsInside) try_tricks(inside);
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
  EXPECT_EQ(api("GET", "/api/v1/folders/b").data.at("items").as_array().size(), 2u);
  EXPECT_EQ(api("GET", "/api/v1/folders/a").data.at("items").as_array().size(), 1u);
  EXPECT_EQ(api("GET", "/api/v1/folders").data.at("items").as_array().size(), 2u);
  EXPECT_EQ(api("GET", "/api/v1/webdav-accounts").data.at("total").to_number<int>(), 1);
  EXPECT_EQ(status(token, "PUT", "/webdav/b/locked", "y"), 423) << "the lock is there";
  EXPECT_EQ(status(token, "PUT", "/webdav/b/locked", "y", {{"If", "(<" + names["$L"] + ">)"}}),
            204);
  const std::string whole = "/api/v1/uploads/" + names["$V"] + "/complete";
  EXPECT_EQ(api("POST", whole).status, 201) << "whoever may can complete it";
}

/// The door of mounts to objects: what is signed is one object, one method and a time.
TEST_F(Security, signed_urls_are_good_for_what_was_signed_only) {
  ASSERT_EQ(
      status(admin_token, "PATCH", "/api/v1/admin/policies/1", R"({"max_file_size":1048576})"),
      200);
  PrimaryClient& client = client_of(user_token);
  const auto opened = run_blocking(client.open_session({"test", ""}));
  ASSERT_TRUE(opened.ok());
  fs::Grant grant{};
  grant.ino = opened->root;
  grant.count = 2;
  const auto granted = run_blocking(client.call<fs::UploadGrants>(grant));
  ASSERT_TRUE(granted.ok()) << granted.error().message();
  ASSERT_EQ(granted->grants.size(), 2u);
  const auto path = [&](size_t i) {
    const std::string& url = granted->grants[i].url;
    return url.substr(url.find("/api/"));
  };
  const auto put = [&](const std::string& where, uint64_t length) {
    testing::RawClient raw(primary->port());
    std::string request = "PUT " + where +
                          " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) +
                          "\r\n\r\n";
    if (length < 10) request += std::string(length, 'x');
    const auto answer = raw.exchange(request);
    return answer ? answer->status : 0;
  };
  EXPECT_EQ(put(path(0), 1'048'577), 413);
  EXPECT_EQ(put(path(0), 1ull << 40), 413);
  std::string other = path(0);
  other.replace(other.find("objects/") + 8, 32, granted->grants[1].object.hex());
  EXPECT_EQ(put(other, 3), 401) << "another object";
  std::string later = path(0);
  later.insert(later.find("expires=") + 8, "9");
  EXPECT_EQ(put(later, 3), 401) << "another time";
  EXPECT_EQ(send("GET", primary_url() + path(0)).status, 401) << "another method";
  testing::RawClient endless(primary->port());
  const auto answer = endless.exchange("PUT " + path(0) +
                                       " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                                       "\r\n\r\n");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 400) << "no size";
  EXPECT_EQ(put(path(0), 3), 200);
}

}  // namespace
}  // namespace aster

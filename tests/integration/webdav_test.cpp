#include "tests/integration/webdav_fixture.h"
#include "tests/support/raw_client.h"

namespace aster {
namespace {

namespace json = boost::json;

constexpr const char* kLockBody =
    R"(<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>)"
    R"(<D:locktype><D:write/></D:locktype><D:owner>ann</D:owner></D:lockinfo>)";

class Webdav : public WebdavFixture {
 protected:
  void put(const std::string& path, const std::string& content) {
    EXPECT_EQ(dav("PUT", path, content).status, 201) << path;
  }
  std::string lock(const std::string& path, HeaderList headers = {{"Depth", "0"}}) {
    const ApiAnswer answer = dav("LOCK", path, kLockBody, std::move(headers));
    EXPECT_TRUE(answer.status == 200 || answer.status == 201) << answer.body;
    return header_of(answer, "Lock-Token");
  }
  /// Adds a WebDAV account of ann.
  void add_account(const std::string& body, int status = 201) {
    const ApiAnswer made = send("POST", primary_url() + "/api/v1/webdav-accounts", body,
                                {{"Authorization", "Bearer " + user_token}});
    EXPECT_EQ(made.status, status) << made.body;
  }
};

TEST_F(Webdav, options_tell_the_classes_to_anybody) {
  for (const char* path : {"/webdav", "/webdav/", "/webdav/not/there", "/"}) {
    const ApiAnswer answer = send("OPTIONS", primary_url() + path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(header_of(answer, "DAV"), "1, 2, 3");
    EXPECT_EQ(header_of(answer, "MS-Author-Via"), "DAV");
    EXPECT_NE(header_of(answer, "Allow").find("PROPFIND"), std::string::npos);
  }
}

TEST_F(Webdav, stores_serves_and_replaces_a_file) {
  const std::string content = some_content();
  put("/a.txt", content);
  const ApiAnswer got = dav("GET", "/a.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_TRUE(got.body == content);
  EXPECT_EQ(header_of(got, "Content-Type"), "text/plain");
  const ApiAnswer part = dav("GET", "/a.txt", {}, {{"Range", "bytes=131070-131080"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_TRUE(part.body == content.substr(131070, 11));
  EXPECT_EQ(header_of(part, "Content-Range"),
            "bytes 131070-131080/" + std::to_string(content.size()));
  EXPECT_EQ(dav("GET", "/a.txt", {}, {{"Range", "bytes=999999-"}}).status, 416);
  const std::string tag = header_of(got, "ETag");
  EXPECT_EQ(dav("GET", "/a.txt", {}, {{"If-None-Match", tag}}).status, 304);
  const ApiAnswer head = dav("HEAD", "/a.txt");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(header_of(head, "ETag"), tag);

  EXPECT_EQ(dav("PUT", "/a.txt", "new", {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(dav("PUT", "/a.txt", "new", {{"If-None-Match", "*"}}).status, 412);
  const ApiAnswer replaced = dav("PUT", "/a.txt", "new", {{"If-Match", tag}});
  EXPECT_EQ(replaced.status, 204);
  EXPECT_NE(header_of(replaced, "ETag"), tag);
  EXPECT_EQ(dav("GET", "/a.txt").body, "new");
  EXPECT_EQ(header_of(dav("GET", "/a.txt"), "ETag"), header_of(replaced, "ETag"));
}

TEST_F(Webdav, names_are_bytes) {
  // UTF-8, a byte that is no UTF-8, XML's own characters, blanks, a percent sign.
  for (const char* name : {"/caf%C3%A9", "/%FF%FE", "/%3Ca%20%26%20b%3E", "/100%25", "/._a"}) {
    put(name, "x");
    const ApiAnswer found = dav("PROPFIND", name, {}, {{"Depth", "0"}});
    EXPECT_EQ(found.status, 207) << name;
    EXPECT_NE(found.body.find("<D:href>/webdav" + std::string(name) + "</D:href>"),
              std::string::npos)
        << found.body;
    EXPECT_EQ(dav("GET", name).body, "x") << name;
  }
  const ApiAnswer all = dav("PROPFIND", "/", {}, {{"Depth", "1"}});
  EXPECT_NE(all.body.find("/webdav/%FF%FE<"), std::string::npos);
  EXPECT_NE(all.body.find("<D:displayname>&lt;a &amp; b&gt;</D:displayname>"), std::string::npos);
}

TEST_F(Webdav, lists_itself_and_its_members_and_never_everything) {
  EXPECT_EQ(dav("MKCOL", "/d").status, 201);
  EXPECT_EQ(dav("MKCOL", "/d/e/").status, 201);
  for (int i = 0; i < 600; ++i) put("/d/n" + std::to_string(i), "");
  const ApiAnswer one = dav("PROPFIND", "/d", {}, {{"Depth", "1"}});
  EXPECT_EQ(one.status, 207);
  size_t responses = 0;
  for (size_t at = one.body.find("<D:response>"); at != std::string::npos;
       at = one.body.find("<D:response>", at + 1)) {
    ++responses;
  }
  EXPECT_EQ(responses, 602u);
  EXPECT_NE(one.body.find("<D:href>/webdav/d/</D:href>"), std::string::npos);
  EXPECT_NE(one.body.find("<D:href>/webdav/d/e/</D:href>"), std::string::npos);
  EXPECT_TRUE(one.body.ends_with("</D:multistatus>\n"));
  const ApiAnswer endless = dav("PROPFIND", "/", {}, {{"Depth", "infinity"}});
  EXPECT_EQ(endless.status, 403);
  EXPECT_NE(endless.body.find("propfind-finite-depth"), std::string::npos);
}

TEST_F(Webdav, tells_the_quota_when_asked) {
  const ApiAnswer answer = dav(
      "PROPFIND", "/",
      R"(<propfind xmlns="DAV:"><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>)",
      {{"Depth", "0"}});
  EXPECT_NE(answer.body.find("<D:quota-available-bytes>"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("<D:quota-used-bytes>"), std::string::npos);
  EXPECT_EQ(answer.body.find("404"), std::string::npos);
}

TEST_F(Webdav, dead_properties_survive_copy_and_move_and_are_attributes) {
  put("/a", "x");
  const std::string body =
      R"(<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:z"><D:set><D:prop><Z:author xml:lang="de">)"
      R"(Ann &amp; <Z:b>B</Z:b></Z:author></D:prop></D:set></D:propertyupdate>)";
  const ApiAnswer patched = dav("PROPPATCH", "/a", body);
  EXPECT_EQ(patched.status, 207);
  EXPECT_NE(patched.body.find("200 OK"), std::string::npos) << patched.body;
  EXPECT_EQ(dav("COPY", "/a", {}, {{"Destination", dav_url("/b")}}).status, 201);
  EXPECT_EQ(dav("MOVE", "/b", {}, {{"Destination", "/webdav/c"}}).status, 201);
  const ApiAnswer found = dav(
      "PROPFIND", "/c",
      R"(<propfind xmlns="DAV:"><prop><author xmlns="urn:z"/><none xmlns="urn:z"/></prop></propfind>)");
  EXPECT_NE(found.body.find(R"(<author xmlns="urn:z" xml:lang="de">Ann &amp; <b>B</b></author>)"),
            std::string::npos)
      << found.body;
  EXPECT_NE(found.body.find(R"(<none xmlns="urn:z"/></D:prop><D:status>HTTP/1.1 404)"),
            std::string::npos);
}

TEST_F(Webdav, proppatch_changes_all_or_nothing) {
  put("/a", "x");
  const std::string body =
      R"(<propertyupdate xmlns="DAV:"><set><prop><p xmlns="urn:z">1</p></prop></set>)"
      R"(<set><prop><getetag>mine</getetag></prop></set></propertyupdate>)";
  const ApiAnswer patched = dav("PROPPATCH", "/a", body);
  EXPECT_NE(patched.body.find("403 Forbidden"), std::string::npos) << patched.body;
  EXPECT_NE(patched.body.find("424 Failed Dependency"), std::string::npos);
  EXPECT_EQ(dav("PROPFIND", "/a").body.find("urn:z"), std::string::npos);
}

TEST_F(Webdav, windows_sets_the_time_of_a_file) {
  put("/a", "x");
  const std::string body =
      R"(<propertyupdate xmlns="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><set><prop>)"
      R"(<Z:Win32CreationTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32CreationTime>)"
      R"(<Z:Win32LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32LastModifiedTime>)"
      R"(<Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></prop></set></propertyupdate>)";
  const ApiAnswer patched = dav("PROPPATCH", "/a", body);
  EXPECT_EQ(patched.body.find("HTTP/1.1 4"), std::string::npos) << patched.body;
  EXPECT_EQ(header_of(dav("HEAD", "/a"), "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(dav("PUT", "/b", "x", {{"X-OC-Mtime", "784111777"}}).status, 201);
  EXPECT_EQ(header_of(dav("HEAD", "/b"), "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_F(Webdav, copy_and_move_keep_the_rules) {
  EXPECT_EQ(dav("MKCOL", "/d").status, 201);
  put("/d/f", "one");
  put("/g", "two");
  const auto to = [&](const std::string& path) {
    return HeaderList{{"Destination", dav_url(path)}};
  };
  const auto keeping = [&](const std::string& path) {
    return HeaderList{{"Destination", dav_url(path)}, {"Overwrite", "F"}};
  };
  EXPECT_EQ(dav("COPY", "/d", {}, to("/e")).status, 201);
  EXPECT_EQ(dav("GET", "/e/f").body, "one");
  EXPECT_EQ(dav("COPY", "/g", {}, keeping("/e/f")).status, 412);
  EXPECT_EQ(dav("COPY", "/g", {}, to("/e/f")).status, 204);
  EXPECT_EQ(dav("GET", "/e/f").body, "two");
  EXPECT_EQ(dav("GET", "/d/f").body, "one");
  EXPECT_EQ(dav("COPY", "/g", {}, to("/none/x")).status, 409);
  EXPECT_EQ(dav("COPY", "/d", {}, to("/d/inside")).status, 403);
  EXPECT_EQ(dav("MOVE", "/d/f", {}, to("/d")).status, 403);
  EXPECT_EQ(dav("COPY", "/g", {}, to("/g")).status, 403);
  EXPECT_EQ(dav("COPY", "/g").status, 400) << "no destination";
  EXPECT_EQ(dav("COPY", "/g", {}, {{"Destination", "http://elsewhere/webdav/x"}}).status, 502);
  EXPECT_EQ(dav("COPY", "/g", {}, {{"Destination", "/api/v1/x"}}).status, 502);
  EXPECT_EQ(dav("COPY", "/g", {}, {{"Destination", "/webdav/../x"}}).status, 400);
  EXPECT_EQ(dav("MOVE", "/g", {}, to("/d")).status, 204) << "a file in place of a collection";
  EXPECT_EQ(dav("GET", "/d").body, "two");
  EXPECT_EQ(dav("GET", "/g").status, 404);
  EXPECT_EQ(dav("DELETE", "/").status, 403);
  EXPECT_EQ(dav("MOVE", "/", {}, to("/x")).status, 403);
}

TEST_F(Webdav, locks_hold_until_their_token_comes) {
  put("/a", "x");
  const std::string token = lock("/a");
  EXPECT_EQ(dav("PUT", "/a", "y").status, 423);
  EXPECT_EQ(dav("DELETE", "/a").status, 423);
  EXPECT_EQ(dav("MOVE", "/a", {}, {{"Destination", dav_url("/b")}}).status, 423);
  EXPECT_EQ(dav("LOCK", "/a", kLockBody, {{"Depth", "0"}}).status, 423);
  EXPECT_EQ(dav("PUT", "/a", "y", {{"If", "(" + token + ")"}}).status, 204);
  EXPECT_EQ(dav("PUT", "/a", "y", {{"If", "(<urn:uuid:no-such-token>)"}}).status, 412);
  EXPECT_EQ(dav("PUT", "/a", "y", {{"If", "(Not <DAV:no-lock>)"}}).status, 423);
  const ApiAnswer found = dav("PROPFIND", "/a");
  EXPECT_NE(found.body.find(token.substr(1, token.size() - 2)), std::string::npos);
  EXPECT_EQ(dav("UNLOCK", "/a", {}, {{"Lock-Token", "<urn:uuid:other>"}}).status, 409);
  EXPECT_EQ(dav("UNLOCK", "/a", {}, {{"Lock-Token", token}}).status, 204);
  EXPECT_EQ(dav("PUT", "/a", "z").status, 204);
}

TEST_F(Webdav, a_deep_lock_holds_below_and_a_shallow_one_keeps_the_names) {
  EXPECT_EQ(dav("MKCOL", "/d").status, 201);
  put("/d/f", "x");
  const std::string shallow = lock("/d");
  EXPECT_EQ(dav("PUT", "/d/f", "y").status, 204) << "content of a member";
  EXPECT_EQ(dav("PUT", "/d/g", "y").status, 423) << "a new member";
  EXPECT_EQ(dav("DELETE", "/d/f").status, 423);
  const std::string tagged = "<" + dav_url("/d/") + "> (" + shallow + ")";
  EXPECT_EQ(dav("PUT", "/d/g", "y", {{"If", tagged}}).status, 201);
  EXPECT_EQ(dav("UNLOCK", "/d", {}, {{"Lock-Token", shallow}}).status, 204);
  const std::string deep = lock("/d", {{"Depth", "infinity"}});
  EXPECT_EQ(dav("PUT", "/d/f", "z").status, 423);
  EXPECT_EQ(dav("DELETE", "/d").status, 423);
  EXPECT_EQ(dav("LOCK", "/d/f", kLockBody).status, 423);
  EXPECT_EQ(dav("DELETE", "/d", {}, {{"If", "(" + deep + ")"}}).status, 204);
  EXPECT_EQ(dav("MKCOL", "/d").status, 201) << "the lock went with the collection";
}

TEST_F(Webdav, a_lock_survives_a_restart_and_makes_a_missing_file) {
  const ApiAnswer made = dav("LOCK", "/new", kLockBody, {{"Timeout", "Second-600"}});
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(dav("GET", "/new").status, 200);
  primary.reset();
  start_primary();
  ASSERT_NE(primary, nullptr);
  EXPECT_EQ(dav("PUT", "/new", "y").status, 423);
  const std::string token = header_of(made, "Lock-Token");
  const ApiAnswer renewed =
      dav("LOCK", "/new", {}, {{"If", "(" + token + ")"}, {"Timeout", "Infinite"}});
  EXPECT_EQ(renewed.status, 200);
  EXPECT_NE(renewed.body.find("Second-86"), std::string::npos) << renewed.body;
}

TEST_F(Webdav, accounts_see_their_folder_only) {
  EXPECT_EQ(dav("MKCOL", "/pub").status, 201);
  put("/pub/f", "x");
  put("/secret", "s");
  add_account(R"({"username":"guest","password":"guest password","root_path":"/pub",)"
              R"("read_only":true})");
  add_account(R"({"username":"guest","password":"another one"})", 409);
  add_account(R"({"username":"ann","password":"another one"})", 409);
  add_account(R"({"username":"x","password":"another one","root_path":"/none"})", 404);
  who = basic("guest", "guest password");
  EXPECT_EQ(dav("GET", "/f").body, "x");
  EXPECT_EQ(dav("GET", "/secret").status, 404);
  EXPECT_EQ(dav("GET", "/../secret").status, 400);
  EXPECT_EQ(dav("PUT", "/g", "x").status, 403);
  EXPECT_EQ(dav("PUT", "/f", "x").status, 403);
  EXPECT_EQ(dav("DELETE", "/f").status, 403);
  EXPECT_EQ(dav("MKCOL", "/d").status, 403);
  EXPECT_EQ(dav("LOCK", "/f", kLockBody).status, 403);
  EXPECT_EQ(dav("COPY", "/f", {}, {{"Destination", dav_url("/g")}}).status, 403);
  const HeaderList bearer{{"Authorization", "Bearer " + user_token}};
  const std::string accounts = primary_url() + "/api/v1/webdav-accounts";
  EXPECT_EQ(send("POST", accounts + "/1/toggle", {}, bearer).status, 200);
  EXPECT_EQ(dav("GET", "/f").status, 401) << "switched off";
  EXPECT_EQ(send("POST", accounts + "/1/toggle", {}, bearer).status, 200);
  EXPECT_EQ(dav("GET", "/f").status, 200);
  EXPECT_EQ(api("DELETE", "/api/v1/webdav-accounts/1").status, 404) << "another user's";
  EXPECT_EQ(send("DELETE", accounts + "/1", {}, bearer).status, 200);
  EXPECT_EQ(dav("GET", "/f").status, 401);
}

TEST_F(Webdav, no_later_user_gets_the_name_of_an_account) {
  add_account(R"({"username":"guest","password":"guest password"})");
  const std::string user = R"({"username":"guest","password":"another password"})";
  const ApiAnswer refused = api("POST", "/api/v1/admin/users", user);
  EXPECT_EQ(refused.status, 409) << refused.body;
  EXPECT_NE(refused.msg.find("taken by a WebDAV account: guest"), std::string::npos) << refused.msg;
  EXPECT_EQ(send("DELETE", primary_url() + "/api/v1/webdav-accounts/1", {},
                 {{"Authorization", "Bearer " + user_token}})
                .status,
            200);
  EXPECT_EQ(api("POST", "/api/v1/admin/users", user).status, 201);
}

TEST_F(Webdav, tokens_and_passwords_prove_who_asks) {
  put("/a", "ann's");
  who = basic("ann", user_token);
  EXPECT_EQ(dav("GET", "/a").body, "ann's");
  who = {"Authorization", "Bearer " + user_token};
  EXPECT_EQ(dav("GET", "/a").body, "ann's");
  who = basic("root", user_token);
  EXPECT_EQ(dav("GET", "/a").status, 401) << "another user's token";
  who = basic("root", "root password");
  EXPECT_EQ(dav("GET", "/a").status, 404) << "another user's tree";
  who = basic("ann", "wrong password");
  const ApiAnswer refused = dav("GET", "/a");
  EXPECT_EQ(refused.status, 401);
  EXPECT_TRUE(
      header_of(refused, "WWW-Authenticate").starts_with("Basic realm=\"AsterDrive WebDAV\""));
  who = basic("ann", "ann's password");
  const json::object change{{"current_password", "ann's password"}, {"new_password", "changed it"}};
  EXPECT_EQ(dav("GET", "/a").status, 200);
  EXPECT_EQ(send("PUT", primary_url() + "/api/v1/auth/password", json::serialize(change),
                 {{"Authorization", "Bearer " + user_token}})
                .status,
            200);
  EXPECT_EQ(dav("GET", "/a").status, 401) << "the old password is still believed";
}

/// A PUT as the Finder of macOS sends it: in pieces, without Content-Length.
class ChunkedPut : public Webdav {
 protected:
  std::string head(const std::string& path) const {
    return "PUT /webdav" + path + " HTTP/1.1\r\nHost: drive\r\n" + who.first + ": " + who.second +
           "\r\nTransfer-Encoding: chunked\r\nX-Expected-Entity-Length: 1\r\n\r\n";
  }
  static std::string chunk(std::string_view bytes) {
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return size + std::string(bytes) + "\r\n";
  }
};

TEST_F(ChunkedPut, stores_every_byte_whatever_the_pieces_are) {
  const std::string content = some_content();
  testing::RawClient client(primary->port());
  for (const size_t piece : {content.size(), size_t{131072}, size_t{65521}, size_t{4096}}) {
    std::string request = head("/f");
    for (size_t at = 0; at < content.size(); at += piece) {
      request += chunk(std::string_view(content).substr(at, piece));
    }
    const auto answer = client.exchange(request + "0\r\n\r\n");
    ASSERT_TRUE(answer) << "on the one connection, pieces of " << piece;
    EXPECT_TRUE(answer->status == 201 || answer->status == 204) << answer->status;
    EXPECT_TRUE(dav("GET", "/f").body == content) << piece;
  }
  const auto empty = client.exchange(head("/empty") + "0\r\n\r\n");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->status, 201);
  const ApiAnswer got = dav("GET", "/empty");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "");
}

TEST_F(ChunkedPut, that_breaks_off_changes_nothing) {
  put("/f", "before");
  {
    testing::RawClient client(primary->port());
    ASSERT_TRUE(client.send(head("/f") + chunk(std::string(200'000, 'x'))));
  }
  {
    testing::RawClient client(primary->port());
    const auto answer = client.exchange(head("/f") + "no size\r\nx\r\n0\r\n\r\n");
    EXPECT_TRUE(!answer || answer->status == 400);
  }
  EXPECT_EQ(dav("GET", "/f").body, "before");
}

/// endpoint | case | answer
struct Row {
  const char* method;
  const char* path;
  const char* what;
  int status;
  const char* body = "";
  HeaderList headers = {};
};

TEST_F(Webdav, every_method_refuses_bad_input_clearly) {
  put("/a", "x");
  EXPECT_EQ(dav("MKCOL", "/d").status, 201);
  const std::string deep = [] {
    std::string xml = R"(<propfind xmlns="DAV:"><prop>)";
    for (int i = 0; i < 100; ++i) xml += "<a>";
    return xml;
  }();
  const std::string large(1100 * 1024, ' ');
  const char* const kBomb =
      R"(<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><propfind xmlns="DAV:"><prop>&c;</prop></propfind>)";
  std::string unproven = "Bearer ast_nobody";
  const std::vector<Row> rows = {
      {"GET", "/%2e%2e/etc/passwd", "dots in escapes", 400},
      {"GET", "/a%2f..%2fb", "a slash in an escape", 400},
      {"GET", "/a%00", "NUL", 400},
      {"GET", "/%zz", "no escape", 400},
      {"GET", "/none", "nothing there", 404},
      {"GET", "/d", "a collection", 405},
      {"POST", "/a", "no such method", 405, "x"},
      {"PROPFIND", "/none", "nothing there", 404},
      {"PROPFIND", "/a", "not XML", 400, "<a>"},
      {"PROPFIND", "/a", "an undeclared prefix", 400, R"(<x:propfind/>)"},
      {"PROPFIND", "/a", "an empty prefix", 400,
       R"(<D:propfind xmlns:D="DAV:"><D:prop><b:c xmlns:b=""/></D:prop></D:propfind>)"},
      {"PROPFIND", "/a", "entities", 400, kBomb},
      {"PROPFIND", "/a", "too deep", 400, deep.c_str()},
      {"PROPFIND", "/a", "too large", 413, large.c_str()},
      {"PROPFIND", "/a", "another root", 400, R"(<lockinfo xmlns="DAV:"/>)"},
      {"PROPFIND", "/a", "Depth", 400, "", {{"Depth", "2"}}},
      {"PROPPATCH", "/a", "empty", 400},
      {"PROPPATCH", "/none", "nothing there", 404,
       R"(<propertyupdate xmlns="DAV:"><remove><prop><a/></prop></remove></propertyupdate>)"},
      {"PUT", "/none/a", "no collection above", 409, "x"},
      {"PUT", "/d", "onto a collection", 405, "x"},
      {"PUT", "/a", "a part", 400, "x", {{"Content-Range", "bytes 0-0/5"}}},
      {"MKCOL", "/a", "there already", 405},
      {"MKCOL", "/none/a", "no collection above", 409},
      {"MKCOL", "/e", "with a body", 415, "x"},
      {"DELETE", "/none", "nothing there", 404},
      {"DELETE", "/d", "Depth 0", 400, "", {{"Depth", "0"}}},
      {"LOCK", "/a", "not XML", 400, "lock it"},
      {"LOCK", "/none/a", "no collection above", 409, kLockBody},
      {"LOCK", "/a", "refresh without a token", 412},
      {"UNLOCK", "/a", "no token", 400},
      {"UNLOCK", "/a", "no such lock", 409, "", {{"Lock-Token", "<urn:uuid:x>"}}},
      {"PUT", "/a", "a malformed If", 400, "x", {{"If", "(<a>"}}},
  };
  for (const Row& row : rows) {
    const std::string body = row.body;
    const ApiAnswer answer = dav(row.method, row.path, body, row.headers);
    std::printf("%-9s | %-22s | %d\n", row.method, row.what, answer.status);
    EXPECT_EQ(answer.status, row.status)
        << row.method << " " << row.path << ": " << row.what << "\n"
        << answer.body;
    who.second.swap(unproven);
    const int refused = dav(row.method, row.path, body, row.headers).status;
    who.second.swap(unproven);
    // Where the method does not exist, it does not for anybody.
    EXPECT_EQ(refused, row.status == 405 && std::string(row.method) == "POST" ? 405 : 401)
        << row.method << " without a proof";
  }
}

/// A session of a mount beside the WebDAV client.
class WebdavAndMount : public Webdav {
 protected:
  void SetUp() override {
    Webdav::SetUp();
    token = user_token;
    const ApiAnswer opened = api("POST", "/api/v1/fs/session", R"({"client":"mount"})");
    ASSERT_EQ(opened.status, 200) << opened.body;
    session_ = opened.data.at("session").to_number<uint64_t>();
    root_ = opened.data.at("root").to_number<uint64_t>();
  }
  /// Of "name" or "directory/name", with as many directories as there are.
  uint64_t inode(const std::string& path) {
    uint64_t at = root_;
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      at = inode(at, path.substr(begin, end - begin));
      begin = end + 1;
    }
    return at;
  }
  uint64_t inode(uint64_t parent, const std::string& name) {
    const boost::json::value lookup{{"op", "lookup"}, {"parent", parent}, {"name", name}};
    const boost::json::object batch{{"session", session_}, {"ops", json::array{lookup}}};
    const ApiAnswer answer = api("POST", "/api/v1/fs/batch", boost::json::serialize(batch));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.data.at("results").at(0).at("attr").at("ino").to_number<uint64_t>();
  }
  struct Wish {
    bool exclusive = true;
    bool unlock = false;
    bool whole = false;
  };
  /// Whether the mount gets what it wants.
  bool mount_locks(const std::string& name, const Wish& wish) {
    const boost::json::object lock{
        {"session", session_},         {"ino", inode(name)},    {"owner", 7},
        {"exclusive", wish.exclusive}, {"unlock", wish.unlock}, {"whole", wish.whole}};
    const ApiAnswer answer = api("POST", "/api/v1/fs/lock", boost::json::serialize(lock));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.data.at("granted").as_bool();
  }

 private:
  uint64_t session_ = 0;
  uint64_t root_ = 0;
};

TEST_F(WebdavAndMount, a_lock_of_webdav_keeps_mounts_from_locking) {
  ASSERT_EQ(dav("PUT", "/f", "one").status, 201);
  const std::string lock_token = lock("/f");
  EXPECT_FALSE(mount_locks("f", {}));
  EXPECT_FALSE(mount_locks("f", {.exclusive = false, .whole = true}));
  EXPECT_EQ(dav("PUT", "/f", "two", {{"If", "(" + lock_token + ")"}}).status, 204);
  EXPECT_EQ(dav("UNLOCK", "/f", {}, {{"Lock-Token", lock_token}}).status, 204);
  EXPECT_TRUE(mount_locks("f", {}));
}

TEST_F(WebdavAndMount, a_deep_lock_and_locks_of_mounts_below_keep_each_other_out) {
  ASSERT_EQ(dav("MKCOL", "/d").status, 201);
  ASSERT_EQ(dav("PUT", "/d/f", "one").status, 201);
  ASSERT_EQ(dav("PUT", "/f", "two").status, 201);
  const std::string file = "d/f";
  ASSERT_TRUE(mount_locks(file, {}));
  EXPECT_EQ(dav("LOCK", "/d", kLockBody, {{"Depth", "infinity"}}).status, 423);
  EXPECT_EQ(dav("LOCK", "/d", kLockBody, {{"Depth", "0"}}).status, 200);
  ASSERT_TRUE(mount_locks(file, {.unlock = true}));
  const std::string shallow = dav("PROPFIND", "/d", {}, {{"Depth", "0"}}).body;
  const size_t at = shallow.find("urn:uuid:");
  ASSERT_NE(at, std::string::npos) << shallow;
  const std::string old = "<" + shallow.substr(at, shallow.find('<', at) - at) + ">";
  EXPECT_EQ(dav("UNLOCK", "/d", {}, {{"Lock-Token", old}}).status, 204);
  const std::string lock_token = lock("/d", {{"Depth", "infinity"}});
  EXPECT_FALSE(mount_locks(file, {}));
  EXPECT_FALSE(mount_locks(file, {.exclusive = false, .whole = true}));
  EXPECT_TRUE(mount_locks("f", {})) << "beside it";
  EXPECT_EQ(dav("UNLOCK", "/d", {}, {{"Lock-Token", lock_token}}).status, 204);
  EXPECT_TRUE(mount_locks(file, {}));
}

TEST_F(WebdavAndMount, a_lock_of_a_mount_keeps_webdav_from_locking_and_changing) {
  ASSERT_EQ(dav("PUT", "/f", "one").status, 201);
  ASSERT_EQ(dav("PUT", "/g", "other").status, 201);
  for (const bool whole : {false, true}) {
    ASSERT_TRUE(mount_locks("f", {.whole = whole}));
    EXPECT_EQ(dav("LOCK", "/f", kLockBody).status, 423);
    EXPECT_EQ(dav("PUT", "/f", "two").status, 423);
    EXPECT_EQ(dav("DELETE", "/f").status, 423);
    EXPECT_EQ(dav("MOVE", "/f", {}, {{"Destination", dav_url("/h")}}).status, 423);
    EXPECT_EQ(dav("MOVE", "/g", {}, {{"Destination", dav_url("/f")}}).status, 423);
    EXPECT_EQ(dav("COPY", "/g", {}, {{"Destination", dav_url("/f")}}).status, 423);
    EXPECT_EQ(dav("GET", "/f").body, "one") << "reading is free";
    EXPECT_EQ(dav("PUT", "/g", "other again").status, 204) << "other files are";
    ASSERT_TRUE(mount_locks("f", {.unlock = true, .whole = whole}));
  }
  EXPECT_EQ(dav("PUT", "/f", "two").status, 204);
  EXPECT_EQ(dav("LOCK", "/f", kLockBody).status, 200);
}

TEST_F(WebdavAndMount, a_lock_of_a_mount_below_keeps_a_collection_whole) {
  for (const char* path : {"/d", "/d/e", "/other"}) ASSERT_EQ(dav("MKCOL", path).status, 201);
  for (const char* path : {"/d/e/f%20%3C", "/d/g", "/other/h", "/file"}) put(path, "one");
  const auto told = [](const ApiAnswer& answer) {
    EXPECT_EQ(answer.status, 207) << answer.body;
    EXPECT_NE(answer.body.find("<D:href>/webdav/d/e/f%20%3C</D:href>"
                               "<D:status>HTTP/1.1 423 Locked</D:status>"),
              std::string::npos)
        << answer.body;
    EXPECT_EQ(answer.body.find("<D:response>"), answer.body.rfind("<D:response>"));
  };
  const HeaderList onto{{"Destination", dav_url("/d")}};
  for (const bool whole : {false, true}) {
    const Wish held{.exclusive = whole, .whole = whole};
    ASSERT_TRUE(mount_locks("d/e/f <", held));
    told(dav("DELETE", "/d"));
    told(dav("DELETE", "/d/e"));
    told(dav("MOVE", "/d", {}, {{"Destination", dav_url("/elsewhere")}}));
    told(dav("MOVE", "/other", {}, onto));
    told(dav("COPY", "/other", {}, onto));
    told(dav("MOVE", "/file", {}, onto));
    told(dav("COPY", "/file", {}, onto));
    EXPECT_EQ(dav("GET", "/d/e/f%20%3C").body, "one");
    EXPECT_EQ(dav("GET", "/d/g").body, "one") << "nothing beside it went either";
    EXPECT_EQ(dav("GET", "/other/h").body, "one");
    EXPECT_EQ(dav("GET", "/file").body, "one");
    EXPECT_EQ(dav("COPY", "/d", {}, {{"Destination", dav_url("/copy")}}).status, 201);
    EXPECT_EQ(dav("DELETE", "/copy").status, 204) << "the copy is nobody's";
    ASSERT_TRUE(mount_locks("d/e/f <", {.unlock = true, .whole = whole}));
  }
  EXPECT_EQ(dav("COPY", "/other", {}, onto).status, 204);
  EXPECT_EQ(dav("DELETE", "/d").status, 204);
}

TEST_F(WebdavAndMount, a_shared_lock_beside_that_of_a_mount_lets_its_holder_remove_the_collection) {
  ASSERT_EQ(dav("MKCOL", "/d").status, 201);
  put("/d/f", "one");
  ASSERT_TRUE(mount_locks("d/f", {.exclusive = false}));
  std::string body = kLockBody;
  body.replace(body.find("exclusive"), 9, "shared");
  const ApiAnswer locked = dav("LOCK", "/d/f", body);
  ASSERT_EQ(locked.status, 200) << locked.body;
  const std::string condition =
      "<" + dav_url("/d/f") + "> (" + header_of(locked, "Lock-Token") + ")";
  EXPECT_EQ(dav("DELETE", "/d").status, 423);
  EXPECT_EQ(dav("DELETE", "/d", {}, {{"If", condition}}).status, 204);
}

TEST_F(WebdavAndMount, a_restart_forgets_no_lock) {
  ASSERT_EQ(dav("PUT", "/f", "one").status, 201);
  lock("/f");
  const uint64_t ino = inode("f");
  primary.reset();
  start_primary();
  const boost::json::object test{
      {"session", 1}, {"ino", ino}, {"owner", 7}, {"exclusive", true}, {"reclaim", true}};
  const ApiAnswer opened = api("POST", "/api/v1/fs/session", R"({"client":"mount"})");
  ASSERT_EQ(opened.status, 200) << opened.body;
  boost::json::object asked = test;
  asked["session"] = opened.data.at("session");
  const ApiAnswer answer = api("POST", "/api/v1/fs/lock", boost::json::serialize(asked));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_FALSE(answer.data.at("granted").as_bool());
  EXPECT_TRUE(answer.data.at("conflict").as_bool());
}

}  // namespace
}  // namespace aster

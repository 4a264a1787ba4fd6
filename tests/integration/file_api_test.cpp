#include "server/db/database.h"
#include "tests/integration/answers.h"
#include "tests/integration/people_fixture.h"

namespace aster {
namespace {

namespace json = boost::json;

class FileApi : public PeopleFixture {
 protected:
  ApiAnswer call(const std::string& method, const std::string& path, std::string body = {},
                 HeaderList headers = {}) {
    if (!token.empty()) headers.emplace_back("Authorization", "Bearer " + token);
    return send(method, primary_url() + "/api/v1" + path, std::move(body), std::move(headers));
  }
  static std::string text(const json::value& object, const char* member) {
    return object.at(member).as_string().c_str();
  }
  std::string begin(const std::string& path, uint64_t size, bool overwrite = false) {
    const json::object body{{"path", path}, {"total_size", size}, {"overwrite", overwrite}};
    const ApiAnswer answer = call("POST", "/uploads", json::serialize(body));
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.status == 201 ? text(answer.data, "upload_id") : std::string();
  }
};

TEST_F(FileApi, uploads_downloads_and_tells_of_a_file) {
  const std::string content = some_content();
  const ApiAnswer made = call("PUT", "/files/a%20b.txt", content);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(text(made.data, "name"), "a b.txt");
  EXPECT_EQ(text(made.data, "path"), "/a%20b.txt");
  EXPECT_EQ(text(made.data, "mime_type"), "text/plain");
  EXPECT_EQ(made.data.at("size").to_number<uint64_t>(), content.size());
  const ApiAnswer got = call("GET", "/files/a%20b.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_TRUE(got.body == content);
  EXPECT_EQ(header_of(got, "ETag"), text(made.data, "etag"));
  const ApiAnswer part = call("GET", "/files/a%20b.txt", {}, {{"Range", "bytes=-10"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_TRUE(part.body == content.substr(content.size() - 10));
  EXPECT_EQ(call("GET", "/files/a%20b.txt", {}, {{"If-None-Match", header_of(got, "ETag")}}).status,
            304);
  EXPECT_EQ(call("HEAD", "/files/a%20b.txt").status, 200);
  const ApiAnswer info = call("GET", "/info/a%20b.txt");
  EXPECT_EQ(text(info.data, "etag"), text(made.data, "etag"));
  EXPECT_EQ(call("PUT", "/files/a%20b.txt", "x", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(call("PUT", "/files/a%20b.txt", "x", {{"If-Match", header_of(got, "ETag")}}).status,
            200);
  EXPECT_EQ(call("PUT", "/files/a%20b.txt", "y", {{"If-Match", header_of(got, "ETag")}}).status,
            412);
  EXPECT_EQ(call("GET", "/files/a%20b.txt").body, "x");
}

TEST_F(FileApi, an_upload_is_completed_once_although_the_answer_was_lost) {
  const auto change = [this](std::string_view sql) {
    auto database = db::Database::open({.url = config_of("primary")->database_url()}, executor);
    ASSERT_TRUE(database.ok());
    const auto done = run_blocking((*database)->write([&](db::Txn& txn) -> Result<void> {
      txn.exec(sql);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  };
  const std::string upload = "/uploads/" + begin("/a", 3);
  ASSERT_EQ(call("PUT", upload + "/0", "abc").status, 200);
  change("CREATE TABLE u AS SELECT * FROM file_uploads");
  change("CREATE TABLE p AS SELECT * FROM file_upload_parts");
  const ApiAnswer first = call("POST", upload + "/complete");
  ASSERT_EQ(first.status, 201) << first.body;
  // A server that was killed between the file and the end of its upload.
  const auto lose_answer = [&] {
    change("INSERT INTO file_uploads SELECT * FROM u");
    change("INSERT INTO file_upload_parts SELECT * FROM p");
  };
  lose_answer();
  const ApiAnswer again = call("POST", upload + "/complete");
  EXPECT_EQ(again.status, 201) << again.body;
  EXPECT_EQ(text(again.data, "etag"), text(first.data, "etag"));
  EXPECT_EQ(call("GET", upload).status, 404) << "it is over";
  ASSERT_EQ(call("POST", "/move", R"({"from":"/a","to":"/b"})").status, 200);
  lose_answer();
  EXPECT_EQ(call("POST", upload + "/complete").status, 201);
  EXPECT_EQ(call("GET", "/files/a").status, 404) << "it is not made a second time";
  const std::string other = "/uploads/" + begin("/c", 3);
  ASSERT_EQ(call("PUT", other + "/0", "abc").status, 200);
  ASSERT_EQ(call("PUT", "/files/c", "somebody else's").status, 201);
  EXPECT_EQ(call("POST", other + "/complete").status, 409);
  EXPECT_EQ(call("GET", "/files/c").body, "somebody else's");
}

/// Beside a session of a mount and a WebDAV client, both ann's.
class FileApiLocks : public FileApi {
 protected:
  void SetUp() override {
    FileApi::SetUp();
    const ApiAnswer opened = api("POST", "/api/v1/fs/session", R"({"client":"mount"})");
    ASSERT_EQ(opened.status, 200) << opened.body;
    session_ = opened.data.at("session").to_number<uint64_t>();
    for (const char* folder : {"/folders/d/e?parents=true", "/folders/other"}) {
      ASSERT_EQ(call("POST", folder).status, 201);
    }
    for (const char* file : {"/files/f", "/files/d/e/f", "/files/other/f", "/files/g"}) {
      ASSERT_EQ(call("PUT", file, "one").status, 201);
    }
  }
  void mount_locks(const std::string& path, bool exclusive, bool unlock = false) {
    const ApiAnswer info = call("GET", "/info" + path);
    const json::object lock{{"session", session_}, {"ino", info.data.at("id")}, {"owner", 7},
                            {"length", 1},         {"exclusive", exclusive},    {"unlock", unlock}};
    const ApiAnswer answer = api("POST", "/api/v1/fs/lock", json::serialize(lock));
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(answer.data.at("granted").as_bool()) << answer.body;
  }
  ApiAnswer webdav(const std::string& method, const std::string& path, std::string body,
                   HeaderList headers) {
    headers.emplace_back("Authorization", "Basic " + encode_base64("ann:ann's password"));
    return send(method, primary_url() + "/webdav" + path, std::move(body), std::move(headers));
  }
  std::string webdav_locks(const std::string& path) {
    const ApiAnswer answer =
        webdav("LOCK", path,
               R"(<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>)"
               R"(<D:locktype><D:write/></D:locktype></D:lockinfo>)",
               {{"Depth", "infinity"}});
    EXPECT_EQ(answer.status, 200) << answer.body;
    return header_of(answer, "Lock-Token");
  }
  void webdav_unlocks(const std::string& path, const std::string& lock) {
    ASSERT_EQ(webdav("UNLOCK", path, {}, {{"Lock-Token", lock}}).status, 204);
  }
  ApiAnswer transfer(const char* what, const char* from, const char* to) {
    const json::object body{{"from", from}, {"to", to}, {"overwrite", true}};
    return call("POST", what, json::serialize(body));
  }
  static void refused(const ApiAnswer& answer, const std::string& because) {
    EXPECT_EQ(answer.status, 423) << answer.body;
    EXPECT_NE(answer.body.find(R"("code":"locked")"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find(because), std::string::npos) << answer.body;
  }
  void file_is_spared(const std::string& because) {
    refused(call("PUT", "/files/f", "two"), because);
    refused(call("DELETE", "/files/f"), because);
    refused(transfer("/move", "/f", "/h"), because);
    refused(transfer("/move", "/g", "/f"), because);
    refused(transfer("/copy", "/g", "/f"), because);
    refused(transfer("/copy", "/d", "/f"), because);
    const std::string upload = "/uploads/" + begin("/f", 3, true);
    ASSERT_EQ(call("PUT", upload + "/0", "two").status, 200);
    refused(call("POST", upload + "/complete"), because);
    EXPECT_EQ(call("DELETE", upload).status, 200);
    EXPECT_EQ(call("GET", "/files/f").body, "one") << "reading is free";
    EXPECT_EQ(call("PUT", "/files/g", "one").status, 200) << "other files are";
    EXPECT_EQ(transfer("/copy", "/f", "/copy").status, 201);
  }
  void folder_is_spared(const std::string& because) {
    refused(call("DELETE", "/files/d?recursive=true"), because);
    refused(transfer("/move", "/d", "/h"), because);
    refused(transfer("/move", "/other", "/d"), because);
    refused(transfer("/copy", "/other", "/d"), because);
    refused(transfer("/copy", "/g", "/d"), because);
    EXPECT_EQ(call("GET", "/files/d/e/f").body, "one");
    EXPECT_EQ(call("GET", "/files/other/f").body, "one");
    EXPECT_EQ(call("PUT", "/files/d/new", "x").status, 201) << "it takes new files";
    EXPECT_EQ(call("DELETE", "/files/d/new").status, 200);
  }

 private:
  uint64_t session_ = 0;
};

TEST_F(FileApiLocks, what_a_mount_has_locked_stays_as_it_is) {
  for (const bool exclusive : {false, true}) {
    mount_locks("/f", exclusive);
    file_is_spared("a program on a mount has locked it (/f)");
    mount_locks("/f", exclusive, true);
    mount_locks("/d/e/f", exclusive);
    folder_is_spared("a program on a mount has locked it (/d/e/f)");
    mount_locks("/d/e/f", exclusive, true);
  }
  EXPECT_EQ(call("PUT", "/files/f", "two").status, 200);
  EXPECT_EQ(call("DELETE", "/files/d?recursive=true").status, 200);
}

TEST_F(FileApiLocks, what_a_webdav_client_has_locked_stays_as_it_is) {
  std::string lock = webdav_locks("/f");
  file_is_spared("a WebDAV client has locked it (/f)");
  webdav_unlocks("/f", lock);
  lock = webdav_locks("/d/e/f");
  folder_is_spared("a WebDAV client has locked it (/d/e/f)");
  webdav_unlocks("/d/e/f", lock);
  lock = webdav_locks("/d");
  const std::string deep = "a WebDAV client has locked it (/d/e/f)";
  refused(call("PUT", "/files/d/e/f", "two"), deep);
  refused(call("DELETE", "/files/d/e/f"), deep);
  refused(call("DELETE", "/files/d?recursive=true"), "a WebDAV client has locked it (/d)");
  webdav_unlocks("/d", lock);
  EXPECT_EQ(call("PUT", "/files/f", "two").status, 200);
  EXPECT_EQ(call("DELETE", "/files/d?recursive=true").status, 200);
}

TEST_F(FileApi, folders_are_made_listed_and_removed) {
  EXPECT_EQ(call("POST", "/folders/a/b/c").status, 404);
  EXPECT_EQ(call("POST", "/folders/a/b/c?parents=true").status, 201);
  EXPECT_EQ(call("POST", "/folders/a").status, 409);
  for (int i = 0; i < 7; ++i) {
    ASSERT_EQ(call("PUT", "/files/a/n" + std::to_string(i), "x").status, 201);
  }
  std::string after = "0";
  size_t seen = 0;
  for (int pages = 0; after != "null" && pages < 10; ++pages) {
    const ApiAnswer page = call("GET", "/folders/a?limit=3&after=" + after);
    ASSERT_EQ(page.status, 200) << page.body;
    seen += page.data.at("items").as_array().size();
    after = json::serialize(page.data.at("next"));
  }
  EXPECT_EQ(seen, 8u);
  EXPECT_EQ(text(call("GET", "/info/a/b").data, "type"), "folder");
  EXPECT_EQ(call("DELETE", "/files/a").status, 409);
  EXPECT_EQ(call("DELETE", "/files/a?recursive=true").status, 200);
  EXPECT_EQ(call("GET", "/info/a").status, 404);
  EXPECT_EQ(call("GET", "/folders").data.at("items").as_array().size(), 0u);
}

TEST_F(FileApi, moves_and_copies) {
  ASSERT_EQ(call("POST", "/folders/d").status, 201);
  ASSERT_EQ(call("PUT", "/files/d/f", "one").status, 201);
  ASSERT_EQ(call("PUT", "/files/g", "two").status, 201);
  EXPECT_EQ(call("POST", "/copy", R"({"from":"/d","to":"/e%20e"})").status, 201);
  EXPECT_EQ(call("GET", "/files/e%20e/f").body, "one");
  EXPECT_EQ(call("POST", "/copy", R"({"from":"/g","to":"/d/f"})").status, 409);
  EXPECT_EQ(call("POST", "/copy", R"({"from":"/g","to":"/d/f","overwrite":true})").status, 201);
  EXPECT_EQ(call("GET", "/files/d/f").body, "two");
  EXPECT_EQ(call("POST", "/move", R"({"from":"/g","to":"/h"})").status, 200);
  EXPECT_EQ(call("GET", "/files/g").status, 404);
  EXPECT_EQ(call("POST", "/move", R"({"from":"/d","to":"/d/x"})").status, 400);
  EXPECT_EQ(call("POST", "/move", R"({"from":"/h","to":"/none/x"})").status, 404);
  EXPECT_EQ(call("POST", "/move", R"({"from":"/h","to":"/d","overwrite":true})").status, 200);
  EXPECT_EQ(call("GET", "/files/d").body, "two");
}

TEST_F(FileApi, a_large_file_comes_in_parts_in_any_order_and_across_a_restart) {
  constexpr uint64_t kChunk = 16 << 20;
  const std::string content = some_content(2 * kChunk + 12345);
  const std::string id = begin("/large", content.size());
  const std::string upload = "/uploads/" + id;
  EXPECT_EQ(call("PUT", upload + "/2", content.substr(2 * kChunk)).status, 200);
  EXPECT_EQ(call("POST", upload + "/complete").status, 412);
  EXPECT_EQ(call("PUT", upload + "/0", "too short").status, 400);
  EXPECT_EQ(call("PUT", upload + "/3", "x").status, 400);
  primary.reset();
  start_primary();
  ASSERT_NE(primary, nullptr);
  const ApiAnswer progress = call("GET", upload);
  EXPECT_EQ(json::serialize(progress.data.at("received")), "[2]") << progress.body;
  EXPECT_EQ(progress.data.at("total_chunks").to_number<int>(), 3);
  EXPECT_EQ(call("PUT", upload + "/0", content.substr(0, kChunk)).status, 200);
  EXPECT_EQ(call("PUT", upload + "/1", content.substr(0, kChunk)).status, 200) << "a wrong one";
  EXPECT_EQ(call("PUT", upload + "/1", content.substr(kChunk, kChunk)).status, 200);
  EXPECT_EQ(call("GET", "/files/large").status, 404) << "not before it is complete";
  const ApiAnswer done = call("POST", upload + "/complete");
  EXPECT_EQ(done.status, 201) << done.body;
  EXPECT_TRUE(call("GET", "/files/large").body == content);
  EXPECT_EQ(call("GET", upload).status, 404);
}

TEST_F(FileApi, an_upload_replaces_only_when_asked) {
  ASSERT_EQ(call("PUT", "/files/a", "old").status, 201);
  const json::object body{{"path", "/a"}, {"total_size", 3}};
  EXPECT_EQ(call("POST", "/uploads", json::serialize(body)).status, 409);
  const std::string id = begin("/a", 3, true);
  EXPECT_EQ(call("PUT", "/uploads/" + id + "/0", "new").status, 200);
  EXPECT_EQ(call("POST", "/uploads/" + id + "/complete").status, 201);
  EXPECT_EQ(call("GET", "/files/a").body, "new");
  const std::string nothing = begin("/empty", 0);
  EXPECT_EQ(call("POST", "/uploads/" + nothing + "/complete").status, 201);
  EXPECT_EQ(call("HEAD", "/files/empty").status, 200);
  const std::string dropped = begin("/b", 3);
  EXPECT_EQ(call("DELETE", "/uploads/" + dropped).status, 200);
  EXPECT_EQ(call("PUT", "/uploads/" + dropped + "/0", "new").status, 404);
}

TEST_F(FileApi, searches_names) {
  ASSERT_EQ(call("POST", "/folders/Photos/2024?parents=true").status, 201);
  for (const char* path : {"/files/Photos/2024/beach.JPG", "/files/Photos/a.png", "/files/beach"}) {
    ASSERT_EQ(call("PUT", path, "x").status, 201);
  }
  const auto found = [&](const std::string& query) {
    const ApiAnswer answer = call("GET", "/search" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.status == 200 ? answer.data.at("items").as_array().size() : 999;
  };
  EXPECT_EQ(found("?q=BEACH"), 2u);
  EXPECT_EQ(found("?q=*.jpg"), 1u);
  EXPECT_EQ(found("/Photos?q=beach"), 1u);
  EXPECT_EQ(found("?q=2024&type=file"), 0u);
  EXPECT_EQ(found("?q=2024&type=folder"), 1u);
  EXPECT_EQ(found("?q=%5C"), 0u);
  const ApiAnswer cut = call("GET", "/search?q=a&limit=1");
  EXPECT_FALSE(cut.data.at("complete").as_bool());
  EXPECT_TRUE(cut.data.at("cursor").is_string());
}

/// With a bound that a few names reach.
class FileSearch : public PeopleFixture {
 protected:
  FileSearch() : PeopleFixture({}, files::make_front_end_with({.searched_entries = 3})) {}

  void make(const std::string& path, bool folder) {
    const ApiAnswer made =
        folder ? api("POST", "/api/v1/folders" + path) : api("PUT", "/api/v1/files" + path, "x");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  struct Page {
    std::vector<std::string> paths;
    std::string cursor;  ///< empty: complete
  };
  Page page(const std::string& query, const std::string& cursor) {
    const std::string suffix = cursor.empty() ? "" : "&cursor=" + cursor;
    const ApiAnswer answer = api("GET", "/api/v1/search" + query + suffix);
    EXPECT_EQ(answer.status, 200) << answer.body;
    if (answer.status != 200) return {};
    Page out;
    for (const json::value& item : answer.data.at("items").as_array()) {
      out.paths.emplace_back(item.at("path").as_string());
    }
    const json::value& next = answer.data.at("cursor");
    EXPECT_EQ(next.is_null(), answer.data.at("complete").as_bool());
    if (next.is_string()) out.cursor = next.as_string();
    return out;
  }
  /// All pages, one after the other.
  std::vector<std::string> all(const std::string& query, std::string cursor = {}) {
    std::vector<std::string> paths;
    for (pages_ = 1; pages_ < 100; ++pages_) {
      Page next = page(query, cursor);
      paths.insert(paths.end(), next.paths.begin(), next.paths.end());
      if (next.cursor.empty()) return paths;
      EXPECT_NE(next.cursor, cursor) << "it must get on";
      cursor = next.cursor;
    }
    ADD_FAILURE() << "no end";
    return paths;
  }

  int pages_ = 0;
};

TEST_F(FileSearch, goes_on_where_it_stopped_until_every_name_was_seen_once) {
  std::vector<std::string> names;
  for (const char* folder : {"/a", "/a/deep", "/a/deep/est", "/empty", "/z"}) {
    make(folder, true);
    for (int i = 0; i < 4 && folder != std::string("/empty"); ++i) {
      names.push_back(folder + ("/n" + std::to_string(i)));
      make(names.back(), false);
    }
  }
  std::vector<std::string> found = all("?q=n?");
  EXPECT_GT(pages_, 4) << "the bound was reached";
  std::sort(found.begin(), found.end());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(found, names);
  found = all("?q=n&limit=1");
  EXPECT_EQ(found.size(), names.size()) << "a limit is no other place to go on from";
  found = all("/a/deep?q=n1");
  EXPECT_EQ(found, (std::vector<std::string>{"/a/deep/n1", "/a/deep/est/n1"}));
  EXPECT_TRUE(all("?q=nothing").empty());
}

TEST_F(FileSearch, skips_what_is_gone_and_loses_nothing_else) {
  make("/a", true);
  make("/a/n1", false);
  make("/a/sub", true);
  make("/a/sub/n2", false);
  make("/z", true);
  make("/z/n3", false);
  make("/z/n5", false);
  Page first = page("?q=n*&limit=1", {});
  EXPECT_EQ(first.paths, std::vector<std::string>{"/a/n1"});
  ASSERT_EQ(api("DELETE", "/api/v1/files/a?recursive=true").status, 200);
  make("/a", true);
  make("/a/n4", false);
  EXPECT_EQ(all("?q=n*", first.cursor), (std::vector<std::string>{"/z/n3", "/z/n5", "/a/n4"}))
      << "and not the next folder from the middle on, in place of the one that is gone";
}

TEST_F(FileSearch, refuses_cursors_of_others) {
  for (const char* cursor : {"x", "1.", ".1", "1..2", "-1", "1.x", "99999999999999999999"}) {
    EXPECT_EQ(api("GET", std::string("/api/v1/search?q=a&cursor=") + cursor).status, 400) << cursor;
  }
  // Numbers that no search answered lead nowhere worse than to other names of the same tree.
  EXPECT_EQ(api("GET", "/api/v1/search?q=a&cursor=18446744073709551615.5.0.7").status, 200);
}

/// endpoint | case | answer
struct Row {
  const char* method;
  const char* path;
  const char* what;
  int status;
  const char* body = "";
};

TEST_F(FileApi, every_route_refuses_bad_input_clearly) {
  ASSERT_EQ(call("PUT", "/files/a", "x").status, 201);
  ASSERT_EQ(call("POST", "/folders/d").status, 201);
  const std::string large = "{\"from\":\"" + std::string(1100 * 1024, 'x') + "\"}";
  std::string nested(100, '[');
  const std::string id = begin("/up", 5);
  const std::string part = "/uploads/" + id + "/0";
  const std::vector<Row> rows = {
      {"GET", "/files/%2e%2e/x", "dots in escapes", 400},
      {"GET", "/files/a%2fb", "a slash in an escape", 400},
      {"GET", "/files/none", "nothing there", 404},
      {"GET", "/files/d", "a folder", 409},
      {"GET", "/files", "the root", 409},
      {"PUT", "/files/none/a", "no folder above", 404, "x"},
      {"PUT", "/files/d", "onto a folder", 409, "x"},
      {"DELETE", "/files", "the root", 403},
      {"DELETE", "/files/none", "nothing there", 404},
      {"DELETE", "/files/d?recursive=maybe", "no flag", 400},
      {"GET", "/info/none", "nothing there", 404},
      {"GET", "/folders/a", "a file", 409},
      {"GET", "/folders?limit=100000", "too many", 400},
      {"GET", "/folders?after=x", "no cursor", 400},
      {"POST", "/folders", "the root", 409},
      {"POST", "/move", "no JSON", 400, "x"},
      {"POST", "/move", "a member is missing", 400, R"({"from":"/a"})"},
      {"POST", "/move", "nested too deep", 400, nested.c_str()},
      {"POST", "/move", "too large", 413, large.c_str()},
      {"POST", "/copy", "path tricks", 400, R"({"from":"/a","to":"/../b"})"},
      {"POST", "/copy", "nothing there", 404, R"({"from":"/none","to":"/b"})"},
      {"GET", "/search", "no q", 400},
      {"GET", "/search/none?q=a", "no folder", 404},
      {"GET", "/search?q=a&type=link", "no type", 400},
      {"GET", "/search?q=a&cursor=x", "no cursor", 400},
      {"POST", "/uploads", "negative", 400, R"({"path":"/x","total_size":-1})"},
      {"POST", "/uploads", "too large a file", 413, R"({"path":"/x","total_size":99999999999999})"},
      {"POST", "/uploads", "a folder", 409, R"({"path":"/d","total_size":1})"},
      {"GET", "/uploads/0123", "no such upload", 404},
      {"PUT", "/uploads/0123/0", "no such upload", 404, "x"},
      {"PUT", part.c_str(), "too long", 400, "123456"},
  };
  const std::string own = token;
  for (const Row& row : rows) {
    const ApiAnswer answer = call(row.method, row.path, row.body);
    std::printf("%-6s | %-22s | %-22s | %d\n", row.method, row.path, row.what, answer.status);
    EXPECT_EQ(answer.status, row.status) << row.path << ": " << row.what << "\n" << answer.body;
    for (const char* wrong : {"", "ast_nobody"}) {
      token = wrong;
      EXPECT_EQ(call(row.method, row.path, row.body).status, 401) << row.path;
    }
    token = own;
  }
  // Another user sees nothing of this one's.
  token = login("root", "root password");
  EXPECT_EQ(call("GET", "/files/a").status, 404);
  EXPECT_EQ(call("GET", "/uploads/" + id).status, 404);
  EXPECT_EQ(call("PUT", part, "12345").status, 404);
  EXPECT_EQ(call("POST", "/uploads/" + id + "/complete").status, 404);
}

/// Nothing is too young to be kept.
class KeptByDoors : public PeopleFixture {
 protected:
  KeptByDoors()
      : PeopleFixture({{"ASTER__SERVER__PRIMARY__TRASH_MIN_AGE_SECS", "0"},
                       {"ASTER__SERVER__PRIMARY__VERSION_INTERVAL_SECS", "0"}}) {}
  void SetUp() override {
    PeopleFixture::SetUp();
    client = &client_of(user_token);
    const auto opened = run_blocking(client->open_session({"test", ""}));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    root = opened->root;
  }
  template <class A>
  A ask(fs::Operation operation) {
    auto answer = run_blocking(client->call<A>(std::move(operation)));
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    return answer.ok() ? std::move(*answer) : A();
  }
  std::vector<std::string> trash() {
    std::vector<std::string> paths;
    kept = ask<fs::KeptPage>(fs::ListTrash{}).entries;
    for (const fs::Kept& entry : kept) paths.push_back(entry.path);
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  void restore(const std::string& path) {
    for (const fs::Kept& entry : kept) {
      if (entry.path != path) continue;
      fs::RestoreTrash operation;
      operation.id = entry.id;
      ask<fs::Attr>(operation);
    }
  }

  struct Door {
    const char* base;
    const char* recursive;
    int replaced;
    int removed;
  };
  static constexpr Door kDoors[] = {{"/api/v1/files/", "?recursive=true", 200, 200},
                                    {"/webdav/", "", 204, 204}};

  PrimaryClient* client = nullptr;
  InodeNo root;
  std::vector<fs::Kept> kept;
};

TEST_F(KeptByDoors, put_over_a_file_makes_a_version) {
  for (const Door& door : kDoors) {
    const std::string path = std::string(door.base) + "f";
    ASSERT_EQ(api("PUT", path, "first").status, 201) << door.base;
    const InodeNo ino = ask<fs::Attr>(fs::Lookup{root, "f"}).ino;
    EXPECT_EQ(ask<fs::KeptPage>(fs::ListVersions{ino}).entries.size(), 0u);
    ASSERT_EQ(api("PUT", path, "the second").status, door.replaced) << door.base;
    const auto versions = ask<fs::KeptPage>(fs::ListVersions{ino}).entries;
    ASSERT_EQ(versions.size(), 1u) << door.base;
    EXPECT_EQ(versions[0].attr.size, 5u);
    EXPECT_EQ(api("GET", path).body, "the second");
    fs::RestoreVersion back;
    back.id = versions[0].id;
    ask<fs::Attr>(back);
    EXPECT_EQ(api("GET", path).body, "first") << door.base;
    ASSERT_EQ(api("DELETE", path).status, door.removed);
  }
}

TEST_F(KeptByDoors, delete_leads_to_the_trash) {
  for (const Door& door : kDoors) {
    const std::string base = door.base;
    const std::string folder = base + "d" + door.recursive;
    ASSERT_EQ(api("POST", "/api/v1/folders/d").status, 201);
    ASSERT_EQ(api("PUT", base + "f", "of f").status, 201) << base;
    ASSERT_EQ(api("PUT", base + "d/g", "of g").status, 201) << base;
    ASSERT_EQ(api("DELETE", base + "f").status, door.removed) << base;
    EXPECT_EQ(trash(), std::vector<std::string>{"/f"}) << base;
    ASSERT_EQ(api("DELETE", folder).status, door.removed) << base;
    EXPECT_EQ(trash(), (std::vector<std::string>{"/d", "/d/g", "/f"})) << base;
    EXPECT_EQ(api("GET", base + "f").status, 404);
    EXPECT_EQ(api("GET", base + "d/g").status, 404);
    restore("/f");
    restore("/d/g");
    EXPECT_EQ(api("GET", base + "f").body, "of f") << base;
    EXPECT_EQ(api("GET", base + "d/g").body, "of g") << base;
    EXPECT_TRUE(trash().empty()) << base;
    ASSERT_EQ(api("DELETE", base + "f").status, door.removed);
    ASSERT_EQ(api("DELETE", folder).status, door.removed);
    fs::EmptyTrash empty;
    empty.until = INT64_MAX;
    ask<fs::Counted>(empty);
    EXPECT_TRUE(trash().empty()) << base;
  }
}

}  // namespace
}  // namespace aster

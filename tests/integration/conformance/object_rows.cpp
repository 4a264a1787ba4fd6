#include "protocol/checksum.h"
#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

std::string etag(const std::string& body) {
  return "\"" + to_hex(sha256(as_bytes(body))) + "\"";
}

void put_get_head_delete(const Peer& peer, Findings& f) {
  const std::string body = "hello aster";
  const auto put = peer.put("/objects/files/one", body);
  f.equal("PUT", put.status, 200);
  f.equal("ETag", put.field("ETag").value_or(""), etag(body));
  f.equal("PUT envelope", put.body, R"({"code":"success","msg":""})");
  const auto got = peer.get("/objects/files/one");
  f.equal("GET", got.status, 200);
  f.equal("bytes", got.body, body);
  f.equal("Content-Type", got.field("Content-Type").value_or(""), "application/octet-stream");
  f.equal("Accept-Ranges", got.field("Accept-Ranges").value_or(""), "bytes");
  f.equal("Content-Encoding", got.field("Content-Encoding").value_or(""), "identity");
  f.is_true("no ETag on GET", !got.field("ETag"));
  const auto head = peer.call({.method = "HEAD", .path = "/objects/files/one"});
  f.equal("HEAD", head.status, 200);
  f.equal("HEAD length", head.field("Content-Length").value_or(""), "11");
  f.equal("HEAD Accept-Ranges", head.field("Accept-Ranges").value_or(""), "bytes");
  const auto metadata = data_of(peer.get("/objects/files/one/metadata"));
  f.equal("metadata", metadata, R"({"size":11,"content_type":null})");
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/objects/files/one"}).status, 200);
  f.equal("HEAD afterwards", peer.call({.method = "HEAD", .path = "/objects/files/one"}).status,
          404);
}

void overwrite(const Peer& peer, Findings& f) {
  peer.put("/objects/over", "long old content");
  f.equal("PUT", peer.put("/objects/over", "new").status, 200);
  f.equal("GET", peer.get("/objects/over").body, "new");
  f.equal("empty PUT", peer.put("/objects/over", "").status, 200);
  const auto got = peer.get("/objects/over");
  f.equal("empty GET", std::to_string(got.status) + got.field("Content-Length").value_or(""),
          "2000");
}

void missing(const Peer& peer, Findings& f) {
  f.equal("GET", verdict(peer.get("/objects/none")), "404 not_found");
  f.equal("metadata", verdict(peer.get("/objects/none/metadata")), "404 not_found");
  f.equal("DELETE", verdict(peer.call({.method = "DELETE", .path = "/objects/none"})),
          "404 not_found");
  f.equal("numeric", verdict(peer.call({.path = "/objects/none", .agent = kOld})), "404 1001");
  peer.put("/objects/folder/inner", "x");
  f.equal("HEAD of a folder", peer.call({.method = "HEAD", .path = "/objects/folder"}).status, 404);
  f.equal("GET of a folder", peer.get("/objects/folder").status, 404);
}

void content_length(const Peer& peer, Findings& f) {
  const std::string required = "400 internal_storage.content_length_required";
  f.equal("none", verdict(peer.call({.method = "PUT", .path = "/objects/cl"})), required);
  Call chunked{.method = "PUT", .path = "/objects/cl"};
  chunked.headers = peer.sign(chunked);
  chunked.headers.emplace_back("Transfer-Encoding", "chunked");
  f.equal("chunked", verdict(peer.send(chunked)), required);
  Call invalid{.method = "PUT", .path = "/objects/cl"};
  invalid.headers = peer.sign(invalid);
  invalid.headers.emplace_back("Content-Length", "abc");
  f.equal("not a number", peer.send(invalid).status, 400);
  f.equal("nothing stored", peer.get("/objects/cl").status, 404);
}

void size_limits(const Peer& peer, Findings& f) {
  f.equal("query, over", verdict(peer.put("/objects/big?max_file_size=3", "1234")),
          "400 file.too_large");
  f.equal("query, at", peer.put("/objects/big?max_file_size=4", "1234").status, 200);
  f.equal("query, none", peer.put("/objects/big?max_file_size=0", "1234").status, 200);
  f.equal("query, negative", verdict(peer.put("/objects/big?max_file_size=-1", "1234")),
          "401 auth.token_invalid");
  const auto answer = peer.put("/objects/big?max_file_size=3", "1234");
  f.equal("text", member(answer.body, "msg"), "object size 4 exceeds limit 3");
}

void hostile_keys(const Peer& peer, Findings& f) {
  for (const char* key : {"../x", "a/../../x", "..", "a%2F..%2F..%2Fx", "a%5C..%5Cx", "", "%2F",
                          ".", "a%00b", "%ff", "%zz"}) {
    const std::string path = "/objects/" + std::string(key);
    f.equal("PUT " + path, peer.put(path, "x").status, 400);
    f.equal("GET " + path, peer.get(path).status, 400);
    f.equal("DELETE " + path, peer.call({.method = "DELETE", .path = path}).status, 400);
  }
}

void key_forms(const Peer& peer, Findings& f) {
  f.equal("PUT", peer.put("/objects//a%2Fb//.%5Cc+d%20%C3%A9", "k").status, 200);
  f.equal("GET of the plain form", peer.get("/objects/a/b/c+d%20%c3%a9").body, "k");
  f.equal("decoded once", peer.put("/objects/p%2525", "1").status, 200);
  f.equal("second form", peer.get("/objects/p%25").status, 404);
}

void metadata_named_key(const Peer& peer, Findings& f) {
  f.equal("PUT", peer.put("/objects/m/metadata", "12345").status, 200);
  f.equal("HEAD", peer.call({.method = "HEAD", .path = "/objects/m/metadata"}).status, 200);
  f.equal("GET means the metadata of m", peer.get("/objects/m/metadata").status, 404);
  f.equal("escaped GET is the object", peer.get("/objects/m%2Fmetadata").body, "12345");
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/objects/m/metadata"}).status, 200);
}

void header_overrides(const Peer& peer, Findings& f) {
  peer.put("/objects/h", "x");
  const auto got = peer.get(
      "/objects/h?response-content-type=text%2Fplain&response-content-disposition="
      "attachment%3B+filename%3D%22a.txt%22&response-cache-control=no-store");
  f.equal("Content-Type", got.field("Content-Type").value_or(""), "text/plain");
  f.equal("Content-Disposition", got.field("Content-Disposition").value_or(""),
          "attachment; filename=\"a.txt\"");
  f.equal("Cache-Control", got.field("Cache-Control").value_or(""), "no-store");
  f.equal("illegal value", peer.get("/objects/h?response-content-type=a%0D%0AX:b").status, 400);
}

void short_body(const Peer& peer, Findings& f) {
  peer.put("/objects/short", "old");
  Call call{.method = "PUT", .path = "/objects/short", .body = std::string(1000, 'n')};
  std::string text = "PUT " + peer.target(call) + " HTTP/1.1\r\nContent-Length: 1000\r\n";
  for (const auto& [name, value] : peer.sign(call)) text += name + ": " + value + "\r\n";
  {
    testing::RawClient client(peer.options().host, peer.options().port);
    client.send(text + "\r\nonly this");
    client.reset();
  }
  f.equal("the old object stands", peer.get("/objects/short").body, "old");
}

void body_beyond_length(const Peer& peer, Findings& f) {
  Call call{.method = "PUT", .path = "/objects/beyond", .body = "ab"};
  std::string text = "PUT " + peer.target(call) + " HTTP/1.1\r\nContent-Length: 2\r\n";
  for (const auto& [name, value] : peer.sign(call)) text += name + ": " + value + "\r\n";
  testing::RawClient client(peer.options().host, peer.options().port);
  client.send(text + "\r\nabGARBAGE");
  f.equal("PUT", client.receive().value_or(testing::RawAnswer{}).status, 200);
  f.equal("GET", peer.get("/objects/beyond").body, "ab");
}

void ingest_checksum(const Peer& peer, Findings& f) {
  const std::string body = "checked";
  const auto with = [&](const std::string& crc) {
    return peer.call({.method = "PUT",
                      .path = "/objects/crc",
                      .body = body,
                      .headers = {{"x-aster-crc32c", crc}}});
  };
  f.equal("right", with(crc32c_hex(crc32c(as_bytes(body)))).status, 200);
  f.equal("wrong", verdict(with("00000000")), "400 bad_request");
  f.equal("malformed", verdict(with("xyz")), "400 bad_request");
  f.equal("still there", peer.get("/objects/crc").body, body);
}

void large(const Peer& peer, Findings& f) {
  std::string body(5'000'000, 0);
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 13);
  f.equal("ETag", peer.put("/objects/large", body).field("ETag").value_or(""), etag(body));
  f.is_true("bytes", peer.get("/objects/large").body == body);
  f.is_true("part", peer.get("/objects/large?offset=1000001&length=3000000").body ==
                        body.substr(1'000'001, 3'000'000));
  peer.call({.method = "DELETE", .path = "/objects/large"});
}

}  // namespace

std::vector<Row> object_rows() {
  return {{"3.1", "GET .../metadata routes to the parent key", metadata_named_key},
          {"6.1", "hostile keys are 400", hostile_keys},
          {"6.1", "keys are decoded once and normalised", key_forms},
          {"7.1", "PUT, GET, HEAD, metadata, DELETE", put_get_head_delete},
          {"7.1", "PUT overwrites, also with nothing", overwrite},
          {"7.1", "Content-Length is required", content_length},
          {"7.1", "size limits of the query", size_limits},
          {"7.1", "a short body stores nothing", short_body},
          {"7.1", "bytes beyond Content-Length are not read", body_beyond_length},
          {"7.2", "header overrides", header_overrides},
          {"7.3", "missing objects and folders are 404", missing},
          {"ours", "ingest_crc32c refuses a wrong checksum", ingest_checksum},
          {"7", "5 MB up and down", large}};
}

}  // namespace aster::conformance

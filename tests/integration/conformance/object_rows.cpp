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
  f.equal("not a number", verdict(peer.send(invalid)),
          "400 internal_storage.content_length_invalid");
  invalid.agent = kOld;
  f.equal("not a number, numeric", verdict(peer.send(invalid)),
          "400 1000/internal_storage.content_length_invalid");
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

void hard_keys(const Peer& peer, Findings& f) {
  const std::string long_name(255, 'n');
  std::string deep;
  for (int i = 0; i < 64; ++i) deep += "deep" + std::to_string(i) + "/";
  const std::pair<std::string, std::string> keys[] = {
      {" lead and trail ", "%20lead%20and%20trail%20"},
      {"caf\xc3\xa9", "caf%C3%A9"},          // composed
      {"cafe\xcc\x81", "cafe%CC%81"},        // decomposed: another key
      {"\xf0\x9f\x98\x80", "%f0%9f%98%80"},  // lower-case escapes
      {"100%", "100%25"},
      {"a+b", "a+b"},
      {"a b+c%2B", "a%20b+c%252B"},
      {"?#[]", "%3F%23%5B%5D"},
      {"...", "..."},
      {"..hidden", "..hidden"},
      {"~'()*!$&=;:@,^|", "~'()*!$&=;:@,^|"},
      {"x/metadata/y", "x/metadata/y"},
      {"line\nbreak", "line%0Abreak"},
      {long_name, long_name},
      {deep + "leaf", deep + "leaf"}};
  size_t number = 0;
  for (const auto& [key, tail] : keys) {
    const std::string body = std::to_string(number++);
    f.equal("PUT " + key, peer.put("/objects/hard/" + tail, body).status, 200);
  }
  const std::string listed = data_of(peer.get("/objects?prefix=hard"));
  number = 0;
  for (const auto& [key, tail] : keys) {
    f.equal("GET " + key, peer.get("/objects/hard/" + tail).body, std::to_string(number++));
  }
  f.is_true("both forms of e acute are listed",
            listed.find("caf\xc3\xa9") != std::string::npos &&
                listed.find("cafe\xcc\x81") != std::string::npos);
  for (const auto& [key, tail] : keys) {
    f.equal("DELETE " + key,
            peer.call({.method = "DELETE", .path = "/objects/hard/" + tail}).status, 200);
  }
  f.equal("none is left", data_of(peer.get("/objects?prefix=hard")), R"({"items":[]})");
  f.equal("a name longer than a file's", peer.put("/objects/" + long_name + "x", "1").status, 400);
}

void bare_question_marks(const Peer& peer, Findings& f) {
  peer.put("/objects/bare", "b");
  f.equal("signed GET", peer.get("/objects/bare?").body, "b");
  f.equal("with an empty segment", peer.get("/objects/bare?&").body, "b");
  // v1 and v2 sign "path?" for a presigned GET without parameters of its own.
  const std::string expires = std::to_string(SystemClock().now_seconds() + 60);
  const auto& keys = peer.options().credentials;
  const std::string text =
      "GET\n" + peer.target({.path = "/objects/bare?"}) + "\n" + keys.access_key + "\n" + expires;
  const std::string presigned = "/objects/bare?aster_access_key=" + keys.access_key +
                                "&aster_expires=" + expires +
                                "&aster_signature=" + sign::signature_hex(keys.secret_key, text);
  f.equal("presigned as v1 and v2 do", peer.send({.path = presigned, .agent = ""}).body, "b");
}

void early_refusals(const Peer& peer, Findings& f) {
  // The body never comes: the answer must not wait for it, and must say that the connection ends.
  const auto refused = [&](const std::string& path, const std::string& length) {
    Call call{.method = "PUT", .path = path};
    const std::string stamp = std::to_string(SystemClock().now_seconds());
    const std::string nonce = "early-" + std::to_string(SystemClock().now_ns());
    const auto& keys = peer.options().credentials;
    const std::string signature = sign::signature_hex(
        keys.secret_key, "PUT\n" + peer.target(call) + "\n" + stamp + "\n" + nonce + "\n" + length);
    testing::RawClient client(peer.options().host, peer.options().port);
    client.send("PUT " + peer.target(call) + " HTTP/1.1\r\nHost: f\r\nContent-Length: " + length +
                "\r\nx-aster-access-key: " + keys.access_key + "\r\nx-aster-timestamp: " + stamp +
                "\r\nx-aster-nonce: " + nonce + "\r\nx-aster-signature: " + signature +
                "\r\nUser-Agent: " + std::string(kNew) + "\r\n\r\n");
    return client.receive().value_or(testing::RawAnswer{});
  };
  const auto large = refused("/objects/early?max_file_size=10", "1000000000");
  f.equal("too large", verdict(large), "400 file.too_large");
  f.equal("it closes", large.field("Connection").value_or(""), "close");
  const auto unknown = refused("/objects/early?target_key=none", "99999999999");
  f.equal("no such target", verdict(unknown), "412 remote_storage_target.not_found");
  f.equal("it closes, too", unknown.field("Connection").value_or(""), "close");
}

void metadata_named_key(const Peer& peer, Findings& f) {
  f.equal("PUT without a parent", peer.put("/objects/metadata", "alone").status, 200);
  f.equal("GET without a parent", peer.get("/objects/metadata").body, "alone");
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
  const auto empty = peer.get("/objects/h?response-content-type=&response-cache-control=");
  f.equal("empty means none", empty.field("Content-Type").value_or(""), "application/octet-stream");
  f.is_true("nor a bare Cache-Control", !empty.field("Cache-Control"));
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
  const std::string right = crc32c_hex(crc32c(as_bytes(body)));
  const auto in_query = [&](const std::string& crc, Headers headers = {}) {
    return peer.call({.method = "PUT",
                      .path = "/objects/crcq?crc32c=" + crc,
                      .body = body,
                      .headers = std::move(headers)});
  };
  f.equal("query, wrong", verdict(in_query("00000000")), "400 bad_request");
  f.equal("query, malformed", verdict(in_query("0x1")), "400 bad_request");
  f.equal("query and another header", verdict(in_query(right, {{"x-aster-crc32c", "00000000"}})),
          "400 bad_request");
  f.equal("nothing stored", peer.get("/objects/crcq").status, 404);
  f.equal("query, right", in_query(right, {{"x-aster-crc32c", right}}).status, 200);
  Call tampered{.method = "PUT", .path = "/objects/crcq?crc32c=" + right, .body = "another"};
  tampered.headers = peer.sign(tampered);
  tampered.path = "/objects/crcq?crc32c=" + crc32c_hex(crc32c(as_bytes("another")));
  f.equal("query, tampered", verdict(peer.send(tampered)), "401 auth.credentials_failed");
  f.equal("stands", peer.get("/objects/crcq").body, body);
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
  return {
      {"3.1", "GET .../metadata routes to the parent key", metadata_named_key},
      {"6.1", "hostile keys are 400", hostile_keys},
      {"4.5", "a bare ? behind an object, signed and presigned", bare_question_marks},
      {"6.1", "keys are decoded once and normalised", key_forms},
      {"6.1", "hard keys come back as they were", hard_keys},
      {"7.1", "large bodies are refused early, and the connection says so", early_refusals},
      {"7.1", "PUT, GET, HEAD, metadata, DELETE", put_get_head_delete},
      {"7.1", "PUT overwrites, also with nothing", overwrite},
      {"7.1", "Content-Length is required", content_length},
      {"7.1", "size limits of the query", size_limits},
      {"7.1", "a short body stores nothing", short_body},
      {"7.1", "bytes beyond Content-Length are not read", body_beyond_length},
      {"7.2", "header overrides", header_overrides},
      {"7.3", "missing objects and folders are 404", missing},
      {"ours", "ingest_crc32c and ingest_crc32c_query refuse a wrong checksum", ingest_checksum},
      {"7", "5 MB up and down", large}};
}

}  // namespace aster::conformance

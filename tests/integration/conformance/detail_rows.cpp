// Single sentences of sections 3, 7, 8, 9 and 11 that no other row covers.
#include <algorithm>
#include <boost/json.hpp>
#include <sstream>
#include <thread>

#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

namespace json = boost::json;

json::object parsed(const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  return !error && value.is_object() ? value.get_object() : json::object();
}

/// "name:kind" of every member, in the order of their names.
std::string shape(const json::object& object) {
  std::vector<std::string> parts;
  for (const auto& member : object) {
    std::ostringstream kind;
    kind << member.value().kind();
    parts.push_back(std::string(member.key().data(), member.key().size()) + ":" + kind.str());
  }
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : " ") + part;
  return out;
}

std::string local(const std::string& name, const std::string& more = "") {
  return R"({"driver_type":"local","name":")" + name + R"(","base_path":")" + name + "\"" + more +
         "}";
}

std::string new_target(const Peer& peer, const std::string& body) {
  return member(data_of(peer.json("POST", "/targets", body)), "target_key");
}

void remove_target(const Peer& peer, const std::string& key) {
  peer.call({.method = "DELETE", .path = "/targets/" + key});
}

// --- queries (section 3.2)

void target_of_every_call(const Peer& peer, Findings& f) {
  const std::string key = new_target(peer, local("every"));
  const std::string at = "?target_key=" + key;
  f.equal("PUT", peer.put("/objects/q/1" + at, "one").status, 200);
  f.equal("GET", peer.get("/objects/q/1" + at).body, "one");
  f.equal("GET of a part", peer.get("/objects/q/1" + at + "&offset=1&length=1").body, "n");
  f.equal("HEAD", peer.call({.method = "HEAD", .path = "/objects/q/1" + at}).status, 200);
  f.equal("metadata", member(data_of(peer.get("/objects/q/1/metadata" + at)), "size"), "3");
  f.equal("list", data_of(peer.get("/objects" + at)), R"({"items":["q/1"]})");
  f.equal("list, as v5 sends it", data_of(peer.get("/objects" + at + "&limit=1000&prefix=q")),
          R"({"items":["q/1"]})");
  f.equal("capacity", peer.get("/capacity" + at).status, 200);
  const std::string body = R"({"target_key":"q/2","part_keys":["q/1"],"expected_size":3})";
  f.equal("compose", peer.json("POST", "/compose" + at + "&max_file_size=0", body).status, 200);
  f.equal("only there", peer.get("/objects/q/2").status, 404);
  const std::string presigned = peer.presign("GET", "/objects/q/2" + at, 60);
  f.equal("presigned", peer.send({.path = presigned, .agent = ""}).body, "one");
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/objects/q/2" + at}).status, 200);
  for (const char* path : {"/objects", "/objects/q/1", "/objects/q/1/metadata", "/capacity"}) {
    f.equal(std::string("none: ") + path,
            verdict(peer.get(std::string(path) + "?target_key=rst_none")),
            "412 remote_storage_target.not_found");
  }
  remove_target(peer, key);
}

void capacity_form(const Peer& peer, Findings& f) {
  if (!peer.options().s3_members.empty()) return;  // a bucket has none
  for (const std::string_view agent : {kNew, kOld}) {
    const json::object data = parsed(data_of(peer.call({.path = "/capacity", .agent = agent})));
    f.equal("outer", shape(data), "capacity:object");
    if (!data.contains("capacity")) continue;
    f.equal("inner", shape(data.at("capacity").as_object()),
            "available_bytes:int64 observed_at:string source:string status:string "
            "total_bytes:int64 used_bytes:int64");
  }
}

void health_forms(const Peer& peer, Findings& f) {
  const auto ready = peer.health("GET", "/health/ready", kNew);
  f.equal("ready", verdict(ready), "200 success");
  f.equal("ready status", member(data_of(ready), "status"), "ready");
  f.equal("HEAD ready", peer.health("HEAD", "/health/ready", kNew).status, 200);
  const auto numeric = peer.health("GET", "/health/ready", kOld);
  f.equal("numeric", verdict(numeric), "200 0");
  for (const char* name : {"status", "version", "build_time"}) {
    f.is_true(std::string("numeric ready has ") + name, !member(data_of(numeric), name).empty());
    f.is_true(std::string("numeric health has ") + name,
              !member(data_of(peer.health("GET", "/health", kOld)), name).empty());
  }
  f.equal("no other page", peer.health("GET", "/", kNew).status, 404);
  f.equal("no login", peer.health("POST", "/api/v1/auth/login", kNew).status, 404);
}

// --- objects (section 7)

void ignored_headers(const Peer& peer, Findings& f) {
  peer.put("/objects/ign", "old");
  const auto put = peer.call({.method = "PUT",
                              .path = "/objects/ign",
                              .body = "new",
                              .headers = {{"Content-Type", "text/html"},
                                          {"If-None-Match", "*"},
                                          {"If-Match", "\"x\""},
                                          {"x-amz-meta-a", "b"}}});
  f.equal("PUT", put.status, 200);
  const auto got = peer.call({.path = "/objects/ign",
                              .headers = {{"If-None-Match", put.field("ETag").value_or("")},
                                          {"If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"},
                                          {"If-Range", "\"x\""},
                                          {"Accept-Encoding", "gzip"}}});
  f.equal("GET", std::to_string(got.status) + " " + got.body, "200 new");
  f.equal("the type is not kept", got.field("Content-Type").value_or(""),
          "application/octet-stream");
  for (const char* name : {"ETag", "Last-Modified", "Content-Disposition", "Cache-Control",
                           "Content-Range", "Transfer-Encoding"}) {
    f.is_true(std::string("no ") + name, !got.field(name));
  }
}

void parts_and_heads(const Peer& peer, Findings& f) {
  peer.put("/objects/ph", "0123456789");
  const auto part = peer.get("/objects/ph?offset=2&length=3");
  f.equal("206", part.status, 206);
  f.equal("Content-Length", part.field("Content-Length").value_or(""), "3");
  f.equal("Content-Encoding", part.field("Content-Encoding").value_or(""), "identity");
  f.equal("Accept-Ranges", part.field("Accept-Ranges").value_or(""), "bytes");
  const auto head =
      peer.call({.method = "HEAD", .path = "/objects/ph", .headers = {{"Range", "bytes=0-1"}}});
  f.equal("HEAD knows no ranges",
          std::to_string(head.status) + " " + head.field("Content-Length").value_or(""), "200 10");
  f.is_true("HEAD names no type", !head.field("Content-Type"));
  const auto none = peer.call({.method = "HEAD", .path = "/objects/ph-none"});
  f.equal("HEAD of nothing", std::to_string(none.status) + none.body, "404");
  const auto typed = peer.get("/objects/ph?offset=0&length=1&response-content-type=image%2Fpng");
  f.equal("overrides hold for parts", typed.field("Content-Type").value_or(""), "image/png");
}

void lists(const Peer& peer, Findings& f) {
  const std::string key = new_target(peer, local("lists"));
  const std::string at = "/objects?target_key=" + key;
  f.equal("nothing yet", data_of(peer.get(at)), R"({"items":[]})");
  std::vector<std::thread> clients;
  for (int client = 0; client < 7; ++client) {
    clients.emplace_back([&peer, &key, client] {
      for (int i = client; i < 1001; i += 7) {
        peer.put("/objects/" + std::to_string(1000 + i) + "?target_key=" + key, "");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const auto count = [](const testing::RawAnswer& answer) {
    const json::object data = parsed(data_of(answer));
    const auto* items = data.if_contains("items");
    return items && items->is_array() ? static_cast<int64_t>(items->get_array().size()) : -1;
  };
  const auto whole = peer.get(at);
  f.equal("without limit: all", count(whole), 1001);
  f.is_true("and no cursor", member(data_of(whole), "next_cursor").empty());
  const auto page = peer.get(at + "&limit=100000");
  f.equal("more than 1000 are not given", count(page), 1000);
  f.equal("next", member(data_of(page), "next_cursor"), "1000");
  const auto last = peer.get(at + "&limit=1000&cursor=1000");
  f.equal("last page", data_of(last), R"({"items":["2000"]})");
  f.equal("behind the end", data_of(peer.get(at + "&limit=10&cursor=5000")), R"({"items":[]})");
  f.equal("a cursor alone is not read", count(peer.get(at + "&cursor=1000")), 1001);
  f.equal("undecodable cursor", peer.get(at + "&limit=1&cursor=x").status, 400);
  remove_target(peer, key);
}

void composing(const Peer& peer, Findings& f) {
  const auto compose = [&](const std::string& key, const std::string& parts, int size) {
    return peer.json("POST", "/compose",
                     "{\"target_key\":\"" + key + "\",\"part_keys\":[" + parts +
                         "],\"expected_size\":" + std::to_string(size) + "}");
  };
  peer.put("/objects/cm/old", "an older object");
  peer.put("/objects/cm/1", "one");
  f.equal("over an existing key", compose("cm/old", "\"cm/1\"", 3).status, 200);
  f.equal("replaces it", peer.get("/objects/cm/old").body, "one");
  peer.put("/objects/cm/2", "");
  f.equal("an empty part", data_of(compose("cm/new/deep/3", "\"cm/2\",\"cm/old\"", 3)),
          R"({"bytes_written":3})");
  f.equal("in new folders", peer.get("/objects/cm/new/deep/3").body, "one");
  peer.put("/objects/cm/4", "4");
  f.equal("keys are normalised", compose("/cm//./5", "\"\\\\cm\\\\4\"", 1).status, 200);
  f.equal("to the same", peer.get("/objects/cm/5").body, "4");
  std::string many;
  for (int i = 0; i < 300; ++i) {
    peer.put("/objects/cm/p/" + std::to_string(i), std::to_string(i % 10));
    many += (i ? ",\"cm/p/" : "\"cm/p/") + std::to_string(i) + "\"";
  }
  f.equal("many parts", compose("cm/many", many, 300).status, 200);
  f.equal("in their order", peer.get("/objects/cm/many").body.substr(0, 12), "012345678901");
  f.equal("the parts are gone", data_of(peer.get("/objects?prefix=cm/p")), R"({"items":[]})");
  peer.put("/objects/cm/6", "6");
  f.equal("one part is missing: nothing happens", compose("cm/x", "\"cm/6\",\"cm/none\"", 2).status,
          500);
  f.equal("the other part stays", peer.get("/objects/cm/6").body, "6");
  f.equal("no result", peer.get("/objects/cm/x").status, 404);
}

void limit_of_the_target(const Peer& peer, Findings& f) {
  const std::string key = new_target(peer, local("limited", ",\"max_file_size\":3"));
  const std::string at = "?target_key=" + key;
  f.equal("PUT within", peer.put("/objects/1" + at, "123").status, 200);
  const auto refused = peer.put("/objects/2" + at, "1234");
  f.equal("PUT beyond", verdict(refused), "400 file.too_large");
  f.equal("text", member(refused.body, "msg"), "object size 4 exceeds limit 3");
  peer.put("/objects/3" + at, "456");
  const std::string both = R"({"target_key":"x","part_keys":["1","3"],"expected_size":6})";
  const auto composed = peer.json("POST", "/compose" + at, both);
  f.equal("compose beyond", verdict(composed), "400 file.too_large");
  f.equal("its text", member(composed.body, "msg"), "composed object size 6 exceeds limit 3");
  f.equal("PATCH", peer.json("PATCH", "/targets/" + key, R"({"max_file_size":0})").status, 200);
  f.equal("0 is no limit, at once", peer.put("/objects/2" + at, "1234").status, 200);
  f.equal("compose, too", peer.json("POST", "/compose" + at, both).status, 200);
  remove_target(peer, key);
}

// --- browsers (section 8)

void origins(const Peer& peer, Findings& f) {
  const std::string origin = peer.options().browser_origin;
  peer.put("/objects/or", "o");
  const std::string get = peer.presign("GET", "/objects/or", 60);
  const auto from = [&](const std::string& text, const std::string& path) {
    return peer.send({.path = path, .headers = {{"Origin", text}}, .agent = ""});
  };
  std::string shouted = origin;
  for (char& c : shouted) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  f.equal("upper case", cors_of(from(shouted, get)), "200 " + origin);
  f.equal("a slash at the end", cors_of(from(origin + "/", get)), "200 " + origin);
  f.equal("blanks around", cors_of(from("  " + origin + " ", get)), "200 " + origin);
  f.equal("another port", cors_of(from("https://127.0.0.1:2", get)), "403 -");
  f.equal("another scheme", cors_of(from("http" + origin.substr(5), get)), "403 -");
  f.equal("an unknown access key", cors_of(from(origin, "/objects/or?aster_access_key=rn_x")),
          "403 -");
  const std::string empty = "/objects/or?aster_access_key=";
  const Call signed_call{.path = empty, .headers = {{"Origin", "https://evil.example"}}};
  f.equal("an empty access key: no CORS", cors_of(peer.call(signed_call)), "200 -");
  const Call elsewhere{.path = "/capabilities?aster_access_key=x",
                       .headers = {{"Origin", "https://evil.example"}}};
  f.equal("not below objects: no CORS", cors_of(peer.call(elsewhere)), "200 -");
  const Call head{.method = "HEAD",
                  .path = "/objects/or?aster_access_key=x",
                  .headers = {{"Origin", "https://evil.example"}}};
  f.equal("HEAD: no CORS", cors_of(peer.call(head)), "200 -");
  for (const char* bad : {"https://x?q", "https://x#f", "x", "https://", "file:///x", ""}) {
    const Call call{.path = "/objects/or", .headers = {{"Origin", bad}}, .agent = kOld};
    f.equal(std::string("malformed ") + bad, verdict(peer.call(call)),
            "400 1000/validation.request_origin_invalid");
  }
}

void refused_in_the_browser(const Peer& peer, Findings& f) {
  const std::string origin = peer.options().browser_origin;
  const auto put = [&](const std::string& path) {
    return peer.send(
        {.method = "PUT", .path = path, .body = "x", .headers = {{"Origin", origin}}, .agent = ""});
  };
  const auto expired = put(peer.presign("PUT", "/objects/rb", -5));
  f.equal("expired PUT", cors_of(expired), "401 " + origin);
  f.equal("exposes", expired.field("Access-Control-Expose-Headers").value_or(""), "ETag");
  std::string forged = peer.presign("PUT", "/objects/rb", 60);
  forged.back() = forged.back() == '0' ? '1' : '0';
  f.equal("forged PUT", cors_of(put(forged)), "401 " + origin);
  const auto limit = put(peer.presign("PUT", "/objects/rb?max_file_size=0&target_key=none", 60));
  f.equal("no such target", cors_of(limit), "412 " + origin);
  const auto none = peer.send({.path = peer.presign("GET", "/objects/rb-none", 60),
                               .headers = {{"Origin", origin}},
                               .agent = ""});
  f.equal("GET of nothing", cors_of(none), "404 " + origin);
}

void options_alone(const Peer& peer, Findings& f) {
  const auto ask = [&](const std::string& path, Headers headers) {
    return peer.send({.method = "OPTIONS", .path = path, .headers = std::move(headers)});
  };
  const std::string origin = peer.options().browser_origin;
  const std::string path = peer.presign("PUT", "/objects/oa", 60);
  f.equal("no preflight", verdict(ask(path, {{"Origin", origin}})), "404 endpoint.not_found");
  f.equal("no origin", verdict(ask(path, {{"Access-Control-Request-Method", "PUT"}})),
          "404 endpoint.not_found");
  f.equal(
      "no access key",
      verdict(ask("/objects/oa", {{"Origin", origin}, {"Access-Control-Request-Method", "PUT"}})),
      "404 endpoint.not_found");
  const auto refused = ask(path, {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}});
  f.equal("POST", cors_of(refused), "403 -");
  f.equal("its Vary", refused.field("Vary").value_or(""),
          "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
  f.equal("its body", refused.body, "");
  const auto fine = ask(path, {{"Origin", origin}, {"Access-Control-Request-Method", "GET"}});
  f.equal("GET", cors_of(fine), "204 " + origin);
  f.equal("credentials", fine.field("Access-Control-Allow-Credentials").value_or(""), "true");
  f.equal("Vary", fine.field("Vary").value_or(""),
          "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
}

// --- targets (section 9)

void target_form(const Peer& peer, Findings& f) {
  for (const std::string_view agent : {kNew, kOld}) {
    const auto made = peer.call({.method = "POST",
                                 .path = agent == kNew ? "/targets" : "/ingress-profiles",
                                 .body = local("form", ",\"max_file_size\":7"),
                                 .agent = agent});
    const json::object info = parsed(data_of(made));
    f.equal("members", shape(info),
            "applied_revision:int64 base_path:string bucket:string created_at:string "
            "desired_revision:int64 driver_type:string endpoint:string is_default:bool "
            "last_error:string max_file_size:int64 name:string profile_key:string "
            "target_key:string updated_at:string");
    const std::string text = data_of(made);
    f.equal("limit", member(text, "max_file_size"), "7");
    f.equal("unused ones are empty", member(text, "endpoint") + member(text, "bucket"), "");
    f.equal("updated", member(text, "updated_at"), member(text, "created_at"));
    f.equal("RFC 3339",
            member(text, "created_at").substr(10, 1) + member(text, "created_at").back(), "TZ");
    remove_target(peer, member(text, "target_key"));
  }
}

void order_of_targets(const Peer& peer, Findings& f) {
  const std::string before = data_of(peer.get("/targets"));
  const std::string first = before.substr(before.find("rst_"), 36);
  const std::string older = new_target(peer, local("older"));
  const std::string newer = new_target(peer, local("newer", ",\"is_default\":true"));
  std::string list = data_of(peer.get("/targets"));
  f.is_true("default, then newest first",
            list.find(newer) < list.find(older) && list.find(older) < list.find(first));
  f.equal("one default only",
          static_cast<int64_t>(list.find("\"is_default\":true", 1) ==
                               list.rfind("\"is_default\":true")),
          1);
  peer.json("PATCH", "/targets/" + first, R"({"is_default":true})");
  list = data_of(peer.get("/targets"));
  f.is_true("the default leads again",
            list.find(first) < list.find(newer) && list.find(newer) < list.find(older));
  remove_target(peer, newer);
  remove_target(peer, older);
}

void change_of_driver(const Peer& peer, Findings& f) {
  const std::string drivers =
      member(member(data_of(peer.get("/capabilities")), "managed_ingress"), "driver_types");
  if (drivers.find("\"s3\"") == std::string::npos) return;  // built without
  const std::string key = new_target(peer, local("change"));
  const std::string secret = "never-to-be-seen";
  const auto to_s3 =
      peer.json("PATCH", "/targets/" + key,
                R"({"driver_type":"s3","endpoint":"http://127.0.0.1:1","bucket":"b",)"
                R"("access_key":"never-seen-either","secret_key":")" +
                    secret + "\"}");
  f.equal("to s3", to_s3.status, 200);
  f.equal("base_path begins anew", member(data_of(to_s3), "base_path"), ".");
  f.equal("endpoint", member(data_of(to_s3), "endpoint"), "http://127.0.0.1:1");
  const std::string seen = to_s3.body + peer.get("/targets").body;
  f.is_true("no key is shown", seen.find("never-") == std::string::npos);
  const auto back = data_of(peer.json("PATCH", "/targets/" + key, R"({"driver_type":"local"})"));
  f.equal("back",
          member(back, "driver_type") + member(back, "base_path") + member(back, "endpoint") +
              member(back, "bucket"),
          "local.");
  f.equal("applied", member(back, "applied_revision"), member(back, "desired_revision"));
  f.equal("a bucket without its fields",
          verdict(peer.json("PATCH", "/targets/" + key, R"({"driver_type":"s3"})")),
          "400 bad_request");
  f.equal("blank bucket",
          verdict(peer.json("POST", "/targets",
                            R"({"driver_type":"s3","name":"s","base_path":"b",)"
                            R"("endpoint":"http://h","bucket":" ",)"
                            R"("access_key":"a","secret_key":"s"})")),
          "400 bad_request");
  remove_target(peer, key);
}

// --- binding (sections 3.3 and 11.7)

void states_of_a_binding(const Peer& peer, Findings& f) {
  const auto put = [&](const std::string& members) {
    return peer.json("PUT", "/binding", "{" + members + "}");
  };
  for (const char* transport : {"direct", "reverse_tunnel"}) {
    f.equal(transport,
            put(R"("name":"n","is_enabled":true,"desired_revision":500,"resolved_transport":")" +
                std::string(transport) + "\"")
                .status,
            200);
  }
  f.equal("unknown members", put(R"("name":"n","is_enabled":true,"more":{"x":1})").status, 200);
  f.equal("no name", verdict(put(R"("is_enabled":true)")), "400 bad_request");
  f.equal("is_enabled is no flag", verdict(put(R"("name":"n","is_enabled":1)")), "400 bad_request");
  f.equal("revision is no number",
          verdict(put(R"("name":"n","is_enabled":true,"desired_revision":"x")")),
          "400 bad_request");
  f.equal("no JSON", verdict(peer.json("PUT", "/binding", "x")), "400 bad_request");
  f.equal("oversized", verdict(peer.json("PUT", "/binding", std::string(1'100'000, ' '))),
          "413 file.too_large");
  f.equal("numeric",
          verdict(peer.call({.method = "PUT", .path = "/binding", .body = "{}", .agent = kOld})),
          "400 1000");
  peer.put("/objects/sb", "kept");
  put(R"("name":"renamed","is_enabled":true,"desired_revision":501)");
  f.equal("a new name moves nothing", peer.get("/objects/sb").body, "kept");
}

}  // namespace

std::vector<Row> detail_rows() {
  return {{"3.2", "target_key on every call that takes it", target_of_every_call},
          {"3.3", "capacity: members and kinds", capacity_form},
          {"3.4", "health and readiness in both dialects; nothing else is there", health_forms},
          {"7.1", "conditions, types and metadata of requests are ignored", ignored_headers},
          {"7.3", "headers of parts and of HEAD", parts_and_heads},
          {"7.5", "lists: no limit, the largest page, cursors", lists},
          {"7.6", "compose: replace, empty and many parts, key forms", composing},
          {"7.1", "max_file_size of the target, as v1 to v4 set it", limit_of_the_target},
          {"8", "which origins are one, and where they count", origins},
          {"8", "refusals that a browser can read", refused_in_the_browser},
          {"8", "OPTIONS that is no preflight; preflight answers", options_alone},
          {"9.1", "members of a target, in both dialects", target_form},
          {"9.1", "order of targets; one default", order_of_targets},
          {"9.1", "change of a target's driver; secrets stay inside", change_of_driver},
          {"11.7", "states of a binding", states_of_a_binding}};
}

}  // namespace aster::conformance

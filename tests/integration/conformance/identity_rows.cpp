#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

using std::to_string;

const std::string kTokenInvalid = "401 auth.token_invalid";
const std::string kCredentialsFailed = "401 auth.credentials_failed";

int64_t now() {
  return SystemClock().now_seconds();
}

/// A GET capabilities whose headers were changed after (or instead of) signing.
testing::RawAnswer tampered(const Peer& peer, const std::string& name, const std::string& value) {
  Call call{.path = "/capabilities"};
  call.headers = peer.sign(call);
  for (auto& header : call.headers) {
    if (header.first == name) header.second = value;
  }
  return peer.send(call);
}

/// Signed by hand with a chosen stamp and nonce.
testing::RawAnswer stamped(const Peer& peer, const std::string& stamp, const std::string& nonce) {
  Call call{.path = "/capabilities"};
  const std::string text = "GET\n" + peer.target(call) + "\n" + stamp + "\n" + nonce + "\n";
  call.headers = {
      {"x-aster-access-key", peer.options().credentials.access_key},
      {"x-aster-timestamp", stamp},
      {"x-aster-nonce", nonce},
      {"x-aster-signature", sign::signature_hex(peer.options().credentials.secret_key, text)}};
  return peer.send(call);
}

void missing_headers(const Peer& peer, Findings& f) {
  for (const char* name :
       {"x-aster-access-key", "x-aster-timestamp", "x-aster-nonce", "x-aster-signature"}) {
    f.equal(std::string("empty ") + name, verdict(tampered(peer, name, "")), kTokenInvalid);
  }
  f.equal("none at all", verdict(peer.send({.path = "/capabilities"})), kTokenInvalid);
}

void clock_window(const Peer& peer, Findings& f) {
  const std::string nonce = "clock-" + to_string(SystemClock().now_ns());
  f.equal("298 s old", stamped(peer, to_string(now() - 298), nonce + "a").status, 200);
  f.equal("298 s ahead", stamped(peer, to_string(now() + 298), nonce + "b").status, 200);
  f.equal("302 s old", verdict(stamped(peer, to_string(now() - 302), nonce + "c")), kTokenInvalid);
  f.equal("305 s ahead", verdict(stamped(peer, to_string(now() + 305), nonce + "d")),
          kTokenInvalid);
  f.equal("no number", verdict(stamped(peer, "soon", nonce + "e")), kTokenInvalid);
  f.equal("overflow", verdict(stamped(peer, "99999999999999999999", nonce + "f")), kTokenInvalid);
}

void wrong_keys(const Peer& peer, Findings& f) {
  f.equal("unknown key", verdict(tampered(peer, "x-aster-access-key", "rn_nobody")),
          kCredentialsFailed);
  f.equal("signature of zeros", verdict(tampered(peer, "x-aster-signature", std::string(64, '0'))),
          kCredentialsFailed);
  f.equal("short signature", verdict(tampered(peer, "x-aster-signature", "abc")),
          kCredentialsFailed);
  f.equal("signature with no hex",
          verdict(tampered(peer, "x-aster-signature", std::string(64, 'z'))), kCredentialsFailed);
}

void covered_parts(const Peer& peer, Findings& f) {
  Call call{.method = "PUT", .path = "/objects/covered?a=1", .body = "xy"};
  call.headers = peer.sign(call);
  Call other_path = call;
  other_path.path = "/objects/other?a=1";
  f.equal("other path", verdict(peer.send(other_path)), kCredentialsFailed);
  Call other_query = call;
  other_query.path = "/objects/covered?a=2";
  f.equal("other query", verdict(peer.send(other_query)), kCredentialsFailed);
  Call other_method = call;
  other_method.method = "DELETE";
  f.equal("other method", verdict(peer.send(other_method)), kCredentialsFailed);
  Call longer = call;
  longer.body = "xyz";
  f.equal("other length", verdict(peer.send(longer)), kCredentialsFailed);
}

/// What somebody who holds a captured, rightly signed request may try; each in both dialects.
void captured_requests(const Peer& peer, Findings& f) {
  struct Attack {
    const char* name;
    void (*change)(Call&);
    bool token;  ///< refused as token_invalid, else credentials_failed
  };
  const auto header = [](Call& call, std::string_view name) -> std::string& {
    for (auto& [key, value] : call.headers) {
      if (key == name) return value;
    }
    return call.headers.emplace_back(name, "").second;
  };
  static const auto set = header;
  const Attack attacks[] = {
      {"later clock", [](Call& c) { set(c, "x-aster-timestamp") = to_string(now() + 301 + 5); },
       true},
      {"earlier clock", [](Call& c) { set(c, "x-aster-timestamp") = to_string(now() - 301); },
       true},
      {"moved clock", [](Call& c) { set(c, "x-aster-timestamp") = to_string(now() - 7); }, false},
      {"fresh nonce", [](Call& c) { set(c, "x-aster-nonce") = "fresh"; }, false},
      {"path", [](Call& c) { c.path = "/objects/attackee?a=1"; }, false},
      {"path by an escape", [](Call& c) { c.path = "/objects/attac%6bed?a=1"; }, false},
      {"query", [](Call& c) { c.path = "/objects/attacked?a=2"; }, false},
      {"query left out", [](Call& c) { c.path = "/objects/attacked"; }, false},
      {"query added", [](Call& c) { c.path += "&max_file_size=0"; }, false},
      {"length", [](Call& c) { *c.body += "more"; }, false},
      {"no body", [](Call& c) { c.body.reset(); }, false},
      {"method", [](Call& c) { c.method = "DELETE"; }, false},
      {"unknown key", [](Call& c) { set(c, "x-aster-access-key") = "rn_other"; }, false},
      {"signature cut", [](Call& c) { set(c, "x-aster-signature").resize(63); }, false},
      {"signature changed", [](Call& c) { set(c, "x-aster-signature")[5] ^= 1; }, false}};
  for (const std::string_view agent : {kOld, kNew}) {
    const bool old = agent == kOld;
    Call captured{.method = "PUT", .path = "/objects/attacked?a=1", .body = "good"};
    captured.agent = agent;
    captured.headers = peer.sign(captured);
    for (const Attack& attack : attacks) {
      Call call = captured;
      attack.change(call);
      const std::string wanted = attack.token ? (old ? "401 2002" : kTokenInvalid)
                                              : (old ? "401 2008" : kCredentialsFailed);
      f.equal(attack.name + std::string(old ? ", numeric" : ""), verdict(peer.send(call)), wanted);
    }
    f.equal("the request itself", peer.send(captured).status, 200);
    f.equal("replayed", verdict(peer.send(captured)), old ? "401 2002" : kTokenInvalid);
    f.equal("what is stored", peer.get("/objects/attacked").body, "good");
    f.equal("and nothing else", peer.get("/objects/attackee").status, 404);
  }
}

void upper_case_signature(const Peer& peer, Findings& f) {
  Call call{.path = "/capabilities"};
  call.headers = peer.sign(call);
  for (char& c : call.headers.back().second) c = static_cast<char>(std::toupper(c));
  f.equal("status", peer.send(call).status, 200);
}

void bare_question_mark(const Peer& peer, Findings& f) {
  f.equal("status", peer.get("/capabilities?").status, 200);
}

void nonces(const Peer& peer, Findings& f) {
  Call call{.path = "/capabilities"};
  call.headers = peer.sign(call);
  Call forged = call;
  forged.headers.back().second = std::string(64, 'a');
  f.equal("forged first", verdict(peer.send(forged)), kCredentialsFailed);
  f.equal("a forgery uses no nonce up", peer.send(call).status, 200);
  f.equal("replayed", verdict(peer.send(call)), kTokenInvalid);
}

void dialects(const Peer& peer, Findings& f) {
  const auto by_old = peer.send({.path = "/capabilities", .agent = kOld});
  f.equal("old primary", verdict(by_old), "401 2002");
  f.is_true("numeric error has error.code",
            by_old.body.find("\"code\":\"auth.token_invalid\"") != std::string::npos);
  const auto fine = peer.call({.path = "/capabilities", .agent = kOld});
  f.is_true("numeric success", fine.body.starts_with("{\"code\":0,\"msg\":\"\",\"data\":{"));
  f.is_true("string success",
            peer.get("/capabilities").body.starts_with("{\"code\":\"success\",\"msg\":\"\""));
}

void unknown_routes(const Peer& peer, Findings& f) {
  f.equal("path", verdict(peer.get("/nothing")), "404 endpoint.not_found");
  f.equal("method", verdict(peer.call({.method = "PATCH", .path = "/capabilities"})),
          "404 endpoint.not_found");
  f.equal("numeric", verdict(peer.call({.path = "/nothing", .agent = kOld})), "404 1005");
}

void common_headers(const Peer& peer, Findings& f) {
  const auto answer = peer.get("/capabilities");
  f.equal("X-Content-Type-Options", answer.field("X-Content-Type-Options").value_or(""), "nosniff");
  f.equal("X-Frame-Options", answer.field("X-Frame-Options").value_or(""), "SAMEORIGIN");
  f.equal("Referrer-Policy", answer.field("Referrer-Policy").value_or(""),
          "strict-origin-when-cross-origin");
  f.equal("X-Request-ID", static_cast<int64_t>(answer.field("X-Request-ID").value_or("").size()),
          36);
  f.equal("Content-Type", answer.field("Content-Type").value_or(""), "application/json");
}

void capabilities(const Peer& peer, Findings& f) {
  const std::string data = data_of(peer.get("/capabilities"));
  f.equal("protocol_version", member(data, "protocol_version"), "v5");
  f.equal("minimum", member(data, "min_supported_protocol_version"), "v2");
  for (const char* name :
       {"supports_list", "supports_range_read", "supports_stream_upload", "supports_capacity"}) {
    f.equal(name, member(data, name), "true");
  }
  for (const char* name :
       {"object_get", "object_head", "object_put", "object_delete", "metadata", "range_get",
        "accept_ranges_header", "list", "compose", "browser_presigned_cors", "binding_state_pull",
        "ingest_crc32c", "compose_keep_parts", "ingest_crc32c_query", "compose_ranges",
        "batch_delete"}) {
    f.equal(name, member(member(data, "features"), name), "true");
  }
  f.equal("managed_ingress.enabled", member(member(data, "managed_ingress"), "enabled"), "true");
  f.is_true("remote_storage_target must not be there",
            data.find("remote_storage_target") == std::string::npos);
}

void no_target(const Peer& peer, Findings& f) {
  const std::string required = "412 managed_ingress.required";
  f.equal("capacity", verdict(peer.get("/capacity")), required);
  f.equal("list", verdict(peer.get("/objects")), required);
  f.equal("put", verdict(peer.put("/objects/x", "x")), required);
  f.equal("get", verdict(peer.get("/objects/x")), required);
  f.equal("compose", verdict(peer.json("POST", "/compose", "{}")), required);
  f.equal("numeric", verdict(peer.call({.path = "/objects/x", .agent = kOld})),
          "412 3010/managed_ingress.required");
  f.equal("targets", peer.get("/targets").status, 200);
  f.equal("target_key", verdict(peer.get("/objects?target_key=none")),
          "412 remote_storage_target.not_found");
}

void ready_without_target(const Peer& peer, Findings& f) {
  const auto answer = peer.health("GET", "/health/ready", kNew);
  f.equal("status", answer.status, 200);
  f.equal("default_target", member(data_of(answer), "default_target"), "false");
}

void health(const Peer& peer, Findings& f) {
  f.equal("string dialect", peer.health("GET", "/health", kNew).body, "{\"status\":\"ok\"}");
  const auto old = peer.health("GET", "/health", kOld);
  f.equal("numeric dialect", member(data_of(old), "status"), "ok");
  f.is_true("numeric has version", !member(data_of(old), "version").empty());
  f.equal("HEAD", peer.health("HEAD", "/health", kNew).status, 200);
}

}  // namespace

std::vector<Row> before_first_target() {
  return {{"2.4", "412 managed_ingress.required while a binding has no target", no_target},
          {"22", "ready after enrolment, default_target false", ready_without_target}};
}

std::vector<Row> attack_rows() {
  return {{"4.3", "a captured request: replay, skew, path, query, length, key", captured_requests}};
}

std::vector<Row> identity_rows() {
  return {{"2.1", "envelope and errors in the caller's dialect", dialects},
          {"2.4", "404 endpoint.not_found for unknown path or method", unknown_routes},
          {"3", "common response headers", common_headers},
          {"3.4", "health in both dialects", health},
          {"4.2", "a bare ? is part of the signed target", bare_question_mark},
          {"4.2", "signature of any hex case", upper_case_signature},
          {"4.2", "signature covers method, path, query, length", covered_parts},
          {"4.3", "401 token_invalid without the four headers", missing_headers},
          {"4.3", "stamps within 300 s", clock_window},
          {"4.3", "401 credentials_failed for unknown key or signature", wrong_keys},
          {"4.3", "a nonce is good once, and only a right signature uses it", nonces},
          {"10", "capabilities superset for v2 to v5", capabilities}};
}

}  // namespace aster::conformance

// Every route in every state, and every error of section 2.4 in both dialects.
#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

const std::string kNoParts = R"({"target_key":"x","part_keys":[],"expected_size":0})";
// Older than any that this program sends otherwise: it changes nothing.
const std::string kOldState = R"({"name":"node","is_enabled":true,"desired_revision":0})";

/// One line of section 3.1. Calls that would leave something behind are sent in a form that is
/// refused only after every check of the matrix has passed.
struct Route {
  const char* method;
  const char* path;
  std::optional<std::string> body;
  bool enabled;      ///< demands an enabled binding
  bool target;       ///< demands a target
  const char* good;  ///< verdict (HEAD: status) when all demands are met
  bool presigned = false;
};

const std::vector<Route>& routes() {
  static const std::vector<Route> all = {
      {"GET", "/capabilities", {}, true, false, "200 success"},
      {"GET", "/capacity", {}, true, true, "200 success"},
      {"PUT", "/binding", kOldState, false, false, "200 success"},
      {"GET", "/ingress-profiles", {}, false, false, "200 success"},
      {"POST", "/ingress-profiles", "{}", false, false, "400 bad_request"},
      {"PATCH", "/ingress-profiles/none", "{}", false, false, "404 not_found"},
      {"DELETE", "/ingress-profiles/none", {}, false, false, "404 not_found"},
      {"GET", "/targets", {}, false, false, "200 success"},
      {"POST", "/targets", "{}", false, false, "400 bad_request"},
      {"PATCH", "/targets/none", "{}", false, false, "404 not_found"},
      {"DELETE", "/targets/none", {}, false, false, "404 not_found"},
      {"PUT", "/objects/matrix/k", "m", true, true, "200 success", true},
      {"GET", "/objects", {}, true, true, "200 success"},
      {"GET", "/objects/matrix/k/metadata", {}, true, true, "200 success"},
      {"GET", "/objects/matrix/k", {}, true, true, "200", true},
      {"HEAD", "/objects/matrix/k", {}, true, true, "200"},
      {"DELETE", "/objects/matrix/none", {}, true, true, "404 not_found"},
      {"POST", "/compose", kNoParts, true, true, "400 internal_storage.compose_parts_required"},
      {"POST", "/batch-delete", R"({"keys":[]})", true, true, "400 bad_request"}};
  return all;
}

/// The default target lies in a bucket, which has no capacity.
bool is_bucket(const Peer& peer) {
  return !peer.options().s3_members.empty();
}

std::string name_of(const Route& route) {
  return std::string(route.method) + " " + route.path;
}

/// As verdict(); HEAD has no body to take it from.
std::string seen(const Route& route, const testing::RawAnswer& answer) {
  return std::string_view(route.method) == "HEAD" ? std::to_string(answer.status) : verdict(answer);
}

Call call_of(const Route& route, std::string_view agent = kNew) {
  return {.method = route.method, .path = route.path, .body = route.body, .agent = agent};
}

/// What a route answers whose demand is not met: `refusal` as "412 a.b", and its numeric form.
void refused(const Peer& peer, Findings& f, const Route& route, const std::string& refusal) {
  const bool head = std::string_view(route.method) == "HEAD";
  f.equal(name_of(route), seen(route, peer.call(call_of(route))), head ? "412" : refusal);
  f.equal(name_of(route) + ", numeric", seen(route, peer.call(call_of(route, kOld))),
          head ? "412" : "412 3010/" + refusal.substr(4));
}

void without_target(const Peer& peer, Findings& f) {
  for (const Route& route : routes()) {
    if (route.target) {
      refused(peer, f, route, "412 managed_ingress.required");
    } else {
      f.equal(name_of(route), seen(route, peer.call(call_of(route))), route.good);
    }
  }
}

void all_demands_met(const Peer& peer, Findings& f) {
  for (const Route& route : routes()) {
    const bool unknown = is_bucket(peer) && std::string_view(route.path) == "/capacity";
    f.equal(name_of(route), seen(route, peer.call(call_of(route))),
            unknown ? "500 storage.unsupported" : route.good);
  }
}

void unsigned_calls(const Peer& peer, Findings& f) {
  for (const Route& route : routes()) {
    const bool head = std::string_view(route.method) == "HEAD";
    f.equal(name_of(route), seen(route, peer.send(call_of(route))),
            head ? "401" : "401 auth.token_invalid");
    f.equal(name_of(route) + ", numeric", seen(route, peer.send(call_of(route, kOld))),
            head ? "401" : "401 2002");
  }
}

/// Rightly signed for any method, which our signer refuses to do.
std::string presigned(const Peer& peer, const Route& route) {
  const auto& keys = peer.options().credentials;
  const std::string expires = std::to_string(SystemClock().now_seconds() + 60);
  const std::string canonical = std::string(route.method) + "\n" +
                                peer.target({.path = route.path}) + "\n" + keys.access_key + "\n" +
                                expires;
  return std::string(route.path) + "?aster_access_key=" + keys.access_key +
         "&aster_expires=" + expires +
         "&aster_signature=" + sign::signature_hex(keys.secret_key, canonical);
}

void presigned_calls(const Peer& peer, Findings& f) {
  for (const Route& route : routes()) {
    Call call = call_of(route);
    call.path = presigned(peer, route);
    const bool head = std::string_view(route.method) == "HEAD";
    f.equal(name_of(route), seen(route, peer.send(call)),
            route.presigned ? route.good
            : head          ? "401"
                            : "401 auth.token_invalid");
  }
}

testing::RawAnswer set_enabled(const Peer& peer, bool enabled, int revision) {
  return peer.json("PUT", "/binding",
                   std::string(R"({"name":"node","is_enabled":)") + (enabled ? "true" : "false") +
                       ",\"desired_revision\":" + std::to_string(revision) + "}");
}

void disabled(const Peer& peer, Findings& f) {
  f.equal("disable", set_enabled(peer, false, 2000).status, 200);
  for (const Route& route : routes()) {
    if (route.enabled) {
      refused(peer, f, route, "412 master_binding.disabled");
    } else {
      f.equal(name_of(route), seen(route, peer.call(call_of(route))), route.good);
    }
    if (route.presigned) {
      Call call = call_of(route);
      call.path = peer.presign(route.method, route.path, 60);
      f.equal(name_of(route) + ", presigned", verdict(peer.send(call)),
              "412 master_binding.disabled");
    }
  }
  const Call preflight{.method = "OPTIONS",
                       .path = peer.presign("PUT", "/objects/matrix/k", 60),
                       .headers = {{"Origin", peer.options().browser_origin},
                                   {"Access-Control-Request-Method", "PUT"}}};
  f.equal("OPTIONS", peer.send(preflight).status, 403);
  f.equal("enable", set_enabled(peer, true, 2001).status, 200);
  f.equal("OPTIONS, enabled", peer.send(preflight).status, 204);
}

void other_methods(const Peer& peer, Findings& f) {
  const std::pair<const char*, const char*> calls[] = {
      {"POST", "/capabilities"}, {"POST", "/capacity"},      {"GET", "/binding"},
      {"PUT", "/targets"},       {"GET", "/targets/x"},      {"POST", "/objects"},
      {"POST", "/objects/x"},    {"PATCH", "/objects/x"},    {"GET", "/compose"},
      {"PUT", "/compose"},       {"GET", "/batch-delete"},   {"GET", ""},
      {"GET", "/objectsx"},      {"GET", "/capabilities/x"}, {"DELETE", "/targets"}};
  for (const auto& [method, path] : calls) {
    const std::string name = std::string(method) + " " + path;
    f.equal(name, verdict(peer.call({.method = method, .path = path})), "404 endpoint.not_found");
    f.equal(name + ", numeric", verdict(peer.call({.method = method, .path = path, .agent = kOld})),
            "404 1005");
  }
}

/// Everything that has an envelope, as it looks when all is well.
void successes(const Peer& peer, Findings& f, std::string_view agent) {
  const std::string empty =
      agent == kOld ? R"({"code":0,"msg":""})" : R"({"code":"success","msg":""})";
  const std::string with_data = empty.substr(0, empty.size() - 1) + ",\"data\":";
  const auto call = [&](const char* method, std::string path,
                        std::optional<std::string> body = {}) {
    return peer.call(
        {.method = method, .path = std::move(path), .body = std::move(body), .agent = agent});
  };
  const auto has_data = [&](const std::string& name, const testing::RawAnswer& answer) {
    f.is_true(name + ": " + answer.body, answer.body.starts_with(with_data));
    f.is_true(name + " has no error", answer.body.find("\"error\"") == std::string::npos);
    f.equal(name + " type", answer.field("Content-Type").value_or(""), "application/json");
  };
  f.equal("PUT binding", call("PUT", "/binding", kOldState).body, empty);
  f.equal("PUT object", call("PUT", "/objects/env/1", "x").body, empty);
  has_data("capabilities", call("GET", "/capabilities"));
  if (!is_bucket(peer)) has_data("capacity", call("GET", "/capacity"));
  has_data("list", call("GET", "/objects?prefix=env"));
  has_data("metadata", call("GET", "/objects/env/1/metadata"));
  has_data("compose", call("POST", "/compose",
                           R"({"target_key":"env/2","part_keys":["env/1"],"expected_size":1})"));
  f.equal("DELETE object", call("DELETE", "/objects/env/2").body, empty);
  for (const std::string path : {"/targets", "/ingress-profiles"}) {
    const auto made = call("POST", path,
                           R"({"driver_type":"local","name":"e","base_path":"env",)"
                           R"("max_file_size":0,"is_default":false})");
    f.equal(path + " POST", made.status, 201);
    has_data(path + " POST", made);
    has_data(path + " GET", call("GET", path));
    const std::string one = path + "/" + member(data_of(made), "target_key");
    has_data(path + " PATCH", call("PATCH", one, R"({"name":"f"})"));
    f.equal(path + " DELETE", call("DELETE", one).body, empty);
  }
}

void numeric_successes(const Peer& peer, Findings& f) {
  successes(peer, f, kOld);
}
void string_successes(const Peer& peer, Findings& f) {
  successes(peer, f, kNew);
}

void choice_of_dialect(const Peer& peer, Findings& f) {
  const auto speaks = [&](std::string_view agent) {
    return peer.call({.path = "/capabilities", .agent = agent}).body.starts_with("{\"code\":0,")
               ? std::string("numbers")
               : std::string("strings");
  };
  for (const char* agent : {"AsterDrive/0.1.0", "AsterDrive/0.2.0-beta.1", "AsterDrive/0.2.7"}) {
    f.equal(agent, speaks(agent), "numbers");
  }
  for (const char* agent : {"AsterDrive/0.3.0-alpha.1", "AsterDrive/0.4.0", "AsterDrive/1.0.0"}) {
    f.equal(agent, speaks(agent), "strings");
  }
  // A direct call tells the dialect; who does not say gets the one that was heard last.
  speaks("AsterDrive/0.2.2");
  f.equal("nothing, after numbers", speaks(""), "numbers");
  f.equal("another program, after numbers", speaks("proxy/1"), "numbers");
  speaks("AsterDrive/0.5.0");
  f.equal("nothing, after strings", speaks(""), "strings");
}

/// A call that is refused, with the verdict in both dialects.
struct Refusal {
  const char* name;
  Call call;
  std::string text;
  std::string number;
};

void check(const Peer& peer, Findings& f, const std::vector<Refusal>& refusals) {
  for (const Refusal& one : refusals) {
    f.equal(one.name, verdict(peer.call(one.call)), one.text);
    Call numeric = one.call;
    numeric.agent = kOld;
    f.equal(std::string(one.name) + ", numeric", verdict(peer.call(numeric)), one.number);
  }
}

Call json_call(const char* method, std::string path, std::string body) {
  return {.method = method, .path = std::move(path), .body = std::move(body)};
}

void target_errors(const Peer& peer, Findings& f) {
  const std::string plain = R"({"driver_type":"local","name":"spare","base_path":"spare"})";
  const std::string spare = member(data_of(peer.json("POST", "/targets", plain)), "target_key");
  const std::string list = data_of(peer.get("/targets"));
  const std::string first = list.substr(list.find("rst_"), 36);  // the default one leads
  const std::string bad = "400 bad_request";
  check(
      peer, f,
      {{"un-default", json_call("PATCH", "/targets/" + first, R"({"is_default":false})"),
        "412 managed_ingress.default_update_requires_replacement",
        "412 3010/managed_ingress.default_update_requires_replacement"},
       {"delete the default",
        {.method = "DELETE", .path = "/targets/" + first},
        "412 managed_ingress.default_delete_requires_replacement",
        "412 3010/managed_ingress.default_delete_requires_replacement"},
       {"to another driver", json_call("PATCH", "/targets/" + spare, R"({"driver_type":"ftp"})"),
        "400 managed_ingress.driver_unsupported", "400 1000/managed_ingress.driver_unsupported"},
       {"path upwards", json_call("PATCH", "/targets/" + spare, R"({"base_path":"a/../../b"})"),
        "400 managed_ingress.local_path_invalid", "400 1000/managed_ingress.local_path_invalid"},
       {"absolute path", json_call("PATCH", "/targets/" + spare, R"({"base_path":"/etc"})"),
        "400 managed_ingress.local_path_invalid", "400 1000/managed_ingress.local_path_invalid"},
       {"blank name", json_call("PATCH", "/targets/" + spare, R"({"name":" "})"), bad, "400 1000"},
       {"blank path", json_call("PATCH", "/targets/" + spare, R"({"base_path":""})"), bad,
        "400 1000"},
       {"negative limit", json_call("PATCH", "/targets/" + spare, R"({"max_file_size":-1})"), bad,
        "400 1000"},
       {"no JSON", json_call("PATCH", "/targets/" + spare, "{"), bad, "400 1000"},
       {"a long body", json_call("PATCH", "/targets/" + spare, std::string(1'100'000, ' ')),
        "413 file.too_large", "413 3001"},
       {"unknown target, PATCH", json_call("PATCH", "/targets/none", "{}"), "404 not_found",
        "404 1001"},
       {"unknown target, DELETE",
        {.method = "DELETE", .path = "/targets/none"},
        "404 not_found",
        "404 1001"}});
  const std::string after = data_of(peer.get("/targets"));
  f.equal("nothing has changed", after, list);
  peer.call({.method = "DELETE", .path = "/targets/" + spare});
}

void object_errors(const Peer& peer, Findings& f) {
  const auto compose = [](const char* parts, const char* size, const char* query = "") {
    return json_call("POST", std::string("/compose") + query,
                     std::string(R"({"target_key":"e/x","part_keys":)") + parts +
                         ",\"expected_size\":" + size + "}");
  };
  peer.put("/objects/e/1", "12");
  check(peer, f,
        {{"GET of nothing", {.path = "/objects/e/none"}, "404 not_found", "404 1001"},
         {"metadata of nothing", {.path = "/objects/e/none/metadata"}, "404 not_found", "404 1001"},
         {"DELETE of nothing",
          {.method = "DELETE", .path = "/objects/e/none"},
          "404 not_found",
          "404 1001"},
         {"no such target",
          {.path = "/objects/e/1?target_key=none"},
          "412 remote_storage_target.not_found",
          "412 3010/remote_storage_target.not_found"},
         {"PUT over the limit", json_call("PUT", "/objects/e/2?max_file_size=1", "12"),
          "400 file.too_large", "400 3001"},
         {"PUT, negative limit", json_call("PUT", "/objects/e/2?max_file_size=-1", "12"),
          "401 auth.token_invalid", "401 2002"},
         {"PUT upwards", json_call("PUT", "/objects/..%2Fx", "12"), "400 bad_request", "400 1000"},
         {"PUT of the root", json_call("PUT", "/objects/.", "12"), "400 bad_request", "400 1000"},
         {"PUT without length",
          {.method = "PUT", .path = "/objects/e/2"},
          "400 internal_storage.content_length_required",
          "400 1000/internal_storage.content_length_required"},
         {"list of none", {.path = "/objects?limit=0"}, "400 bad_request", "400 1000"},
         {"list upwards", {.path = "/objects?prefix=.."}, "400 bad_request", "400 1000"},
         {"compose of nothing", compose("[]", "0"), "400 internal_storage.compose_parts_required",
          "400 1000/internal_storage.compose_parts_required"},
         {"compose, negative", compose(R"(["e/1"])", "-1"),
          "400 internal_storage.compose_expected_size_invalid",
          "400 1000/internal_storage.compose_expected_size_invalid"},
         {"compose over the limit", compose(R"(["e/1"])", "2", "?max_file_size=1"),
          "400 file.too_large", "400 3001"},
         {"compose, missing part", compose(R"(["e/none"])", "2"), "500 storage.not_found",
          "500 4007"},
         {"compose, other total", compose(R"(["e/1"])", "3"), "500 storage.unknown", "500 4001"},
         {"no JSON", json_call("POST", "/compose", "{"), "400 bad_request", "400 1000"},
         {"a long body", json_call("POST", "/compose", std::string(1'100'000, ' ')),
          "413 file.too_large", "413 3001"},
         {"malformed origin",
          {.path = "/objects/e/1", .headers = {{"Origin", "null"}}},
          "400 validation.request_origin_invalid",
          "400 1000/validation.request_origin_invalid"}});
  f.equal("one object as before", data_of(peer.get("/objects?prefix=e")), R"({"items":["e/1"]})");
  const auto inner = peer.call(compose(R"(["e/none"])", "2"));
  f.equal("500 has no details in msg", member(inner.body, "msg"), "Storage Driver Error");
  f.is_true("500 says whether to try again",
            !member(member(inner.body, "error"), "retryable").empty());
  f.equal("below 500 the text is kept",
          member(peer.get("/objects/e/none").body, "msg").find("e/none") == std::string::npos
              ? "lost"
              : "kept",
          "kept");
}

}  // namespace

std::vector<Row> matrix_rows_without_target() {
  return {{"3.1", "every route without a target", without_target}};
}

std::vector<Row> matrix_rows() {
  return {{"3.1", "every route when all is well", all_demands_met},
          {"3.1", "every route unsigned", unsigned_calls},
          {"3.1", "every route with a presigned URL", presigned_calls},
          {"3.1", "other methods and paths are 404", other_methods},
          {"1.3", "dialect by User-Agent, else the one heard last", choice_of_dialect},
          {"2.1", "every success, numeric", numeric_successes},
          {"2.1", "every success, strings", string_successes},
          {"2.4", "refusals about targets, both dialects", target_errors},
          {"2.4", "refusals about objects, both dialects", object_errors}};
}

std::vector<Row> matrix_rows_of_a_disabled_binding() {
  return {{"3.1", "every route of a disabled binding", disabled}};
}

}  // namespace aster::conformance

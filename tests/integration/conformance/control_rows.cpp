#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

// --- presigned URLs and browsers (sections 5 and 8)

testing::RawAnswer bare(const Peer& peer, const std::string& method, const std::string& path,
                        Headers headers = {}, std::optional<std::string> body = std::nullopt) {
  return peer.send({.method = method,
                    .path = path,
                    .body = std::move(body),
                    .headers = std::move(headers),
                    .agent = ""});
}

void presigned(const Peer& peer, Findings& f) {
  const std::string put = peer.presign("PUT", "/objects/pre/one?max_file_size=0", 60);
  f.equal("PUT", bare(peer, "PUT", put, {}, "signed").status, 200);
  f.equal("PUT again", bare(peer, "PUT", put, {}, "again!").status, 200);
  const std::string get =
      peer.presign("GET", "/objects/pre/one?response-content-type=text%2Fplain", 60);
  const auto got = bare(peer, "GET", get);
  f.equal("GET", got.body, "again!");
  f.equal("override", got.field("Content-Type").value_or(""), "text/plain");
  f.equal("range", bare(peer, "GET", get, {{"Range", "bytes=0-1"}}).body, "ag");
  f.equal("empty segments do not count", bare(peer, "GET", get + "&&").status, 200);
}

void presigned_refusals(const Peer& peer, Findings& f) {
  const std::string get = peer.presign("GET", "/objects/pre/one", 60);
  const auto status = [&](const std::string& method, const std::string& path) {
    return bare(peer, method, path, {},
                method == "PUT" ? std::optional<std::string>("x") : std::nullopt)
        .status;
  };
  f.equal("expired", status("GET", peer.presign("GET", "/objects/pre/one", -2)), 401);
  f.equal("other method", status("PUT", get), 401);
  f.equal("HEAD is not presigned", status("HEAD", get), 401);
  f.equal("DELETE is not presigned", status("DELETE", get), 401);
  f.equal("other key", status("GET", "/objects/pre/two" + get.substr(get.find('?'))), 401);
  f.equal("added parameter", status("GET", get + "&offset=1"), 401);
  f.equal("no signature", status("GET", get.substr(0, get.rfind('&'))), 401);
  f.equal("PUT with nothing", status("PUT", "/objects/pre/one"), 401);
  f.equal("metadata is not presigned",
          status("GET", peer.presign("GET", "/objects/pre/one/metadata", 60)), 401);
}

void cors_requests(const Peer& peer, Findings& f) {
  const std::string origin = peer.options().browser_origin;
  peer.put("/objects/cors", "c");
  const std::string get = peer.presign("GET", "/objects/cors", 60);
  const auto got = bare(peer, "GET", get, {{"Origin", origin}});
  f.equal("GET", cors_of(got), "200 " + origin);
  f.equal("credentials", got.field("Access-Control-Allow-Credentials").value_or(""), "true");
  f.equal("Vary", got.field("Vary").value_or(""), "Origin");
  f.equal("exposed", got.field("Access-Control-Expose-Headers").value_or(""),
          "Accept-Ranges, Cache-Control, Content-Disposition, Content-Length, Content-Range, "
          "Content-Type, ETag");
  const auto put =
      bare(peer, "PUT", peer.presign("PUT", "/objects/cors", 60), {{"Origin", origin}}, "d");
  f.equal("PUT", cors_of(put), "200 " + origin);
  f.equal("PUT exposes", put.field("Access-Control-Expose-Headers").value_or(""), "ETag");
  const auto expired =
      bare(peer, "GET", peer.presign("GET", "/objects/cors", -2), {{"Origin", origin}});
  f.equal("a refusal is readable", cors_of(expired), "401 " + origin);
}

void cors_refusals(const Peer& peer, Findings& f) {
  const std::string get = peer.presign("GET", "/objects/cors", 60);
  const auto other = bare(peer, "GET", get, {{"Origin", "https://evil.example"}});
  f.equal("other origin", cors_of(other), "403 -");
  f.equal("its Vary", other.field("Vary").value_or(""),
          "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
  f.equal("its body", other.body, "");
  for (const char* bad : {"null", "*", "ftp://x", "https://x/path", "https://u@x"}) {
    f.equal(bad,
            verdict(bare(peer, "GET", "/objects/cors",
                         {{"Origin", bad}, {"User-Agent", "AsterDrive/0.5.0"}})),
            "400 validation.request_origin_invalid");
  }
  Call signed_call{.path = "/objects/cors", .headers = {{"Origin", "https://evil.example"}}};
  f.equal("without an access key in the query", cors_of(peer.call(signed_call)), "200 -");
}

void preflights(const Peer& peer, Findings& f) {
  const std::string origin = peer.options().browser_origin;
  const std::string path = peer.presign("PUT", "/objects/cors", -100);
  const auto ask = [&](const std::string& from, const std::string& method,
                       const std::string& headers) {
    return bare(peer, "OPTIONS", path,
                {{"Origin", from},
                 {"Access-Control-Request-Method", method},
                 {"Access-Control-Request-Headers", headers}});
  };
  const auto fine = ask(origin, "PUT", "Content-Type, range");
  f.equal("ok, also when expired", cors_of(fine), "204 " + origin);
  f.equal("methods", fine.field("Access-Control-Allow-Methods").value_or(""), "GET, PUT, OPTIONS");
  f.equal("headers", fine.field("Access-Control-Allow-Headers").value_or(""),
          "content-type, range");
  f.equal("age", fine.field("Access-Control-Max-Age").value_or(""), "3600");
  f.equal("no header list", cors_of(ask(origin, "GET", "")), "204 " + origin);
  f.equal("method", ask(origin, "DELETE", "").status, 403);
  f.equal("header", ask(origin, "PUT", "x-other").status, 403);
  f.equal("unreadable header list", ask(origin, "PUT", "a b").status, 400);
  f.equal("origin", ask("https://evil.example", "PUT", "").status, 403);
}

// --- targets (section 9)

constexpr char kLocal[] = R"({"driver_type":"local","name":"%","base_path":"@"})";

std::string local_target(const std::string& name, const std::string& base) {
  std::string out = kLocal;
  out.replace(out.find('@'), 1, base);
  return out.replace(out.find('%'), 1, name);
}

std::string default_target(const Peer& peer) {
  const std::string& s3 = peer.options().s3_members;
  if (s3.empty()) return local_target("first", "main");
  return R"({"driver_type":"s3","name":"first","base_path":"main",)" + s3 + "}";
}

void first_target(const Peer& peer, Findings& f) {
  const auto made = peer.json("POST", "/targets", default_target(peer));
  f.equal("status", made.status, 201);
  const std::string info = data_of(made);
  f.equal("is_default", member(info, "is_default"), "true");
  f.equal("desired", member(info, "desired_revision"), "1");
  f.equal("applied", member(info, "applied_revision"), "1");
  f.equal("last_error", member(info, "last_error"), "");
  f.equal("max_file_size", member(info, "max_file_size"), "0");
  f.equal("both names of the key", member(info, "profile_key"), member(info, "target_key"));
  f.equal("ready", member(data_of(peer.health("GET", "/health/ready", kNew)), "default_target"),
          "true");
}

void old_route(const Peer& peer, Findings& f) {
  Call create{.method = "POST",
              .path = "/ingress-profiles",
              .body = R"({"driver_type":"local","name":"old","base_path":"old","max_file_size":4,)"
                      R"("is_default":false})",
              .agent = kOld};
  const auto made = peer.call(create);
  f.equal("POST", made.status, 201);
  f.is_true("numeric", made.body.starts_with("{\"code\":0,"));
  const std::string key = member(data_of(made), "profile_key");
  f.equal("max_file_size", member(data_of(made), "max_file_size"), "4");
  f.equal("limit of the target", verdict(peer.put("/objects/x?target_key=" + key, "12345")),
          "400 file.too_large");
  f.equal("a v5 primary's limit takes its place",
          peer.put("/objects/x?target_key=" + key + "&max_file_size=0", "12345").status, 200);
  f.equal("list", peer.get("/ingress-profiles").status, 200);
  f.equal("PATCH", peer.json("PATCH", "/ingress-profiles/" + key, R"({"name":"older"})").status,
          200);
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/ingress-profiles/" + key}).status,
          200);
}

void target_life(const Peer& peer, Findings& f) {
  const auto second = data_of(peer.json("POST", "/targets", local_target("second", "two")));
  const std::string key = member(second, "target_key");
  f.equal("not default", member(second, "is_default"), "false");
  f.equal("PUT there", peer.put("/objects/there?target_key=" + key, "t").status, 200);
  f.equal("not in the default one", peer.get("/objects/there").status, 404);
  f.equal("GET there", peer.get("/objects/there?target_key=" + key).body, "t");
  const auto patched = data_of(peer.json("PATCH", "/targets/" + key, R"({"name":"renamed"})"));
  f.equal("PATCH",
          member(patched, "name") + member(patched, "desired_revision") +
              member(patched, "applied_revision"),
          "renamed22");
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/targets/" + key}).status, 200);
  f.equal("gone", verdict(peer.call({.method = "DELETE", .path = "/targets/" + key})),
          "404 not_found");
  f.equal("PATCH of none", verdict(peer.json("PATCH", "/targets/" + key, "{}")), "404 not_found");
}

void default_rules(const Peer& peer, Findings& f) {
  const std::string before = data_of(peer.json("POST", "/targets", local_target("spare", "spare")));
  const std::string spare = member(before, "target_key");
  f.equal("make default",
          member(data_of(peer.json("PATCH", "/targets/" + spare, R"({"is_default":true})")),
                 "is_default"),
          "true");
  const std::string list = data_of(peer.get("/targets"));
  f.is_true("default first", list.find(spare) < list.find("\"first\""));
  f.equal("un-default", verdict(peer.json("PATCH", "/targets/" + spare, R"({"is_default":false})")),
          "412 managed_ingress.default_update_requires_replacement");
  f.equal("delete default", verdict(peer.call({.method = "DELETE", .path = "/targets/" + spare})),
          "412 managed_ingress.default_delete_requires_replacement");
  const size_t at = list.find("rst_", list.find(spare) + spare.size() + 40);
  const std::string first = list.substr(at, 36);
  f.equal("back", peer.json("PATCH", "/targets/" + first, R"({"is_default":true})").status, 200);
  f.equal("now the spare goes", peer.call({.method = "DELETE", .path = "/targets/" + spare}).status,
          200);
}

void target_refusals(const Peer& peer, Findings& f) {
  const auto post = [&](const std::string& body) {
    return verdict(peer.json("POST", "/targets", body));
  };
  f.equal("..", post(local_target("x", "../up")), "400 managed_ingress.local_path_invalid");
  f.equal("absolute", post(local_target("x", "/etc")), "400 managed_ingress.local_path_invalid");
  f.equal("blank base", post(local_target("x", " ")), "400 bad_request");
  f.equal("blank name", post(local_target(" ", "b")), "400 bad_request");
  f.equal("unknown driver", post(R"({"driver_type":"ftp","name":"x","base_path":"b"})"),
          "400 bad_request");
  f.equal("negative limit",
          post(R"({"driver_type":"local","name":"x","base_path":"b","max_file_size":-1})"),
          "400 bad_request");
  f.equal("no JSON", post("nope"), "400 bad_request");
  f.equal("numeric",
          verdict(peer.call({.method = "POST",
                             .path = "/targets",
                             .body = local_target("x", "../up"),
                             .agent = kOld})),
          "400 1000/managed_ingress.local_path_invalid");
}

void failed_target(const Peer& peer, Findings& f) {
  // A folder name that no file system takes.
  const auto made = peer.json("POST", "/targets", local_target("bad", std::string(300, 'b')));
  f.equal("created all the same", made.status, 201);
  std::string info = data_of(made);
  f.is_true("last_error", !member(info, "last_error").empty());
  f.equal("revisions", member(info, "desired_revision") + member(info, "applied_revision"), "10");
  const std::string key = member(info, "target_key");
  f.equal("use of it", verdict(peer.get("/objects/x?target_key=" + key)),
          "412 managed_ingress.default_error");
  f.equal("numeric", verdict(peer.call({.path = "/objects/x?target_key=" + key, .agent = kOld})),
          "412 3010/managed_ingress.default_error");
  info = data_of(peer.json("PATCH", "/targets/" + key, R"({"name":"still bad"})"));
  f.equal("any change tries again",
          member(info, "desired_revision") + member(info, "applied_revision"), "20");
  info = data_of(peer.json("PATCH", "/targets/" + key, R"({"base_path":"mended"})"));
  f.equal("mended", member(info, "desired_revision") + member(info, "applied_revision"), "33");
  f.equal("no error", member(info, "last_error"), "");
  f.equal("works at once", peer.put("/objects/x?target_key=" + key, "x").status, 200);
  f.equal("DELETE", peer.call({.method = "DELETE", .path = "/targets/" + key}).status, 200);
}

void null_members(const Peer& peer, Findings& f) {
  const auto info = data_of(peer.json("POST", "/targets", local_target("nulls", "nulls")));
  const std::string key = member(info, "target_key");
  const auto patched =
      peer.json("PATCH", "/targets/" + key,
                R"({"name":null,"driver_type":null,"endpoint":null,"bucket":null,)"
                R"("access_key":null,"secret_key":null,"base_path":null,"is_default":null,)"
                R"("max_file_size":null,"unknown":1})");
  f.equal("status", patched.status, 200);
  f.equal("kept", member(data_of(patched), "name") + member(data_of(patched), "base_path"),
          "nullsnulls");
  peer.call({.method = "DELETE", .path = "/targets/" + key});
}

// --- several primaries (section 11.6)

void second_binding(const Peer& peer, Findings& f) {
  Peer::Options options = peer.options();
  options.credentials = *options.second;
  const Peer other(options);
  f.equal("disabled", verdict(other.get("/capabilities")), "412 master_binding.disabled");
  f.equal("enabled",
          other.json("PUT", "/binding", R"({"name":"b","is_enabled":true,"desired_revision":8})")
              .status,
          200);
  f.equal("its targets are its own", data_of(other.get("/targets")), "[]");
  f.equal("it has no default yet", verdict(other.get("/objects")), "412 managed_ingress.required");
  const std::string mine =
      member(data_of(peer.json("POST", "/targets", local_target("mine", "shared"))), "target_key");
  f.equal("another's target is none", verdict(other.get("/objects?target_key=" + mine)),
          "412 remote_storage_target.not_found");
  f.equal("nor can it be changed", verdict(other.json("PATCH", "/targets/" + mine, "{}")),
          "404 not_found");
  f.equal("nor removed", verdict(other.call({.method = "DELETE", .path = "/targets/" + mine})),
          "404 not_found");
  f.equal("the same folder",
          other.json("POST", "/targets", local_target("theirs", "shared")).status, 201);
  peer.put("/objects/both?target_key=" + mine, "first");
  other.put("/objects/both", "second");
  f.equal("first", peer.get("/objects/both?target_key=" + mine).body, "first");
  f.equal("second", other.get("/objects/both").body, "second");
  f.equal("its list", data_of(other.get("/objects")), R"({"items":["both"]})");
  Call swapped{.path = "/objects/both"};
  swapped.headers = other.sign(swapped);
  swapped.headers.front().second = peer.options().credentials.access_key;
  f.equal("one key, the other's signature", verdict(peer.send(swapped)),
          "401 auth.credentials_failed");
  f.equal("disable the second",
          other.json("PUT", "/binding", R"({"name":"b","is_enabled":false,"desired_revision":9})")
              .status,
          200);
  f.equal("it is", verdict(other.get("/objects/both")), "412 master_binding.disabled");
  f.equal("the first is not", peer.get("/capabilities").status, 200);
  peer.call({.method = "DELETE", .path = "/targets/" + mine});
}

// --- binding (sections 3.3 and 11.7)

void disabled_binding(const Peer& peer, Findings& f) {
  const auto state = [&](const std::string& enabled, const std::string& revision) {
    return peer
        .json("PUT", "/binding",
              R"({"name":"node","is_enabled":)" + enabled + R"(,"desired_revision":)" + revision +
                  "}")
        .status;
  };
  f.equal("disable", state("false", "1000"), 200);
  const std::string disabled = "412 master_binding.disabled";
  f.equal("object", verdict(peer.get("/objects/x")), disabled);
  f.equal("capabilities", verdict(peer.get("/capabilities")), disabled);
  Call forged{.path = "/objects/x"};
  forged.headers = peer.sign(forged);
  forged.headers.back().second = std::string(64, '0');
  f.equal("before the signature", verdict(peer.send(forged)), disabled);
  f.equal("presigned", bare(peer, "GET", peer.presign("GET", "/objects/x", 60)).status, 412);
  f.equal("numeric", verdict(peer.call({.path = "/objects/x", .agent = kOld})),
          "412 3010/master_binding.disabled");
  f.equal("targets still answer", peer.get("/targets").status, 200);
  f.equal("an older revision is fine", state("true", "999"), 200);
  f.equal("and changes nothing", verdict(peer.get("/capabilities")), disabled);
  f.equal("enable", state("true", "1001"), 200);
  f.equal("works again", peer.get("/capabilities").status, 200);
  f.equal("blank name", verdict(peer.json("PUT", "/binding", R"({"name":" ","is_enabled":true})")),
          "400 bad_request");
  f.equal("unknown transport",
          verdict(peer.json("PUT", "/binding",
                            R"({"name":"n","is_enabled":true,"resolved_transport":"pigeon"})")),
          "400 bad_request");
  f.equal("is_enabled missing", verdict(peer.json("PUT", "/binding", R"({"name":"n"})")),
          "400 bad_request");
  const auto empty = peer.json("PUT", "/binding", R"({"name":"n","is_enabled":true})");
  f.equal("as an old primary sends it", empty.body, R"({"code":"success","msg":""})");
}

}  // namespace

std::vector<Row> browser_rows() {
  return {{"5", "presigned GET and PUT", presigned},
          {"5", "presigned refusals", presigned_refusals},
          {"8", "CORS on presigned requests", cors_requests},
          {"8", "CORS refusals", cors_refusals},
          {"8", "preflights", preflights}};
}

std::vector<Row> target_rows() {
  return {{"9.2", "the first target becomes the default", first_target},
          {"9.1", "ingress-profiles, as v1 to v4 call it", old_route},
          {"9.2", "a second target: use, change, remove", target_life},
          {"9.2", "rules of the default", default_rules},
          {"9.2", "a target that cannot be applied, and its mending", failed_target},
          {"9.1", "null and unknown members of an update", null_members},
          {"2.4", "refused targets", target_refusals}};
}

std::vector<Row> two_binding_rows() {
  return {{"11.6", "two bindings side by side", second_binding}};
}

std::vector<Row> binding_rows() {
  return {{"11.7", "a disabled binding; revisions", disabled_binding}};
}

}  // namespace aster::conformance

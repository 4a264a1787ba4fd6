#include "tests/integration/conformance/rows.h"

namespace aster::conformance {
namespace {

testing::RawAnswer ranged(const Peer& peer, const std::string& header,
                          const std::string& path = "/objects/digits") {
  return peer.call({.path = path, .headers = {{"Range", header}}});
}

std::string shown(const testing::RawAnswer& answer) {
  if (answer.status != 206) return verdict(answer);
  return "206 " + answer.field("Content-Range").value_or("") + " " + answer.body;
}

void header_ranges(const Peer& peer, Findings& f) {
  peer.put("/objects/digits", "0123456789");
  const std::pair<const char*, const char*> cases[] = {
      {"bytes=0-4", "206 bytes 0-4/10 01234"},
      {"bytes=5-", "206 bytes 5-9/10 56789"},
      {"bytes=-3", "206 bytes 7-9/10 789"},
      {"bytes=-30", "206 bytes 0-9/10 0123456789"},
      {"bytes=8-100", "206 bytes 8-9/10 89"},
      {"  bytes=1-1 ", "206 bytes 1-1/10 1"},
      {"bytes=10-", "400 internal_storage.range_offset_out_of_bounds"},
      {"bytes=5-4", "400 internal_storage.range_bounds_invalid"},
      {"bytes=a-4", "400 internal_storage.range_bounds_invalid"},
      {"bytes=-0", "400 internal_storage.range_length_invalid"},
      {"bytes=0-1,3-4", "400 internal_storage.range_multiple_unsupported"},
      {"bytes=-", "400 internal_storage.range_header_invalid"},
      {"items=0-1", "400 internal_storage.range_header_invalid"},
      {"Bytes=0-1", "400 internal_storage.range_header_invalid"}};
  for (const auto& [header, wanted] : cases) f.equal(header, shown(ranged(peer, header)), wanted);
}

void query_ranges(const Peer& peer, Findings& f) {
  peer.put("/objects/digits", "0123456789");
  f.equal("both", shown(peer.get("/objects/digits?offset=2&length=3")), "206 bytes 2-4/10 234");
  f.equal("length alone", shown(peer.get("/objects/digits?length=2")), "206 bytes 0-1/10 01");
  f.equal("offset alone", shown(peer.get("/objects/digits?offset=8")), "206 bytes 8-9/10 89");
  f.equal("length 0", shown(peer.get("/objects/digits?offset=0&length=0")),
          "400 internal_storage.range_length_invalid");
  f.equal("past the end", shown(peer.get("/objects/digits?offset=10")),
          "400 internal_storage.range_offset_out_of_bounds");
  f.equal("header wins", shown(ranged(peer, "bytes=0-0", "/objects/digits?offset=5")),
          "206 bytes 0-0/10 0");
  const auto undecodable = peer.get("/objects/digits?offset=x");
  f.equal("undecodable", undecodable.status, 400);
  f.is_true("undecodable is plain text", !undecodable.body.starts_with("{"));
}

void range_of_nothing(const Peer& peer, Findings& f) {
  peer.put("/objects/nothing", "");
  f.equal("header", shown(ranged(peer, "bytes=0-", "/objects/nothing")),
          "400 internal_storage.range_empty_object");
  f.equal("numeric", verdict(peer.call({.path = "/objects/nothing?offset=0", .agent = kOld})),
          "400 1000/internal_storage.range_empty_object");
}

void listing(const Peer& peer, Findings& f) {
  for (const char* key : {"l/b/z", "l/b/a/y", "l/a", "l/b.txt", "l/bc"}) {
    peer.put("/objects/" + std::string(key), "x");
  }
  f.equal("folder", data_of(peer.get("/objects?prefix=l")),
          R"({"items":["l/a","l/b.txt","l/b/a/y","l/b/z","l/bc"]})");
  f.equal("inner folder", data_of(peer.get("/objects?prefix=%2Fl%2Fb%2F")),
          R"({"items":["l/b/a/y","l/b/z"]})");
  f.equal("no string prefix", data_of(peer.get("/objects?prefix=l%2Fb.")), R"({"items":[]})");
  f.equal("a file", data_of(peer.get("/objects?prefix=l%2Fa")), R"({"items":[]})");
  f.equal("missing", data_of(peer.get("/objects?prefix=none")), R"({"items":[]})");
  f.equal("hostile", peer.get("/objects?prefix=..").status, 400);
}

void pages(const Peer& peer, Findings& f) {
  for (int i = 0; i < 5; ++i) peer.put("/objects/pg/" + std::to_string(i), "x");
  f.equal("first", data_of(peer.get("/objects?limit=2&prefix=pg")),
          R"({"items":["pg/0","pg/1"],"next_cursor":2})");
  f.equal("middle", data_of(peer.get("/objects?limit=2&prefix=pg&cursor=2")),
          R"({"items":["pg/2","pg/3"],"next_cursor":4})");
  f.equal("last", data_of(peer.get("/objects?limit=2&prefix=pg&cursor=4")),
          R"({"items":["pg/4"]})");
  f.equal("larger than allowed is capped", peer.get("/objects?limit=5000&prefix=pg").status, 200);
  f.equal("limit 0", verdict(peer.get("/objects?limit=0")), "400 bad_request");
  f.equal("limit no number", peer.get("/objects?limit=x").status, 400);
}

void compose(const Peer& peer, Findings& f) {
  peer.put("/objects/c/1", "one-");
  peer.put("/objects/c/2", "two");
  const auto answer =
      peer.json("POST", "/compose?max_file_size=0",
                R"({"target_key":"c/whole","part_keys":["c/1","c/2"],"expected_size":7})");
  f.equal("status", answer.status, 200);
  f.equal("data", data_of(answer), R"({"bytes_written":7})");
  f.equal("object", peer.get("/objects/c/whole").body, "one-two");
  f.equal("parts are gone", data_of(peer.get("/objects?prefix=c")), R"({"items":["c/whole"]})");
  const auto again =
      peer.json("POST", "/compose",
                R"({"target_key":"c/whole","part_keys":["c/1","c/2"],"expected_size":7})");
  f.equal("repeated", again.status, 500);
  f.equal("the result stands", peer.get("/objects/c/whole").body, "one-two");
}

void compose_refusals(const Peer& peer, Findings& f) {
  peer.put("/objects/d/1", "one");
  const auto post = [&](const std::string& body, const std::string& query = "") {
    return peer.json("POST", "/compose" + query, body);
  };
  f.equal("no parts", verdict(post(R"({"target_key":"d/x","part_keys":[],"expected_size":0})")),
          "400 internal_storage.compose_parts_required");
  f.equal("negative size",
          verdict(post(R"({"target_key":"d/x","part_keys":["d/1"],"expected_size":-1})")),
          "400 internal_storage.compose_expected_size_invalid");
  const auto large =
      post(R"({"target_key":"d/x","part_keys":["d/1"],"expected_size":3})", "?max_file_size=2");
  f.equal("over the limit", verdict(large), "400 file.too_large");
  f.equal("its text", member(large.body, "msg"), "composed object size 3 exceeds limit 2");
  f.equal("missing part",
          post(R"({"target_key":"d/x","part_keys":["d/none"],"expected_size":3})").status, 500);
  f.equal("other total",
          post(R"({"target_key":"d/x","part_keys":["d/1"],"expected_size":4})").status, 500);
  f.equal("part is the destination",
          verdict(post(R"({"target_key":"d/1","part_keys":["d/1"],"expected_size":3})")),
          "400 bad_request");
  f.equal("hostile key",
          post(R"({"target_key":"../x","part_keys":["d/1"],"expected_size":3})").status, 400);
  f.equal("hostile part",
          post(R"({"target_key":"d/x","part_keys":["../d"],"expected_size":3})").status, 400);
  f.equal("no JSON", verdict(post("{")), "400 bad_request");
  f.equal("member missing", verdict(post(R"({"part_keys":["d/1"]})")), "400 bad_request");
  f.equal("too large a body", verdict(post(std::string(1'100'000, ' '))), "413 file.too_large");
  f.equal("all as before", data_of(peer.get("/objects?prefix=d")), R"({"items":["d/1"]})");
}

void compose_keep_parts(const Peer& peer, Findings& f) {
  peer.put("/objects/k/1", "a");
  peer.put("/objects/k/2", "b");
  f.equal("status",
          peer.json("POST", "/compose?keep_parts=true",
                    R"({"target_key":"k/whole","part_keys":["k/1","k/2"],"expected_size":2})")
              .status,
          200);
  f.equal("list", data_of(peer.get("/objects?prefix=k")), R"({"items":["k/1","k/2","k/whole"]})");
}

void compose_ranges(const Peer& peer, Findings& f) {
  peer.put("/objects/r/1", "0123456789");
  peer.put("/objects/r/2", "abcdef");
  const auto post = [&](const std::string& ranges, const std::string& size,
                        const std::string& key = "r/whole") {
    return peer.json("POST", "/compose?max_file_size=0",
                     "{\"target_key\":\"" + key + "\",\"part_ranges\":[" + ranges +
                         "],\"expected_size\":" + size + "}");
  };
  const std::string pieces =
      R"({"key":"r/1","offset":8,"length":2},{"key":"r/2","offset":0,"length":6},)"
      R"({"key":"r/1","offset":0,"length":1})";
  const auto made = post(pieces, "9");
  f.equal("status", made.status, 200);
  f.equal("data", data_of(made), R"({"bytes_written":9})");
  f.equal("object", peer.get("/objects/r/whole").body, "89abcdef0");
  f.equal("repeated", post(pieces, "9").status, 200);
  f.equal("all objects stay", data_of(peer.get("/objects?prefix=r")),
          R"({"items":["r/1","r/2","r/whole"]})");
  f.equal("behind the end", verdict(post(R"({"key":"r/2","offset":5,"length":2})", "2")),
          "400 bad_request");
  f.equal("no bytes", verdict(post(R"({"key":"r/2","offset":0,"length":0})", "0")),
          "400 bad_request");
  f.equal("overflow",
          verdict(post(R"({"key":"r/2","offset":18446744073709551615,"length":2})", "2")),
          "400 bad_request");
  f.equal("negative", verdict(post(R"({"key":"r/2","offset":-1,"length":2})", "2")),
          "400 bad_request");
  f.equal("other total", post(R"({"key":"r/2","offset":0,"length":2})", "3").status, 500);
  f.equal("missing", post(R"({"key":"r/none","offset":0,"length":2})", "2").status, 500);
  f.equal("hostile", post(R"({"key":"../r","offset":0,"length":2})", "2").status, 400);
  f.equal("of the destination", verdict(post(R"({"key":"r/2","offset":0,"length":2})", "2", "r/2")),
          "400 bad_request");
  f.equal("both kinds of parts",
          verdict(peer.json("POST", "/compose",
                            R"({"target_key":"x","part_keys":["r/1"],"expected_size":1,)"
                            R"("part_ranges":[{"key":"r/1","offset":0,"length":1}]})")),
          "400 bad_request");
  f.equal("still the good one", peer.get("/objects/r/whole").body, "89abcdef0");
}

void batch_delete(const Peer& peer, Findings& f) {
  for (const char* key : {"bd/1", "bd/2", "bd/x/3", "bd/keep"}) {
    peer.put("/objects/" + std::string(key), "x");
  }
  const auto answer = peer.json("POST", "/batch-delete",
                                R"({"keys":["bd/1","bd/2","bd/x/3","bd/none","../bd","bd/1"]})");
  f.equal("status", answer.status, 200);
  f.equal("what is gone counts as deleted", member(data_of(answer), "deleted"), "5");
  f.is_true("the hostile key is named with its code",
            data_of(answer).find(R"({"key":"../bd","code":"bad_request")") != std::string::npos);
  f.equal("left", data_of(peer.get("/objects?prefix=bd")), R"({"items":["bd/keep"]})");
  const auto post = [&](const std::string& keys) {
    return verdict(peer.json("POST", "/batch-delete", "{\"keys\":" + keys + "}"));
  };
  f.equal("none", post("[]"), "400 bad_request");
  f.equal("no list", post("1"), "400 bad_request");
  std::string many = "[\"none/0\"";
  for (int i = 1; i < 1000; ++i) many += ",\"none/" + std::to_string(i) + "\"";
  f.equal("1000", post(many + "]"), "200 success");
  f.equal("1001", post(many + ",\"none/x\"]"), "400 bad_request");
  f.equal("numeric",
          verdict(peer.call({.method = "POST",
                             .path = "/batch-delete",
                             .body = R"({"keys":["bd/none"]})",
                             .agent = kOld})),
          "200 0");
  f.equal("presigned is not taken",
          peer.send({.method = "POST",
                     .path = peer.presign("PUT", "/batch-delete", 60),
                     .body = R"({"keys":["bd/keep"]})"})
              .status,
          401);
}

void capacity(const Peer& peer, Findings& f) {
  if (!peer.options().s3_members.empty()) {
    f.equal("a bucket", verdict(peer.get("/capacity")), "500 storage.unsupported");
    return;
  }
  const std::string inner = member(data_of(peer.get("/capacity")), "capacity");
  f.equal("status", member(inner, "status"), "supported");
  f.equal("source", member(inner, "source"), "local_filesystem");
  f.is_true("total", member(inner, "total_bytes").size() > 3);
  f.equal("observed_at ends in Z", member(inner, "observed_at").substr(19), "Z");
}

}  // namespace

std::vector<Row> range_and_list_rows() {
  return {{"3.3", "capacity", capacity},
          {"7.4", "Range header, 400 never 416", header_ranges},
          {"7.4", "offset and length", query_ranges},
          {"7.4", "a range of an empty object", range_of_nothing},
          {"7.5", "list: a folder, recursive, sorted", listing},
          {"7.5", "list in pages", pages}};
}

std::vector<Row> compose_rows() {
  return {{"7.6", "compose joins, removes the parts, fails when repeated", compose},
          {"7.6", "compose refusals change nothing", compose_refusals},
          {"ours", "compose_keep_parts", compose_keep_parts},
          {"ours", "compose_ranges joins pieces of objects, which stay", compose_ranges},
          {"ours", "batch_delete", batch_delete}};
}

}  // namespace aster::conformance

// The vectors of tests/data/vectors.json that a follower shows on the wire.
#include <algorithm>
#include <boost/json.hpp>

#include "tests/integration/conformance/rows.h"
#include "tests/support/vectors.h"

namespace aster::conformance {
namespace {

namespace json = boost::json;
using testing::text;
using testing::vectors;

/// What a client must escape so that nothing but the key's own bytes arrives.
std::string escaped(std::string_view key) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) || c == '/' || c == '-' || c == '_' || c == '.';
    if (plain) {
      out += c;
    } else {
      out.append("%").append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string list_of(const std::vector<std::string>& keys) {
  json::array items;
  for (const std::string& key : keys) items.emplace_back(key);
  return json::serialize(json::object{{"items", items}});
}

/// The normalised form, without the namespace; nullopt when the vector is refused.
std::optional<std::string> normalized(const json::value& vector) {
  if (text(vector.at("object_result")) == "rejected") return std::nullopt;
  return text(vector.at("normalized"));
}

/// A target of its own for each key: a folder that another one left would be in the way of an
/// object of that name.
class Scratch {
 public:
  explicit Scratch(const Peer& peer) : peer_(peer) {
    static int number = 0;
    const json::object create{{"driver_type", "local"},
                              {"name", "scratch"},
                              {"base_path", "scratch/" + std::to_string(++number)}};
    const auto made = peer.json("POST", "/targets", json::serialize(create));
    key_ = member(data_of(made), "target_key");
  }
  ~Scratch() { peer_.call({.method = "DELETE", .path = "/targets/" + key_}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& tail) const {
    return "/objects/" + tail + "?target_key=" + key_;
  }
  std::string list() const { return "/objects?target_key=" + key_; }

 private:
  const Peer& peer_;
  std::string key_;
};

/// Stores under one form of a key, lists, takes it back under the plain form.
void one_key(const Peer& peer, Findings& f, const std::string& tail,
             const std::optional<std::string>& plain) {
  const Scratch scratch(peer);
  const auto put = peer.put(scratch.path(tail), "v:" + tail);
  if (!plain) {
    f.equal("PUT " + tail, verdict(put), "400 bad_request");
    f.equal("HEAD " + tail, peer.call({.method = "HEAD", .path = scratch.path(tail)}).status, 400);
    return;
  }
  f.equal("PUT " + tail, put.status, 200);
  f.equal("list after " + tail, data_of(peer.get(scratch.list())), list_of({*plain}));
  // A GET of .../metadata would mean the metadata of the parent.
  if (plain->ends_with("/metadata")) return;
  f.equal("GET " + *plain, peer.get(scratch.path(escaped(*plain))).body, "v:" + tail);
}

void keys(const Peer& peer, Findings& f) {
  for (const json::value& vector : vectors("object_key_normalization")) {
    one_key(peer, f, escaped(text(vector.at("input"))), normalized(vector));
  }
}

void tails(const Peer& peer, Findings& f) {
  for (const json::value& vector : vectors("path_tail_decoding")) {
    one_key(peer, f, text(vector.at("path_tail")), normalized(vector));
  }
  for (const json::value& vector : vectors("client_key_encoding")) {
    const std::string tail = text(vector.at("path_tail"));
    const Scratch scratch(peer);
    f.equal("PUT " + tail, peer.put(scratch.path(tail), "c").status, 200);
    f.equal("GET " + tail, peer.get(scratch.path(tail)).body, "c");
  }
}

void prefixes(const Peer& peer, Findings& f) {
  const Scratch scratch(peer);
  peer.put(scratch.path("alone"), "a");
  const std::string alone = list_of({"alone"});
  for (const json::value& vector : vectors("object_key_normalization")) {
    const std::string prefix = escaped(text(vector.at("input")));
    const std::string list = scratch.list() + "&prefix=" + prefix;
    if (text(vector.at("prefix_result")) == "rejected") {
      f.equal(prefix, verdict(peer.get(list)), "400 bad_request");
    } else if (text(vector.at("normalized")) == ".") {
      f.equal(prefix, data_of(peer.get(list)), alone);
    } else {
      const std::string inside = text(vector.at("normalized")) + "/in it";
      const std::string path = scratch.path(escaped(inside));
      f.equal(prefix + ": PUT", peer.put(path, "p").status, 200);
      f.equal(prefix, data_of(peer.get(list)), list_of({inside}));
      peer.call({.method = "DELETE", .path = path});
    }
  }
}

/// "206 bytes 0-4/10 5", "200 10" or the verdict of a refusal.
std::string outcome(const testing::RawAnswer& answer) {
  if (answer.status != 200 && answer.status != 206) return verdict(answer);
  std::string out = std::to_string(answer.status);
  if (const auto range = answer.field("Content-Range")) out += " " + *range;
  return out + " " + answer.field("Content-Length").value_or("-");
}

std::string wanted(const json::object& vector, bool numeric) {
  const int64_t status = vector.at("http").as_int64();
  std::string out = std::to_string(status);
  if (status == 400) {
    const std::string code = text(vector.at("error_code"));
    return out + " " + (numeric ? "1000/" + code : code);
  }
  if (!vector.at("content_range").is_null()) out += " " + text(vector.at("content_range"));
  return out + " " + json::serialize(vector.at("content_length"));
}

void ranges(const Peer& peer, Findings& f) {
  const std::string digits = "0123456789";
  for (const json::value& value : vectors("range")) {
    const json::object& vector = value.as_object();
    const auto size = static_cast<size_t>(vector.at("size").as_int64());
    const std::string object = "/objects/range/" + std::to_string(size);
    peer.put(object, digits.substr(0, size));
    Call call{.path = object};
    char separator = '?';
    for (const char* name : {"offset", "length"}) {
      if (vector.at(name).is_null()) continue;
      call.path += separator + std::string(name) + "=" + json::serialize(vector.at(name));
      separator = '&';
    }
    if (!vector.at("header").is_null()) {
      call.headers.emplace_back("Range", text(vector.at("header")));
    }
    const std::string name = "size " + std::to_string(size) + ", " +
                             json::serialize(vector.at("header")) + ", " + call.path;
    const auto answer = peer.call(call);
    f.equal(name, outcome(answer), wanted(vector, false));
    if (answer.status == 206) {
      const auto start = static_cast<size_t>(vector.at("start").to_number<int64_t>());
      const auto end = static_cast<size_t>(vector.at("end").to_number<int64_t>());
      f.equal(name + ": bytes", answer.body, digits.substr(start, end - start + 1));
    }
    call.agent = kOld;
    f.equal(name + ", numeric", outcome(peer.call(call)), wanted(vector, true));
  }
}

void base_paths(const Peer& peer, Findings& f) {
  for (const json::value& vector : vectors("local_base_path_normalization")) {
    const std::string input = text(vector.at("input"));
    const json::object create{{"driver_type", "local"}, {"name", "b"}, {"base_path", input}};
    for (const std::string_view agent : {kNew, kOld}) {
      const auto made = peer.call(
          {.method = "POST", .path = "/targets", .body = json::serialize(create), .agent = agent});
      const std::string name = json::serialize(json::string(input));
      if (vector.at("error_code").is_null()) {
        f.equal(name, member(data_of(made), "base_path"), text(vector.at("normalized")));
        peer.call({.method = "DELETE", .path = "/targets/" + member(data_of(made), "target_key")});
      } else {
        const std::string code = text(vector.at("error_code"));
        const std::string number = code == "bad_request" ? "400 1000" : "400 1000/" + code;
        f.equal(name, verdict(made), agent == kNew ? "400 " + code : number);
      }
    }
  }
}

}  // namespace

std::vector<Row> vector_rows() {
  return {{"6.1", "vectors: keys", keys},
          {"6.1", "vectors: raw tails, and as the reference's client encodes them", tails},
          {"6.1", "vectors: prefixes", prefixes},
          {"7.4", "vectors: ranges, both dialects", ranges},
          {"6.3", "vectors: base paths of local targets", base_paths}};
}

}  // namespace aster::conformance

#include "tests/integration/conformance/peer.h"

#include <boost/json.hpp>

namespace aster::conformance {
namespace {

constexpr std::string_view kStoragePath = "/api/v1/internal/storage";

}  // namespace

Peer::Peer(Options options) : options_(std::move(options)), signer_(options_.credentials, clock_) {}

std::string Peer::target(const Call& call) const {
  return options_.prefix + std::string(kStoragePath) + call.path;
}

testing::RawAnswer Peer::exchange(const std::string& method, const std::string& target,
                                  const Call& call) const {
  std::string text = method + " " + target + " HTTP/1.1\r\nHost: follower\r\n";
  if (!call.agent.empty()) text += "User-Agent: " + std::string(call.agent) + "\r\n";
  for (const auto& [name, value] : call.headers) text += name + ": " + value + "\r\n";
  if (call.body) text += "Content-Length: " + std::to_string(call.body->size()) + "\r\n";
  text += "\r\n" + call.body.value_or("");
  testing::RawClient client(options_.host, options_.port);
  client.send(text);
  return client.receive(method == "HEAD").value_or(testing::RawAnswer{});
}

Headers Peer::sign(const Call& call) const {
  const auto length = call.body ? std::optional<uint64_t>(call.body->size()) : std::nullopt;
  return signer_.sign(call.method, target(call), length);
}

testing::RawAnswer Peer::send(const Call& call) const {
  return exchange(call.method, target(call), call);
}

testing::RawAnswer Peer::call(const Call& call) const {
  Call complete = call;
  for (auto& header : sign(call)) complete.headers.push_back(std::move(header));
  return send(complete);
}

testing::RawAnswer Peer::json(std::string method, std::string path, std::string body) const {
  return call({.method = std::move(method),
               .path = std::move(path),
               .body = std::move(body),
               .headers = {{"Content-Type", "application/json"}}});
}

std::string Peer::presign(std::string_view method, std::string_view path, int64_t seconds) const {
  const Call call{.path = std::string(path)};
  const std::string whole = signer_.presign(method, target(call), clock_.now_seconds() + seconds);
  return whole.substr(options_.prefix.size() + kStoragePath.size());
}

testing::RawAnswer Peer::health(std::string method, std::string path,
                                std::string_view agent) const {
  return exchange(method, options_.prefix + path, {.agent = agent});
}

std::string verdict(const testing::RawAnswer& answer) {
  std::string out = std::to_string(answer.status);
  boost::system::error_code error;
  const auto json = boost::json::parse(answer.body, error);
  if (error || !json.is_object()) return out;
  const auto& object = json.get_object();
  if (const auto* code = object.if_contains("code")) {
    out +=
        " " + (code->is_string() ? std::string(code->get_string()) : boost::json::serialize(*code));
  }
  const auto* details = object.if_contains("error");
  const auto* sub =
      details && details->is_object() ? details->get_object().if_contains("subcode") : nullptr;
  if (sub && sub->is_string()) out += "/" + std::string(sub->get_string());
  return out;
}

std::string data_of(const testing::RawAnswer& answer) {
  const auto envelope = decode_envelope(answer.body, 8 << 20);
  return envelope.ok() ? envelope->data : "";
}

std::string member(const std::string& text, std::string_view name) {
  boost::system::error_code error;
  const auto json = boost::json::parse(text, error);
  if (error || !json.is_object()) return "";
  const auto* value = json.get_object().if_contains({name.data(), name.size()});
  if (!value) return "";
  return value->is_string() ? std::string(value->get_string()) : boost::json::serialize(*value);
}

std::string cors_of(const testing::RawAnswer& answer) {
  return std::to_string(answer.status) + " " +
         answer.field("Access-Control-Allow-Origin").value_or("-");
}

}  // namespace aster::conformance

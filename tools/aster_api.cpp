#include "tools/aster_api.h"

#include <boost/json/serialize.hpp>

#include "protocol/envelope.h"
#include "protocol/http_text.h"
#include "protocol/json_reader.h"

namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr uint64_t kPage = 100;  // the most that the admin API gives at once

/// What a refusal means, in the server's words when it has some.
Error refusal(const HttpClientResponse& response, std::string_view doing) {
  const int status = response.status;
  const std::string_view body = as_text(response.body.view());
  std::string text = "the server answered with status " + std::to_string(status);
  Errc errc = errc_for_status(status);
  const auto envelope = decode_envelope(body, kMaxListAnswer);
  if (envelope && !envelope->success) {
    if (envelope->code) errc = info(*envelope->code).errc;
    if (!envelope->message.empty()) {
      text = envelope->message;
    } else if (envelope->code) {
      text = std::string(info(*envelope->code).text);
    }
  }
  // The server's log tells more of its own failures.
  const std::string* const id = find_header(response.headers, "X-Request-ID");
  if (status >= 500 && id != nullptr) text += " (request " + *id + " in the server's log)";
  return {errc, std::string(doing) + ": " + text};
}

}  // namespace

Result<json::value> Api::get(std::string_view path, std::string_view doing) {
  return call("GET", path, {}, doing);
}

Result<json::value> Api::post(std::string_view path, const json::object& body,
                              std::string_view doing) {
  return call("POST", path, json::serialize(body), doing);
}

Result<json::value> Api::put(std::string_view path, const json::object& body,
                             std::string_view doing) {
  return call("PUT", path, json::serialize(body), doing);
}

Result<json::value> Api::patch(std::string_view path, const json::object& body,
                               std::string_view doing) {
  return call("PATCH", path, json::serialize(body), doing);
}

Result<json::value> Api::remove(std::string_view path, std::string_view doing) {
  return call("DELETE", path, {}, doing);
}

std::string Api::in_tree(std::string path) const {
  if (team_.empty()) return path;
  path += path.find('?') == std::string::npos ? '?' : '&';
  return path + "workspace=" + form_encode("team:" + team_);
}

Result<json::array> Api::list(std::string_view path, std::string_view doing) {
  json::array all;
  while (true) {
    const std::string page = std::string(path) + "?limit=" + std::to_string(kPage) +
                             "&offset=" + std::to_string(all.size());
    ASTER_TRY(json::value data, get(page, doing));
    if (data.is_array()) return std::move(data.get_array());
    const json::value* items = data.is_object() ? data.get_object().if_contains("items") : nullptr;
    if (!items || !items->is_array())
      return fail(Errc::corrupt, std::string(doing) + ": not a list");
    uint64_t total = 0;
    JsonReader reader(data.get_object());
    reader.required("total", total);
    ASTER_TRY(total, reader.finish(total));
    for (const json::value& item : items->get_array()) all.push_back(item);
    if (items->get_array().empty() || all.size() >= total) return all;
  }
}

Result<json::value> Api::call(std::string method, std::string_view path, std::string body,
                              std::string_view doing) {
  HttpClientRequest request;
  request.method = std::move(method);
  request.url = server_ + std::string(path);
  request.max_body = kMaxListAnswer;
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
  if (!body.empty()) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body.push_back(Bytes::from_string(std::move(body)));
  }
  const auto response = run_blocking(http_.send(std::move(request)));
  if (!response) {
    return fail(response.error().code, "cannot reach " + server_ + ": " + response.error().context);
  }
  const std::string_view text = as_text(response->body.view());
  if (response->status < 200 || response->status > 299) {
    return refusal(*response, doing);
  }
  if (text.empty()) return json::value();
  const auto envelope = decode_envelope(text, kMaxListAnswer);
  if (!envelope || !envelope->success) {
    return fail(Errc::corrupt,
                server_ + " does not answer like an Aster server; is the URL right?");
  }
  if (envelope->data.empty()) return json::value();
  return parse_json(envelope->data, kMaxListAnswer);
}

}  // namespace aster::cli

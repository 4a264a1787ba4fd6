#include "protocol/http_text.h"
#include "server/http/http.h"

namespace aster::http {
std::string_view Request::raw_path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

std::string_view Request::raw_query() const {
  const size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::string_view Request::authority() const {
  if (!host.empty()) return host;
  const std::string* const named = header("Host");
  return named ? trim(*named) : std::string_view();
}

Result<QueryList> parse_query(std::string_view raw_query) {
  return form_decode_query(raw_query);
}

std::optional<std::string> query_value(
    const std::vector<std::pair<std::string, std::string>>& query, std::string_view key) {
  for (const auto& [name, value] : query) {
    if (name == key) return value;
  }
  return std::nullopt;
}

Response Response::text(int status, std::string body, std::string_view content_type) {
  Response response;
  response.status = status;
  response.headers.emplace_back("Content-Type", content_type);
  response.body = std::move(body);
  return response;
}

}  // namespace aster::http

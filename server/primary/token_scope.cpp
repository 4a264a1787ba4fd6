#include "server/primary/token_scope.h"

#include <algorithm>
#include <boost/json.hpp>

#include "protocol/json_reader.h"
#include "server/primary/mutation.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kPathMax = 4096;
constexpr size_t kStoredMax = 1 << 20;

}  // namespace

Result<std::vector<std::string>> parse_plain_path(std::string_view text) {
  std::vector<std::string> path;
  while (!text.empty()) {
    const size_t slash = std::min(text.find('/'), text.size());
    const std::string_view name = text.substr(0, slash);
    text.remove_prefix(std::min(slash + 1, text.size()));
    if (name.empty()) continue;
    ASTER_TRY(check_name(name));
    path.emplace_back(name);
  }
  return path;
}

Result<TokenScope::Place> parse_place(std::string_view text) {
  TokenScope::Place place;
  if (text.size() > kPathMax) return fail(Errc::name_too_long, "a path over 4096 bytes");
  const bool of_team = text.starts_with(kTeamSelector);
  if (!of_team && !text.starts_with('/')) {
    return fail(Errc::bad_request, "\"" + std::string(text) +
                                       "\" is no place: /FOLDER, team:NAME or team:NAME/FOLDER");
  }
  if (of_team) {
    const size_t slash = std::min(text.find('/'), text.size());
    place.workspace = text.substr(0, slash);
    text.remove_prefix(slash);
    if (place.workspace == kTeamSelector) return fail(Errc::bad_request, "team: needs a name");
  }
  ASTER_TRY(place.path, parse_plain_path(text));
  return place;
}

std::string to_text(const TokenScope::Place& place) {
  std::string out = place.workspace;
  for (const std::string& name : place.path) out += "/" + name;
  return out.empty() ? "/" : out;
}

std::string encode(const TokenScope& scope) {
  if (scope.whole()) return {};
  json::array paths;
  for (const TokenScope::Place& place : scope.places) paths.emplace_back(to_text(place));
  return json::serialize(json::object{{"read_only", scope.read_only}, {"paths", paths}});
}

Result<TokenScope> decode_token_scope(std::string_view text) {
  TokenScope scope;
  if (text.empty()) return scope;
  ASTER_TRY(const json::object object, parse_json_object(text, kStoredMax));
  for (const auto& member : object) {
    if (member.key() != "read_only" && member.key() != "paths") {
      return fail(Errc::unsupported, "a limit that this server does not know");
    }
  }
  JsonReader reader(object);
  std::vector<std::string> paths;
  reader.required("read_only", scope.read_only);
  reader.required("paths", paths);
  ASTER_TRY(paths, reader.finish(std::move(paths)));
  for (const std::string& path : paths) {
    ASTER_TRY(TokenScope::Place place, parse_place(path));
    scope.places.push_back(std::move(place));
  }
  return scope;
}

}  // namespace aster::primary

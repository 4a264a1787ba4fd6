#include <algorithm>

#include "protocol/base/check.h"
#include "server/http/http.h"

namespace aster::http {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

/// Lower is more specific.
int rank(std::string_view segment) {
  return segment == "{...}" ? 2 : segment == "{}" ? 1 : 0;
}

bool more_specific(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::lexicographical_compare(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const std::string& x, const std::string& y) { return rank(x) < rank(y); });
}

/// Fills `args` and says true when the pieces of a path match the segments of a pattern.
bool matches(const std::vector<std::string>& segments, bool rest,
             const std::vector<std::string_view>& pieces, std::vector<std::string>& args) {
  const size_t fixed = rest ? segments.size() - 1 : segments.size();
  if (rest ? pieces.size() < segments.size() : pieces.size() != fixed) return false;
  args.clear();
  for (size_t i = 0; i < fixed; ++i) {
    if (segments[i] != "{}") {
      if (segments[i] != pieces[i]) return false;
    } else {
      if (pieces[i].empty()) return false;
      args.emplace_back(pieces[i]);
    }
  }
  if (rest) {
    const char* const begin = pieces[fixed].data();
    args.emplace_back(begin, pieces.back().data() + pieces.back().size() - begin);
  }
  return true;
}

Task<Response> plain_not_found() {
  co_return Response::text(404, "not found\n");
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler) {
  Route route;
  route.method = method;
  for (const std::string_view piece : split(pattern)) route.segments.emplace_back(piece);
  route.rest = route.segments.back() == "{...}";
  route.handler = std::move(handler);
  const auto place = std::upper_bound(
      routes_.begin(), routes_.end(), route,
      [](const Route& a, const Route& b) { return more_specific(a.segments, b.segments); });
  routes_.insert(place, std::move(route));
}

std::vector<Router::Name> Router::names() const {
  std::vector<Name> out;
  for (const Route& route : routes_) {
    std::string pattern;
    for (const std::string& segment : route.segments) pattern.append("/").append(segment);
    out.push_back({route.method, std::move(pattern)});
  }
  return out;
}

const Handler& Router::match(Request& request) const {
  static const Handler kNotFound = [](Request&) { return plain_not_found(); };
  const auto pieces = split(request.raw_path());
  for (const Route& route : routes_) {
    if (route.method == request.method &&
        matches(route.segments, route.rest, pieces, request.path_args)) {
      request.route = static_cast<size_t>(&route - routes_.data());
      return route.handler;
    }
  }
  request.path_args.clear();
  return fallback_ ? fallback_ : kNotFound;
}

}  // namespace aster::http

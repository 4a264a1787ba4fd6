#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "protocol/client/http_client.h"

namespace aster::cli {

/// The primary's HTTP API as the command line uses it: one blocking call at a time. Paths start
/// with "/api/". Failures carry the server's own words; `doing` says what was tried.
class Api {
 public:
  /// `server` without trailing slash; `token` empty = no proof of identity.
  Api(HttpClient& http, std::string server, std::string token)
      : http_(http), server_(std::move(server)), token_(std::move(token)) {}

  const std::string& server() const { return server_; }

  /// From now on paths of the drive are those of this team's tree; empty: the caller's own.
  void enter_team(const std::string& team) { team_ = team; }
  const std::string& team() const { return team_; }
  /// The path of a request about files, which says in whose tree.
  std::string in_tree(std::string path) const;

  /// The `data` of the answer; null when it has none.
  Result<boost::json::value> get(std::string_view path, std::string_view doing);
  Result<boost::json::value> post(std::string_view path, const boost::json::object& body,
                                  std::string_view doing);
  Result<boost::json::value> put(std::string_view path, const boost::json::object& body,
                                 std::string_view doing);
  Result<boost::json::value> patch(std::string_view path, const boost::json::object& body,
                                   std::string_view doing);
  Result<boost::json::value> remove(std::string_view path, std::string_view doing);

  /// All items of a list, page by page; a plain array is taken as it is.
  Result<boost::json::array> list(std::string_view path, std::string_view doing);

 private:
  Result<boost::json::value> call(std::string method, std::string_view path, std::string body,
                                  std::string_view doing);

  HttpClient& http_;
  const std::string server_;
  const std::string token_;
  std::string team_;
};

}  // namespace aster::cli

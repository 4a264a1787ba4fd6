#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace aster::primary {

/// What begins the selector of a team's workspace, before its name.
inline constexpr std::string_view kTeamSelector = "team:";

/// What a token may do of what its user may.
struct TokenScope {
  struct Place {
    std::string workspace;          ///< as Workspaces::enter() takes it; empty: the user's own tree
    std::vector<std::string> path;  ///< names from its root down; empty: all of it
  };
  bool read_only = false;
  std::vector<Place> places;  ///< empty: everywhere

  /// As good as a login: also for what is no file.
  bool whole() const noexcept { return !read_only && places.empty(); }
};

inline constexpr size_t kScopePlacesMax = 16;

/// "/a/b", "team:NAME", "team:NAME/a/b". bad_request, name_too_long.
Result<TokenScope::Place> parse_place(std::string_view text);
std::string to_text(const TokenScope::Place& place);

/// The names of a path that is written plainly, without escapes; "" and "/" are the root.
/// bad_request for "." and "..", name_too_long.
Result<std::vector<std::string>> parse_plain_path(std::string_view text);

/// As the database keeps it; empty for a whole one.
std::string encode(const TokenScope& scope);
/// Refuses whatever it does not know: a limit that is not understood is not dropped.
Result<TokenScope> decode_token_scope(std::string_view text);

}  // namespace aster::primary

#pragma once

#include <string_view>

#include "protocol/base/errc.h"

namespace aster::http {

/// How an error looks from outside.
struct StatusEntry {
  int status;             ///< HTTP status
  std::string_view code;  ///< stable string for the `code` of an error envelope
};

/// The one table from Errc to HTTP. Endpoints that the follower protocol gives a status of their
/// own (ranges are 400, for example) choose it before they come here.
StatusEntry status_of(Errc code) noexcept;

/// Reason phrase; "Unknown" for a status without one.
std::string_view reason_phrase(int status) noexcept;

}  // namespace aster::http

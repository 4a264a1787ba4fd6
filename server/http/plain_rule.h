#pragma once

#include <optional>
#include <string>

#include "server/http/http.h"

namespace aster::http {

/// Where requests that came without TLS are sent.
struct PlainRule {
  PlainHttp mode = PlainHttp::allow;
  std::string https_origin;  ///< "https://drive.example.com"; empty: the host asked for
  uint16_t https_port = 443;
};

/// What a request that did not come over TLS is answered instead of being served; nullopt when it
/// is to be served. Health checks always are: they carry nothing. A request that shows a token, a
/// password or a signature is refused and never redirected, so that whoever sent it learns of it.
std::optional<Response> answer_plain(const Request& request, const PlainRule& rule);

}  // namespace aster::http

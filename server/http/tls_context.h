#pragma once

#include "server/http/asio.h"
#include "server/http/tls.h"

namespace aster::http {

struct TlsIdentity::Context {
  asio::ssl::context context{asio::ssl::context::tls_server};
};

}  // namespace aster::http

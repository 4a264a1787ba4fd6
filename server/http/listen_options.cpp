#include "server/http/listen_options.h"

#include "protocol/base_url.h"
#include "server/http/tls.h"

namespace aster::http {
namespace {

PlainHttp plain_mode(const std::string& word, bool has_certificate) {
  if (word == "allow") return PlainHttp::allow;
  if (word == "refuse") return PlainHttp::refuse;
  if (word == "redirect") return PlainHttp::redirect;
  return has_certificate ? PlainHttp::redirect : PlainHttp::allow;
}

Result<std::shared_ptr<TlsIdentity>> identity_of(const Config& config) {
  TlsIdentity::Files files{config.path("server.tls_certificate"), config.path("server.tls_key")};
  if (files.certificate.empty() && files.key.empty()) return std::shared_ptr<TlsIdentity>();
  if (files.certificate.empty() || files.key.empty()) {
    return fail(Errc::bad_request,
                "server.tls_certificate and server.tls_key belong together: only one is set");
  }
  return TlsIdentity::load(std::move(files));
}

}  // namespace

Result<ServerOptions> listen_options(const Config& config) {
  ServerOptions out;
  out.host = config.text("server.host");
  out.port = static_cast<uint16_t>(config.integer("server.port"));
  out.limits.max_connections = static_cast<size_t>(config.integer("server.max_connections"));
  ASTER_TRY(out.tls, identity_of(config));
  out.plain_http = plain_mode(config.text("server.plain_http"), out.tls != nullptr);
  out.plain_port = static_cast<uint16_t>(config.integer("server.plain_port"));
  if (out.plain_port != 0 && !out.tls) {
    return fail(Errc::bad_request,
                "server.plain_port is for a server with server.tls_certificate; without one, "
                "server.port speaks plain HTTP already");
  }
  ASTER_TRY(const std::string url, normalize_base_url(config.text("server.public_url")));
  if (url.starts_with("https://")) out.https_origin = split_base_url(url).origin;
  if (out.plain_http == PlainHttp::redirect && !out.tls && out.https_origin.empty()) {
    return fail(Errc::bad_request,
                "server.plain_http = \"redirect\" needs server.tls_certificate, or the https:// "
                "URL of the proxy in server.public_url");
  }
  auto proxies = NetworkList::parse(config.list("network_trust.trusted_proxies"));
  if (!proxies.ok()) {
    return fail(Errc::bad_request, "network_trust.trusted_proxies: " + proxies.error().context);
  }
  out.trusted_proxies = std::move(*proxies);
  return out;
}

std::string_view scheme_of(const Config& config) {
  return config.text("server.tls_certificate").empty() ? "http" : "https";
}

}  // namespace aster::http

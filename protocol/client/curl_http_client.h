#pragma once

#include <memory>
#include <string>

#include "protocol/base/executor.h"
#include "protocol/base/metrics.h"
#include "protocol/client/http_client.h"

namespace aster {

struct CurlHttpClientOptions {
  size_t max_connections_per_host = 64;  ///< further exchanges wait for one, within their deadline
  size_t max_idle_connections = 64;      ///< kept alive over all hosts
  size_t max_exchanges = 8192;           ///< more at the same time fail with out_of_resources
  size_t idle_body_memory = 64 << 20;    ///< bytes kept for the next bodies
  std::string user_agent;                ///< empty = kUserAgent
  std::string ca_file;      ///< PEM file of all authorities for https; empty = the system's
  std::string pinned_key;   ///< "sha256//BASE64", several with ';': see check_pin()
  std::string pinned_host;  ///< "host[:port]" as in URLs: where the key must be one of those
};

/// What `--pin` takes: "sha256//" and the base64 of the SHA-256 of the server's public key (DER),
/// several with ';'. bad_request says what is wrong.
Result<void> check_pin(std::string_view pin);
/// "host[:port]" of an absolute URL.
std::string_view authority_of(std::string_view url);

/// HttpClient by libcurl: all exchanges run on one transfer thread. HTTP/1.1 over http and https,
/// keep-alive, the request target exactly as in the URL, no proxy from the environment. A body that
/// ends early, or that has no stated length, is an error, never a short success. Each request is
/// sent at most once: a kept connection that dies under it is unavailable.
/// The destructor ends every exchange with `interrupted` and joins the thread. `executor` must
/// outlive the client and every exchange. on_headers, sources and sinks are called on it.
class CurlHttpClient final : public HttpClient {
 public:
  CurlHttpClient(CurlHttpClientOptions options, Executor& executor);
  ~CurlHttpClient() override;

  using HttpClient::send;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) override;

  const metrics::Counter& exchanges() const { return counts_->exchanges; }
  const metrics::Counter& failed() const { return counts_->failed; }  ///< without an answer

 private:
  class Transfer;
  struct Counts {
    metrics::Counter exchanges;
    metrics::Counter failed;
  };
  const std::shared_ptr<Transfer> transfer_;
  // An exchange that the destructor interrupts goes on after it.
  const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

/// The two as metrics, with further clients of the same program added up.
void write_exchanges(metrics::Exposition& out, const CurlHttpClient& client,
                     const CurlHttpClient* other = nullptr);

}  // namespace aster

#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"

namespace aster::primary {

/// An HttpClient whose exchanges can all be ended at once: a server that stops must not wait an
/// hour for a follower that hangs. Thread-safe.
class InterruptibleHttpClient final : public HttpClient {
 public:
  /// `inner` must outlive this; its end interrupts what is under way, also after the end of this.
  explicit InterruptibleHttpClient(HttpClient& inner) : inner_(inner) {}

  using HttpClient::send;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) override;

  /// Exchanges under way, and all later ones, fail with interrupted.
  void interrupt();

 private:
  struct State {
    bool interrupted = false;
    uint64_t next = 0;
    std::map<uint64_t, CancelToken> under_way;
  };

  HttpClient& inner_;
  const std::shared_ptr<Guarded<State>> state_ = std::make_shared<Guarded<State>>();
};

}  // namespace aster::primary

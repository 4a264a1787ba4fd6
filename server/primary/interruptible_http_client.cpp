#include "server/primary/interruptible_http_client.h"

namespace aster::primary {

Task<Result<HttpClientResponse>> InterruptibleHttpClient::send(HttpClientRequest request,
                                                               CancelToken cancel) {
  const auto shared = state_;
  CancelToken mine;
  uint64_t number = 0;
  {
    auto state = shared->lock();
    if (state->interrupted) co_return fail(Errc::interrupted, "the server is stopping");
    number = state->next++;
    state->under_way.emplace(number, mine);
  }
  cancel.on_cancel([mine] { mine.cancel(); });
  auto response = co_await inner_.send(std::move(request), mine);
  shared->lock()->under_way.erase(number);
  co_return response;
}

void InterruptibleHttpClient::interrupt() {
  std::map<uint64_t, CancelToken> under_way;
  {
    auto state = state_->lock();
    state->interrupted = true;
    under_way.swap(state->under_way);
  }
  for (const auto& [number, token] : under_way) token.cancel();
}

}  // namespace aster::primary

#include "server/follower/binding_sync.h"

#include "protocol/base/log.h"
#include "protocol/envelope.h"
#include "protocol/messages.h"
#include "protocol/sign/signature.h"

namespace aster::follower {
namespace {

constexpr std::string_view kPath = "/api/v1/internal/remote-node-control/binding-state";
/// A primary without the endpoint may be replaced by a newer one some day.
constexpr unsigned kRoundsSkipped = 9;

Task<bool> await_end(Completion<bool> ended) {
  const bool done = co_await ended;
  co_return done;
}

bool differs(const Binding& binding, const BindingState& state) {
  return binding.name != state.name || binding.is_enabled != state.is_enabled ||
         binding.resolved_transport != state.resolved_transport ||
         binding.desired_revision != state.desired_revision;
}

HttpClientRequest request_for(const Binding& binding, const Clock& clock) {
  // Signed is the path alone: a prefix in the master URL is the business of the proxy there.
  const std::string target =
      std::string(kPath) + "?applied_revision=" + std::to_string(binding.desired_revision);
  const sign::Signer signer({binding.access_key, binding.secret_key}, clock);
  HttpClientRequest request;
  request.url = binding.master_url + target;
  request.headers = signer.sign("GET", target, std::nullopt);
  request.headers.emplace_back("Accept", "application/json");
  request.max_body = kMaxControlAnswer;
  request.total_timeout = std::chrono::seconds(10);
  return request;
}

}  // namespace

void BindingSync::start() {
  if (started_.exchange(true)) return;
  parts_.executor.post([this] { aster::start(run(), [this] { ended_.set(true); }); });
}

void BindingSync::stop() {
  if (!started_ || stopping_.exchange(true)) return;
  cancel_.cancel();
  const Completion<bool> wake = *wake_.lock();
  wake.set(true);
  run_blocking(await_end(ended_));
}

Task<void> BindingSync::run() {
  while (!stopping_) {
    co_await round();
    co_await pause();
  }
}

Task<void> BindingSync::pause() {
  Completion<bool> wake;
  *wake_.lock() = wake;
  // stop() either saw this completion or set its flag before: both are looked at after this.
  if (stopping_) co_return;
  parts_.executor.post_after(parts_.interval, [wake] { wake.set(true); });
  co_await wake;
  co_await parts_.executor.hop();
}

Task<void> BindingSync::round() {
  const Result<void> reloaded = parts_.store.reload();
  if (!reloaded.ok()) ASTER_LOG(warn, "bindings not read", {"err", reloaded.error()});
  std::vector<Task<bool>> asked;
  for (Binding& binding : parts_.store.bindings()) {
    if (is_due(binding.id)) asked.push_back(pull(std::move(binding)));
  }
  co_await when_all(std::move(asked));
}

bool BindingSync::is_due(int64_t binding_id) {
  auto peers = peers_.lock();
  unsigned& skip = (*peers)[binding_id].skip;
  if (skip == 0) return true;
  --skip;
  return false;
}

Task<bool> BindingSync::pull(Binding binding) {
  const Result<void> outcome = co_await ask(binding);
  note(binding, outcome);
  co_return outcome.ok();
}

Task<Result<void>> BindingSync::ask(Binding binding) {
  HttpClientRequest request = request_for(binding, parts_.clock);
  ASTER_CO_TRY(const HttpClientResponse answer,
               co_await parts_.http.send(std::move(request), cancel_));
  const std::string_view body = as_text(answer.body.view());
  if (answer.status / 100 != 2) co_return error_of_answer(answer.status, body, "binding state");
  ASTER_CO_TRY(const Envelope envelope, decode_envelope(body));
  if (!envelope.success) co_return fail(Errc::bad_request, "binding state: no success");
  ASTER_CO_TRY(const BindingState state, from_json<BindingState>(envelope.data));
  if (!differs(binding, state)) co_return ok();
  ASTER_CO_TRY(parts_.store.apply_state(binding.id, state));
  ASTER_LOG(info, "binding changed", {"name", state.name}, {"enabled", state.is_enabled},
            {"revision", state.desired_revision});
  co_return ok();
}

void BindingSync::note(const Binding& binding, const Result<void>& outcome) {
  if (stopping_) return;
  const bool too_old =
      outcome.failed_with(Errc::not_found) || outcome.failed_with(Errc::unsupported);
  const std::string failure = outcome.ok() ? std::string() : outcome.error().context;
  {
    auto peers = peers_.lock();
    Peer& peer = (*peers)[binding.id];
    peer.skip = too_old ? kRoundsSkipped : 0;
    if (peer.reported == failure) return;
    peer.reported = failure;
  }
  if (outcome.ok()) {
    ASTER_LOG(info, "binding state is pulled again", {"master_url", binding.master_url});
  } else if (too_old) {
    ASTER_LOG(info, "the primary has no binding state to pull", {"master_url", binding.master_url});
  } else {
    ASTER_LOG(warn, "binding state not pulled", {"master_url", binding.master_url},
              {"err", outcome.error()});
  }
}

}  // namespace aster::follower

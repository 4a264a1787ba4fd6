#include "server/http/body_stream.h"

namespace aster::http {
namespace {

constexpr uint64_t kDrainLimit = 1 << 20;  // more costs longer than a new connection

Error body_error(const IoResult& got) {
  if (got.error == beast::error::timeout) return fail(Errc::timeout, "the request body stalled");
  if (got.error.category() == make_error_code(beast::http::error::bad_chunk).category() &&
      got.error != beast::http::error::partial_message &&
      got.error != beast::http::error::end_of_stream) {
    return fail(Errc::bad_request, "request body: " + got.error.message());
  }
  return fail(Errc::unavailable, "the request body ended early");
}

}  // namespace

/// Posts the reader to the strand, unless the request has ended: the server may be gone by then.
struct RequestBody::Hop {
  RequestBody& body;
  KeptRequest request = {};
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) const {
    request.keep();
    std::lock_guard lock(body.mutex_);
    if (body.detached_) return false;
    if (body.connection_->strand().running_in_this_thread()) return false;
    asio::post(body.connection_->strand(), [waiter] { waiter.resume(); });
    return true;
  }
  /// False when the body must not be touched any more.
  bool await_resume() const {
    request.put_back();
    std::lock_guard lock(body.mutex_);
    return !body.detached_;
  }
};

Task<Result<size_t>> RequestBody::read(std::span<std::byte> buffer) {
  const auto self = shared_from_this();
  Hop hop{*this};
  const bool attached = co_await hop;
  if (!attached) co_return fail(Errc::stale_handle, "read of a body after its request");
  reading_ = true;
  Result<size_t> got = co_await pull(buffer);
  reading_ = false;
  co_return got;
}

Task<Result<size_t>> RequestBody::pull(std::span<std::byte> buffer) {
  if (ended() || buffer.empty()) co_return size_t{0};
  if (std::exchange(framing_.expect_continue, false) && !connection_->has_buffered()) {
    ASTER_CO_TRY(co_await connection_->write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")));
  }
  if (framing_.chunked) {
    Result<size_t> piece = co_await pull_chunked(buffer);
    co_return piece;
  }
  const size_t most = static_cast<size_t>(std::min<uint64_t>(framing_.length, buffer.size()));
  const IoResult got = co_await connection_->read_some(buffer.first(most));
  if (!got.ok()) co_return body_error(got);
  framing_.length -= got.bytes;
  co_return got.bytes;
}

Task<Result<size_t>> RequestBody::pull_chunked(std::span<std::byte> buffer) {
  const IoResult got = co_await connection_->read_chunked(framing_.chunked, buffer);
  if (!got.ok()) co_return body_error(got);
  co_return got.bytes;
}

void RequestBody::detach() {
  std::lock_guard lock(mutex_);
  detached_ = true;
}

bool RequestBody::drainable() const {
  if (reading_) return false;
  if (ended()) return true;
  // How much is left of a chunked body nobody knows.
  return !framing_.expect_continue && !framing_.chunked && framing_.length <= kDrainLimit;
}

Task<bool> RequestBody::drain() {
  if (ended() && !reading_) co_return true;
  if (!drainable()) co_return false;
  std::vector<std::byte> sink(64 * 1024);
  for (uint64_t swallowed = 0; swallowed <= kDrainLimit;) {
    const Result<size_t> got = co_await pull(sink);
    if (!got.ok()) co_return false;
    if (*got == 0) co_return true;
    swallowed += *got;
  }
  co_return false;
}

}  // namespace aster::http

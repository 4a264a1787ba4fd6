#include "server/http/connection.h"

#include <sys/socket.h>

#include "protocol/base/log.h"
#include "server/http/tls_context.h"

namespace aster::http {
namespace {

// An unreserved flat_buffer reads 512 bytes at a time (measured). Bodies do not go through it.
constexpr size_t kReadBuffer = 16 * 1024;
constexpr size_t kLingerBytes = 16 << 20;
constexpr std::chrono::seconds kLingerTime{2};

constexpr uint8_t kTlsAlert = 21;      // RFC 8446, section 5.1: types of records
constexpr uint8_t kTlsHandshake = 22;  // also the first byte of a connection; no method begins so
constexpr uint8_t kTlsData = 23;
/// An alert of TLS 1.3 inside a record of data: level, description, its type, 16 bytes of tag. No
/// request is so short.
constexpr size_t kHiddenAlert = 19;

/// Whether the other side has closed: the socket, or before that its TLS by an alert.
bool peer_closed(int fd, bool tls) {
  uint8_t head[5];
  const ssize_t n = ::recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return true;
  if (!tls || n < static_cast<ssize_t>(sizeof head)) return false;
  const size_t length = static_cast<size_t>(head[3]) << 8 | head[4];
  return head[0] == kTlsAlert || (head[0] == kTlsData && length == kHiddenAlert);
}

}  // namespace

Connection::Connection(Socket socket, const ServerContext& context)
    : io_(context.io),
      stream_(std::move(socket)),
      strand_(stream_.get_executor()),
      limits_(context.limits),
      buffer_(limits_.max_head_bytes + kReadBuffer) {
  buffer_.reserve(kReadBuffer);
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
}

std::string Connection::peer() const {
  error_code error;
  const auto endpoint = stream_.socket().remote_endpoint(error);
  return error ? std::string() : endpoint.address().to_string();
}

template <class Buffers, class Done>
void Connection::start_read(const Buffers& buffers, Done done) {
  if (tls_) return tls_->async_read_some(buffers, std::move(done));
  stream_.async_read_some(buffers, std::move(done));
}

Task<bool> Connection::begin(const TlsIdentity& identity, std::chrono::milliseconds timeout) {
  const bool arrived = co_await await_bytes(timeout);
  if (!arrived) co_return false;
  if (*static_cast<const uint8_t*>(buffer_.data().data()) != kTlsHandshake) co_return true;
  // The deadline of await_bytes() goes on: a handshake has no time of its own to dawdle in.
  tls_ = std::make_unique<TlsStream>(stream_, identity.current()->context);
  IoAwait op([this](auto done) {
    tls_->async_handshake(asio::ssl::stream_base::server, buffer_.data(), std::move(done));
  });
  const IoResult shaken = co_await op;
  if (!shaken.ok()) {
    ASTER_LOG(debug, "tls_handshake_failed", {"peer", peer()}, {"err", shaken.error.message()});
    co_return false;
  }
  buffer_.consume(shaken.bytes);
  co_return true;
}

Task<bool> Connection::await_bytes(std::chrono::milliseconds timeout) {
  if (has_buffered()) co_return true;
  stream_.expires_after(timeout);
  IoAwait op([this](auto done) { start_read(buffer_.prepare(kReadBuffer), std::move(done)); });
  const IoResult got = co_await op;
  if (!got.ok()) co_return false;
  buffer_.commit(got.bytes);
  co_return true;
}

Task<error_code> Connection::read_head(std::shared_ptr<HeadParser> parser) {
  stream_.expires_after(limits_.head_timeout);
  IoAwait op([this, &parser](auto done) {
    if (tls_) return beast::http::async_read_header(*tls_, buffer_, *parser, std::move(done));
    beast::http::async_read_header(stream_, buffer_, *parser, std::move(done));
  });
  const IoResult got = co_await op;
  co_return got.error;
}

Task<IoResult> Connection::read_some(std::span<std::byte> out) {
  if (has_buffered()) {
    const size_t n = std::min(buffer_.size(), out.size());
    std::memcpy(out.data(), buffer_.data().data(), n);
    buffer_.consume(n);
    received_ += n;
    co_return IoResult{{}, n};
  }
  const SteadyTime began = std::chrono::steady_clock::now();
  stream_.expires_after(read_pace_.left());
  IoAwait op([this, out](auto done) {
    start_read(asio::buffer(out.data(), out.size()), std::move(done));
  });
  const IoResult got = co_await op;
  received_ += got.bytes;
  read_pace_.moved(got.bytes, std::chrono::steady_clock::now() - began);
  co_return got;
}

Task<IoResult> Connection::read_chunked(std::shared_ptr<HeadParser> parser,
                                        std::span<std::byte> out) {
  auto& body = parser->get().body();
  body.data = out.data();
  body.size = out.size();
  body.more = true;
  while (body.size == out.size() && !parser->is_done()) {
    const SteadyTime began = std::chrono::steady_clock::now();
    stream_.expires_after(read_pace_.left());
    IoAwait op([this, &parser](auto done) {
      if (tls_) return beast::http::async_read_some(*tls_, buffer_, *parser, std::move(done));
      beast::http::async_read_some(stream_, buffer_, *parser, std::move(done));
    });
    const IoResult got = co_await op;
    read_pace_.moved(got.bytes, std::chrono::steady_clock::now() - began);
    if (!got.ok() && got.error != beast::http::error::need_buffer) co_return got;
  }
  received_ += out.size() - body.size;
  co_return IoResult{{}, out.size() - body.size};
}

Task<Result<void>> Connection::write(ByteView first, ByteView second) {
  Pace pace(limits_.stall_timeout);
  while (!first.empty() || !second.empty()) {
    const SteadyTime began = std::chrono::steady_clock::now();
    stream_.expires_after(pace.left());
    const std::array<asio::const_buffer, 2> pieces{asio::buffer(first.data(), first.size()),
                                                   asio::buffer(second.data(), second.size())};
    IoAwait op([this, &pieces](auto done) {
      if (tls_) return tls_->async_write_some(pieces, std::move(done));
      stream_.async_write_some(pieces, std::move(done));
    });
    const IoResult sent = co_await op;
    sent_ += sent.bytes;
    if (!sent.ok()) {
      const bool late = sent.error == beast::error::timeout;
      co_return fail(late ? Errc::timeout : Errc::unavailable, "send: " + sent.error.message());
    }
    pace.moved(sent.bytes, std::chrono::steady_clock::now() - began);
    const size_t from_first = std::min(sent.bytes, first.size());
    first = first.subspan(from_first);
    second = second.subspan(sent.bytes - from_first);
  }
  co_return ok();
}

void Connection::watch_disconnect(std::function<void()> gone, std::shared_ptr<void> keep_alive) {
  // Bytes of a pipelined request would hide the end behind them; then only a failed write shows it.
  if (has_buffered()) return;
  stream_.socket().async_wait(Socket::wait_read, [this, gone = std::move(gone),
                                                  keep = std::move(keep_alive)](error_code error) {
    if (!error && peer_closed(stream_.socket().native_handle(), secure())) gone();
  });
}

void Connection::unwatch() {
  error_code ignored;
  stream_.socket().cancel(ignored);
}

Task<void> Connection::say_goodbye() {
  stream_.expires_after(kLingerTime);
  // Fails when the other side still sends; our alert went out before.
  IoAwait op([this](auto done) { tls_->async_shutdown(std::move(done)); });
  co_await op;
}

Task<void> Connection::linger() {
  if (tls_) co_await say_goodbye();
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  const SteadyTime end = std::chrono::steady_clock::now() + kLingerTime;
  std::vector<std::byte> sink(kReadBuffer);
  for (size_t swallowed = 0; swallowed < kLingerBytes;) {
    stream_.expires_at(end);
    IoAwait op([this, &sink](auto done) {
      stream_.async_read_some(asio::buffer(sink.data(), sink.size()), std::move(done));
    });
    const IoResult got = co_await op;
    if (!got.ok()) co_return;
    swallowed += got.bytes;
  }
}

void Connection::close() {
  stream_.close();
}

}  // namespace aster::http

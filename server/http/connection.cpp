#include "server/http/connection.h"

#include <sys/socket.h>

namespace aster::http {
namespace {

// An unreserved flat_buffer reads 512 bytes at a time (measured). Bodies do not go through it.
constexpr size_t kReadBuffer = 16 * 1024;
constexpr size_t kLingerBytes = 16 << 20;
constexpr std::chrono::seconds kLingerTime{2};

bool peer_closed(int fd) {
  char byte = 0;
  const ssize_t n = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
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

Task<bool> Connection::await_bytes(std::chrono::milliseconds timeout) {
  if (has_buffered()) co_return true;
  stream_.expires_after(timeout);
  IoAwait op([this](auto done) {
    stream_.async_read_some(buffer_.prepare(kReadBuffer), std::move(done));
  });
  const IoResult got = co_await op;
  if (!got.ok()) co_return false;
  buffer_.commit(got.bytes);
  co_return true;
}

Task<error_code> Connection::read_head(std::shared_ptr<HeadParser> parser) {
  stream_.expires_after(limits_.head_timeout);
  IoAwait op([this, &parser](auto done) {
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
    co_return IoResult{{}, n};
  }
  const SteadyTime began = std::chrono::steady_clock::now();
  stream_.expires_after(read_pace_.left());
  IoAwait op([this, out](auto done) {
    stream_.async_read_some(asio::buffer(out.data(), out.size()), std::move(done));
  });
  const IoResult got = co_await op;
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
      beast::http::async_read_some(stream_, buffer_, *parser, std::move(done));
    });
    const IoResult got = co_await op;
    read_pace_.moved(got.bytes, std::chrono::steady_clock::now() - began);
    if (!got.ok() && got.error != beast::http::error::need_buffer) co_return got;
  }
  co_return IoResult{{}, out.size() - body.size};
}

Task<Result<void>> Connection::write(ByteView first, ByteView second) {
  Pace pace(limits_.stall_timeout);
  while (!first.empty() || !second.empty()) {
    const SteadyTime began = std::chrono::steady_clock::now();
    stream_.expires_after(pace.left());
    const std::array<asio::const_buffer, 2> pieces{asio::buffer(first.data(), first.size()),
                                                   asio::buffer(second.data(), second.size())};
    IoAwait op([this, &pieces](auto done) { stream_.async_write_some(pieces, std::move(done)); });
    const IoResult sent = co_await op;
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
    if (!error && peer_closed(stream_.socket().native_handle())) gone();
  });
}

void Connection::unwatch() {
  error_code ignored;
  stream_.socket().cancel(ignored);
}

Task<void> Connection::linger() {
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

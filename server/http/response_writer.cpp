#include "server/http/response_writer.h"

#include <sys/uio.h>

#include <cerrno>
#include <ctime>

#include "protocol/base/log.h"
#include "server/http/status_map.h"

namespace aster::http {
namespace {

/// Each event stream keeps one, also while nothing happens: with 64 KiB 2,000 of them took 96 MiB
/// more. Longer texts go in several.
constexpr size_t kStreamPiece = 16 * 1024;

bool has_body(int status) {
  return status != 204 && status != 304 && status >= 200;
}

bool legal_field(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

void append_date(std::string& head) {
  static thread_local time_t last = 0;
  static thread_local char text[40] = "";
  const time_t now = ::time(nullptr);
  if (now != last) {
    tm parts{};
    ::gmtime_r(&now, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    last = now;
  }
  head.append("Date: ").append(text).append("\r\n");
}

/// nullopt: of a length that is not known beforehand.
std::optional<uint64_t> body_length(const Response& response) {
  if (const auto* text = std::get_if<std::string>(&response.body)) return text->size();
  if (const auto* file = std::get_if<FileBody>(&response.body)) return file->length;
  return std::get<StreamBody>(response.body).length;
}

void append_framing(std::string& head, const Response& response, const AnswerContext& answer) {
  if (!has_body(response.status)) return;
  auto length = body_length(response);
  if (answer.head_request && response.head_length) length = response.head_length;
  if (length) {
    head.append("Content-Length: ").append(std::to_string(*length)).append("\r\n");
  } else if (!answer.http_1_0) {
    head.append("Transfer-Encoding: chunked\r\n");
  }
}

Task<Result<size_t>> read_piece(std::shared_ptr<ByteSource> source,
                                std::shared_ptr<std::vector<std::byte>> piece) {
  Result<size_t> got = co_await source->read(*piece);
  co_return got;
}

}  // namespace

std::string format_head(const Response& response, const AnswerContext& answer) {
  std::string head = "HTTP/1.1 ";
  head.reserve(512);
  head.append(std::to_string(response.status)).append(" ");
  head.append(reason_phrase(response.status)).append("\r\n");
  append_date(head);
  if (!answer.keep_alive) head += "Connection: close\r\n";
  head.append("X-Request-ID: ").append(answer.request_id).append("\r\n");
  head +=
      "X-Content-Type-Options: nosniff\r\nX-Frame-Options: SAMEORIGIN\r\n"
      "Referrer-Policy: strict-origin-when-cross-origin\r\n";
  for (const auto& [name, value] : response.headers) {
    if (!legal_field(name) || !legal_field(value)) {
      ASTER_LOG(error, "illegal response header left out", {"request", answer.request_id});
      continue;
    }
    head.append(name).append(": ").append(value).append("\r\n");
  }
  append_framing(head, response, answer);
  return head += "\r\n";
}

void StreamAlarm::ring() {
  std::optional<Completion<Result<size_t>>> step;
  {
    std::lock_guard lock(mutex_);
    rung_ = true;
    step = step_;
  }
  if (step) step->set(fail(Errc::interrupted, "the stream was ended"));
}

void StreamAlarm::arm(Completion<Result<size_t>> step) {
  {
    std::lock_guard lock(mutex_);
    step_ = step;
    if (!rung_) return;
  }
  step.set(fail(Errc::interrupted, "the stream was ended"));
}

Task<bool> ResponseWriter::send(Response& response, AnswerContext answer) {
  const std::optional<uint64_t> length = body_length(response);
  if (!length && answer.http_1_0) answer.keep_alive = false;
  std::string head = format_head(response, answer);
  const bool bare = answer.head_request || !has_body(response.status);
  Result<void> sent;
  if (bare) {
    sent = co_await connection_->write(as_bytes(head));
  } else if (auto* text = std::get_if<std::string>(&response.body)) {
    sent = co_await connection_->write(as_bytes(head), as_bytes(*text));
  } else if (auto* file = std::get_if<FileBody>(&response.body)) {
    sent = co_await send_file(std::move(head), *file);
  } else {
    auto source = std::get<StreamBody>(response.body).source;
    if (length) {
      sent = co_await send_stream(std::move(head), *source, *length);
    } else {
      sent = co_await send_chunked(std::move(head), source, answer.http_1_0);
    }
  }
  if (!sent.ok()) {
    ASTER_LOG(debug, "answer not delivered", {"request", answer.request_id}, {"err", sent.error()});
  }
  co_return sent.ok();
}

Task<Result<void>> ResponseWriter::send_file(std::string head, FileBody& file) {
  const Block block = context_.pool.take();
  ByteView pending_head = as_bytes(head);
  for (uint64_t done = 0; done < file.length || !pending_head.empty();) {
    const size_t most =
        static_cast<size_t>(std::min<uint64_t>(Block::capacity(), file.length - done));
    const auto room = block.span().first(most);
    ASTER_CO_TRY(const size_t got, co_await read_file(file.fd.get(), room, file.offset + done));
    if (got == 0 && most > 0) co_return fail(Errc::corrupt, "the file is shorter than announced");
    ASTER_CO_TRY(co_await connection_->write(pending_head, room.first(got)));
    pending_head = {};
    done += got;
  }
  co_return ok();
}

Task<Result<size_t>> ResponseWriter::read_file(int fd, std::span<std::byte> out, uint64_t offset) {
  const iovec vector{out.data(), out.size()};
  const ssize_t quick = ::preadv2(fd, &vector, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  if (quick > 0) co_return static_cast<size_t>(quick);
  // Not in the page cache (or the file system cannot tell): the disk must not stop this thread.
  Result<size_t> got = co_await context_.file_reads.run([fd, out, offset]() -> Result<size_t> {
    ssize_t n = 0;
    do {
      n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return fail_errno("read of an object file");
    return static_cast<size_t>(n);
  });
  const HopTo home = connection_->home();
  co_await home;
  co_return got;
}

Task<Result<void>> ResponseWriter::send_stream(std::string head, ByteSource& source,
                                               uint64_t length) {
  const Block block = context_.pool.take();
  const HopTo home = connection_->home();
  ByteView pending_head = as_bytes(head);
  for (uint64_t done = 0; done < length;) {
    const size_t most = static_cast<size_t>(std::min<uint64_t>(Block::capacity(), length - done));
    const Result<size_t> got = co_await source.read(block.span().first(most));
    co_await home;
    if (!got.ok()) co_return got.error();
    if (*got == 0) co_return fail(Errc::corrupt, "the body is shorter than announced");
    ASTER_CO_TRY(co_await connection_->write(pending_head, block.span().first(*got)));
    pending_head = {};
    done += *got;
  }
  ASTER_CO_TRY(co_await connection_->write(pending_head));
  co_return ok();
}

Task<Result<void>> ResponseWriter::send_chunked(std::string head,
                                                std::shared_ptr<ByteSource> source, bool raw) {
  ASTER_CO_TRY(co_await connection_->write(as_bytes(head)));
  const auto piece = std::make_shared<std::vector<std::byte>>(kStreamPiece);
  connection_->watch_disconnect([alarm = alarm_] { alarm->ring(); }, connection_);
  Result<void> outcome;
  for (;;) {
    const Result<size_t> got = co_await next_piece(source, piece);
    if (!got.ok()) {
      outcome = got.error();
      break;
    }
    const ByteView data = ByteView(*piece).first(*got);
    char size[24];
    const int digits = std::snprintf(size, sizeof size, "%zx\r\n", data.size());
    std::string frame(size, raw ? 0 : static_cast<size_t>(digits));
    frame.append(as_text(data));
    if (!raw) frame += "\r\n";
    outcome = co_await connection_->write(as_bytes(frame));
    if (!outcome.ok() || data.empty()) break;
  }
  if (!outcome.ok()) source->abandon();
  connection_->unwatch();
  co_return outcome;
}

Task<Result<size_t>> ResponseWriter::next_piece(std::shared_ptr<ByteSource> source,
                                                std::shared_ptr<std::vector<std::byte>> piece) {
  // The read may outlast this session when the client goes away: it owns all that it touches.
  Completion<Result<size_t>> step;
  start<Result<size_t>>(read_piece(std::move(source), std::move(piece)),
                        [step](Result<size_t> got) { step.set(std::move(got)); });
  alarm_->arm(step);
  Result<size_t> got = co_await step;
  const HopTo home = connection_->home();
  co_await home;
  co_return got;
}

}  // namespace aster::http

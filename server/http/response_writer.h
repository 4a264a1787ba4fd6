#pragma once

#include <atomic>
#include <memory>

#include "server/http/connection.h"

namespace aster::http {

/// What the answer's head needs to know of the request.
struct AnswerContext {
  bool head_request = false;  ///< HEAD: no body follows
  bool http_1_0 = false;
  bool keep_alive = true;
  std::string_view request_id;
};

/// Wakes a session that waits for the next piece of an event stream. Thread-safe.
class StreamAlarm {
 public:
  /// The wait ends with `interrupted`; also every later one.
  void ring();
  /// The step that ring() ends from now on.
  void arm(Completion<Result<size_t>> step);

 private:
  std::mutex mutex_;
  bool rung_ = false;
  std::optional<Completion<Result<size_t>>> step_;
};

/// Sends one answer. On the connection's strand only.
class ResponseWriter {
 public:
  ResponseWriter(std::shared_ptr<Connection> connection, ServerContext& context,
                 std::shared_ptr<StreamAlarm> alarm)
      : connection_(std::move(connection)), context_(context), alarm_(std::move(alarm)) {}

  /// True when the answer went out whole. After false the connection can only be closed.
  Task<bool> send(Response& response, AnswerContext answer);

 private:
  Task<Result<void>> send_file(std::string head, FileBody& file);
  Task<Result<void>> send_stream(std::string head, ByteSource& source, uint64_t length);
  Task<Result<void>> send_chunked(std::string head, std::shared_ptr<ByteSource> source, bool raw);
  Task<Result<size_t>> next_piece(std::shared_ptr<ByteSource> source,
                                  std::shared_ptr<std::vector<std::byte>> piece);
  Task<Result<size_t>> read_file(int fd, std::span<std::byte> out, uint64_t offset);

  const std::shared_ptr<Connection> connection_;
  ServerContext& context_;
  const std::shared_ptr<StreamAlarm> alarm_;
};

/// Head of an answer: status line, common headers (protocol section 3), the handler's, framing.
/// Header values that are not legal on the wire are left out.
std::string format_head(const Response& response, const AnswerContext& answer);

}  // namespace aster::http

#pragma once

#include <atomic>
#include <memory>

#include "protocol/version.h"
#include "server/http/body_stream.h"
#include "server/http/connection.h"
#include "server/http/response_writer.h"

namespace aster::http {

/// One connection from accept to close: waits for a request, has it answered, repeats. run() must
/// be started once; the object lives until its task has ended.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, ServerContext& context);

  /// Serves until the connection ends. Never fails.
  Task<void> run();
  /// Answers what is under way, then closes; an event stream ends at once. From any thread.
  void begin_drain();
  /// Closes now. From any thread.
  void kill();

 private:
  struct Incoming;
  Task<bool> serve_one();
  Task<bool> refuse_head(error_code error, Dialect dialect);
  Task<Response> call_handler(Request& request);
  Task<bool> finish(Response& response, AnswerContext answer, RequestBody& body);
  struct Began {
    SteadyTime when;
    uint64_t received = 0;  ///< of the connection, until then
    uint64_t sent = 0;
  };
  /// For the log and for whoever counts.
  void note_answer(const Request& request, const Response& response, const Began& began) const;

  ServerContext& context_;
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<StreamAlarm> alarm_ = std::make_shared<StreamAlarm>();
  ResponseWriter writer_;
  bool idle_ = true;      ///< on the strand: between requests
  bool endless_ = false;  ///< on the strand: an event stream is being sent
};

}  // namespace aster::http

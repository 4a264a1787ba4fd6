#pragma once

// The one place where Boost.Asio and Beast are included. Only server/http/*.cpp and the private
// headers of this folder may include it: no type of theirs appears in http.h.
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <coroutine>
#include <memory>

namespace aster::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Strand = asio::strand<asio::io_context::executor_type>;
using Socket = asio::basic_stream_socket<tcp, Strand>;
/// Its operations fail with beast::error::timeout, and close the socket, after expires_after().
using Stream = beast::basic_stream<tcp, Strand>;

/// Outcome of one socket operation.
struct IoResult {
  error_code error;
  size_t bytes = 0;
  bool ok() const { return !error; }
};

/// Awaits one asynchronous operation in a Task. `Operation` is called with a completion handler and
/// must start the operation. Await it on the connection's strand only: the coroutine goes on there.
template <class Operation>
class IoAwait {
 public:
  explicit IoAwait(Operation operation) : operation_(operation) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    operation_([this, waiter](error_code error, size_t bytes = 0) {
      result_ = {error, bytes};
      waiter.resume();
    });
  }
  IoResult await_resume() const noexcept { return result_; }

 private:
  Operation operation_;
  IoResult result_;
};

/// Moves the awaiting coroutine onto the strand; at once when it is there already.
struct HopTo {
  std::shared_ptr<asio::io_context> io;  // outlives the strand, which is part of it
  Strand strand;
  bool await_ready() const noexcept { return strand.running_in_this_thread(); }
  void await_suspend(std::coroutine_handle<> waiter) const {
    // Before post() has returned, the coroutine, its connection and the server may be gone: another
    // thread took the work up. post() must not signal a condition that no longer exists.
    const HopTo alive = *this;
    asio::post(alive.strand, [waiter] { waiter.resume(); });
  }
  void await_resume() const noexcept {}
};

}  // namespace aster::http

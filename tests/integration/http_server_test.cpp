#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>

#include "protocol/base/guarded.h"
#include "server/http/http.h"
#include "tests/support/push_source.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

namespace aster::http {
namespace {

using testing::PushSource;
using testing::RawClient;
using namespace std::chrono_literals;

/// Repeats one byte; counts what was taken.
class Repeater final : public ByteSource {
 public:
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    std::memset(buffer.data(), 'r', buffer.size());
    co_return buffer.size();
  }
};

class HttpServer : public ::testing::Test {
 protected:
  void start_with(ServerLimits limits = {}) {
    add_routes();
    auto started = start_server({.limits = limits}, router_);
    ASSERT_TRUE(started.ok()) << started.error().message();
    server_ = std::move(*started);
  }
  RawClient client() const { return RawClient(server_->port()); }

  /// Runs last: what is destroyed first must not be needed by the server.
  void TearDown() override { server_.reset(); }

  testing::TempDir dir_;
  Executor work_{{.name = "work", .threads = 2}};
  std::shared_ptr<PushSource> events_ = std::make_shared<PushSource>();
  std::promise<Error> upload_failed_;
  Completion<bool> gate_;
  std::promise<void> entered_;
  std::unique_ptr<Server> server_;

 private:
  void add_routes();
  Task<Response> echo(Request& request);
  Task<Response> slow(Request& request);
  Task<Response> upload(Request& request);
  Task<Response> file(Request& request);
  Task<Response> events(Request& request);
  Task<Response> sized(Request& request);
  Task<Response> thrower(Request& request);
  Task<Response> ignore_body(Request& request);
  Task<Response> head(Request& request);
  Task<Response> inject(Request& request);

  Router router_;
};

void HttpServer::add_routes() {
  router_.add("GET", "/echo/{...}", [this](Request& r) { return echo(r); });
  router_.add("GET", "/slow", [this](Request& r) { return slow(r); });
  router_.add("PUT", "/upload", [this](Request& r) { return upload(r); });
  router_.add("POST", "/ignore", [this](Request& r) { return ignore_body(r); });
  router_.add("GET", "/file", [this](Request& r) { return file(r); });
  router_.add("HEAD", "/file", [this](Request& r) { return head(r); });
  router_.add("GET", "/events", [this](Request& r) { return events(r); });
  router_.add("GET", "/sized", [this](Request& r) { return sized(r); });
  router_.add("GET", "/throw", [this](Request& r) { return thrower(r); });
  router_.add("GET", "/inject", [this](Request& r) { return inject(r); });
}

Task<Response> HttpServer::echo(Request& request) {
  co_return Response::text(200, request.target);
}

Task<Response> HttpServer::slow(Request&) {
  entered_.set_value();
  co_await gate_;
  co_return Response::text(200, "at last");
}

/// Counts the body on another thread, so that every read crosses threads.
Task<Response> HttpServer::upload(Request& request) {
  std::vector<std::byte> buffer(100'000);
  uint64_t sum = 0;
  uint64_t bytes = 0;
  for (;;) {
    co_await work_.hop();
    const Result<size_t> got = co_await request.body->read(buffer);
    if (!got.ok()) {
      upload_failed_.set_value(got.error());
      co_return Response::text(400, got.error().message());
    }
    if (*got == 0) break;
    bytes += *got;
    for (size_t i = 0; i < *got; ++i) sum += static_cast<unsigned char>(buffer[i]);
  }
  const std::string length =
      request.content_length ? std::to_string(*request.content_length) : "none";
  co_return Response::text(200,
                           std::to_string(bytes) + " " + std::to_string(sum) + " length " + length);
}

Task<Response> HttpServer::ignore_body(Request&) {
  co_return Response::text(400, "no thanks");
}

Task<Response> HttpServer::file(Request& request) {
  const auto query = parse_query(request.raw_query());
  const uint64_t offset = std::stoull(query_value(*query, "offset").value_or("0"));
  const uint64_t length = std::stoull(query_value(*query, "length").value_or("0"));
  Response response;
  response.status = 206;
  response.body =
      FileBody{UniqueFd(::open((dir_ / "file").c_str(), O_RDONLY | O_CLOEXEC)), offset, length};
  co_return response;
}

Task<Response> HttpServer::head(Request&) {
  Response response;
  response.head_length = 123456;
  co_return response;
}

Task<Response> HttpServer::events(Request&) {
  Response response;
  response.headers.emplace_back("Content-Type", "text/event-stream");
  response.body = StreamBody{std::move(events_), std::nullopt};
  co_return response;
}

Task<Response> HttpServer::sized(Request&) {
  Response response;
  response.body = StreamBody{std::make_shared<Repeater>(), uint64_t{3} << 20};
  co_return response;
}

Task<Response> HttpServer::thrower(Request& request) {
  if (request.method == "GET") throw std::runtime_error("oops");
  co_return Response();
}

Task<Response> HttpServer::inject(Request&) {
  Response response;
  response.headers.emplace_back("X-Bad", "a\r\nSet-Cookie: b");
  response.headers.emplace_back("X-Good", "c");
  co_return response;
}

TEST_F(HttpServer, passes_the_raw_target_and_adds_the_common_headers) {
  start_with();
  auto c = client();
  const auto answer =
      c.exchange("GET /echo/%2e%2E/a%2Fb//c\xC3\xA9?x=%41&& HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "/echo/%2e%2E/a%2Fb//c\xC3\xA9?x=%41&&");
  EXPECT_EQ(answer->field("X-Request-ID")->size(), 36u);
  EXPECT_EQ(answer->field("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(answer->field("X-Frame-Options"), "SAMEORIGIN");
  EXPECT_EQ(answer->field("Referrer-Policy"), "strict-origin-when-cross-origin");
  EXPECT_TRUE(answer->field("Date"));
}

TEST_F(HttpServer, keeps_a_harmless_request_id_and_replaces_others) {
  start_with();
  auto c = client();
  auto answer = c.exchange("GET /echo/ HTTP/1.1\r\nHost: h\r\nX-Request-ID: abc-1\r\n\r\n");
  EXPECT_EQ(answer->field("X-Request-ID"), "abc-1");
  answer = c.exchange("GET /echo/ HTTP/1.1\r\nHost: h\r\nX-Request-ID: a b=c\r\n\r\n");
  EXPECT_EQ(answer->field("X-Request-ID")->size(), 36u);
}

TEST_F(HttpServer, answers_pipelined_requests_in_order) {
  start_with();
  auto c = client();
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += "GET /echo/" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    requests += "PUT /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
  }
  ASSERT_TRUE(c.send(requests));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(c.receive()->body, "/echo/" + std::to_string(i));
    EXPECT_EQ(c.receive()->body, "2 195 length 2");
  }
}

TEST_F(HttpServer, closes_on_request_and_for_http_1_0) {
  start_with();
  auto c = client();
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\nConnection: close\r\n\r\n")->field("Connection"),
            "close");
  EXPECT_TRUE(c.closed_by_peer());
  auto old = client();
  EXPECT_EQ(old.exchange("GET /echo/ HTTP/1.0\r\n\r\n")->status, 200);
  EXPECT_TRUE(old.closed_by_peer());
}

TEST_F(HttpServer, closes_a_head_that_takes_too_long) {
  start_with({.head_timeout = 50ms});
  auto c = client();
  c.send("GET /echo/ HTTP/1.1\r\nHost:");
  EXPECT_TRUE(c.closed_by_peer());
  auto silent = client();
  EXPECT_TRUE(silent.closed_by_peer());
}

TEST_F(HttpServer, closes_an_idle_connection) {
  start_with({.idle_timeout = 50ms});
  auto c = client();
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\nHost: h\r\n\r\n")->status, 200);
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, refuses_an_oversized_head) {
  start_with({.max_head_bytes = 4096});
  auto c = client();
  const auto answer =
      c.exchange("GET /echo/ HTTP/1.1\r\nX-Long: " + std::string(200'000, 'x') + "\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 431);
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, refuses_malformed_and_ambiguous_heads) {
  start_with();
  for (const char* bad :
       {"GET\r\n\r\n", "GET /echo/ HTTP/1.1\r\nno colon\r\n\r\n", "\x01\x02\x03\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "PUT /upload HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "PUT /upload HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n"}) {
    auto c = client();
    const auto answer = c.exchange(bad);
    ASSERT_TRUE(answer) << bad;
    EXPECT_EQ(answer->status, 400) << bad;
    EXPECT_TRUE(c.closed_by_peer()) << bad;
  }
  auto c = client();
  EXPECT_EQ(c.exchange("PUT /upload HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n")->status, 501);
}

TEST_F(HttpServer, streams_an_upload_across_threads) {
  start_with();
  auto c = client();
  const std::string body(5'000'000, 'a');
  const auto answer =
      c.exchange("PUT /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n" + body);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "5000000 485000000 length 5000000");
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
}

TEST_F(HttpServer, delivers_a_chunked_body_without_a_length) {
  start_with();
  auto c = client();
  const auto answer = c.exchange(
      "PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "4 394 length none");
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
}

TEST_F(HttpServer, refuses_a_broken_chunk) {
  start_with();
  auto c = client();
  const auto answer =
      c.exchange("PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(upload_failed_.get_future().get().code, Errc::bad_request);
}

TEST_F(HttpServer, sends_100_continue_only_when_the_body_is_wanted) {
  start_with();
  auto c = client();
  c.send("PUT /upload HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(c.receive()->status, 100);
  EXPECT_EQ(c.exchange("abc")->body, "3 294 length 3");
  const auto refused =
      c.exchange("POST /ignore HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(refused->status, 400);
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, swallows_a_small_unread_body_and_closes_after_a_large_one) {
  start_with();
  auto c = client();
  const std::string small(100'000, 's');
  EXPECT_EQ(c.exchange("POST /ignore HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + small)->status,
            400);
  EXPECT_EQ(c.exchange("GET /echo/1 HTTP/1.1\r\n\r\n")->body, "/echo/1");
  const std::string large(3'000'000, 'l');
  const auto answer =
      c.exchange("POST /ignore HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + large);
  ASSERT_TRUE(answer) << "the answer must not be lost to a reset";
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(answer->field("Connection"), "close") << "a client must not send its next request here";
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, says_that_it_closes_when_a_body_of_unknown_length_is_not_wanted) {
  start_with();
  auto c = client();
  const auto answer =
      c.exchange("POST /ignore HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->field("Connection"), "close");
}

TEST_F(HttpServer, names_a_content_length_that_is_no_number_in_the_callers_dialect) {
  start_with();
  for (const char* bad : {"abc", "-1", "18446744073709551616", "1 2"}) {
    const std::string length = std::string("Content-Length: ") + bad + "\r\n";
    const auto text = client().exchange("PUT /upload HTTP/1.1\r\n" + length + "\r\n");
    ASSERT_TRUE(text) << bad;
    EXPECT_EQ(text->status, 400);
    EXPECT_NE(text->body.find("\"internal_storage.content_length_invalid\""), std::string::npos)
        << text->body;
    const auto number = client().exchange(
        "PUT /upload HTTP/1.1\r\nUser-Agent: AsterDrive/0.2.1\r\n" + length + "\r\n");
    ASSERT_TRUE(number) << bad;
    EXPECT_TRUE(number->body.starts_with("{\"code\":1000,")) << number->body;
  }
}

TEST_F(HttpServer, ends_an_upload_that_comes_byte_by_byte) {
  start_with({.stall_timeout = 200ms});
  auto c = client();
  c.send("PUT /upload HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
  auto failed = upload_failed_.get_future();
  // Each byte comes long before the timeout; together they must not postpone it.
  while (failed.wait_for(20ms) != std::future_status::ready) c.send("x");
  EXPECT_EQ(failed.get().code, Errc::timeout);
}

TEST_F(HttpServer, reports_an_upload_that_the_client_gives_up) {
  start_with();
  auto c = client();
  c.send("PUT /upload HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc");
  c.reset();
  EXPECT_EQ(upload_failed_.get_future().get().code, Errc::unavailable);
}

TEST_F(HttpServer, reports_an_upload_that_stalls) {
  start_with({.stall_timeout = 50ms});
  auto c = client();
  c.send("PUT /upload HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc");
  EXPECT_EQ(upload_failed_.get_future().get().code, Errc::timeout);
}

TEST_F(HttpServer, sends_a_range_of_a_file) {
  std::string content;
  for (int i = 0; i < 200'000; ++i) content += std::to_string(i) + ",";
  std::ofstream(dir_ / "file") << content;
  start_with();
  auto c = client();
  auto answer = c.exchange("GET /file?offset=7&length=900000 HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 206);
  EXPECT_TRUE(answer->body == content.substr(7, 900'000));
  answer = c.exchange("GET /file?offset=0&length=0 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer->body, "");
}

TEST_F(HttpServer, closes_when_a_file_is_shorter_than_announced) {
  std::ofstream(dir_ / "file") << "short";
  start_with();
  auto c = client();
  EXPECT_FALSE(c.exchange("GET /file?length=100 HTTP/1.1\r\n\r\n"));
}

TEST_F(HttpServer, survives_a_client_that_leaves_in_a_download) {
  start_with();
  for (int i = 0; i < 20; ++i) {
    auto c = client();
    c.send("GET /sized HTTP/1.1\r\n\r\n");
    EXPECT_NE(c.receive_until("\r\n\r\n"), "");
    c.reset();
  }
  auto c = client();
  EXPECT_EQ(c.exchange("GET /sized HTTP/1.1\r\n\r\n")->body.size(), 3u << 20);
}

TEST_F(HttpServer, announces_the_length_of_a_head_answer) {
  start_with();
  auto c = client();
  c.send("HEAD /file HTTP/1.1\r\n\r\n");
  EXPECT_EQ(c.receive(true)->field("Content-Length"), "123456");
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
}

TEST_F(HttpServer, flushes_each_event_and_drops_the_source_when_the_client_leaves) {
  start_with();
  const auto events = events_.get();
  auto gone = events_->gone();
  auto c = client();
  c.send("GET /events HTTP/1.1\r\n\r\n");
  EXPECT_NE(c.receive_until("\r\n\r\n"), "");
  events->push("one\n\n");
  EXPECT_EQ(c.receive_until("one\n\n\r\n"), "5\r\none\n\n\r\n");
  events->push("two\n\n");
  EXPECT_EQ(c.receive_until("two\n\n\r\n"), "5\r\ntwo\n\n\r\n");
  c.reset();
  gone.get();
}

TEST_F(HttpServer, ends_event_streams_at_once_when_it_stops) {
  start_with();
  auto gone = events_->gone();
  auto c = client();
  c.send("GET /events HTTP/1.1\r\n\r\n");
  EXPECT_NE(c.receive_until("\r\n\r\n"), "");
  server_->stop(1h);
  gone.get();
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, lets_requests_in_flight_finish_before_it_stops) {
  start_with();
  auto c = client();
  auto idle = client();
  EXPECT_EQ(idle.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
  c.send("GET /slow HTTP/1.1\r\n\r\n");
  entered_.get_future().get();
  const auto stopped = std::async(std::launch::async, [this] { server_->stop(1h); });
  EXPECT_TRUE(idle.closed_by_peer());
  gate_.set(true);
  const auto answer = c.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "at last");
  EXPECT_EQ(answer->field("Connection"), "close");
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, closes_what_is_left_after_the_grace) {
  start_with();
  auto c = client();
  c.send("PUT /upload HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc");
  auto idle = client();
  EXPECT_EQ(idle.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
  server_->stop(10ms);
  EXPECT_EQ(server_->open_connections(), 0u);
  EXPECT_TRUE(c.closed_by_peer());
}

TEST_F(HttpServer, turns_an_exception_into_500) {
  start_with();
  auto c = client();
  EXPECT_EQ(c.exchange("GET /throw HTTP/1.1\r\n\r\n")->status, 500);
  EXPECT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
}

TEST_F(HttpServer, leaves_out_headers_that_would_split_the_answer) {
  start_with();
  auto c = client();
  const auto answer = c.exchange("GET /inject HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer->field("X-Good"), "c");
  EXPECT_FALSE(answer->field("X-Bad"));
  EXPECT_FALSE(answer->field("Set-Cookie"));
}

TEST_F(HttpServer, refuses_connections_over_the_limit) {
  start_with({.max_connections = 2});
  auto a = client();
  auto b = client();
  EXPECT_EQ(a.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
  EXPECT_EQ(b.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
  auto c = client();
  EXPECT_EQ(c.receive()->status, 503);
  EXPECT_EQ(a.exchange("GET /echo/ HTTP/1.1\r\n\r\n")->status, 200);
}

/// The descriptors of this process whose local port is `port`: listening, or accepted there.
std::vector<int> sockets_on(uint16_t port) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    const bool is_socket = ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    if (is_socket && address.sin_family == AF_INET && ntohs(address.sin_port) == port) {
      found.push_back(fd);
    }
  }
  return found;
}

TEST_F(HttpServer, child_processes_inherit_none_of_its_sockets) {
  start_with();
  auto c = client();
  ASSERT_EQ(c.exchange("GET /echo/ HTTP/1.1\r\nHost: h\r\n\r\n")->status, 200);
  const std::vector<int> sockets = sockets_on(server_->port());
  EXPECT_EQ(sockets.size(), 2u) << "the listening one and the connection";
  for (const int fd : sockets) EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
}

TEST_F(HttpServer, names_the_address_that_is_taken) {
  start_with();
  const Router router;
  const auto second = start_server({.port = server_->port()}, router);
  ASSERT_TRUE(second.failed_with(Errc::unavailable));
  EXPECT_NE(second.error().context.find(std::to_string(server_->port())), std::string::npos);
}

}  // namespace
}  // namespace aster::http

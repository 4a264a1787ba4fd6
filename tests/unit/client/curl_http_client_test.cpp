#include "protocol/client/curl_http_client.h"

#include <gtest/gtest.h>

#include "protocol/client/receive_buffer.h"
#include "tests/unit/client/curl_client.h"
#include "tests/unit/client/socket_server.h"

namespace aster {
namespace {

using testing::Client;
using testing::pattern;
using testing::Peer;
using testing::ScriptedServer;
using testing::SocketServer;

TEST(CurlHttpClient, sends_the_target_and_headers_as_they_are) {
  std::string head;
  SocketServer server([&](Peer& peer) {
    head = peer.read_head();
    peer.answer("hello");
  });
  Client client;
  const auto got = client.send(
      {.url = server.url("/a/../b%2f%C3%A9/./x?q=1&&y'=<>"), .headers = {{"X-One", "1"}}});
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(as_text(got->body.view()), "hello");
  EXPECT_EQ(got->body_length, 5u);
  EXPECT_TRUE(head.starts_with("GET /a/../b%2f%C3%A9/./x?q=1&&y'=<> HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("\r\nX-One: 1\r\n"), std::string::npos);
  EXPECT_NE(head.find("\r\nUser-Agent: AsterDrive/0.5.0\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  EXPECT_EQ(head.find("Expect"), std::string::npos);
}

TEST(CurlHttpClient, keeps_a_bare_question_mark) {
  std::string head;
  SocketServer server([&](Peer& peer) {
    head = peer.read_head();
    peer.answer("");
  });
  Client client;
  ASSERT_TRUE(client.get(server.url("/files/a.txt?")).ok());
  EXPECT_TRUE(head.starts_with("GET /files/a.txt? HTTP/1.1\r\n")) << head;
}

TEST(CurlHttpClient, refuses_what_would_break_out_of_the_request_line) {
  Client client;
  for (const char* url : {"http://127.0.0.1:1/a b", "http://127.0.0.1:1/a\r\nX: y", "no url", "",
                          "http:///x", "http://127.0.0.1:1/a#f", "http://127.0.0.1:1/\xc3\xa9"}) {
    EXPECT_TRUE(client.get(url).failed_with(Errc::bad_request)) << url;
  }
  EXPECT_TRUE(client.send({.url = "http://127.0.0.1:1/", .headers = {{"X", "a\r\nY: b"}}})
                  .failed_with(Errc::bad_request));
  EXPECT_TRUE(client.get("ftp://127.0.0.1:1/").failed_with(Errc::bad_request));
  EXPECT_TRUE(client.get("file:///etc/passwd").failed_with(Errc::bad_request));
}

TEST(CurlHttpClient, uses_a_connection_again) {
  SocketServer server([](Peer& peer) {
    while (!peer.read_head().empty()) peer.answer("x");
  });
  Client client;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client.get(server.url()).ok());
  EXPECT_EQ(server.connections(), 1);
}

TEST(CurlHttpClient, goes_on_after_the_server_closed_a_kept_connection) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.answer("x");
  });
  Client client;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.get(server.url()).ok());
    server.wait_until_all_closed();
  }
}

TEST(CurlHttpClient, sends_a_request_once_even_when_a_kept_connection_dies_under_it) {
  std::atomic<int> requests = 0;
  SocketServer server([&](Peer& peer) {
    while (!peer.read_head().empty()) {
      if (++requests == 2) return;  // acts on it, then dies without an answer
      peer.answer("x");
    }
  });
  Client client;
  ASSERT_TRUE(client.get(server.url()).ok());
  EXPECT_TRUE(client.get(server.url()).failed_with(Errc::unavailable));
  EXPECT_EQ(requests, 2);
  EXPECT_TRUE(client.get(server.url()).ok());
}

TEST(CurlHttpClient, sends_bodies_with_their_exact_length) {
  std::vector<std::string> heads;
  std::string body;
  SocketServer server([&](Peer& peer) {
    heads.push_back(peer.read_head());
    body = peer.read_body(6);
    peer.answer("ok");
    heads.push_back(peer.read_head());
    peer.answer("ok");
    heads.push_back(peer.read_head());
    peer.answer("ok");
  });
  Client client;
  ASSERT_TRUE(client
                  .send({.method = "POST",
                         .url = server.url(),
                         .body = {Bytes::from_string("abc"), Bytes(), Bytes::from_string("def")}})
                  .ok());
  ASSERT_TRUE(client.send({.method = "PUT", .url = server.url(), .send_empty_body = true}).ok());
  ASSERT_TRUE(client.send({.method = "DELETE", .url = server.url()}).ok());
  EXPECT_EQ(body, "abcdef");
  EXPECT_TRUE(heads[0].starts_with("POST "));
  EXPECT_NE(heads[0].find("Content-Length: 6\r\n"), std::string::npos);
  EXPECT_TRUE(heads[1].starts_with("PUT "));
  EXPECT_NE(heads[1].find("Content-Length: 0\r\n"), std::string::npos);
  EXPECT_TRUE(heads[2].starts_with("DELETE "));
  EXPECT_EQ(heads[2].find("Content-Length"), std::string::npos);
  for (const std::string& head : heads) {
    EXPECT_EQ(head.find("Transfer-Encoding"), std::string::npos);
    EXPECT_EQ(head.find("Content-Type"), std::string::npos);
  }
}

TEST(CurlHttpClient, head_has_a_length_and_no_body) {
  SocketServer server([](Peer& peer) {
    const std::string head = peer.read_head();
    EXPECT_TRUE(head.starts_with("HEAD "));
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    peer.read_head();
    peer.answer("", "404 Not Found");
  });
  Client client;
  const auto got = client.send({.method = "HEAD", .url = server.url()});
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_EQ(*find_header(got->headers, "content-length"), "99999999999");
  EXPECT_TRUE(got->body.empty());
  EXPECT_EQ(client.send({.method = "HEAD", .url = server.url()})->status, 404);
}

TEST(CurlHttpClient, follows_no_redirect) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(peer.read_head(), "");
  });
  Client client;
  EXPECT_EQ(client.get(server.url())->status, 302);
}

TEST(CurlHttpClient, interim_answers_are_skipped) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n");
    peer.answer("x");
  });
  Client client;
  const auto got = client.get(server.url());
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(find_header(got->headers, "X-Early"), nullptr);
}

TEST(CurlHttpClient, a_refused_connection_is_unavailable) {
  std::string url;
  {
    url = SocketServer([](Peer&) {}).url();
  }
  Client client;
  EXPECT_TRUE(client.get(url).failed_with(Errc::unavailable));
  EXPECT_TRUE(client.get("http://no-such-host.invalid/").failed_with(Errc::unavailable));
}

TEST(CurlHttpClient, error_texts_hold_no_query) {
  std::string url;
  {
    url = SocketServer([](Peer&) {}).url("/o/a?aster_signature=topsecret");
  }
  Client client;
  EXPECT_EQ(client.get(url).error().context.find("topsecret"), std::string::npos);
}

TEST(CurlHttpClient, a_silent_server_is_a_timeout) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Client client;
  EXPECT_TRUE(client.send({.url = server.url(), .total_timeout = std::chrono::milliseconds(50)})
                  .failed_with(Errc::timeout));
}

TEST(CurlHttpClient, a_stalled_body_is_a_timeout_without_a_deadline) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    peer.wait_for_close();
  });
  Client client;
  EXPECT_TRUE(client
                  .send({.url = server.url(),
                         .total_timeout = std::chrono::milliseconds(0),
                         .stall_timeout = std::chrono::seconds(1)})
                  .failed_with(Errc::timeout));
}

TEST(CurlHttpClient, large_bodies_are_refused_before_and_while_they_come) {
  const std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') +
          "\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"};
  ScriptedServer server(answers);
  Client client;
  for (size_t turn = 0; turn < answers.size(); ++turn) {
    server.turn = turn;
    const auto got = client.send({.url = server.url(), .max_body = 100});
    EXPECT_FALSE(got.ok());
    if (turn < 2) {
      EXPECT_TRUE(got.failed_with(Errc::too_large));
    }
  }
}

TEST(CurlHttpClient, endless_headers_are_refused) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\n");
    while (peer.write("X: " + std::string(1000, 'y') + "\r\n")) {
    }
  });
  Client client;
  EXPECT_TRUE(client.get(server.url()).failed_with(Errc::unavailable));
}

TEST(CurlHttpClient, big_bodies_in_memory_arrive_whole) {
  const std::string big = pattern(9 << 20);
  SocketServer server([&](Peer& peer) {
    while (!peer.read_head().empty()) peer.answer(big);
  });
  Client client;
  for (int i = 0; i < 3; ++i) {
    const auto got = client.send({.url = server.url(), .max_body = 16 << 20});
    ASSERT_TRUE(got.ok()) << got.error().message();
    EXPECT_TRUE(as_text(got->body.view()) == big);
  }
}

TEST(CurlHttpClient, chunked_bodies_in_memory_arrive_whole) {
  const std::string part = pattern(100'000);
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 10; ++i) peer.write("186a0\r\n" + part + "\r\n");
    peer.write("0\r\nX-Trailer: 1\r\n\r\n");
    peer.wait_for_close();
  });
  Client client;
  const auto got = client.get(server.url());
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->body.size(), 1'000'000u);
  EXPECT_TRUE(as_text(got->body.view()).ends_with(part));
}

TEST(CurlHttpClient, cancelling_ends_a_waiting_exchange) {
  const CancelToken cancel;
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    cancel.cancel();
    peer.wait_for_close();
  });
  Client client;
  EXPECT_TRUE(client.send({.url = server.url()}, cancel).failed_with(Errc::interrupted));
  EXPECT_TRUE(client.send({.url = server.url()}, cancel).failed_with(Errc::interrupted));
}

TEST(CurlHttpClient, one_token_ends_many_exchanges) {
  const CancelToken cancel;
  std::atomic<int> waiting = 0;
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    if (++waiting == 3) cancel.cancel();
    peer.wait_for_close();
  });
  Client client;
  std::vector<Task<Result<HttpClientResponse>>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(client.http.send({.url = server.url()}, cancel));
  for (const auto& got : run_blocking(when_all(std::move(tasks)))) {
    EXPECT_TRUE(got.failed_with(Errc::interrupted));
  }
}

TEST(CurlHttpClient, more_exchanges_than_connections_wait_for_one) {
  SocketServer server([](Peer& peer) {
    while (!peer.read_head().empty()) peer.answer("x");
  });
  Client client({.max_connections_per_host = 2});
  std::vector<Task<Result<HttpClientResponse>>> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(client.http.send({.url = server.url()}));
  for (const auto& got : run_blocking(when_all(std::move(tasks)))) EXPECT_TRUE(got.ok());
  EXPECT_LE(server.connections(), 2);
}

TEST(CurlHttpClient, waiting_for_a_connection_counts_towards_the_deadline) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Client client({.max_connections_per_host = 1});
  std::vector<Task<Result<HttpClientResponse>>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(
        client.http.send({.url = server.url(), .total_timeout = std::chrono::milliseconds(50)}));
  }
  for (const auto& got : run_blocking(when_all(std::move(tasks)))) {
    EXPECT_TRUE(got.failed_with(Errc::timeout));
  }
}

TEST(CurlHttpClient, too_many_exchanges_are_refused) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Client client({.max_exchanges = 1});
  std::vector<Task<Result<HttpClientResponse>>> tasks;
  for (int i = 0; i < 2; ++i) {
    tasks.push_back(
        client.http.send({.url = server.url(), .total_timeout = std::chrono::milliseconds(50)}));
  }
  const auto got = run_blocking(when_all(std::move(tasks)));
  EXPECT_TRUE(got[0].failed_with(Errc::timeout));
  EXPECT_TRUE(got[1].failed_with(Errc::out_of_resources));
}

TEST(CurlHttpClient, its_end_interrupts_what_is_under_way) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Executor executor({.name = "test"});
  std::atomic<int> interrupted = 0;
  Completion<bool> all;
  {
    CurlHttpClient http({}, executor);
    for (int i = 0; i < 4; ++i) {
      start<Result<HttpClientResponse>>(http.send({.url = server.url(), .total_timeout = {}}),
                                        [&interrupted, all](Result<HttpClientResponse> got) {
                                          EXPECT_TRUE(got.failed_with(Errc::interrupted));
                                          if (++interrupted == 4) all.set(true);
                                        });
    }
  }
  run_blocking([](Completion<bool> done) -> Task<bool> {
    const bool arrived = co_await done;
    co_return arrived;
  }(all));
}

TEST(ReceiveBuffer, memory_is_used_again_and_bounded) {
  auto pool = std::make_shared<ReceivePool>(1 << 20);
  const std::byte* first = nullptr;
  {
    ReceiveBuffer buffer(pool);
    buffer.reserve(512 * 1024);
    buffer.append(as_bytes("abc"));
    const Bytes bytes = buffer.finish();
    first = bytes.data();
    EXPECT_EQ(bytes.size(), 3u);
    EXPECT_EQ(pool->idle_bytes(), 0u);
  }
  EXPECT_EQ(pool->idle_bytes(), 512u * 1024);
  EXPECT_EQ(pool->take(400 * 1024).data.get(), first);
  { const auto small = pool->take(100 * 1024); }
  { const auto big = pool->take(4 << 20); }
  EXPECT_LE(pool->idle_bytes(), 1u << 20);
}

}  // namespace
}  // namespace aster

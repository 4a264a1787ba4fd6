#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "tests/unit/client/curl_client.h"
#include "tests/unit/client/socket_server.h"

// Bodies that come from a ByteSource and go to a ByteSink or a ByteReceiver.
namespace aster {
namespace {

using testing::Client;
using testing::pattern;
using testing::Peer;
using testing::ScriptedServer;
using testing::SocketServer;

/// Gives out a text in pieces of changing size, each from another thread turn.
class TextSource final : public ByteSource {
 public:
  TextSource(std::string text, Executor& executor) : text_(std::move(text)), executor_(executor) {}
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    co_await executor_.hop();
    const size_t n = std::min({buffer.size(), text_.size() - at_, 1 + at_ % 100'000});
    std::memcpy(buffer.data(), text_.data() + at_, n);
    at_ += n;
    co_return n;
  }

 private:
  const std::string text_;
  Executor& executor_;
  size_t at_ = 0;
};

class FailingSource final : public ByteSource {
 public:
  Task<Result<size_t>> read(std::span<std::byte>) override {
    co_return fail(Errc::corrupt, "bad block");
  }
};

/// Never answers until it is abandoned.
class StuckSource final : public ByteSource {
 public:
  Task<Result<size_t>> read(std::span<std::byte>) override {
    const bool ended = co_await ended_;
    co_return ended ? 0 : 1;
  }
  void abandon() noexcept override { ended_.set(true); }

 private:
  const Completion<bool> ended_;
};

/// Collects what it gets, slowly (a thread turn per piece); keeps count of overlapping calls.
class SlowSink final : public ByteSink {
 public:
  explicit SlowSink(Executor& executor) : executor_(executor) {}
  Task<Result<void>> write(ByteView piece) override {
    EXPECT_FALSE(busy_.exchange(true));
    largest_ = std::max(largest_, piece.size());
    co_await executor_.hop();
    text_ += as_text(piece);
    busy_ = false;
    co_return ok();
  }
  const std::string& text() const { return text_; }
  size_t largest() const { return largest_; }

 private:
  Executor& executor_;
  std::atomic<bool> busy_ = false;
  std::string text_;
  size_t largest_ = 0;
};

/// Takes the first piece and holds it until released, then fails.
class GateSink final : public ByteSink {
 public:
  Task<Result<void>> write(ByteView) override {
    entered.set(true);
    const bool released = co_await gate;
    if (released) co_return fail(Errc::no_space, "sink is full");
    co_return ok();
  }
  const Completion<bool> entered, gate;
};

/// Collects up to `most` bytes.
class Receiver final : public ByteReceiver {
 public:
  explicit Receiver(size_t most = SIZE_MAX) : most_(most) {}
  Result<void> begin(int status, const HeaderList& headers) override {
    EXPECT_EQ(std::exchange(begun_, true), false);
    EXPECT_EQ(status, 200);
    if (find_header(headers, "content-length") == nullptr) return fail(Errc::io_error, "length");
    return ok();
  }
  Result<void> receive(ByteView piece) override {
    EXPECT_TRUE(begun_);
    if (text_.size() + piece.size() > most_) return fail(Errc::no_space, "receiver is full");
    text_ += as_text(piece);
    return ok();
  }
  bool begun() const { return begun_; }
  const std::string& text() const { return text_; }

 private:
  const size_t most_;
  bool begun_ = false;
  std::string text_;
};

TEST(CurlHttpClient, a_receiver_gets_the_body_and_may_refuse_it) {
  const std::string body = pattern(3 << 20);
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    peer.answer(body);
  });
  Client client;
  const auto all = std::make_shared<Receiver>();
  const auto got = client.send({.url = server.url(), .receiver = all, .max_body = 1});
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_TRUE(all->text() == body);
  EXPECT_EQ(got->body_length, body.size());
  EXPECT_TRUE(got->body.empty());
  const auto half = std::make_shared<Receiver>(body.size() / 2);
  EXPECT_TRUE(client.send({.url = server.url(), .receiver = half}).failed_with(Errc::no_space));
}

TEST(CurlHttpClient, a_receiver_gets_no_error_answers) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.answer("why not", "403 Forbidden");
  });
  Client client;
  const auto receiver = std::make_shared<Receiver>();
  const auto got = client.send({.url = server.url(), .receiver = receiver});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(as_text(got->body.view()), "why not");
  EXPECT_FALSE(receiver->begun());
}

TEST(CurlHttpClient, streams_both_ways_with_back_pressure) {
  const std::string up = pattern(20 << 20);
  const std::string down = pattern(17 << 20);
  std::string received;
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    received = peer.read_body(up.size());
    peer.answer(down);
    peer.wait_for_close();
  });
  Client client;
  const auto sink = std::make_shared<SlowSink>(client.executor);
  int status = 0;
  const auto got = client.send({.method = "PUT",
                                .url = server.url(),
                                .source = std::make_shared<TextSource>(up, client.executor),
                                .source_length = up.size(),
                                .sink = sink,
                                .on_headers = [&](int code, const HeaderList& headers) {
                                  status = code;
                                  EXPECT_NE(find_header(headers, "content-length"), nullptr);
                                  EXPECT_TRUE(sink->text().empty());
                                }});
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_EQ(status, 200);
  EXPECT_TRUE(received == up);
  EXPECT_TRUE(sink->text() == down);
  EXPECT_EQ(got->body_length, down.size());
  EXPECT_TRUE(got->body.empty());
  EXPECT_LE(sink->largest(), 256u * 1024);
}

TEST(CurlHttpClient, an_error_answer_goes_to_the_body_and_not_to_the_sink) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.answer("why not", "403 Forbidden");
  });
  Client client;
  const auto sink = std::make_shared<SlowSink>(client.executor);
  int status = 0;
  const auto got = client.send({.url = server.url(),
                                .sink = sink,
                                .on_headers = [&](int code, const HeaderList&) { status = code; }});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->status, 403);
  EXPECT_EQ(status, 403);
  EXPECT_EQ(as_text(got->body.view()), "why not");
  EXPECT_TRUE(sink->text().empty());
}

TEST(CurlHttpClient, pieces_of_an_endless_stream_arrive_at_once) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    peer.wait_for_close();
  });
  Client client;
  const auto sink = std::make_shared<GateSink>();
  const CancelToken cancel;
  Completion<bool> ended;
  start<Result<HttpClientResponse>>(
      client.http.send({.url = server.url(), .sink = sink, .total_timeout = {}}, cancel),
      [ended](Result<HttpClientResponse> got) {
        EXPECT_TRUE(got.failed_with(Errc::interrupted));
        ended.set(true);
      });
  run_blocking([](Completion<bool> entered) -> Task<bool> {
    const bool arrived = co_await entered;
    co_return arrived;
  }(sink->entered));
  cancel.cancel();
  sink->gate.set(false);
  run_blocking([](Completion<bool> done) -> Task<bool> {
    const bool arrived = co_await done;
    co_return arrived;
  }(ended));
}

TEST(CurlHttpClient, a_failing_sink_ends_the_exchange_with_its_error) {
  const std::string big = pattern(4 << 20);
  SocketServer server([&](Peer& peer) {
    peer.read_head();
    peer.answer(big);
  });
  Client client;
  const auto sink = std::make_shared<GateSink>();
  sink->gate.set(true);
  EXPECT_TRUE(client.send({.url = server.url(), .sink = sink}).failed_with(Errc::no_space));
}

TEST(CurlHttpClient, a_failing_or_short_source_ends_the_exchange) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Client client;
  const auto put = [&](std::shared_ptr<ByteSource> source) {
    return client.send(
        {.method = "PUT", .url = server.url(), .source = std::move(source), .source_length = 1000});
  };
  EXPECT_TRUE(put(std::make_shared<FailingSource>()).failed_with(Errc::corrupt));
  EXPECT_TRUE(
      put(std::make_shared<TextSource>("abc", client.executor)).failed_with(Errc::io_error));
}

TEST(CurlHttpClient, a_stuck_source_is_abandoned_at_the_deadline) {
  SocketServer server([](Peer& peer) { peer.wait_for_close(); });
  Client client;
  EXPECT_TRUE(client
                  .send({.method = "PUT",
                         .url = server.url(),
                         .source = std::make_shared<StuckSource>(),
                         .source_length = 1000,
                         .total_timeout = std::chrono::milliseconds(50)})
                  .failed_with(Errc::timeout));
}

TEST(CurlHttpClient, an_early_refusal_of_an_upload_is_seen) {
  SocketServer server([](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    peer.wait_for_close();
  });
  Client client;
  const auto got = client.send({.method = "PUT",
                                .url = server.url(),
                                .source = std::make_shared<StuckSource>(),
                                .source_length = 1000});
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_EQ(got->status, 401);
}

TEST(CurlHttpClient, a_body_that_ends_early_is_never_a_success) {
  const std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nof unknown length",
      "HTTP/1.1 200 OK\r\nContent-Le",
      "nonsense\r\n\r\n",
      ""};
  ScriptedServer server(answers);
  Client client;
  for (size_t turn = 0; turn < answers.size(); ++turn) {
    server.turn = turn;
    EXPECT_TRUE(client.get(server.url()).failed_with(Errc::unavailable)) << answers[turn];
    const auto sink = std::make_shared<SlowSink>(client.executor);
    EXPECT_TRUE(client.send({.url = server.url(), .sink = sink}).failed_with(Errc::unavailable));
  }
}

}  // namespace
}  // namespace aster

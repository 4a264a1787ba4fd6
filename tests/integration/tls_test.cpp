#include <gtest/gtest.h>

#include <cstring>
#include <future>

#include "protocol/client/curl_http_client.h"
#include "server/http/http.h"
#include "server/http/listen_options.h"
#include "server/http/tls.h"
#include "tests/support/process.h"
#include "tests/support/push_source.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"

/// The HTTP server over TLS, with an authority of its own.
namespace aster::http {
namespace {

using testing::PushSource;
using testing::RawClient;
using testing::TestAuthority;
using namespace std::chrono_literals;

/// Hands each piece that arrives to a test.
class Pieces final : public ByteSink {
 public:
  Task<Result<void>> write(ByteView piece) override {
    std::lock_guard lock(mutex_);
    text_.append(as_text(piece));
    arrived_.notify_all();
    co_return ok();
  }
  bool wait_for(const std::string& text) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, 20s, [&] { return text_.find(text) != std::string::npos; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::string text_;
};

class Tls : public ::testing::Test {
 protected:
  Tls() {
    router_.add("GET", "/hello", [](Request& r) { return hello(r); });
    router_.add("PUT", "/upload", [](Request& r) { return upload(r); });
    router_.add("GET", "/large", [](Request& r) { return large(r); });
    router_.add("GET", "/events", [this](Request& r) { return events(r); });
    router_.add("GET", "/health", [](Request& r) { return hello(r); });
  }
  void TearDown() override { server_.reset(); }

  void start(const TestAuthority::Identity& files, ServerOptions options = {}) {
    auto identity = TlsIdentity::load({files.certificate, files.key});
    ASSERT_TRUE(identity.ok()) << identity.error().message();
    identity_ = *identity;
    options.tls = identity_;
    auto started = start_server(options, router_);
    ASSERT_TRUE(started.ok()) << started.error().message();
    server_ = std::move(*started);
  }
  void start() { start(authority_.issue("server")); }

  std::string url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return "https://" + host + ":" + std::to_string(server_->port()) + path;
  }
  CurlHttpClientOptions trusting_us() const {
    return {.ca_file = authority_.certificate().string()};
  }
  CurlHttpClientOptions pinned(const std::string& pin) const {
    return {.ca_file = authority_.certificate().string(),
            .pinned_key = pin,
            .pinned_host = "127.0.0.1:" + std::to_string(server_->port())};
  }
  Result<HttpClientResponse> get(const CurlHttpClientOptions& options, const std::string& target) {
    CurlHttpClient http(options, executor_);
    HttpClientRequest request;
    request.url = target;
    request.max_body = 64 << 20;
    return run_blocking(http.send(std::move(request)));
  }
  std::string why_not(const CurlHttpClientOptions& options, const std::string& target) {
    const auto answer = get(options, target);
    return answer.ok() ? "it was answered with " + std::to_string(answer->status)
                       : answer.error().message();
  }

  static Task<Response> hello(Request& request) {
    co_return Response::text(200, request.secure ? "secure" : "plain");
  }
  static Task<Response> upload(Request& request) {
    std::vector<std::byte> buffer(100'000);
    uint64_t sum = 0;
    uint64_t length = 0;
    for (;;) {
      const Result<size_t> got = co_await request.body->read(buffer);
      if (!got.ok()) co_return Response::text(500, got.error().message());
      if (*got == 0) break;
      length += *got;
      for (size_t i = 0; i < *got; ++i) sum += static_cast<uint8_t>(buffer[i]);
    }
    co_return Response::text(200, std::to_string(length) + " " + std::to_string(sum));
  }
  static Task<Response> large(Request&) {
    std::string text(5'000'000, 'x');
    for (size_t i = 0; i < text.size(); i += 997) text[i] = static_cast<char>('a' + i % 26);
    co_return Response::text(200, std::move(text));
  }
  Task<Response> events(Request&) {
    Response response;
    response.headers = {{"Content-Type", "text/event-stream"}};
    response.body = StreamBody{events_, std::nullopt};
    co_return response;
  }

  testing::TempDir dir_;
  TestAuthority authority_{dir_ / "tls"};
  Executor executor_{{.name = "test", .threads = 4}};
  std::shared_ptr<PushSource> events_ = std::make_shared<PushSource>();
  std::shared_ptr<TlsIdentity> identity_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(Tls, carries_bodies_both_ways) {
  start();
  const auto hello = get(trusting_us(), url("/hello", "localhost"));
  ASSERT_TRUE(hello.ok()) << hello.error().message();
  EXPECT_EQ(as_text(hello->body.view()), "secure");
  const auto large = get(trusting_us(), url("/large"));
  ASSERT_TRUE(large.ok()) << large.error().message();
  ASSERT_EQ(large->body.view().size(), 5'000'000u);
  for (size_t i = 0; i < 5'000'000; i += 997) {
    ASSERT_EQ(static_cast<char>(large->body.view()[i]), static_cast<char>('a' + i % 26)) << i;
  }
  CurlHttpClient http(trusting_us(), executor_);
  for (int round = 0; round < 3; ++round) {  // the second and third on a kept connection
    HttpClientRequest request;
    request.method = "PUT";
    request.url = url("/upload");
    request.body.push_back(Bytes::from_string(std::string(3'000'001, '\x02')));
    const auto answer = run_blocking(http.send(std::move(request)));
    ASSERT_TRUE(answer.ok()) << answer.error().message();
    EXPECT_EQ(as_text(answer->body.view()), "3000001 6000002");
  }
}

TEST_F(Tls, clients_refuse_who_is_not_the_server_they_mean) {
  const TestAuthority::Identity server = authority_.issue("server");
  start(server);
  const TestAuthority stranger(dir_ / "stranger");
  EXPECT_NE(why_not({.ca_file = stranger.certificate().string()}, url("/hello"))
                .find("SSL certificate problem"),
            std::string::npos)
      << why_not({.ca_file = stranger.certificate().string()}, url("/hello"));
  EXPECT_NE(why_not({}, url("/hello")).find("SSL certificate problem"), std::string::npos);
  EXPECT_NE(why_not({.ca_file = dir_ / "missing.pem"}, url("/hello")).find("missing.pem"),
            std::string::npos);
  EXPECT_TRUE(get(pinned(server.pin), url("/hello")).ok());
  const std::string other = authority_.issue("other").pin;
  EXPECT_NE(why_not(pinned(other), url("/hello")).find("public key"), std::string::npos);
  EXPECT_TRUE(get(pinned(other + ";" + server.pin), url("/hello")).ok()) << "one of them";
  EXPECT_TRUE(get(pinned(other), url("/hello", "localhost")).ok()) << "another host";
}

TEST_F(Tls, clients_refuse_an_expired_certificate_and_one_of_another_name) {
  start(authority_.issue("old", {.days = -1}));
  EXPECT_NE(why_not(trusting_us(), url("/hello")).find("expired"), std::string::npos);
  EXPECT_LT(identity_->facts().not_after, ::time(nullptr));
  server_.reset();
  start(authority_.issue("elsewhere", {.names = "DNS:elsewhere.example.com"}));
  EXPECT_NE(why_not(trusting_us(), url("/hello")).find("127.0.0.1"), std::string::npos);
}

TEST_F(Tls, a_new_certificate_takes_over_without_ending_connections) {
  const TestAuthority::Identity old = authority_.issue("server");
  start(old);
  CurlHttpClient http(pinned(old.pin), executor_);
  HttpClientRequest request;
  request.url = url("/events");
  request.total_timeout = 0ms;
  const auto pieces = std::make_shared<Pieces>();
  request.sink = pieces;
  CancelToken cancel;
  Completion<bool> ended;
  aster::start<Result<HttpClientResponse>>(http.send(std::move(request), cancel),
                                           [ended](const auto&) { ended.set(true); });
  events_->push("data: before\n\n");
  ASSERT_TRUE(pieces->wait_for("before"));

  const TestAuthority::Identity fresh = authority_.issue("server");
  ASSERT_NE(fresh.pin, old.pin);
  const Result<void> reloaded = identity_->reload();
  ASSERT_TRUE(reloaded.ok()) << reloaded.error().message();
  EXPECT_TRUE(get(pinned(fresh.pin), url("/hello")).ok());
  EXPECT_FALSE(get(pinned(old.pin), url("/hello")).ok());
  events_->push("data: after\n\n");
  EXPECT_TRUE(pieces->wait_for("after"));

  testing::write_file(fresh.certificate, "no certificate\n");
  EXPECT_FALSE(identity_->reload().ok());
  EXPECT_TRUE(get(pinned(fresh.pin), url("/hello")).ok()) << "what was good stays";
  cancel.cancel();
  run_blocking([](Completion<bool> done) -> Task<void> { co_await done; }(ended));
}

TEST_F(Tls, a_client_that_leaves_ends_its_event_stream) {
  start();
  std::future<void> gone = events_->gone();
  {
    CurlHttpClient http(trusting_us(), executor_);
    HttpClientRequest request;
    request.url = url("/events");
    request.total_timeout = 0ms;
    const auto pieces = std::make_shared<Pieces>();
    request.sink = pieces;
    CancelToken cancel;
    Completion<bool> ended;
    aster::start<Result<HttpClientResponse>>(http.send(std::move(request), cancel),
                                             [ended](const auto&) { ended.set(true); });
    events_->push("data: here\n\n");
    ASSERT_TRUE(pieces->wait_for("here"));
    cancel.cancel();
    run_blocking([](Completion<bool> done) -> Task<void> { co_await done; }(ended));
  }
  events_.reset();
  EXPECT_EQ(gone.wait_for(20s), std::future_status::ready);
}

TEST_F(Tls, a_handshake_that_dawdles_is_ended) {
  ServerOptions options;
  options.limits.head_timeout = 200ms;
  start(authority_.issue("server"), options);
  RawClient silent(server_->port());
  EXPECT_TRUE(silent.closed_by_peer());
  RawClient slow(server_->port());
  slow.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_TRUE(slow.closed_by_peer());
}

TEST_F(Tls, a_handshake_counts_as_a_connection) {
  ServerOptions options;
  options.limits.max_connections = 1;
  start(authority_.issue("server"), options);
  RawClient first(server_->port());
  first.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  RawClient second(server_->port());
  const auto refused = second.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
}

TEST_F(Tls, garbage_in_place_of_a_handshake_ends_that_connection_only) {
  start();
  RawClient client(server_->port());
  client.send(std::string("\x16\x03\x01\x00\x05", 5) + "hello" + std::string(1000, '\x16'));
  client.receive_until("nothing of the kind");
  EXPECT_TRUE(get(trusting_us(), url("/hello")).ok());
}

TEST_F(Tls, old_versions_are_refused) {
  start();
  const auto s_client = [&](const std::string& version) {
    testing::Process::Options options;
    options.argv = {"openssl",
                    "s_client",
                    version,
                    "-cipher",
                    "DEFAULT@SECLEVEL=0",
                    "-connect",
                    "127.0.0.1:" + std::to_string(server_->port())};
    options.output = dir_ / ("s_client" + version);
    auto process = testing::Process::spawn(std::move(options));
    EXPECT_TRUE(process.ok());
    EXPECT_TRUE(process->wait().has_value());
    return testing::read_file(dir_ / ("s_client" + version));
  };
  EXPECT_NE(s_client("-tls1_2").find("Protocol  : TLSv1.2"), std::string::npos);
  EXPECT_NE(s_client("-tls1_1").find("alert protocol version"), std::string::npos);
}

TEST_F(Tls, plain_requests_on_the_same_port_get_what_the_rule_says) {
  ServerOptions options;
  options.plain_http = PlainHttp::redirect;
  start(authority_.issue("server"), options);
  const auto ask = [&](const std::string& head) {
    const auto answer = RawClient(server_->port()).exchange(head + "\r\nHost: drive\r\n\r\n");
    EXPECT_TRUE(answer) << head;
    return answer.value_or(testing::RawAnswer());
  };
  const auto sent_on = ask("GET /hello?a=b HTTP/1.1");
  EXPECT_EQ(sent_on.status, 308);
  EXPECT_EQ(sent_on.field("Location"),
            "https://drive:" + std::to_string(server_->port()) + "/hello?a=b");
  const auto refused = ask("PUT /upload HTTP/1.1\r\nContent-Length: 1000000");
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.body.find("https"), std::string::npos);
  const auto told = ask("GET /hello HTTP/1.1\r\nAuthorization: Bearer secret");
  EXPECT_EQ(told.status, 403);
  EXPECT_NE(told.body.find("in the clear"), std::string::npos);
  EXPECT_EQ(told.body.find("secret"), std::string::npos);
  EXPECT_EQ(ask("GET /health HTTP/1.1").status, 200);
}

TEST_F(Tls, plain_requests_are_served_when_allowed) {
  start();
  const auto answer = RawClient(server_->port()).exchange("GET /hello HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "plain");
}

TEST_F(Tls, a_port_of_its_own_sends_plain_readers_to_the_right_one) {
  uint16_t free_port = 0;
  {
    auto lent = start_server({}, router_);
    ASSERT_TRUE(lent.ok());
    free_port = (*lent)->port();
  }
  ServerOptions options;
  options.plain_http = PlainHttp::redirect;
  options.plain_port = free_port;
  start(authority_.issue("server"), options);
  const auto answer = RawClient(free_port).exchange("GET /hello HTTP/1.1\r\nHost: d:80\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->field("Location"), "https://d:" + std::to_string(server_->port()) + "/hello");
  server_->stop(0ms);
  EXPECT_FALSE(RawClient(free_port).exchange("GET /hello HTTP/1.1\r\nHost: d:80\r\n\r\n"));
}

TEST_F(Tls, unusable_files_are_named) {
  const TestAuthority::Identity a = authority_.issue("a");
  const TestAuthority::Identity b = authority_.issue("b");
  const auto why = [](TlsIdentity::Files files) {
    const auto loaded = TlsIdentity::load(std::move(files));
    return loaded.ok() ? std::string("loaded") : loaded.error().message();
  };
  EXPECT_EQ(why({a.certificate, a.key}), "loaded");
  EXPECT_NE(why({a.certificate, b.key}).find("is not the key of"), std::string::npos)
      << why({a.certificate, b.key});
  EXPECT_NE(why({dir_ / "none.pem", a.key}).find("none.pem cannot be read"), std::string::npos);
  EXPECT_NE(why({a.certificate, dir_ / "none.key"}).find("none.key"), std::string::npos);
  EXPECT_NE(why({a.key, a.key}).find("server.tls_certificate"), std::string::npos);
  std::filesystem::permissions(a.key, std::filesystem::perms(0604));
  EXPECT_NE(why({a.certificate, a.key}).find("chmod o="), std::string::npos);
}

class ListenOptions : public ::testing::Test {
 protected:
  Result<ServerOptions> with(Config::Environment settings) {
    const std::filesystem::path file = dir_ / "config.toml";
    if (!std::filesystem::exists(file)) {
      ASTER_TRY(create_config(file, {}));
    }
    const auto config = Config::load(file, settings);
    if (!config.ok()) return config.error();
    return listen_options(*config);
  }
  std::string why(Config::Environment settings) {
    const auto options = with(std::move(settings));
    return options.ok() ? "fine" : options.error().context;
  }
  testing::TempDir dir_;
};

TEST_F(ListenOptions, without_a_certificate_plain_http_is_served) {
  const auto options = with({});
  ASSERT_TRUE(options.ok()) << options.error().message();
  EXPECT_EQ(options->plain_http, PlainHttp::allow);
  EXPECT_EQ(options->tls, nullptr);
}

TEST_F(ListenOptions, a_certificate_sends_plain_readers_on) {
  const TestAuthority authority(dir_ / "tls");
  const TestAuthority::Identity files = authority.issue("server");
  const Config::Environment both{{"ASTER__SERVER__TLS_CERTIFICATE", files.certificate},
                                 {"ASTER__SERVER__TLS_KEY", files.key}};
  const auto options = with(both);
  ASSERT_TRUE(options.ok()) << options.error().message();
  EXPECT_EQ(options->plain_http, PlainHttp::redirect);
  EXPECT_NE(options->tls, nullptr);
  EXPECT_NE(why({both[0]}).find("belong together"), std::string::npos);
}

TEST_F(ListenOptions, contradictions_are_named) {
  EXPECT_NE(why({{"ASTER__SERVER__PLAIN_PORT", "80"}}).find("server.plain_port"),
            std::string::npos);
  EXPECT_NE(why({{"ASTER__SERVER__PLAIN_HTTP", "redirect"}}).find("server.public_url"),
            std::string::npos);
  EXPECT_EQ(why({{"ASTER__SERVER__PLAIN_HTTP", "redirect"},
                 {"ASTER__SERVER__PUBLIC_URL", "https://drive.example.com/"}}),
            "fine");
  EXPECT_NE(why({{"ASTER__NETWORK_TRUST__TRUSTED_PROXIES", "10.0.0.0/8,proxy"}}).find("\"proxy\""),
            std::string::npos);
}

}  // namespace
}  // namespace aster::http

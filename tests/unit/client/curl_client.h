#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "protocol/client/curl_http_client.h"
#include "tests/unit/client/socket_server.h"

namespace aster::testing {

/// A client with an executor of its own.
struct Client {
  Executor executor{{.name = "test", .threads = 2}};
  CurlHttpClient http;
  explicit Client(CurlHttpClientOptions options = {}) : http(std::move(options), executor) {}

  Result<HttpClientResponse> send(HttpClientRequest request, CancelToken cancel = {}) {
    return run_blocking(http.send(std::move(request), std::move(cancel)));
  }
  Result<HttpClientResponse> get(const std::string& url) { return send({.url = url}); }
};

/// Answers whatever it is asked with the bytes of its turn, and hangs up.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {}
  std::string url() const { return server_.url(); }
  std::atomic<size_t> turn = 0;

 private:
  const std::vector<std::string> answers_;
  SocketServer server_{[this](Peer& peer) {
    peer.read_head();
    peer.write(answers_[turn]);
  }};
};

/// Bytes that do not repeat; `size` is a multiple of 8.
inline std::string pattern(size_t size) {
  std::mt19937_64 generator(7);
  std::string out(size, '\0');
  for (size_t i = 0; i + 8 <= size; i += 8) {
    const uint64_t word = generator();
    std::memcpy(out.data() + i, &word, 8);
  }
  return out;
}

}  // namespace aster::testing

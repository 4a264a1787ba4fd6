#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/unique_handle.h"
#include "protocol/client/curl_http_client.h"
#include "protocol/client/receive_buffer.h"

/// Inner part of curl_http_client.cpp: nobody else includes this.
namespace aster {

using CurlEasy = CHandle<CURL, curl_easy_cleanup>;
using CurlList = CHandle<curl_slist, curl_slist_free_all>;

/// One request and its answer on the transfer thread. States: fresh -> started -> (flushing: the
/// transfer is over, the sink is not) -> finished. The waiting coroutine goes on only when no read
/// of the source and no write of the sink is under way any more.
/// All members are for the transfer thread unless said.
class CurlExchange : public std::enable_shared_from_this<CurlExchange> {
 public:
  enum class Event { read_done, write_done };
  /// Called on any thread when a piece of source or sink work is done.
  using Notify = std::function<void(std::shared_ptr<CurlExchange>, Event)>;

  CurlExchange(HttpClientRequest request, Executor& executor, std::shared_ptr<ReceivePool> pool,
               Notify notify);

  /// What the waiting coroutine awaits; set on the executor.
  const Completion<Result<HttpClientResponse>>& done() const noexcept { return done_; }
  /// When to look at check_time() again; nullopt = never.
  std::optional<SteadyTime> next_check() const;
  /// timeout when the deadline has passed, or nothing moved for the stall timeout though the other
  /// side could have.
  Result<void> check_time(SteadyTime now);

  /// bad_request for a request that must not be sent.
  Result<void> check_request() const;
  /// "host:port" of the URL.
  std::string host() const;
  /// Puts everything into the handle.
  Result<void> start(CurlEasy easy, const CurlHttpClientOptions& options);
  /// The handle, to be removed from the multi handle and used again; null before start().
  CURL* easy() const noexcept { return easy_.get(); }
  CurlEasy take_easy() noexcept { return std::move(easy_); }

  /// libcurl is done. True when finish_transfer's outcome is final, false while the sink still
  /// takes what has arrived.
  bool transfer_done(CURLcode code);
  /// Reacts to finished source or sink work; true when the exchange is to be finished now.
  bool handle(Event event);
  /// The outcome once transfer_done() or handle() said so.
  Result<HttpClientResponse> outcome();
  /// Hands the outcome to the waiting coroutine, as soon as no source or sink work is left.
  void finish(Result<HttpClientResponse> result);

 private:
  struct Ending {
    int work_under_way = 0;
    std::optional<Result<HttpClientResponse>> result;
  };
  /// One half of the upload's double buffer.
  struct Piece {
    std::vector<char> memory;
    size_t position = 0;
    size_t size = 0;
  };

  static int before_request(void* self, char*, char*, int, int) noexcept;
  static size_t on_header(char* data, size_t size, size_t count, void* self) noexcept;
  static size_t on_body(char* data, size_t size, size_t count, void* self) noexcept;
  static size_t on_read(char* buffer, size_t size, size_t count, void* self) noexcept;

  void set_target();
  void set_body();
  void set_limits();
  void set_trust(const CurlHttpClientOptions& options);
  Result<void> set_headers();
  uint64_t body_length() const;

  bool header_line(std::string_view line);
  bool headers_end();
  bool has_length() const;
  /// True when the answer is a refusal that came, as far as we need it, before the streamed body
  /// was sent: nothing is left to wait for.
  bool refused_early();
  size_t body_piece(ByteView piece);
  size_t read_from_memory(std::span<char> out);
  size_t read_from_source(std::span<char> out);

  bool fail_with(Error error);
  Error error_for(CURLcode code) const;
  void set_paused(bool& flag, bool paused);
  bool streams(const auto& target) const { return target && response_.status / 100 == 2; }

  void begin_work();
  void end_work(Event event);
  void start_read();
  void start_write();
  void tell_headers();
  void complete();

  HttpClientRequest request_;
  Executor& executor_;
  const Notify notify_;
  const Completion<Result<HttpClientResponse>> done_;
  std::optional<SteadyTime> deadline_;
  SteadyTime last_moved_;
  Guarded<Ending> ending_;  // any thread

  CurlEasy easy_;
  CurlList header_list_;
  std::optional<Error> failure_;  // first failure that is not libcurl's
  bool send_paused_ = false;
  bool receive_paused_ = false;
  bool over_ = false;  // libcurl is done
  bool refused_early_ = false;
  bool sent_once_ = false;
  std::vector<char> tls_reason_;  // what OpenSSL says; empty for http

  // Upload: from memory ...
  size_t body_index_ = 0;
  size_t body_offset_ = 0;
  // ... or from the source. `next_` belongs to the reading task while `reading_`.
  Piece current_, next_;
  uint64_t source_left_ = 0;
  bool reading_ = false;
  bool next_full_ = false;
  std::optional<Result<size_t>> read_result_;

  // Download. `draining_` belongs to the writing task while `writing_`.
  HttpClientResponse response_;
  size_t header_bytes_ = 0;
  bool headers_ended_ = false;
  std::optional<uint64_t> expected_length_;
  bool chunked_ = false;
  ReceiveBuffer body_;
  std::vector<std::byte> arriving_, draining_;
  bool writing_ = false;
  bool headers_told_ = false;  // executor, one job at a time
  std::optional<Error> write_error_;
};

}  // namespace aster

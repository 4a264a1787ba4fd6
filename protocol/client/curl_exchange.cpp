#include "protocol/client/curl_exchange.h"

#include <algorithm>
#include <cstring>

#include "protocol/base_url.h"
#include "protocol/http_text.h"
#include "protocol/version.h"

namespace aster {
namespace {

constexpr size_t kPieceSize = 256 * 1024;   // of streamed bodies, both ways
constexpr size_t kMostHeaders = 64 * 1024;  // bytes of an answer's header lines
constexpr long kBulkBuffer = 512 * 1024;    // measured: 1.4 times the speed of libcurl's default
constexpr uint64_t kBulkFrom = 256 * 1024;

// Bytes that may stand in a request line: anything else could end it early.
bool is_plain_url(std::string_view url) {
  return std::all_of(url.begin(), url.end(),
                     [](char c) { return c > ' ' && c < 0x7F && c != '#'; });
}

bool is_plain_header(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string_view host_of(const std::string& url) {
  return authority_of(url);
}

bool is_pin(std::string_view one) {
  constexpr std::string_view kHash = "sha256//";
  if (!one.starts_with(kHash)) return false;
  one.remove_prefix(kHash.size());
  // 32 bytes: 43 digits and one sign of padding.
  return one.size() == 44 && one.back() == '=' &&
         std::all_of(one.begin(), one.end() - 1,
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '/'; });
}

/// Failures of TLS that the other side's answer will not change.
bool is_distrust(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_PINNEDPUBKEYNOTMATCH ||
         code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CONNECT_ERROR;
}

}  // namespace

std::string_view authority_of(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  const size_t start = scheme + 3;
  return url.substr(start, url.find_first_of("/?", start) - start);
}

Result<void> check_pin(std::string_view pin) {
  for (std::string_view rest = pin;;) {
    const size_t end = rest.find(';');
    if (!is_pin(rest.substr(0, end))) {
      return fail(Errc::bad_request,
                  "a pin is sha256// and the base64 of the SHA-256 of the server's public key, "
                  "44 characters; several are separated by ';'");
    }
    if (end == std::string_view::npos) return ok();
    rest.remove_prefix(end + 1);
  }
}

CurlExchange::CurlExchange(HttpClientRequest request, Executor& executor,
                           std::shared_ptr<ReceivePool> pool, Notify notify)
    : request_(std::move(request)),
      executor_(executor),
      notify_(std::move(notify)),
      body_(std::move(pool)) {
  last_moved_ = std::chrono::steady_clock::now();
  if (request_.total_timeout.count() > 0) deadline_ = last_moved_ + request_.total_timeout;
  source_left_ = request_.source ? request_.source_length : 0;
}

// ---- request

uint64_t CurlExchange::body_length() const {
  if (request_.source) return request_.source_length;
  uint64_t length = 0;
  for (const Bytes& piece : request_.body) length += piece.size();
  return length;
}

Result<void> CurlExchange::check_request() const {
  if (!is_plain_url(request_.url) || host_of(request_.url).empty()) {
    return fail(Errc::bad_request, "not a plain URL");
  }
  for (const auto& [name, value] : request_.headers) {
    if (name.empty() || !is_plain_header(name) || !is_plain_header(value)) {
      return fail(Errc::bad_request, "header that cannot be sent");
    }
  }
  return ok();
}

std::string CurlExchange::host() const {
  return std::string(host_of(request_.url));
}

void CurlExchange::set_target() {
  CURL* easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  // libcurl would drop a bare '?'; signatures cover the target to the last byte.
  const std::string_view host = host_of(request_.url);
  const std::string target = request_.url.substr(host.data() + host.size() - request_.url.data());
  if (target.starts_with('/')) curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, target.c_str());
}

void CurlExchange::set_body() {
  CURL* easy = easy_.get();
  const uint64_t length = body_length();
  if (length == 0 && !request_.send_empty_body && !request_.source) {
    if (request_.method == "HEAD") {
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
      curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    return;
  }
  curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(length));
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, &CurlExchange::on_read);
  curl_easy_setopt(easy, CURLOPT_READDATA, this);
  if (length >= kBulkFrom) curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, kBulkBuffer);
}

void CurlExchange::set_limits() {
  CURL* easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  // Below the 30 s after which a server closes: a dying connection is rarely picked.
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 25L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request_.connect_timeout.count()));
  if (request_.sink || request_.receiver || request_.max_body >= kBulkFrom) {
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBulkBuffer);
  }
}

void CurlExchange::set_trust(const CurlHttpClientOptions& options) {
  if (!request_.url.starts_with("https:")) return;
  CURL* easy = easy_.get();
  tls_reason_.assign(CURL_ERROR_SIZE, '\0');
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, tls_reason_.data());
  if (!options.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    // Debian's libcurl would trust the system's folder of authorities besides.
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  if (!options.pinned_key.empty() && host_of(request_.url) == options.pinned_host) {
    curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, options.pinned_key.c_str());
  }
}

Result<void> CurlExchange::set_headers() {
  const auto append = [this](const std::string& line) {
    curl_slist* longer = curl_slist_append(header_list_.get(), line.c_str());
    if (!longer) return false;
    static_cast<void>(header_list_.release());
    header_list_.reset(longer);
    return true;
  };
  // An empty value stops what libcurl would add by itself.
  bool good = append("Expect:");
  for (const auto& [name, value] : request_.headers) {
    good = good && append(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!good) return fail(Errc::out_of_resources, "header list");
  curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, header_list_.get());
  return ok();
}

Result<void> CurlExchange::start(CurlEasy easy, const CurlHttpClientOptions& options) {
  easy_ = std::move(easy);
  set_target();
  set_body();
  set_limits();
  ASTER_TRY(set_headers());
  CURL* handle = easy_.get();
  curl_easy_setopt(
      handle, CURLOPT_USERAGENT,
      options.user_agent.empty() ? std::string(kUserAgent).c_str() : options.user_agent.c_str());
  set_trust(options);
  curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
  curl_easy_setopt(handle, CURLOPT_PREREQFUNCTION, &CurlExchange::before_request);
  curl_easy_setopt(handle, CURLOPT_PREREQDATA, this);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &CurlExchange::on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &CurlExchange::on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
  if (source_left_ > 0) start_read();
  return ok();
}

// ---- callbacks of libcurl; each returns what stops the transfer after fail_with()

// libcurl sends a request again by itself when a kept connection dies before the answer's first
// byte. The server may have acted on it, and a signed request is good once: the caller decides.
int CurlExchange::before_request(void* self, char*, char*, int, int) noexcept {
  auto* exchange = static_cast<CurlExchange*>(self);
  if (!std::exchange(exchange->sent_once_, true)) return CURL_PREREQFUNC_OK;
  exchange->fail_with(fail(Errc::unavailable, "the kept connection was lost"));
  return CURL_PREREQFUNC_ABORT;
}

size_t CurlExchange::on_header(char* data, size_t size, size_t count, void* self) noexcept {
  auto* exchange = static_cast<CurlExchange*>(self);
  exchange->last_moved_ = std::chrono::steady_clock::now();
  return exchange->header_line({data, size * count}) ? size * count : 0;
}

size_t CurlExchange::on_body(char* data, size_t size, size_t count, void* self) noexcept {
  auto* exchange = static_cast<CurlExchange*>(self);
  exchange->last_moved_ = std::chrono::steady_clock::now();
  return exchange->body_piece(as_bytes({data, size * count}));
}

size_t CurlExchange::on_read(char* buffer, size_t size, size_t count, void* self) noexcept {
  auto* exchange = static_cast<CurlExchange*>(self);
  exchange->last_moved_ = std::chrono::steady_clock::now();
  const std::span<char> out(buffer, size * count);
  return exchange->request_.source ? exchange->read_from_source(out)
                                   : exchange->read_from_memory(out);
}

bool CurlExchange::fail_with(Error error) {
  if (!failure_) failure_ = std::move(error);
  return false;
}

// ---- answer

bool CurlExchange::header_line(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMostHeaders) {
    return fail_with(fail(Errc::unavailable, "the answer's header is too large"));
  }
  line = trim(line);
  if (line.empty()) return headers_end();
  if (headers_ended_) return true;  // trailers are of no use
  if (line.starts_with("HTTP/")) {  // also after each interim (1xx) answer
    response_.headers.clear();
    expected_length_.reset();
    chunked_ = false;
    return true;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;  // a folded line
  const std::string_view name = trim(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  if (equals_ignoring_case(name, "Content-Length")) {
    expected_length_ = parse_decimal<uint64_t>(value);
  }
  if (equals_ignoring_case(name, "Transfer-Encoding")) chunked_ = true;
  response_.headers.emplace_back(name, value);
  return true;
}

bool CurlExchange::has_length() const {
  return expected_length_ || chunked_ || request_.method == "HEAD" || response_.status == 204 ||
         response_.status / 100 != 2;
}

bool CurlExchange::headers_end() {
  if (headers_ended_) return true;  // of the trailers
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  if (status < 200) return true;
  headers_ended_ = true;
  if (!has_length()) {
    return fail_with(fail(Errc::unavailable, "the answer does not say how long it is"));
  }
  if (request_.on_headers) start_write();
  if (streams(request_.receiver)) {
    const Result<void> wanted = request_.receiver->begin(response_.status, response_.headers);
    return wanted.ok() || fail_with(wanted.error());
  }
  if (streams(request_.sink) || request_.method == "HEAD") return true;
  const uint64_t length = expected_length_.value_or(0);
  if (length > request_.max_body) return fail_with(fail(Errc::too_large, "the answer's body"));
  body_.reserve(length);
  return !refused_early();
}

// libcurl would wait for the paused source before it calls the transfer done. Callbacks that then
// report a failure end it at once; the connection is closed, as its state is unknown.
bool CurlExchange::refused_early() {
  const bool sent = source_left_ == 0 && !reading_;
  if (response_.status < 300 || !request_.source || sent) return false;
  refused_early_ = !expected_length_ || response_.body_length >= *expected_length_;
  return refused_early_;
}

size_t CurlExchange::body_piece(ByteView piece) {
  if (streams(request_.receiver)) {
    const Result<void> taken = request_.receiver->receive(piece);
    if (!taken.ok()) fail_with(taken.error());
    response_.body_length += piece.size();
    return taken.ok() ? piece.size() : 0;
  }
  if (!streams(request_.sink)) {
    if (body_.size() + piece.size() > request_.max_body) {
      fail_with(fail(Errc::too_large, "the answer's body"));
      return 0;
    }
    body_.append(piece);
    response_.body_length += piece.size();
    return refused_early() ? 0 : piece.size();
  }
  // An empty buffer takes any piece: libcurl's pieces are never larger than its own buffer.
  if (!arriving_.empty() && arriving_.size() + piece.size() > kPieceSize) {
    receive_paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  arriving_.insert(arriving_.end(), piece.begin(), piece.end());
  response_.body_length += piece.size();
  if (!writing_) start_write();
  return piece.size();
}

// ---- upload

size_t CurlExchange::read_from_memory(std::span<char> out) {
  while (body_index_ < request_.body.size()) {
    const ByteView piece = request_.body[body_index_].view().subspan(body_offset_);
    if (piece.empty()) {
      ++body_index_;
      body_offset_ = 0;
      continue;
    }
    const size_t n = std::min(piece.size(), out.size());
    std::memcpy(out.data(), piece.data(), n);
    body_offset_ += n;
    return n;
  }
  return 0;
}

size_t CurlExchange::read_from_source(std::span<char> out) {
  if (current_.position == current_.size && next_full_) {
    std::swap(current_, next_);
    next_full_ = false;
    if (source_left_ > 0) start_read();
  }
  const size_t n = std::min(out.size(), current_.size - current_.position);
  if (n == 0) {
    if (!reading_) return 0;  // the end
    send_paused_ = true;
    return CURL_READFUNC_PAUSE;
  }
  std::memcpy(out.data(), current_.memory.data() + current_.position, n);
  current_.position += n;
  return n;
}

void CurlExchange::start_read() {
  reading_ = true;
  next_.memory.resize(std::min<uint64_t>(kPieceSize, request_.source_length));
  const size_t wanted = std::min<uint64_t>(next_.memory.size(), source_left_);
  begin_work();
  executor_.post([self = shared_from_this(), wanted] {
    const std::span<char> room(self->next_.memory.data(), wanted);
    aster::start<Result<size_t>>(self->request_.source->read(std::as_writable_bytes(room)),
                                 [self](Result<size_t> got) {
                                   self->read_result_ = std::move(got);
                                   self->end_work(Event::read_done);
                                 });
  });
}

// ---- source and sink work, on the executor

void CurlExchange::begin_work() {
  ++ending_.lock()->work_under_way;
}

void CurlExchange::end_work(Event event) {
  bool last = false;
  {
    auto ending = ending_.lock();
    last = --ending->work_under_way == 0 && ending->result.has_value();
    if (!last && ending->result) return;
  }
  if (last) return complete();
  notify_(shared_from_this(), event);
}

void CurlExchange::tell_headers() {
  if (std::exchange(headers_told_, true) || !request_.on_headers) return;
  request_.on_headers(response_.status, response_.headers);
}

void CurlExchange::start_write() {
  writing_ = true;
  std::swap(arriving_, draining_);
  begin_work();
  executor_.post([self = shared_from_this()] {
    self->tell_headers();
    if (self->draining_.empty()) return self->end_work(Event::write_done);
    aster::start<Result<void>>(self->request_.sink->write(self->draining_),
                               [self](Result<void> written) {
                                 if (!written) self->write_error_ = std::move(written).error();
                                 self->end_work(Event::write_done);
                               });
  });
}

// ---- progress and end

std::optional<SteadyTime> CurlExchange::next_check() const {
  if (request_.stall_timeout.count() == 0) return deadline_;
  const SteadyTime stalled = last_moved_ + request_.stall_timeout;
  return deadline_ ? std::min(*deadline_, stalled) : stalled;
}

Result<void> CurlExchange::check_time(SteadyTime now) {
  const std::string where = request_.method + " " + std::string(host_of(request_.url)) + ": ";
  if (deadline_ && now >= *deadline_) {
    return fail(Errc::timeout, where + "no complete answer in time");
  }
  if (request_.stall_timeout.count() == 0) return ok();
  // While our own source or sink is waited for, the peer cannot move anything.
  if (send_paused_ || receive_paused_ || over_) last_moved_ = now;
  if (now < last_moved_ + request_.stall_timeout) return ok();
  return fail(Errc::timeout, where + "nothing moves any more");
}

void CurlExchange::set_paused(bool& flag, bool paused) {
  flag = paused;
  if (!easy_) return;
  const int mask = (send_paused_ ? CURLPAUSE_SEND : 0) | (receive_paused_ ? CURLPAUSE_RECV : 0);
  curl_easy_pause(easy_.get(), mask);  // may call on_body, which may pause again
}

bool CurlExchange::handle(Event event) {
  if (event == Event::read_done) {
    reading_ = false;
    const Result<size_t> got = std::exchange(read_result_, std::nullopt).value();
    if (!got) return !fail_with(got.error());
    if (*got == 0) return !fail_with(fail(Errc::io_error, "the body to send ended early"));
    next_.position = 0;
    next_.size = *got;
    source_left_ -= std::min<uint64_t>(*got, source_left_);
    next_full_ = true;
    if (send_paused_ && !over_) set_paused(send_paused_, false);
    return false;
  }
  writing_ = false;
  draining_.clear();
  if (write_error_) return !fail_with(*write_error_);
  if (!arriving_.empty()) start_write();
  if (receive_paused_ && !over_) set_paused(receive_paused_, false);
  return over_ && !writing_;
}

bool CurlExchange::transfer_done(CURLcode code) {
  over_ = true;
  if (code != CURLE_OK && !refused_early_) {
    fail_with(error_for(code));
    return true;
  }
  if (!headers_ended_) {
    fail_with(fail(Errc::unavailable, "the connection was lost within the answer's header"));
    return true;
  }
  return !writing_;
}

Error CurlExchange::error_for(CURLcode code) const {
  const std::string where = request_.method + " " + std::string(host_of(request_.url)) + ": ";
  curl_off_t connected_after = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME_T, &connected_after);
  const bool connected = connected_after != 0;
  if (code == CURLE_OPERATION_TIMEDOUT) return fail(Errc::unavailable, where + "cannot connect");
  std::string why = where + curl_easy_strerror(code);
  if (is_distrust(code) && !tls_reason_.empty() && tls_reason_[0] != '\0') {
    why = where + tls_reason_.data();
  }
  // Also what libcurl says of a server that does not speak HTTP.
  const bool bad_url = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
  if (bad_url && !connected) return fail(Errc::bad_request, why);
  if (code == CURLE_OUT_OF_MEMORY) return fail(Errc::out_of_resources, why);
  return fail(Errc::unavailable, why);
}

Result<HttpClientResponse> CurlExchange::outcome() {
  if (failure_) return *failure_;
  response_.body = body_.finish();
  return std::move(response_);
}

void CurlExchange::finish(Result<HttpClientResponse> result) {
  if (request_.source && (reading_ || source_left_ > 0)) request_.source->abandon();
  {
    auto ending = ending_.lock();
    ending->result = std::move(result);
    if (ending->work_under_way > 0) return;  // the last of them completes
  }
  complete();
}

void CurlExchange::complete() {
  executor_.post([self = shared_from_this()] {
    Result<HttpClientResponse> result = std::move(*self->ending_.lock()->result);
    if (result.ok() && !std::exchange(self->headers_told_, true) && self->request_.on_headers) {
      self->request_.on_headers(result->status, result->headers);
    }
    self->done_.set(std::move(result));
  });
}

}  // namespace aster

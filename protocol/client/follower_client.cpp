#include "protocol/client/follower_client.h"

#include "protocol/checksum.h"
#include "protocol/envelope.h"
#include "protocol/object_key.h"

namespace aster {

using std::chrono::milliseconds;

namespace {

constexpr std::string_view kStorage = "/api/v1/internal/storage";
constexpr int kPageSize = 1000;
constexpr size_t kDeletesAtOnce = 8;  // of a follower that takes one in a call

std::string_view unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) {
    return etag.substr(1, etag.size() - 2);
  }
  return etag;
}

// A follower that does not take our credentials must not look like a user whose login is bad.
Error ours(Error error) {
  if (error.code == Errc::token_invalid || error.code == Errc::credentials_failed ||
      error.code == Errc::forbidden) {
    error.code = Errc::precondition_failed;
  }
  return error;
}

bool is_outcome_unknown(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout;
}

// A signed GET has no room for mistakes: what came must be the part that was asked for.
Result<ObjectBytes> check_part(const GetObject& asked, HttpClientResponse answer) {
  ObjectBytes out{.body = std::move(answer.body), .length = answer.body_length};
  if (!asked.range) {
    if (answer.status != 200) return fail(Errc::unavailable, "get object: part instead of all");
    out.object_size = out.length;
    return out;
  }
  const std::string* header = find_header(answer.headers, "Content-Range");
  const auto got = header ? parse_content_range(*header) : std::nullopt;
  if (answer.status != 206 || !got || got->range.offset != asked.range->offset ||
      got->range.length > asked.range->length || got->range.length != out.length) {
    return fail(Errc::unavailable, "get object: the answer is not the part that was asked for");
  }
  out.object_size = got->size;
  return out;
}

}  // namespace

/// One call. `safe` = may be repeated when its outcome is not known.
struct FollowerClient::Call {
  std::string method;
  std::string path;  ///< below kStorage, encoded
  QueryList query;
  std::string doing;  ///< for error texts
  milliseconds time{};
  bool safe = true;

  bool has_body = false;
  std::vector<Bytes> body;
  std::shared_ptr<ByteSource> source;
  uint64_t source_length = 0;
  HeaderList headers;

  std::chrono::seconds stall{0};
  std::shared_ptr<ByteSink> sink;
  std::function<void(int, const HeaderList&)> on_headers;
  uint64_t max_body = kMaxControlAnswer;

  void set_json(std::string text) {
    has_body = true;
    body = {Bytes::from_string(std::move(text))};
    headers.emplace_back("Content-Type", "application/json");
  }
  std::optional<uint64_t> content_length() const {
    if (source) return source_length;
    if (!has_body) return std::nullopt;
    uint64_t length = 0;
    for (const Bytes& piece : body) length += piece.size();
    return length;
  }
};

void FollowerEndpoint::adopt(const Capabilities& capabilities) {
  protocol_version = std::min(capabilities.version().value_or(1), kProtocolVersion);
  keeps_parts = capabilities.has(feature::kComposeKeepParts);
  checks_crc32c = capabilities.has(feature::kIngestCrc32c);
  signs_crc32c = capabilities.has(feature::kIngestCrc32cQuery);
  joins_ranges = capabilities.has(feature::kComposeRanges);
  deletes_many = capabilities.has(feature::kBatchDelete);
}

FollowerClient::FollowerClient(FollowerEndpoint endpoint, HttpClient& http, Executor& executor,
                               const Clock& clock, FollowerTimeouts timeouts, RetryPolicy retries)
    : endpoint_(std::move(endpoint)),
      base_(split_base_url(endpoint_.base_url)),
      signer_(endpoint_.credentials, clock),
      http_(http),
      executor_(executor),
      timeouts_(timeouts),
      retries_(retries) {}

// ---- requests

std::string FollowerClient::targets_path() const {
  return is_v5() ? "/targets" : "/ingress-profiles";
}

Result<std::string> FollowerClient::object_path(const std::string& key) const {
  ASTER_TRY(const std::string tail, encode_key(key));
  return "/objects/" + tail;
}

QueryList FollowerClient::base_query() const {
  if (!is_v5() || endpoint_.target_key.empty()) return {};
  return {{"target_key", endpoint_.target_key}};
}

QueryList FollowerClient::size_query(uint64_t max_size) const {
  QueryList query = base_query();
  if (is_v5()) query.emplace_back("max_file_size", std::to_string(max_size));
  return query;
}

std::string FollowerClient::target_of(const std::string& path, const QueryList& query) const {
  std::string target = base_.path + std::string(kStorage) + path;
  if (!query.empty()) target += '?' + form_encode(query);
  return target;
}

HttpClientRequest FollowerClient::build(const Call& call, milliseconds left) const {
  const std::string target = target_of(call.path, call.query);
  const auto length = call.content_length();
  HttpClientRequest request;
  request.method = call.method;
  request.url = base_.origin + target;
  request.headers = signer_.sign(call.method, target, length);
  request.headers.insert(request.headers.end(), call.headers.begin(), call.headers.end());
  request.body = call.body;
  request.source = call.source;
  request.source_length = call.source_length;
  request.send_empty_body = length == 0u;
  request.sink = call.sink;
  request.on_headers = call.on_headers;
  request.max_body = call.max_body;
  request.total_timeout = left;
  request.stall_timeout = call.stall;
  return request;
}

Task<Result<HttpClientResponse>> FollowerClient::send(Call call) {
  const milliseconds time = call.time;
  // What a source gave or a sink took cannot be taken back.
  const bool once = !call.safe || call.source || call.sink;
  const auto shared = std::make_shared<const Call>(std::move(call));
  RequestMaker make = [this, shared](milliseconds left) { return build(*shared, left); };
  const RetryPolicy policy = once ? RetryPolicy{.most_attempts = 1} : retries_;
  Result<HttpClientResponse> outcome =
      co_await send_with_retries(http_, executor_, policy, std::move(make), time, CancelToken());
  if (!outcome) {
    co_return fail(outcome.error().code, shared->doing + ": " + outcome.error().context);
  }
  co_return outcome;
}

Task<Result<HttpClientResponse>> FollowerClient::demand(Call call) {
  const std::string doing = call.doing;
  ASTER_CO_TRY(HttpClientResponse answer, co_await send(std::move(call)));
  if (answer.status / 100 != 2) {
    co_return ours(error_of_answer(answer.status, as_text(answer.body.view()), doing));
  }
  co_return answer;
}

Task<Result<std::string>> FollowerClient::ask(Call call) {
  const std::string doing = call.doing;
  const uint64_t limit = call.max_body;
  ASTER_CO_TRY(const HttpClientResponse answer, co_await demand(std::move(call)));
  auto envelope = decode_envelope(as_text(answer.body.view()), limit);
  if (!envelope || !envelope->success || envelope->data.empty()) {
    co_return fail(Errc::unavailable, doing + ": the answer cannot be read");
  }
  co_return std::move(envelope->data);
}

// ---- control

Task<Result<Capabilities>> FollowerClient::capabilities() {
  Call call{.method = "GET", .path = "/capabilities", .doing = "capabilities"};
  call.time = timeouts_.control;
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return parse_capabilities(data);
}

Task<Result<Capacity>> FollowerClient::capacity() {
  Call call{.method = "GET", .path = "/capacity", .query = base_query(), .doing = "capacity"};
  call.time = timeouts_.control;
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return from_json<Capacity>(data);
}

Task<Result<void>> FollowerClient::put_binding(BindingState state) {
  Call call{.method = "PUT", .path = "/binding", .doing = "put binding"};
  call.time = timeouts_.binding;
  call.set_json(to_json(state));
  ASTER_CO_TRY(const HttpClientResponse answer, co_await demand(std::move(call)));
  co_return ok();
}

Task<Result<std::vector<TargetInfo>>> FollowerClient::list_targets() {
  Call call{.method = "GET", .path = targets_path(), .doing = "list targets"};
  call.time = timeouts_.control;
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return from_json<std::vector<TargetInfo>>(data);
}

Task<Result<TargetInfo>> FollowerClient::create_target(TargetCreate target) {
  Call call{.method = "POST", .path = targets_path(), .doing = "create target", .safe = false};
  call.time = timeouts_.control;
  call.set_json(to_json(target, !is_v5()));
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return from_json<TargetInfo>(data);
}

Task<Result<TargetInfo>> FollowerClient::update_target(std::string key, TargetUpdate update) {
  Call call{.method = "PATCH", .path = targets_path(), .doing = "update target"};
  call.path += '/' + encode_target_key(key);
  call.time = timeouts_.control;
  call.set_json(to_json(update, !is_v5()));
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return from_json<TargetInfo>(data);
}

Task<Result<void>> FollowerClient::delete_target(std::string key) {
  Call call{.method = "DELETE", .path = targets_path(), .doing = "delete target", .safe = false};
  call.path += '/' + encode_target_key(key);
  call.time = timeouts_.control;
  ASTER_CO_TRY(const HttpClientResponse answer, co_await demand(std::move(call)));
  co_return ok();
}

// ---- objects

Task<Result<std::string>> FollowerClient::put_object(PutObject object) {
  Call call{.method = "PUT", .query = size_query(object.max_size), .doing = "put object"};
  ASTER_CO_TRY(call.path, object_path(object.key));
  call.time = timeouts_.bulk;
  call.stall = timeouts_.stall;
  call.has_body = true;
  call.body = std::move(object.body);
  call.source = std::move(object.source);
  call.source_length = object.source_length;
  if (object.crc32c && endpoint_.signs_crc32c) {
    call.query.emplace_back(kCrc32cQuery, crc32c_hex(*object.crc32c));
  } else if (object.crc32c && endpoint_.checks_crc32c) {
    call.headers.emplace_back(kCrc32cHeader, crc32c_hex(*object.crc32c));
  }
  ASTER_CO_TRY(const HttpClientResponse answer, co_await demand(std::move(call)));
  const std::string* etag = find_header(answer.headers, "ETag");
  co_return etag ? std::string(unquoted(*etag)) : std::string();
}

Task<Result<ObjectBytes>> FollowerClient::get_object(GetObject object) {
  Call call{.method = "GET", .query = base_query(), .doing = "get object"};
  ASTER_CO_TRY(call.path, object_path(object.key));
  if (object.range) {
    call.query.emplace_back("offset", std::to_string(object.range->offset));
    call.query.emplace_back("length", std::to_string(object.range->length));
  }
  call.time = timeouts_.bulk;
  call.stall = timeouts_.stall;
  call.sink = object.sink;
  call.on_headers = object.on_headers;
  call.max_body = object.max_body;
  ASTER_CO_TRY(HttpClientResponse answer, co_await demand(std::move(call)));
  co_return check_part(object, std::move(answer));
}

Task<Result<uint64_t>> FollowerClient::head_object(std::string key) {
  Call call{.method = "HEAD", .query = base_query(), .doing = "head object"};
  ASTER_CO_TRY(call.path, object_path(key));
  call.time = timeouts_.control;
  ASTER_CO_TRY(const HttpClientResponse answer, co_await demand(std::move(call)));
  const std::string* length = find_header(answer.headers, "Content-Length");
  const auto size = length ? parse_decimal<uint64_t>(*length) : std::nullopt;
  if (!size) co_return fail(Errc::unavailable, "head object: the answer has no length");
  co_return *size;
}

Task<Result<void>> FollowerClient::delete_object(std::string key) {
  Call call{.method = "DELETE", .query = base_query(), .doing = "delete object"};
  ASTER_CO_TRY(call.path, object_path(key));
  call.time = timeouts_.control;
  const Result<HttpClientResponse> answer = co_await demand(std::move(call));
  if (answer || answer.failed_with(Errc::not_found)) co_return ok();
  // A reference follower answers 500 when there is nothing to delete.
  const Result<uint64_t> still_there = co_await head_object(std::move(key));
  if (still_there.failed_with(Errc::not_found)) co_return ok();
  co_return answer.error();
}

Task<std::vector<Result<void>>> FollowerClient::delete_objects(std::vector<std::string> keys) {
  std::vector<Result<void>> out;
  if (!endpoint_.deletes_many) {
    for (size_t from = 0; from < keys.size(); from += kDeletesAtOnce) {
      std::vector<Task<Result<void>>> some;
      for (size_t i = from; i < std::min(keys.size(), from + kDeletesAtOnce); ++i) {
        some.push_back(delete_object(std::move(keys[i])));
      }
      const std::vector<Result<void>> done = co_await when_all(std::move(some));
      out.insert(out.end(), done.begin(), done.end());
    }
    co_return out;
  }
  for (size_t from = 0; from < keys.size(); from += kMostDeleted) {
    const auto begin = keys.begin() + static_cast<ptrdiff_t>(from);
    const size_t count = std::min(keys.size() - from, kMostDeleted);
    std::vector<std::string> some(begin, begin + static_cast<ptrdiff_t>(count));
    const std::vector<Result<void>> done = co_await delete_batch(std::move(some));
    out.insert(out.end(), done.begin(), done.end());
  }
  co_return out;
}

Task<std::vector<Result<void>>> FollowerClient::delete_batch(std::vector<std::string> keys) {
  std::vector<Result<void>> out(keys.size());
  BatchDelete wish{std::move(keys)};
  Call call{.method = "POST", .path = "/batch-delete", .query = base_query()};
  call.doing = "delete objects";
  call.time = timeouts_.bulk;
  call.set_json(to_json(wish));
  Result<std::string> data = co_await ask(std::move(call));
  Result<BatchDeleteAnswer> answer = fail(Errc::unavailable, "delete objects");
  if (data.ok()) answer = from_json<BatchDeleteAnswer>(*data);
  if (!data.ok()) answer = data.error();
  if (!answer.ok()) {
    out.assign(wish.keys.size(), Result<void>(answer.error()));
    co_return out;
  }
  for (const auto& failure : answer->failed) {
    const auto code = api_code_from_text(failure.code);
    const Error error{code ? info(*code).errc : Errc::unavailable,
                      "delete objects: " + failure.code + ": " + failure.message};
    for (size_t i = 0; i < wish.keys.size(); ++i) {
      if (wish.keys[i] == failure.key) out[i] = error;
    }
  }
  co_return out;
}

Task<Result<ObjectMetadata>> FollowerClient::metadata(std::string key) {
  Call call{.method = "GET", .query = base_query(), .doing = "object metadata"};
  ASTER_CO_TRY(call.path, object_path(key));
  call.path += "/metadata";
  call.time = timeouts_.control;
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  co_return from_json<ObjectMetadata>(data);
}

Task<Result<ObjectList>> FollowerClient::list(std::string prefix, std::optional<uint64_t> cursor) {
  Call call{.method = "GET", .path = "/objects", .query = base_query(), .doing = "list objects"};
  if (is_v5()) call.query.emplace_back("limit", std::to_string(kPageSize));
  if (!prefix.empty()) call.query.emplace_back("prefix", std::move(prefix));
  if (cursor) call.query.emplace_back("cursor", std::to_string(*cursor));
  call.time = timeouts_.control;
  call.max_body = kMaxListAnswer;
  ASTER_CO_TRY(const std::string data, co_await ask(std::move(call)));
  ASTER_CO_TRY(ObjectList page, from_json<ObjectList>(data));
  if (page.next_cursor && *page.next_cursor <= cursor.value_or(0)) {
    co_return fail(Errc::unavailable, "list objects: the cursor does not move on");
  }
  co_return page;
}

Task<Result<uint64_t>> FollowerClient::compose(Compose compose) {
  if (compose.keep_parts && !endpoint_.keeps_parts) {
    co_return fail(Errc::unsupported, "compose: the follower cannot keep the parts");
  }
  const bool ranges = !compose.part_ranges.empty();
  if (ranges && !endpoint_.joins_ranges) {
    co_return fail(Errc::unsupported, "compose: the follower cannot join pieces of objects");
  }
  Call call{.method = "POST", .path = "/compose", .query = size_query(compose.max_size)};
  call.doing = "compose";
  if (compose.keep_parts) call.query.emplace_back("keep_parts", "true");
  call.safe =
      compose.keep_parts || ranges;  // else the parts are gone after a success that we did not see
  call.time = timeouts_.bulk;
  call.set_json(to_json(ComposeRequest{.target_key = compose.key,
                                       .part_keys = std::move(compose.part_keys),
                                       .part_ranges = std::move(compose.part_ranges),
                                       .expected_size = static_cast<int64_t>(compose.size)}));
  const Result<std::string> data = co_await ask(std::move(call));
  if (data) {
    ASTER_CO_TRY(const ComposeAnswer answer, from_json<ComposeAnswer>(*data));
    co_return answer.bytes_written;
  }
  if (!is_outcome_unknown(data.error())) co_return data.error();
  const Result<ObjectMetadata> made = co_await metadata(compose.key);
  if (made && made->size == compose.size) co_return made->size;
  co_return data.error();
}

// ---- presigned

Result<std::string> FollowerClient::presign_get(const std::string& key, int64_t expires,
                                                const DownloadHeaders& headers) const {
  ASTER_TRY(const std::string path, object_path(key));
  QueryList query = base_query();
  const auto add = [&query](const char* name, const std::string& value) {
    if (!value.empty()) query.emplace_back(name, value);
  };
  add("response-cache-control", headers.cache_control);
  add("response-content-disposition", headers.content_disposition);
  add("response-content-type", headers.content_type);
  return base_.origin + signer_.presign("GET", target_of(path, query), expires);
}

Result<std::string> FollowerClient::presign_put(const std::string& key, int64_t expires,
                                                uint64_t max_size) const {
  ASTER_TRY(const std::string path, object_path(key));
  return base_.origin + signer_.presign("PUT", target_of(path, size_query(max_size)), expires);
}

}  // namespace aster

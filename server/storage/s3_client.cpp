#include "server/storage/s3_client.h"

#include <atomic>

#include "protocol/base/log.h"
#include "protocol/checksum.h"
#include "protocol/client/retry_policy.h"
#include "server/storage/s3_error.h"

namespace aster::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long one call may take in all: a part of some MiB over the slowest link that makes sense.
constexpr milliseconds kMostTime = std::chrono::minutes(10);
// Services join and copy many GiB before they answer.
constexpr seconds kServerWork{300};
constexpr RetryPolicy kBackOff{.first = milliseconds(100), .most_attempts = 4};

std::string range_of(const S3Client::Piece& piece) {
  return "bytes=" + std::to_string(piece.offset) + "-" +
         std::to_string(piece.offset + piece.length - 1);
}

std::string_view body_of(const HttpClientResponse& answer) {
  return as_text(answer.body.view());
}

/// Lets the body through when its head says that it is the range asked for: a service that ignores
/// ranges would give other bytes.
class RangeGate final : public ByteSink {
 public:
  RangeGate(std::shared_ptr<ByteSink> sink, const S3Client::Piece& piece)
      : sink_(std::move(sink)), wanted_("bytes " + range_of(piece).substr(6) + "/") {}

  /// Comes before the first piece.
  void see(int status, const HeaderList& headers) {
    const std::string* range = find_header(headers, "Content-Range");
    right_ = status == 206 && range && range->starts_with(wanted_);
  }
  Task<Result<void>> write(ByteView piece) override {
    if (!right_) co_return refusal();
    Result<void> written = co_await sink_->write(piece);
    co_return written;
  }
  Result<void> outcome() const {
    if (!right_) return refusal();
    return ok();
  }

 private:
  static Error refusal() {
    return fail(Errc::io_error, "S3: the service does not give the range asked for");
  }
  const std::shared_ptr<ByteSink> sink_;
  const std::string wanted_;
  bool right_ = false;
};

/// Only the service's own word: a lost answer to HEAD has no length either.
Result<uint64_t> length_of(const HttpClientResponse& answer) {
  const std::string* text = find_header(answer.headers, "Content-Length");
  const auto size = text ? parse_decimal<uint64_t>(*text) : std::nullopt;
  if (!size) return fail(Errc::io_error, "S3: an object without a length");
  return *size;
}

std::string header_or_empty(const HttpClientResponse& answer, std::string_view name) {
  const std::string* value = find_header(answer.headers, name);
  return value ? *value : std::string();
}

}  // namespace

S3Client::S3Client(HttpClient& http, Executor& executor, S3Address address, std::string access_key,
                   std::string secret_key)
    : http_(http), executor_(executor), address_(std::move(address)) {
  *identity_.lock() = std::make_shared<const sign::S3Identity>(
      sign::S3Identity{std::move(access_key), std::move(secret_key), address_.region()});
}

HttpClientRequest S3Client::request(const Call& call, const std::string& digest) const {
  HttpClientRequest out;
  out.method = call.method;
  out.url = address_.url(call.key, call.query);
  const std::shared_ptr<const sign::S3Identity> identity = *identity_.lock();
  out.headers = sign::sign_s3(*identity, {call.method, out.url, call.headers, digest},
                              SystemClock().now_seconds());
  if (!call.body.empty()) out.body = {call.body};
  out.send_empty_body = call.method == "PUT" || call.method == "POST";
  out.sink = call.sink;
  out.on_headers = call.on_headers;
  // A transfer may take as long as it moves; all else has an end.
  out.total_timeout = call.sink ? milliseconds(0) : kMostTime;
  out.stall_timeout = call.stall;
  return out;
}

/// The same call until an outcome is final.
Task<Result<S3Client::Answer>> S3Client::attempt(std::shared_ptr<const Call> call,
                                                 std::string digest) {
  RetryPolicy policy = kBackOff;
  policy.most_attempts = call->attempts;
  const auto sent = std::make_shared<std::atomic<unsigned>>(0);
  const RequestMaker make = [this, call, digest, sent](milliseconds) {
    ++*sent;
    return request(*call, digest);
  };
  Answer answer;
  for (unsigned round = 0;; ++round) {
    ASTER_CO_TRY(answer.http, co_await send_with_retries(http_, executor_, policy, make, kMostTime,
                                                         call->cancel));
    answer.attempts = *sent;
    // Of these services a 500 is passing as well.
    if (answer.http.status != 500 || round + 1 >= call->attempts) co_return answer;
    co_await executor_.sleep(policy.delay(round, 1.0));
  }
}

Task<Result<S3Client::Answer>> S3Client::send(Call call) {
  co_await executor_.hop();
  const std::string digest = to_hex(sha256(call.body.view()));
  const auto shared = std::make_shared<const Call>(std::move(call));
  ASTER_CO_TRY(Answer answer, co_await attempt(shared, digest));
  const std::string region = s3_wanted_region(answer.http);
  if (region.empty()) co_return answer;
  {
    auto identity = identity_.lock();
    if ((*identity)->region == region) co_return answer;
    sign::S3Identity other = **identity;
    other.region = region;
    *identity = std::make_shared<const sign::S3Identity>(std::move(other));
  }
  ASTER_LOG(info, "s3_region_learned", {"bucket", address_.bucket()}, {"region", region});
  Result<Answer> again = co_await attempt(shared, digest);
  co_return again;
}

Error S3Client::failure(const Call& call, const HttpClientResponse& answer) const {
  const std::shared_ptr<const sign::S3Identity> identity = *identity_.lock();
  const std::string where = call.key.empty() ? "bucket " + address_.bucket() : call.key;
  return s3_failure(answer, call.method + " " + where, *identity);
}

Task<Result<HttpClientResponse>> S3Client::call(Call call) {
  const Call kept = call;
  ASTER_CO_TRY(Answer answer, co_await send(std::move(call)));
  if (answer.http.status / 100 != 2) co_return failure(kept, answer.http);
  co_return std::move(answer.http);
}

Task<Result<void>> S3Client::check_bucket() {
  Call call{.method = "HEAD"};
  ASTER_CO_TRY(const Answer answer, co_await send(std::move(call)));
  if (answer.http.status != 404) co_return ok();  // also where we may not look at it
  co_return fail(Errc::precondition_failed,
                 "S3: there is no bucket " + address_.bucket() + " at the endpoint");
}

Task<Result<S3Client::Head>> S3Client::head(std::string key) {
  Call call{.method = "HEAD", .key = std::move(key)};
  const Call kept = call;
  ASTER_CO_TRY(const Answer answer, co_await send(std::move(call)));
  if (answer.http.status == 404) {
    // The answer has no body to say what is missing. A lost bucket must not read as lost objects.
    ASTER_CO_TRY(co_await check_bucket());
    co_return fail(Errc::not_found, kept.key);
  }
  if (answer.http.status / 100 != 2) co_return failure(kept, answer.http);
  Head head;
  ASTER_CO_TRY(head.size, length_of(answer.http));
  head.etag = header_or_empty(answer.http, "ETag");
  head.content_type = header_or_empty(answer.http, "Content-Type");
  co_return head;
}

Task<Result<void>> S3Client::get(Piece piece, std::shared_ptr<ByteSink> sink, CancelToken cancel) {
  const auto gate = std::make_shared<RangeGate>(std::move(sink), piece);
  Call wish{.key = piece.key,
            .headers = {{"Range", range_of(piece)}},
            .sink = gate,
            .on_headers = [gate](int status, const HeaderList& h) { gate->see(status, h); },
            .attempts = 1,
            .cancel = cancel};
  if (!piece.etag.empty()) wish.headers.emplace_back("If-Match", piece.etag);
  ASTER_CO_TRY(co_await call(std::move(wish)));
  co_return gate->outcome();
}

Task<Result<void>> S3Client::put(std::string key, Bytes body) {
  Call wish{.method = "PUT",
            .key = std::move(key),
            .headers = {{"Content-Type", "application/octet-stream"}},
            .body = std::move(body)};
  ASTER_CO_TRY(co_await call(std::move(wish)));
  co_return ok();
}

Task<Result<void>> S3Client::remove(std::string key) {
  Call wish{.method = "DELETE", .key = std::move(key)};
  const auto answer = co_await call(std::move(wish));
  if (answer.failed_with(Errc::not_found)) co_return ok();
  if (!answer.ok()) co_return answer.error();
  co_return ok();
}

Task<Result<S3KeyPage>> S3Client::list(std::string prefix, std::string after, uint64_t limit) {
  Call wish{.query = {{"list-type", "2"},
                      {"encoding-type", "url"},
                      {"max-keys", std::to_string(limit)},
                      {"prefix", std::move(prefix)}}};
  if (!after.empty()) wish.query.emplace_back("start-after", std::move(after));
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  co_return parse_s3_keys(body_of(answer));
}

Task<Result<void>> S3Client::copy(std::string source, std::string source_etag, std::string key) {
  Call wish{.method = "PUT",
            .key = std::move(key),
            .headers = {{"x-amz-copy-source", address_.copy_source(source)},
                        {"x-amz-copy-source-if-match", std::move(source_etag)}},
            .stall = kServerWork};
  const Call kept = wish;
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  // A failure after the head was sent stands in the body of a 200.
  if (!parse_s3_copy(body_of(answer)).ok()) co_return failure(kept, answer);
  co_return ok();
}

Task<Result<S3Client::Upload>> S3Client::begin_upload(std::string key) {
  Call wish{.method = "POST",
            .key = key,
            .query = {{"uploads", ""}},
            .headers = {{"Content-Type", "application/octet-stream"}}};
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  ASTER_CO_TRY(std::string id, parse_s3_upload_id(body_of(answer)));
  co_return Upload{std::move(key), std::move(id)};
}

Task<Result<std::string>> S3Client::put_part(Upload upload, size_t number, Bytes body,
                                             CancelToken cancel) {
  Call wish{.method = "PUT",
            .key = std::move(upload.key),
            .query = {{"partNumber", std::to_string(number)}, {"uploadId", upload.id}},
            .body = std::move(body),
            .cancel = cancel};
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  std::string etag = header_or_empty(answer, "ETag");
  if (etag.empty()) co_return fail(Errc::io_error, "S3: a part without an ETag");
  co_return etag;
}

Task<Result<std::string>> S3Client::copy_part(Upload upload, size_t number, Piece source) {
  Call wish{.method = "PUT",
            .key = std::move(upload.key),
            .query = {{"partNumber", std::to_string(number)}, {"uploadId", upload.id}},
            .headers = {{"x-amz-copy-source", address_.copy_source(source.key)},
                        {"x-amz-copy-source-if-match", source.etag},
                        {"x-amz-copy-source-range", range_of(source)}},
            .stall = kServerWork};
  const Call kept = wish;
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  const Result<std::string> etag = parse_s3_copy(body_of(answer));
  if (!etag.ok() || etag->empty()) co_return failure(kept, answer);
  co_return *etag;
}

Task<Result<void>> S3Client::complete(Upload upload, std::vector<std::string> etags,
                                      uint64_t size) {
  Call wish{.method = "POST",
            .key = upload.key,
            .query = {{"uploadId", upload.id}},
            .headers = {{"Content-Type", "application/xml"}},
            .body = Bytes::from_string(s3_completion(etags)),
            .stall = kServerWork};
  const Call kept = wish;
  ASTER_CO_TRY(const Answer answer, co_await send(std::move(wish)));
  // A failure while it joins the parts stands in the body of a 200.
  const bool refused =
      answer.http.status / 100 != 2 || !parse_s3_error(body_of(answer.http)).code.empty();
  if (!refused) co_return ok();
  const Error error = failure(kept, answer.http);
  if (error.code != Errc::stale_handle || answer.attempts < 2) co_return error;
  // The first attempt's answer was lost; if it had worked, the upload is gone for that reason.
  const auto made = co_await head(upload.key);
  if (made.ok() && made->size == size) co_return ok();
  co_return error;
}

Task<Result<void>> S3Client::abort(Upload upload) {
  Call wish{.method = "DELETE", .key = std::move(upload.key), .query = {{"uploadId", upload.id}}};
  const auto answer = co_await call(std::move(wish));
  if (answer.failed_with(Errc::stale_handle)) co_return ok();
  if (!answer.ok()) co_return answer.error();
  co_return ok();
}

Task<Result<S3UploadPage>> S3Client::uploads(std::string prefix, std::string key_marker,
                                             std::string id_marker) {
  Call wish{.query = {{"uploads", ""}, {"encoding-type", "url"}, {"prefix", std::move(prefix)}}};
  if (!key_marker.empty()) wish.query.emplace_back("key-marker", std::move(key_marker));
  if (!id_marker.empty()) wish.query.emplace_back("upload-id-marker", std::move(id_marker));
  ASTER_CO_TRY(const HttpClientResponse answer, co_await call(std::move(wish)));
  co_return parse_s3_uploads(body_of(answer));
}

}  // namespace aster::storage

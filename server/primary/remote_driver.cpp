#include "server/primary/remote_driver.h"

#include "protocol/http_text.h"
#include "server/storage/body_pipe.h"

namespace aster::primary {
namespace {

/// "bytes=S-E" and "bytes=S-", which need no knowledge of the object's size; nullopt for the rest.
std::optional<ByteRange> plain_range(std::string_view header) {
  std::string_view text = trim(header);
  if (!text.starts_with("bytes=")) return std::nullopt;
  text.remove_prefix(6);
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_decimal<int64_t>(text.substr(0, dash));
  if (!first || *first < 0) return std::nullopt;
  const auto start = static_cast<uint64_t>(*first);
  const std::string_view end = text.substr(dash + 1);
  if (end.empty()) return ByteRange{start, INT64_MAX - start};
  const auto last = parse_decimal<int64_t>(end);
  if (!last || *last < *first) return std::nullopt;
  return ByteRange{start, static_cast<uint64_t>(*last) - start + 1};
}

/// What the head of a follower's answer says of the body to come.
Result<ObjectBody> body_of_head(int status, const HeaderList& headers) {
  ObjectBody body;
  if (status == 206) {
    const std::string* header = find_header(headers, "Content-Range");
    const auto range = header != nullptr ? parse_content_range(*header) : std::nullopt;
    if (!range) return fail(Errc::unavailable, "the follower's answer has no Content-Range");
    body.partial = true;
    body.range = range->range;
    body.size = range->size;
    return body;
  }
  const std::string* header = find_header(headers, "Content-Length");
  const auto length = header != nullptr ? parse_decimal<uint64_t>(*header) : std::nullopt;
  if (!length) return fail(Errc::unavailable, "the follower's answer has no length");
  body.size = *length;
  body.range = {0, *length};
  return body;
}

/// Keeps the client alive as long as its call.
Task<Result<ObjectBytes>> fetch(std::shared_ptr<FollowerClient> client, GetObject get) {
  co_return co_await client->get_object(std::move(get));
}

}  // namespace

RemoteDriver::RemoteDriver(std::shared_ptr<FollowerClient> client, const Policy& policy,
                           Executor& executor)
    : client_(std::move(client)),
      base_path_(policy.base_path),
      max_file_size_(policy.max_file_size),
      executor_(executor) {}

Task<Result<void>> RemoteDriver::put(ObjectId object, ObjectUpload upload) {
  PutObject call;
  call.key = key(object);
  call.source = std::move(upload.body);
  call.source_length = upload.length;
  call.crc32c = upload.crc32c;
  call.max_size = max_file_size_;
  ASTER_CO_TRY(const std::string etag, co_await client_->put_object(std::move(call)));
  co_return ok();
}

Task<ApiResult<ObjectBody>> RemoteDriver::open(ObjectId object, WantedRange wanted) {
  ASTER_CO_TRY(const std::optional<ByteRange> range,
               co_await part_of(key(object), std::move(wanted)));
  co_return co_await begin(key(object), range);
}

Task<ApiResult<std::optional<ByteRange>>> RemoteDriver::part_of(std::string key,
                                                                WantedRange wanted) {
  std::optional<ByteRange> range;
  if (!wanted.header) co_return range;
  range = plain_range(*wanted.header);
  if (range) co_return range;
  ASTER_CO_TRY(const uint64_t size, co_await client_->head_object(std::move(key)));
  RangeRequest request;
  request.header = *wanted.header;
  co_return resolve_range(request, size);
}

Task<ApiResult<ObjectBody>> RemoteDriver::begin(std::string key, std::optional<ByteRange> range) {
  const auto pipe = std::make_shared<storage::BodyPipe>(executor_);
  Completion<Result<ObjectBody>> begun;
  GetObject get;
  get.key = std::move(key);
  get.range = range;
  get.sink = std::make_shared<storage::PipeSink>(pipe);
  get.on_headers = [begun](int status, const HeaderList& headers) {
    if (status / 100 == 2) begun.set(body_of_head(status, headers));
  };
  start<Result<ObjectBytes>>(fetch(client_, std::move(get)),
                             [begun, pipe](Result<ObjectBytes> outcome) {
                               Result<void> end;
                               if (!outcome.ok()) end = outcome.error();
                               if (!outcome.ok()) begun.set(outcome.error());
                               pipe->finish(std::move(end));
                             });
  auto source = std::make_shared<storage::PipeSource>(pipe);
  Result<ObjectBody> head = co_await begun;
  co_await executor_.hop();  // off the thread that reads the follower's answer
  if (!head.ok()) co_return std::move(head).error();
  head->bytes = std::shared_ptr<ByteSource>(std::move(source));
  co_return std::move(*head);
}

Task<Result<uint64_t>> RemoteDriver::stat(ObjectId object) {
  ASTER_CO_TRY(const ObjectMetadata found, co_await client_->metadata(key(object)));
  co_return found.size;
}

Task<Result<void>> RemoteDriver::remove(ObjectId object) {
  co_return co_await client_->delete_object(key(object));
}

Task<std::vector<Result<void>>> RemoteDriver::remove_many(std::vector<ObjectId> objects) {
  std::vector<std::string> keys;
  for (const ObjectId& object : objects) keys.push_back(key(object));
  co_return co_await client_->delete_objects(std::move(keys));
}

Task<Result<ObjectBackends::Composed>> RemoteDriver::compose(ObjectId target,
                                                             std::vector<ObjectId> parts,
                                                             uint64_t expected_size) {
  Compose call;
  call.key = key(target);
  for (const ObjectId& part : parts) call.part_keys.push_back(key(part));
  call.size = expected_size;
  call.max_size = max_file_size_;
  call.keep_parts = client_->endpoint().keeps_parts;
  const bool kept = call.keep_parts;
  ASTER_CO_TRY(const uint64_t size, co_await client_->compose(std::move(call)));
  co_return ObjectBackends::Composed{.size = size, .parts_kept = kept};
}

Task<Result<uint64_t>> RemoteDriver::join_pieces(ObjectId target,
                                                 std::vector<ObjectBackends::Piece> pieces) {
  Compose call;
  call.key = key(target);
  for (const ObjectBackends::Piece& piece : pieces) {
    call.part_ranges.push_back({key(piece.object), piece.offset, piece.length});
    call.size += piece.length;
  }
  call.max_size = max_file_size_;
  co_return co_await client_->compose(std::move(call));
}

Task<Result<ObjectBackends::Capacity>> RemoteDriver::capacity() {
  ASTER_CO_TRY(const Capacity found, co_await client_->capacity());
  if (!found.total_bytes || !found.available_bytes) {
    co_return fail(Errc::unsupported, "the follower does not say its capacity");
  }
  co_return ObjectBackends::Capacity{
      .total = static_cast<uint64_t>(std::max<int64_t>(0, *found.total_bytes)),
      .free = static_cast<uint64_t>(std::max<int64_t>(0, *found.available_bytes))};
}

Result<std::optional<std::string>> RemoteDriver::presigned_url(std::string_view method,
                                                               const ObjectId& object,
                                                               int64_t expires) const {
  if (method == "PUT") {
    ASTER_TRY(std::string url, client_->presign_put(key(object), expires, max_file_size_));
    return std::optional(std::move(url));
  }
  ASTER_TRY(std::string url, client_->presign_get(key(object), expires));
  return std::optional(std::move(url));
}

}  // namespace aster::primary

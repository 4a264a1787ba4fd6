#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"
#include "protocol/sign/s3_signature.h"
#include "server/storage/s3_address.h"
#include "server/storage/s3_xml.h"

namespace aster::storage {

/// The calls of the S3 protocol on one bucket, signed, repeated where that is safe. Keys are whole
/// (with every prefix). Learns the region when the service names another one. Errors as in
/// s3_failure(), besides those of HttpClient. Thread-safe; http and executor must outlive its
/// tasks.
class S3Client {
 public:
  S3Client(HttpClient& http, Executor& executor, S3Address address, std::string access_key,
           std::string secret_key);

  struct Head {
    uint64_t size = 0;
    std::string etag;
    std::string content_type;
  };
  /// not_found also for what the service shows as a folder; a missing bucket is not that.
  Task<Result<Head>> head(std::string key);
  /// [offset, offset + length) of the version with this ETag. One attempt: who knows how much the
  /// sink got goes on from there.
  struct Piece {
    std::string key;
    std::string etag;
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  Task<Result<void>> get(Piece piece, std::shared_ptr<ByteSink> sink, CancelToken cancel);
  Task<Result<void>> put(std::string key, Bytes body);
  /// Fine when there is none.
  Task<Result<void>> remove(std::string key);
  /// At most `limit` (1 to 1000) keys that begin with `prefix` and stand after `after`.
  Task<Result<S3KeyPage>> list(std::string prefix, std::string after, uint64_t limit);
  /// At most 5 GiB; stale_version when the source is another one.
  Task<Result<void>> copy(std::string source, std::string source_etag, std::string key);

  struct Upload {
    std::string key;
    std::string id;
  };
  Task<Result<Upload>> begin_upload(std::string key);
  /// Answers the part's ETag. `number` from 1.
  Task<Result<std::string>> put_part(Upload upload, size_t number, Bytes body, CancelToken cancel);
  Task<Result<std::string>> copy_part(Upload upload, size_t number, Piece source);
  /// Makes the object of `size` bytes of the parts 1, 2, 3 ...
  Task<Result<void>> complete(Upload upload, std::vector<std::string> etags, uint64_t size);
  /// Fine when it is gone.
  Task<Result<void>> abort(Upload upload);
  /// Unfinished ones whose keys begin with `prefix`, from the markers of the page before on.
  Task<Result<S3UploadPage>> uploads(std::string prefix, std::string key_marker,
                                     std::string id_marker);

  const S3Address& address() const noexcept { return address_; }

 private:
  struct Call {
    std::string method = "GET";
    std::string key;
    QueryList query;
    HeaderList headers;
    Bytes body;
    std::shared_ptr<ByteSink> sink;
    std::function<void(int, const HeaderList&)> on_headers;
    unsigned attempts = 4;
    std::chrono::seconds stall{60};  ///< without a byte moving
    CancelToken cancel;
  };
  struct Answer {
    HttpClientResponse http;
    unsigned attempts = 0;  ///< that were sent
  };
  Task<Result<Answer>> send(Call call);
  Task<Result<Answer>> attempt(std::shared_ptr<const Call> call, std::string digest);
  HttpClientRequest request(const Call& call, const std::string& digest) const;
  /// send(), and every status but 2xx is a failure.
  Task<Result<HttpClientResponse>> call(Call call);
  Error failure(const Call& call, const HttpClientResponse& answer) const;
  Task<Result<void>> check_bucket();

  HttpClient& http_;
  Executor& executor_;
  const S3Address address_;
  Guarded<std::shared_ptr<const sign::S3Identity>> identity_;  ///< its region may change
};

}  // namespace aster::storage

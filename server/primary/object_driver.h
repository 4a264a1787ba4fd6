#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/api_error.h"
#include "protocol/byte_range.h"
#include "server/http/http.h"
#include "server/primary/object_backend.h"

namespace aster::primary {

/// Part of a stored object on its way out.
struct ObjectBody {
  uint64_t size = 0;  ///< of the whole object
  ByteRange range;    ///< what the body holds; empty length for an empty object
  bool partial = false;
  std::variant<http::FileBody, std::shared_ptr<ByteSource>> bytes;
};

/// Exactly `length` bytes to store.
struct ObjectUpload {
  std::shared_ptr<ByteSource> body;
  uint64_t length = 0;
  std::optional<uint32_t> crc32c;  ///< of all of it, when the sender said so; checked before commit
};

/// Which part of an object a reader wants.
struct WantedRange {
  std::optional<std::string> header;  ///< `Range`; nullopt = all of it
};

/// The objects of one policy, by whatever way its driver has. Thread-safe; cheap to make.
class ObjectDriver {
 public:
  virtual ~ObjectDriver() = default;

  /// Durable when answered. Nothing is visible after a failure; corrupt when the checksum differs.
  virtual Task<Result<void>> put(ObjectId object, ObjectUpload upload) = 0;
  /// not_found; bad_request for a range that is not there.
  virtual Task<ApiResult<ObjectBody>> open(ObjectId object, WantedRange wanted) = 0;
  virtual Task<Result<uint64_t>> stat(ObjectId object) = 0;
  /// Missing objects count as removed.
  virtual Task<Result<void>> remove(ObjectId object) = 0;
  /// remove() of each, in order; in few calls where the storage can.
  virtual Task<std::vector<Result<void>>> remove_many(std::vector<ObjectId> objects) {
    std::vector<Task<Result<void>>> each;
    for (ObjectId& object : objects) each.push_back(remove(object));
    co_return co_await when_all(std::move(each));
  }
  virtual Task<Result<ObjectBackends::Composed>> compose(ObjectId target,
                                                         std::vector<ObjectId> parts,
                                                         uint64_t expected_size) = 0;
  /// See ObjectBackends.
  virtual bool joins_pieces() const = 0;
  virtual Task<Result<uint64_t>> join_pieces(ObjectId target,
                                             std::vector<ObjectBackends::Piece> pieces) = 0;
  virtual Task<Result<ObjectBackends::Capacity>> capacity() = 0;
  /// An absolute URL that needs no primary; nullopt when this driver has none.
  virtual Result<std::optional<std::string>> presigned_url(std::string_view method,
                                                           const ObjectId& object,
                                                           int64_t expires) const = 0;
};

/// The one name of an object below a policy's base path.
std::string object_name(const std::string& base_path, const ObjectId& object);

}  // namespace aster::primary

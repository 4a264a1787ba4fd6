#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/task.h"
#include "protocol/base/unique_handle.h"
#include "protocol/client/http_client.h"

/// Where objects lie. Drivers know nothing of HTTP, namespaces or digests.
namespace aster::storage {

/// A new object that nobody sees yet. Used by one caller at a time. When it goes without commit(),
/// whatever was written goes too.
class StagedObject {
 public:
  virtual ~StagedObject() = default;
  /// Appends. no_space, io_error; the object can only be dropped then.
  virtual Task<Result<void>> write(ByteView piece) = 0;
  /// Makes it visible under its path, whole, in place of what was there. When the task is done the
  /// object survives a crash of the machine; after a failure the path holds what it held before,
  /// or the whole new object.
  virtual Task<Result<void>> commit() = 0;
};

/// One version of an object, open for reading. When it is replaced or removed meanwhile, `fd` still
/// gives the old bytes; `stream` gives them or fails (stale_version, not_found), never a mixture.
struct OpenObject {
  uint64_t size = 0;
  std::optional<std::string> content_type;
  UniqueFd fd;  ///< the bytes, for a driver that keeps files
  /// For the other drivers: bytes [offset, offset + length).
  std::function<std::shared_ptr<ByteSource>(uint64_t offset, uint64_t length)> stream;
};

struct ListPage {
  std::vector<std::string> paths;  ///< sorted bytewise
  bool more = false;
};

struct Capacity {
  uint64_t total = 0;
  uint64_t available = 0;  ///< to this program
  uint64_t used = 0;
  std::string source;  ///< e.g. "local_filesystem"
};

/// A piece of an object.
struct ObjectPiece {
  std::string path;
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct ComposeOptions {
  uint64_t expected_size = 0;
  bool keep_parts = false;
};

/// Driver of one storage place. Paths are normalised: relative, '/' between segments, no empty, '.'
/// or '..' segment. Thread-safe. Tasks go on on the driver's own threads, or
/// where they began when nothing had to be waited for.
class IngressTarget {
 public:
  virtual ~IngressTarget() = default;

  /// Exactly `size` bytes must be written before the commit.
  virtual Task<Result<std::unique_ptr<StagedObject>>> stage(std::string path, uint64_t size) = 0;
  /// not_found, also for what is no object (a folder).
  virtual Task<Result<OpenObject>> open(std::string path) = 0;
  /// Bytes; not_found as open().
  virtual Task<Result<uint64_t>> stat(std::string path) = 0;
  /// not_found when there is none.
  virtual Task<Result<void>> remove(std::string path) = 0;
  /// Objects below the folder `prefix`, at any depth: [offset, offset + limit) of the sorted list.
  /// Empty for a prefix that is no folder. Pages that follow each other closely may come from one
  /// snapshot: what is removed meanwhile does not shift them.
  virtual Task<Result<ListPage>> list(std::string prefix, uint64_t offset, uint64_t limit) = 0;
  /// unsupported for a driver that cannot say.
  virtual Task<Result<Capacity>> capacity() = 0;
  /// Joins the parts, in order, into `path` with the promise of StagedObject::commit(). Parts are
  /// removed after success unless they are to be kept. A missing part is not_found, another total
  /// than expected corrupt; nothing is changed then.
  virtual Task<Result<uint64_t>> compose(std::string path, std::vector<std::string> parts,
                                         ComposeOptions options) = 0;

  /// Joins pieces of objects, which stay, into `path` with the promise of StagedObject::commit().
  /// not_found for a missing object, bad_request for a piece that is not all there; nothing is
  /// changed then. A driver without a better way reads and stages.
  virtual Task<Result<uint64_t>> join_pieces(std::string path, std::vector<ObjectPiece> pieces);
  /// remove() of each, in order. A driver without a better way does some at a time.
  virtual Task<std::vector<Result<void>>> remove_many(std::vector<std::string> paths);
};

/// bad_request unless the piece has bytes and all of them lie within an object of `size` bytes.
Result<void> check_piece(const ObjectPiece& piece, uint64_t size);
/// bad_request when no object can be that long.
Result<uint64_t> total_length(const std::vector<ObjectPiece>& pieces);

}  // namespace aster::storage

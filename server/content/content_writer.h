#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "server/content/object_places.h"
#include "server/primary/namespace_service.h"

namespace aster::content {

/// A body that is to become (part of) a file.
struct Incoming {
  std::shared_ptr<ByteSource> body;
  std::optional<uint64_t> length;  ///< exactly this many bytes come; nullopt: until the body ends
  uint64_t limit = UINT64_MAX;     ///< more is too_large
  uint64_t offset = 0;             ///< of the first byte in the file
};

/// Durable objects that no file names yet; nobody commits them: they are collected after a day.
struct Uploaded {
  uint64_t size = 0;  ///< bytes that came
  std::vector<fs::Extent> extents;
  std::vector<fs::NewObject> objects;
};

struct CommitOptions {
  std::optional<uint64_t> base;   ///< stale_version when the file has another data_version
  std::optional<int64_t> mtime;   ///< default: now
  std::optional<OperationId> id;  ///< for done_before()
};

/// Writes files the way a mount does: parts to the storage of the policy, then a commit. A body of
/// known length is never held in memory; one of unknown length is, a piece at a time, out of one
/// budget for all. Thread-safe; outlives its tasks.
class ContentWriter {
 public:
  ContentWriter(primary::NamespaceService& namespaces, ObjectPlaces& places, Executor& executor);

  /// `near` is the file that the bytes are for, or the directory that it will be in. `file_size` is
  /// what is known of the whole file; it chooses the policy.
  Task<Result<Uploaded>> upload(primary::Caller caller, InodeNo near, Incoming incoming,
                                uint64_t file_size);
  /// The file's content becomes exactly what was uploaded, for every reader at once.
  Task<Result<fs::Attr>> replace(primary::Caller caller, InodeNo file, Uploaded content,
                                 CommitOptions options);
  /// A new file of this content, owned as its directory is; the name appears with all of it or not
  /// at all. `exists` when it is taken.
  Task<Result<fs::Attr>> create(primary::Caller caller, fs::Attr parent, std::string name,
                                Uploaded content, CommitOptions options);
  /// What was answered within a day when this id was done, perhaps to nobody: the server may have
  /// been killed. nullopt when it was not.
  Task<std::optional<fs::Attr>> done_before(primary::Caller caller, OperationId id);

 private:
  struct Upload;
  /// Asks for grants when there are none left; `at_hand` bytes follow what was stored.
  Task<Result<void>> refill(Upload& upload, uint64_t at_hand);
  Task<Result<void>> send_streamed(Upload& upload);
  Task<Result<void>> send_buffered(Upload& upload);
  Task<Result<void>> store(Upload& upload, primary::ObjectUpload body,
                           std::shared_ptr<void> keep_alive);

  primary::NamespaceService& namespaces_;
  ObjectPlaces& places_;
  AsyncBudget budget_;
};

}  // namespace aster::content

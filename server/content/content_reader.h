#pragma once

#include <memory>

#include "protocol/base/executor.h"
#include "server/content/object_places.h"
#include "server/primary/namespace_service.h"

namespace aster::content {

/// Reads files through the objects that their manifests name. Thread-safe; outlives its sources.
class ContentReader {
 public:
  /// `disk` runs reads of objects that this server keeps itself.
  ContentReader(primary::NamespaceService& namespaces, ObjectPlaces& places, Executor& disk)
      : namespaces_(namespaces), places_(places), disk_(disk) {}

  /// Bytes [offset, offset + length) of the version that `file` tells of; the range lies inside the
  /// file. The first bytes are there when this is answered, so that storage that is away shows now
  /// and not in the middle of an answer. Every block is checked against its CRC32C; one that fails
  /// is fetched once more, then the read is `corrupt`. `stale_version` when the file changes in a
  /// way that the source would notice; it never mixes two versions.
  Task<Result<std::shared_ptr<ByteSource>>> open(primary::Caller caller, fs::Attr file,
                                                 uint64_t offset, uint64_t length);

 private:
  primary::NamespaceService& namespaces_;
  ObjectPlaces& places_;
  Executor& disk_;
};

}  // namespace aster::content

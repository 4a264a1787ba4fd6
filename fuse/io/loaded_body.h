#pragma once

#include <memory>
#include <vector>

#include "fuse/io/io_context.h"
#include "fuse/io/upload_object.h"

namespace aster {

/// The bytes of an object while it is being sent, on account of IoContext::upload_memory. Where
/// data can be spilled, what is in memory stays there as long, and what was spilled is read back.
class LoadedBody {
 public:
  /// Fails as SpillFile::Extent::read. May end on another thread than it began.
  static Task<Result<std::shared_ptr<const LoadedBody>>> load(std::shared_ptr<IoContext> context,
                                                              UploadObjectPtr object);
  ~LoadedBody();
  LoadedBody(const LoadedBody&) = delete;
  LoadedBody& operator=(const LoadedBody&) = delete;

  const std::vector<Bytes>& pieces() const { return pieces_; }

 private:
  explicit LoadedBody(std::shared_ptr<IoContext> context) : context_(std::move(context)) {}

  const std::shared_ptr<IoContext> context_;
  std::vector<std::shared_ptr<DirtyChunk>> pinned_;
  std::vector<Bytes> pieces_;
};

}  // namespace aster

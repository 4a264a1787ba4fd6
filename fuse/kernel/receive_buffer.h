#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "protocol/base/bytes.h"

struct fuse_buf;

namespace aster {

/// The buffers that a session thread reads requests into. The data of a large write stays where it
/// was received: its Bytes keep the buffer, and the thread takes another one meanwhile. Used by one
/// thread; the Bytes may be dropped anywhere.
class ReceiveBuffers {
 public:
  ReceiveBuffers();
  ~ReceiveBuffers();
  /// Points `buf` to free memory, or to none for libfuse to allocate.
  void prepare(fuse_buf& buf);
  /// Takes note of what libfuse received into.
  void received(const fuse_buf& buf);

  /// `size` bytes at `data`, which lie in the buffer that this thread received last: shared when
  /// that is cheaper, copied otherwise.
  static Bytes keep(const char* data, size_t size);

 private:
  using Memory = std::shared_ptr<void>;
  static constexpr size_t kKept = 8;  ///< idle buffers of about 1 MiB

  std::vector<Memory> buffers_;
  Memory current_;
};

}  // namespace aster

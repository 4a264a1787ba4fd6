#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "fuse/io/io_context.h"
#include "protocol/base/bytes.h"
#include "protocol/client/http_client.h"
#include "protocol/fs/messages.h"

namespace aster {

/// Takes the body of a ranged GET and cuts it into verified blocks, where it arrives: while the
/// bytes are in the processor's cache. Used by one exchange.
class BlockSink final : public ByteReceiver {
 public:
  /// `index` of the object with its verified bytes, or corrupt. On the transfer thread.
  using OnBlock = std::function<void(uint32_t index, Result<Bytes> block)>;
  /// `received` counts bytes as they come.
  BlockSink(BlockPool& pool, std::atomic<uint64_t>& received,
            std::shared_ptr<const fs::ObjectAccess> object, uint32_t first, uint32_t count,
            OnBlock on_block);

  /// Only exactly the asked range is taken.
  Result<void> begin(int status, const HeaderList& headers) override;
  Result<void> receive(ByteView piece) override;
  /// After the exchange: io_error when the body was shorter than asked.
  Result<void> finished() const;
  /// "bytes=FIRST-LAST" for the request.
  std::string range_header() const;

 private:
  void start_block();
  void end_block();

  BlockPool& pool_;
  std::atomic<uint64_t>& received_in_all_;
  const std::shared_ptr<const fs::ObjectAccess> object_;
  const OnBlock on_block_;
  const uint64_t begin_;
  const uint64_t end_;
  uint32_t index_;
  const uint32_t end_index_;
  Bytes block_;                  // the whole of the block that is being filled
  std::byte* memory_ = nullptr;  // its memory; nobody else has it before the block is full
  size_t filled_ = 0;
  uint64_t received_ = 0;
};

}  // namespace aster

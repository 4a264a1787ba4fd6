#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "fuse/io/io_context.h"
#include "protocol/base/bytes.h"
#include "protocol/client/http_client.h"
#include "protocol/fs/messages.h"

namespace aster {

/// Takes the body of a ranged GET and cuts it into verified blocks. Used by one exchange.
class BlockSink final : public ByteSink {
 public:
  /// `index` of the object with its verified bytes, or corrupt.
  using OnBlock = std::function<void(uint32_t index, Result<Bytes> block)>;
  BlockSink(BlockPool& pool, std::shared_ptr<const fs::ObjectAccess> object, uint32_t first,
            uint32_t count, OnBlock on_block);

  /// To be called with the head of the answer: only exactly the asked range is taken.
  void on_headers(int status, const HeaderList& headers);
  Task<Result<void>> write(ByteView piece) override;
  /// After the exchange: io_error when the body was shorter than asked.
  Result<void> finished() const;
  uint64_t received() const noexcept { return received_; }
  /// "bytes=FIRST-LAST" for the request.
  std::string range_header() const;

 private:
  void start_block();
  void end_block();

  BlockPool& pool_;
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
  std::optional<Error> refused_;
};

}  // namespace aster

#include "fuse/io/loaded_body.h"

#include <utility>

namespace aster {

Task<Result<std::shared_ptr<const LoadedBody>>> LoadedBody::load(std::shared_ptr<IoContext> context,
                                                                 UploadObjectPtr object) {
  const std::shared_ptr<LoadedBody> body(new LoadedBody(context));
  bool may_block = false;
  const bool pins = context->spiller.able();
  for (const DirtyPiece& piece : object->body) {
    if (pins && piece.chunk->pin()) {
      body->pinned_.push_back(piece.chunk);
    } else if (pins && !std::exchange(may_block, true)) {
      co_await context->executor.hop();
    }
    ASTER_CO_TRY(Bytes bytes, piece.load());
    body->pieces_.push_back(std::move(bytes));
  }
  co_return std::shared_ptr<const LoadedBody>(body);
}

LoadedBody::~LoadedBody() {
  pieces_.clear();
  for (const auto& chunk : pinned_) chunk->unpin();
  context_->spiller.kick();  // what came back may be too much
}

}  // namespace aster

#include "protocol/fs/json.h"
#include "tests/fuzz/fuzz.h"

namespace {

/// What one of our writers wrote, our reader takes, and both agree.
template <class T>
void stable(std::string_view input, aster::Result<T> (*decode)(std::string_view)) {
  const auto message = decode(input);
  if (!message.ok()) return;
  const std::string text = aster::fs::encode(*message);
  const auto again = decode(text);
  EXPECT(again.ok() && aster::fs::encode(*again) == text);
}

}  // namespace

void fuzz_one(std::string_view input) {
  using namespace aster::fs;
  stable(input, decode_batch_request);
  stable(input, decode_session_request);
  stable(input, decode_session_answer);
  stable(input, decode_ack);
  stable(input, decode_lease_notice);
  stable(input, decode_lease_request);
  stable(input, decode_lease_wanted);
  stable(input, decode_lock_request);
  stable(input, decode_invalidation);
  if (const auto result = decode_result(input); result.ok()) {
    const std::string text = encode_result(*result);
    const auto again = decode_result(text);
    EXPECT(again.ok() && encode_result(*again) == text);
  }
  (void)decode_batch_answer(input, 1);
  (void)decode_ack_answer(input);
  (void)decode_lease_answer(input);
  (void)decode_lock_answer(input);
  (void)decode_error(500, input);
}

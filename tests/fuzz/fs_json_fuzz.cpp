#include "protocol/fs/json.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(std::string_view input) {
  using namespace aster::fs;
  if (const auto request = decode_batch_request(input); request.ok()) {
    const std::string text = encode(*request);
    const auto again = decode_batch_request(text);
    EXPECT(again.ok() && encode(*again) == text);
  }
  if (const auto result = decode_result(input); result.ok()) {
    const std::string text = encode_result(*result);
    const auto again = decode_result(text);
    EXPECT(again.ok() && encode_result(*again) == text);
  }
  (void)decode_batch_answer(input, 1);
  (void)decode_session_request(input);
  (void)decode_session_answer(input);
  (void)decode_invalidation(input);
  (void)decode_error(500, input);
}

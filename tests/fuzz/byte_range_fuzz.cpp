#include "protocol/byte_range.h"

#include <cstring>

#include "tests/fuzz/fuzz.h"

/// Whatever is granted lies inside the object and is announced as it is.
void fuzz_one(std::string_view input) {
  using namespace aster;
  uint64_t numbers[3] = {};
  if (input.size() < sizeof numbers + 1) return;
  std::memcpy(numbers, input.data(), sizeof numbers);
  const char kind = input[sizeof numbers];
  const std::string_view header = input.substr(sizeof numbers + 1);
  RangeRequest request;
  if (kind & 1) request.header = header;
  if (kind & 2) request.offset = numbers[1];
  if (kind & 4) request.length = numbers[2];
  const auto range = resolve_range(request, numbers[0]);
  (void)parse_content_range(header);
  if (!range.ok() || !*range) return;
  const ByteRange granted = **range;
  EXPECT(granted.length > 0 && granted.offset < numbers[0]);
  EXPECT(granted.length <= numbers[0] - granted.offset);
  const auto announced = parse_content_range(content_range(granted, numbers[0]));
  EXPECT(announced && announced->range == granted && announced->size == numbers[0]);
}

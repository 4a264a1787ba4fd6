#include <string>
#include <utility>
#include <vector>

#include "protocol/client/event_parser.h"
#include "tests/fuzz/fuzz.h"

namespace {
std::vector<std::pair<std::string, std::string>> parse(std::string_view stream, size_t piece) {
  aster::EventParser parser;
  std::vector<std::pair<std::string, std::string>> events;
  for (size_t i = 0; i < stream.size(); i += piece) {
    parser.feed(stream.substr(i, piece), [&](std::string_view name, std::string_view data) {
      events.emplace_back(name, data);
    });
  }
  return events;
}
}  // namespace

/// The pieces in which a stream arrives do not matter.
void fuzz_one(std::string_view input) {
  EXPECT(parse(input, 1) == parse(input, input.size() + 1));
}

#include "protocol/client/event_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace aster {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

/// What the parser makes of `stream` when it arrives in pieces of `size` bytes.
Events parse(std::string_view stream, size_t size) {
  EventParser parser;
  Events events;
  for (size_t i = 0; i < stream.size(); i += size) {
    parser.feed(stream.substr(i, size), [&](std::string_view name, std::string_view data) {
      events.emplace_back(name, data);
    });
  }
  return events;
}

TEST(EventParser, finds_events_whatever_the_pieces) {
  const std::string_view stream =
      ": heartbeat\n\nevent: inval\ndata: {\"a\":1}\n\nid: 3\nevent:reset\r\ndata:\r\n\r\n"
      "event: inval\ndata: one\ndata: two\n\nevent: cut";
  const Events expected = {{"inval", "{\"a\":1}"}, {"reset", ""}, {"inval", "one\ntwo"}};
  for (const size_t size : {1u, 2u, 7u, 1000u}) EXPECT_EQ(parse(stream, size), expected) << size;
}

TEST(EventParser, oversized_event_becomes_a_reset) {
  const std::string stream = "event: inval\ndata: " + std::string(EventParser::kLimit, 'x') +
                             "\n\nevent: inval\ndata: next\n\n";
  EXPECT_EQ(parse(stream, 4096), (Events{{"reset", ""}, {"inval", "next"}}));
}

}  // namespace
}  // namespace aster

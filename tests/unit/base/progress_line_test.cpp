#include "protocol/base/progress_line.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <latch>
#include <sstream>
#include <stdexcept>

#include "protocol/base/text.h"

namespace aster {
namespace {

TEST(ProgressLine, shows_at_once_and_wipes_the_line_at_the_end) {
  std::ostringstream terminal;
  {
    ProgressLine line(&terminal);
    line.follow([] { return "half"; });
    EXPECT_EQ(terminal.str(), "\rhalf");
  }
  EXPECT_EQ(terminal.str(), "\rhalf\r    \r");
}

TEST(ProgressLine, a_shorter_text_covers_a_longer_one) {
  std::ostringstream terminal;
  ProgressLine line(&terminal);
  line.follow([] { return "100 of 200"; });
  line.follow([] { return "done"; });
  line.end();
  EXPECT_EQ(terminal.str(), "\r100 of 200\rdone      \r    \r");
}

TEST(ProgressLine, asks_again_until_it_ends) {
  std::ostringstream terminal;
  std::latch asked(3);
  ProgressLine line(&terminal);
  int n = 0;
  line.follow([&] {
    if (n < 3) asked.count_down();
    return std::to_string(++n);
  });
  asked.wait();
  line.end();
  EXPECT_EQ(terminal.str().substr(0, 4), "\r1\r2");
}

TEST(ProgressLine, stays_on_one_line) {
  std::ostringstream terminal;
  ProgressLine line(&terminal);
  line.follow([] { return std::string(200, 'x'); });
  EXPECT_EQ(terminal.str(), "\r" + std::string(79, 'x'));
  line.follow([] { return std::string("one\ntwo"); });
  line.end();
  EXPECT_EQ(terminal.str().find('\n'), std::string::npos);
}

TEST(ProgressLine, is_silent_without_a_terminal) {
  ProgressLine line(nullptr);
  line.follow([]() -> std::string { throw std::logic_error("never asked"); });
  line.follow_time("doing");
  line.end();
  std::ostringstream stream;
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  EXPECT_EQ(terminal_behind(stream, fds[1]), nullptr);
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(ProgressLine, share_and_bytes_for_people) {
  EXPECT_EQ(shown_share(0, 0), "0 B of 0 B, 100 %");
  EXPECT_EQ(shown_share(512, 2048), "512 B of 2 KiB, 25 %");
  EXPECT_EQ(shown_share(5000, 2048), "2 KiB of 2 KiB, 100 %");
  EXPECT_EQ(shown_share(1ull << 60, 1ull << 61), "1024 PiB of 2048 PiB, 50 %");
  EXPECT_EQ(shown_bytes(12'900'000), "12.3 MiB");
}

}  // namespace
}  // namespace aster

#include "server/storage/body_pipe.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace aster::storage {
namespace {

class BodyPipeTest : public ::testing::Test {
 protected:
  Result<std::string> read_all(size_t buffer_size) {
    std::string text;
    std::vector<std::byte> buffer(buffer_size);
    while (true) {
      const auto n = run_blocking(pipe->read(buffer));
      if (!n.ok()) return n.error();
      if (*n == 0) return text;
      text += as_text(ByteView(buffer).first(*n));
    }
  }
  Executor executor{{.name = "pipe", .threads = 2}};
  std::shared_ptr<BodyPipe> pipe = std::make_shared<BodyPipe>(executor);
};

TEST_F(BodyPipeTest, hands_pieces_on_in_order_whatever_the_buffer) {
  for (const size_t size : {1u, 3u, 4096u}) {
    pipe = std::make_shared<BodyPipe>(executor);
    std::jthread writer([&] {
      for (const char* piece : {"one ", "two ", "three"}) {
        EXPECT_TRUE(run_blocking(pipe->write(as_bytes(piece))).ok());
      }
      pipe->finish(ok());
    });
    EXPECT_EQ(*read_all(size), "one two three");
  }
}

TEST_F(BodyPipeTest, holds_the_writer_until_its_piece_was_read) {
  Completion<bool> written;
  start<Result<void>>(pipe->write(as_bytes("abc")), [&](Result<void>) { written.set(true); });
  std::array<std::byte, 2> buffer;
  EXPECT_EQ(*run_blocking(pipe->read(buffer)), 2u);
  EXPECT_FALSE(written.is_set());
  EXPECT_EQ(*run_blocking(pipe->read(buffer)), 1u);
  run_blocking([](Completion<bool> done) -> Task<bool> { co_return co_await done; }(written));
}

TEST_F(BodyPipeTest, ends_with_the_failure_of_the_writer) {
  std::jthread writer([&] {
    EXPECT_TRUE(run_blocking(pipe->write(as_bytes("abc"))).ok());
    pipe->finish(fail(Errc::unavailable, "connection lost"));
  });
  EXPECT_TRUE(read_all(8).failed_with(Errc::unavailable));
}

TEST_F(BodyPipeTest, frees_the_writer_when_the_reader_goes) {
  auto source = std::make_unique<PipeSource>(pipe);
  std::jthread writer([&] {
    EXPECT_TRUE(run_blocking(pipe->write(as_bytes("abc"))).failed_with(Errc::interrupted));
  });
  source.reset();
  writer.join();
  EXPECT_TRUE(run_blocking(pipe->write(as_bytes("more"))).failed_with(Errc::interrupted));
}

}  // namespace
}  // namespace aster::storage

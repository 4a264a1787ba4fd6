#include "cache/spill_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <fstream>

#include "cache/writeback_journal.h"
#include "tests/support/temp_dir.h"

namespace aster {
namespace {

/// The disk fails, is full or damages what it reads, on demand.
class BrokenDisk final : public FileLayer {
 public:
  ssize_t write(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    if (const int code = fail_writes) return errno = code, -1;
    if (short_writes) return FileLayer::write(fd, pieces.subspan(0, 1), offset);
    return FileLayer::write(fd, pieces, offset);
  }
  ssize_t read(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    if (const int code = fail_reads) return errno = code, -1;
    const ssize_t n = FileLayer::read(fd, pieces, offset);
    if (damage && n > 0) static_cast<char*>(pieces[0].iov_base)[n / 2] ^= 1;
    return n;
  }
  std::atomic<int> fail_writes = 0;
  std::atomic<int> fail_reads = 0;
  std::atomic<bool> short_writes = false;
  std::atomic<bool> damage = false;
};

class SpillFileTest : public ::testing::Test {
 protected:
  std::shared_ptr<SpillFile> make(uint64_t limit, WritebackJournal* journal = nullptr) {
    return std::make_shared<SpillFile>(SpillOptions{dir / "a" / "journal", limit, journal},
                                       executor, disk);
  }
  static Bytes text(size_t n, char first) {
    std::string all(n, first);
    for (size_t i = 0; i < n; i += 100) all[i] = static_cast<char>(i / 100);
    return Bytes::from_string(all);
  }
  static std::string got(const SpillFile::ExtentPtr& extent, uint64_t offset, uint64_t length) {
    const Result<Bytes> bytes = extent->read(offset, length);
    return bytes.ok() ? std::string(as_text(bytes->view())) : "failed";
  }

  testing::TempDir dir;
  BrokenDisk disk;
  Executor executor{{.name = "test", .threads = 2}};
};

TEST_F(SpillFileTest, gives_back_any_part_of_what_it_took) {
  const auto file = make(1 << 20);
  const std::vector<Bytes> pieces{text(5, 'a'), text(4096, 'b'), text(100'000, 'c')};
  for (const bool short_writes : {false, true}) {
    disk.short_writes = short_writes;
    const auto extents = file->write(pieces);
    ASSERT_TRUE(extents.ok());
    for (size_t i = 0; i < pieces.size(); ++i) {
      const std::string whole(as_text(pieces[i].view()));
      EXPECT_EQ(got((*extents)[i], 0, whole.size()), whole);
      EXPECT_EQ(got((*extents)[i], whole.size() / 2, 2), whole.substr(whole.size() / 2, 2));
      EXPECT_EQ(got((*extents)[i], whole.size() - 1, 1), whole.substr(whole.size() - 1));
    }
    EXPECT_EQ(got((*extents)[2], 4095, 4098), as_text(pieces[2].view()).substr(4095, 4098));
  }
}

TEST_F(SpillFileTest, leaves_no_name_behind) {
  const auto file = make(1 << 20);
  const auto extents = file->write({text(10, 'a')});
  ASSERT_TRUE(extents.ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir / "a" / "journal"));
}

TEST_F(SpillFileTest, space_is_free_again_with_the_last_owner) {
  const auto file = make(3 * SpillFile::kSector);
  auto first = file->write({text(1, 'a'), text(4097, 'b')});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(file->bytes(), 3 * SpillFile::kSector);
  EXPECT_TRUE(file->write({text(1, 'x')}).failed_with(Errc::no_space));
  first->pop_back();
  EXPECT_EQ(file->bytes(), SpillFile::kSector);
  const auto second = file->write({text(8192, 'y')});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(got(second->front(), 0, 8192), as_text(text(8192, 'y').view()));
  EXPECT_EQ(got(first->front(), 0, 1), as_text(text(1, 'a').view()));
}

TEST_F(SpillFileTest, failed_write_keeps_nothing_and_the_next_one_succeeds) {
  const auto file = make(1 << 20);
  const auto before = file->write({text(10'000, 'a')});
  ASSERT_TRUE(before.ok());
  const uint64_t bytes = file->bytes();
  disk.fail_writes = ENOSPC;
  EXPECT_TRUE(file->write({text(10, 'b')}).failed_with(Errc::no_space));
  disk.fail_writes = EIO;
  EXPECT_TRUE(file->write({text(10, 'b')}).failed_with(Errc::io_error));
  EXPECT_EQ(file->bytes(), bytes);
  disk.fail_writes = 0;
  EXPECT_TRUE(file->write({text(10, 'b')}).ok());
  EXPECT_EQ(got(before->front(), 0, 10'000), as_text(text(10'000, 'a').view()));
}

TEST_F(SpillFileTest, damage_and_read_errors_are_told_apart_and_never_handed_out) {
  const auto file = make(1 << 20);
  const auto extents = file->write({text(10'000, 'a')});
  ASSERT_TRUE(extents.ok());
  disk.damage = true;
  EXPECT_TRUE(extents->front()->read(0, 100).failed_with(Errc::corrupt));
  disk.damage = false;
  disk.fail_reads = EIO;
  EXPECT_TRUE(extents->front()->read(0, 100).failed_with(Errc::io_error));
  disk.fail_reads = 0;
  EXPECT_TRUE(extents->front()->read(0, 100).ok());
}

TEST_F(SpillFileTest, folder_that_cannot_be_made_is_an_error_and_may_be_made_later) {
  std::ofstream(dir / "a") << "in the way";
  const auto file = make(1 << 20);
  EXPECT_FALSE(file->write({text(10, 'a')}).ok());
  std::filesystem::remove(dir / "a");
  EXPECT_TRUE(file->write({text(10, 'a')}).ok());
}

TEST_F(SpillFileTest, shares_the_bound_with_the_journal) {
  constexpr uint64_t kLimit = 100 * SpillFile::kSector;
  auto journal = WritebackJournal::open({dir / "j", kLimit, "me"}, executor);
  ASSERT_TRUE(journal.ok());
  const auto file = make(kLimit, journal->get());
  auto extents = file->write({text(90 * SpillFile::kSector, 'a')});
  ASSERT_TRUE(extents.ok());
  const auto journaled = [&] {
    JournaledWrite write;
    write.ino = InodeNo(5);
    write.pieces.push_back({0, text(20 * SpillFile::kSector, 'j')});
    return run_blocking((*journal)->append(std::move(write)));
  };
  EXPECT_TRUE(journaled().failed_with(Errc::no_space));
  extents->clear();
  EXPECT_TRUE(journaled().ok());
  EXPECT_TRUE(file->write({text(90 * SpillFile::kSector, 'a')}).failed_with(Errc::no_space));
  EXPECT_TRUE(file->write({text(70 * SpillFile::kSector, 'a')}).ok());
}

}  // namespace
}  // namespace aster

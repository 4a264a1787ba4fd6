#pragma once

#include <filesystem>
#include <string_view>

namespace aster::testing {

/// A fresh directory of mode 0700 below $TMPDIR (or /tmp), removed with all it holds on
/// destruction. A failure to create it ends the test program with a message.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  /// `dir / "file"`
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Whole content of a file; empty when it cannot be read.
std::string read_file(const std::filesystem::path& path);
/// Creates or replaces a file. Ends the test program on failure.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace aster::testing

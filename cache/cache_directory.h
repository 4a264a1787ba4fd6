#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

namespace aster {

/// The directory of one block cache: made private, marked as ours, locked against a second user.
/// The lock is held as long as the object lives and survives fork (the descriptor is shared).
class CacheDirectory {
 public:
  /// Creates `path` (not its parents) when missing. A cache of another format version is emptied,
  /// with a line in the log that names the program which wrote it.
  /// locked: another process uses it; the text names it. exists: it holds something that is not a
  /// block cache, and nothing was touched. access_denied: it belongs to another user.
  static Result<CacheDirectory> open(const std::filesystem::path& path, const std::string& program,
                                     const Clock& clock);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path index_path() const { return path_ / "index"; }
  /// A descriptor of the directory of segments.
  Result<UniqueFd> open_segments() const;

  /// Marks the index as damaged: the next open() begins with an empty one.
  void condemn_index() const;

 private:
  CacheDirectory(std::filesystem::path path, UniqueFd directory, UniqueFd lock)
      : path_(std::move(path)), directory_(std::move(directory)), lock_(std::move(lock)) {}
  Result<void> check_format(const std::string& program, const Clock& clock);
  Result<void> write_format(const std::string& program, const Clock& clock);
  Result<void> empty();

  std::filesystem::path path_;
  UniqueFd directory_;
  UniqueFd lock_;
};

}  // namespace aster

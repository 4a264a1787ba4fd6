#pragma once

#include <filesystem>
#include <string>

#include "protocol/base/unique_handle.h"

namespace aster::testing {

/// A terminal that a child may have as its output (Process::Options::output). One child: what it
/// writes must fit into the terminal's buffer (4 KiB), and is there until read() took it.
class Terminal {
 public:
  Terminal();
  /// The child's side, a path below /dev/pts.
  const std::filesystem::path& path() const noexcept { return path_; }
  /// All that was written, with "\r\n" where the child wrote "\n". After the child's end only.
  std::string read();

 private:
  UniqueFd master_;
  std::filesystem::path path_;
};

}  // namespace aster::testing

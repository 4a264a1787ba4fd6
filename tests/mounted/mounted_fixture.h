#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/unique_handle.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// A fake drive mounted in a private directory, and a local directory beside it to compare with.
/// Whatever happens, the mount is gone afterwards. With $ASTER_MOUNTED_ON, a directory on a drive
/// that is mounted already, the tests that need no fake run there instead.
class MountedTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::string mount() const { return mount_; }
  std::string local() const { return dir_ / "local"; }
  std::string on_mount(const std::string& name) const { return mount() + "/" + name; }
  std::string scratch(const std::string& name) const { return dir_ / name; }

  /// For tests that need the fake: true when it is another drive.
  bool is_real() const { return !drive_; }
  /// Gives the drive a command (tests/mounted/fake_drive_main.cpp) and waits until it is done.
  void tell(const std::string& command);
  /// Unmounts; the drive's exit status.
  std::optional<int> unmount();
  /// A shell script with $M the mount and $L the local directory; fails the test with its output
  /// unless it exits with 0.
  void shell(const std::string& script);
  /// Starts a script likewise and leaves it running.
  Process start_shell(const std::string& script);
  /// Runs the same steps in both directories; what they note must be the same.
  using Notes = std::vector<std::string>;
  void compare(const std::function<void(const std::string& directory, Notes& notes)>& steps);

  Process& drive() { return *drive_; }

 private:
  void start_fake_drive();

  TempDir dir_;
  std::string mount_ = dir_ / "mnt";
  std::optional<Process> drive_;
  UniqueFd control_;
};

/// "0" or the name of errno.
std::string outcome(int result);
/// Mode, link count, size, owner of a path; or the name of errno.
std::string facts(const std::string& path);

}  // namespace aster::testing

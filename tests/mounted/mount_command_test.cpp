#include <sstream>

#include "tests/mounted/mount_program_fixture.h"

/// mount(8) and umount(8) find the programs of the build as if they were installed: in a mount
/// namespace of their own, where /usr/sbin holds nothing else.
namespace aster {
namespace {

class MountCommand : public MountProgram {
 protected:
  /// Runs lines of shell in such a namespace, up to the first that fails; the exit status.
  int run(const std::string& script) {
    const std::string all =
        "set -eu\n"
        "mount -t tmpfs none /usr/sbin\n"
        "install '" ASTER_MOUNT_PROGRAM
        "' /usr/sbin/mount.aster\n"
        "install '" ASTER_UMOUNT_PROGRAM
        "' /usr/sbin/umount.fuse.aster\n"
        "trap 'umount -il \"$place\" 2>/dev/null || true' EXIT\n" +
        script;
    ::unlink((dir / "out").c_str());
    Process::Options options;
    options.argv = {"unshare", "--mount", "--propagation", "private", "bash", "-c", all};
    options.env = {{"ASTER_CONFIG_DIR", dir / "config"},
                   {"place", place()},
                   {"fstab", dir / "fstab"},
                   {"url", primary_url()},
                   {"common", common()}};
    options.output = dir / "out";
    return Process::spawn(std::move(options)).value().wait().value_or(-1);
  }
  std::string common() const {
    return "token_file=" + (dir / "token").string() + ",cache_dir=" + (dir / "cache").string() +
           ",log_file=" + (dir / "log").string();
  }
};

TEST_F(MountCommand, knows_the_type_and_umount_sends_everything) {
  set_up_drive();
  EXPECT_EQ(run(R"(
mount -t aster -o "$common" "$url" "$place"
findmnt --noheadings --output FSTYPE "$place"
echo hello >"$place/f"
umount "$place"
mountpoint -q "$place" && exit 9
mount -t aster -o "$common",ro "$url" "$place"
cat "$place/f"
touch "$place/g" 2>/dev/null && exit 9
umount "$place")"),
            0)
      << output() << log();
  EXPECT_EQ(output(), "fuse.aster\nhello\n");
}

TEST_F(MountCommand, a_wrong_option_is_the_message_of_mount) {
  EXPECT_EQ(run(R"(mount -t aster -o "$common",colour=red "$url" "$place")"), 2);
  EXPECT_EQ(output(), "mount.aster: unknown option 'colour'\n");
}

/// The lines that the package shows, for this drive.
TEST_F(MountCommand, the_sample_lines_of_fstab_mount) {
  set_up_drive();
  const auto replaced = [](std::string line, const std::string& old, const std::string& fresh) {
    const size_t at = line.find(old);
    EXPECT_NE(at, std::string::npos) << line;
    return at == std::string::npos ? line : line.replace(at, old.size(), fresh);
  };
  std::istringstream sample(read_file(ASTER_FSTAB_SAMPLE));
  int lines = 0;
  for (std::string line; std::getline(sample, line);) {
    if (!line.starts_with("#drive.example.com ")) continue;
    line = replaced(line, "#drive.example.com", "127.0.0.1:" + std::to_string(primary->port()));
    line = replaced(line, "/mnt/drive", place());
    line = replaced(line, "token_file=/etc/aster/token", common());
    write_file(dir / "fstab", line + "\n");
    EXPECT_EQ(run(R"(
mount --fstab "$fstab" "$place"
findmnt --noheadings --output FSTYPE "$place"
echo line >>"$place/f"
umount "$place")"),
              0)
        << line << "\n"
        << output() << log();
    ++lines;
  }
  EXPECT_EQ(lines, 2);
  EXPECT_EQ(run(R"(
mount --fstab "$fstab" "$place"
cat "$place/f"
umount "$place")"),
            0);
  EXPECT_EQ(output(), "line\nline\n");
}

}  // namespace
}  // namespace aster

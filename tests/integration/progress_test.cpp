#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/terminal.h"

/// What the long commands of aster_drive show while they work: a terminal sees it, a pipe does not.
namespace aster {
namespace {

using testing::Process;

class Progress : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_file(dir_ / "config.toml", "[server]\nport = 0\nstart_mode = \"primary\"\n");
    testing::write_file(dir_ / "pw", "a long password\n");
    std::filesystem::permissions(dir_ / "pw", std::filesystem::perms(0600));
    std::filesystem::permissions(dir_ / "config.toml", std::filesystem::perms(0600));
    ASSERT_EQ(run({"user", "add", "someone", "--password-file", dir_ / "pw"}, dir_ / "log"), 0)
        << testing::read_file(dir_ / "log");
  }
  int run(const std::vector<std::string>& words, const std::filesystem::path& output) {
    Process::Options options;
    options.argv = {ASTER_DRIVE, "--config", dir_ / "config.toml"};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.output = output;
    options.working_dir = dir_.path();
    return Process::spawn(std::move(options)).value().wait().value_or(-1);
  }
  std::string at_a_terminal(const std::vector<std::string>& words) {
    testing::Terminal terminal;
    status_ = run(words, terminal.path());
    return terminal.read();
  }
  std::string through_a_pipe(const std::vector<std::string>& words) {
    std::string line = "set -o pipefail; '" ASTER_DRIVE "' --config config.toml";
    for (const std::string& word : words) line += " '" + word + "'";
    Process::Options options;
    options.argv = {"bash", "-c", line + " 2>&1 | cat"};
    options.output = dir_ / "piped";
    options.working_dir = dir_.path();
    testing::write_file(dir_ / "piped", "");
    status_ = Process::spawn(std::move(options)).value().wait().value_or(-1);
    return testing::read_file(dir_ / "piped");
  }

  testing::TempDir dir_;
  int status_ = -1;
};

TEST_F(Progress, a_backup_and_its_restore_show_how_much_is_copied) {
  const std::string backup = at_a_terminal({"backup", dir_ / "copy"});
  EXPECT_EQ(status_, 0) << backup;
  EXPECT_EQ(backup.find("\rcopying: 0 B of "), 0u) << backup;
  EXPECT_NE(backup.find("\rbacked up to "), std::string::npos) << "over the wiped line: " << backup;
  const std::string restore = at_a_terminal({"restore", dir_ / "copy", "--replace"});
  EXPECT_EQ(status_, 0) << restore;
  EXPECT_EQ(restore.find("\rcopying: 0 B of "), 0u) << restore;

  const std::string piped = through_a_pipe({"backup", dir_ / "second"});
  EXPECT_EQ(status_, 0) << piped;
  EXPECT_EQ(piped.find("backed up to "), 0u) << piped;
  EXPECT_EQ(piped.find('\r'), std::string::npos) << piped;
  const std::string restored = through_a_pipe({"restore", dir_ / "second", "--replace"});
  EXPECT_EQ(status_, 0) << restored;
  EXPECT_EQ(restored.find("restored "), 0u) << restored;
  EXPECT_EQ(restored.find('\r'), std::string::npos) << restored;
}

TEST_F(Progress, check_and_doctor_say_what_they_are_at) {
  const std::string check = at_a_terminal({"check", "--deep"});
  EXPECT_EQ(check.find("\rreading the database, "), 0u) << check;
  EXPECT_NE(check.find("\r0 objects asked for\r\nall is well"), std::string::npos) << check;
  const std::string doctor = at_a_terminal({"doctor"});
  EXPECT_EQ(doctor.find("\rreading the database, "), 0u) << doctor;
  EXPECT_NE(doctor.find("\rchecking the namespace, "), std::string::npos) << doctor;
  for (const char* command : {"check", "doctor"}) {
    const std::string piped = through_a_pipe({command});
    EXPECT_FALSE(piped.empty());
    EXPECT_EQ(piped.find('\r'), std::string::npos) << piped;
    EXPECT_EQ(piped.find("reading the database"), std::string::npos) << piped;
  }
}

}  // namespace
}  // namespace aster

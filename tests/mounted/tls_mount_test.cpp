#include "tests/mounted/mount_program_fixture.h"
#include "tests/support/test_authority.h"

namespace aster {
namespace {

/// Made before the servers that need it.
struct WithAuthority {
  testing::TempDir tls_dir;
  testing::TestAuthority authority{tls_dir / "ca"};
  testing::TestAuthority::Identity server = authority.issue("server");

  DriveSettings over_tls() const {
    DriveSettings out;
    out.client.ca_file = authority.certificate();
    out.variables = {{"ASTER__SERVER__TLS_CERTIFICATE", server.certificate},
                     {"ASTER__SERVER__TLS_KEY", server.key},
                     {"ASTER__REMOTE__CA_FILE", authority.certificate()}};
    return out;
  }
};

/// A whole drive over TLS: enrolment, probes, data in both directions, mount.
class TlsDrive : protected WithAuthority, public MountProgram {
 protected:
  TlsDrive() : MountProgram(over_tls()) {}
  std::string ca() const { return ",ca_file=" + authority.certificate().string(); }
  /// `aster ARGUMENTS`; its exit status, what it prints in output().
  int aster(std::vector<std::string> arguments) {
    ::unlink((dir / "out").c_str());
    Process process = start(std::move(arguments), ASTER_CLI_PROGRAM);
    return process.wait().value_or(-1);
  }
};

TEST_F(TlsDrive, is_written_and_read_through_a_mount) {
  set_up_drive();
  ASSERT_EQ(mount_drive(ca() + ",pin=" + server.pin), 0) << output();
  std::string large(9 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i / 1000);
  write_file(place() + "/small", "hello");
  write_file(place() + "/large", large);
  unmount();
  std::filesystem::remove_all(dir / "cache");
  std::filesystem::remove(dir / "log");
  ASSERT_EQ(mount_drive(ca()), 0) << output();
  EXPECT_EQ(read_file(place() + "/small"), "hello");
  EXPECT_TRUE(read_file(place() + "/large") == large);
  unmount();
}

TEST_F(TlsDrive, is_relayed_by_the_primary_as_well) {
  set_up_accounts();
  enroll_follower();
  add_target();
  add_policy("relay_stream");
  secret("token", user_token);
  ASSERT_EQ(mount_drive(ca()), 0) << output();
  write_file(place() + "/file", std::string(3 << 20, 'r'));
  unmount();
  std::filesystem::remove_all(dir / "cache");
  std::filesystem::remove(dir / "log");
  ASSERT_EQ(mount_drive(ca()), 0) << output();
  EXPECT_TRUE(read_file(place() + "/file") == std::string(3 << 20, 'r'));
  unmount();
}

TEST_F(TlsDrive, a_mount_that_does_not_trust_the_server_says_why) {
  set_up_drive();
  EXPECT_EQ(mount_drive(), 1);
  EXPECT_NE(output().find("SSL certificate problem"), std::string::npos) << output();
  const std::string other = authority.issue("other").pin;
  EXPECT_EQ(mount_drive(ca() + ",pin=" + other), 1);
  EXPECT_NE(output().find("public key"), std::string::npos) << output();
  EXPECT_EQ(mount_drive(ca() + ",pin=sha256//short"), 2);
  EXPECT_NE(output().find("44 characters"), std::string::npos) << output();
  EXPECT_FALSE(is_mounted());
}

TEST_F(TlsDrive, the_doctor_looks_at_certificates_here_and_there) {
  set_up_accounts();
  enroll_follower();
  const auto doctor = [&] {
    ::unlink((dir / "out").c_str());
    Process::Options options;
    options.argv = {ASTER_DRIVE_PROGRAM, "--config", dir / "primary/config.toml", "doctor"};
    options.env = settings.variables;
    options.output = dir / "out";
    return std::move(Process::spawn(std::move(options)).value()).wait().value_or(-1);
  };
  doctor();
  EXPECT_NE(output().find("warning  certificate: /CN=server, good for "), std::string::npos)
      << output();
  EXPECT_NE(output().find("ok       node f1: https://"), std::string::npos) << output();
  WithAuthority::server = authority.issue("server", {.days = -1});
  EXPECT_EQ(doctor(), 1);
  EXPECT_NE(output().find("wrong    certificate: /CN=server has expired"), std::string::npos)
      << output();
}

TEST_F(TlsDrive, a_login_keeps_whom_to_trust) {
  set_up_drive();
  const std::string password = secret("password", "ann's password");
  const std::vector<std::string> login = {"login", primary_url(),     "--user",
                                          "ann",   "--password-file", password};
  EXPECT_EQ(aster(login), 1) << "an unknown authority";
  EXPECT_NE(output().find("SSL certificate problem"), std::string::npos) << output();
  std::vector<std::string> trusting = login;
  trusting.insert(trusting.end(),
                  {"--ca-file", authority.certificate().string(), "--pin", server.pin});
  ASSERT_EQ(aster(trusting), 0) << output();
  EXPECT_EQ(aster({"status"}), 0) << output();
  EXPECT_NE(output().find("ann"), std::string::npos) << output();
  // The mount finds server, token and trust in the login.
  ASSERT_EQ(
      mount({place(), "-o",
             "cache_dir=" + (dir / "cache").string() + ",log_file=" + (dir / "log").string()}),
      0)
      << output();
  write_file(place() + "/file", "kept");
  EXPECT_EQ(read_file(place() + "/file"), "kept");
  unmount();
}

}  // namespace
}  // namespace aster

#include "fuse/mount_options.h"

#include <gtest/gtest.h>

namespace aster {
namespace {

using Words = std::vector<std::string>;

MountOptions parsed(const Words& arguments) {
  auto result = parse_arguments(arguments);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
  return result.ok() ? result->options : MountOptions{};
}

std::string refusal(const Words& arguments) {
  const auto result = parse_arguments(arguments);
  return result.ok() ? "accepted" : result.error().context;
}

TEST(MountOptions, a_directory_alone_means_the_default_drive) {
  const MountOptions options = parsed({"/mnt/drive"});
  EXPECT_EQ(options.mountpoint, "/mnt/drive");
  EXPECT_TRUE(options.server.empty());
  EXPECT_FALSE(options.foreground);
}

TEST(MountOptions, sources_are_hosts_or_urls) {
  EXPECT_EQ(parsed({"drive.example.com", "/m"}).server, "https://drive.example.com");
  EXPECT_EQ(parsed({"drive.example.com:3000", "/m"}).server, "https://drive.example.com:3000");
  EXPECT_EQ(parsed({"localhost:3000", "/m"}).server, "http://localhost:3000");
  EXPECT_EQ(parsed({"http://drive.example.com:3000/", "/m"}).server,
            "http://drive.example.com:3000");
  EXPECT_EQ(parsed({"none", "/m"}).server, "");
}

TEST(MountOptions, a_source_may_name_the_user_but_no_password) {
  const MountOptions options = parsed({"anna@drive.example.com", "/m"});
  EXPECT_EQ(options.user, "anna");
  EXPECT_EQ(options.server, "https://drive.example.com");
  EXPECT_NE(refusal({"anna:secret@drive.example.com", "/m"}), "accepted");
  EXPECT_EQ(refusal({"anna:secret@drive.example.com", "/m"}).find("secret"), std::string::npos);
}

TEST(MountOptions, a_source_may_name_a_team) {
  const MountOptions options = parsed({"team:crew@localhost:3000", "/m"});
  EXPECT_EQ(options.workspace, "team:crew");
  EXPECT_EQ(options.server, "http://localhost:3000");
  EXPECT_EQ(options.user, "");
  EXPECT_EQ(parsed({"https://team:crew@drive.example.com", "/m"}).workspace, "team:crew");
  EXPECT_NE(refusal({"team:@drive.example.com", "/m"}), "accepted");
  EXPECT_NE(refusal({"team:a:b@drive.example.com", "/m"}), "accepted");
}

TEST(MountOptions, works_as_mount_8_calls_it) {
  const MountOptions options =
      parsed({"drive.example.com", "/mnt", "-n", "-o", "rw,noauto,cache_size=2G,_netdev,hard"});
  EXPECT_EQ(options.cache_size, 2ull << 30);
  EXPECT_TRUE(options.hard);
}

TEST(MountOptions, options_work_in_both_spellings) {
  const MountOptions options = parsed(
      {"--cache-size=1G", "--timeout=5m", "-o", "dirty-limit=64M,token_file=/t", "/m", "--ro"});
  EXPECT_EQ(options.cache_size, 1ull << 30);
  EXPECT_EQ(options.timeout, std::chrono::minutes(5));
  EXPECT_EQ(options.dirty_limit, 64ull << 20);
  EXPECT_EQ(options.token_file, "/t");
  EXPECT_TRUE(options.read_only);
}

TEST(MountOptions, words_of_fstab_are_accepted) {
  parsed(
      {"/m", "-o", "defaults,user,noatime,nofail,x-systemd.automount,x-systemd.idle-timeout=1m"});
  EXPECT_EQ(parsed({"/m", "-o", "noexec,nosuid"}).kernel_flags, (Words{"noexec", "nosuid"}));
  EXPECT_EQ(parsed({"/m", "-o", "user=anna,password_file=/p"}).user, "anna");
}

TEST(MountOptions, the_last_word_about_access_times_counts) {
  EXPECT_FALSE(parsed({"/m"}).strict_access_times);
  EXPECT_TRUE(parsed({"/m", "-o", "noatime,strictatime"}).strict_access_times);
  EXPECT_TRUE(parsed({"/m", "-o", "noatime,strictatime"}).access_times);
  EXPECT_FALSE(parsed({"/m", "-o", "strictatime,relatime"}).strict_access_times);
  EXPECT_FALSE(parsed({"/m", "-o", "strictatime,noatime"}).access_times);
}

TEST(MountOptions, unknown_options_are_errors_unless_sloppy) {
  EXPECT_EQ(refusal({"/m", "-o", "cache_siez=1G"}), "unknown option 'cache_siez'");
  EXPECT_EQ(refusal({"/m", "-s", "-o", "cache_siez=1G"}), "accepted");
  EXPECT_NE(refusal({"/m", "--cache-siez=1G"}), "accepted");
}

TEST(MountOptions, values_are_checked) {
  EXPECT_NE(refusal({"/m", "-o", "cache_size=lots"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "cache_size"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "hard=yes"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "timeout=0"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "cache_size=1M"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "log_level=loud"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "uploads=0"}), "accepted");
  EXPECT_NE(refusal({"/m", "-o", "password_file=/p"}), "accepted");
  EXPECT_NE(refusal({}), "accepted");
  EXPECT_NE(refusal({"a", "b", "c"}), "accepted");
}

TEST(MountOptions, sizes_and_times_have_units) {
  EXPECT_EQ(parse_size("512").value(), 512u);
  EXPECT_EQ(parse_size("4k").value(), 4096u);
  EXPECT_EQ(parse_size("1T").value(), 1ull << 40);
  for (const char* bad : {"", "K", "1KB", "-1", "1.5G", "99999999T", "0x10"}) {
    EXPECT_FALSE(parse_size(bad).ok()) << bad;
  }
  EXPECT_EQ(parse_duration("90").value(), std::chrono::seconds(90));
  EXPECT_EQ(parse_duration("250ms").value(), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("2h").value(), std::chrono::hours(2));
  for (const char* bad : {"", "s", "-1s", "25h", "1d", "1.5s", "9223372036854775807h"}) {
    EXPECT_FALSE(parse_duration(bad).ok()) << bad;
  }
}

TEST(MountOptions, one_budget_for_memory_is_shared_out) {
  const MountOptions options = parsed({"-o", "memory=256M,read_ahead=16M", "/m"});
  EXPECT_EQ(options.memory_cache, 64ull << 20);
  EXPECT_EQ(options.dirty_limit, 64ull << 20);
  EXPECT_EQ(options.read_ahead, 16ull << 20);
  EXPECT_NE(refusal({"-o", "memory=63M", "/m"}).find("64M at least"), std::string::npos);
}

TEST(MountOptions, help_names_every_option) {
  const auto help = parse_arguments({"--help"});
  ASSERT_TRUE(help.ok() && help->print);
  for (const char* word : {"--cache-size", "--token-file", "-f", "-o", "--version"}) {
    EXPECT_NE(help->print->find(word), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace aster

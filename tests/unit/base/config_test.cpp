#include "protocol/base/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>
#include <sstream>

#include "tests/support/temp_dir.h"

namespace aster {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  Result<Config> load(std::string_view text, const Config::Environment& environment = {}) {
    testing::write_file(file(), text);
    return Config::load(file(), environment);
  }
  std::string refusal(std::string_view text, const Config::Environment& environment = {}) {
    const auto config = load(text, environment);
    EXPECT_TRUE(config.failed_with(Errc::bad_request));
    return config.ok() ? "" : config.error().context;
  }
  std::filesystem::path file() const { return dir_ / "config.toml"; }

  testing::TempDir dir_;
};

TEST_F(ConfigFile, gives_defaults_for_what_it_does_not_set) {
  const auto config = load("");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->text("server.host"), "127.0.0.1");
  EXPECT_EQ(config->integer("server.port"), 3000);
  EXPECT_FALSE(config->boolean("server.follower.ready_requires_target"));
  EXPECT_TRUE(config->list("network_trust.trusted_proxies").empty());
  EXPECT_FALSE(config->is_set("server.port"));
}

TEST_F(ConfigFile, is_beaten_by_the_environment) {
  const auto config =
      load("[server]\nport = 1\nhost = \"h\"\n[network_trust]\ntrusted_proxies = [\"10.0.0.1\"]\n",
           {{"ASTER__SERVER__PORT", "4000"},
            {"ASTER__SERVER__FOLLOWER__READY_REQUIRES_TARGET", "true"},
            {"ASTER__NETWORK_TRUST__TRUSTED_PROXIES", "10.0.0.2, 10.0.0.3"},
            {"ASTER_OTHER", "x"}});
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->integer("server.port"), 4000);
  EXPECT_EQ(config->text("server.host"), "h");
  EXPECT_TRUE(config->boolean("server.follower.ready_requires_target"));
  EXPECT_EQ(config->list("network_trust.trusted_proxies").size(), 2u);
  EXPECT_TRUE(config->is_set("server.port"));
}

TEST_F(ConfigFile, names_file_line_key_and_limit_of_a_bad_value) {
  const std::string at = file().string();
  EXPECT_EQ(refusal("[server]\n\nport = 70000\n"),
            at + ":3: server.port: 70000 is above the limit 65535");
  EXPECT_EQ(refusal("[server]\nport = \"x\"\n"), at + ":2: server.port: expected a whole number");
  EXPECT_EQ(refusal("[server]\nstart_mode = \"both\"\n"),
            at + ":2: server.start_mode: expected one of primary|follower");
  EXPECT_EQ(refusal("[cache]\nenabled = 1\n"), at + ":2: cache.enabled: expected true or false");
  EXPECT_EQ(refusal("[network_trust]\ntrusted_proxies = [1]\n"),
            at + ":2: network_trust.trusted_proxies: expected an array of strings");
  EXPECT_EQ(refusal("", {{"ASTER__SERVER__PORT", "-1"}}),
            "environment variable ASTER__SERVER__PORT: -1 is below the limit 0");
  EXPECT_EQ(refusal("", {{"ASTER__SERVER__PORT", "80x"}}),
            "environment variable ASTER__SERVER__PORT: expected a whole number");
}

TEST_F(ConfigFile, refuses_unknown_keys_and_names_the_nearest) {
  const std::string at = file().string();
  EXPECT_EQ(refusal("[server]\nprot = 1\n"),
            at + ":2: server.prot: unknown key (did you mean server.port?)");
  EXPECT_EQ(refusal("[server]\nmanaged_ingress_local_root = \"x\"\n"),
            at + ":2: server.managed_ingress_local_root: unknown key (did you mean "
                 "server.follower.managed_ingress_local_root?)");
  EXPECT_EQ(refusal("zebra = 1\n"), at + ":1: zebra: unknown key");
  EXPECT_EQ(refusal("", {{"ASTER__SERVER__PROT", "1"}}),
            "environment variable ASTER__SERVER__PROT: unknown key (did you mean server.port?)");
}

TEST_F(ConfigFile, names_the_line_of_a_syntax_error) {
  EXPECT_EQ(refusal("[server]\nport = = 1\n").find(file().string() + ":2: "), 0u);
}

TEST_F(ConfigFile, does_not_show_values_that_may_be_secrets) {
  EXPECT_EQ(refusal("[auth]\njwt_secret = 4711\n").find("4711"), std::string::npos);
  EXPECT_EQ(refusal("[cache]\nbackend = \"hunter2\"\n").find("hunter2"), std::string::npos);
}

TEST_F(ConfigFile, accepts_sections_of_later_releases_without_effect) {
  const auto config = load("[deployment]\nregion = \"x\"\n[config_sync.a]\nb = 1\n");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->ignored().size(), 2u);
}

TEST_F(ConfigFile, tells_which_known_keys_have_no_effect) {
  const auto config = load("[cache]\nbackend = \"redis\"\n[server]\nport = 1\n");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->ignored(), std::vector<std::string>{"cache.backend"});
  EXPECT_TRUE(load("[cache]\nbackend = \"x\"\n").failed_with(Errc::bad_request));
}

TEST_F(ConfigFile, resolves_paths_against_its_own_folder) {
  const auto config = load("[server]\ntemp_dir = \"a/../b\"\nupload_temp_dir = \"/abs/x\"\n");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->path("server.temp_dir"), dir_ / "b");
  EXPECT_EQ(config->path("server.upload_temp_dir"), "/abs/x");
  EXPECT_TRUE(config->path("logging.file").empty());
  EXPECT_EQ(config->database_url(), "sqlite://" + (dir_ / "asterdrive.db").string() + "?mode=rwc");
  EXPECT_EQ(config->absolute_database_url("postgres://h/db"), "postgres://h/db");
  EXPECT_EQ(config->absolute_database_url("sqlite:///x/y.db"), "sqlite:///x/y.db");
}

TEST_F(ConfigFile, tolerates_a_leading_data_folder_of_old_files) {
  std::filesystem::create_directory(dir_ / "data");
  testing::write_file(dir_ / "data/config.toml", "[server]\ntemp_dir = \"data/.tmp\"\n");
  const auto config = Config::load(dir_ / "data/config.toml", {});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->path("server.temp_dir"), dir_ / "data/.tmp");
}

TEST_F(ConfigFile, created_afresh_is_private_has_secrets_and_loads) {
  const auto file = dir_ / "data/config.toml";
  ASSERT_TRUE(create_config(file, {.start_mode = "follower", .host = "0.0.0.0"}).ok());
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto config = Config::load(file, {});
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->text("server.start_mode"), "follower");
  EXPECT_EQ(config->text("auth.jwt_secret").size(), 64u);
  EXPECT_NE(config->text("auth.jwt_secret"), config->text("auth.mfa_secret_key"));
  EXPECT_TRUE(create_config(file, {}).failed_with(Errc::exists));
}

/// Its settings are the lines that begin with a '#' and no blank after it.
TEST_F(ConfigFile, sample_shows_every_key_with_its_default) {
  const std::string sample = testing::read_file(ASTER_CONFIG_SAMPLE);
  ASSERT_FALSE(sample.empty());
  const auto as_it_is = load(sample);
  ASSERT_TRUE(as_it_is.ok()) << as_it_is.error().context;
  std::istringstream lines(sample);
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    const bool setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    all += line.substr(setting ? 1 : 0) + "\n";
  }
  const auto set = load(all);
  ASSERT_TRUE(set.ok()) << set.error().context;
  EXPECT_TRUE(set->ignored().empty()) << set->ignored().front();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_FALSE(as_it_is->is_set(key.name)) << key.name;
    const bool kept = key.name.starts_with("auth.") && !key.name.ends_with("concurrency");
    EXPECT_EQ(set->is_set(key.name), key.has_effect && !kept)
        << key.name << " in " << ASTER_CONFIG_SAMPLE;
    switch (key.type) {
      case ConfigKey::Type::text: EXPECT_EQ(set->text(key.name), as_it_is->text(key.name)); break;
      case ConfigKey::Type::integer:
        EXPECT_EQ(set->integer(key.name), as_it_is->integer(key.name)) << key.name;
        break;
      case ConfigKey::Type::boolean:
        EXPECT_EQ(set->boolean(key.name), as_it_is->boolean(key.name)) << key.name;
        break;
      case ConfigKey::Type::list: EXPECT_EQ(set->list(key.name), as_it_is->list(key.name)); break;
    }
  }
}

TEST_F(ConfigFile, missing_is_an_error_with_its_name) {
  const auto config = Config::load(dir_ / "none.toml", {});
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().context.find("none.toml"), std::string::npos);
}

TEST(ConfigKeys, are_unique) {
  std::set<std::string_view> names;
  for (const ConfigKey& key : config_keys()) EXPECT_TRUE(names.insert(key.name).second) << key.name;
}

/// The page names each key, those of rate_limit without effect by their table.
TEST(ConfigKeys, are_all_in_the_manual_page) {
  const std::string page = testing::read_file(ASTER_CONFIG_PAGE);
  ASSERT_FALSE(page.empty());
  for (const ConfigKey& key : config_keys()) {
    const bool grouped = key.name.starts_with("rate_limit.") && !key.has_effect;
    const std::string name(grouped ? key.name.substr(0, key.name.rfind('.')) : key.name);
    EXPECT_NE(page.find(name), std::string::npos) << name;
    const bool kept = key.name.starts_with("auth.") && !key.name.ends_with("concurrency");
    if (!key.has_effect || kept) continue;
    const bool quoted = key.type == ConfigKey::Type::text || key.type == ConfigKey::Type::list;
    const std::string shown = quoted
                                  ? "Qq " + std::string(key.fallback.empty() ? "\\&" : key.fallback)
                                  : std::string(key.fallback);
    const std::string head = ".It Va " + name + " No = " + shown + "\n";
    EXPECT_NE(page.find(head), std::string::npos) << head;
  }
}

}  // namespace
}  // namespace aster

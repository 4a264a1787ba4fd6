#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/result.h"

namespace aster {

/// One key of the configuration file, e.g. server.port.
struct ConfigKey {
  enum class Type { text, integer, boolean, list };
  std::string_view name;
  Type type = Type::text;
  std::string_view fallback;  ///< as it would stand in the environment; lists are comma-separated
  int64_t min = 0;            ///< integers only, inclusive
  int64_t max = 0;
  std::string_view choices = {};  ///< text only: the words allowed, separated by '|'; empty = any
  bool has_effect = true;         ///< false: AsterDrive has it, this program only accepts it
};

/// Every key that either mode of the server knows (config_keys.cpp; man/aster-config.5).
std::span<const ConfigKey> config_keys() noexcept;

/// What the file and the environment say, complete with defaults and checked: the getters cannot
/// fail. Asking for a key that is not in config_keys(), or as another type, is a bug. Immutable.
class Config {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  /// Reads `file` (TOML); variables ASTER__SECTION__KEY in `environment` beat it. Errors name file
  /// and line (or the variable), the key, and the limit or the nearest known key. A warning per key
  /// that is accepted without effect is left to the caller: see ignored().
  static Result<Config> load(const std::filesystem::path& file, const Environment& environment);
  /// The ASTER__ variables of this process.
  static Environment process_environment();

  const std::string& text(std::string_view key) const;
  int64_t integer(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::vector<std::string>& list(std::string_view key) const;
  /// A text as a path: relative ones start at the file's folder, and a leading "data/" (from older
  /// releases) is dropped when the folder itself is called data. Empty stays empty.
  std::filesystem::path path(std::string_view key) const;
  /// database.url with the path of an SQLite file made absolute in the same way.
  std::string database_url() const { return absolute_database_url(text("database.url")); }
  std::string absolute_database_url(const std::string& url) const;

  /// Whether file or environment set the key.
  bool is_set(std::string_view key) const;
  /// Keys of other releases that were set and have no effect here.
  const std::vector<std::string>& ignored() const { return ignored_; }
  const std::filesystem::path& file() const { return file_; }
  /// Where the file and all data live.
  std::filesystem::path folder() const { return file_.parent_path(); }

 private:
  using Value = std::variant<std::string, int64_t, bool, std::vector<std::string>>;
  struct Entry {
    Value value;
    bool set = false;
  };
  friend class ConfigReader;
  const Entry& entry(std::string_view key) const;
  std::filesystem::path resolve(const std::filesystem::path& path) const;

  std::filesystem::path file_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> ignored_;
};

/// What a fresh configuration file says.
struct ConfigDefaults {
  std::string start_mode = "primary";
  std::string host = "127.0.0.1";
};
/// Writes a new file (mode 0600, its folder 0700) with random secrets; exists when there is one.
Result<void> create_config(const std::filesystem::path& file, const ConfigDefaults& defaults);

}  // namespace aster

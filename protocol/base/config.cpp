#include "protocol/base/config.h"

#include <fcntl.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>

#include "protocol/base/ids.h"
#include "protocol/base/unique_handle.h"

extern char** environ;

namespace aster {
namespace {

constexpr std::string_view kEnvPrefix = "ASTER__";
/// Sections of later AsterDrive releases that mean nothing here.
constexpr std::string_view kForeignSections[] = {"deployment.", "config_sync."};

const ConfigKey* find_key(std::string_view name) {
  const auto keys = config_keys();
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const ConfigKey& k) { return k.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

bool is_foreign(std::string_view name) {
  return std::any_of(std::begin(kForeignSections), std::end(kForeignSections),
                     [&](std::string_view section) { return name.starts_with(section); });
}

/// Edit distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

/// " (did you mean server.port?)", or nothing when no key is near.
std::string suggestion(std::string_view name) {
  const auto leaf = [](std::string_view n) { return n.substr(n.rfind('.') + 1); };
  const ConfigKey* best = nullptr;
  size_t best_distance = 4;
  for (const ConfigKey& key : config_keys()) {
    const size_t d = leaf(key.name) == leaf(name) ? 1 : distance(name, key.name);
    if (d < best_distance) {
      best = &key;
      best_distance = d;
    }
  }
  return best ? " (did you mean " + std::string(best->name) + "?)" : "";
}

bool is_choice(std::string_view choices, std::string_view word) {
  while (!choices.empty()) {
    const size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == word) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

using Value = std::variant<std::string, int64_t, bool, std::vector<std::string>>;

/// `where` starts every message: "data/config.toml:3: server.port".
Result<Value> check(const ConfigKey& key, Value value, const std::string& where) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    if (*number < key.min) {
      return fail(Errc::bad_request, where + ": " + std::to_string(*number) +
                                         " is below the limit " + std::to_string(key.min));
    }
    if (*number > key.max) {
      return fail(Errc::bad_request, where + ": " + std::to_string(*number) +
                                         " is above the limit " + std::to_string(key.max));
    }
  }
  // The value itself is not shown: it may be a secret in the wrong place.
  if (const auto* word = std::get_if<std::string>(&value)) {
    if (!key.choices.empty() && !is_choice(key.choices, *word)) {
      return fail(Errc::bad_request, where + ": expected one of " + std::string(key.choices));
    }
  }
  return value;
}

/// From text, as it stands in the environment.
Result<Value> from_text(const ConfigKey& key, const std::string& text, const std::string& where) {
  switch (key.type) {
    case ConfigKey::Type::text: return check(key, text, where);
    case ConfigKey::Type::list: return check(key, split_list(text), where);
    case ConfigKey::Type::boolean:
      if (text == "true" || text == "1") return Value(true);
      if (text == "false" || text == "0") return Value(false);
      return fail(Errc::bad_request, where + ": expected true or false");
    case ConfigKey::Type::integer: {
      int64_t number = 0;
      const char* const end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data(), end, number);
      if (error != std::errc() || stop != end) {
        return fail(Errc::bad_request, where + ": expected a whole number");
      }
      return check(key, number, where);
    }
  }
  return fail(Errc::internal, where);
}

Result<Value> from_toml(const ConfigKey& key, const toml::node& node, const std::string& where) {
  switch (key.type) {
    case ConfigKey::Type::text:
      if (const auto text = node.value_exact<std::string>()) return check(key, *text, where);
      return fail(Errc::bad_request, where + ": expected a string");
    case ConfigKey::Type::integer:
      if (const auto number = node.value_exact<int64_t>()) return check(key, *number, where);
      return fail(Errc::bad_request, where + ": expected a whole number");
    case ConfigKey::Type::boolean:
      if (const auto flag = node.value_exact<bool>()) return Value(*flag);
      return fail(Errc::bad_request, where + ": expected true or false");
    case ConfigKey::Type::list: {
      const toml::array* array = node.as_array();
      std::vector<std::string> items;
      for (size_t i = 0; array && i < array->size(); ++i) {
        const auto item = (*array)[i].value_exact<std::string>();
        if (!item)
          array = nullptr;
        else
          items.push_back(*item);
      }
      if (!array) return fail(Errc::bad_request, where + ": expected an array of strings");
      return check(key, std::move(items), where);
    }
  }
  return fail(Errc::internal, where);
}

}  // namespace

/// Fills a Config from its sources.
class ConfigReader {
 public:
  explicit ConfigReader(Config& config) : config_(config) {}

  Result<void> defaults() {
    for (const ConfigKey& key : config_keys()) {
      ASTER_TRY(Value value, from_text(key, std::string(key.fallback), std::string(key.name)));
      config_.entries_.emplace(key.name, Config::Entry{std::move(value), false});
    }
    return ok();
  }

  Result<void> table(const toml::table& table, const std::string& prefix) {
    for (const auto& [part, node] : table) {
      const std::string name = prefix + std::string(part.str());
      if (const toml::table* inner = node.as_table(); inner && !find_key(name)) {
        ASTER_TRY(this->table(*inner, name + "."));
        continue;
      }
      const auto line = std::to_string(node.source().begin.line);
      const std::string where = config_.file_.string() + ":" + line + ": " + name;
      ASTER_TRY(const ConfigKey* key, known(name, where));
      if (!key) continue;
      ASTER_TRY(Value value, from_toml(*key, node, where));
      set(name, std::move(value));
    }
    return ok();
  }

  Result<void> variable(const std::string& variable, const std::string& text) {
    std::string name = variable.substr(kEnvPrefix.size());
    for (size_t at = name.find("__"); at != std::string::npos; at = name.find("__", at)) {
      name.replace(at, 2, ".");
    }
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string where = "environment variable " + variable;
    ASTER_TRY(const ConfigKey* key, known(name, where));
    if (!key) return ok();
    ASTER_TRY(Value value, from_text(*key, text, where));
    set(name, std::move(value));
    return ok();
  }

 private:
  /// nullptr for a key that is accepted without effect.
  Result<const ConfigKey*> known(const std::string& name, const std::string& where) {
    if (const ConfigKey* key = find_key(name)) {
      if (!key->has_effect) config_.ignored_.push_back(name);
      return key;
    }
    if (is_foreign(name)) {
      config_.ignored_.push_back(name);
      return nullptr;
    }
    return fail(Errc::bad_request, where + ": unknown key" + suggestion(name));
  }
  void set(const std::string& name, Value value) {
    config_.entries_[name] = Config::Entry{std::move(value), true};
  }

  Config& config_;
};

Result<Config> Config::load(const std::filesystem::path& file, const Environment& environment) {
  Config config;
  config.file_ = std::filesystem::absolute(file).lexically_normal();
  ConfigReader reader(config);
  ASTER_TRY(reader.defaults());
  if (!std::filesystem::exists(config.file_)) {
    return fail(
        Errc::not_found,
        "there is no configuration file " + config.file_.string() +
            "; --config names another place, and a server that is moved takes its file along");
  }
  toml::table table;
  try {
    table = toml::parse_file(config.file_.string());
  } catch (const toml::parse_error& e) {
    const auto line = e.source().begin.line;
    return fail(Errc::bad_request, config.file_.string() +
                                       (line ? ":" + std::to_string(line) : "") + ": " +
                                       std::string(e.description()));
  }
  ASTER_TRY(reader.table(table, ""));
  for (const auto& [variable, text] : environment) {
    if (!variable.starts_with(kEnvPrefix)) continue;
    ASTER_TRY(reader.variable(variable, text));
  }
  return config;
}

Config::Environment Config::process_environment() {
  Environment out;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with(kEnvPrefix) || equals == std::string_view::npos) continue;
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

const Config::Entry& Config::entry(std::string_view key) const {
  const auto found = entries_.find(key);
  ASTER_CHECK(found != entries_.end());
  return found->second;
}

const std::string& Config::text(std::string_view key) const {
  return std::get<std::string>(entry(key).value);
}
int64_t Config::integer(std::string_view key) const {
  return std::get<int64_t>(entry(key).value);
}
bool Config::boolean(std::string_view key) const {
  return std::get<bool>(entry(key).value);
}
const std::vector<std::string>& Config::list(std::string_view key) const {
  return std::get<std::vector<std::string>>(entry(key).value);
}
bool Config::is_set(std::string_view key) const {
  return entry(key).set;
}

std::filesystem::path Config::path(std::string_view key) const {
  const std::string& given = text(key);
  return given.empty() ? std::filesystem::path() : resolve(given);
}

std::filesystem::path Config::resolve(const std::filesystem::path& path) const {
  if (path.is_absolute()) return path.lexically_normal();
  std::filesystem::path relative = path.lexically_normal();
  if (folder().filename() == "data" && *relative.begin() == "data") {
    relative = relative.lexically_relative("data");
  }
  return (folder() / relative).lexically_normal();
}

std::string Config::absolute_database_url(const std::string& url) const {
  constexpr std::string_view kScheme = "sqlite://";
  if (!url.starts_with(kScheme)) return url;
  const size_t question = std::min(url.find('?'), url.size());
  const std::string path = url.substr(kScheme.size(), question - kScheme.size());
  if (path.empty() || path.starts_with('/') || path.starts_with(':')) return url;
  return std::string(kScheme) + resolve(path).string() + url.substr(question);
}

Result<void> create_config(const std::filesystem::path& file, const ConfigDefaults& defaults) {
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  std::error_code error;
  if (std::filesystem::create_directories(folder, error)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  const std::string text =
      "# Keys and defaults: aster-config(5). Variables ASTER__SECTION__KEY beat this file.\n"
      "[server]\n"
      "host = \"" +
      defaults.host +
      "\"\n"
      "port = 3000\n"
      "start_mode = \"" +
      defaults.start_mode +
      "\"\n"
      "# With both, the port speaks https:\n"
      "# tls_certificate = \"/etc/aster/server.pem\"\n"
      "# tls_key = \"/etc/aster/server.key\"\n"
      "\n[database]\n"
      "url = \"sqlite://asterdrive.db?mode=rwc\"\n"
      "\n[auth]\n"
      "jwt_secret = \"" +
      random_hex(32) +
      "\"\n"
      "mfa_secret_key = \"" +
      random_hex(32) +
      "\"\n"
      "storage_credential_secret_key = \"" +
      random_hex(32) +
      "\"\n"
      "\n[logging]\n"
      "level = \"info\"\n";
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + file.string());
  const ssize_t n = ::write(fd.get(), text.data(), text.size());
  if (n != static_cast<ssize_t>(text.size()) || ::fsync(fd.get()) != 0) {
    const int err = n < 0 ? errno : ENOSPC;
    ::unlink(file.c_str());
    return fail_errno(err, "write " + file.string());
  }
  return ok();
}

}  // namespace aster

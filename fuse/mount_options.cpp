#include "fuse/mount_options.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>

#include "protocol/base_url.h"
#include "protocol/client/curl_http_client.h"

namespace aster {
namespace {

using Value = std::string_view;

/// One option: `--name=value` on the command line, `name=value` after -o.
struct Row {
  const char* name;
  const char* value;  ///< what stands for its value in the help; nullptr: none
  const char* help;
  Result<void> (*apply)(MountOptions& options, Value value);
};

Result<void> set_size(uint64_t& out, Value value) {
  ASTER_TRY(out, parse_size(value));
  return ok();
}

Result<void> set_path(std::string& out, Value value) {
  // The daemon lives in /, and mount(8) may be anywhere.
  if (value.empty()) return fail(Errc::bad_request, "a file name is needed");
  out = value;
  return ok();
}

Result<void> set_count(uint32_t& out, Value value) {
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (error != std::errc() || end != value.data() + value.size() || out < 1 || out > 256) {
    return fail(Errc::bad_request, "a number from 1 to 256 is needed");
  }
  return ok();
}

Result<void> set_level(MountOptions& options, Value value) {
  ASTER_TRY(options.log_level, log::parse_level(value));
  return ok();
}

Result<void> set_allow_other(MountOptions& options, bool allow) {
  options.allow_other = allow;
  return ok();
}

/// One budget for the whole process. A quarter for blocks, which the kernel's pages hold again, a
/// quarter for what is unsent, an eighth for read-ahead; the rest is left to the program itself:
/// blocks on their way to the disk, buffers of connections, the index of the cache.
Result<void> set_memory(MountOptions& options, Value value) {
  constexpr uint64_t kLeast = 64 << 20;
  uint64_t memory = 0;
  ASTER_TRY(set_size(memory, value));
  if (memory < kLeast) return fail(Errc::bad_request, "64M at least");
  options.memory_cache = memory / 4;
  options.dirty_limit = memory / 4;
  options.read_ahead = memory / 8;
  return ok();
}

constexpr Row kRows[] = {
    {"server", "URL", "The primary (instead of SOURCE)",
     [](MountOptions& o, Value v) { return parse_source(v, o); }},
    {"token-file", "FILE", "File with the access token (default: that of 'aster login')",
     [](MountOptions& o, Value v) { return set_path(o.token_file, v); }},
    {"user", "NAME", "Log in as NAME with --password-file instead of a token",
     [](MountOptions& o, Value v) {
       o.user = v;
       return ok();
     }},
    {"password-file", "FILE", "File with the password of --user",
     [](MountOptions& o, Value v) { return set_path(o.password_file, v); }},
    {"ca-file", "FILE", "PEM file of authorities to trust for https",
     [](MountOptions& o, Value v) { return set_path(o.ca_file, v); }},
    {"pin", "KEY", "Public key the primary must have: sha256//BASE64, several with ';'",
     [](MountOptions& o, Value v) {
       o.pin = v;
       return check_pin(v);
     }},
    {"workspace", "NAME", "The tree to mount: team:NAME (default: the user's own)",
     [](MountOptions& o, Value v) {
       o.workspace = v;
       return ok();
     }},
    {"cache-dir", "DIR", "Folder of the block cache, of its own for each mount",
     [](MountOptions& o, Value v) { return set_path(o.cache_dir.emplace(), v); }},
    {"cache-size", "SIZE", "Most that the block cache takes on disk; 0: none (default: 10G)",
     [](MountOptions& o, Value v) { return set_size(o.cache_size, v); }},
    {"memory", "SIZE",
     "Memory of the program, shared out to the next two and read-ahead (default: 256M)",
     set_memory},
    {"memory-cache", "SIZE", "Memory for blocks (default: 64M)",
     [](MountOptions& o, Value v) { return set_size(o.memory_cache, v); }},
    {"dirty-limit", "SIZE", "Unsent writes in memory; more goes to journal-dir (default: 64M)",
     [](MountOptions& o, Value v) { return set_size(o.dirty_limit, v); }},
    {"durability", "WHERE",
     "What fsync and close wait for: remote (default) or local (the journal)",
     [](MountOptions& o, Value v) -> Result<void> {
       if (v != "remote" && v != "local") return fail(Errc::bad_request, "remote or local");
       o.local_durability = v == "local";
       return ok();
     }},
    {"journal-dir", "DIR", "Folder for unsent data on disk, of its own for each mount",
     [](MountOptions& o, Value v) { return set_path(o.journal_dir, v); }},
    {"journal-size", "SIZE", "Unsent data that the journal and its disk take (default: 1G)",
     [](MountOptions& o, Value v) { return set_size(o.journal_size, v); }},
    {"read-ahead", "SIZE", "Bytes of read-ahead under way (default: 32M)",
     [](MountOptions& o, Value v) { return set_size(o.read_ahead, v); }},
    {"uploads", "N", "Uploads at the same time (default: 8)",
     [](MountOptions& o, Value v) { return set_count(o.uploads, v); }},
    {"downloads", "N", "Downloads at the same time (default: 16)",
     [](MountOptions& o, Value v) { return set_count(o.downloads, v); }},
    {"timeout", "TIME", "Deadline of each call to a server (default: 30s)",
     [](MountOptions& o, Value v) -> Result<void> {
       ASTER_TRY(o.timeout, parse_duration(v));
       return ok();
     }},
    {"soft", nullptr, "Fail with EIO after the timeout (default)",
     [](MountOptions& o, Value) {
       o.hard = false;
       return ok();
     }},
    {"hard", nullptr, "Wait for the servers as long as it takes",
     [](MountOptions& o, Value) {
       o.hard = true;
       return ok();
     }},
    {"consistency", "HOW", "lease or ttl: never stale, or stale for a second (default: lease)",
     [](MountOptions& o, Value v) -> Result<void> {
       if (v != "lease" && v != "ttl") return fail(Errc::bad_request, "lease or ttl is needed");
       o.leases = v == "lease";
       return ok();
     }},
    {"trash", "WHETHER", "on or off: keep what is deleted here in the drive's trash (default: on)",
     [](MountOptions& o, Value v) -> Result<void> {
       if (v != "on" && v != "off") return fail(Errc::bad_request, "on or off is needed");
       o.trash = v == "on";
       return ok();
     }},
    {"ro", nullptr, "Change nothing",
     [](MountOptions& o, Value) {
       o.read_only = true;
       return ok();
     }},
    {"allow-other", nullptr, "Let other users in (default for root)",
     [](MountOptions& o, Value) { return set_allow_other(o, true); }},
    {"no-allow-other", nullptr, "Let nobody else in",
     [](MountOptions& o, Value) { return set_allow_other(o, false); }},
    {"noatime", nullptr, "Do not keep times of last access",
     [](MountOptions& o, Value) {
       o.access_times = false;
       return ok();
     }},
    {"relatime", nullptr, "Of reads count the first after a change or a day (default)",
     [](MountOptions& o, Value) {
       o.access_times = true;
       o.strict_access_times = false;
       return ok();
     }},
    {"strictatime", nullptr, "Every read moves the time of last access on",
     [](MountOptions& o, Value) {
       o.access_times = true;
       o.strict_access_times = true;
       return ok();
     }},
    {"foreground", nullptr, "Stay in front and log to standard error",
     [](MountOptions& o, Value) {
       o.foreground = true;
       return ok();
     }},
    {"log-file", "FILE", "Append the log to FILE (default: syslog)",
     [](MountOptions& o, Value v) { return set_path(o.log_file, v); }},
    {"log-level", "LEVEL", "debug, info, warn, error or off (default: info)", set_level},
    {"debug", nullptr, "The same as --log-level=debug",
     [](MountOptions& o, Value) { return set_level(o, "debug"); }},
};

/// Words of mount(8) and fstab(5) that mean nothing to us, or that mount(8) itself obeys.
constexpr std::string_view kAccepted[] = {
    "rw",       "auto",       "noauto",   "user",       "users",
    "nouser",   "owner",      "group",    "_netdev",    "nofail",
    "defaults", "async",      "atime",    "norelatime", "nostrictatime",
    "lazytime", "nolazytime", "diratime", "nodiratime", "mand",
    "nomand",   "silent",     "loud",     "iversion",   "noiversion"};

/// Flags that the kernel enforces, as libfuse names them.
constexpr std::string_view kKernelFlags[] = {"suid", "nosuid", "dev",  "nodev",
                                             "exec", "noexec", "sync", "dirsync"};

template <size_t N>
bool among(const std::string_view (&words)[N], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// mount(8) writes underscores, command lines hyphens.
std::string canonical(std::string_view name) {
  std::string out(name);
  std::replace(out.begin() + (out.starts_with('_') ? 1 : 0), out.end(), '_', '-');
  return out;
}

const Row* find_row(const std::string& name) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& r) { return name == r.name; });
  return row == std::end(kRows) ? nullptr : row;
}

Result<void> apply(const Row& row, std::optional<Value> value, MountOptions& options) {
  if ((row.value != nullptr) != value.has_value()) {
    return fail(Errc::bad_request, std::string("option ") + row.name +
                                       (row.value ? " needs a value" : " takes no value"));
  }
  const Result<void> done = row.apply(options, value.value_or(""));
  if (done.ok()) return done;
  return fail(Errc::bad_request, std::string("option ") + row.name + ": " + done.error().context);
}

/// One word after -o.
Result<void> apply_word(const std::string& word, bool sloppy, MountOptions& options) {
  const size_t equals = word.find('=');
  const std::string plain = word.substr(0, equals);
  const std::string name = canonical(plain);
  // Bare "user" is a word of fstab, "user=NAME" is ours.
  const bool bare = equals == std::string::npos;
  if (plain.starts_with("x-") || plain.starts_with("X-") || plain == "comment") return ok();
  if (bare && among(kAccepted, plain)) return ok();
  if (bare && among(kKernelFlags, plain)) {
    options.kernel_flags.push_back(plain);
    return ok();
  }
  const Row* row = find_row(name);
  if (row == nullptr) {
    if (sloppy) return ok();
    return fail(Errc::bad_request, "unknown option '" + plain + "'");
  }
  if (bare) return apply(*row, std::nullopt, options);
  return apply(*row, std::string_view(word).substr(equals + 1), options);
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (comma != 0) words.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return words;
}

/// The command line as CLI11 sees it.
struct CommandLine {
  CLI::App app{"Mounts an Aster drive.", "mount.aster"};
  std::vector<std::string> places;
  std::vector<std::string> lists;
  bool sloppy = false;
  std::vector<std::pair<const Row*, std::string>> given;
  std::string ignored_text;
  bool ignored = false;
  bool version = false;

  CommandLine() {
    app.add_option("PLACES", places,
                   "The drive ([user@]host[:port], team:NAME@host[:port] or a URL; else the "
                   "default drive), and the directory to mount it on")
        ->option_text("[SOURCE] MOUNTPOINT")
        ->expected(1, 2);
    app.add_option("-o", lists, "Options as for mount(8), separated by commas")
        ->option_text("OPTIONS")
        ->allow_extra_args(false);
    app.add_flag("-s", sloppy, "Ignore unknown options after -o");
    app.add_flag("-n,-v", ignored, "Accepted for mount(8), without effect");
    app.add_option("-t", ignored_text, "Accepted for mount(8), without effect")
        ->option_text("TYPE");
    app.add_flag("--version", version, "Print the version and exit");
    for (const Row& row : kRows) add(row);
  }

 private:
  void add(const Row& row) {
    const std::string name = std::string("--") + row.name;
    if (row.value == nullptr) {
      const std::string names = row.name == std::string_view("foreground") ? "-f," + name : name;
      app.add_flag_callback(
          names, [this, &row] { given.emplace_back(&row, ""); }, row.help);
      return;
    }
    app.add_option_function<std::string>(
           name, [this, &row](const std::string& value) { given.emplace_back(&row, value); },
           row.help)
        ->option_text(row.value);
  }
};

Result<void> apply_all(const CommandLine& line, MountOptions& options) {
  for (const std::string& list : line.lists) {
    for (const std::string& word : split(list)) {
      ASTER_TRY(apply_word(word, line.sloppy, options));
    }
  }
  for (const auto& [row, value] : line.given) {
    std::optional<Value> given;
    if (row->value != nullptr) given = value;
    ASTER_TRY(apply(*row, given, options));
  }
  if (line.places.empty()) return fail(Errc::bad_request, "a directory to mount on is needed");
  options.mountpoint = line.places.back();
  // "none" is what fstab has where there is nothing to say.
  if (line.places.size() == 2 && line.places.front() != "none") {
    ASTER_TRY(parse_source(line.places.front(), options));
  }
  return ok();
}

Result<void> check(const MountOptions& options) {
  if (options.mountpoint.empty()) {
    return fail(Errc::bad_request, "the directory to mount on is empty");
  }
  if (!options.password_file.empty() && options.user.empty()) {
    return fail(Errc::bad_request, "password_file needs user=NAME");
  }
  if (!options.pin.empty() && options.server.starts_with("http:")) {
    return fail(Errc::bad_request, "option pin: the drive's URL is not https");
  }
  if (!options.password_file.empty() && !options.token_file.empty()) {
    return fail(Errc::bad_request, "give a token_file or a password_file, not both");
  }
  constexpr uint64_t kLeastCache = 16 << 20;
  if (options.cache_size != 0 && options.cache_size < kLeastCache) {
    return fail(Errc::bad_request, "option cache-size: 16M at least, or 0 for none");
  }
  constexpr uint64_t kLeastJournal = 32 << 20;
  if (options.journal_size < kLeastJournal) {
    return fail(Errc::bad_request, "option journal-size: 32M at least");
  }
  constexpr uint64_t kLeastDirty = 8 << 20;
  if (options.dirty_limit < kLeastDirty) {
    return fail(Errc::bad_request, "option dirty-limit: 8M at least");
  }
  return ok();
}

/// CLI11 cannot say that the first of two places is optional.
std::string help_text(const CLI::App& app) {
  std::string text = app.help();
  const size_t begin = text.find("Usage:");
  const size_t end = text.find('\n', begin);
  if (begin == std::string::npos || end == std::string::npos) return text;
  return text.replace(begin, end - begin, "Usage: mount.aster [SOURCE] MOUNTPOINT [OPTIONS]");
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const std::string_view units = "KMGT";
  size_t power = 0;
  if (!unit.empty()) power = units.find(static_cast<char>(unit[0] & ~0x20)) + 1;
  if (error != std::errc() || unit.size() > 1 || (!unit.empty() && power == 0) ||
      number > (uint64_t{1} << 50) >> (10 * power)) {
    return fail(Errc::bad_request, "'" + std::string(text) + "' is no size such as 512M or 10G");
  }
  return number << (10 * power);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  int64_t factor = 0;
  if (unit.empty() || unit == "s") factor = 1000;
  if (unit == "ms") factor = 1;
  if (unit == "m") factor = 60 * 1000;
  if (unit == "h") factor = 3600 * 1000;
  constexpr int64_t kDay = 24 * 3600 * 1000;
  if (error != std::errc() || factor == 0 || number <= 0 || number > kDay / factor) {
    return fail(Errc::bad_request, "'" + std::string(text) + "' is no time such as 30s or 5m");
  }
  return std::chrono::milliseconds(number * factor);
}

Result<void> parse_source(std::string_view source, MountOptions& options) {
  std::string scheme;
  std::string_view rest = source;
  if (const size_t colon = source.find("://"); colon != std::string_view::npos) {
    scheme = source.substr(0, colon + 3);
    rest = source.substr(colon + 3);
  }
  if (const size_t at = rest.find('@'); at != std::string_view::npos && at < rest.find('/')) {
    const std::string_view user = rest.substr(0, at);
    constexpr std::string_view kTeam = "team:";
    const bool team = user.starts_with(kTeam) && user.size() > kTeam.size() &&
                      user.find(':', kTeam.size()) == std::string_view::npos;
    if (team) options.workspace = user;
    if (!team && (user.empty() || user.find(':') != std::string_view::npos)) {
      return fail(
          Errc::bad_request,
          "a drive is [user@]host[:port], team:NAME@host[:port] or a URL, without a password");
    }
    if (!team) options.user = user;
    rest = rest.substr(at + 1);
  }
  if (scheme.empty()) scheme = is_this_machine(rest) ? "http://" : "https://";
  if (const size_t colon = rest.find(':');
      scheme == "https://" && colon != std::string_view::npos) {
    if (source.find("://") == std::string_view::npos && is_this_machine(rest.substr(0, colon))) {
      scheme = "http://";
    }
  }
  const Result<std::string> url = normalize_master_url(scheme + std::string(rest));
  if (!url.ok()) {
    return fail(Errc::bad_request,
                "'" + std::string(source) + "' is no drive: " + url.error().context);
  }
  options.server = *url;
  return ok();
}

Result<ParsedArguments> parse_arguments(const std::vector<std::string>& arguments) {
  CommandLine line;
  ParsedArguments parsed;
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    line.app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    parsed.print = help_text(line.app);
    return parsed;
  } catch (const CLI::ParseError& error) {
    return fail(Errc::bad_request, error.what());
  }
  if (line.version) {
    parsed.print = "mount.aster " ASTER_VERSION "\n";
    return parsed;
  }
  ASTER_TRY(apply_all(line, parsed.options));
  ASTER_TRY(check(parsed.options));
  return parsed;
}

}  // namespace aster

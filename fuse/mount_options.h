#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/log.h"
#include "protocol/base/result.h"

namespace aster {

/// What `mount.aster [SOURCE] MOUNTPOINT -o ...` asks for, checked. Empty texts: not given.
struct MountOptions {
  std::string server;      ///< normalised URL of the primary; empty: the default drive
  std::string mountpoint;  ///< as given
  std::string user;
  std::string password_file;
  std::string token_file;
  std::string ca_file;
  std::string pin;
  std::string workspace;

  std::optional<std::string> cache_dir;
  uint64_t cache_size = 10ull << 30;    ///< bytes on disk; 0: no disk cache
  uint64_t memory_cache = 64ull << 20;  ///< bytes; see set_memory for the shares of 256 MiB
  uint64_t dirty_limit = 64ull << 20;
  bool local_durability = false;  ///< fsync and close wait for the journal, not for the servers
  std::string journal_dir;        ///< empty: the default
  uint64_t journal_size = 1ull << 30;
  uint64_t read_ahead = 32ull << 20;
  uint32_t uploads = 8;
  uint32_t downloads = 16;

  std::chrono::milliseconds timeout{30000};
  bool hard = false;
  bool leases = true;  ///< consistency=lease, else ttl
  bool read_only = false;
  bool access_times = true;
  bool strict_access_times = false;  ///< every read counts, not only what is news
  bool trash = true;                 ///< deleted files go to the drive's trash
  std::optional<bool> allow_other;   ///< not given: root allows others, nobody else does
  std::vector<std::string> kernel_flags;

  bool foreground = false;
  std::string log_file;
  log::Level log_level = log::Level::info;
};

/// Either options or a text to print before a successful exit (--help, --version).
struct ParsedArguments {
  MountOptions options;
  std::optional<std::string> print;
};

/// The command line without the program's name. bad_request with one line for people.
Result<ParsedArguments> parse_arguments(const std::vector<std::string>& arguments);

/// "512K", "10G", "1048576": bytes. bad_request.
Result<uint64_t> parse_size(std::string_view text);
/// "30", "30s", "5m", "2h", "500ms"; a bare number is seconds. More than zero, at most a day.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// SOURCE: a URL, or [user@]host[:port] (https, but http for this machine itself). "team:NAME" in
/// place of the user names the workspace.
Result<void> parse_source(std::string_view source, MountOptions& options);

}  // namespace aster

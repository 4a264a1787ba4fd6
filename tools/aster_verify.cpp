#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "protocol/base/executor.h"
#include "protocol/base/progress_line.h"
#include "protocol/base/secret_file.h"
#include "protocol/base/text.h"
#include "protocol/base/unique_handle.h"
#include "protocol/checksum.h"
#include "protocol/client/primary_client.h"
#include "protocol/http_text.h"
#include "tools/aster_command.h"

/// `aster verify`: do the primary's manifests, the followers' objects and what the mount shows
/// agree?
namespace aster::cli {
namespace {

namespace json = boost::json;
namespace filesystem = std::filesystem;

/// Blocks per GET of --deep: 4 MiB.
constexpr uint64_t kPieceBlocks = 32;
/// A finding counts when it is still there after a look at a fresh manifest: the file may be
/// changing, its parts may just have been composed.
constexpr int kLooks = 3;

/// What a mount says about itself in `.aster/configuration`.
struct Mounted {
  filesystem::path place;
  std::string server;
  std::string user;
  std::string workspace;
};

Result<Mounted> mount_of(const std::string& path) {
  std::error_code error;
  filesystem::path at = filesystem::canonical(path, error);
  if (error) return fail(Errc::not_found, path + ": " + error.message());
  for (;; at = at.parent_path()) {
    std::ifstream file(at / ".aster/configuration");
    Mounted mounted;
    for (std::string line; std::getline(file, line);) {
      const size_t tab = line.find('\t');
      if (tab == std::string::npos) continue;
      if (line.substr(0, tab) == "server") mounted.server = line.substr(tab + 1);
      if (line.substr(0, tab) == "user") mounted.user = line.substr(tab + 1);
      // The user's own tree has no name.
      if (line.substr(0, tab) == "workspace" && line.substr(tab + 1) != "-") {
        mounted.workspace = line.substr(tab + 1);
      }
    }
    mounted.place = at;
    if (!mounted.server.empty()) return mounted;
    if (at == at.root_path()) {
      return fail(Errc::bad_request, path + " is not on a mounted drive of this program");
    }
  }
}

/// Blocks that the caches of a mount have found damaged since it began.
uint64_t damaged_in_cache(const filesystem::path& place) {
  std::ifstream file(place / ".aster/cache");
  uint64_t damaged = 0;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos || !line.substr(0, tab).ends_with("corrupt_blocks")) continue;
    damaged += parse_decimal<uint64_t>(line.substr(tab + 1)).value_or(0);
  }
  return damaged;
}

class Verifier {
 public:
  Verifier(PrimaryClient& primary, HttpClient& http, bool deep)
      : primary_(primary), http_(http), deep_(deep) {}

  void verify(const filesystem::path& path);
  /// Blocks of the mount's caches that were found damaged meanwhile. The mount dropped them and
  /// fetched them anew, so no file shows them.
  void found_in_cache(const filesystem::path& place, uint64_t damaged);
  Report report() const;
  /// How far verify() is. Any thread may ask.
  std::string progress() const;

 private:
  using Found = Result<void>;  // an error is a finding, its context the text

  void file(const filesystem::path& path);
  Found look(const filesystem::path& path);
  Found look_at(const fs::Manifest& manifest, int fd);
  Found object_there(const fs::ObjectAccess& object);
  Found bytes_sound(const fs::Manifest& manifest, const fs::ObjectAccess& object, int fd);
  Found same_in_mount(const fs::Manifest& manifest, const ObjectId& object, uint64_t begin,
                      ByteView bytes, int fd);
  Result<HttpClientResponse> get(const fs::ObjectAccess& object, uint64_t first, uint64_t last);
  void finding(const filesystem::path& path, const std::string& what);

  PrimaryClient& primary_;
  HttpClient& http_;
  const bool deep_;
  std::set<ObjectId> there_;
  std::atomic<uint64_t> files_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  uint64_t cache_damaged_ = 0;
  json::array findings_;
  std::string text_;
};

void Verifier::finding(const filesystem::path& path, const std::string& what) {
  findings_.push_back({{"path", path.string()}, {"finding", what}});
  text_ += path.string() + ": " + what + "\n";
}

Result<HttpClientResponse> Verifier::get(const fs::ObjectAccess& object, uint64_t first,
                                         uint64_t last) {
  HttpClientRequest request;
  request.url = primary_.absolute(object.url);
  request.headers.emplace_back("Range",
                               "bytes=" + std::to_string(first) + "-" + std::to_string(last));
  ASTER_TRY(HttpClientResponse response, run_blocking(http_.send(std::move(request))));
  if (response.status == 404)
    return fail(Errc::not_found, "object " + object.id.hex() + " is gone");
  if (response.status != 206 || response.body.size() != last - first + 1) {
    return fail(Errc::io_error, "object " + object.id.hex() + ": the node answers with status " +
                                    std::to_string(response.status));
  }
  return response;
}

Verifier::Found Verifier::object_there(const fs::ObjectAccess& object) {
  if (there_.contains(object.id)) return ok();
  ASTER_TRY(const HttpClientResponse response, get(object, 0, 0));
  const std::string* range = find_header(response.headers, "Content-Range");
  const std::string expected = "bytes 0-0/" + std::to_string(object.size);
  if (range == nullptr || *range != expected) {
    return fail(Errc::corrupt, "object " + object.id.hex() + " should have " +
                                   std::to_string(object.size) + " bytes, the node says '" +
                                   (range == nullptr ? "" : *range) + "'");
  }
  there_.insert(object.id);
  return ok();
}

Verifier::Found Verifier::same_in_mount(const fs::Manifest& manifest, const ObjectId& object,
                                        uint64_t begin, ByteView bytes, int fd) {
  std::string shown;
  for (const fs::Extent& extent : manifest.extents) {
    if (extent.object != object) continue;
    const uint64_t from = std::max(begin, extent.object_offset);
    const uint64_t to = std::min(begin + bytes.size(), extent.object_offset + extent.length);
    if (from >= to) continue;
    const uint64_t offset = extent.offset + (from - extent.object_offset);
    shown.resize(to - from);
    const ssize_t n = ::pread(fd, shown.data(), shown.size(), static_cast<off_t>(offset));
    if (n < 0) return fail_errno("reading at byte " + std::to_string(offset));
    const std::string_view stored = as_text(bytes).substr(from - begin, to - from);
    if (static_cast<size_t>(n) != shown.size() || stored != shown) {
      return fail(Errc::corrupt, "the mount shows other bytes than the node has, in the " +
                                     std::to_string(to - from) + " bytes at " +
                                     std::to_string(offset));
    }
    bytes_ += shown.size();
  }
  return ok();
}

Verifier::Found Verifier::bytes_sound(const fs::Manifest& manifest, const fs::ObjectAccess& object,
                                      int fd) {
  for (uint64_t i = 0; i < object.crc32c.size(); i += kPieceBlocks) {
    const uint64_t blocks = std::min<uint64_t>(kPieceBlocks, object.crc32c.size() - i);
    const uint64_t begin = (object.first_block + i) * kBlockSize;
    const uint64_t end = std::min(begin + blocks * kBlockSize, object.size);
    ASTER_TRY(const HttpClientResponse response, get(object, begin, end - 1));
    const ByteView bytes = response.body.view();
    for (uint64_t b = 0; b < blocks; ++b) {
      const uint64_t at = b * kBlockSize;
      const ByteView block = bytes.subspan(at, std::min<uint64_t>(kBlockSize, bytes.size() - at));
      if (crc32c(block) != object.crc32c[i + b]) {
        return fail(Errc::corrupt, "object " + object.id.hex() +
                                       " is damaged on the node, in the block at " +
                                       std::to_string(begin + at));
      }
    }
    ASTER_TRY(same_in_mount(manifest, object.id, begin, bytes, fd));
  }
  return ok();
}

Verifier::Found Verifier::look_at(const fs::Manifest& manifest, int fd) {
  for (const fs::ObjectAccess& object : manifest.objects) {
    ASTER_TRY(object_there(object));
    if (deep_) ASTER_TRY(bytes_sound(manifest, object, fd));
  }
  return ok();
}

Verifier::Found Verifier::look(const filesystem::path& path) {
  // Without the kernel's pages, so that the mount and its caches answer.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return fail_errno("cannot be opened");
  char durable[16] = "";
  const ssize_t n = ::fgetxattr(fd.get(), "user.aster.durable", durable, sizeof durable);
  if (n > 0 && std::string_view(durable, static_cast<size_t>(n)) != "remote") {
    return fail(Errc::precondition_failed, "is not sent yet");
  }
  const InodeNo ino(st.st_ino);
  uint64_t size = static_cast<uint64_t>(st.st_size);
  for (uint64_t at = 0; at < size;) {
    fs::Operation question = fs::GetManifest{ino, at, UINT64_MAX};
    ASTER_TRY(const fs::Manifest manifest,
              run_blocking(primary_.call<fs::Manifest>(std::move(question))));
    if (manifest.attr.size != size) {
      return fail(Errc::stale_version, "has " + std::to_string(size) + " bytes here and " +
                                           std::to_string(manifest.attr.size) + " at the server");
    }
    ASTER_TRY(look_at(manifest, fd.get()));
    at = manifest.window_end;
  }
  return ok();
}

void Verifier::file(const filesystem::path& path) {
  ++files_;
  Found found = look(path);
  for (int i = 1; i < kLooks && !found.ok(); ++i) found = look(path);
  if (!found.ok()) {
    const Error& error = found.error();
    finding(path, error.context.empty() ? error.message() : error.context);
  }
}

void Verifier::verify(const filesystem::path& path) {
  std::error_code error;
  if (!filesystem::is_directory(filesystem::symlink_status(path, error))) return file(path);
  auto walk = filesystem::recursive_directory_iterator(path, error);
  for (; !error && walk != filesystem::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code gone;
    if (walk->symlink_status(gone).type() == filesystem::file_type::regular) file(walk->path());
  }
  if (error) finding(path, "cannot be listed: " + error.message());
}

void Verifier::found_in_cache(const filesystem::path& place, uint64_t damaged) {
  cache_damaged_ = damaged;
  if (damaged == 0) return;
  finding(place, "its cache on this machine had " + std::to_string(damaged) +
                     " damaged blocks, which were fetched anew");
}

std::string Verifier::progress() const {
  std::string text = "verifying: " + std::to_string(files_) + " files";
  if (deep_) text += ", " + shown_bytes(bytes_) + " compared";
  return text;
}

Report Verifier::report() const {
  Report report;
  report.json = {{"files", files_.load()},
                 {"objects", there_.size()},
                 {"bytes_compared", bytes_.load()},
                 {"cache_blocks_damaged", cache_damaged_},
                 {"findings", findings_}};
  report.text =
      text_ + std::to_string(files_) + " files, " + std::to_string(there_.size()) + " objects";
  if (deep_) report.text += ", " + std::to_string(bytes_) + " bytes compared";
  report.text += ", " + std::to_string(findings_.size()) + " findings\n";
  if (!findings_.empty()) {
    const size_t bad_files = findings_.size() - (cache_damaged_ == 0 ? 0 : 1);
    if (bad_files != 0) {
      report.problem = std::to_string(bad_files) + " of " + std::to_string(files_) +
                       " files are not as they should be";
    }
    if (cache_damaged_ != 0) {
      report.problem += report.problem.empty() ? "" : "; ";
      report.problem += "the cache on this machine was damaged";
    }
  }
  return report;
}

Result<Report> verify(Session& session, const std::string& path, bool deep) {
  ASTER_TRY(const Mounted mounted, mount_of(path));
  ASTER_TRY(const std::string server, session.server());
  if (server != mounted.server) {
    return fail(Errc::precondition_failed, path + " is on " + mounted.server +
                                               ", but the login is for " + server +
                                               ": give --server and --token-file");
  }
  ASTER_TRY(const ServerTrust trust, session.trust(server));
  static_cast<void>(trust);
  ASTER_TRY(const filesystem::path token_file, session.token_file());
  ASTER_TRY(std::string token, read_secret_file(token_file));
  Executor executor({.name = "verify", .threads = 1});
  HttpClient& http = session.world().http;
  const auto primary = make_primary_client({server, std::move(token)}, http, executor);
  ASTER_TRY(const fs::SessionAnswer opened,
            run_blocking(primary->open_session({"aster verify", mounted.workspace})));
  if (opened.user != mounted.user) {
    return fail(Errc::precondition_failed, path + " is on the drive of " + mounted.user +
                                               ", but the login is for " + opened.user +
                                               ": give --token-file");
  }
  Verifier verifier(*primary, http, deep);
  {
    ProgressLine line(session.world().terminal);
    line.follow([&verifier] { return verifier.progress(); });
    const uint64_t before = damaged_in_cache(mounted.place);
    verifier.verify(path);
    // A smaller number is one of a mount that began anew.
    const uint64_t after = damaged_in_cache(mounted.place);
    verifier.found_in_cache(mounted.place, after - std::min(before, after));
  }
  ASTER_TRY(run_blocking(primary->close_session()));
  return verifier.report();
}

}  // namespace

void add_verify_command(Commands& commands) {
  struct Choice {
    std::string path;
    bool deep = false;
  };
  auto choice = std::make_shared<Choice>();
  CLI::App* app = commands.add(
      &commands.app(), "verify", "Compare files of a mounted drive with what the nodes hold",
      [choice](Session& session) { return verify(session, choice->path, choice->deep); });
  app->add_option("PATH", choice->path, "A file, or a directory and all below it")->required();
  app->add_flag("--deep", choice->deep, "Fetch and compare every byte");
}

}  // namespace aster::cli

#include <limits.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cache/disk_block_cache.h"
#include "cache/memory_block_cache.h"
#include "cache/tiered_block_cache.h"
#include "cache/writeback_journal.h"
#include "fuse/credentials.h"
#include "fuse/io/file_content.h"
#include "fuse/kernel/daemonize.h"
#include "fuse/kernel/session.h"
#include "fuse/mount_options.h"
#include "fuse/self_files.h"
#include "fuse/vfs/local_names.h"
#include "protocol/base/log.h"
#include "protocol/client/coalescing_client.h"
#include "protocol/client/curl_http_client.h"
#include "protocol/client/lock_client.h"
#include "protocol/client/primary_client.h"

namespace aster {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;
/// Nothing is lost, but not everything is at the servers: the journal keeps it for the next mount.
constexpr int kKept = 3;

/// How long a cache may be in use by a mount that is ending, and how often it is tried.
constexpr std::chrono::seconds kCacheWait{5};
constexpr std::chrono::milliseconds kCachePause{20};

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::string folder_name(const std::string& server, const std::string& directory) {
  std::string name = server.substr(server.find("://") + 3) + directory;
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '.' && c != '-'; }, '_');
  return name.substr(0, 200);
}

/// The block cache of this mount when none was named: one folder per drive and mount point, so that
/// two mounts do not fight for one.
std::string default_cache_dir(const std::string& server, const std::string& directory) {
  std::string base = "/var/cache/aster";
  if (::geteuid() != 0) {
    base = environment("XDG_CACHE_HOME").value_or(environment("HOME").value_or("/tmp") + "/.cache");
    base += "/aster";
  }
  return base + "/" + folder_name(server, directory);
}

/// The journal is no cache: it has what exists nowhere else.
std::string default_journal_dir(const std::string& server, const std::string& directory) {
  std::string base = "/var/lib/aster/journal";
  if (::geteuid() != 0) {
    base = environment("XDG_STATE_HOME")
               .value_or(environment("HOME").value_or("/var/tmp") + "/.local/state");
    base += "/aster/journal";
  }
  return base + "/" + folder_name(server, directory);
}

std::string host_name() {
  char host[HOST_NAME_MAX + 1] = "";
  (void)::gethostname(host, sizeof host - 1);
  return host;
}

sigset_t end_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

/// Goes on while the machine sleeps, as the primary's leases do.
class BootClock final : public Clock {
 public:
  int64_t now_ns() const override { return SystemClock().now_ns(); }
  SteadyTime steady() const override {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return SteadyTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  }
};

/// Everything a mount consists of, in the order of its making; destroyed in reverse.
class MountedDrive {
 public:
  MountedDrive(MountOptions options, std::string directory)
      : options_(std::move(options)), directory_(std::move(directory)) {}
  ~MountedDrive() {
    stop_events();
    if (names_) names_->close();
  }

  Result<void> start() {
    ASTER_TRY(Credentials credentials, find_credentials(options_, environment));
    CurlHttpClientOptions curl = trusting(credentials.trust, credentials.server);
    curl.idle_body_memory = 4 << 20;  // bodies of data go to blocks of the cache
    http_ = std::make_unique<CurlHttpClient>(curl, executor_);
    control_http_ = std::make_unique<CurlHttpClient>(curl, executor_);
    ASTER_TRY(connect(credentials));
    ASTER_TRY(open_cache(credentials.server));
    server_ = credentials.server;
    ASTER_TRY(open_journal(credentials.server));
    end_last_sessions(credentials);
    build();
    // Known from the beginning, so that looking at the mount point never depends on the primary.
    const Result<Attributes> root =
        run_blocking(filesystem_->getattr(filesystem_->root(), Caller()));
    if (!root.ok()) return root.error();
    ASTER_TRY(recover_journal());
    const MountPlace place{directory_, credentials.server, allow_other(), options_.read_only,
                           options_.kernel_flags};
    ASTER_TRY(session_, Session::mount(place, *dispatch_, notifier_));
    follow_events();
    (void)filesystem_->statfs();  // the first one only starts to ask
    ASTER_LOG(info, "mounted", {"server", credentials.server}, {"directory", directory_});
    return ok();
  }

  /// Serves until the drive is unmounted or a signal says to end. The exit status.
  int run() {
    const sigset_t signals = end_signals();
    const UniqueFd caught(::signalfd(-1, &signals, SFD_CLOEXEC));
    pollfd fds[] = {{caught.get(), POLLIN, 0}, {session_->ended_fd(), POLLIN, 0}};
    while (::poll(fds, 2, -1) < 0 && errno == EINTR) {
    }
    const bool signalled = fds[0].revents != 0;
    ASTER_LOG(info, "ending", {"reason", signalled ? "signal" : "unmounted"});
    session_->detach();
    filesystem_->stop();
    size_t failed = run_blocking(filesystem_->flush_all());
    session_->stop();
    // After a signal others may have gone on writing during the first round.
    if (signalled) failed = run_blocking(filesystem_->flush_all());
    const uint64_t lost = io_->stats().dirty_bytes;
    io_->stop();
    if (failed > 0) {
      ASTER_LOG(error, "ended_with_unsent_data", {"files_and_names", failed}, {"bytes", lost});
      return kFailure;
    }
    stop_events();
    if (run_blocking(primary_->close_session()).ok()) {
      for (const std::filesystem::path& file : session_files_) (void)std::remove(file.c_str());
    }
    const WritebackJournal::Stats kept = journal_ ? journal_->stats() : WritebackJournal::Stats();
    if (kept.files + kept.names > 0) {
      ASTER_LOG(warn, "ended_with_unsent_data_in_the_journal", {"files", kept.files},
                {"names", kept.names}, {"bytes", kept.bytes});
      return kKept;
    }
    ASTER_LOG(info, "ended");
    return 0;
  }

 private:
  Result<void> connect(Credentials& credentials) {
    if (credentials.token.empty()) {
      ASTER_TRY(credentials.token, run_blocking(log_in(*http_, credentials)));
    }
    primary_ = make_primary_client({credentials.server, credentials.token}, *http_, executor_,
                                   control_http_.get());
    const fs::SessionRequest request{host_name() + ":" + directory_, options_.workspace};
    Result<fs::SessionAnswer> answer = run_blocking(primary_->open_session(request));
    if (!answer.ok()) return said_clearly(answer.error(), credentials.server);
    session_answer_ = std::move(*answer);
    const Result<bool> read_only =
        run_blocking(may_only_read(*http_, credentials, options_.workspace));
    if (!read_only.ok()) return said_clearly(read_only.error(), credentials.server);
    options_.read_only = options_.read_only || *read_only;
    gathered_ = make_coalescing_client({}, *primary_, executor_);
    return ok();
  }

  static Error said_clearly(const Error& error, const std::string& server) {
    switch (error.code) {
      case Errc::unavailable:
      case Errc::timeout: return Error{error.code, "cannot reach " + server + ": " + error.context};
      case Errc::token_invalid:
        return Error{error.code, server + " refused the token: log in again with 'aster login'"};
      default: return Error{error.code, server + ": " + error.message()};
    }
  }

  Result<void> open_cache(const std::string& server) {
    memory_cache_ = std::make_unique<MemoryBlockCache>(options_.memory_cache);
    cache_ = memory_cache_.get();
    if (options_.cache_size == 0) return ok();
    DiskCacheOptions disk;
    cache_dir_ = options_.cache_dir.value_or(default_cache_dir(server, directory_));
    disk.directory = cache_dir_;
    disk.limit_bytes = options_.cache_size;
    std::error_code error;
    std::filesystem::create_directories(disk.directory.parent_path(), error);
    ASTER_TRY(disk_cache_, open_when_free(disk));
    tiered_cache_ = std::make_unique<TieredBlockCache>(*memory_cache_, *disk_cache_);
    cache_ = tiered_cache_.get();
    return ok();
  }

  /// Ends the sessions of the last mounts that used this cache and this journal, if they were
  /// killed: their leases and locks would stand in the way of others, and of this mount, until they
  /// lapse. Nobody else can be using them, because cache and journal are ours alone.
  void end_last_sessions(const Credentials& credentials) {
    if (disk_cache_ != nullptr) session_files_.push_back(cache_dir_.string() + ".session");
    if (journal_ != nullptr) session_files_.push_back(journal_dir_ / "session");
    for (const std::filesystem::path& file : session_files_) {
      std::string server;
      uint64_t last = 0;
      if (std::ifstream(file) >> server >> last && server == server_ && last != 0) {
        end_session(credentials, last);
      }
      const std::filesystem::path temp = file.string() + ".new";
      std::ofstream(temp) << server_ << " " << session_answer_.session.value << "\n";
      // Without the file the next mount only has to wait for the lease.
      (void)std::rename(temp.c_str(), file.c_str());
    }
  }
  void end_session(const Credentials& credentials, uint64_t session) {
    HttpClientRequest request;
    request.method = "DELETE";
    request.url = server_ + "/api/v1/fs/session/" + std::to_string(session);
    request.headers.emplace_back("Authorization", "Bearer " + credentials.token);
    request.total_timeout = options_.timeout;
    const auto ended = run_blocking(http_->send(std::move(request)));
    ASTER_LOG(info, "last_session_ended", {"session", session},
              {"status", ended.ok() ? ended->status : 0});
  }

  bool allow_other() const { return options_.allow_other.value_or(::geteuid() == 0); }

  Result<void> open_journal(const std::string& server) {
    JournalOptions journal;
    journal_dir_ = options_.journal_dir.empty() ? default_journal_dir(server, directory_)
                                                : options_.journal_dir;
    journal.directory = journal_dir_;
    // What an earlier mount left is sent also when this one keeps no journal.
    const bool left_over = std::filesystem::exists(journal.directory / "journal");
    if (options_.read_only || (!options_.local_durability && !left_over)) return ok();
    // With durability=remote it takes nothing new: a limit of nothing sends writers to the servers.
    journal.limit_bytes = options_.local_durability ? options_.journal_size : 0;
    journal.identity = server + " " + session_answer_.user + " " + options_.workspace;
    ASTER_TRY(journal_, WritebackJournal::open(journal, executor_));
    const WritebackJournal::Stats held = journal_->stats();
    if (!options_.local_durability && held.files + held.names == 0) journal_.reset();
    return ok();
  }

  /// Before the mount is there: nobody may see files without what was promised to be in them.
  Result<void> recover_journal() {
    if (!names_) return ok();
    Result<size_t> recovered = run_blocking(names_->prepare());
    if (recovered.ok()) recovered = run_blocking(filesystem_->recover_journal());
    if (!recovered.ok()) {
      return Error{recovered.error().code,
                   "the write-back journal of the last mount cannot be sent: " +
                       recovered.error().message()};
    }
    if (*recovered > 0) ASTER_LOG(info, "journal_taken_up", {"files", *recovered});
    return ok();
  }

  /// A mount that was just unmounted may still be ending: umount(8) does not wait for its process.
  Result<std::unique_ptr<DiskBlockCache>> open_when_free(const DiskCacheOptions& disk) {
    const auto until = std::chrono::steady_clock::now() + kCacheWait;
    for (;;) {
      Result<std::unique_ptr<DiskBlockCache>> opened = DiskBlockCache::open(disk, pool_, clock_);
      if (!opened.failed_with(Errc::locked) || std::chrono::steady_clock::now() >= until) {
        return opened;
      }
      std::this_thread::sleep_for(kCachePause);
    }
  }

  void build() {
    FileIoOptions io;
    io.journal = journal_.get();
    io.dirty_limit = options_.dirty_limit;
    if (!options_.read_only) io.spill_dir = journal_dir_;
    io.spill_limit = options_.journal_size;
    io.read_ahead_budget = options_.read_ahead;
    io.parallel_uploads = options_.uploads;
    io.parallel_downloads = options_.downloads;
    io.timeout = options_.timeout;
    PrimaryClient* front = gathered_.get();
    const bool leases = options_.leases && session_answer_.lease_ms > 0;
    if (journal_ || (leases && !options_.read_only)) {
      // What an earlier mount left in its journal is sent, and nothing new is made of it.
      const bool take_new = options_.local_durability || !journal_;
      names_ = std::make_unique<LocalNames>(
          LocalNamesOptions{host_name(), session_answer_.root, options_.timeout, take_new, leases},
          *gathered_, journal_.get(), executor_, boot_clock_);
      front = names_.get();
    }
    io_ = make_file_io(io, *front, *http_, *cache_, executor_);
    VfsOptions vfs;
    vfs.root = session_answer_.root;
    vfs.timeout = options_.timeout;
    vfs.hard = options_.hard;
    vfs.read_only = options_.read_only;
    vfs.access_times = !options_.access_times         ? AccessTimes::off
                       : options_.strict_access_times ? AccessTimes::strict
                                                      : AccessTimes::relative;
    vfs.trash = options_.trash;
    vfs.journal = journal_.get();
    vfs.write_leases = names_.get();
    vfs.client = host_name();
    vfs.entry_ttl = std::chrono::milliseconds(session_answer_.entry_ttl_ms);
    if (options_.leases) vfs.lease_term = std::chrono::milliseconds(session_answer_.lease_ms);
    filesystem_ =
        std::make_unique<Filesystem>(Filesystem::Parts{*front, *io_, notifier_, executor_,
                                                       boot_clock_, lock_client_of(*primary_)},
                                     vfs);
    if (names_) names_->serve(*filesystem_, *primary_);
    dispatch_ = std::make_unique<Dispatch>(*filesystem_, executor_);
    add_self_files(*dispatch_,
                   {options_, server_, session_answer_.user, *filesystem_, *io_, *memory_cache_,
                    disk_cache_.get(), journal_.get(), http_.get(), control_http_.get(), directory_,
                    cache_dir_, journal_dir_, allow_other()});
  }

  void follow_events() {
    PrimaryClient::EventHandlers handlers;
    handlers.on_event = [this](const fs::Invalidation& event, bool recalled) {
      if (names_) names_->on_event(event);
      filesystem_->on_event(event, recalled);
    };
    handlers.on_lease = [this](uint64_t lease) {
      if (names_) names_->on_lease(lease);
      filesystem_->on_lease(lease);
    };
    handlers.on_wanted = [this](const fs::LeaseWanted& wanted) {
      if (names_) names_->on_wanted(wanted);
    };
    handlers.on_reset = [this] {
      if (names_) names_->on_reset();
      filesystem_->on_reset();
    };
    handlers.on_state = [this](bool alive) {
      if (names_) names_->on_state(alive);
      filesystem_->on_state(alive);
    };
    following_ = true;
    aster::start<Result<void>>(primary_->follow_events(std::move(handlers), events_cancel_),
                               [done = events_done_](Result<void>) { done.set(true); });
  }

  void stop_events() {
    if (!std::exchange(following_, false)) return;
    events_cancel_.cancel();
    run_blocking(wait_for(events_done_));
  }
  static Task<void> wait_for(Completion<bool> done) { co_await done; }

  MountOptions options_;
  const std::string directory_;
  std::string server_;
  std::filesystem::path cache_dir_;
  std::filesystem::path journal_dir_;
  /// Name the session to the next mount with the same cache or journal.
  std::vector<std::filesystem::path> session_files_;
  const SystemClock clock_;
  const BootClock boot_clock_;
  BlockPool pool_{8 << 20};
  Executor executor_{{"core", 8, 65536}};
  std::unique_ptr<CurlHttpClient> http_;
  std::unique_ptr<CurlHttpClient> control_http_;  // events and acknowledgements
  std::unique_ptr<MemoryBlockCache> memory_cache_;
  std::unique_ptr<DiskBlockCache> disk_cache_;
  std::unique_ptr<TieredBlockCache> tiered_cache_;
  BlockCache* cache_ = nullptr;
  std::unique_ptr<PrimaryClient> primary_;
  std::unique_ptr<PrimaryClient> gathered_;  // the same, for operations
  fs::SessionAnswer session_answer_;
  std::unique_ptr<WritebackJournal> journal_;
  std::unique_ptr<LocalNames> names_;  // with a journal or leases
  std::unique_ptr<FileIo> io_;
  Notifier notifier_;
  std::unique_ptr<Filesystem> filesystem_;
  std::unique_ptr<Dispatch> dispatch_;
  std::unique_ptr<Session> session_;
  bool following_ = false;
  CancelToken events_cancel_;
  Completion<bool> events_done_;
};

Result<std::string> place_of(const std::string& mountpoint) {
  ASTER_TRY(clear_dead_mount(mountpoint));
  char* real = ::realpath(mountpoint.c_str(), nullptr);
  if (real == nullptr) return fail_errno("mount point " + mountpoint);
  const std::string directory(real);
  std::free(real);
  ASTER_TRY(check_place(directory));
  return directory;
}

int syslog_priority(log::Level level) {
  switch (level) {
    case log::Level::debug: return LOG_DEBUG;
    case log::Level::info: return LOG_INFO;
    case log::Level::warn: return LOG_WARNING;
    case log::Level::error:
    case log::Level::off: return LOG_ERR;
  }
  return LOG_ERR;
}

Result<void> set_up_log(const MountOptions& options) {
  log::set_level(options.log_level);
  if (!options.log_file.empty()) {
    // Opened before the fork, while relative names still mean what they meant to the caller.
    auto file = std::shared_ptr<FILE>(std::fopen(options.log_file.c_str(), "ae"), [](FILE* f) {
      if (f != nullptr) std::fclose(f);
    });
    if (!file) return fail_errno("cannot open " + options.log_file);
    std::setvbuf(file.get(), nullptr, _IOLBF, 0);
    log::set_sink([file](log::Level, std::string_view line) {
      std::fprintf(file.get(), "%.*s\n", static_cast<int>(line.size()), line.data());
    });
  } else if (!options.foreground) {
    ::openlog("mount.aster", LOG_PID, LOG_DAEMON);
    log::set_sink([](log::Level level, std::string_view line) {
      ::syslog(syslog_priority(level), "%.*s", static_cast<int>(line.size()), line.data());
    });
  }
  return ok();
}

/// Names in the options, seen from /, where the process in the background lives.
void make_absolute(MountOptions& options) {
  const auto fix = [](std::string& path) {
    // "-" is standard input, for secrets.
    if (!path.empty() && path != "-") path = std::filesystem::absolute(path);
  };
  fix(options.token_file);
  fix(options.password_file);
  fix(options.ca_file);
  if (options.cache_dir) fix(*options.cache_dir);
  fix(options.journal_dir);
}

void prepare_process() {
  const sigset_t signals = end_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // Memory that we ask for must not wait for pages of this very mount to be written back. For
  // privileged processes only, hence no check.
  (void)::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

int serve(MountOptions options, std::string directory, Daemon daemon) {
  prepare_process();
  MountedDrive drive(std::move(options), std::move(directory));
  const Result<void> started = drive.start();
  if (!started.ok()) return daemon.failed(kFailure, started.error().context);
  daemon.ready();
  return drive.run();
}

int complain(int status, const std::string& line) {
  std::fprintf(stderr, "mount.aster: %s\n", line.c_str());
  return status;
}

int run(int argc, char** argv) {
  const Result<ParsedArguments> parsed =
      parse_arguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!parsed.ok()) return complain(kUsage, parsed.error().context);
  if (parsed->print) {
    std::fputs(parsed->print->c_str(), stdout);
    return 0;
  }
  MountOptions options = parsed->options;
  make_absolute(options);
  const Result<std::string> directory = place_of(options.mountpoint);
  if (!directory.ok()) return complain(kFailure, directory.error().context);
  const Result<void> log = set_up_log(options);
  if (!log.ok()) return complain(kFailure, log.error().context);
  Result<Daemon> daemon = Daemon::start(options.foreground);
  if (!daemon.ok()) return complain(kFailure, daemon.error().context);
  return serve(std::move(options), *directory, std::move(*daemon));
}

}  // namespace
}  // namespace aster

int main(int argc, char** argv) {
  try {
    return aster::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "mount.aster: %s\n", e.what());
    return aster::kFailure;
  }
}

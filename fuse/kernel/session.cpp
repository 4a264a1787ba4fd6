#include "fuse/kernel/session.h"

#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fuse/kernel/receive_buffer.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

/// The kernel greets right after the mount; a machine that takes this long is beyond help.
constexpr int kHandshakeMs = 20'000;

/// Interrupts the read of the session thread; nothing else uses it.
constexpr int kWakeSignal = SIGUSR2;

/// What libfuse said last, for errors of start-up: it returns no reason.
thread_local std::string last_words;

void on_libfuse_log(fuse_log_level level, const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  last_words = line;
  if (level <= FUSE_LOG_WARNING) ASTER_LOG(debug, "libfuse", {"text", line});
}

/// Commas and backslashes mean something to the option parser.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string option_string(const MountPlace& place) {
  std::string options = "subtype=aster,default_permissions,fsname=" + escaped(place.source);
  if (place.allow_other) options += ",allow_other";
  if (place.read_only) options += ",ro";
  for (const std::string& flag : place.flags) options += "," + flag;
  return options;
}

/// Of what is mounted at `directory`, without asking whoever serves it.
Result<dev_t> device_of(const std::string& directory) {
  struct statx info {};
  if (::statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &info) != 0) {
    return fail_errno("stat of " + directory);
  }
  return makedev(info.stx_dev_major, info.stx_dev_minor);
}

void unmount_as_user(const std::string& directory) {
  std::string program = "fusermount3";
  std::string arguments[] = {"-u", "-z", "-q", "--"};
  char* argv[] = {program.data(),
                  arguments[0].data(),
                  arguments[1].data(),
                  arguments[2].data(),
                  arguments[3].data(),
                  const_cast<char*>(directory.c_str()),
                  nullptr};
  char* environment[] = {nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, program.c_str(), nullptr, nullptr, argv, environment) != 0) return;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool is_dead_mount(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) != 0 && errno == ENOTCONN;
}

/// Absolute and without symbolic links, though `path` itself cannot be looked at.
std::string resolved_by_parent(const std::string& path) {
  std::error_code failed;
  std::filesystem::path full = std::filesystem::absolute(path, failed).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();
  const auto parent = std::filesystem::canonical(full.parent_path(), failed);
  return failed ? path : (parent / full.filename()).string();
}

/// Whether the uppermost mount at `directory` is one of Aster: getmntent(3) lists in order of
/// mounting.
bool is_mount_of_aster(const std::string& directory) {
  const std::unique_ptr<FILE, int (*)(FILE*)> table(::setmntent("/proc/self/mounts", "re"),
                                                    ::endmntent);
  if (table == nullptr) return false;
  bool ours = false;
  while (const mntent* entry = ::getmntent(table.get())) {
    if (directory == entry->mnt_dir) ours = std::strcmp(entry->mnt_type, "fuse.aster") == 0;
  }
  return ours;
}

void detach(const std::string& directory) {
  if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;
  if (errno == EPERM) unmount_as_user(directory);
}

void add_one(const UniqueFd& event) {
  const uint64_t one = 1;
  while (::write(event.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<void> clear_dead_mount(const std::string& path) {
  if (!is_dead_mount(path)) return ok();
  const std::string directory = resolved_by_parent(path);
  // One may lie on the other; the limit is for one that does not go away.
  for (int i = 0; i < 16 && is_dead_mount(directory) && is_mount_of_aster(directory); ++i) {
    ASTER_LOG(warn, "dead_mount_detached", {"mountpoint", directory});
    detach(directory);
  }
  if (!is_dead_mount(directory)) return ok();
  return Error{Errc::precondition_failed,
               directory + " holds a dead mount; run: umount -l " + directory};
}

Result<void> check_place(const std::string& directory) {
  struct stat st {};
  if (::stat(directory.c_str(), &st) != 0) return fail_errno("mount point " + directory);
  if (!S_ISDIR(st.st_mode)) return fail(Errc::not_directory, directory + " is not a directory");
  if (::access("/dev/fuse", F_OK) != 0) {
    return fail(Errc::unavailable, "/dev/fuse is missing; load the module with: modprobe fuse");
  }
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    return fail(Errc::not_permitted, "no permission to use /dev/fuse");
  }
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return fail(Errc::not_permitted, "no permission to mount on " + directory);
  }
  return ok();
}

Session::Session(MountPlace place, Dispatch& dispatch, Notifier& notifier)
    : place_(std::move(place)),
      dispatch_(dispatch),
      notifier_(notifier),
      ended_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      ready_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Result<std::unique_ptr<Session>> Session::mount(const MountPlace& place, Dispatch& dispatch,
                                                Notifier& notifier) {
  std::unique_ptr<Session> session(new Session(place, dispatch, notifier));
  ASTER_TRY(session->begin());
  return session;
}

Result<void> Session::begin() {
  if (!ended_ || !ready_) return fail_errno("eventfd");
  fuse_set_log_func(on_libfuse_log);
  std::string program = "mount.aster";
  std::string flag = "-o";
  std::string options = option_string(place_);
  char* argv[] = {program.data(), flag.data(), options.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, argv);
  const fuse_lowlevel_ops table = Dispatch::operations();
  session_ = fuse_session_new(&arguments, &table, sizeof table, &dispatch_);
  fuse_opt_free_args(&arguments);
  if (session_ == nullptr) return fail(Errc::bad_request, "libfuse: " + last_words);
  if (fuse_session_mount(session_, place_.directory.c_str()) != 0) {
    return fail(Errc::not_permitted, last_words.empty() ? "mount failed" : last_words);
  }
  mounted_ = true;
  if (const auto device = device_of(place_.directory); device.ok()) device_ = *device;
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // without SA_RESTART: it only has to interrupt a read
  ::sigaction(kWakeSignal, &nothing, nullptr);
  thread_ = std::jthread([this] { read_requests(); });
  ASTER_TRY(wait_for_handshake());
  raise_readahead();
  notifier_.attach(session_, dispatch_.ids());
  return ok();
}

void Session::read_requests() {
  pthread_setname_np(pthread_self(), "session");
  ReceiveBuffers buffers;
  bool greeted = false;
  while (!leave_ && fuse_session_exited(session_) == 0) {
    fuse_buf buffer;
    buffers.prepare(buffer);
    const int received = fuse_session_receive_buf(session_, &buffer);
    buffers.received(buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) {
      if (received < 0) ASTER_LOG(error, "session_read_failed", {"errno", -received});
      break;
    }
    fuse_session_process_buf(session_, &buffer);
    if (!std::exchange(greeted, true)) add_one(ready_);
  }
  add_one(ready_);
  add_one(ended_);
}

Result<void> Session::wait_for_handshake() {
  pollfd wait{ready_.get(), POLLIN, 0};
  int arrived = 0;
  do {
    arrived = ::poll(&wait, 1, kHandshakeMs);
  } while (arrived < 0 && errno == EINTR);
  pollfd ended{ended_.get(), POLLIN, 0};
  if (arrived <= 0 || ::poll(&ended, 1, 0) > 0) {
    return fail(Errc::unavailable, "the kernel did not start the session: " + last_words);
  }
  return ok();
}

/// The kernel caps what we ask for in the handshake at the default of 128 KiB per device.
void Session::raise_readahead() const {
  const std::string path = "/sys/class/bdi/" + std::to_string(major(device_)) + ":" +
                           std::to_string(minor(device_)) + "/read_ahead_kb";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  constexpr std::string_view kKilobytes = "1024";
  if (!file || ::write(file.get(), kKilobytes.data(), kKilobytes.size()) < 0) {
    ASTER_LOG(debug, "readahead_not_raised", {"errno", errno});
  }
}

void Session::detach() {
  pollfd ended{ended_.get(), POLLIN, 0};
  if (!mounted_ || ::poll(&ended, 1, 0) > 0) return;
  mounted_ = false;
  // Somebody may have unmounted it and mounted something else there.
  const Result<dev_t> now = device_of(place_.directory);
  if (!now.ok() || *now != device_) return;
  if (::umount2(place_.directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;
  if (errno == EPERM) unmount_as_user(place_.directory);
}

void Session::stop() {
  if (std::exchange(stopped_, true)) return;
  // In this order: the notifier may wait in the kernel for a request that nobody has read yet, so
  // the session thread goes on reading (and refusing) until the notifier is through.
  dispatch_.drain();
  notifier_.stop();
  end_thread();
}

void Session::end_thread() {
  if (!thread_.joinable()) return;
  leave_ = true;
  // One signal may come just before the thread goes to sleep in its read: repeat until it is out.
  pollfd ended{ended_.get(), POLLIN, 0};
  while (::poll(&ended, 1, 0) <= 0) {
    pthread_kill(thread_.native_handle(), kWakeSignal);
    (void)::poll(&ended, 1, 10);
  }
  thread_.join();
}

Session::~Session() {
  stop();
  if (session_ == nullptr) return;
  // When it was unmounted from outside, libfuse sees that on its descriptor and leaves the place
  // be.
  if (mounted_) fuse_session_unmount(session_);
  fuse_session_destroy(session_);
}

}  // namespace aster

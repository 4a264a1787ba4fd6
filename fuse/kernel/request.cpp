#include "fuse/kernel/request.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "protocol/base/log.h"
#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

/// How often a request that was interrupted by a harmless signal looks for a serious one.
constexpr std::chrono::milliseconds kLookAgain{200};

constexpr uint64_t bit(int signal) {
  return 1ull << (signal - 1);
}
constexpr uint64_t kStopSignals = bit(SIGHUP) | bit(SIGINT) | bit(SIGQUIT) | bit(SIGABRT) |
                                  bit(SIGKILL) | bit(SIGTERM) | bit(SIGXCPU);

/// The mask in a line like "SigPnd:\t0000000000000100" of /proc/N/status; 0 when it is not there.
uint64_t signal_mask(const char* status, const char* key) {
  const char* line = std::strstr(status, key);
  return line == nullptr ? 0 : std::strtoull(line + std::strlen(key), nullptr, 16);
}

/// PF_EXITING of include/linux/sched.h, as /proc/N/stat shows the flags.
constexpr unsigned long kExiting = 0x4;

/// The start of a small file of /proc; empty when it cannot be read.
std::string read_proc(pid_t tid, const char* name) {
  const std::string path = "/proc/" + std::to_string(tid) + "/" + name;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::string text(4096, '\0');
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

/// writev(2) takes no more pieces than this at once (UIO_MAXIOV), libfuse adds a header.
constexpr size_t kPiecesMax = 1000;

}  // namespace

bool asked_to_stop(pid_t tid) {
  if (tid <= 0) return true;  // of another pid namespace
  const std::string status = read_proc(tid, "status");
  if (status.empty()) return true;
  const char* text = status.c_str();
  const uint64_t pending = signal_mask(text, "SigPnd:") | signal_mask(text, "ShdPnd:");
  const uint64_t blocked = signal_mask(text, "SigBlk:") & ~bit(SIGKILL);
  return (pending & ~blocked & kStopSignals) != 0;
}

bool is_ending(pid_t tid) {
  if (tid <= 0) return false;
  // After the name, which may hold anything but ends at the last parenthesis: state, ppid, pgrp,
  // session, tty, tpgid, flags.
  const std::string stat = read_proc(tid, "stat");
  const size_t name_end = stat.rfind(')');
  unsigned long flags = 0;
  if (name_end == std::string::npos ||
      std::sscanf(stat.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) != 1) {
    return true;
  }
  return (flags & kExiting) != 0;
}

Request::Request(fuse_req_t req, const char* operation, Executor& executor)
    : req_(req), operation_(operation), executor_(executor), tid_(fuse_req_ctx(req)->pid) {
  const fuse_ctx* context = fuse_req_ctx(req);
  caller_ = {context->uid, context->gid, gone_};
}

std::shared_ptr<Request> Request::take(fuse_req_t req, const char* operation, Executor& executor) {
  auto request = std::make_shared<Request>(req, operation, executor);
  request->listen();
  return request;
}

Request::~Request() {
  // The holder keeps a listening request alive, so nobody else can be answering here.
  if (answered_.exchange(true)) return;
  ASTER_LOG(error, "unanswered_request", {"op", operation_});
  fuse_reply_err(req_, EIO);
}

Caller Request::caller() const {
  return caller_;
}

void Request::listen() {
  holder_ = new std::shared_ptr<Request>(shared_from_this());
  fuse_req_interrupt_func(req_, &Request::on_interrupt, holder_);
  listening_ = true;
  // libfuse calls the handler from within the registration when the interrupt overtook us; the
  // handler must not answer there, because answering frees what libfuse is about to unlock.
  if (early_interrupt_) look_again();
}

void Request::on_interrupt(fuse_req_t, void* holder) {
  const std::shared_ptr<Request> self = *static_cast<std::shared_ptr<Request>*>(holder);
  if (!self->listening_) {
    self->early_interrupt_ = true;
    return;
  }
  self->interrupted();
}

void Request::interrupted() {
  if (!asked_to_stop(tid_)) {
    std::weak_ptr<Request> weak = weak_from_this();
    executor_.post_after(kLookAgain, [weak] {
      if (const auto self = weak.lock()) self->look_again();
    });
    return;
  }
  // We are inside libfuse's lock of this request: claim() would wait for it, and need not, because
  // the interrupt that it waits for is this one.
  if (answered_.exchange(true)) return;
  answer_interrupt();
}

void Request::look_again() {
  if (answered_) return;
  if (!asked_to_stop(tid_)) {
    std::weak_ptr<Request> weak = weak_from_this();
    executor_.post_after(kLookAgain, [weak] {
      if (const auto self = weak.lock()) self->look_again();
    });
    return;
  }
  if (claim()) answer_interrupt();
}

void Request::answer_interrupt() {
  *gone_ = true;
  fuse_reply_err(req_, EINTR);
  release_holder();
}

bool Request::claim() {
  if (answered_.exchange(true)) return false;
  // Takes libfuse's lock of this request: an interrupt that is under way ends first.
  if (holder_ != nullptr) fuse_req_interrupt_func(req_, nullptr, nullptr);
  return true;
}

void Request::release_holder() {
  delete std::exchange(holder_, nullptr);
}

/// Answers by `call` if nobody has answered yet; false also when the kernel no longer waits.
#define ASTER_ANSWER(call)              \
  if (!claim()) return false;           \
  const bool taken = (call) == 0;       \
  const auto keep = shared_from_this(); \
  release_holder();                     \
  return taken

bool Request::error(int err) {
  ASTER_ANSWER(fuse_reply_err(req_, err));
}

bool Request::attr(const struct stat& attr, double timeout) {
  ASTER_ANSWER(fuse_reply_attr(req_, &attr, timeout));
}

bool Request::entry(const fuse_entry_param& entry) {
  ASTER_ANSWER(fuse_reply_entry(req_, &entry));
}

bool Request::create(const fuse_entry_param& entry, const fuse_file_info& info) {
  ASTER_ANSWER(fuse_reply_create(req_, &entry, &info));
}

bool Request::open(const fuse_file_info& info) {
  ASTER_ANSWER(fuse_reply_open(req_, &info));
}

bool Request::written(size_t bytes) {
  ASTER_ANSWER(fuse_reply_write(req_, bytes));
}

bool Request::buffer(std::string_view bytes) {
  ASTER_ANSWER(fuse_reply_buf(req_, bytes.data(), bytes.size()));
}

bool Request::pieces(const std::vector<Bytes>& pieces) {
  if (pieces.size() > kPiecesMax) {
    std::string whole;
    for (const Bytes& piece : pieces) whole += as_text(piece.view());
    return buffer(whole);
  }
  std::vector<iovec> vectors;
  vectors.reserve(pieces.size());
  for (const Bytes& piece : pieces) {
    vectors.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
  }
  ASTER_ANSWER(fuse_reply_iov(req_, vectors.data(), static_cast<int>(vectors.size())));
}

bool Request::xattr_size(size_t size) {
  ASTER_ANSWER(fuse_reply_xattr(req_, size));
}

bool Request::readlink(const char* target) {
  ASTER_ANSWER(fuse_reply_readlink(req_, target));
}

bool Request::statfs(const struct statvfs& stat) {
  ASTER_ANSWER(fuse_reply_statfs(req_, &stat));
}

bool Request::offset(off_t offset) {
  ASTER_ANSWER(fuse_reply_lseek(req_, offset));
}

bool Request::lock(const struct flock& lock) {
  ASTER_ANSWER(fuse_reply_lock(req_, &lock));
}

#undef ASTER_ANSWER

}  // namespace aster

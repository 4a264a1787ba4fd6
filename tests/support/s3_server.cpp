#include "tests/support/s3_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace aster::testing {
namespace {

namespace fs = std::filesystem;

/// What tools/install-s3-server --find prints: a path, or why there is none.
struct Found {
  std::string program;
  std::string reason;
};

Found find_program() {
  const TempDir dir;
  auto script = Process::spawn(
      {.argv = {ASTER_SOURCE_ROOT "/tools/install-s3-server", "--find"}, .output = dir / "out"});
  if (!script.ok()) return {{}, script.error().message()};
  const auto status = script->wait();
  std::string out = read_file(dir / "out");
  while (!out.empty() && out.back() == '\n') out.pop_back();
  if (status == 0) return {out, {}};
  return {{}, out.empty() ? "tools/install-s3-server --find failed" : out};
}

const Found& found() {
  static const Found once = find_program();
  return once;
}

/// Inodes of the sockets that a process holds, as the kernel writes them.
std::set<std::string> sockets_of(pid_t pid) {
  std::set<std::string> out;
  std::error_code error;
  for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const std::string link = fs::read_symlink(fd.path(), error).string();
    if (link.starts_with("socket:[")) out.insert(link.substr(8, link.size() - 9));
  }
  return out;
}

/// The server does not tell which port it got for 0; the kernel does.
uint16_t listening_port(pid_t pid) {
  std::set<std::string> sockets = sockets_of(pid);
  // A child also has what the test itself listens on.
  for (const std::string& own : sockets_of(getpid())) sockets.erase(own);
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::istringstream row(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    row >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >>
        inode;
    if (state == "0A" && sockets.contains(inode)) {
      return static_cast<uint16_t>(std::stoul(local.substr(local.find(':') + 1), nullptr, 16));
    }
  }
  return 0;
}

uint16_t wait_for_port(Process& process) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (process.running() && std::chrono::steady_clock::now() < end) {
    if (const uint16_t port = listening_port(process.pid())) return port;
    std::this_thread::yield();
  }
  return 0;
}

}  // namespace

std::optional<std::string> S3Server::missing() {
  if (found().program.empty()) return found().reason;
  return std::nullopt;
}

std::unique_ptr<S3Server> S3Server::start() {
  std::unique_ptr<S3Server> out(new S3Server);
  fs::create_directories(out->bucket_folder());
  fs::create_directories(out->dir_ / "meta");
  const fs::path log = out->dir_ / "log";
  auto process = Process::spawn(
      {.argv = {found().program, "--port", "127.0.0.1:0", "--region", kRegion, "--keep-alive",
                "--quiet", "posix", "--sidecar", (out->dir_ / "meta").string(),
                (out->dir_ / "data").string()},
       .env = {{"ROOT_ACCESS_KEY_ID", kAccessKey}, {"ROOT_SECRET_ACCESS_KEY", kSecretKey}},
       .output = log});
  if (!process.ok()) {
    ADD_FAILURE() << process.error().message();
    return nullptr;
  }
  out->process_.emplace(std::move(*process));
  out->port_ = wait_for_port(*out->process_);
  if (out->port_ == 0) {
    ADD_FAILURE() << "the S3 server does not listen: " << read_file(log);
    return nullptr;
  }
  return out;
}

/// It keeps each in bucket/.sgwtmp/multipart/HASH/ID/.
size_t S3Server::open_uploads() const {
  size_t count = 0;
  std::error_code error;
  for (const auto& key : fs::directory_iterator(bucket_folder() / ".sgwtmp/multipart", error)) {
    for (const auto& upload : fs::directory_iterator(key.path(), error)) {
      count += upload.is_directory();
    }
  }
  return count;
}

size_t S3Server::stored_parts() const {
  size_t count = 0;
  std::error_code error;
  const fs::path uploads = bucket_folder() / ".sgwtmp/multipart";
  for (const auto& entry : fs::recursive_directory_iterator(uploads, error)) {
    const std::string name = entry.path().filename().string();
    count += name.find_first_not_of("0123456789") == std::string::npos && entry.is_regular_file();
  }
  return count;
}

}  // namespace aster::testing

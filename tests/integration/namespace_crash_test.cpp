#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <thread>

#include "protocol/base/unique_handle.h"
#include "tests/support/namespace_fixture.h"
#include "tests/unit/content/content_fixture.h"

namespace aster::testing {
namespace {

using fs::Attr;

/// The service in a child process that is killed in the middle of its work. The child writes each
/// acknowledged operation's name to a pipe; what the pipe holds must be in the database.
class NamespaceCrash : public ::testing::Test {
 protected:
  /// What a thread of the child works on, and the pipe.
  struct Desk {
    primary::NamespaceService& service;
    content::ContentWriter& writer;
    int acknowledged;
    int round;
    int number;

    std::string name(int i) const {
      return std::to_string(round) + "-" + std::to_string(number) + "-" + std::to_string(i);
    }
    void acknowledge(const std::string& name) const {
      const std::string line = name + "\n";
      if (::write(acknowledged, line.data(), line.size()) < 0) _exit(9);
    }
  };
  using Work = void (*)(const Desk&);

  /// Runs in the child, never returns: `writers` threads that make files for ever.
  [[noreturn]] void work(int acknowledged, int round, int writers, Work how) {
    Executor executor({"crash", 2});
    SystemClock clock;
    FakeObjectBackends backends;
    db::DatabaseOptions options;
    options.url = url();
    auto database = db::Database::open(options, executor);
    if (!database.ok()) _exit(3);
    auto service = primary::make_namespace_service({}, **database, backends, executor, clock);
    if (!service.ok()) _exit(4);
    service.value()->start_duties();
    const auto driver = std::make_shared<FakeDriver>(backends);
    content::ObjectPlaces places(
        **database,
        [&](PolicyId) -> Result<std::shared_ptr<primary::ObjectDriver>> {
          return std::shared_ptr<primary::ObjectDriver>(driver);
        },
        executor);
    content::ContentWriter writer(**service, places, executor);
    std::vector<std::jthread> threads;
    for (int w = 0; w < writers; ++w) {
      threads.emplace_back([&, w] { how({**service, writer, acknowledged, round, w}); });
    }
    threads.clear();
    _exit(5);
  }

  /// Creates files and fills them.
  static void write_files(const Desk& desk) {
    primary::NamespaceService& service = desk.service;
    const primary::Caller caller{UserId(1), 1, SessionId(), false};
    const InodeNo root = *service.root_of(1);
    for (int i = 0;; ++i) {
      const std::string name = desk.name(i);
      auto made = run_blocking(
          service.apply(caller, {{}, false, {{fs::Create{root, name}, OperationId::random()}}}));
      if (!made[0].ok()) _exit(6);
      const InodeNo ino = std::get<Attr>(*made[0]).ino;
      auto granted = run_blocking(service.apply(caller, {{}, false, {{fs::Grant{ino, 5}, {}}}}));
      if (!granted[0].ok()) _exit(7);
      const ObjectId id = std::get<fs::UploadGrants>(*granted[0]).grants[0].object;
      fs::Commit commit;
      commit.ino = ino;
      commit.objects = {{id, static_cast<uint64_t>(i + 1), {static_cast<uint32_t>(i)}}};
      commit.extents = {{0, static_cast<uint64_t>(i + 1), id, 0}};
      auto done =
          run_blocking(service.apply(caller, {{}, false, {{commit, OperationId::random()}}}));
      if (!done[0].ok()) _exit(8);
      desk.acknowledge(name);
    }
  }
  /// Stores whole files, as WebDAV and the file API do.
  static void put_files(const Desk& desk) {
    const primary::Caller caller{UserId(1), 1, SessionId(), false};
    fs::Attr root;
    root.ino = *desk.service.root_of(1);
    for (int i = 0;; ++i) {
      const std::string name = desk.name(i);
      content::Incoming incoming{std::make_shared<StringSource>(std::string(kPutSize, 'x')),
                                 kPutSize};
      auto stored =
          run_blocking(desk.writer.upload(caller, root.ino, std::move(incoming), kPutSize));
      if (!stored.ok()) _exit(7);
      const auto made =
          run_blocking(desk.writer.create(caller, root, name, std::move(*stored), {}));
      if (!made.ok()) _exit(8);
      desk.acknowledge(name);
    }
  }

  std::string url() const { return "sqlite://" + (dir_ / "aster.db").string(); }

  /// One life: returns the names acknowledged before the kill.
  std::vector<std::string> live_and_die(int round, size_t enough, Work how) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const UniqueFd in(ends[0]);
    UniqueFd out(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) work(out.get(), round, 4, how);
    out.reset();
    std::string text;
    std::array<char, 4096> buffer;
    bool killed = false;
    for (ssize_t n; (n = ::read(in.get(), buffer.data(), buffer.size())) > 0;) {
      text.append(buffer.data(), static_cast<size_t>(n));
      const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
      if (!killed && lines >= enough) {
        ::kill(child, SIGKILL);
        killed = true;
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    std::vector<std::string> names;
    for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      names.push_back(text.substr(at, end - at));
    }
    return names;
  }

  void make_workspace() {
    Executor executor({"crash", 2});
    SystemClock clock;
    FakeObjectBackends backends;
    db::DatabaseOptions options;
    options.url = url();
    auto database = db::Database::open(options, executor);
    ASSERT_TRUE(database.ok());
    auto service = primary::make_namespace_service({}, **database, backends, executor, clock);
    ASSERT_TRUE(run_blocking(service.value()->create_workspace("home")).ok());
  }
  /// Several lives; the names acknowledged in all of them.
  std::vector<std::string> live_and_die_again_and_again(Work how) {
    std::vector<std::string> acknowledged;
    for (int round = 0; round < 4; ++round) {
      // All threads of this process have ended: forking is safe.
      const auto names = live_and_die(round, 20 + static_cast<size_t>(round) * 15, how);
      acknowledged.insert(acknowledged.end(), names.begin(), names.end());
    }
    return acknowledged;
  }

  static constexpr uint64_t kPutSize = 1000;
  TempDir dir_;
};

TEST_F(NamespaceCrash, whole_files_are_there_or_not_after_kill_9) {
  make_workspace();
  const std::vector<std::string> acknowledged = live_and_die_again_and_again(put_files);
  Executor executor({"crash", 2});
  db::DatabaseOptions options;
  options.url = url();
  auto database = db::Database::open(options, executor);
  ASSERT_TRUE(database.ok()) << database.error().message();
  const auto count = [&](std::string_view sql) {
    return *database.value()->read([&](db::Txn& txn) -> Result<uint64_t> {
      db::Query q = txn.query(sql);
      return q.next() ? q.uint64(0) : UINT64_MAX;
    });
  };
  EXPECT_GE(count("SELECT count(*) FROM dirents"), acknowledged.size());
  EXPECT_EQ(count("SELECT count(*) FROM inodes WHERE type=0 AND size<>1000"), 0u);
  EXPECT_EQ(count("SELECT count(*) FROM inodes WHERE type=0 AND allocated<>1000"), 0u);
}

TEST_F(NamespaceCrash, everything_acknowledged_survives_kill_9) {
  make_workspace();
  const std::vector<std::string> acknowledged = live_and_die_again_and_again(write_files);
  Executor executor({"crash", 2});
  SystemClock clock;
  FakeObjectBackends backends;
  db::DatabaseOptions options;
  options.url = url();
  auto database = db::Database::open(options, executor);
  ASSERT_TRUE(database.ok()) << database.error().message();
  auto service = primary::make_namespace_service({}, **database, backends, executor, clock);
  const primary::Caller caller{UserId(1), 1, SessionId(), false};
  const InodeNo root = *service.value()->root_of(1);
  for (const std::string& name : acknowledged) {
    auto found =
        run_blocking(service.value()->apply(caller, {{}, false, {{fs::Lookup{root, name}, {}}}}));
    ASSERT_TRUE(found[0].ok()) << name;
    const uint64_t i = std::stoull(name.substr(name.rfind('-') + 1));
    EXPECT_EQ(std::get<Attr>(*found[0]).size, i + 1) << name;
  }
  const auto sound = database.value()->read([](db::Txn& txn) -> Result<std::string> {
    db::Query q = txn.query("PRAGMA integrity_check");
    return q.next() ? q.text(0) : std::string("no answer");
  });
  ASSERT_TRUE(sound.ok());
  EXPECT_EQ(*sound, "ok");
  const auto wrong = database.value()->read([](db::Txn& txn) -> Result<int64_t> {
    db::Query q = txn.query(
        "SELECT (SELECT count(*) FROM objects o WHERE refs <> (SELECT count(*) FROM extents e "
        "WHERE e.object=o.id)) + (SELECT count(*) FROM dirents d WHERE NOT EXISTS "
        "(SELECT 1 FROM inodes i WHERE i.ino=d.ino))");
    return q.next() ? q.int64(0) : -1;
  });
  EXPECT_EQ(*wrong, 0);
}

}  // namespace
}  // namespace aster::testing

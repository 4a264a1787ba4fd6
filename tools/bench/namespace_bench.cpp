#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "protocol/base/executor.h"
#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/namespace_service.h"
#include "server/primary/object_backend.h"

/// Metadata figures in process: look-ups, listings, and durable creates and commits with 1, 8 and
/// 64 callers at once. The database lies below $ASTER_BENCH_DIR (default: the working directory),
/// which should be on the disk that is to be measured.
namespace aster::primary {
namespace {

/// One policy whose objects nobody looks at.
class NoBackends final : public ObjectBackends {
 public:
  Result<PolicyId> route(const RouteRequest&) override { return PolicyId(1); }
  Result<PolicyLimits> limits(PolicyId) override { return PolicyLimits(); }
  Result<ObjectUrl> upload_url(PolicyId, const ObjectId&) override { return ObjectUrl{"/u", 1}; }
  Result<ObjectUrl> read_url(PolicyId, const ObjectId&) override { return ObjectUrl{"/r", 1}; }
  Result<Capacity> capacity(PolicyId) override { return Capacity{}; }
  std::vector<Place> places() override { return {}; }
  Task<Result<uint64_t>> stat(PolicyId, ObjectId) override { co_return fail(Errc::not_found); }
  Task<Result<void>> remove(PolicyId, ObjectId) override { co_return ok(); }
  Task<Result<Bytes>> read(PolicyId, ObjectId, uint64_t) override {
    co_return fail(Errc::not_found);
  }
  Task<Result<Bytes>> read_range(PolicyId, ObjectId, uint64_t, uint64_t) override {
    co_return fail(Errc::not_found);
  }
  Task<Result<void>> write(PolicyId, ObjectId, Bytes) override { co_return ok(); }
  Task<Result<Composed>> compose(PolicyId, ObjectId, std::vector<ObjectId>, uint64_t) override {
    co_return fail(Errc::unsupported);
  }
  bool joins_pieces(PolicyId) override { return false; }
  Task<Result<uint64_t>> join_pieces(PolicyId, ObjectId, std::vector<Piece>) override {
    co_return fail(Errc::unsupported);
  }
};

struct World {
  World() : executor({"bench", 2}) {
    log::set_level(log::Level::error);
    const char* below = std::getenv("ASTER_BENCH_DIR");
    std::string pattern = std::string(below != nullptr ? below : ".") + "/namespace-bench-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    dir = std::filesystem::absolute(pattern);
    db::DatabaseOptions options;
    options.url = "sqlite://" + (dir / "bench.db").string();
    database = db::Database::open(options, executor).value();
    service = make_namespace_service({}, *database, backends, executor, clock).value();
    caller.workspace = run_blocking(service->create_workspace("bench")).value();
    root = service->root_of(caller.workspace).value();
  }
  ~World() {
    service.reset();
    database.reset();
    std::filesystem::remove_all(dir);
  }

  Task<Result<fs::Answer>> one(fs::Operation operation) {
    fs::BatchRequest request;
    if (fs::is_mutation(operation)) {
      request.items = {{std::move(operation), OperationId::random()}};
    } else {
      request.items = {{std::move(operation), std::nullopt}};
    }
    auto answers = co_await service->apply(caller, std::move(request));
    co_return std::move(answers[0]);
  }
  InodeNo make(InodeNo parent, std::string name, fs::FileType type) {
    fs::Create op{parent, std::move(name), type};
    return std::get<fs::Attr>(run_blocking(one(op)).value()).ino;
  }
  /// A directory with `count` files, made in batches.
  InodeNo fill(const std::string& name, int count) {
    const InodeNo dir_ino = make(root, name, fs::FileType::directory);
    for (int at = 0; at < count;) {
      fs::BatchRequest request;
      for (; at < count && request.items.size() < fs::kBatchOpsMax; ++at) {
        request.items.push_back({fs::Create{dir_ino, "file" + std::to_string(at)}, {}});
      }
      (void)run_blocking(service->apply(caller, std::move(request)));
    }
    return dir_ino;
  }

  std::filesystem::path dir;
  SystemClock clock;
  NoBackends backends;
  Executor executor;
  std::unique_ptr<db::Database> database;
  std::unique_ptr<NamespaceService> service;
  Caller caller;
  InodeNo root;
};

constexpr int kFiles = 100'000;

/// What one snapshot read costs without the way through the executor.
void lookup_in_process(benchmark::State& state) {
  World world;
  const InodeNo dir = world.fill("d", kFiles);
  uint64_t i = 0;
  for (auto _ : state) {
    const std::string name = "file" + std::to_string(i++ * 7919 % kFiles);
    const auto found = world.database->read([&](db::Txn& txn) -> Result<bool> {
      return db::InodeStore(txn).child(dir, name).has_value();
    });
    if (!found.ok() || !*found) state.SkipWithError("lookup failed");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lookup_in_process)->UseRealTime();

/// Look-ups in batches of state.range(0), as a client sends them.
void lookup_batch(benchmark::State& state) {
  World world;
  const InodeNo dir = world.fill("d", kFiles);
  uint64_t i = 0;
  for (auto _ : state) {
    fs::BatchRequest request;
    for (int64_t n = 0; n < state.range(0); ++n) {
      const std::string name = "file" + std::to_string(i++ * 7919 % kFiles);
      request.items.push_back({fs::Lookup{dir, name}, {}});
    }
    const auto answers = run_blocking(world.service->apply(world.caller, std::move(request)));
    if (!answers.back().ok()) state.SkipWithError("lookup failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(lookup_batch)->Arg(1)->Arg(64)->UseRealTime();

void readdir_with_attributes(benchmark::State& state) {
  World world;
  const InodeNo dir = world.fill("d", kFiles);
  int64_t entries = 0;
  for (auto _ : state) {
    uint64_t after = 0;
    for (bool end = false; !end;) {
      const auto answer = run_blocking(world.one(fs::ReadDir{dir, after, 1024})).value();
      const auto& page = std::get<fs::DirPage>(answer);
      entries += static_cast<int64_t>(page.entries.size());
      after = page.entries.back().cookie;
      end = page.end;
    }
  }
  state.SetItemsProcessed(entries);
}
BENCHMARK(readdir_with_attributes)->UseRealTime();

/// Durable creates by state.range(0) callers at once, one operation in each request.
void create(benchmark::State& state) {
  World world;
  const InodeNo dir = world.make(world.root, "d", fs::FileType::directory);
  uint64_t i = 0;
  for (auto _ : state) {
    std::vector<Task<Result<fs::Answer>>> tasks;
    for (int64_t n = 0; n < state.range(0); ++n) {
      tasks.push_back(world.one(fs::Create{dir, "file" + std::to_string(i++)}));
    }
    const auto answers = run_blocking(when_all(std::move(tasks)));
    if (!answers.back().ok()) state.SkipWithError("create failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(create)->Arg(1)->Arg(8)->Arg(64)->UseRealTime();

/// Durable creates in one request of state.range(0) operations.
void create_batch(benchmark::State& state) {
  World world;
  const InodeNo dir = world.make(world.root, "d", fs::FileType::directory);
  uint64_t i = 0;
  for (auto _ : state) {
    fs::BatchRequest request;
    for (int64_t n = 0; n < state.range(0); ++n) {
      request.items.push_back(
          {fs::Create{dir, "file" + std::to_string(i++)}, OperationId::random()});
    }
    const auto answers = run_blocking(world.service->apply(world.caller, std::move(request)));
    if (!answers.back().ok()) state.SkipWithError("create failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(create_batch)->Arg(64)->Arg(1024)->UseRealTime();

Task<Result<fs::Answer>> grant_and_commit(World& world, InodeNo file) {
  Result<fs::Answer> granted = co_await world.one(fs::Grant{file, 4096, 1});
  if (!granted.ok()) co_return granted;
  const ObjectId id = std::get<fs::UploadGrants>(*granted).grants[0].object;
  fs::Commit commit;
  commit.ino = file;
  commit.objects = {{id, 4096, {1}}};
  commit.extents = {{0, 4096, id, 0}};
  Result<fs::Answer> done = co_await world.one(std::move(commit));
  co_return done;
}

/// Grant and durable commit of one small object by state.range(0) callers at once.
void commit(benchmark::State& state) {
  World world;
  std::vector<InodeNo> files;
  for (int64_t n = 0; n < state.range(0); ++n) {
    files.push_back(world.make(world.root, "f" + std::to_string(n), fs::FileType::regular));
  }
  for (auto _ : state) {
    std::vector<Task<Result<fs::Answer>>> tasks;
    for (const InodeNo file : files) tasks.push_back(grant_and_commit(world, file));
    const auto answers = run_blocking(when_all(std::move(tasks)));
    if (!answers.back().ok()) state.SkipWithError("commit failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(commit)->Arg(1)->Arg(64)->UseRealTime();

}  // namespace
}  // namespace aster::primary

BENCHMARK_MAIN();

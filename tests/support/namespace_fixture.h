#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/namespace_service.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_object_backends.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// The namespace service over a database in a private directory and objects in memory.
class NamespaceFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.heartbeat = std::chrono::milliseconds(40);
    start();
    const auto made = run_blocking(service_->create_workspace("home"));
    ASSERT_TRUE(made.ok()) << made.error().message();
    caller_.user = UserId(7);
    caller_.workspace = *made;
    root_ = *service_->root_of(*made);
  }

  void start() {
    db::DatabaseOptions options;
    options.url = "sqlite://" + (dir_ / "aster.db").string();
    options.readers = 2;
    auto database = db::Database::open(options, executor_);
    ASSERT_TRUE(database.ok()) << database.error().message();
    database_ = std::move(*database);
    auto service =
        primary::make_namespace_service(options_, *database_, backends_, executor_, clock_);
    ASSERT_TRUE(service.ok()) << service.error().message();
    service_ = std::move(*service);
  }
  /// As after the end of the program.
  void restart() {
    service_.reset();
    database_.reset();
    start();
  }

  std::vector<Result<fs::Answer>> batch(const primary::Caller& caller,
                                        std::vector<fs::BatchItem> items,
                                        bool stop_on_error = false) {
    return run_blocking(service_->apply(caller, {caller.session, stop_on_error, std::move(items)}));
  }
  template <class A>
  Result<A> call_as(const primary::Caller& caller, fs::Operation operation,
                    std::optional<OperationId> id = {}) {
    auto answers = batch(caller, {{std::move(operation), id}});
    if (!answers[0].ok()) return answers[0].error();
    A* typed = std::get_if<A>(&*answers[0]);
    if (typed == nullptr) return fail(Errc::internal, "answer of another type");
    return std::move(*typed);
  }
  template <class A>
  Result<A> call(fs::Operation operation, std::optional<OperationId> id = {}) {
    return call_as<A>(caller_, std::move(operation), id);
  }

  fs::Attr make(InodeNo parent, std::string name, fs::FileType type = fs::FileType::regular) {
    fs::Create create;
    create.parent = parent;
    create.name = std::move(name);
    create.type = type;
    create.mode = type == fs::FileType::directory ? 0755 : 0644;
    if (type == fs::FileType::symlink) create.target = "there";
    const auto made = call<fs::Attr>(create);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? *made : fs::Attr();
  }
  fs::Attr make_dir(InodeNo parent, std::string name) {
    return make(parent, std::move(name), fs::FileType::directory);
  }
  fs::Attr attr(InodeNo ino) {
    const auto got = call<fs::Attr>(fs::GetAttr{ino});
    EXPECT_TRUE(got.ok()) << got.error().message();
    return got.ok() ? *got : fs::Attr();
  }
  Result<fs::Attr> lookup(InodeNo parent, std::string name) {
    return call<fs::Attr>(fs::Lookup{parent, std::move(name)});
  }

  /// Grants and uploads one object of these bytes.
  fs::NewObject upload(InodeNo ino, const std::string& bytes) {
    const auto grants = call<fs::UploadGrants>(fs::Grant{ino, bytes.size(), 1});
    EXPECT_TRUE(grants.ok()) << grants.error().message();
    fs::NewObject object;
    if (!grants.ok()) return object;
    object.id = grants->grants[0].object;
    object.size = bytes.size();
    for (uint64_t at = 0; at < bytes.size(); at += kBlockSize) object.crc32c.push_back(crc(at));
    backends_.put(object.id, bytes);
    return object;
  }
  /// What these tests take for the checksum of the block at `at` of an uploaded object.
  static uint32_t crc(uint64_t at) { return static_cast<uint32_t>(0xabc00000 + at / kBlockSize); }

  /// Uploads `bytes` as one object and commits it at `offset`.
  Result<fs::Attr> write(InodeNo ino, uint64_t offset, const std::string& bytes,
                         bool sealed = false) {
    const fs::NewObject object = upload(ino, bytes);
    fs::Commit commit;
    commit.ino = ino;
    commit.extents = {{offset, bytes.size(), object.id, 0}};
    commit.objects = {object};
    commit.sealed = sealed;
    return call<fs::Attr>(commit);
  }
  fs::Manifest manifest(InodeNo ino, uint64_t offset = 0, uint64_t length = UINT64_MAX) {
    const auto got = call<fs::Manifest>(fs::GetManifest{ino, offset, length});
    EXPECT_TRUE(got.ok()) << got.error().message();
    return got.ok() ? *got : fs::Manifest();
  }
  /// The whole file as its manifests and the stored objects say.
  std::string content(InodeNo ino) {
    std::string out(attr(ino).size, '\0');
    for (uint64_t at = 0; at < out.size();) {
      const fs::Manifest part = manifest(ino, at);
      for (const fs::Extent& e : part.extents) {
        const std::optional<std::string> bytes = backends_.get(*e.object);
        EXPECT_TRUE(bytes.has_value()) << "object is gone";
        if (bytes) out.replace(e.offset, e.length, bytes->substr(e.object_offset, e.length));
      }
      at = part.window_end;
    }
    return out;
  }
  void run_duties() {
    const auto done = run_blocking(service_->run_duties_once());
    EXPECT_TRUE(done.ok()) << done.error().message();
  }
  template <class T>
  T sql(std::string_view statement) {
    const auto value = database_->read([&](db::Txn& txn) -> Result<T> {
      db::Query q = txn.query(statement);
      return q.next() ? static_cast<T>(q.int64(0)) : T();
    });
    EXPECT_TRUE(value.ok());
    return value.ok() ? *value : T();
  }
  primary::Caller open_session(UserId user = UserId(7)) {
    primary::Caller caller{user, caller_.workspace, SessionId(), false};
    const auto answer = run_blocking(service_->open_session(caller, {"test", ""}));
    EXPECT_TRUE(answer.ok());
    if (answer.ok()) caller.session = answer->session;
    if (answer.ok()) cursor_ = answer->cursor;
    return caller;
  }

  TempDir dir_;
  Executor executor_{{"ns-test", 3}};
  FakeClock clock_;
  FakeObjectBackends backends_;
  primary::NamespaceOptions options_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<primary::NamespaceService> service_;
  primary::Caller caller_;
  InodeNo root_;
  std::string cursor_;  ///< of the session opened last
};

}  // namespace aster::testing

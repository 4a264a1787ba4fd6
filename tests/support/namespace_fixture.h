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
  void SetUp() override;

  void start();
  /// As after the end of the program.
  void restart();

  std::vector<Result<fs::Answer>> batch(const primary::Caller& caller,
                                        std::vector<fs::BatchItem> items,
                                        bool stop_on_error = false);
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

  fs::Attr make(InodeNo parent, std::string name, fs::FileType type = fs::FileType::regular);
  fs::Attr make_dir(InodeNo parent, std::string name) {
    return make(parent, std::move(name), fs::FileType::directory);
  }
  fs::Attr attr(InodeNo ino);
  Result<fs::Attr> lookup(InodeNo parent, std::string name) {
    return call<fs::Attr>(fs::Lookup{parent, std::move(name)});
  }

  /// Grants and uploads one object of these bytes.
  fs::NewObject upload(InodeNo ino, const std::string& bytes);
  /// What these tests take for the checksum of the block at `at` of an uploaded object.
  static uint32_t crc(uint64_t at) { return static_cast<uint32_t>(0xabc00000 + at / kBlockSize); }

  /// Uploads `bytes` as one object and commits it at `offset`.
  Result<fs::Attr> write(InodeNo ino, uint64_t offset, const std::string& bytes,
                         bool sealed = false);
  fs::Manifest manifest(InodeNo ino, uint64_t offset = 0, uint64_t length = UINT64_MAX);
  /// The whole file as its manifests and the stored objects say.
  std::string content(InodeNo ino);
  void run_duties();
  template <class T>
  T sql(std::string_view statement) {
    const auto value = database_->read([&](db::Txn& txn) -> Result<T> {
      db::Query q = txn.query(statement);
      return q.next() ? static_cast<T>(q.int64(0)) : T();
    });
    EXPECT_TRUE(value.ok());
    return value.ok() ? *value : T();
  }
  primary::Caller open_session(UserId user = UserId(7));

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

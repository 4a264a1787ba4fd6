#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/db/database.h"
#include "server/db/node_store.h"
#include "server/db/policy_store.h"
#include "server/primary/namespace_service.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::primary {

/// Counts the trees it makes; nothing else is asked of it here.
class FakeNamespaces final : public NamespaceService {
 public:
  Task<std::vector<Result<fs::Answer>>> apply(Caller, fs::BatchRequest) override {
    co_return std::vector<Result<fs::Answer>>();
  }
  Task<Result<uint64_t>> create_workspace(std::string name) override {
    workspaces.push_back(std::move(name));
    co_return workspaces.size();
  }
  Result<InodeNo> root_of(uint64_t) override { return InodeNo(1); }
  Task<Result<fs::SessionAnswer>> open_session(Caller, fs::SessionRequest) override {
    co_return fail(Errc::unsupported);
  }
  Task<Result<void>> close_session(Caller) override { co_return ok(); }
  Task<Result<void>> end_sessions(UserId user, uint64_t workspace) override {
    ended.emplace_back(user, workspace);
    co_return ok();
  }
  std::optional<uint64_t> workspace_of_session(UserId, SessionId) override { return std::nullopt; }
  RecallPtr call_back(uint64_t) override { return nullptr; }
  bool touch_session(const Caller&) override { return true; }
  Result<fs::AckAnswer> acknowledge(const Caller&, const fs::Ack&) override {
    return fail(Errc::unsupported);
  }
  Task<Result<fs::LeaseAnswer>> lease(Caller, fs::LeaseRequest) override {
    co_return fail(Errc::unsupported);
  }
  Task<Result<fs::LockAnswer>> lock(Caller, fs::LockRequest) override {
    co_return fail(Errc::unsupported);
  }
  Result<std::shared_ptr<ByteSource>> events(const Caller&, std::string) override {
    return fail(Errc::unsupported);
  }
  void start_duties() override {}
  void stop() override {}
  Task<Result<void>> run_duties_once() override { co_return ok(); }

  std::vector<std::string> workspaces;
  std::vector<std::pair<UserId, uint64_t>> ended;  ///< whose sessions, and where
};

/// A private database with its stores.
class AdminFixture : public ::testing::Test {
 protected:
  AdminFixture() {
    auto opened = db::Database::open(
        {.url = "sqlite://" + (dir / "primary.db").string(), .readers = 2}, executor);
    if (!opened.ok()) ADD_FAILURE() << opened.error().message();
    database = std::move(opened).value();
    accounts_store = std::make_unique<db::AccountStore>(*database, executor, clock);
    node_store = std::make_unique<db::NodeStore>(*database, executor, clock);
    policy_store = std::make_unique<db::PolicyStore>(*database, executor, clock);
  }

  db::NodeRow add_node(const std::string& name) {
    db::NodeRow row;
    row.name = name;
    row.storage_namespace = "ns-" + name;
    row.access_key = "rn_" + name;
    row.secret_key = "rns_" + name;
    row.base_url = "http://" + name + ":3000";
    auto made = run_blocking(node_store->create_node(row));
    if (!made.ok()) ADD_FAILURE() << made.error().message();
    return made.ok() ? *made : row;
  }

  testing::TempDir dir;
  testing::FakeClock clock;
  Executor executor{{.name = "test", .threads = 2}};
  std::unique_ptr<db::Database> database;
  std::unique_ptr<db::AccountStore> accounts_store;
  std::unique_ptr<db::NodeStore> node_store;
  std::unique_ptr<db::PolicyStore> policy_store;
};

}  // namespace aster::primary

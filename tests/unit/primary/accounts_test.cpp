#include "server/primary/accounts.h"

#include <map>

#include "tests/unit/primary/admin_fixture.h"

namespace aster::primary {
namespace {

constexpr const char* kPassword = "correct horse";

class AccountsTest : public AdminFixture {
 protected:
  Result<db::UserRow> add(const std::string& name, db::UserRole role = db::UserRole::user,
                          bool first = false) {
    return run_blocking(accounts.create_user({name, kPassword, role, first}));
  }
  Result<LoginAnswer> login(const std::string& name, const std::string& password) {
    return run_blocking(accounts.login(name, password, "10.0.0.1"));
  }
  Result<Identity> authenticate(const std::string& token) {
    return run_blocking(accounts.authenticate(token));
  }

  FakeNamespaces namespaces;
  Accounts accounts{
      {.cost = {.memory_kib = 64, .passes = 1}}, *accounts_store, &namespaces, executor, clock};
};

TEST_F(AccountsTest, makes_the_workspace_with_the_user) {
  const auto user = add("ann");
  ASSERT_TRUE(user.ok());
  EXPECT_NE(user->workspace, 0u);
  EXPECT_EQ(namespaces.workspaces, std::vector<std::string>{"ann"});
}

TEST_F(AccountsTest, makes_a_missing_workspace_once_when_the_user_comes) {
  Accounts offline({.cost = {.memory_kib = 64, .passes = 1}}, *accounts_store, nullptr, executor,
                   clock);
  ASSERT_TRUE(run_blocking(offline.create_user({"ann", kPassword})).ok());
  const auto first = authenticate(login("ann", kPassword)->token);
  const auto second = authenticate(login("ann", kPassword)->token);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->workspace, 1u);
  EXPECT_EQ(second->workspace, 1u);
  EXPECT_EQ(namespaces.workspaces.size(), 1u);
}

TEST_F(AccountsTest, refuses_taken_and_malformed_names) {
  ASSERT_TRUE(add("ann").ok());
  EXPECT_TRUE(add("ann").failed_with(Errc::conflict));
  for (const std::string name : {"", "-a", "a b", "a/b", "a\n"}) {
    EXPECT_TRUE(add(name).failed_with(Errc::bad_request)) << name;
  }
  EXPECT_TRUE(add(std::string(65, 'a')).failed_with(Errc::bad_request));
}

TEST_F(AccountsTest, sets_up_the_first_user_only_once) {
  ASSERT_TRUE(add("root", db::UserRole::admin, true).ok());
  EXPECT_TRUE(add("evil", db::UserRole::admin, true).failed_with(Errc::precondition_failed));
}

TEST_F(AccountsTest, proves_who_logged_in) {
  ASSERT_TRUE(add("ann").ok());
  const auto answer = login("ann", kPassword);
  ASSERT_TRUE(answer.ok());
  const auto who = authenticate(answer->token);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->name, "ann");
  EXPECT_EQ(who->role, db::UserRole::user);
}

TEST_F(AccountsTest, answers_alike_for_wrong_passwords_and_unknown_names) {
  ASSERT_TRUE(add("ann").ok());
  const auto wrong = login("ann", "wrong password");
  const auto unknown = login("bob", kPassword);
  const auto malformed = login("b/b", kPassword);
  EXPECT_TRUE(wrong.failed_with(Errc::credentials_failed));
  EXPECT_EQ(wrong.error().message(), unknown.error().message());
  EXPECT_EQ(wrong.error().message(), malformed.error().message());
}

TEST_F(AccountsTest, slows_down_guessing) {
  ASSERT_TRUE(add("ann").ok());
  for (int i = 0; i < LoginThrottle::kFreeTries; ++i) {
    EXPECT_TRUE(login("ann", "wrong password").failed_with(Errc::credentials_failed));
  }
  EXPECT_TRUE(login("ann", kPassword).failed_with(Errc::rate_limited));
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(login("ann", kPassword).ok());
}

TEST_F(AccountsTest, slows_down_an_address_that_tries_many_names_and_says_so_once) {
  ASSERT_TRUE(add("ann").ok());
  const int burst = LoginThrottle::Options().address.burst;
  for (int i = 0; i < burst; ++i) {
    const std::string name = "name" + std::to_string(i);
    ASSERT_TRUE(login(name, "wrong password").failed_with(Errc::credentials_failed)) << i;
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(login("ann", kPassword).failed_with(Errc::rate_limited));
  }
  EXPECT_TRUE(run_blocking(accounts.login("ann", kPassword, "10.0.0.2")).ok());
  const auto log = run_blocking(accounts_store->list_audit({.limit = 100}));
  ASSERT_TRUE(log.ok());
  std::map<std::string, int> rows;
  for (const db::AuditRow& row : log->items) ++rows[row.action];
  EXPECT_EQ(rows["login.refused"], burst);
  EXPECT_EQ(rows["login.throttled"], 1);
  EXPECT_EQ(rows["login.accepted"], 1);
}

TEST_F(AccountsTest, slows_down_set_ups_of_one_address) {
  const auto set_up = [&](const std::string& password) {
    return run_blocking(accounts.set_up({.name = "root", .password = password}, "10.0.0.1"));
  };
  for (int i = 0; i < LoginThrottle::kFreeTries; ++i) {
    EXPECT_TRUE(set_up("short").failed_with(Errc::bad_request));
  }
  EXPECT_TRUE(set_up(kPassword).failed_with(Errc::rate_limited));
  clock.advance(std::chrono::seconds(1));
  const auto made = set_up(kPassword);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->role, db::UserRole::admin);
  EXPECT_TRUE(set_up(kPassword).failed_with(Errc::precondition_failed));
}

TEST_F(AccountsTest, what_strangers_write_into_the_log_pushes_out_nothing_else) {
  ASSERT_TRUE(run_blocking(accounts_store->audit(UserId(1), "node.create", "f1")).ok());
  ASSERT_TRUE(run_blocking(accounts_store->audit(UserId(1), "login.accepted", "ann")).ok());
  const auto strangers = [](db::Txn& txn) -> Result<void> {
    for (int i = 0; i < 3000; ++i) {
      txn.exec(
          "INSERT INTO admin_audit(at, actor, action, subject, detail) VALUES(1, 0, ?1, '', '')",
          i % 2 == 0 ? "login.refused" : "login.throttled");
    }
    return ok();
  };
  ASSERT_TRUE(run_blocking(database->write(strangers)).ok());
  for (int i = 0; i < 64; ++i) {  // so often they are looked for
    ASSERT_TRUE(run_blocking(accounts_store->audit(UserId(), "login.refused", "x")).ok());
  }
  const auto log = run_blocking(accounts_store->list_audit({.limit = 3000}));
  ASSERT_TRUE(log.ok());
  EXPECT_LT(log->total, 2100u);
  EXPECT_GE(log->total, 2002u);
  EXPECT_EQ(log->items.back().action, "node.create");
}

TEST_F(AccountsTest, refuses_unknown_expired_and_logged_out_tokens) {
  ASSERT_TRUE(add("ann").ok());
  EXPECT_TRUE(authenticate("ast_nothing").failed_with(Errc::token_invalid));
  EXPECT_TRUE(authenticate("").failed_with(Errc::token_invalid));
  const auto first = login("ann", kPassword);
  const auto who = authenticate(first->token);
  ASSERT_TRUE(run_blocking(accounts.logout(*who)).ok());
  EXPECT_TRUE(authenticate(first->token).failed_with(Errc::token_invalid));
  const auto second = login("ann", kPassword);
  ASSERT_TRUE(authenticate(second->token).ok());
  clock.advance(std::chrono::hours(30 * 24));
  EXPECT_TRUE(authenticate(second->token).failed_with(Errc::token_invalid));
}

TEST_F(AccountsTest, ends_tokens_at_once_when_a_user_is_disabled_or_gets_a_new_password) {
  const auto user = add("ann");
  const auto token = login("ann", kPassword)->token;
  ASSERT_TRUE(authenticate(token).ok());
  ASSERT_TRUE(run_blocking(accounts.update_user(user->id, {.password = "another one"})).ok());
  EXPECT_FALSE(accounts.cached(token).has_value());
  EXPECT_TRUE(authenticate(token).failed_with(Errc::token_invalid));
  const auto fresh = login("ann", "another one")->token;
  ASSERT_TRUE(authenticate(fresh).ok());
  ASSERT_TRUE(
      run_blocking(accounts.update_user(user->id, {.status = db::UserStatus::disabled})).ok());
  EXPECT_TRUE(authenticate(fresh).failed_with(Errc::token_invalid));
  EXPECT_TRUE(login("ann", "another one").failed_with(Errc::credentials_failed));
}

TEST_F(AccountsTest, sees_a_revocation_by_another_process_after_the_recheck_time) {
  ASSERT_TRUE(add("ann").ok());
  const auto token = login("ann", kPassword)->token;
  const auto who = authenticate(token);
  ASSERT_TRUE(run_blocking(accounts_store->revoke_token(who->token_hash)).ok());
  clock.advance(std::chrono::seconds(10));
  EXPECT_TRUE(authenticate(token).failed_with(Errc::token_invalid));
}

TEST_F(AccountsTest, keeps_the_last_active_administrator) {
  const auto root = add("root", db::UserRole::admin);
  EXPECT_TRUE(run_blocking(accounts.update_user(root->id, {.role = db::UserRole::user}))
                  .failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(accounts.update_user(root->id, {.status = db::UserStatus::disabled}))
                  .failed_with(Errc::precondition_failed));
  ASSERT_TRUE(add("two", db::UserRole::admin).ok());
  EXPECT_TRUE(run_blocking(accounts.update_user(root->id, {.role = db::UserRole::user})).ok());
}

TEST_F(AccountsTest, stores_neither_passwords_nor_tokens) {
  ASSERT_TRUE(add("ann").ok());
  const std::string token = login("ann", kPassword)->token;
  std::string files;
  for (const char* name : {"primary.db", "primary.db-wal"}) files += testing::read_file(dir / name);
  EXPECT_NE(files.find("$argon2id$"), std::string::npos);
  EXPECT_EQ(files.find(kPassword), std::string::npos);
  EXPECT_EQ(files.find(token), std::string::npos);
}

TEST_F(AccountsTest, lists_users_in_pages_and_keeps_an_audit_log) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(add("user" + std::to_string(i)).ok());
  const auto page = run_blocking(accounts_store->list_users({.limit = 2, .offset = 3}));
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->total, 5u);
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(page->items[0].name, "user3");
  ASSERT_TRUE(run_blocking(accounts_store->audit(UserId(1), "node.create", "f1")).ok());
  EXPECT_EQ(run_blocking(accounts_store->list_audit({}))->items.at(0).action, "node.create");
}

}  // namespace
}  // namespace aster::primary

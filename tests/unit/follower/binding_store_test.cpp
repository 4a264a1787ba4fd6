#include "server/follower/binding_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::follower {
namespace {

class Bindings : public ::testing::Test {
 protected:
  Bindings() { reopen(); }
  void reopen() {
    store_.reset();
    auto opened = BindingStore::open(path(), clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    store_ = std::move(*opened);
  }
  std::string path() const { return (dir_ / "f.db").string(); }
  static Enrollment enrollment(const std::string& key) {
    return {.name = "node",
            .master_url = "http://p",
            .access_key = key,
            .secret_key = "s-" + key,
            .is_enabled = true,
            .resolved_transport = "direct"};
  }
  Target target(int64_t binding, const std::string& key, bool is_default = false) {
    Target out;
    out.binding_id = binding;
    out.info.target_key = key;
    out.info.name = key;
    out.info.driver_type = "local";
    out.info.base_path = ".";
    out.info.is_default = is_default;
    const auto saved = store_->save_target(out);
    EXPECT_TRUE(saved.ok()) << saved.error().message();
    return *saved;
  }
  std::vector<std::string> names(int64_t binding) {
    std::vector<std::string> out;
    for (const Target& t : store_->targets(binding)) out.push_back(t.info.target_key);
    return out;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<BindingStore> store_;
};

TEST_F(Bindings, are_enrolled_updated_and_kept) {
  const auto first = store_->enroll(enrollment("a"));
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first->created);
  EXPECT_EQ(first->binding.storage_namespace.substr(0, 3), "mb_");
  EXPECT_EQ(first->binding.storage_namespace.size(), 35u);
  Enrollment again = enrollment("a");
  again.name = "renamed";
  again.storage_namespace = "other";
  const auto second = store_->enroll(again);
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->created);
  EXPECT_EQ(second->binding.name, "renamed");
  EXPECT_EQ(second->binding.storage_namespace, first->binding.storage_namespace);
  reopen();
  EXPECT_EQ(store_->find("a")->name, "renamed");
  EXPECT_EQ(store_->find("a")->secret_key, "s-a");
  EXPECT_FALSE(store_->find("b"));
}

TEST_F(Bindings, refuse_another_secret_and_a_namespace_in_use) {
  Enrollment one = enrollment("a");
  one.storage_namespace = "ns";
  ASSERT_TRUE(store_->enroll(one).ok());
  Enrollment forged = one;
  forged.secret_key = "other";
  EXPECT_TRUE(store_->enroll(forged).failed_with(Errc::conflict));
  Enrollment neighbour = enrollment("b");
  neighbour.storage_namespace = "ns";
  EXPECT_TRUE(store_->enroll(neighbour).failed_with(Errc::conflict));
  EXPECT_EQ(store_->bindings().size(), 1u);
}

TEST_F(Bindings, ignore_states_older_than_theirs) {
  const int64_t id = store_->enroll(enrollment("a"))->binding.id;
  ASSERT_TRUE(store_->apply_state(id, {"new", false, "direct", 5}).ok());
  ASSERT_TRUE(store_->apply_state(id, {"old", true, "direct", 4}).ok());
  EXPECT_EQ(store_->find("a")->name, "new");
  EXPECT_FALSE(store_->find("a")->is_enabled);
  ASSERT_TRUE(store_->apply_state(id, {"same", true, "direct", 5}).ok());
  EXPECT_EQ(store_->find("a")->name, "same");
}

TEST_F(Bindings, remember_the_dialect) {
  const int64_t id = store_->enroll(enrollment("a"))->binding.id;
  EXPECT_EQ(store_->find("a")->dialect, Dialect::str);
  ASSERT_TRUE(store_->note_dialect(id, Dialect::num).ok());
  reopen();
  EXPECT_EQ(store_->find("a")->dialect, Dialect::num);
}

TEST_F(Bindings, list_targets_default_first_then_newest_first) {
  const int64_t id = store_->enroll(enrollment("a"))->binding.id;
  const int64_t other = store_->enroll(enrollment("b"))->binding.id;
  target(id, "t1", true);
  clock_.advance(std::chrono::seconds(1));
  target(id, "t2");
  clock_.advance(std::chrono::seconds(1));
  const Target third = target(id, "t3");
  target(other, "foreign", true);
  EXPECT_EQ(names(id), (std::vector<std::string>{"t1", "t3", "t2"}));
  EXPECT_EQ(third.info.created_at, "2023-11-14T22:13:22Z");
}

TEST_F(Bindings, have_one_default_target_at_most) {
  const int64_t id = store_->enroll(enrollment("a"))->binding.id;
  target(id, "t1", true);
  Target second = target(id, "t2");
  second.info.is_default = true;
  second.info.last_error = "broken";
  ASSERT_TRUE(store_->save_target(second).ok());
  reopen();
  const auto targets = store_->targets(id);
  EXPECT_EQ(targets[0].info.target_key, "t2");
  EXPECT_EQ(targets[0].info.last_error, "broken");
  EXPECT_FALSE(targets[1].info.is_default);
  ASSERT_TRUE(store_->remove_target(targets[0].id).ok());
  EXPECT_EQ(names(id), std::vector<std::string>{"t1"});
}

TEST_F(Bindings, refuse_a_database_of_a_newer_program) {
  store_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  const auto opened = BindingStore::open(path(), clock_);
  ASSERT_TRUE(opened.failed_with(Errc::precondition_failed));
  EXPECT_NE(opened.error().context.find("99"), std::string::npos);
}

TEST_F(Bindings, database_is_private_and_answers) {
  EXPECT_TRUE(store_->ping().ok());
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace aster::follower

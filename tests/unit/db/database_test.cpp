#include "server/db/database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "tests/support/temp_dir.h"

namespace aster::db {
namespace {

constexpr Migration kSteps[] = {
    {1, "numbers", "CREATE TABLE numbers(id INTEGER PRIMARY KEY, value TEXT UNIQUE)"}};

class DatabaseTest : public ::testing::Test {
 protected:
  void open(size_t queue_limit = 8192, size_t readers = 2) {
    DatabaseOptions options;
    options.url = "sqlite://" + (dir_ / "test.db").string();
    options.readers = readers;
    options.queue_limit = queue_limit;
    options.migrations = kSteps;
    auto opened = Database::open(options, executor_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    db_ = std::move(*opened);
  }

  static Result<int64_t> insert(Txn& txn, std::string value) {
    txn.exec("INSERT INTO numbers(value) VALUES (?1)", value);
    return txn.last_insert_id();
  }
  Result<int64_t> add(std::string value) {
    return run_blocking(
        db_->write([value](Txn& txn) -> Result<int64_t> { return insert(txn, value); }));
  }
  int64_t count() {
    const auto n = db_->read([](Txn& txn) -> Result<int64_t> {
      Query q = txn.query("SELECT count(*) FROM numbers");
      return q.next() ? q.int64(0) : -1;
    });
    return n.ok() ? *n : -2;
  }

  /// Keeps the writer thread busy until release(), so that writes queue up behind it.
  class Gate {
   public:
    explicit Gate(Database& db) {
      start<Result<int>>(db.write([this](Txn&) -> Result<int> {
        std::unique_lock lock(mutex_);
        entered_ = true;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
        return 0;
      }),
                         [this](Result<int>) { done_.set(true); });
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return entered_; });
    }
    void release() {
      {
        std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
      }
      run_blocking(wait());
    }

   private:
    Task<void> wait() { co_await done_; }
    std::mutex mutex_;
    std::condition_variable changed_;
    bool entered_ = false;
    bool open_ = false;
    Completion<bool> done_;
  };

  testing::TempDir dir_;
  Executor executor_{{"db-test", 2}};
  std::unique_ptr<Database> db_;
};

TEST_F(DatabaseTest, keeps_what_was_written_across_a_reopen) {
  open();
  ASSERT_TRUE(add("one").ok());
  EXPECT_EQ(count(), 1);
  db_.reset();
  open();
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, failed_body_undoes_only_itself) {
  open();
  Gate gate(*db_);
  std::vector<Task<Result<int64_t>>> tasks;
  for (int i = 0; i < 3; ++i) {
    tasks.push_back(db_->write([i](Txn& txn) -> Result<int64_t> {
      ASTER_TRY(const int64_t id, insert(txn, "v" + std::to_string(i)));
      if (i == 1) return fail(Errc::not_empty, "told to");
      return id;
    }));
  }
  auto all = when_all(std::move(tasks));
  Completion<std::vector<Result<int64_t>>> done;
  start<std::vector<Result<int64_t>>>(std::move(all), [done](auto v) { done.set(std::move(v)); });
  gate.release();
  auto wait = [](Completion<std::vector<Result<int64_t>>> d) -> Task<std::vector<Result<int64_t>>> {
    co_return co_await d;
  };
  const auto results = run_blocking(wait(done));
  EXPECT_TRUE(results[0].ok());
  EXPECT_TRUE(results[1].failed_with(Errc::not_empty));
  EXPECT_TRUE(results[2].ok());
  EXPECT_EQ(count(), 2);
}

TEST_F(DatabaseTest, broken_uniqueness_is_conflict_and_sticks) {
  open();
  ASSERT_TRUE(add("same").ok());
  const auto result = run_blocking(db_->write([](Txn& txn) -> Result<int64_t> {
    (void)insert(txn, "same");
    (void)insert(txn, "other");  // does nothing any more
    return 1;
  }));
  EXPECT_TRUE(result.failed_with(Errc::conflict));
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, nested_part_that_fails_leaves_the_rest) {
  open();
  std::atomic<int> committed{0};
  const auto result = run_blocking(db_->write([&](Txn& txn) -> Result<int64_t> {
    (void)insert(txn, "kept");
    txn.on_commit([&] { committed += 1; });
    const Result<int64_t> inner = txn.nested([&]() -> Result<int64_t> {
      txn.on_commit([&] { committed += 100; });
      (void)insert(txn, "undone");
      return insert(txn, "kept");
    });
    EXPECT_TRUE(inner.failed_with(Errc::conflict));
    EXPECT_FALSE(txn.failed());
    return insert(txn, "after");
  }));
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(count(), 2);
  EXPECT_EQ(committed, 1);
}

TEST_F(DatabaseTest, exception_in_a_body_becomes_an_error) {
  open();
  const auto result =
      run_blocking(db_->write([](Txn&) -> Result<int64_t> { throw std::runtime_error("boom"); }));
  EXPECT_TRUE(result.failed_with(Errc::internal));
  EXPECT_TRUE(add("still works").ok());
}

TEST_F(DatabaseTest, full_queue_refuses) {
  open(1);
  Gate gate(*db_);
  Completion<bool> queued_done;
  start<Result<int64_t>>(db_->write([](Txn& txn) { return insert(txn, "queued"); }),
                         [queued_done](Result<int64_t>) { queued_done.set(true); });
  EXPECT_TRUE(add("refused").failed_with(Errc::out_of_resources));
  gate.release();
  auto wait = [](Completion<bool> d) -> Task<void> { co_await d; };
  run_blocking(wait(queued_done));
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, reads_see_a_snapshot_and_cannot_write) {
  open();
  ASSERT_TRUE(add("a").ok());
  const auto seen = db_->read([&](Txn& txn) -> Result<int64_t> {
    Query first = txn.query("SELECT count(*) FROM numbers");
    first.next();
    EXPECT_TRUE(add("b").ok());
    Query again = txn.query("SELECT count(*) AS n FROM numbers");
    again.next();
    EXPECT_EQ(first.int64(0), again.int64(0));
    return again.int64(0);
  });
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(*seen, 1);
  EXPECT_EQ(count(), 2);
  const auto write = db_->read([](Txn& txn) { return insert(txn, "no"); });
  EXPECT_FALSE(write.ok());
  EXPECT_EQ(count(), 2);
}

TEST_F(DatabaseTest, same_statement_may_run_twice_at_once) {
  open();
  for (const char* v : {"a", "b", "c"}) ASSERT_TRUE(add(v).ok());
  const auto pairs = db_->read([](Txn& txn) -> Result<int> {
    constexpr std::string_view sql = "SELECT id FROM numbers";
    int n = 0;
    for (Query outer = txn.query(sql); outer.next();) {
      for (Query inner = txn.query(sql); inner.next();) ++n;
    }
    return n;
  });
  ASSERT_TRUE(pairs.ok());
  EXPECT_EQ(*pairs, 9);
}

TEST_F(DatabaseTest, closing_finishes_what_is_queued) {
  open();
  Gate gate(*db_);
  for (int i = 0; i < 20; ++i) {
    start<Result<int64_t>>(
        db_->write([i](Txn& txn) { return insert(txn, "n" + std::to_string(i)); }),
        [](Result<int64_t>) {});
  }
  gate.release();
  db_.reset();
  open();
  EXPECT_EQ(count(), 20);
}

TEST_F(DatabaseTest, many_threads_write_and_read) {
  open(8192, 2);
  std::atomic<int> good{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        if (add(std::to_string(t) + "/" + std::to_string(i)).ok()) ++good;
        EXPECT_GE(count(), 1);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 100);
  EXPECT_EQ(count(), 100);
}

TEST_F(DatabaseTest, full_disk_fails_the_write_and_nothing_else) {
  open();
  ASSERT_TRUE(add("before").ok());
  const auto limited = run_blocking(db_->write([](Txn& txn) -> Result<int64_t> {
    txn.query("PRAGMA max_page_count=20").next();
    txn.exec("INSERT INTO numbers(value) VALUES (hex(zeroblob(200000)))");
    return 1;
  }));
  EXPECT_TRUE(limited.failed_with(Errc::no_space));
  EXPECT_TRUE(add("after").ok());
  EXPECT_EQ(count(), 2);
}

TEST(DatabaseUrl, takes_both_forms) {
  EXPECT_EQ(parse_database_url("sqlite:///var/lib/aster/aster.db")->path,
            "/var/lib/aster/aster.db");
  const auto relative = parse_database_url("sqlite://asterdrive.db?mode=rwc");
  ASSERT_TRUE(relative.ok());
  EXPECT_EQ(relative->path, "./asterdrive.db");
  EXPECT_TRUE(relative->create);
  EXPECT_FALSE(parse_database_url("sqlite:///x.db?cache=private&mode=rw")->create);
}

TEST(DatabaseUrl, refuses_what_it_cannot_open) {
  EXPECT_TRUE(parse_database_url("postgres://host/db").failed_with(Errc::unsupported));
  for (const char* bad : {"", "/plain/path", "sqlite://", "sqlite://:memory:", "sqlite:///dir/",
                          "sqlite:///x.db?mode=ro", "sqlite:///x.db?mode=memory"}) {
    EXPECT_TRUE(parse_database_url(bad).failed_with(Errc::bad_request)) << bad;
  }
}

}  // namespace
}  // namespace aster::db

#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;
using Batch = testing::NamespaceFixture;

TEST_F(Batch, reads_see_the_mutations_before_them) {
  const auto answers = batch(caller_, {{fs::Create{root_, "a"}, {}},
                                       {fs::Lookup{root_, "a"}, {}},
                                       {fs::Unlink{root_, "a"}, {}},
                                       {fs::Lookup{root_, "a"}, {}}});
  EXPECT_TRUE(answers[0].ok());
  EXPECT_TRUE(answers[1].ok());
  EXPECT_TRUE(answers[2].ok());
  EXPECT_TRUE(answers[3].failed_with(Errc::not_found));
}

TEST_F(Batch, attributes_between_mutations_are_those_of_their_moment) {
  fs::Create a{root_, "a"};
  a.type = fs::FileType::directory;
  fs::Create b{root_, "b"};
  b.type = fs::FileType::directory;
  const auto answers = batch(caller_, {{a, {}},
                                       {fs::GetAttr{root_}, {}},
                                       {b, {}},
                                       {fs::GetAttr{root_}, {}},
                                       {fs::GetAttr{InodeNo(999999)}, {}}});
  EXPECT_EQ(std::get<Attr>(*answers[1]).nlink, 3u);
  EXPECT_EQ(std::get<Attr>(*answers[3]).nlink, 4u);
  EXPECT_TRUE(answers[4].failed_with(Errc::stale_handle));
}

TEST_F(Batch, failed_operation_does_not_stop_the_next) {
  const auto answers = batch(caller_, {{fs::Rmdir{root_, "none"}, {}},
                                       {fs::Create{root_, "a"}, {}},
                                       {fs::Create{root_, "a"}, {}},
                                       {fs::Create{root_, "b"}, {}}});
  EXPECT_TRUE(answers[0].failed_with(Errc::not_found));
  EXPECT_TRUE(answers[1].ok());
  EXPECT_TRUE(answers[2].failed_with(Errc::exists));
  EXPECT_TRUE(answers[3].ok());
}

TEST_F(Batch, stop_on_error_interrupts_the_rest_across_kinds) {
  const auto answers = batch(caller_,
                             {{fs::Create{root_, "a"}, {}},
                              {fs::Rmdir{root_, "none"}, {}},
                              {fs::Create{root_, "b"}, {}},
                              {fs::Lookup{root_, "a"}, {}},
                              {fs::Create{root_, "c"}, {}}},
                             true);
  EXPECT_TRUE(answers[0].ok());
  EXPECT_TRUE(answers[1].failed_with(Errc::not_found));
  for (int i = 2; i < 5; ++i) EXPECT_TRUE(answers[i].failed_with(Errc::interrupted)) << i;
  EXPECT_TRUE(lookup(root_, "b").failed_with(Errc::not_found));
}

TEST_F(Batch, too_many_operations_are_refused) {
  const auto answers =
      batch(caller_, std::vector<fs::BatchItem>(fs::kBatchOpsMax + 1, {fs::GetAttr{root_}, {}}));
  EXPECT_EQ(answers.size(), fs::kBatchOpsMax + 1);
  EXPECT_TRUE(answers[0].failed_with(Errc::bad_request));
  EXPECT_TRUE(batch(caller_, {}).empty());
}

TEST_F(Batch, answer_stays_below_its_limit) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{ino, "user.big", std::string(60000, 'v')}).ok());
  const auto answers =
      batch(caller_, std::vector<fs::BatchItem>(100, {fs::GetXattr{ino, "user.big"}, {}}));
  EXPECT_TRUE(answers[0].ok());
  EXPECT_TRUE(answers[99].failed_with(Errc::out_of_resources));
}

TEST_F(Batch, repeated_operation_id_gets_the_stored_answer) {
  const OperationId id = OperationId::random();
  const auto first = call<Attr>(fs::Create{root_, "a"}, id);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}).ok());
  restart();
  const auto again = call<Attr>(fs::Create{root_, "a"}, id);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->ino, first->ino);
  EXPECT_TRUE(lookup(root_, "a").failed_with(Errc::not_found));
}

TEST_F(Batch, rename_and_removal_answers_are_stored_too) {
  make(root_, "a");
  const Attr b = make(root_, "b");
  const OperationId id = OperationId::random();
  const fs::Rename op{root_, "a", root_, "b"};
  ASSERT_TRUE(call<fs::Renamed>(op, id).ok());
  const auto again = call<fs::Renamed>(op, id);
  ASSERT_TRUE(again.ok());
  ASSERT_TRUE(again->replaced);
  EXPECT_EQ(again->replaced->ino, b.ino);
}

TEST_F(Batch, failed_operation_may_be_tried_again_with_its_id) {
  const OperationId id = OperationId::random();
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}, id).failed_with(Errc::not_found));
  make(root_, "a");
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}, id).ok());
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}, id).ok());
}

TEST_F(Batch, operation_id_is_for_one_operation_of_one_workspace) {
  const OperationId id = OperationId::random();
  ASSERT_TRUE(call<Attr>(fs::Create{root_, "a"}, id).ok());
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}, id).failed_with(Errc::bad_request));
  primary::Caller other = caller_;
  other.workspace = *run_blocking(service_->create_workspace("other"));
  const InodeNo other_root = *service_->root_of(other.workspace);
  EXPECT_TRUE(call_as<Attr>(other, fs::Create{other_root, "a"}, id).failed_with(Errc::bad_request));
}

TEST_F(Batch, stored_answers_are_pruned_after_a_day) {
  ASSERT_TRUE(call<Attr>(fs::Create{root_, "a"}, OperationId::random()).ok());
  clock_.advance(std::chrono::hours(23));
  run_duties();
  EXPECT_EQ(sql<int>("SELECT count(*) FROM operation_results"), 1);
  clock_.advance(std::chrono::hours(2));
  run_duties();
  EXPECT_EQ(sql<int>("SELECT count(*) FROM operation_results"), 0);
}

TEST_F(Batch, concurrent_callers_never_make_a_name_twice) {
  std::atomic<int> made{0};
  std::atomic<int> refused{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        const auto one = call<Attr>(fs::Create{root_, "n" + std::to_string(i)});
        if (one.ok()) ++made;
        if (one.failed_with(Errc::exists)) ++refused;
        EXPECT_TRUE(lookup(root_, "n" + std::to_string(i)).ok());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(made, 25);
  EXPECT_EQ(refused, 75);
  EXPECT_EQ(sql<int>("SELECT inodes FROM workspaces"), 26);
}

TEST_F(Batch, journal_tells_what_happened_by_guid) {
  const Attr dir = make_dir(root_, "d");
  make(root_, "f");
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{root_, "f", dir.ino, "g"}).ok());
  const auto good = database_->read([&](db::Txn& txn) -> Result<bool> {
    db::Query q = txn.query(
        "SELECT op, name, new_name, inode, new_parent FROM journal ORDER BY position DESC LIMIT 1");
    if (!q.next()) return false;
    db::InodeStore inodes(txn);
    return q.text(0) == "rename" && q.text(1) == "f" && q.text(2) == "g" &&
           q.random_id<Guid>(3) == inodes.child(dir.ino, "g")->guid &&
           q.random_id<Guid>(4) == inodes.find(dir.ino)->guid;
  });
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(*good);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM journal"), 3);
}

}  // namespace
}  // namespace aster::primary

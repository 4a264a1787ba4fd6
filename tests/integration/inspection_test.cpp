// `aster_drive check --deep`: what is stored against what is known, in both directions.
#include "server/primary/inspection.h"

#include <algorithm>
#include <fstream>

#include "server/db/backup.h"
#include "server/db/database.h"
#include "server/files/file_api.h"
#include "tests/integration/drive_fixture.h"

namespace aster {
namespace {

namespace filesystem = std::filesystem;

constexpr const char* kLost = "object that its node has lost";
constexpr const char* kOtherSize = "object of another size on its node";
constexpr const char* kSilent = "object whose node did not answer";
constexpr const char* kStray = "object on a node that the database does not know";
constexpr const char* kUnlisted = "node that did not list its objects";

class DeepCheck : public DriveFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  DeepCheck() : DriveFixture({files::make_front_end}) {}
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
    if (is_remote()) {
      ASSERT_NO_FATAL_FAILURE(enroll_follower());
      add_target();
    }
    add_policy(GetParam());
    admin_ = std::exchange(token, user_token);
  }
  bool is_remote() const { return std::string(GetParam()) != "local"; }
  void put(const std::string& name, const std::string& content) {
    ASSERT_EQ(api("PUT", "/api/v1/files/" + name, content).status, 201) << name;
  }
  primary::Inspection check() {
    auto seen = primary::inspect(*config_of("primary"), {.deep = true});
    EXPECT_TRUE(seen.ok()) << seen.error().message();
    return seen.ok() ? std::move(*seen) : primary::Inspection();
  }
  static std::string rules(const primary::Inspection& seen) {
    std::string all;
    for (const db::Finding& one : seen.findings) {
      all += one.rule + ": " + std::to_string(one.count) + "\n";
    }
    return all;
  }
  std::string database() {
    return db::parse_database_url(config_of("primary")->database_url())->path;
  }
  /// Every stored object, wherever the storage keeps it.
  std::vector<filesystem::path> stored() {
    std::vector<filesystem::path> found;
    for (const auto& entry : filesystem::recursive_directory_iterator(dir.path())) {
      const bool named = ObjectId::from_hex(entry.path().filename().string()).has_value();
      if (named && entry.is_regular_file()) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  std::string admin_;
};

TEST_P(DeepCheck, finds_nothing_in_a_sound_drive) {
  put("a", "content of a");
  put("b", "content of b");
  const primary::Inspection seen = check();
  ASSERT_EQ(rules(seen), "");
  EXPECT_EQ(seen.objects, 2u);
  EXPECT_EQ(seen.listed, 2u);
}

TEST_P(DeepCheck, finds_objects_that_are_lost_or_of_another_size) {
  put("a", "content of a");
  put("b", "content of b");
  put("c", "content of c");
  const auto objects = stored();
  ASSERT_EQ(objects.size(), 3u);
  filesystem::remove(objects[0]);
  filesystem::resize_file(objects[1], 5);
  const primary::Inspection seen = check();
  ASSERT_EQ(rules(seen), std::string(kLost) + ": 1\n" + kOtherSize + ": 1\n");
  EXPECT_EQ(seen.findings[0].examples[0], "object " + objects[0].filename().string());
  EXPECT_EQ(seen.findings[1].examples[0],
            "object " + objects[1].filename().string() + ": 5 bytes, should have 12");
}

TEST_P(DeepCheck, reports_what_an_older_backup_does_not_know_and_leaves_it) {
  put("old", "of before");
  const auto before = stored();
  ASSERT_TRUE(db::back_up({database(), dir / "copy"}, SystemClock()).ok());
  put("new", "of after");
  ASSERT_EQ(stored().size(), 2u);
  primary.reset();
  ASSERT_TRUE(db::restore({dir / "copy", database(), true}, SystemClock()).ok());
  for (int again = 0; again < 2; ++again) {
    const primary::Inspection seen = check();
    ASSERT_EQ(rules(seen), std::string(kStray) + ": 1\n");
    EXPECT_FALSE(seen.findings[0].repairable);
    ASSERT_EQ(seen.findings[0].examples.size(), 1u);
    EXPECT_EQ(seen.findings[0].examples[0].find(before[0].filename()), std::string::npos);
    EXPECT_EQ(stored().size(), 2u);
  }
}

TEST_P(DeepCheck, goes_through_all_pages_of_what_is_stored) {
  put("a", "content");
  const filesystem::path folder = stored().at(0).parent_path();
  for (int i = 0; i < 1100; ++i) std::ofstream(folder / ObjectId::random().hex()) << "stray";
  std::ofstream(folder / "of another kind") << "stray";
  const primary::Inspection seen = check();
  ASSERT_EQ(rules(seen), std::string(kStray) + ": 1101\n");
  EXPECT_EQ(seen.findings[0].examples.size(), 10u);
  EXPECT_EQ(seen.listed, 1102u);
}

TEST_P(DeepCheck, tells_silence_from_loss) {
  put("a", "content");
  if (!is_remote()) {
    filesystem::remove_all(config_of("primary")->path("server.primary.local_root"));
    EXPECT_EQ(rules(check()), std::string(kLost) + ": 1\n");
    return;
  }
  follower.reset();
  EXPECT_EQ(rules(check()), std::string(kSilent) + ": 1\n" + kUnlisted + ": 1\n");
  start_follower();
  ASSERT_NE(follower, nullptr);
  token = admin_;
  const boost::json::object change{{"base_url", url_of(follower->port())}, {"is_enabled", false}};
  ASSERT_EQ(api("PATCH", "/api/v1/admin/remote-nodes/1", boost::json::serialize(change)).status,
            200);
  const primary::Inspection seen = check();
  ASSERT_EQ(rules(seen), std::string(kSilent) + ": 1\n" + kUnlisted + ": 1\n");
  EXPECT_NE(seen.findings[1].examples.at(0).find("storage policy presigned: "), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Storages, DeepCheck, ::testing::Values("presigned", "local"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace aster

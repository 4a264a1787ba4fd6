#include "server/follower/target_service.h"

#include <gtest/gtest.h>

#include "protocol/envelope.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::follower {
namespace {

/// States of a binding's targets that no call can bring about, but a database can hold.
class EffectiveTarget : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*BindingStore::open((dir_ / "f.db").string(), clock_));
    ASSERT_TRUE(store_
                    ->enroll({.name = "node",
                              .master_url = "http://p",
                              .access_key = "k",
                              .secret_key = "s",
                              .is_enabled = true})
                    .ok());
    binding_ = *store_->find("k");
    service_.emplace(*store_, drivers_);
  }
  Target save(TargetInfo info) {
    Target target;
    target.binding_id = binding_.id;
    target.info = std::move(info);
    target.info.driver_type = "local";
    target.info.base_path = target.info.name = target.info.target_key;
    return *store_->save_target(std::move(target));
  }
  /// "managed_ingress.x 3010/managed_ingress.x" as both dialects say it; "" for a usable target.
  std::string refusal(const std::optional<std::string>& key = std::nullopt) {
    const auto found = service_->resolve(binding_, key);
    if (found.ok()) return "";
    EXPECT_EQ(found.error().http_status(), 412);
    const auto numeric = decode_envelope(encode_error(Dialect::num, found.error()));
    EXPECT_TRUE(numeric.ok() && numeric->code == found.error().code);
    return std::string(info(found.error().code).text);
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  Executor disk_{{.name = "disk", .threads = 1}};
  S3Runtime s3_;
  TargetDrivers drivers_{(dir_ / "root").string(), disk_, s3_.services()};
  std::unique_ptr<BindingStore> store_;
  Binding binding_;
  std::optional<TargetService> service_;
};

TEST_F(EffectiveTarget, is_refused_in_the_order_of_the_protocol) {
  EXPECT_EQ(refusal(), "managed_ingress.required");
  EXPECT_EQ(refusal("rst_x"), "remote_storage_target.not_found");
  save({.target_key = "rst_side", .desired_revision = 1, .applied_revision = 1});
  EXPECT_EQ(refusal(), "managed_ingress.default_missing");
  TargetInfo main{
      .target_key = "rst_main", .is_default = true, .desired_revision = 2, .applied_revision = 1};
  main.last_error = "disk is away";
  Target saved = save(main);
  EXPECT_EQ(refusal(), "managed_ingress.default_error") << "before the revisions are compared";
  saved.info.last_error.clear();
  saved = *store_->save_target(saved);
  EXPECT_EQ(refusal(), "managed_ingress.default_not_applied");
  EXPECT_EQ(refusal("rst_main"), "managed_ingress.default_not_applied");
}

TEST_F(EffectiveTarget, is_the_named_one_whatever_the_default_is_like) {
  ASSERT_TRUE(
      service_->create(binding_, {.driver_type = "local", .name = "a", .base_path = "a"}).ok());
  const auto second =
      service_->create(binding_, {.driver_type = "local", .name = "b", .base_path = "b"});
  ASSERT_TRUE(second.ok());
  Target first = store_->targets(binding_.id).front();
  first.info.last_error = "broken";
  ASSERT_TRUE(store_->save_target(first).ok());
  EXPECT_EQ(refusal(), "managed_ingress.default_error");
  EXPECT_EQ(refusal(second->target_key), "");
}

TEST_F(EffectiveTarget, is_never_that_of_another_binding) {
  ASSERT_TRUE(store_
                  ->enroll({.name = "other",
                            .master_url = "http://q",
                            .access_key = "k2",
                            .secret_key = "s2",
                            .is_enabled = true})
                  .ok());
  const Binding other = *store_->find("k2");
  const auto made =
      service_->create(other, {.driver_type = "local", .name = "a", .base_path = "a"});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(refusal(), "managed_ingress.required");
  EXPECT_EQ(refusal(made->target_key), "remote_storage_target.not_found");
}

}  // namespace
}  // namespace aster::follower

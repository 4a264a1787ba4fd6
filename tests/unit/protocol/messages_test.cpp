#include "protocol/messages.h"

#include <gtest/gtest.h>

#include "protocol/capabilities.h"
#include "protocol/envelope.h"
#include "tests/support/vectors.h"

namespace aster {
namespace {

using boost::json::parse;

TEST(Messages, bodies_of_the_signing_vectors_are_ours_byte_for_byte) {
  const auto body = [](const char* id) {
    return testing::text(testing::vector_by_id("signing", id).at("body"));
  };
  const TargetCreate target{.driver_type = "local",
                            .name = "main",
                            .base_path = "main",
                            .max_file_size = 0,
                            .is_default = true};
  EXPECT_EQ(to_json(target, true), body("s05"));
  EXPECT_EQ(to_json(TargetUpdate{.is_default = true}, false), body("s06"));
  const ComposeRequest compose{.target_key = "files/u1",
                               .part_keys = {"uploads/u1/parts/1", "uploads/u1/parts/2"},
                               .expected_size = 10};
  EXPECT_EQ(to_json(compose), body("s24"));
  const auto binding = from_json<BindingState>(body("s04"));
  ASSERT_TRUE(binding.ok());
  EXPECT_EQ(binding->name, "node-a");
  EXPECT_TRUE(binding->is_enabled);
  EXPECT_EQ(binding->resolved_transport, "reverse_tunnel");
  EXPECT_EQ(binding->desired_revision, 1);
}

TEST(Messages, target_info_is_a_superset_that_every_version_reads) {
  const TargetInfo info{.target_key = "rst_1", .name = "n", .driver_type = "local"};
  const auto json = parse(to_json(info));
  EXPECT_EQ(json.at("profile_key"), "rst_1");
  EXPECT_EQ(json.at("target_key"), "rst_1");
  EXPECT_EQ(json.at("max_file_size"), 0);
  const auto v4 = from_json<TargetInfo>(
      R"({"profile_key":"igp_1","name":"n","driver_type":"s3","max_file_size":9})");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->target_key, "igp_1");
  EXPECT_EQ(v4->max_file_size, 9);
  const auto v5 = from_json<std::vector<TargetInfo>>(
      R"([{"target_key":"rst_1","name":"n","driver_type":"local"}])");
  ASSERT_TRUE(v5.ok());
  EXPECT_EQ(v5->at(0).target_key, "rst_1");
}

TEST(Messages, a_missing_or_wrong_member_is_named_and_its_value_is_not) {
  const auto missing = from_json<RedeemAnswer>(R"({"remote_node_id":1})");
  ASSERT_TRUE(missing.failed_with(Errc::bad_request));
  EXPECT_NE(missing.error().context.find("remote_node_name"), std::string::npos);
  const auto wrong = from_json<AckRequest>(R"({"ack_token":["topsecret"]})");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().context.find("ack_token"), std::string::npos);
  EXPECT_EQ(wrong.error().context.find("topsecret"), std::string::npos);
}

TEST(Messages, unknown_drivers_and_numbers_out_of_range_are_refused) {
  EXPECT_FALSE(from_json<TargetCreate>(R"({"driver_type":"ftp","name":"n","base_path":"."})").ok());
  EXPECT_FALSE(from_json<TargetCreate>(R"({"driver_type":"s3","name":"n","base_path":"."})").ok());
  EXPECT_FALSE(from_json<ComposeAnswer>(R"({"bytes_written":-1})").ok());
  EXPECT_FALSE(from_json<ComposeRequest>(
                   R"({"target_key":"a","part_keys":["b"],"expected_size":9223372036854775808})")
                   .ok());
  EXPECT_FALSE(
      from_json<ComposeRequest>(R"({"target_key":"a","part_keys":[1],"expected_size":1})").ok());
}

TEST(Messages, null_and_absent_are_the_same_in_an_update) {
  const auto update =
      from_json<TargetUpdate>(R"({"name":null,"max_file_size":5,"is_default":false})");
  ASSERT_TRUE(update.ok());
  EXPECT_FALSE(update->name);
  EXPECT_EQ(update->max_file_size, 5);
  EXPECT_EQ(update->is_default, false);
}

TEST(Messages, oversized_bodies_are_refused) {
  const std::string body = R"({"ack_token":")" + std::string(kMaxJsonRequest, 'x') + "\"}";
  EXPECT_TRUE(from_json<AckRequest>(body).failed_with(Errc::too_large));
}

TEST(Messages, lists_and_capacity_come_back) {
  const ObjectList list{.items = {"a", "b/c"}, .next_cursor = 7};
  const auto back = from_json<ObjectList>(to_json(list));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->items, list.items);
  EXPECT_EQ(back->next_cursor, 7u);
  EXPECT_EQ(to_json(ObjectList{}), R"({"items":[]})");
  const Capacity capacity{.status = "supported", .total_bytes = 10, .source = "local_filesystem"};
  const auto got = from_json<Capacity>(to_json(capacity));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->total_bytes, 10);
  EXPECT_FALSE(got->used_bytes);
  EXPECT_EQ(to_json(ObjectMetadata{.size = 3}), R"({"size":3,"content_type":null})");
}

TEST(Messages, enrolment_takes_old_and_new_answers) {
  const char* old =
      R"({"remote_node_id":1,"remote_node_name":"n","master_url":"http://p","access_key":"k",
          "secret_key":"s","is_enabled":true,"ack_token":"t"})";
  const auto foreign = from_json<RedeemAnswer>(old);
  ASSERT_TRUE(foreign.ok());
  EXPECT_EQ(foreign->resolved_transport, "reverse_tunnel");
  EXPECT_FALSE(foreign->storage_namespace);
  RedeemAnswer ours = *foreign;
  ours.storage_namespace = "home";
  ours.resolved_transport = "direct";
  const auto back = from_json<RedeemAnswer>(to_json(ours));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->storage_namespace, "home");
  EXPECT_EQ(back->resolved_transport, "direct");
}

using Names = std::vector<std::string>;

TEST(Capabilities, ours_satisfy_every_demand) {
  const auto back = parse_capabilities(to_json(own_capabilities({"local"})));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->version(), 5);
  EXPECT_TRUE(back->lacking_for_objects().empty());
  EXPECT_TRUE(back->lacking_for_presigned_downloads().empty());
  EXPECT_TRUE(back->lacking_for_presigned_uploads().empty());
  EXPECT_TRUE(back->takes_target_driver("local"));
  EXPECT_FALSE(back->takes_target_driver("s3"));
  EXPECT_TRUE(back->has(feature::kComposeKeepParts));
  EXPECT_EQ(to_json(*back).find("remote_storage_target"), std::string::npos);
}

TEST(Capabilities, an_old_follower_says_little_and_is_still_understood) {
  const auto v1 = parse_capabilities(
      R"({"protocol_version":"v1","supports_list":true,"supports_range_read":true,
          "supports_stream_upload":true})");
  ASSERT_TRUE(v1.ok());
  EXPECT_TRUE(v1->lacking_for_objects().empty());
  EXPECT_EQ(v1->lacking_for_presigned_uploads(), Names{"browser_presigned_cors"});
  EXPECT_TRUE(v1->takes_target_driver("local"));
  const auto v4 = parse_capabilities(R"({"protocol_version":"v4","new_thing":[1]})");
  EXPECT_TRUE(v4->takes_target_driver("s3"));
  EXPECT_EQ(v4->lacking_for_objects().size(), 9u);
  const auto v5 = parse_capabilities(R"({"protocol_version":"v5"})");
  EXPECT_FALSE(v5->takes_target_driver("local"));
}

TEST(Capabilities, what_lacks_is_named) {
  Capabilities some = own_capabilities({"local"});
  some.features["compose"] = false;
  some.features.erase("object_head");
  EXPECT_EQ(some.lacking_for_objects(), (Names{"object_head", "compose"}));
  some.cors_allowed_headers = {"Content-Type"};
  some.cors_exposed_headers = {"etag", "content-length"};
  EXPECT_TRUE(some.lacking_for_presigned_uploads().empty());
  EXPECT_EQ(some.lacking_for_presigned_downloads(),
            (Names{"browser_presigned_cors (request header range)",
                   "browser_presigned_cors (answer header Accept-Ranges)",
                   "browser_presigned_cors (answer header Content-Range)"}));
}

TEST(Capabilities, nonsense_is_refused) {
  EXPECT_FALSE(parse_capabilities("").ok());
  EXPECT_FALSE(parse_capabilities("[]").ok());
  EXPECT_FALSE(parse_capabilities(R"({"supports_list":"yes"})").ok());
  EXPECT_TRUE(parse_capabilities(std::string(70'000, ' ')).failed_with(Errc::too_large));
}

}  // namespace
}  // namespace aster

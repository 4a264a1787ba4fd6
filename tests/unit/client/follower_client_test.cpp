#include "protocol/client/follower_client.h"

#include <gtest/gtest.h>

#include "protocol/envelope.h"
#include "protocol/sign/signature.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_http_client.h"

namespace aster {
namespace {

using testing::FakeClock;
using testing::FakeHttpClient;

const sign::Credentials kCredentials{"rn_1", "rns_1"};
constexpr std::string_view kOrigin = "http://follower:3000";
const std::string kBase = "http://follower:3000/nodes/a/api/v1/internal/storage";

std::string success(std::string_view data = {}) {
  return encode_success(Dialect::str, data);
}

struct Fixture {
  FakeClock clock;
  FakeHttpClient http;
  Executor executor{{.name = "test", .threads = 1}};
  FollowerClient client;

  explicit Fixture(FollowerEndpoint endpoint = {})
      : client(complete(std::move(endpoint)), http, executor, clock, {},
               {.first = std::chrono::milliseconds(0), .most_attempts = 3}) {}

  static FollowerEndpoint complete(FollowerEndpoint endpoint) {
    endpoint.base_url = "http://follower:3000/nodes/a";
    endpoint.credentials = kCredentials;
    return endpoint;
  }
  FakeHttpClient::Seen last() const { return http.requests().back(); }

  /// Whether a follower would take the request as it was sent.
  bool is_well_signed(const FakeHttpClient::Seen& seen, std::optional<uint64_t> length) {
    sign::MemoryNonceStore nonces(clock, 10);
    const sign::Verifier verifier(
        [](std::string_view) {
          return sign::KeyRecord{kCredentials.secret_key, true};
        },
        nonces, clock);
    const std::string target = seen.url.substr(kOrigin.size());
    return verifier.verify(sign::ReceivedRequest::from(seen.method, target, seen.headers, length))
        .ok();
  }
};

TEST(FollowerClient, puts_an_object_in_the_newest_dialect) {
  Fixture f({.checks_crc32c = true, .target_key = "rst_1"});
  f.http.answer(200, success(), {{"ETag", "\"abc\""}});
  const auto etag = run_blocking(f.client.put_object({.key = "files/a b",
                                                      .body = {Bytes::from_string("hello")},
                                                      .crc32c = 0x12345678,
                                                      .max_size = 10}));
  ASSERT_TRUE(etag.ok());
  EXPECT_EQ(*etag, "abc");
  EXPECT_EQ(f.last().method, "PUT");
  EXPECT_EQ(f.last().url, kBase + "/objects/files/a%20b?target_key=rst_1&max_file_size=10");
  EXPECT_EQ(f.last().body, "hello");
  EXPECT_EQ(*find_header(f.last().headers, "x-aster-crc32c"), "12345678");
  EXPECT_TRUE(f.is_well_signed(f.last(), 5));
}

TEST(FollowerClient, puts_an_object_in_the_old_dialect) {
  Fixture f({.protocol_version = 4, .target_key = "rst_1"});
  f.http.answer(200, encode_success(Dialect::num));
  ASSERT_TRUE(run_blocking(f.client.put_object({.key = "k", .crc32c = 1})).ok());
  EXPECT_EQ(f.last().url, kBase + "/objects/k");
  EXPECT_EQ(find_header(f.last().headers, "x-aster-crc32c"), nullptr);
  EXPECT_TRUE(f.is_well_signed(f.last(), 0)) << "an empty body is signed with length 0";
}

TEST(FollowerClient, gets_a_part_and_checks_that_it_is_the_right_one) {
  Fixture f;
  f.http.answer(206, "2345", {{"Content-Range", "bytes 2-5/10"}});
  const auto got = run_blocking(f.client.get_object({.key = "k", .range = ByteRange{2, 4}}));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(as_text(got->body.view()), "2345");
  EXPECT_EQ(got->object_size, 10u);
  EXPECT_EQ(f.last().url, kBase + "/objects/k?offset=2&length=4");
  EXPECT_TRUE(f.is_well_signed(f.last(), std::nullopt));

  const auto refused = [&](int status, std::string body, HeaderList headers) {
    f.http.answer(status, std::move(body), std::move(headers));
    return !run_blocking(f.client.get_object({.key = "k", .range = ByteRange{2, 4}})).ok();
  };
  EXPECT_TRUE(refused(200, "0123456789", {}));
  EXPECT_TRUE(refused(206, "2345", {}));
  EXPECT_TRUE(refused(206, "3456", {{"Content-Range", "bytes 3-6/10"}}));
  EXPECT_TRUE(refused(206, "234", {{"Content-Range", "bytes 2-5/10"}}));
  EXPECT_TRUE(refused(206, "23456", {{"Content-Range", "bytes 2-6/10"}}));
}

TEST(FollowerClient, signs_every_attempt_anew) {
  Fixture f;
  f.http.fail_with(Errc::unavailable);
  f.http.answer(503, "");
  f.http.answer(200, success(R"({"size":7,"content_type":null})"));
  const auto got = run_blocking(f.client.metadata("k"));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->size, 7u);
  const auto seen = f.http.requests();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_NE(*find_header(seen[0].headers, "x-aster-nonce"),
            *find_header(seen[1].headers, "x-aster-nonce"));
  for (const auto& request : seen) EXPECT_TRUE(f.is_well_signed(request, std::nullopt));
}

TEST(FollowerClient, does_not_repeat_what_could_happen_twice) {
  Fixture f;
  f.http.otherwise(
      [](const auto&) -> Result<HttpClientResponse> { return fail(Errc::unavailable, "lost"); });
  EXPECT_TRUE(run_blocking(f.client.create_target({.driver_type = "local", .name = "n"}))
                  .failed_with(Errc::unavailable));
  EXPECT_EQ(f.http.request_count(), 1u);
}

TEST(FollowerClient, remote_codes_become_ours) {
  Fixture f;
  const auto code_for = [&](ApiCode code, Dialect dialect) {
    f.http.answer(info(code).status, encode_error(dialect, {code, "why"}));
    const auto got = run_blocking(f.client.head_object("k"));
    return got.ok() ? Errc::internal : got.error().code;
  };
  for (const Dialect dialect : {Dialect::num, Dialect::str}) {
    EXPECT_EQ(code_for(ApiCode::not_found, dialect), Errc::not_found);
    EXPECT_EQ(code_for(ApiCode::binding_disabled, dialect), Errc::precondition_failed);
    EXPECT_EQ(code_for(ApiCode::storage_quota_exceeded, dialect), Errc::no_space);
    EXPECT_EQ(code_for(ApiCode::auth_credentials_failed, dialect), Errc::precondition_failed);
    EXPECT_EQ(code_for(ApiCode::file_too_large, dialect), Errc::too_large);
  }
  f.http.answer(404, "");
  EXPECT_TRUE(run_blocking(f.client.head_object("k")).failed_with(Errc::not_found));
}

TEST(FollowerClient, deleting_what_is_gone_succeeds) {
  Fixture f;
  f.http.answer(404, encode_error(Dialect::str, {ApiCode::not_found}));
  EXPECT_TRUE(run_blocking(f.client.delete_object("k")).ok());
  f.http.answer(500, encode_error(Dialect::num, {ApiCode::storage_unknown}));
  f.http.answer(404, "");
  EXPECT_TRUE(run_blocking(f.client.delete_object("k")).ok());
  EXPECT_EQ(f.last().method, "HEAD");
  f.http.answer(500, encode_error(Dialect::num, {ApiCode::storage_unknown}));
  f.http.answer(200, "", {{"Content-Length", "5"}});
  EXPECT_TRUE(run_blocking(f.client.delete_object("k")).failed_with(Errc::io_error));
}

TEST(FollowerClient, manages_targets_under_the_name_of_its_version) {
  Fixture v5, v4({.protocol_version = 4});
  const std::string info =
      R"({"target_key":"t","profile_key":"t","name":"n","driver_type":"local"})";
  const TargetCreate create{.driver_type = "local", .name = "n", .base_path = "."};
  for (Fixture* f : {&v5, &v4}) {
    f->http.answer(201, success(info));
    ASSERT_TRUE(run_blocking(f->client.create_target(create)).ok());
  }
  EXPECT_EQ(v5.last().url, kBase + "/targets");
  EXPECT_EQ(v5.last().body.find("max_file_size"), std::string::npos);
  EXPECT_EQ(v4.last().url, kBase + "/ingress-profiles");
  EXPECT_NE(v4.last().body.find(R"("max_file_size":0)"), std::string::npos);
  EXPECT_EQ(*find_header(v4.last().headers, "Content-Type"), "application/json");
  v5.http.answer(200, success('[' + info + ']'));
  EXPECT_EQ(run_blocking(v5.client.list_targets())->at(0).target_key, "t");
  v5.http.answer(200, success(info));
  EXPECT_TRUE(run_blocking(v5.client.update_target("t/x", {.is_default = true})).ok());
  EXPECT_EQ(v5.last().url, kBase + "/targets/t%2Fx");
  EXPECT_TRUE(v5.is_well_signed(v5.last(), v5.last().body.size()));
  v5.http.answer(200, success());
  EXPECT_TRUE(run_blocking(v5.client.delete_target("t")).ok());
}

TEST(FollowerClient, lists_page_by_page) {
  Fixture f;
  f.http.answer(200, success(R"({"items":["a"],"next_cursor":1000})"));
  f.http.answer(200, success(R"({"items":["b"]})"));
  const auto first = run_blocking(f.client.list("up/x y"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(f.last().url, kBase + "/objects?limit=1000&prefix=up%2Fx+y");
  ASSERT_TRUE(run_blocking(f.client.list("up/x y", first->next_cursor)).ok());
  EXPECT_EQ(f.last().url, kBase + "/objects?limit=1000&prefix=up%2Fx+y&cursor=1000");
  f.http.answer(200, success(R"({"items":["b"],"next_cursor":1000})"));
  EXPECT_FALSE(run_blocking(f.client.list("", 1000)).ok()) << "a cursor that stands still";
}

TEST(FollowerClient, composes_and_finds_out_about_a_lost_answer) {
  Fixture f;
  const Compose compose{.key = "files/x", .part_keys = {"p/1", "p/2"}, .size = 10};
  f.http.answer(200, success(R"({"bytes_written":10})"));
  EXPECT_EQ(*run_blocking(f.client.compose(compose)), 10u);
  EXPECT_EQ(f.last().url, kBase + "/compose?max_file_size=0");
  f.http.fail_with(Errc::unavailable);
  f.http.answer(200, success(R"({"size":10})"));
  EXPECT_EQ(*run_blocking(f.client.compose(compose)), 10u);
  f.http.fail_with(Errc::unavailable);
  f.http.answer(404, "");
  EXPECT_TRUE(run_blocking(f.client.compose(compose)).failed_with(Errc::unavailable));
  EXPECT_EQ(f.http.request_count(), 5u);
}

TEST(FollowerClient, carries_the_checksum_where_the_signature_covers_it) {
  Fixture f({.checks_crc32c = true, .signs_crc32c = true});
  f.http.answer(200, success(), {{"ETag", "\"abc\""}});
  ASSERT_TRUE(
      run_blocking(f.client.put_object(
                       {.key = "k", .body = {Bytes::from_string("hello")}, .crc32c = 0x12345678}))
          .ok());
  EXPECT_EQ(f.last().url, kBase + "/objects/k?max_file_size=0&crc32c=12345678");
  EXPECT_EQ(find_header(f.last().headers, kCrc32cHeader), nullptr);
  EXPECT_TRUE(f.is_well_signed(f.last(), 5));
}

TEST(FollowerClient, joins_ranges_only_where_that_was_announced) {
  Fixture without, with({.joins_ranges = true});
  const Compose wish{.key = "k", .part_ranges = {{"a", 5, 7}, {"b", 0, 1}}, .size = 8};
  EXPECT_TRUE(run_blocking(without.client.compose(wish)).failed_with(Errc::unsupported));
  EXPECT_EQ(without.http.request_count(), 0u);
  with.http.fail_with(Errc::unavailable);  // may be repeated: nothing goes away
  with.http.answer(200, success(R"({"bytes_written":8})"));
  EXPECT_EQ(run_blocking(with.client.compose(wish)).value(), 8u);
  EXPECT_EQ(with.last().body,
            R"({"target_key":"k","part_ranges":[{"key":"a","offset":5,"length":7},)"
            R"({"key":"b","offset":0,"length":1}],"expected_size":8})");
}

TEST(FollowerClient, deletes_many_in_few_calls_where_that_was_announced) {
  Fixture f({.deletes_many = true});
  f.http.answer(200, success(R"({"deleted":999,"failed":[)"
                             R"({"key":"k7","code":"storage.unknown","msg":"x"}]})"));
  f.http.answer(401, encode_error(Dialect::str, ApiError(ApiCode::auth_token_invalid)));
  std::vector<std::string> keys;
  for (int i = 0; i < 1500; ++i) keys.push_back("k" + std::to_string(i));
  const auto done = run_blocking(f.client.delete_objects(keys));
  ASSERT_EQ(done.size(), 1500u);
  EXPECT_TRUE(done[0].ok());
  EXPECT_TRUE(done[7].failed_with(Errc::io_error));
  EXPECT_TRUE(done[999].ok());
  EXPECT_TRUE(done[1000].failed_with(Errc::precondition_failed));
  EXPECT_EQ(f.http.request_count(), 2u);
  EXPECT_EQ(f.last().url, kBase + "/batch-delete");
}

TEST(FollowerClient, deletes_one_by_one_at_a_foreign_follower) {
  Fixture f;
  f.http.otherwise([](const FakeHttpClient::Seen& seen) {
    const int status =
        seen.url.ends_with("/k2") ? 404 : 200;  // a reference one: 500, then HEAD 404
    return Result<HttpClientResponse>(FakeHttpClient::made(status, success()));
  });
  const auto done = run_blocking(f.client.delete_objects({"k1", "k2", "k3"}));
  ASSERT_EQ(done.size(), 3u);
  for (const auto& one : done) EXPECT_TRUE(one.ok());
  EXPECT_EQ(f.http.request_count(), 3u);
  EXPECT_EQ(f.http.requests()[0].method, "DELETE");
}

TEST(FollowerClient, keeps_parts_only_where_that_was_announced) {
  Fixture without, with({.keeps_parts = true});
  const Compose compose{.key = "x", .part_keys = {"p"}, .size = 1, .keep_parts = true};
  EXPECT_TRUE(run_blocking(without.client.compose(compose)).failed_with(Errc::unsupported));
  with.http.answer(200, success(R"({"bytes_written":1})"));
  EXPECT_TRUE(run_blocking(with.client.compose(compose)).ok());
  EXPECT_EQ(with.last().url, kBase + "/compose?max_file_size=0&keep_parts=true");
}

TEST(FollowerClient, learns_from_capabilities) {
  Fixture f;
  f.http.answer(200, success(to_json(own_capabilities({"local"}))));
  const auto capabilities = run_blocking(f.client.capabilities());
  ASSERT_TRUE(capabilities.ok());
  FollowerEndpoint endpoint{.protocol_version = 1};
  endpoint.adopt(*capabilities);
  EXPECT_EQ(endpoint.protocol_version, 5);
  EXPECT_TRUE(endpoint.keeps_parts);
  EXPECT_TRUE(endpoint.checks_crc32c);
}

TEST(FollowerClient, binding_and_capacity) {
  Fixture f;
  f.http.answer(200, success());
  ASSERT_TRUE(run_blocking(f.client.put_binding({.name = "n", .is_enabled = true})).ok());
  EXPECT_EQ(f.last().method, "PUT");
  f.http.answer(200, success(R"({"capacity":{"status":"supported","total_bytes":5}})"));
  EXPECT_EQ(run_blocking(f.client.capacity())->total_bytes, 5);
  f.http.answer(500, encode_error(Dialect::num, {ApiCode::storage_unsupported}));
  EXPECT_TRUE(run_blocking(f.client.capacity()).failed_with(Errc::unsupported));
}

TEST(FollowerClient, answers_that_are_no_envelope_are_errors) {
  Fixture f;
  for (const char* body :
       {"", "<html>", R"({"code":"success","msg":""})", R"({"code":7,"msg":""})"}) {
    f.http.answer(200, body);
    EXPECT_TRUE(run_blocking(f.client.metadata("k")).failed_with(Errc::unavailable)) << body;
  }
}

TEST(FollowerClient, keys_that_lead_elsewhere_are_not_sent) {
  Fixture f;
  EXPECT_TRUE(run_blocking(f.client.head_object("../../x")).failed_with(Errc::bad_request));
  EXPECT_EQ(f.http.request_count(), 0u);
}

TEST(FollowerClient, presigned_urls_pass_the_verifier) {
  Fixture f({.target_key = "rst_1"});
  sign::MemoryNonceStore nonces(f.clock, 10);
  const sign::Verifier verifier(
      [](std::string_view) {
        return sign::KeyRecord{kCredentials.secret_key, true};
      },
      nonces, f.clock);
  const int64_t expires = f.clock.now_seconds() + 60;
  const auto put = f.client.presign_put("files/a", expires, 5);
  ASSERT_TRUE(put.ok());
  EXPECT_TRUE(put->starts_with(
      kBase + "/objects/files/a?target_key=rst_1&max_file_size=5&aster_access_key=rn_1&"));
  EXPECT_TRUE(verifier.verify_presigned("PUT", put->substr(kOrigin.size())).ok());
  const auto get = f.client.presign_get("files/a", expires, {.content_type = "image/png"});
  EXPECT_NE(get->find("&response-content-type=image%2Fpng&aster_"), std::string::npos);
  EXPECT_TRUE(verifier.verify_presigned("GET", get->substr(kOrigin.size())).ok());
}

}  // namespace
}  // namespace aster

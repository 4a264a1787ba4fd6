#include "protocol/envelope.h"

#include <gtest/gtest.h>

#include <set>

#include "protocol/base/text.h"
#include "protocol/http_text.h"
#include "tests/support/vectors.h"

namespace aster {
namespace {

TEST(ApiCode, rows_are_unique_and_found_again) {
  std::set<int> numbers;
  for (int i = 0; i <= static_cast<int>(kLastApiCode); ++i) {
    const auto code = static_cast<ApiCode>(i);
    EXPECT_EQ(api_code_from_text(info(code).text), code);
    if (!info(code).has_own_number) continue;
    EXPECT_EQ(api_code_from_number(info(code).number), code);
    EXPECT_TRUE(numbers.insert(info(code).number).second) << info(code).text;
  }
  EXPECT_FALSE(api_code_from_text("no.such_code"));
  EXPECT_FALSE(api_code_from_number(31337));
}

TEST(ApiCode, every_errc_leaves_as_a_failure) {
  for (int i = 0; i <= static_cast<int>(kLastErrc); ++i) {
    EXPECT_GE(info(api_code_for(static_cast<Errc>(i))).status, 400) << i;
  }
}

TEST(Envelope, success_has_the_code_of_its_dialect) {
  EXPECT_EQ(encode_success(Dialect::num), R"({"code":0,"msg":""})");
  EXPECT_EQ(encode_success(Dialect::str, R"({"a":1})"),
            R"({"code":"success","msg":"","data":{"a":1}})");
}

TEST(Envelope, errors_carry_the_subcode_in_numbers_and_the_name_in_strings) {
  const ApiError error(ApiCode::target_required, "no target");
  const auto num = boost::json::parse(encode_error(Dialect::num, error));
  EXPECT_EQ(num.at("code"), 3010);
  EXPECT_EQ(num.at("error").at("subcode"), "managed_ingress.required");
  EXPECT_EQ(num.at("msg"), "no target");
  EXPECT_EQ(num.as_object().if_contains("data"), nullptr);
  const auto str = boost::json::parse(encode_error(Dialect::str, error));
  EXPECT_EQ(str.at("code"), "managed_ingress.required");
  EXPECT_EQ(str.at("error").at("retryable"), false);
}

TEST(Envelope, a_server_error_hides_its_text) {
  const ApiError error(ApiCode::storage_unknown, "/var/secret/path failed");
  for (const Dialect dialect : {Dialect::num, Dialect::str}) {
    const std::string text = encode_error(dialect, error);
    EXPECT_EQ(text.find("secret"), std::string::npos);
    EXPECT_NE(text.find("Storage Driver Error"), std::string::npos);
  }
}

TEST(Envelope, every_code_comes_back_in_both_dialects) {
  for (int i = 1; i <= static_cast<int>(kLastApiCode); ++i) {
    const auto code = static_cast<ApiCode>(i);
    for (const Dialect dialect : {Dialect::num, Dialect::str}) {
      const auto back = decode_envelope(encode_error(dialect, {code, "why"}));
      ASSERT_TRUE(back.ok());
      EXPECT_EQ(back->code, code) << info(code).text;
      EXPECT_EQ(back->dialect, dialect);
      EXPECT_FALSE(back->success);
    }
  }
}

TEST(Envelope, data_comes_back_as_json) {
  const auto back = decode_envelope(R"({"code":0,"msg":"","data":{"x":[1,2]},"later":true})");
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->success);
  EXPECT_EQ(back->dialect, Dialect::num);
  EXPECT_EQ(back->data, R"({"x":[1,2]})");
}

TEST(Envelope, what_is_no_envelope_is_refused) {
  EXPECT_TRUE(decode_envelope("<html>").failed_with(Errc::bad_request));
  EXPECT_TRUE(decode_envelope("[]").failed_with(Errc::bad_request));
  EXPECT_TRUE(decode_envelope("{}").failed_with(Errc::bad_request));
  EXPECT_TRUE(decode_envelope(R"({"code":null})").failed_with(Errc::bad_request));
  EXPECT_TRUE(decode_envelope(R"({"code":1.5})").failed_with(Errc::bad_request));
  EXPECT_TRUE(decode_envelope(std::string(100, ' '), 99).failed_with(Errc::too_large));
  EXPECT_TRUE(decode_envelope(std::string(5000, '[')).failed_with(Errc::bad_request));
}

TEST(Envelope, text_that_is_not_utf8_does_not_spoil_the_json) {
  const std::string text = encode_error(Dialect::str, {ApiCode::bad_request, "bad \xff key"});
  EXPECT_TRUE(is_utf8(text));
  EXPECT_EQ(decode_envelope(text)->message, "bad ? key");
}

TEST(ErrorOfAnswer, reads_the_envelope_or_the_status) {
  const std::string body = encode_error(Dialect::str, {ApiCode::binding_disabled, "off"});
  const Error error = error_of_answer(412, body, "put object");
  EXPECT_EQ(error.code, Errc::precondition_failed);
  EXPECT_EQ(error.context, "put object: status 412 master_binding.disabled: off");
  EXPECT_EQ(error_of_answer(404, "", "x").code, Errc::not_found);
  EXPECT_EQ(error_of_answer(503, "<html>", "x").code, Errc::unavailable);
  EXPECT_EQ(error_of_answer(400, R"({"code":"no.such","msg":"m"})", "x").code, Errc::bad_request);
  EXPECT_EQ(error_of_answer(507, R"({"code":4002,"msg":"m"})", "x").code, Errc::no_space);
}

TEST(Dialect, follows_the_user_agent_then_the_binding) {
  EXPECT_EQ(dialect_of_user_agent("AsterDrive/0.2.7"), Dialect::num);
  EXPECT_EQ(dialect_of_user_agent("AsterDrive/0.3.0-alpha.1"), Dialect::str);
  EXPECT_EQ(dialect_of_user_agent("AsterDrive/0.10.0"), Dialect::str);
  EXPECT_EQ(dialect_of_user_agent("AsterDrive/1.0"), Dialect::str);
  EXPECT_EQ(dialect_of_user_agent(kUserAgent), Dialect::str);
  EXPECT_EQ(dialect_of_user_agent("curl/7.88"), std::nullopt);
  EXPECT_EQ(dialect_of_user_agent("AsterDrive/x"), std::nullopt);
  EXPECT_EQ(choose_dialect(std::nullopt, std::nullopt), Dialect::num);
  EXPECT_EQ(choose_dialect("curl/7", Dialect::str), Dialect::str);
  EXPECT_EQ(choose_dialect("AsterDrive/0.2.0", Dialect::str), Dialect::num);
}

}  // namespace
}  // namespace aster

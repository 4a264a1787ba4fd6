#include "server/http/forwarded.h"

#include <gtest/gtest.h>

#include "server/http/http.h"
#include "server/http/plain_rule.h"

namespace aster::http {
namespace {

NetworkList networks(const std::vector<std::string>& items) {
  auto list = NetworkList::parse(items);
  EXPECT_TRUE(list.ok()) << list.error().message();
  return std::move(*list);
}

Request from(const std::string& peer, HeaderList headers) {
  Request request;
  request.method = "GET";
  request.target = "/";
  request.peer = peer;
  request.headers = std::move(headers);
  return request;
}

TEST(NetworkList, knows_networks_of_both_families) {
  const NetworkList list = networks({"10.0.0.0/8", "192.0.2.129/25", "fd00::/8", "2001:db8::7"});
  for (const char* inside :
       {"10.255.0.1", "192.0.2.128", "192.0.2.255", "fdff::1", "2001:db8::7", "::ffff:10.1.2.3"}) {
    EXPECT_TRUE(list.contains(std::string_view(inside))) << inside;
  }
  for (const char* outside : {"11.0.0.1", "192.0.2.127", "fe00::1", "2001:db8::8", "", "10.0.0",
                              "localhost", "::10.1.2.3"}) {
    EXPECT_FALSE(list.contains(std::string_view(outside))) << outside;
  }
}

TEST(NetworkList, names_what_is_no_network) {
  for (const char* wrong : {"10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0/8", "proxy", "",
                            "10.0.0.0/-1", "10.0.0.0/8/8"}) {
    const auto list = NetworkList::parse({"10.0.0.0/8", wrong});
    ASSERT_FALSE(list.ok()) << wrong;
    EXPECT_NE(list.error().context.find("\"" + std::string(wrong) + "\""), std::string::npos);
  }
}

TEST(Forwarded, strangers_are_not_believed) {
  Request request = from("203.0.113.9", {{"X-Forwarded-For", "10.1.1.1"},
                                         {"X-Forwarded-Proto", "https"},
                                         {"X-Forwarded-Host", "drive.example.com"},
                                         {"Host", "inner:3000"}});
  apply_forwarded(request, networks({"10.0.0.0/8"}));
  EXPECT_EQ(request.peer, "203.0.113.9");
  EXPECT_FALSE(request.secure);
  EXPECT_EQ(request.authority(), "inner:3000");
}

TEST(Forwarded, a_proxy_of_ours_is_believed) {
  Request request = from("10.0.0.1", {{"X-Forwarded-For", "203.0.113.9"},
                                      {"X-Forwarded-Proto", "https"},
                                      {"X-Forwarded-Host", "drive.example.com"},
                                      {"Host", "inner:3000"}});
  apply_forwarded(request, networks({"10.0.0.0/8"}));
  EXPECT_EQ(request.peer, "203.0.113.9");
  EXPECT_TRUE(request.secure);
  EXPECT_EQ(request.authority(), "drive.example.com");
}

TEST(Forwarded, what_the_client_wrote_itself_does_not_count) {
  // The client pretends to be 10.9.9.9; the outer proxy appends what it saw.
  Request request = from("10.0.0.1", {{"X-Forwarded-For", "10.9.9.9, 198.51.100.4"},
                                      {"X-Forwarded-For", "203.0.113.9, 10.0.0.2"},
                                      {"X-Forwarded-Proto", "https, http"}});
  apply_forwarded(request, networks({"10.0.0.0/8"}));
  EXPECT_EQ(request.peer, "203.0.113.9");
  EXPECT_FALSE(request.secure) << "the nearest proxy speaks last";
}

TEST(Forwarded, nonsense_ends_the_chain) {
  Request request = from("10.0.0.1", {{"X-Forwarded-For", "203.0.113.9, unknown, 10.0.0.2"},
                                      {"X-Forwarded-Host", "a/b"}});
  apply_forwarded(request, networks({"10.0.0.0/8"}));
  EXPECT_EQ(request.peer, "10.0.0.2");
  EXPECT_EQ(request.authority(), "");
  request = from("10.0.0.1", {{"X-Forwarded-For", "[2001:db8::1]:4711"}});
  apply_forwarded(request, networks({"10.0.0.0/8"}));
  EXPECT_EQ(request.peer, "2001:db8::1");
}

TEST(PlainRule, sends_readers_on_and_refuses_all_others) {
  const PlainRule rule{PlainHttp::redirect, "", 8443};
  Request request = from("127.0.0.1", {{"Host", "drive.example.com:80"}});
  request.target = "/webdav/a?b=c";
  auto answer = answer_plain(request, rule);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 308);
  EXPECT_EQ(*find_header(answer->headers, "Location"),
            "https://drive.example.com:8443/webdav/a?b=c");
  request.method = "PUT";
  answer = answer_plain(request, rule);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 403);
  EXPECT_TRUE(answer->close_connection);
  request.secure = true;
  EXPECT_FALSE(answer_plain(request, rule));
}

TEST(PlainRule, a_secret_never_travels_on) {
  const PlainRule rule{PlainHttp::redirect, "https://drive.example.com", 443};
  const auto status = [&](HeaderList headers, const std::string& target) {
    Request request = from("127.0.0.1", std::move(headers));
    request.target = target;
    const auto answer = answer_plain(request, rule);
    return answer ? answer->status : 0;
  };
  EXPECT_EQ(status({}, "/x"), 308);
  EXPECT_EQ(status({{"Authorization", "Bearer t"}}, "/x"), 403);
  EXPECT_EQ(status({{"x-aster-signature", "s"}}, "/x"), 403);
  EXPECT_EQ(status({}, "/o?aster_signature=s"), 403);
  EXPECT_EQ(status({}, "/api/v1/data/objects/a?policy=1&sig=s"), 403);
  EXPECT_EQ(status({{"Authorization", "Bearer t"}}, "/health"), 0) << "asked by watchdogs";
}

TEST(PlainRule, refuses_everybody_when_told_so) {
  const Request request = from("127.0.0.1", {{"Host", "a"}});
  const auto answer = answer_plain(request, {PlainHttp::refuse, "", 443});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 403);
  EXPECT_FALSE(answer_plain(request, {PlainHttp::allow, "", 443}));
}

TEST(PlainRule, without_a_host_there_is_nowhere_to_go) {
  const auto answer = answer_plain(from("127.0.0.1", {}), {PlainHttp::redirect, "", 443});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 403);
}

}  // namespace
}  // namespace aster::http

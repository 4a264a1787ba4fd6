#include <gtest/gtest.h>

#include <set>

#include "server/http/http.h"
#include "server/http/status_map.h"

namespace aster::http {
namespace {

Request request_for(std::string method, std::string target) {
  Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  return request;
}

/// The name of the route that a request reaches.
std::string routed(const Router& router, Request& request) {
  return std::get<std::string>(run_blocking(router.match(request)(request)).body);
}

Task<Response> named(std::string name) {
  co_return Response::text(200, std::move(name));
}

Handler route(std::string name) {
  return [name = std::move(name)](Request&) { return named(name); };
}

TEST(Query, is_form_decoded_in_order) {
  const auto query = parse_query("a=1&b=x+y%2F%C3%A9&&c&a=2&=v");
  ASSERT_TRUE(query.ok());
  ASSERT_EQ(query->size(), 5u);
  EXPECT_EQ((*query)[1].second, "x y/\xC3\xA9");
  EXPECT_EQ((*query)[2], (std::pair<std::string, std::string>("c", "")));
  EXPECT_EQ((*query)[4].second, "v");
  EXPECT_EQ(query_value(*query, "a"), "1");
  EXPECT_EQ(query_value(*query, "d"), std::nullopt);
}

TEST(Query, refuses_malformed_escapes) {
  for (const char* bad : {"a=%", "a=%4", "a=%zz", "%g0=1", "a=b%"}) {
    EXPECT_TRUE(parse_query(bad).failed_with(Errc::bad_request)) << bad;
  }
}

TEST(Request, splits_path_and_query_without_touching_them) {
  const Request request = request_for("GET", "/a%2Fb/..?x=%20?&");
  EXPECT_EQ(request.raw_path(), "/a%2Fb/..");
  EXPECT_EQ(request.raw_query(), "x=%20?&");
  EXPECT_EQ(request_for("GET", "/a?").raw_query(), "");
  EXPECT_EQ(request_for("GET", "/a").raw_query(), "");
}

TEST(Router, prefers_literal_then_segment_then_rest) {
  Router router;
  router.add("GET", "/o/{...}", route("rest"));
  router.add("GET", "/o/{}", route("one"));
  router.add("GET", "/o/list", route("literal"));
  router.add("GET", "/o", route("bare"));
  router.set_fallback(route("none"));
  const std::pair<const char*, const char*> cases[] = {
      {"/o", "bare"},     {"/o/list", "literal"}, {"/o/x", "one"},
      {"/o/", "rest"},    {"/o/a/b", "rest"},     {"/o/list/", "rest"},
      {"/other", "none"}, {"/", "none"},          {"/o/x?list", "one"}};
  for (const auto& [target, name] : cases) {
    Request request = request_for("GET", target);
    EXPECT_EQ(routed(router, request), name) << target;
  }
  Request other_method = request_for("PUT", "/o/x");
  EXPECT_EQ(routed(router, other_method), "none");
}

TEST(Router, hands_over_raw_arguments) {
  Router router;
  router.add("GET", "/n/{}/k/{...}", route("k"));
  Request request = request_for("GET", "/n/a%2Fb/k/x//y/%2E%2E?q=1");
  EXPECT_EQ(routed(router, request), "k");
  EXPECT_EQ(request.path_args, (std::vector<std::string>{"a%2Fb", "x//y/%2E%2E"}));
}

TEST(Router, without_fallback_answers_404) {
  const Router router;
  Request request = request_for("GET", "/");
  EXPECT_EQ(run_blocking(router.match(request)(request)).status, 404);
}

TEST(StatusMap, gives_every_error_an_error_status_and_a_code_of_its_own) {
  std::set<std::string_view> codes;
  for (int i = 0; i <= static_cast<int>(kLastErrc); ++i) {
    const StatusEntry entry = status_of(static_cast<Errc>(i));
    EXPECT_GE(entry.status, 400);
    EXPECT_LT(entry.status, 600);
    EXPECT_NE(reason_phrase(entry.status), "Unknown") << entry.status;
    EXPECT_TRUE(codes.insert(entry.code).second) << entry.code;
  }
}

}  // namespace
}  // namespace aster::http

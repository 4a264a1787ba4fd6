#include "tests/integration/follower_fixture.h"
#include "tests/support/s3_server.h"

/// A follower process whose default target lies in a bucket of a real S3 server, driven through the
/// follower protocol.
namespace aster::testing {
namespace {

using conformance::data_of;
using conformance::member;
using conformance::verdict;

class S3Follower : public FollowerProcess {
 protected:
  void SetUp() override {
    if (const auto why = S3Server::missing()) GTEST_SKIP() << *why;
    server_ = S3Server::start();
    ASSERT_NE(server_, nullptr);
    prepare();
    start();
  }
  std::string members(const std::string& secret = S3Server::kSecretKey) const {
    return R"("endpoint":")" + server_->endpoint() + R"(","bucket":")" + S3Server::kBucket +
           R"(","access_key":")" + S3Server::kAccessKey + R"(","secret_key":")" + secret + "\"";
  }
  RawAnswer create(const std::string& members, const std::string& route = "/targets") {
    return peer_->json(
        "POST", route,
        R"({"driver_type":"s3","name":"b","base_path":"/pre fix/",)" + members + "}");
  }
  void make_s3_target() {
    const auto made = create(members());
    ASSERT_EQ(made.status, 201);
    ASSERT_EQ(member(data_of(made), "last_error"), "") << made.body;
  }
  RawAnswer remove(const std::string& path) {
    return peer_->call({.method = "DELETE", .path = path});
  }
  std::filesystem::path stored(const std::string& key) const {
    return server_->bucket_folder() / "pre fix/space-1" / key;
  }

  std::unique_ptr<S3Server> server_;
};

TEST_F(S3Follower, serves_objects_of_its_bucket) {
  make_s3_target();
  EXPECT_EQ(peer_->put("/objects/a%20b/c%2Bd", "hello world").status, 200);
  EXPECT_EQ(read_file(stored("a b/c+d")), "hello world");
  const auto part =
      peer_->call({.path = "/objects/a%20b/c%2Bd", .headers = {{"Range", "bytes=6-"}}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "world");
  EXPECT_EQ(part.field("Content-Range"), "bytes 6-10/11");
  EXPECT_EQ(peer_->get("/objects/a%20b/c%2Bd?offset=2&length=3").body, "llo");
  EXPECT_EQ(data_of(peer_->get("/objects/a%20b/c%2Bd/metadata")),
            R"({"size":11,"content_type":null})");
  EXPECT_EQ(data_of(peer_->get("/objects?prefix=a%20b")), R"({"items":["a b/c+d"]})");
  EXPECT_EQ(verdict(peer_->get("/objects/none")), "404 not_found");
  EXPECT_EQ(verdict(peer_->get("/capacity")), "500 storage.unsupported");
  EXPECT_EQ(remove("/objects/a%20b/c%2Bd").status, 200);
  EXPECT_EQ(verdict(remove("/objects/a%20b/c%2Bd")), "404 not_found");
}

TEST_F(S3Follower, takes_and_composes_what_is_larger_than_a_part) {
  make_s3_target();
  const std::string large(20 << 20, 'l');
  EXPECT_EQ(peer_->put("/objects/parts/1", large).status, 200);
  EXPECT_EQ(peer_->put("/objects/parts/2", "tail").status, 200);
  const auto made = peer_->json(
      "POST", "/compose",
      R"({"target_key":"whole","part_keys":["parts/1","parts/2"],"expected_size":20971524})");
  EXPECT_EQ(data_of(made), R"({"bytes_written":20971524})");
  EXPECT_EQ(peer_->get("/objects/whole").body, large + "tail");
  EXPECT_EQ(data_of(peer_->get("/objects?prefix=parts")), R"({"items":[]})");
  EXPECT_EQ(server_->open_uploads(), 0u);
}

TEST_F(S3Follower, keeps_its_targets_over_a_restart_and_cleans_up_after_a_kill) {
  make_s3_target();
  EXPECT_EQ(peer_->put("/objects/kept", "bytes").status, 200);
  {
    // Two parts and a half of a body that never ends. The kill comes when both parts are stored: a
    // service that is still taking one may store it after the upload was ended.
    RawClient client(peer_->options().port);
    const conformance::Call put{
        .method = "PUT", .path = "/objects/torn", .body = std::string(24 << 20, 'x')};
    std::string head = "PUT " + peer_->target(put) + " HTTP/1.1\r\nHost: f\r\nContent-Length: " +
                       std::to_string(put.body->size()) + "\r\n";
    for (const auto& [name, value] : peer_->sign(put)) head += name + ": " + value + "\r\n";
    ASSERT_TRUE(client.send(head + "\r\n" + put.body->substr(0, 20 << 20)));
    while (server_->stored_parts() < 2) std::this_thread::yield();
    process_->kill();
  }
  EXPECT_EQ(server_->open_uploads(), 1u);
  start();
  EXPECT_EQ(server_->open_uploads(), 0u);
  EXPECT_EQ(peer_->get("/objects/kept").body, "bytes");
  EXPECT_EQ(verdict(peer_->get("/objects/torn")), "404 not_found");
}

TEST_F(S3Follower, shows_why_a_target_cannot_be_used_until_it_is_mended) {
  const auto made = create(members("wrong-secret"), "/ingress-profiles");
  EXPECT_EQ(made.status, 201);
  std::string info = data_of(made);
  EXPECT_NE(member(info, "last_error").find("SignatureDoesNotMatch"), std::string::npos) << info;
  EXPECT_EQ(member(info, "desired_revision") + member(info, "applied_revision"), "10");
  EXPECT_EQ(verdict(peer_->put("/objects/k", "x")), "412 managed_ingress.default_error");
  const std::string path = "/targets/" + member(info, "target_key");
  info = data_of(
      peer_->json("PATCH", path, std::string(R"({"secret_key":")") + S3Server::kSecretKey + "\"}"));
  EXPECT_EQ(member(info, "last_error"), "");
  EXPECT_EQ(member(info, "desired_revision") + member(info, "applied_revision"), "22");
  EXPECT_EQ(peer_->put("/objects/k", "x").status, 200);
}

TEST_F(S3Follower, checks_the_fields_of_a_target) {
  const auto post = [&](const std::string& text) {
    return verdict(peer_->json("POST", "/targets", text));
  };
  const std::string head = R"({"driver_type":"s3","name":"b","base_path":"p",)";
  const std::string tail = R"("bucket":"b-1","access_key":"k","secret_key":"s"})";
  EXPECT_EQ(post(head + R"("endpoint":" ",)" + tail), "400 bad_request");
  EXPECT_EQ(post(head + tail), "400 bad_request");
  EXPECT_EQ(post(head + R"("endpoint":"http://key:secret@127.0.0.1:1",)" + tail),
            "400 bad_request");
  EXPECT_EQ(
      post(head + R"("endpoint":"http://h","bucket":"b-1","access_key":"","secret_key":"s"})"),
      "400 bad_request");
  EXPECT_EQ(post(R"({"driver_type":"s3","name":"b","base_path":" ","endpoint":"http://h",)" + tail),
            "400 bad_request");
  EXPECT_EQ(
      post(R"({"driver_type":"s3","name":"b","base_path":"a/../b","endpoint":"http://h",)" + tail),
      "400 bad_request");
  // What only the driver can judge is part of the target.
  const auto odd = peer_->json("POST", "/targets", head + R"("endpoint":"no url",)" + tail);
  EXPECT_EQ(odd.status, 201);
  EXPECT_NE(member(data_of(odd), "last_error").find("endpoint"), std::string::npos);
}

TEST_F(S3Follower, changes_its_driver_both_ways) {
  const std::string path = "/targets/" + member(data_of(create(members())), "target_key");
  std::string info = data_of(peer_->json("PATCH", path, R"({"driver_type":"local"})"));
  EXPECT_EQ(member(info, "driver_type") + member(info, "base_path"), "local.");
  EXPECT_EQ(member(info, "bucket") + member(info, "endpoint"), "");
  EXPECT_EQ(verdict(peer_->json("PATCH", path, R"({"driver_type":"s3"})")), "400 bad_request");
  info = data_of(peer_->json("PATCH", path, R"({"driver_type":"s3",)" + members() + "}"));
  EXPECT_EQ(member(info, "driver_type") + member(info, "last_error"), "s3");
  EXPECT_EQ(peer_->put("/objects/k", "x").status, 200);
}

TEST_F(S3Follower, shows_its_identity_to_nobody) {
  std::string shown = create(members()).body;
  shown += create(members("other-secret")).body;
  shown += peer_->get("/targets").body + peer_->get("/ingress-profiles").body;
  EXPECT_EQ(peer_->put("/objects/k", "x").status, 200);
  server_->process().kill();
  shown += peer_->put("/objects/k", "x").body + peer_->get("/objects/k").body;
  process_->signal(SIGTERM);
  EXPECT_EQ(process_->wait(), 0);
  shown += log();
  for (const char* secret : {S3Server::kSecretKey, S3Server::kAccessKey, "other-secret"}) {
    EXPECT_EQ(shown.find(secret), std::string::npos) << secret;
  }
  EXPECT_NE(shown.find(S3Server::kBucket), std::string::npos);
}

TEST_F(S3Follower, a_service_that_is_away_is_a_passing_failure) {
  make_s3_target();
  EXPECT_EQ(peer_->put("/objects/k", "x").status, 200);
  server_->process().kill();
  EXPECT_EQ(verdict(peer_->get("/objects/k")), "500 storage.transient");
  EXPECT_EQ(verdict(peer_->put("/objects/k2", "x")), "500 storage.transient");
  EXPECT_EQ(verdict(peer_->get("/objects")), "500 storage.transient");
}

}  // namespace
}  // namespace aster::testing

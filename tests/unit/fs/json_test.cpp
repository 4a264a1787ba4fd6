#include "protocol/fs/json.h"

#include <gtest/gtest.h>

#include "protocol/base/text.h"

namespace aster::fs {
namespace {

/// Decoding and encoding again must give the same text.
std::string again(const BatchRequest& request) {
  const auto decoded = decode_batch_request(encode(request));
  return decoded.ok() ? encode(*decoded) : decoded.error().message();
}

BatchRequest request_of(Operation operation) {
  BatchRequest request{SessionId(7), false, {}};
  request.items.push_back({std::move(operation), OperationId::random()});
  return request;
}

Attr sample_attr() {
  Attr attr;
  attr.ino = InodeNo(42);
  attr.type = FileType::symlink;
  attr.mode = 0777;
  attr.nlink = 1;
  attr.size = UINT64_MAX;
  attr.mtime = INT64_MIN;
  attr.target = std::string("to\0nowhere\xff", 11);
  attr.acl = std::string("\2\0\0\0", 4);
  attr.default_acl = "\xff";
  return attr;
}

TEST(FsJson, every_operation_survives_the_wire) {
  const ObjectId object = ObjectId::random();
  const std::vector<Operation> all = {
      Lookup{InodeNo(1), "na\"me\\\n\x01"},
      GetAttr{InodeNo(2)},
      ReadDir{InodeNo(3), UINT64_MAX, 17},
      GetXattr{InodeNo(4), "user.x"},
      ListXattr{InodeNo(5)},
      GetManifest{InodeNo(6), 1, UINT64_MAX},
      StatFs{InodeNo(7)},
      Grant{InodeNo(8), 1 << 20, 3},
      Hold{InodeNo(9)},
      Release{InodeNo(10)},
      Touch{InodeNo(11), -5},
      ReserveInodes{1024},
      Create{InodeNo(1), "\xff\xfe", FileType::block_device, 0644, 1, 2, 0x801, "", false, 027},
      Link{InodeNo(1), InodeNo(2), "n"},
      Unlink{InodeNo(1), "n", true, true},
      Rmdir{InodeNo(1), "d", true},
      Rename{InodeNo(1), "a", InodeNo(2), "b", true, false, true, true},
      SetAttr{InodeNo(1), 0755, {}, 5, 123456789012, {}, -1, {}},
      SetXattr{InodeNo(1), "user.y", std::string("\0\x80", 2), true, false, true},
      RemoveXattr{InodeNo(1), "user.y"},
      Commit{InodeNo(1),
             9,
             {{0, 5, object, 0}, {5, 5, {}, 0}},
             {{object, 5, {1, 0xFFFFFFFF}}},
             20,
             1,
             true},
      CopyRange{InodeNo(1), 2, InodeNo(3), 4, 5},
      ListTrash{7, 3, InodeNo(4), "/a\xff", true},
      ListVersions{InodeNo(5)},
      RestoreTrash{6, InodeNo(7), "\xfe"},
      EmptyTrash{8, -9},
      RestoreVersion{10}};
  ASSERT_EQ(all.size(), std::variant_size_v<Operation>);
  for (const Operation& operation : all) {
    const BatchRequest request = request_of(operation);
    EXPECT_EQ(again(request), encode(request)) << operation_name(operation);
  }
}

TEST(FsJson, every_answer_survives_the_wire) {
  Manifest manifest{sample_attr(), 100, {{0, 5, ObjectId::random(), 3}}, {}};
  manifest.objects.push_back({ObjectId::random(), 5, 2, {0x01020304}, "/api/x?sig=1", 1780000000});
  const std::vector<Result<Answer>> all = {
      Answer(Empty{}),
      Answer(sample_attr()),
      Answer(KeptPage{{{3, InodeNo(4), "\xff", "/a/\xff", -5, sample_attr()}}, 2}),
      Answer(Counted{5, true}),
      Answer(DirPage{{{"\xff", 1, sample_attr()}}, true, InodeNo(1)}),
      Answer(XattrValue{std::string("\0", 1)}),
      Answer(XattrNames{{"user.a", "user.\xff"}}),
      Answer(manifest),
      Answer(StatFsAnswer{1, 2, 3}),
      Answer(UploadGrants{1 << 24, 1ull << 40, 1 << 17, {{ObjectId::random(), "http://f/x", 5}}}),
      Answer(Removed{InodeNo(3), 1}),
      Answer(Renamed{sample_attr(), Removed{InodeNo(4), 0}}),
      fail(Errc::not_empty, "directory \xff")};
  for (const auto& result : all) {
    const std::string text = encode_result(result);
    const auto decoded = decode_result(text);
    ASSERT_TRUE(decoded.ok()) << text << " " << decoded.error().message();
    EXPECT_EQ(encode_result(*decoded), text);
  }
  const BatchAnswer batch{all};
  const auto decoded = decode_batch_answer(success_envelope(encode(batch)), all.size());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(encode(*decoded), encode(batch));
  EXPECT_FALSE(decode_batch_answer(success_envelope(encode(batch)), all.size() - 1).ok());
}

TEST(FsJson, bytes_are_kept_as_they_are) {
  const auto decoded = decode_result(encode_result(Answer(sample_attr())));
  ASSERT_TRUE(decoded.ok() && decoded->ok());
  const Attr& attr = std::get<Attr>(decoded->value());
  EXPECT_EQ(attr.target, sample_attr().target);
  EXPECT_EQ(attr.size, UINT64_MAX);
  EXPECT_EQ(attr.mtime, INT64_MIN);
}

TEST(FsJson, faults_are_named) {
  const auto message = [](std::string_view text) {
    const auto result = decode_batch_request(text);
    return result.ok() ? std::string() : result.error().message();
  };
  EXPECT_EQ(message(R"({"session":1,"ops":[{"op":"lookup","parent":1}]})"),
            "bad_request: ops[0]: field \"name\" is missing");
  EXPECT_EQ(message(R"({"session":1,"ops":[{"op":"fly"}]})"),
            "bad_request: ops[0]: unknown kind \"fly\"");
  EXPECT_EQ(message(R"({"session":1,"ops":[{"op":"rmdir","parent":1,"name":"x"}]})"),
            "bad_request: ops[0]: operation rmdir needs field \"id\"");
  EXPECT_NE(message(R"({"session":-1,"ops":[]})"), "");
  EXPECT_NE(message(R"({"session":1.5,"ops":[]})"), "");
  EXPECT_NE(message(R"({"ops":[]})"), "");
  EXPECT_NE(message(R"([1])"), "");
  EXPECT_NE(message(std::string(100, '[')), "");
  EXPECT_EQ(message(R"({"session":1,"ops":[],"later":{}})"), "");
}

TEST(FsJson, every_cut_of_a_message_is_an_error_and_no_crash) {
  const std::string whole = encode(request_of(Create{InodeNo(1), "x", FileType::regular, 1, 2, 3}));
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(decode_batch_request(std::string_view(whole).substr(0, n)).ok());
  }
}

TEST(FsJson, session_and_events_survive_the_wire) {
  const SessionAnswer answer{SessionId(3), InodeNo(4), "ann", "e.1", 3000, 1000};
  const auto decoded = decode_session_answer(success_envelope(encode(answer)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(encode(*decoded), encode(answer));
  const Invalidation event{"c", {{InodeNo(1), true, true}}, {{InodeNo(2), "\xfe"}}};
  const auto seen = decode_invalidation(encode(event));
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(encode(*seen), encode(event));
}

TEST(FsJson, leases_and_locks_survive_the_wire) {
  const Ack ack{SessionId(3), 4711, "e.5", {"e.7", "e.9"}};
  const auto acked = decode_ack(encode(ack));
  ASSERT_TRUE(acked.ok());
  EXPECT_EQ(encode(*acked), encode(ack));
  const auto answer = decode_ack_answer(success_envelope(encode(AckAnswer{4711, 10000})));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->lease, 4711u);
  EXPECT_EQ(answer->lease_ms, 10000u);
  EXPECT_EQ(decode_lease_notice(encode(LeaseNotice{12}))->lease, 12u);
  LockRequest lock{SessionId(3), InodeNo(4), UINT64_MAX};
  lock.exclusive = lock.whole = true;
  lock.length = 9;
  const auto asked = decode_lock_request(encode(lock));
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(encode(*asked), encode(lock));
  const LockAnswer refused{false, true, true, 5, 6, 7};
  const auto seen = decode_lock_answer(success_envelope(encode(refused)));
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(encode(*seen), encode(refused));
}

TEST(FsJson, an_ack_has_a_limit) {
  Ack ack;
  ack.done.resize(kAckDoneMax);
  EXPECT_TRUE(decode_ack(encode(ack)).ok());
  ack.done.resize(kAckDoneMax + 1);
  EXPECT_TRUE(decode_ack(encode(ack)).failed_with(Errc::too_large));
  EXPECT_FALSE(decode_ack(R"({"session":1})").ok());
}

TEST(FsJson, errors_come_from_the_envelope_or_the_status) {
  EXPECT_EQ(
      decode_error(412, error_envelope(fail(Errc::precondition_failed, "no policy"))).message(),
      "precondition_failed: no policy");
  EXPECT_EQ(decode_error(401, "<html>").code, Errc::token_invalid);
  EXPECT_EQ(decode_error(502, R"({"code":"strange","msg":"node down"})").message(),
            "unavailable: node down");
}

TEST(Text, base64_is_canonical) {
  for (const std::string& text :
       {std::string(), std::string("a"), std::string("ab"), std::string("\0\xff\x10", 3)}) {
    EXPECT_EQ(decode_base64(encode_base64(text)), text);
  }
  EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(decode_base64("Zm9vYh=="), std::nullopt);
  EXPECT_EQ(decode_base64("Zm9"), std::nullopt);
  EXPECT_EQ(decode_base64("Z=9v"), std::nullopt);
}

TEST(Text, utf8_is_checked_strictly) {
  EXPECT_TRUE(is_utf8("plain caf\xc3\xa9 \xf0\x9f\x98\x80"));
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

}  // namespace
}  // namespace aster::fs

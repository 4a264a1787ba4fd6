#include "tests/support/namespace_fixture.h"

namespace aster::testing {

void NamespaceFixture::SetUp() {
  options_.heartbeat = std::chrono::milliseconds(40);
  start();
  const auto made = run_blocking(service_->create_workspace("home"));
  ASSERT_TRUE(made.ok()) << made.error().message();
  caller_.user = UserId(7);
  caller_.workspace = *made;
  root_ = *service_->root_of(*made);
}

void NamespaceFixture::start() {
  db::DatabaseOptions options;
  options.url = "sqlite://" + (dir_ / "aster.db").string();
  options.readers = 2;
  auto database = db::Database::open(options, executor_);
  ASSERT_TRUE(database.ok()) << database.error().message();
  database_ = std::move(*database);
  auto service =
      primary::make_namespace_service(options_, *database_, backends_, executor_, clock_);
  ASSERT_TRUE(service.ok()) << service.error().message();
  service_ = std::move(*service);
}

void NamespaceFixture::restart() {
  service_.reset();
  database_.reset();
  start();
}

std::vector<Result<fs::Answer>> NamespaceFixture::batch(const primary::Caller& caller,
                                                        std::vector<fs::BatchItem> items,
                                                        bool stop_on_error) {
  return run_blocking(service_->apply(caller, {caller.session, stop_on_error, std::move(items)}));
}

fs::Attr NamespaceFixture::make(InodeNo parent, std::string name, fs::FileType type) {
  fs::Create create;
  create.parent = parent;
  create.name = std::move(name);
  create.type = type;
  create.mode = type == fs::FileType::directory ? 0755 : 0644;
  if (type == fs::FileType::symlink) create.target = "there";
  const auto made = call<fs::Attr>(create);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return made.ok() ? *made : fs::Attr();
}

fs::Attr NamespaceFixture::attr(InodeNo ino) {
  const auto got = call<fs::Attr>(fs::GetAttr{ino});
  EXPECT_TRUE(got.ok()) << got.error().message();
  return got.ok() ? *got : fs::Attr();
}

fs::NewObject NamespaceFixture::upload(InodeNo ino, const std::string& bytes) {
  const auto grants = call<fs::UploadGrants>(fs::Grant{ino, bytes.size(), 1});
  EXPECT_TRUE(grants.ok()) << grants.error().message();
  fs::NewObject object;
  if (!grants.ok()) return object;
  object.id = grants->grants[0].object;
  object.size = bytes.size();
  for (uint64_t at = 0; at < bytes.size(); at += kBlockSize) object.crc32c.push_back(crc(at));
  backends_.put(object.id, bytes);
  return object;
}

Result<fs::Attr> NamespaceFixture::write(InodeNo ino, uint64_t offset, const std::string& bytes,
                                         bool sealed) {
  const fs::NewObject object = upload(ino, bytes);
  fs::Commit commit;
  commit.ino = ino;
  commit.extents = {{offset, bytes.size(), object.id, 0}};
  commit.objects = {object};
  commit.sealed = sealed;
  return call<fs::Attr>(commit);
}

fs::Manifest NamespaceFixture::manifest(InodeNo ino, uint64_t offset, uint64_t length) {
  const auto got = call<fs::Manifest>(fs::GetManifest{ino, offset, length});
  EXPECT_TRUE(got.ok()) << got.error().message();
  return got.ok() ? *got : fs::Manifest();
}

std::string NamespaceFixture::content(InodeNo ino) {
  std::string out(attr(ino).size, '\0');
  for (uint64_t at = 0; at < out.size();) {
    const fs::Manifest part = manifest(ino, at);
    for (const fs::Extent& e : part.extents) {
      const std::optional<std::string> bytes = backends_.get(*e.object);
      EXPECT_TRUE(bytes.has_value()) << "object is gone";
      if (bytes) out.replace(e.offset, e.length, bytes->substr(e.object_offset, e.length));
    }
    at = part.window_end;
  }
  return out;
}

void NamespaceFixture::run_duties() {
  const auto done = run_blocking(service_->run_duties_once());
  EXPECT_TRUE(done.ok()) << done.error().message();
}

primary::Caller NamespaceFixture::open_session(UserId user) {
  primary::Caller caller{user, caller_.workspace, SessionId(), false};
  const auto answer = run_blocking(service_->open_session(caller, {"test", ""}));
  EXPECT_TRUE(answer.ok());
  if (answer.ok()) caller.session = answer->session;
  if (answer.ok()) cursor_ = answer->cursor;
  return caller;
}

}  // namespace aster::testing

#include "tests/unit/content/content_fixture.h"

namespace aster::content {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class ContentIo : public testing::ContentFixture {};

/// Passes everything on and lets a test look round after each batch.
class WatchedNamespaces final : public primary::NamespaceService {
 public:
  WatchedNamespaces(primary::NamespaceService& inner, std::function<void()> look)
      : inner_(inner), look_(std::move(look)) {}

  Task<std::vector<Result<fs::Answer>>> apply(primary::Caller caller,
                                              fs::BatchRequest request) override {
    auto answers = co_await inner_.apply(std::move(caller), std::move(request));
    look_();
    co_return answers;
  }
  Task<Result<uint64_t>> create_workspace(std::string name) override {
    return inner_.create_workspace(std::move(name));
  }
  Result<InodeNo> root_of(uint64_t workspace) override { return inner_.root_of(workspace); }
  Task<Result<fs::SessionAnswer>> open_session(primary::Caller caller,
                                               fs::SessionRequest request) override {
    return inner_.open_session(std::move(caller), std::move(request));
  }
  Task<Result<void>> close_session(primary::Caller caller) override {
    return inner_.close_session(std::move(caller));
  }
  Task<Result<void>> end_sessions(UserId user, uint64_t workspace) override {
    return inner_.end_sessions(user, workspace);
  }
  std::optional<uint64_t> workspace_of_session(UserId user, SessionId session) override {
    return inner_.workspace_of_session(user, session);
  }
  bool touch_session(const primary::Caller& caller) override {
    return inner_.touch_session(caller);
  }
  Result<fs::AckAnswer> acknowledge(const primary::Caller& caller, const fs::Ack& ack) override {
    return inner_.acknowledge(caller, ack);
  }
  Task<Result<fs::LeaseAnswer>> lease(primary::Caller caller, fs::LeaseRequest request) override {
    return inner_.lease(std::move(caller), std::move(request));
  }
  primary::RecallPtr call_back(uint64_t workspace) override { return inner_.call_back(workspace); }
  Task<Result<fs::LockAnswer>> lock(primary::Caller caller, fs::LockRequest request) override {
    return inner_.lock(std::move(caller), std::move(request));
  }
  Result<std::shared_ptr<ByteSource>> events(const primary::Caller& caller,
                                             std::string cursor) override {
    return inner_.events(caller, std::move(cursor));
  }
  void start_duties() override { inner_.start_duties(); }
  void stop() override { inner_.stop(); }
  Task<Result<void>> run_duties_once() override { return inner_.run_duties_once(); }

 private:
  primary::NamespaceService& inner_;
  const std::function<void()> look_;
};

TEST_F(ContentIo, parts_go_out_while_the_body_comes_in_and_read_back_the_same) {
  backends_.knobs.lock()->limits.part_size = kMiB;
  const std::string bytes = some_bytes(3 * kMiB + 12345);
  const auto made = put_new("a", bytes);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->size, bytes.size());
  EXPECT_EQ(manifest(made->ino).extents.size(), 4u);
  EXPECT_EQ(driver_->knobs.lock()->largest_put, kMiB);
  EXPECT_TRUE(*read(*made) == bytes);
  EXPECT_TRUE(*read(*made, kMiB - 5, 10) == bytes.substr(kMiB - 5, 10));
  EXPECT_TRUE(*read(*made, bytes.size() - 1) == bytes.substr(bytes.size() - 1));
}

TEST_F(ContentIo, a_body_of_unknown_length_is_cut_into_pieces) {
  backends_.knobs.lock()->limits.part_size = 2 * kMiB;
  const std::string bytes = some_bytes(9 * kMiB + 1);
  Incoming incoming{std::make_shared<testing::StringSource>(bytes), std::nullopt};
  auto up = run_blocking(writer_->upload(caller_, root_, std::move(incoming), 0));
  ASSERT_TRUE(up.ok()) << up.error().message();
  EXPECT_EQ(up->size, bytes.size());
  const auto made = run_blocking(writer_->create(caller_, attr(root_), "a", std::move(*up), {}));
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(*read(*made) == bytes);
}

TEST_F(ContentIo, a_body_of_unknown_length_ends_where_its_size_belongs) {
  backends_.knobs.lock()->limits.part_size = 2 * kMiB;
  backends_.knobs.lock()->second_policy_from = 5 * kMiB;
  const std::string bytes = some_bytes(9 * kMiB + 1);
  Incoming incoming{std::make_shared<testing::StringSource>(bytes), std::nullopt};
  auto up = run_blocking(writer_->upload(caller_, root_, std::move(incoming), 0));
  ASSERT_TRUE(up.ok()) << up.error().message();
  const auto made = run_blocking(writer_->create(caller_, attr(root_), "a", std::move(*up), {}));
  ASSERT_TRUE(made.ok());
  const auto in_small = [&] {
    return sql<int>(
        "SELECT count(*) FROM extents e JOIN objects o ON o.id=e.object "
        "WHERE o.policy=1");
  };
  EXPECT_EQ(in_small(), 2) << "the first piece could have been all";
  for (int i = 0; i < 4; ++i) {
    clock_.advance(options_.compose_delay);
    run_duties();
  }
  EXPECT_EQ(in_small(), 0);
  EXPECT_EQ(manifest(made->ino).extents.size(), 1u);
  EXPECT_TRUE(*read(*made) == bytes);
}

TEST_F(ContentIo, nobody_sees_a_name_before_all_of_its_content) {
  // More parts than one commit takes.
  backends_.knobs.lock()->limits.part_size = 2;
  const std::string bytes = some_bytes(2 * fs::kManifestExtentsMax + 1001);
  std::vector<uint64_t> sizes;
  WatchedNamespaces watched(*service_, [&] {
    const auto seen = lookup(root_, "a");
    if (seen.ok()) sizes.push_back(seen->size);
  });
  ContentWriter writer(watched, *places_, executor_);
  Incoming incoming{std::make_shared<testing::StringSource>(bytes), bytes.size()};
  auto up = run_blocking(writer.upload(caller_, root_, std::move(incoming), bytes.size()));
  ASSERT_TRUE(up.ok()) << up.error().message();
  ASSERT_GT(up->extents.size(), fs::kManifestExtentsMax);
  const auto made = run_blocking(writer.create(caller_, attr(root_), "a", std::move(*up), {}));
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(sizes, std::vector<uint64_t>{bytes.size()});
  EXPECT_TRUE(*read(*made) == bytes);
}

TEST_F(ContentIo, a_refused_commit_leaves_no_name_but_another_writers) {
  Incoming incoming{std::make_shared<testing::StringSource>("content"), 7};
  const auto up = run_blocking(writer_->upload(caller_, root_, std::move(incoming), 7));
  ASSERT_TRUE(up.ok());
  ASSERT_TRUE(run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
                db::WorkspaceStore(txn).set_quota(caller_.workspace, 1);
                return ok();
              })).ok());
  const auto refused = run_blocking(writer_->create(caller_, attr(root_), "a", *up, {}));
  EXPECT_TRUE(refused.failed_with(Errc::quota_exceeded)) << refused.error().message();
  EXPECT_FALSE(spot({"a"}).node);
  InodeNo others;
  WatchedNamespaces watched(*service_, [&] {
    if (others || !lookup(root_, "a").ok()) return;
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}).ok());
    others = make(root_, "a").ino;
  });
  ContentWriter writer(watched, *places_, executor_);
  const auto again = run_blocking(writer.create(caller_, attr(root_), "a", *up, {}));
  EXPECT_TRUE(again.failed_with(Errc::quota_exceeded));
  ASSERT_TRUE(others);
  EXPECT_EQ(spot({"a"}).node->ino, others);
}

TEST_F(ContentIo, an_empty_body_makes_an_empty_file) {
  const auto made = put_new("a", "");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->size, 0u);
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(*read(*made), "");
}

TEST_F(ContentIo, replacing_cuts_what_was_longer_and_keeps_the_inode) {
  const auto made = put_new("a", some_bytes(300'000));
  ASSERT_TRUE(made.ok());
  for (const std::string& bytes : {std::string("short"), std::string()}) {
    Incoming incoming{std::make_shared<testing::StringSource>(bytes), bytes.size()};
    auto up = run_blocking(writer_->upload(caller_, made->ino, std::move(incoming), bytes.size()));
    ASSERT_TRUE(up.ok());
    const auto now = run_blocking(writer_->replace(caller_, made->ino, std::move(*up), {}));
    ASSERT_TRUE(now.ok());
    EXPECT_EQ(now->ino, made->ino);
    EXPECT_EQ(now->size, bytes.size());
    EXPECT_EQ(*read(*now), bytes);
  }
}

TEST_F(ContentIo, a_commit_on_another_base_changes_nothing) {
  const auto made = put_new("a", "old content");
  ASSERT_TRUE(made.ok());
  Incoming incoming{std::make_shared<testing::StringSource>("new"), 3};
  auto up = run_blocking(writer_->upload(caller_, made->ino, std::move(incoming), 3));
  ASSERT_TRUE(up.ok());
  const auto now = run_blocking(
      writer_->replace(caller_, made->ino, std::move(*up), {.base = made->data_version - 1}));
  EXPECT_TRUE(now.failed_with(Errc::stale_version));
  EXPECT_EQ(*read(attr(made->ino)), "old content");
}

TEST_F(ContentIo, a_body_that_breaks_off_leaves_no_file) {
  backends_.knobs.lock()->limits.part_size = kMiB;
  const Error broken = fail(Errc::unavailable, "the request body ended early");
  Incoming incoming{std::make_shared<testing::StringSource>(some_bytes(kMiB + 5), 50'000, broken),
                    3 * kMiB};
  const auto up = run_blocking(writer_->upload(caller_, root_, std::move(incoming), 3 * kMiB));
  EXPECT_TRUE(up.failed_with(Errc::unavailable));
  Incoming shorter{std::make_shared<testing::StringSource>("abc"), 5};
  const auto less = run_blocking(writer_->upload(caller_, root_, std::move(shorter), 5));
  EXPECT_TRUE(less.failed_with(Errc::bad_request));
  EXPECT_FALSE(spot({"a"}).node);
}

TEST_F(ContentIo, limits_and_read_only_accounts_are_refused_before_a_byte_moves) {
  Incoming announced{std::make_shared<testing::StringSource>("abcdef"), 6, 5};
  EXPECT_TRUE(run_blocking(writer_->upload(caller_, root_, std::move(announced), 6))
                  .failed_with(Errc::too_large));
  Incoming endless{std::make_shared<testing::StringSource>("abcdef"), std::nullopt, 5};
  EXPECT_TRUE(run_blocking(writer_->upload(caller_, root_, std::move(endless), 0))
                  .failed_with(Errc::too_large));
  primary::Caller reader = caller_;
  reader.read_only = true;
  Incoming body{std::make_shared<testing::StringSource>("abc"), 3};
  EXPECT_TRUE(run_blocking(writer_->upload(reader, root_, std::move(body), 3))
                  .failed_with(Errc::read_only));
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(ContentIo, holes_read_as_zeros) {
  const auto file = put_new("a", some_bytes(1000));
  ASSERT_TRUE(file.ok());
  const auto grown = call<fs::Attr>(fs::SetAttr{.ino = file->ino, .size = 600'000});
  ASSERT_TRUE(grown.ok());
  const std::string expected = some_bytes(1000) + std::string(599'000, '\0');
  EXPECT_TRUE(*read(*grown) == expected);
  EXPECT_TRUE(*read(*grown, 990, 300'000) == expected.substr(990, 300'000));
}

TEST_F(ContentIo, a_wrong_bit_is_fetched_again_and_never_handed_out) {
  const std::string bytes = some_bytes(500'000);
  const auto file = put_new("a", bytes);
  ASSERT_TRUE(file.ok());
  driver_->knobs.lock()->flips = 1;
  EXPECT_TRUE(*read(*file) == bytes);
  driver_->knobs.lock()->flips = 1000;
  EXPECT_TRUE(read(*file).failed_with(Errc::corrupt));
}

TEST_F(ContentIo, a_run_of_blocks_is_one_fetch) {
  const auto file = put_new("a", some_bytes(10 * kBlockSize));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(read(*file).ok());
  EXPECT_EQ(driver_->knobs.lock()->opens, 1);
}

TEST_F(ContentIo, storage_that_is_away_shows_when_the_file_is_opened) {
  const auto file = put_new("a", "x");
  ASSERT_TRUE(file.ok());
  driver_->knobs.lock()->open_error = fail(Errc::unavailable, "follower");
  EXPECT_TRUE(run_blocking(reader_->open(caller_, *file, 0, 1)).failed_with(Errc::unavailable));
  driver_->knobs.lock()->put_error = fail(Errc::unavailable, "follower");
  EXPECT_TRUE(put_new("b", "x").failed_with(Errc::unavailable));
  EXPECT_FALSE(spot({"b"}).node);
}

TEST_F(ContentIo, a_file_composed_while_it_is_read_goes_on) {
  backends_.knobs.lock()->limits.part_size = kMiB;
  const std::string bytes = some_bytes(3 * kMiB);
  const auto file = put_new("a", bytes);
  ASSERT_TRUE(file.ok());
  const auto source = run_blocking(reader_->open(caller_, *file, 0, bytes.size()));
  ASSERT_TRUE(source.ok());
  clock_.advance(std::chrono::seconds(2));
  run_duties();
  clock_.advance(std::chrono::hours(2));
  run_duties();
  ASSERT_EQ(backends_.count(), 1u) << "the parts should be gone";
  const auto all = testing::drain(**source);
  ASSERT_TRUE(all.ok()) << all.error().message();
  EXPECT_TRUE(*all == bytes);
}

TEST_F(ContentIo, versions_are_never_mixed) {
  backends_.knobs.lock()->limits.part_size = kMiB;
  const auto file = put_new("a", some_bytes(3 * kMiB));
  ASSERT_TRUE(file.ok());
  fs::Attr old = *file;
  ASSERT_TRUE(write(file->ino, 0, "other").ok());
  EXPECT_TRUE(run_blocking(reader_->open(caller_, old, 0, 10)).failed_with(Errc::stale_version));
}

}  // namespace
}  // namespace aster::content

#include "protocol/client/event_parser.h"
#include "protocol/fs/json.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class Events : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    writer_ = open_session();
    reader_ = open_session();
  }

  struct Seen {
    int resets = 0;
    std::vector<fs::Invalidation> events;
    std::string cursor;
  };
  std::shared_ptr<ByteSource> stream(const std::string& cursor) {
    auto source = service_->events(reader_, cursor);
    EXPECT_TRUE(source.ok());
    return source.ok() ? *source : nullptr;
  }
  static std::string read(ByteSource& source) {
    std::array<std::byte, 4096> buffer;
    const auto n = run_blocking(source.read(buffer));
    EXPECT_TRUE(n.ok());
    return n.ok() ? std::string(as_text({buffer.data(), *n})) : "";
  }
  /// The first that is read from a stream in which nothing has happened.
  static std::string read_caught_up(ByteSource& source) {
    (void)read(source);  // cursor and lease
    return read(source);
  }
  /// Reads until `enough` events (with something in them) or resets have come.
  static Seen follow(ByteSource& source, size_t enough) {
    Seen seen;
    EventParser parser;
    while (seen.events.size() + static_cast<size_t>(seen.resets) < enough) {
      const std::string text = read(source);
      if (text.empty()) break;
      parser.feed(text, [&](std::string_view name, std::string_view data) {
        if (name == "reset") ++seen.resets;
        if (name != "inval" && name != "recall") return;
        const auto event = fs::decode_invalidation(data);
        ASSERT_TRUE(event.ok());
        seen.cursor = event->cursor;
        if (!event->inodes.empty()) seen.events.push_back(*event);
      });
    }
    return seen;
  }
  Attr create(const std::string& name) {
    const auto made = call_as<Attr>(writer_, fs::Create{root_, name});
    EXPECT_TRUE(made.ok());
    return made.ok() ? *made : Attr();
  }

  Caller writer_;
  Caller reader_;
};

TEST_F(Events, session_tells_root_and_timings) {
  const auto answer = run_blocking(service_->open_session(caller_, {"host:/mnt", ""}));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->root, root_);
  EXPECT_EQ(answer->heartbeat_ms, 40u);
  EXPECT_EQ(answer->entry_ttl_ms, 1000u);
  EXPECT_EQ(answer->lease_ms, 10000u);
  EXPECT_FALSE(answer->cursor.empty());
}

TEST_F(Events, others_hear_of_a_change_and_its_cause_does_not) {
  const auto source = stream(cursor_);
  const auto own = service_->events(writer_, cursor_);
  const Attr file = create("a");
  const Seen seen = follow(*source, 1);
  ASSERT_EQ(seen.events.size(), 1u);
  ASSERT_EQ(seen.events[0].entries.size(), 1u);
  EXPECT_EQ(seen.events[0].entries[0].parent, root_);
  EXPECT_EQ(seen.events[0].entries[0].name, "a");
  EXPECT_EQ(seen.events[0].inodes[0].ino, root_);
  EXPECT_EQ(read_caught_up(**own), ": alive\n\n");
  EXPECT_NE(file.ino, root_);
}

TEST_F(Events, content_and_last_names_are_told_apart) {
  const Attr file = create("a");
  const auto source = stream(cursor_);
  caller_ = writer_;
  ASSERT_TRUE(write(file.ino, 0, "x").ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "a"}).ok());
  const Seen seen = follow(*source, 3);
  ASSERT_EQ(seen.events.size(), 3u);
  EXPECT_TRUE(seen.events[1].inodes[0].content);
  EXPECT_FALSE(seen.events[1].inodes[0].unlinked);
  EXPECT_EQ(seen.events[2].inodes[0].ino, file.ino);
  EXPECT_TRUE(seen.events[2].inodes[0].unlinked);
}

TEST_F(Events, event_is_out_before_the_answer) {
  const auto source = stream(cursor_);
  (void)read(*source);  // caught up; nothing yet
  for (int i = 0; i < 20; ++i) {
    create("n" + std::to_string(i));
    // The answer has come: the event must be the next thing in the stream.
    const Seen seen = follow(*source, 1);
    ASSERT_EQ(seen.events.size(), 1u);
    EXPECT_EQ(seen.events[0].entries[0].name, "n" + std::to_string(i));
  }
}

TEST_F(Events, failed_and_undone_operations_are_not_told) {
  const auto source = stream(cursor_);
  EXPECT_FALSE(call_as<fs::Removed>(writer_, fs::Unlink{root_, "none"}).ok());
  create("a");
  const Seen seen = follow(*source, 1);
  EXPECT_EQ(seen.events[0].entries[0].name, "a");
}

TEST_F(Events, stream_resumes_from_the_journal) {
  create("a");
  create("b");
  const auto first = stream(cursor_);
  const Seen before = follow(*first, 2);
  create("c");
  restart();
  clock_.advance(options_.lease_term);  // until then the reader would be waited for
  create("d");
  const auto resumed = stream(before.cursor);
  const Seen after = follow(*resumed, 2);
  EXPECT_EQ(after.resets, 0);
  ASSERT_EQ(after.events.size(), 2u);
  EXPECT_EQ(after.events[0].entries[0].name, "c");
  EXPECT_EQ(after.events[1].entries[0].name, "d");
}

TEST_F(Events, unknown_cursors_reset) {
  create("a");
  const std::string epoch = cursor_.substr(0, cursor_.find('.'));
  for (const std::string& cursor : {std::string(), std::string("junk"), epoch + ".99999999",
                                    epoch + ".-1", std::string(32, '0') + ".1"}) {
    const auto source = stream(cursor);
    const Seen seen = follow(*source, 1);
    EXPECT_EQ(seen.resets, 1) << cursor;
    EXPECT_TRUE(seen.cursor.starts_with(epoch)) << cursor;
  }
}

TEST_F(Events, cursor_given_with_a_reset_resumes) {
  const auto source = stream("junk");
  const Seen seen = follow(*source, 1);
  create("a");
  const auto resumed = stream(seen.cursor);
  const Seen after = follow(*resumed, 1);
  EXPECT_EQ(after.resets, 0);
  EXPECT_EQ(after.events.size(), 1u);
}

TEST_F(Events, restored_database_resets) {
  create("a");
  ASSERT_TRUE(run_blocking(database_->write([](db::Txn& txn) -> Result<void> {
                db::JournalStore(txn).renew_epoch();
                return ok();
              })).ok());
  restart();
  const auto source = stream(cursor_);
  EXPECT_EQ(follow(*source, 1).resets, 1);
}

TEST_F(Events, reader_that_falls_behind_is_reset) {
  const auto source = stream(cursor_);
  (void)read(*source);
  for (int n = 0; n < 5; ++n) {
    std::vector<fs::BatchItem> items;
    for (int i = 0; i < 1000; ++i) {
      fs::SetAttr op;
      op.ino = root_;
      op.atime = i;
      items.push_back({op, {}});
    }
    (void)batch(writer_, items);
  }
  const Seen seen = follow(*source, 1);
  EXPECT_EQ(seen.resets, 1);
  create("a");
  EXPECT_GE(follow(*source, 1).events.size(), 1u);
}

TEST_F(Events, new_stream_ends_the_previous) {
  const auto first = stream(cursor_);
  (void)read(*first);
  const auto second = stream(cursor_);
  EXPECT_EQ(read(*first), "");
  create("a");
  EXPECT_EQ(follow(*second, 1).events.size(), 1u);
}

TEST_F(Events, other_workspaces_are_not_told) {
  const auto source = stream(cursor_);
  Caller other = caller_;
  other.workspace = *run_blocking(service_->create_workspace("other"));
  const InodeNo other_root = *service_->root_of(other.workspace);
  ASSERT_TRUE(call_as<Attr>(other, fs::Create{other_root, "secret"}).ok());
  EXPECT_EQ(read_caught_up(*source), ": alive\n\n");
}

TEST_F(Events, silent_sessions_end) {
  clock_.advance(options_.session_timeout + std::chrono::seconds(1));
  EXPECT_TRUE(service_->touch_session(writer_));
  run_duties();
  EXPECT_TRUE(service_->touch_session(writer_));
  EXPECT_FALSE(service_->touch_session(reader_));
  EXPECT_TRUE(service_->events(reader_, cursor_).failed_with(Errc::stale_handle));
  EXPECT_EQ(sql<int>("SELECT count(*) FROM sessions"), 1);
}

TEST_F(Events, stream_that_is_read_keeps_its_session) {
  const auto source = stream(cursor_);
  (void)read(*source);
  clock_.advance(options_.session_timeout + std::chrono::seconds(1));
  (void)read(*source);  // waits for a heartbeat
  run_duties();
  EXPECT_TRUE(service_->touch_session(reader_));
  EXPECT_FALSE(service_->touch_session(writer_));
}

TEST_F(Events, sessions_belong_to_their_user) {
  Caller thief = reader_;
  thief.user = UserId(8);
  EXPECT_FALSE(service_->touch_session(thief));
  EXPECT_TRUE(service_->events(thief, cursor_).failed_with(Errc::stale_handle));
  EXPECT_TRUE(run_blocking(service_->close_session(thief)).failed_with(Errc::stale_handle));
  EXPECT_TRUE(run_blocking(service_->close_session(reader_)).ok());
  EXPECT_FALSE(service_->touch_session(reader_));
}

TEST_F(Events, sessions_survive_a_restart) {
  restart();
  EXPECT_TRUE(service_->touch_session(reader_));
}

}  // namespace
}  // namespace aster::primary

#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/model/reference_tree.h"
#include "tests/support/namespace_fixture.h"

namespace aster::testing {
namespace {

using fs::Attr;
using fs::FileType;
using Id = ReferenceTree::Id;

/// Random operations on the service and on a simple reference must agree: in outcome, in error
/// code, and in what is there afterwards, also across restarts, collection and composition.
/// ASTER_TEST_SEED repeats a run.
class NamespaceModel : public NamespaceFixture {
 public:
  void SetUp() override {
    const char* given = std::getenv("ASTER_TEST_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    std::cout << "ASTER_TEST_SEED=" << seed << std::endl;
    random_.seed(seed);
    NamespaceFixture::SetUp();
    inodes_[ReferenceTree::kRoot] = root_;
    // Removed files must not be met again through their grace; objects go quickly.
    options_.object_grace = std::chrono::seconds(2);
    options_.orphan_grace = std::chrono::seconds(1);
    restart();
  }

  uint64_t pick(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }
  std::string any_name() { return std::string(1, static_cast<char>('a' + pick(12))); }
  Id any_node() {
    auto at = tree_.nodes().begin();
    std::advance(at, static_cast<long>(pick(tree_.nodes().size())));
    return at->first;
  }
  /// A regular file, or nothing when chance did not find one.
  std::optional<Id> any_file() {
    for (int i = 0; i < 8; ++i) {
      const Id id = any_node();
      if (tree_.node(id).type == FileType::regular) return id;
    }
    return std::nullopt;
  }
  /// Mostly a directory.
  Id any_dir() {
    for (int i = 0; i < 8; ++i) {
      const Id id = any_node();
      if (tree_.node(id).type == FileType::directory) return id;
    }
    return any_node();
  }
  std::string any_bytes() {
    const uint64_t size = pick(10) == 0 ? kBlockSize * (1 + pick(2)) : 1 + pick(60);
    return std::string(size, static_cast<char>('A' + pick(26)));
  }

  template <class A, class B>
  void expect_same(const char* what, const Result<A>& real, const Result<B>& model) {
    ASSERT_EQ(real.ok(), model.ok())
        << what << ": " << (real.ok() ? model.error() : real.error()).message();
    if (!model.ok()) {
      ASSERT_EQ(real.error().code, model.error().code) << what;
    }
  }

  void step_create() {
    constexpr FileType kTypes[] = {FileType::regular,   FileType::regular, FileType::directory,
                                   FileType::directory, FileType::symlink, FileType::fifo};
    const Id parent = any_dir();
    fs::Create op{inodes_[parent], any_name(), kTypes[pick(std::size(kTypes))]};
    if (op.type == FileType::symlink) op.target = "x";
    const auto real = call<Attr>(op);
    const auto model = tree_.create(parent, op.name, op.type);
    expect_same("create", real, model);
    if (model.ok()) inodes_[*model] = real->ino;
  }
  void step_link() {
    const Id id = any_node();
    const Id parent = any_dir();
    const std::string name = any_name();
    expect_same("link", call<Attr>(fs::Link{inodes_[id], inodes_[parent], name}),
                tree_.link(id, parent, name));
  }
  void step_remove() {
    const Id parent = any_dir();
    const std::string name = any_name();
    if (pick(2) == 0) {
      expect_same("unlink", call<fs::Removed>(fs::Unlink{inodes_[parent], name}),
                  tree_.remove(parent, name, false));
    } else {
      expect_same("rmdir", call<fs::Removed>(fs::Rmdir{inodes_[parent], name}),
                  tree_.remove(parent, name, true));
    }
  }
  void step_rename() {
    const Id from = any_dir();
    const Id to = any_dir();
    fs::Rename op{inodes_[from], any_name(), inodes_[to], any_name()};
    const uint64_t flags = pick(5);
    op.no_replace = flags == 0;
    op.exchange = flags == 1;
    expect_same("rename", call<fs::Renamed>(op), tree_.rename(op, from, to));
  }
  void step_write() {
    const auto id = any_file();
    if (!id) return;
    const uint64_t size = tree_.node(*id).data.size();
    const uint64_t offset = pick(2) == 0 ? size : pick(size + 40);
    const std::string bytes = any_bytes();
    ASSERT_TRUE(write(inodes_[*id], offset, bytes, pick(2) == 0).ok());
    tree_.write(*id, offset, bytes);
  }
  /// What a sequential writer leaves: whole parts, worth composing.
  void step_parts() {
    const auto id = any_file();
    if (!id) return;
    fs::SetAttr cut;
    cut.ino = inodes_[*id];
    cut.size = 0;
    ASSERT_TRUE(call<Attr>(cut).ok());
    tree_.resize(*id, 0);
    for (uint64_t part = 0, parts = 2 + pick(3); part < parts; ++part) {
      const std::string bytes(kBlockSize - (part + 1 == parts ? pick(9) : 0),
                              static_cast<char>('A' + pick(26)));
      ASSERT_TRUE(write(inodes_[*id], part * kBlockSize, bytes, part + 1 == parts).ok());
      tree_.write(*id, part * kBlockSize, bytes);
    }
    if (pick(2) == 0) step_time();  // before others change the file again
  }
  void step_resize() {
    const auto id = any_file();
    if (!id) return;
    fs::SetAttr op;
    op.ino = inodes_[*id];
    op.size = pick(tree_.node(*id).data.size() + 50);
    ASSERT_TRUE(call<Attr>(op).ok());
    tree_.resize(*id, *op.size);
  }
  void step_copy() {
    const auto source = any_file();
    const auto target = any_file();
    if (!source || !target) return;
    const std::string data = tree_.node(*source).data;
    if (data.empty()) return;
    const uint64_t from = pick(data.size());
    const uint64_t length = std::min<uint64_t>(1 + pick(100), data.size() - from);
    const uint64_t to = pick(tree_.node(*target).data.size() + 40);
    const auto real =
        call<Attr>(fs::CopyRange{inodes_[*source], from, inodes_[*target], to, length});
    if (*source == *target && from < to + length && to < from + length) {
      ASSERT_TRUE(real.failed_with(Errc::bad_request));
      return;
    }
    ASSERT_TRUE(real.ok()) << real.error().message();
    tree_.write(*target, to, data.substr(from, length));
  }
  void step_time() {
    clock_.advance(std::chrono::milliseconds(1500));
    if (pick(4) == 0) restart();
    backends_.knobs.lock()->parts_kept = pick(2) == 0;
    run_duties();
  }

  void check_node(Id id) {
    const auto& node = tree_.node(id);
    const Attr a = attr(inodes_[id]);
    ASSERT_EQ(a.type, node.type);
    ASSERT_EQ(a.nlink, tree_.nlink(id));
    if (node.type == FileType::regular) {
      ASSERT_TRUE(content(a.ino) == node.data);
    }
    if (node.type != FileType::directory) return;
    std::map<std::string, InodeNo> seen;
    uint64_t after = 0;
    for (;;) {
      const auto page = call<fs::DirPage>(fs::ReadDir{a.ino, after, 3});
      ASSERT_TRUE(page.ok());
      ASSERT_EQ(page->parent, inodes_[node.parent]);
      for (const fs::DirEntry& e : page->entries) seen[e.name] = e.attr.ino;
      if (page->end) break;
      after = page->entries.back().cookie;
    }
    ASSERT_EQ(seen.size(), node.children.size());
    for (const auto& [name, child] : node.children) ASSERT_EQ(seen[name], inodes_[child]) << name;
  }
  void check_everything() {
    for (const auto& [id, node] : tree_.nodes()) {
      check_node(id);
      if (HasFatalFailure()) return;
    }
  }
  /// What the database says about itself once every grace has passed.
  void check_accounts() {
    for (int i = 0; i < 3; ++i) {
      clock_.advance(std::chrono::hours(25));
      run_duties();
    }
    EXPECT_EQ(sql<uint64_t>("SELECT count(*) FROM inodes"), tree_.nodes().size());
    EXPECT_EQ(sql<uint64_t>("SELECT inodes FROM workspaces"), tree_.nodes().size());
    EXPECT_EQ(sql<int64_t>("SELECT bytes - (SELECT coalesce(sum(length),0) FROM extents) "
                           "FROM workspaces"),
              0);
    EXPECT_EQ(sql<int>("SELECT count(*) FROM objects o WHERE refs <> "
                       "(SELECT count(*) FROM extents e WHERE e.object=o.id)"),
              0);
    EXPECT_EQ(sql<int>("SELECT count(*) FROM objects WHERE refs=0"), 0);
    EXPECT_EQ(sql<int>("SELECT count(*) FROM compose_jobs"), 0);
    EXPECT_EQ(sql<uint64_t>("SELECT count(*) FROM objects"), backends_.count());
  }

  std::mt19937_64 random_;
  ReferenceTree tree_;
  std::map<Id, InodeNo> inodes_;
};

TEST_F(NamespaceModel, agrees_with_the_reference) {
  using Step = void (NamespaceModel::*)();
  constexpr Step kSteps[] = {
      &NamespaceModel::step_create, &NamespaceModel::step_create, &NamespaceModel::step_create,
      &NamespaceModel::step_create, &NamespaceModel::step_create, &NamespaceModel::step_create,
      &NamespaceModel::step_link,   &NamespaceModel::step_link,   &NamespaceModel::step_remove,
      &NamespaceModel::step_remove, &NamespaceModel::step_remove, &NamespaceModel::step_rename,
      &NamespaceModel::step_rename, &NamespaceModel::step_rename, &NamespaceModel::step_write,
      &NamespaceModel::step_write,  &NamespaceModel::step_write,  &NamespaceModel::step_write,
      &NamespaceModel::step_resize, &NamespaceModel::step_copy,   &NamespaceModel::step_copy,
      &NamespaceModel::step_parts,  &NamespaceModel::step_parts};
  for (int i = 0; i < 1500; ++i) {
    const Step step = i % 40 == 39 ? &NamespaceModel::step_time : kSteps[pick(std::size(kSteps))];
    (this->*step)();
    if (HasFatalFailure()) return;
    if (i % 100 == 99) check_everything();
    if (HasFatalFailure()) return;
  }
  check_everything();
  check_accounts();
  check_everything();
  EXPECT_GT(backends_.composed(), 0u);
}

}  // namespace
}  // namespace aster::testing

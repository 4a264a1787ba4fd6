#include "fuse/vfs/kept_tree.h"

#include <unistd.h>

#include <charconv>
#include <set>

namespace aster {
namespace {

using fs::FileType;

constexpr std::chrono::seconds kListingKept{5};

std::optional<uint64_t> number(const std::string& text) {
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

KeptTree::Item item_of(fs::Kept kept, std::string name, KeptTree::Kind kind) {
  KeptTree::Item item{std::move(name), {kind, kept.attr.ino.value}, std::move(kept.attr)};
  item.attr.nlink = item.attr.type == FileType::directory ? 2 : 1;
  return item;
}

Result<KeptTree::Item> find(const KeptTree::Items& items, const std::string& name) {
  for (const KeptTree::Item& item : *items) {
    if (item.name == name) return item;
  }
  return fail(Errc::not_found);
}

}  // namespace

KeptTree::KeptTree(Filesystem& filesystem, FileIo& io)
    : filesystem_(filesystem), io_(io), born_(SystemClock().now_ns()) {}

template <class A>
Task<Result<A>> KeptTree::ask(fs::Operation operation, Caller who) {
  Result<fs::Answer> answer = co_await filesystem_.ask(std::move(operation), std::move(who));
  co_return Remote::pick<A>(std::move(answer));
}

fs::Attr KeptTree::folder() const {
  fs::Attr attr;
  attr.type = FileType::directory;
  attr.mode = 0500;
  attr.uid = ::getuid();
  attr.gid = ::getgid();
  attr.nlink = 2;
  attr.atime = attr.mtime = attr.ctime = born_;
  return attr;
}

Task<Result<fs::Attr>> KeptTree::attr_of(InodeNo ino, Caller who) {
  fs::Operation question = fs::GetAttr{ino};
  ASTER_CO_TRY(fs::Attr attr, co_await ask<fs::Attr>(std::move(question), who));
  attr.nlink = attr.type == FileType::directory ? 2 : 1;
  co_return attr;
}

Task<Result<fs::Attr>> KeptTree::getattr(Node node, Caller who) {
  const bool inode = node.kind == Kind::thing || node.kind == Kind::version;
  if (!inode) co_return folder();
  auto attr = co_await attr_of(InodeNo(node.value), who);
  co_return attr;
}

Task<Result<KeptTree::Entries>> KeptTree::entries(fs::ListTrash query, Caller who) {
  Entries all;
  do {
    fs::Operation question = query;
    ASTER_CO_TRY(fs::KeptPage page, co_await ask<fs::KeptPage>(std::move(question), who));
    std::move(page.entries.begin(), page.entries.end(), std::back_inserter(all));
    query.before = page.next;
  } while (query.before != 0);
  co_return all;
}

Task<Result<fs::Kept>> KeptTree::entry(uint64_t id, Caller who) {
  fs::ListTrash query;
  query.before = id + 1;
  query.limit = 1;
  fs::Operation question = query;
  ASTER_CO_TRY(fs::KeptPage page, co_await ask<fs::KeptPage>(std::move(question), who));
  if (page.entries.empty() || page.entries[0].id != id) co_return fail(Errc::not_found);
  co_return std::move(page.entries[0]);
}

Task<Result<KeptTree::Item>> KeptTree::lookup(Node parent, std::string name, Caller who) {
  if (parent.kind == Kind::trash || parent.kind == Kind::entry) {
    const std::optional<uint64_t> id =
        parent.kind == Kind::entry ? std::optional(parent.value) : number(name);
    if (!id || *id >= INT64_MAX) co_return fail(Errc::not_found);
    ASTER_CO_TRY(fs::Kept kept, co_await entry(*id, who));
    if (parent.kind == Kind::trash) co_return folder_item(std::move(name), {Kind::entry, *id});
    if (kept.name != name) co_return fail(Errc::not_found);
    co_return item_of(std::move(kept), std::move(name), Kind::thing);
  }
  if (parent.kind == Kind::versions) {
    fs::Operation question = fs::Lookup{InodeNo(parent.value), name};
    const Result<fs::Attr> child = co_await ask<fs::Attr>(std::move(question), who);
    if (!child.ok() && !child.failed_with(Errc::not_directory)) co_return child.error();
    if (child.ok()) {
      const bool shown = child->type == FileType::directory || child->type == FileType::regular;
      if (!shown) co_return fail(Errc::not_found);
      co_return folder_item(std::move(name), {Kind::versions, child->ino.value});
    }
  }
  ASTER_CO_TRY(const Items items, co_await list(parent, who));
  co_return find(items, name);
}

Task<Result<KeptTree::Items>> KeptTree::list(Node directory, Caller who) {
  const InodeNo ino(directory.value);
  auto items = std::make_shared<std::vector<Item>>();
  if (directory.kind == Kind::trash) {
    fs::ListTrash query;
    query.tops = true;
    ASTER_CO_TRY(const Entries all, co_await entries(query, who));
    for (const fs::Kept& kept : all) {
      items->push_back(folder_item(std::to_string(kept.id), {Kind::entry, kept.id}));
    }
  } else if (directory.kind == Kind::entry) {
    ASTER_CO_TRY(fs::Kept kept, co_await entry(directory.value, who));
    std::string name = kept.name;
    items->push_back(item_of(std::move(kept), std::move(name), Kind::thing));
  } else if (directory.kind == Kind::thing) {
    auto things = co_await list_things(ino, who);
    co_return things;
  } else if (directory.kind == Kind::versions) {
    ASTER_CO_TRY(const fs::Attr attr, co_await attr_of(ino, who));
    const bool file = attr.type != FileType::directory;
    auto listed = file ? list_versions(ino, who) : list_folder(ino, who);
    co_return co_await std::move(listed);
  } else {
    co_return fail(Errc::not_directory);
  }
  co_return Items(std::move(items));
}

// Of several with one name the last that was deleted; the others are found by their ids.
Task<Result<KeptTree::Items>> KeptTree::list_things(InodeNo directory, Caller who) {
  {
    const auto last = last_.lock();
    const SteadyTime now = std::chrono::steady_clock::now();
    if (last->directory == directory.value && now < last->until) co_return last->items;
  }
  fs::ListTrash query;
  query.parent = directory;
  ASTER_CO_TRY(Entries all, co_await entries(query, who));
  auto items = std::make_shared<std::vector<Item>>();
  std::set<std::string> names;
  for (fs::Kept& kept : all) {
    std::string name = kept.name;
    if (names.insert(name).second) {
      items->push_back(item_of(std::move(kept), std::move(name), Kind::thing));
    }
  }
  const SteadyTime until = std::chrono::steady_clock::now() + kListingKept;
  *last_.lock() = {directory.value, until, items};
  co_return Items(std::move(items));
}

Task<Result<KeptTree::Items>> KeptTree::list_folder(InodeNo directory, Caller who) {
  auto items = std::make_shared<std::vector<Item>>();
  fs::ReadDir query;
  query.ino = directory;
  for (bool end = false; !end;) {
    fs::Operation question = query;
    ASTER_CO_TRY(const fs::DirPage page, co_await ask<fs::DirPage>(std::move(question), who));
    for (const fs::DirEntry& e : page.entries) {
      query.after = e.cookie;
      if (e.attr.type != FileType::directory && e.attr.type != FileType::regular) continue;
      items->push_back(folder_item(e.name, {Kind::versions, e.attr.ino.value}));
    }
    end = page.end;
  }
  co_return Items(std::move(items));
}

Task<Result<KeptTree::Items>> KeptTree::list_versions(InodeNo file, Caller who) {
  fs::Operation question = fs::ListVersions{file};
  ASTER_CO_TRY(fs::KeptPage page, co_await ask<fs::KeptPage>(std::move(question), who));
  auto items = std::make_shared<std::vector<Item>>();
  for (fs::Kept& kept : page.entries) {
    std::string name = std::to_string(kept.id);
    items->push_back(item_of(std::move(kept), std::move(name), Kind::version));
  }
  co_return Items(std::move(items));
}

Task<Result<std::shared_ptr<KeptTree::OpenFile>>> KeptTree::open(Node node, Caller who) {
  ASTER_CO_TRY(const fs::Attr attr, co_await getattr(node, who));
  if (attr.type == FileType::directory) co_return fail(Errc::is_directory);
  if (attr.type != FileType::regular) co_return fail(Errc::unsupported, "not a regular file");
  auto file = std::make_shared<OpenFile>();
  file->content = io_.content(attr);
  file->ahead = io_.read_ahead();
  co_return file;
}

}  // namespace aster

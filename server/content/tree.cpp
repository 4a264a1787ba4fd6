#include "server/content/tree.h"

#include <algorithm>

#include "server/content/namespace_call.h"

namespace aster::content {
namespace {

/// Small enough that nobody waits long for the writer while a large tree goes.
constexpr uint32_t kPage = 256;
/// 64 KiB each at most: well below what one answer may hold.
constexpr size_t kAttributesAtOnce = 64;
constexpr int kRemoveAttempts = 3;  ///< of a directory that others fill meanwhile
constexpr std::string_view kUserPrefix = "user.";
constexpr std::string_view kOwnPrefix = "user.aster.";  ///< computed, not stored

Path joined(Path path, std::string name) {
  path.push_back(std::move(name));
  return path;
}

Result<fs::Attr> attr_of(const Result<fs::Answer>& answer) {
  if (!answer.ok()) return answer.error();
  if (const auto* attr = std::get_if<fs::Attr>(&*answer)) return *attr;
  return fail(Errc::internal, "an answer of another type");
}

fs::Create like(const fs::Attr& source, const fs::Attr& parent, std::string name) {
  fs::Create create{.parent = parent.ino, .name = std::move(name), .type = source.type};
  create.mode = source.mode;
  create.uid = parent.uid;
  create.gid = parent.gid;
  create.rdev = source.rdev;
  create.target = source.target;
  return create;
}

}  // namespace

/// A member of a directory on its way to its copy.
struct Tree::Item {
  fs::DirEntry from;
  Path path;
  std::optional<fs::Attr> made;
};

bool Tree::admits(const Path& path) const {
  if (caller_.only == nullptr) return true;
  return std::any_of(caller_.only->begin(), caller_.only->end(),
                     [&](const Path& top) { return is_within(path, top); });
}

Task<Result<Spot>> Tree::find(Path path) {
  if (!admits(path)) co_return fail(Errc::forbidden, "the token is for other folders");
  ASTER_CO_TRY(fs::Attr at, co_await call<fs::Attr>(namespaces_, caller_, fs::GetAttr{root_}));
  Spot spot;
  spot.path = std::move(path);
  spot.is_fixed = spot.is_root();
  if (caller_.only != nullptr) {
    const auto& tops = *caller_.only;
    spot.is_fixed = std::find(tops.begin(), tops.end(), spot.path) != tops.end();
  }
  for (size_t i = 0; i < spot.path.size(); ++i) {
    if (at.type != fs::FileType::directory) co_return spot;
    spot.above.push_back(at);
    fs::Lookup lookup{at.ino, spot.path[i]};
    Result<fs::Attr> found = co_await call<fs::Attr>(namespaces_, caller_, std::move(lookup));
    const bool missing = found.failed_with(Errc::not_found);
    if (!found.ok() && !missing) co_return std::move(found).error();
    spot.has_parent = i + 1 == spot.path.size();
    if (missing) co_return spot;
    at = std::move(*found);
  }
  spot.node = std::move(at);
  co_return spot;
}

Task<Result<fs::DirPage>> Tree::list(InodeNo directory, uint64_t after, uint32_t limit) {
  fs::ReadDir read{directory, after, limit};
  co_return co_await call<fs::DirPage>(namespaces_, caller_, std::move(read));
}

Task<Result<fs::Attr>> Tree::make_directory(Spot at) {
  fs::Create create{.parent = at.parent().ino, .name = at.name()};
  create.type = fs::FileType::directory;
  create.mode = 0755;
  create.uid = at.parent().uid;
  create.gid = at.parent().gid;
  co_return co_await call<fs::Attr>(namespaces_, caller_, std::move(create));
}

Task<Failures> Tree::remove(Spot at) {
  Failures failures;
  Result<void> done;
  if (at.is_directory()) {
    done = co_await remove_directory(at.parent().ino, at.path, at.node->ino, failures);
  } else {
    fs::Unlink unlink{at.parent().ino, at.name(), false};
    const auto removed = co_await call<fs::Removed>(namespaces_, caller_, std::move(unlink));
    if (!removed.ok()) done = removed.error();
  }
  if (!done.ok()) failures.push_back({std::move(at.path), done.error()});
  co_return failures;
}

Task<Result<void>> Tree::remove_directory(InodeNo parent, Path path, InodeNo directory,
                                          Failures& failures) {
  const size_t before = failures.size();
  for (int attempt = 1;; ++attempt) {
    ASTER_CO_TRY(co_await remove_members(directory, path, failures));
    if (failures.size() != before) co_return ok();  // it stays, and nobody needs to be told why
    fs::Rmdir rmdir{parent, path.back()};
    const auto removed = co_await call<fs::Removed>(namespaces_, caller_, std::move(rmdir));
    if (removed.ok()) co_return ok();
    if (!removed.failed_with(Errc::not_empty) || attempt == kRemoveAttempts) {
      co_return removed.error();
    }
  }
}

Task<Result<void>> Tree::remove_members(InodeNo directory, Path path, Failures& failures) {
  uint64_t after = 0;
  for (bool end = false; !end;) {
    ASTER_CO_TRY(fs::DirPage page, co_await list(directory, after, kPage));
    if (page.entries.empty()) co_return ok();
    after = page.entries.back().cookie;
    end = page.end;
    ASTER_CO_TRY(co_await remove_entries(directory, path, std::move(page.entries), failures));
  }
  co_return ok();
}

Task<Result<void>> Tree::remove_entries(InodeNo directory, const Path& path,
                                        std::vector<fs::DirEntry> entries, Failures& failures) {
  std::vector<fs::Operation> unlinks;
  std::vector<Path> paths;
  for (fs::DirEntry& entry : entries) {
    Path child = joined(path, entry.name);
    if (entry.attr.type == fs::FileType::directory) {
      const Result<void> done =
          co_await remove_directory(directory, child, entry.attr.ino, failures);
      if (!done.ok()) failures.push_back({std::move(child), done.error()});
      continue;
    }
    unlinks.emplace_back(fs::Unlink{directory, std::move(entry.name), false});
    paths.push_back(std::move(child));
  }
  if (unlinks.empty()) co_return ok();
  const auto answers = co_await call_all(namespaces_, caller_, std::move(unlinks), false);
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].ok() || answers[i].failed_with(Errc::not_found)) continue;
    failures.push_back({std::move(paths[i]), answers[i].error()});
  }
  co_return ok();
}

Task<Result<fs::Attr>> Tree::move(Spot from, Spot to) {
  fs::Rename rename{.parent = from.parent().ino, .name = from.name()};
  rename.new_parent = to.parent().ino;
  rename.new_name = to.name();
  rename.no_replace = !to.node;
  ASTER_CO_TRY(const auto renamed,
               co_await call<fs::Renamed>(namespaces_, caller_, std::move(rename)));
  co_return renamed.moved;
}

Task<Failures> Tree::copy(Spot from, Spot to, bool deep) {
  Failures failures;
  Result<void> done;
  if (to.is_file() && from.is_file()) {
    done = co_await overwrite(*from.node, *to.node);
  } else {
    std::vector<Item> items(1);
    items[0].from = {to.name(), 0, *from.node};
    items[0].path = to.path;
    if (from.is_directory() && !deep) {
      // The directory itself, made by hand so that nothing below is looked at.
      const Result<fs::Attr> made = co_await make_directory(to);
      if (made.ok()) {
        items[0].made = *made;
        done = co_await copy_attributes(items);
      } else {
        done = made.error();
      }
    } else {
      done = co_await copy_items(to.parent(), std::move(items), failures);
    }
  }
  if (!done.ok()) failures.push_back({std::move(to.path), done.error()});
  co_return failures;
}

Task<Result<void>> Tree::overwrite(fs::Attr from, fs::Attr to) {
  if (from.ino == to.ino) co_return ok();  // two names of one file
  std::vector<fs::Operation> operations;
  operations.emplace_back(fs::CopyRange{from.ino, 0, to.ino, 0, from.size});
  operations.emplace_back(fs::SetAttr{.ino = to.ino, .size = from.size});
  const auto answers = co_await call_all(namespaces_, caller_, std::move(operations), true);
  ASTER_CO_TRY(first_failure(answers));
  std::vector<InodeNo> target{to.ino};
  ASTER_CO_TRY(const auto old, co_await attributes(std::move(target), std::string(kUserPrefix)));
  std::vector<fs::Operation> removals;
  for (const Attribute& one : old.front()) removals.emplace_back(fs::RemoveXattr{to.ino, one.name});
  if (!removals.empty()) {
    const auto removed = co_await call_each(namespaces_, caller_, std::move(removals), kPage);
    ASTER_CO_TRY(first_failure(removed));
  }
  std::vector<Item> items(1);
  items[0].from.attr = std::move(from);
  items[0].made = std::move(to);
  co_return co_await copy_attributes(items);
}

Task<Result<void>> Tree::copy_members(InodeNo from, fs::Attr to, Path path, Failures& failures) {
  uint64_t after = 0;
  for (bool end = false; !end;) {
    ASTER_CO_TRY(fs::DirPage page, co_await list(from, after, kPage));
    if (page.entries.empty()) co_return ok();
    after = page.entries.back().cookie;
    end = page.end;
    std::vector<Item> items;
    for (fs::DirEntry& entry : page.entries) {
      Path child = joined(path, entry.name);
      items.push_back({std::move(entry), std::move(child), std::nullopt});
    }
    ASTER_CO_TRY(co_await copy_items(to, std::move(items), failures));
  }
  co_return ok();
}

Task<Result<void>> Tree::copy_items(fs::Attr to, std::vector<Item> items, Failures& failures) {
  std::vector<fs::Operation> creates;
  for (const Item& item : items) creates.emplace_back(like(item.from.attr, to, item.from.name));
  const auto made = co_await call_all(namespaces_, caller_, std::move(creates), false);
  std::vector<fs::Operation> copies;
  std::vector<size_t> copied;
  for (size_t i = 0; i < items.size(); ++i) {
    const Result<fs::Attr> one = attr_of(made[i]);
    if (!one.ok()) {
      failures.push_back({items[i].path, one.error()});
      continue;
    }
    items[i].made = *one;
    const fs::Attr& source = items[i].from.attr;
    if (source.type != fs::FileType::regular || source.size == 0) continue;
    copies.emplace_back(fs::CopyRange{source.ino, 0, one->ino, 0, source.size});
    copied.push_back(i);
  }
  if (!copies.empty()) {
    const auto done = co_await call_all(namespaces_, caller_, std::move(copies), false);
    for (size_t i = 0; i < done.size(); ++i) {
      if (!done[i].ok()) failures.push_back({items[copied[i]].path, done[i].error()});
    }
  }
  ASTER_CO_TRY(co_await copy_attributes(items));
  for (Item& item : items) {
    if (!item.made || item.made->type != fs::FileType::directory) continue;
    const Result<void> below =
        co_await copy_members(item.from.attr.ino, *item.made, item.path, failures);
    if (!below.ok()) failures.push_back({std::move(item.path), below.error()});
  }
  co_return ok();
}

Task<Result<void>> Tree::copy_attributes(const std::vector<Item>& items) {
  std::vector<InodeNo> sources;
  std::vector<InodeNo> targets;
  for (const Item& item : items) {
    if (!item.made) continue;
    sources.push_back(item.from.attr.ino);
    targets.push_back(item.made->ino);
  }
  ASTER_CO_TRY(const auto all, co_await attributes(std::move(sources), std::string(kUserPrefix)));
  std::vector<fs::Operation> sets;
  for (size_t i = 0; i < all.size(); ++i) {
    for (const Attribute& one : all[i]) {
      sets.emplace_back(fs::SetXattr{targets[i], one.name, one.value});
    }
  }
  const auto answers = co_await call_each(namespaces_, caller_, std::move(sets), kPage);
  co_return first_failure(answers);
}

Task<Result<std::vector<std::vector<Tree::Attribute>>>> Tree::attributes(
    std::vector<InodeNo> inodes, std::string prefix) {
  std::vector<std::vector<Attribute>> found(inodes.size());
  if (inodes.empty()) co_return found;
  std::vector<fs::Operation> lists;
  for (const InodeNo ino : inodes) lists.emplace_back(fs::ListXattr{ino});
  const auto names = co_await call_each(namespaces_, caller_, std::move(lists), kAttributesAtOnce);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].failed_with(Errc::stale_handle)) continue;  // removed meanwhile
    if (!names[i].ok()) co_return names[i].error();
    std::vector<fs::Operation> gets;
    std::vector<std::string> wanted;
    for (const std::string& name : std::get<fs::XattrNames>(*names[i]).names) {
      if (!name.starts_with(prefix) || name.starts_with(kOwnPrefix)) continue;
      gets.emplace_back(fs::GetXattr{inodes[i], name});
      wanted.push_back(name);
    }
    if (gets.empty()) continue;
    auto values = co_await call_each(namespaces_, caller_, std::move(gets), kAttributesAtOnce);
    for (size_t k = 0; k < values.size(); ++k) {
      const bool gone =
          values[k].failed_with(Errc::no_attribute) || values[k].failed_with(Errc::stale_handle);
      if (gone) continue;  // removed meanwhile
      if (!values[k].ok()) co_return values[k].error();
      found[i].push_back({wanted[k], std::move(std::get<fs::XattrValue>(*values[k]).value)});
    }
  }
  co_return found;
}

}  // namespace aster::content

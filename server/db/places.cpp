#include "server/db/places.h"

#include <algorithm>

namespace aster::db {
namespace {

struct Name {
  InodeNo parent;
  std::string text;
};

/// At most one for a directory, none for a root.
std::vector<Name> names_of(Txn& txn, InodeNo ino) {
  std::vector<Name> names;
  Query q =
      txn.query("SELECT parent, name FROM dirents INDEXED BY dirents_by_ino WHERE ino=?1", ino);
  while (q.next()) names.push_back({InodeNo(q.uint64(0)), q.text(1)});
  return names;
}

}  // namespace

std::vector<InodeNo> directories_above(Txn& txn, InodeNo ino) {
  std::vector<InodeNo> above;
  Query q = txn.query(
      "WITH RECURSIVE up(ino) AS (SELECT ?1 UNION SELECT d.parent FROM up "
      "JOIN dirents d INDEXED BY dirents_by_ino ON d.ino=up.ino) SELECT ino FROM up WHERE ino<>?1",
      ino);
  while (q.next()) above.push_back(InodeNo(q.uint64(0)));
  return above;
}

std::optional<std::vector<std::string>> path_below(Txn& txn, InodeNo directory, InodeNo ino) {
  for (Name& last : names_of(txn, ino)) {
    std::vector<std::string> path{std::move(last.text)};
    InodeNo at = last.parent;
    while (at != directory) {
      std::vector<Name> names = names_of(txn, at);
      if (names.empty()) break;
      path.push_back(std::move(names.front().text));
      at = names.front().parent;
    }
    if (at != directory) continue;
    std::reverse(path.begin(), path.end());
    return path;
  }
  return std::nullopt;
}

}  // namespace aster::db

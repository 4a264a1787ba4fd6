#include "server/db/consistency.h"

namespace aster::db {
namespace {

constexpr size_t kExamplesMax = 10;

/// `find` gives one line of text for each row that breaks the rule. `repair` may be null; its ?1 is
/// the time.
struct Rule {
  const char* name;
  const char* find;
  const char* repair;
};

// Types of inodes and states of objects are as fs::FileType and ObjectState have them: 0 is a
// regular file, 1 a directory; 0 is pending, 1 live, 2 dead. Blocks have 131072 bytes.
constexpr Rule kRules[] = {
    {"name without inode",
     "SELECT 'name ' || quote(name) || ' in inode ' || parent FROM dirents "
     "WHERE ino NOT IN (SELECT ino FROM inodes)",
     nullptr},
    {"name in something that is no directory",
     "SELECT 'name ' || quote(name) || ' in inode ' || parent FROM dirents "
     "WHERE parent NOT IN (SELECT ino FROM inodes WHERE type=1)",
     nullptr},
    {"inode without name that nobody holds",
     "SELECT 'inode ' || ino FROM inodes WHERE ino NOT IN (SELECT ino FROM dirents) "
     "AND ino NOT IN (SELECT ino FROM orphans) AND ino NOT IN (SELECT root FROM workspaces) "
     "AND ino NOT IN (SELECT ino FROM kept)",
     nullptr},
    {"directory with several names or another parent than its name's",
     "SELECT 'inode ' || i.ino FROM inodes i JOIN dirents d ON d.ino=i.ino "
     "WHERE i.type=1 AND d.parent<>i.parent",
     nullptr},
    {"directory that no way leads to",
     "WITH RECURSIVE reached(ino) AS (SELECT root FROM workspaces UNION "
     "SELECT d.ino FROM reached r JOIN dirents d ON d.parent=r.ino "
     "JOIN inodes i ON i.ino=d.ino WHERE i.type=1) "
     "SELECT 'inode ' || ino FROM inodes WHERE type=1 AND ino NOT IN (SELECT ino FROM reached) "
     "AND ino NOT IN (SELECT ino FROM orphans) AND ino NOT IN (SELECT ino FROM kept)",
     nullptr},
    {"workspace without root directory",
     "SELECT 'workspace ' || id FROM workspaces "
     "WHERE root NOT IN (SELECT ino FROM inodes WHERE type=1)",
     nullptr},
    {"extents that overlap",
     "SELECT 'inode ' || ino || ' at ' || offset FROM (SELECT ino, offset, length, "
     "lead(offset) OVER (PARTITION BY ino ORDER BY offset) AS next FROM extents) "
     "WHERE next < offset + length",
     nullptr},
    {"extent of something that is no file",
     "SELECT 'inode ' || ino || ' at ' || offset FROM extents "
     "WHERE ino NOT IN (SELECT ino FROM inodes WHERE type=0)",
     nullptr},
    {"extent beyond the end of its file",
     "SELECT 'inode ' || e.ino || ' at ' || e.offset FROM extents e "
     "JOIN inodes i ON i.ino=e.ino WHERE e.offset + e.length > i.size",
     nullptr},
    {"extent whose object is not there or not live",
     "SELECT 'inode ' || ino || ' at ' || offset FROM extents "
     "WHERE object NOT IN (SELECT id FROM objects WHERE state=1)",
     nullptr},
    {"extent beyond the end of its object",
     "SELECT 'inode ' || e.ino || ' at ' || e.offset FROM extents e "
     "JOIN objects o ON o.id=e.object WHERE e.object_offset + e.length > o.size",
     nullptr},
    {"object without all its checksums",
     "SELECT 'object ' || hex(o.name) FROM objects o LEFT JOIN (SELECT object, "
     "sum(length(crcs)) / 4 AS blocks FROM object_checksums GROUP BY object) c ON c.object=o.id "
     "WHERE o.state=1 AND coalesce(c.blocks, 0) <> (o.size + 131071) / 131072",
     nullptr},
    {"object whose references are counted wrong",
     "SELECT 'object ' || hex(o.name) || ': ' || o.refs || ', but ' || coalesce(e.n, 0) "
     "FROM objects o LEFT JOIN (SELECT object, count(*) AS n FROM extents GROUP BY object) e "
     "ON e.object=o.id WHERE o.refs <> coalesce(e.n, 0)",
     // As when the last reference goes in normal work: a backup may name the object, and what lost
     // its extents by damage must not be gone before anybody can look.
     "UPDATE objects SET refs=n.n, since=CASE WHEN n.n=0 THEN ?1 ELSE since END "
     "FROM (SELECT o.id, count(e.object) AS n FROM objects o LEFT JOIN extents e ON e.object=o.id "
     "GROUP BY o.id) n WHERE n.id=objects.id AND refs<>n.n"},
    {"file whose names are counted wrong",
     "SELECT 'inode ' || i.ino || ': ' || i.nlink || ', but ' || coalesce(d.n, 0) FROM inodes i "
     "LEFT JOIN (SELECT ino, count(*) AS n FROM dirents GROUP BY ino) d ON d.ino=i.ino "
     "WHERE i.type<>1 AND i.nlink <> coalesce(d.n, 0)",
     "UPDATE inodes SET nlink=n.n FROM (SELECT ino, count(*) AS n FROM dirents GROUP BY ino "
     "UNION ALL SELECT ino, 0 FROM orphans WHERE ino NOT IN (SELECT ino FROM dirents) "
     "UNION ALL SELECT ino, 0 FROM kept WHERE ino NOT IN (SELECT ino FROM dirents)) n "
     "WHERE n.ino=inodes.ino AND type<>1 AND nlink<>n.n"},
    {"directory whose folders are counted wrong",
     "SELECT 'inode ' || i.ino || ': ' || i.nlink || ', but ' || (2 + coalesce(s.n, 0)) "
     "FROM inodes i LEFT JOIN (SELECT d.parent AS ino, count(*) AS n FROM dirents d "
     "JOIN inodes c ON c.ino=d.ino WHERE c.type=1 GROUP BY d.parent) s ON s.ino=i.ino "
     "WHERE i.type=1 AND i.nlink<>0 AND i.nlink <> 2 + coalesce(s.n, 0)",
     "UPDATE inodes SET nlink=2 + n.n FROM (SELECT p.ino, count(c.ino) AS n FROM inodes p "
     "LEFT JOIN dirents d ON d.parent=p.ino LEFT JOIN inodes c ON c.ino=d.ino AND c.type=1 "
     "WHERE p.type=1 GROUP BY p.ino) n "
     "WHERE n.ino=inodes.ino AND nlink<>0 AND nlink<>2 + n.n"},
    {"file whose stored bytes are counted wrong",
     "SELECT 'inode ' || i.ino || ': ' || i.allocated || ', but ' || coalesce(e.n, 0) "
     "FROM inodes i LEFT JOIN (SELECT ino, sum(length) AS n FROM extents GROUP BY ino) e "
     "ON e.ino=i.ino WHERE i.allocated <> coalesce(e.n, 0)",
     "UPDATE inodes SET allocated="
     "coalesce((SELECT sum(length) FROM extents WHERE ino=inodes.ino), 0) WHERE allocated <> "
     "coalesce((SELECT sum(length) FROM extents WHERE ino=inodes.ino), 0)"},
    {"something kept that has a name or is gone",
     "SELECT 'entry ' || id || ', inode ' || ino FROM kept WHERE ino IN (SELECT ino FROM dirents) "
     "OR ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM kept WHERE ino IN (SELECT ino FROM dirents) "
     "OR ino NOT IN (SELECT ino FROM inodes)"},
    {"something kept that is also about to be freed",
     // What is kept outlives what is only open, which the holds say anyway.
     "SELECT 'entry ' || id || ', inode ' || ino FROM kept WHERE ino IN (SELECT ino FROM orphans)",
     "DELETE FROM orphans WHERE ino IN (SELECT ino FROM kept)"},
    {"version of a file that is gone",
     // Versions of what is freed go with it: here damage took the row of the file, and they may be
     // the last of its content.
     "SELECT 'version ' || id || ' of inode ' || parent FROM kept "
     "WHERE kind=1 AND parent NOT IN (SELECT ino FROM inodes)",
     nullptr},
    {"something kept whose bytes are counted wrong",
     "SELECT 'entry ' || k.id || ': ' || k.bytes || ', but ' || i.allocated FROM kept k "
     "JOIN inodes i ON i.ino=k.ino WHERE k.kind<>2 AND k.bytes<>i.allocated",
     "UPDATE kept SET bytes=(SELECT allocated FROM inodes WHERE ino=kept.ino) "
     "WHERE kind<>2 AND ino IN (SELECT ino FROM inodes)"},
    {"workspace whose use is counted wrong",
     "SELECT 'workspace ' || w.id || ': ' || w.inodes || ' inodes, ' || w.bytes || ' bytes, ' "
     "|| w.pending_objects || ' uploads, but ' || coalesce(i.n, 0) || ', ' || coalesce(i.bytes, 0) "
     "|| ', ' || coalesce(o.n, 0) FROM workspaces w LEFT JOIN (SELECT workspace, count(*) AS n, "
     "sum(allocated) AS bytes FROM inodes WHERE ino NOT IN (SELECT ino FROM kept) "
     "GROUP BY workspace) i ON i.workspace=w.id "
     "LEFT JOIN (SELECT workspace, count(*) AS n FROM objects WHERE state=0 "
     // What a composition makes is nobody's upload and was never counted as one.
     "AND id NOT IN (SELECT target FROM compose_jobs) GROUP BY workspace) o ON o.workspace=w.id "
     "WHERE w.inodes <> coalesce(i.n, 0) OR w.bytes <> coalesce(i.bytes, 0) "
     "OR w.pending_objects <> coalesce(o.n, 0)",
     "UPDATE workspaces SET inodes=(SELECT count(*) FROM inodes WHERE workspace=workspaces.id "
     "AND ino NOT IN (SELECT ino FROM kept)), "
     "bytes=coalesce((SELECT sum(allocated) FROM inodes WHERE workspace=workspaces.id "
     "AND ino NOT IN (SELECT ino FROM kept)), 0), "
     "pending_objects=(SELECT count(*) FROM objects WHERE workspace=workspaces.id AND state=0 "
     "AND id NOT IN (SELECT target FROM compose_jobs))"},
    {"something in another quota tree than the folder it is in",
     // Files older than a quota may have names on both sides of its border; while one is being
     // counted or removed nobody can tell.
     "SELECT 'inode ' || i.ino || ': ' || coalesce(m.tree, 0) || ', but ' || coalesce(p.tree, 0) "
     "FROM dirents d JOIN inodes i ON i.ino=d.ino LEFT JOIN quota_members m ON m.ino=i.ino "
     "LEFT JOIN quota_members p ON p.ino=d.parent WHERE EXISTS (SELECT 1 FROM quota_trees) "
     "AND NOT EXISTS (SELECT 1 FROM quota_trees WHERE state<>1) "
     "AND coalesce(m.tree, 0) <> CASE WHEN i.ino IN (SELECT root FROM quota_trees) THEN i.ino "
     "ELSE coalesce(p.tree, 0) END AND (i.type=1 OR i.btime > (SELECT max(created) "
     "FROM quota_trees WHERE root IN (m.tree, p.tree)))",
     "WITH RECURSIVE dirs(ino, tree) AS (SELECT root, CASE WHEN root IN (SELECT root FROM "
     "quota_trees) THEN root ELSE 0 END FROM workspaces UNION ALL SELECT i.ino, CASE WHEN i.ino IN "
     "(SELECT root FROM quota_trees) THEN i.ino ELSE r.tree END FROM dirs r JOIN dirents d "
     "ON d.parent=r.ino JOIN inodes i ON i.ino=d.ino WHERE i.type=1) "
     "INSERT OR REPLACE INTO quota_members(ino, tree) SELECT ino, tree FROM dirs UNION ALL "
     "SELECT i.ino, r.tree FROM dirs r JOIN dirents d ON d.parent=r.ino JOIN inodes i "
     "ON i.ino=d.ino WHERE i.type<>1 AND i.nlink=1"},
    {"member of a quota tree that is gone, or itself gone",
     "SELECT 'inode ' || ino || ' in ' || tree FROM quota_members WHERE tree NOT IN "
     "(SELECT root FROM quota_trees) OR ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM quota_members WHERE tree NOT IN (SELECT root FROM quota_trees) "
     "OR ino NOT IN (SELECT ino FROM inodes)"},
    {"quota tree whose bytes are counted wrong",
     "WITH RECURSIVE within(root, tree) AS (SELECT root, root FROM quota_trees UNION SELECT "
     "w.root, "
     "t.root FROM within w JOIN quota_trees t ON t.parent=w.tree) "
     "SELECT 'folder ' || t.root || ': ' || t.used || ', but ' || coalesce(s.n, 0) "
     "FROM quota_trees t LEFT JOIN (SELECT w.root, sum(i.allocated) AS n FROM within w "
     "JOIN quota_members m ON m.tree=w.tree JOIN inodes i ON i.ino=m.ino "
     "WHERE i.ino NOT IN (SELECT ino FROM kept) GROUP BY w.root) s ON s.root=t.root "
     "WHERE t.state<>2 AND t.used <> coalesce(s.n, 0)",
     "WITH RECURSIVE within(root, tree) AS (SELECT root, root FROM quota_trees UNION SELECT "
     "w.root, "
     "t.root FROM within w JOIN quota_trees t ON t.parent=w.tree) "
     "UPDATE quota_trees SET used=coalesce((SELECT sum(i.allocated) FROM within w "
     "JOIN quota_members m ON m.tree=w.tree JOIN inodes i ON i.ino=m.ino "
     "WHERE w.root=quota_trees.root AND i.ino NOT IN (SELECT ino FROM kept)), 0) WHERE state<>2"},
    {"attribute of an inode that is gone",
     "SELECT 'attribute ' || quote(name) || ' of inode ' || ino FROM xattrs "
     "WHERE ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM xattrs WHERE ino NOT IN (SELECT ino FROM inodes)"},
    {"setting of a directory that is gone",
     "SELECT 'setting ' || quote(name) || ' of inode ' || ino FROM directory_settings "
     "WHERE ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM directory_settings WHERE ino NOT IN (SELECT ino FROM inodes)"},
    {"hold on an inode that is gone",
     "SELECT 'inode ' || ino FROM holds WHERE ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM holds WHERE ino NOT IN (SELECT ino FROM inodes)"},
    {"file without name that has a name or is gone",
     "SELECT 'inode ' || ino FROM orphans WHERE ino IN (SELECT ino FROM dirents) "
     "OR ino NOT IN (SELECT ino FROM inodes)",
     "DELETE FROM orphans WHERE ino IN (SELECT ino FROM dirents) "
     "OR ino NOT IN (SELECT ino FROM inodes)"},
};

}  // namespace

std::vector<Finding> check_consistency(Txn& txn) {
  std::vector<Finding> findings;
  for (const Rule& rule : kRules) {
    Finding finding{rule.name, 0, {}, rule.repair != nullptr};
    Query q = txn.query(rule.find);
    while (q.next()) {
      ++finding.count;
      if (finding.examples.size() < kExamplesMax) finding.examples.push_back(q.text(0));
    }
    if (finding.count > 0) findings.push_back(std::move(finding));
  }
  return findings;
}

uint64_t repair_consistency(Txn& txn, int64_t now) {
  uint64_t changed = 0;
  for (const Rule& rule : kRules) {
    if (rule.repair == nullptr) continue;
    bool broken = false;
    {
      Query q = txn.query(rule.find);
      broken = q.next();
    }
    if (broken) changed += static_cast<uint64_t>(txn.exec(rule.repair, now));
  }
  return changed;
}

}  // namespace aster::db

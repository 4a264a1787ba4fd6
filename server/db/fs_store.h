#pragma once

#include "server/db/compose_store.h"
#include "server/db/extent_store.h"
#include "server/db/inode_store.h"
#include "server/db/journal_store.h"
#include "server/db/object_store.h"
#include "server/db/session_store.h"
#include "server/db/txn.h"
#include "server/db/workspace_store.h"

namespace aster::db {

/// Everything of the file system that one transaction can reach.
struct FsStore {
  explicit FsStore(Txn& t)
      : txn(t),
        workspaces(t),
        inodes(t),
        extents(t),
        objects(t),
        journal(t),
        sessions(t),
        compose(t) {}

  Txn& txn;
  WorkspaceStore workspaces;
  InodeStore inodes;
  ExtentStore extents;
  ObjectStore objects;
  JournalStore journal;
  SessionStore sessions;
  ComposeStore compose;
};

}  // namespace aster::db

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/fs_store.h"
#include "server/db/txn.h"

namespace aster::db {

enum class MigrationState : uint8_t { listing, moving, done, failed, cancelled };

/// A job that moves the data of a tree to another policy.
struct MigrationRow {
  uint64_t id = 0;
  uint64_t workspace = 0;
  InodeNo root;
  std::string path;  ///< for people
  PolicyId policy;
  uint64_t rate = 0;  ///< bytes per second, 0 = any
  MigrationState state = MigrationState::listing;
  uint64_t files = 0;
  uint64_t files_done = 0;
  uint64_t bytes = 0;  ///< that lay elsewhere when the files were listed
  uint64_t bytes_done = 0;
  std::string problem;
  int64_t created_at = 0;
  int64_t updated_at = 0;
};

/// Rows of migration jobs and of what they still have to do. Failures are kept by the Txn.
class MigrationStore {
 public:
  explicit MigrationStore(Txn& txn) : txn_(txn) {}

  /// Returns its id.
  uint64_t insert(const MigrationRow& row);
  std::optional<MigrationRow> find(uint64_t id);
  /// The latest first.
  std::vector<MigrationRow> all(size_t limit);
  /// The oldest one that is listing or moving.
  std::optional<MigrationRow> next();
  void set_state(uint64_t id, MigrationState state, const std::string& problem, int64_t now);
  struct Progress {
    uint64_t files = 0;
    uint64_t files_done = 0;
    uint64_t bytes = 0;
    uint64_t bytes_done = 0;
  };
  void add_progress(uint64_t id, const Progress& progress, int64_t now);
  /// Whether a job that is listing or moving has it as its destination.
  bool names_policy(PolicyId policy);

  enum class Kind : uint8_t { directory, file };
  /// False when it was there already.
  bool add_inode(uint64_t job, Kind kind, InodeNo ino);
  void remove_inode(uint64_t job, Kind kind, InodeNo ino);
  std::optional<InodeNo> first_inode(uint64_t job, Kind kind);
  void forget_inodes(uint64_t job);
  /// Whether a job that is listing or moving still has to move the file.
  bool is_moving(InodeNo file);

  /// Bytes of the file's extents whose objects are of another policy than `policy`.
  uint64_t bytes_elsewhere(InodeNo file, PolicyId policy);
  /// The first of them.
  std::optional<ExtentRow> first_elsewhere(InodeNo file, PolicyId policy);
  /// Extents of the job's files that name bytes [begin, end) of the object.
  std::vector<ExtentStore::Reference> references(uint64_t job, uint64_t object, uint64_t begin,
                                                 uint64_t end);
  /// What is kept of it: of a directory what was deleted in it, of a file its versions.
  std::vector<InodeNo> kept_of(InodeNo ino);

 private:
  Txn& txn_;
};

}  // namespace aster::db

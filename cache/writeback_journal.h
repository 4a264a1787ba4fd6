#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster {

/// Written data of one file that was promised to be safe, and what is needed to send it later.
struct JournaledWrite {
  struct Piece {
    uint64_t offset;
    Bytes data;
  };
  InodeNo ino;
  uint64_t base = 0;  ///< data_version that the writer knew
  InodeNo parent;     ///< a name of the file at that time; parent 0: none is known
  std::string name;
  int64_t mtime = 0;
  std::string attributes;  ///< changes to be sent along, in the words of the caller
  std::vector<Piece> pieces;
  uint64_t number = 0;  ///< given by the journal: the order of all writes
};

/// What a journal holds of one file.
struct RecoveredWrites {
  InodeNo ino;
  /// The newest data_version that this client saw or made. Another one at the primary means that
  /// somebody else changed the file.
  uint64_t expected_version = 0;
  std::vector<JournaledWrite> writes;  ///< in order, without their data: see data()
  /// A request that was sent, with operation ids, and covers the writes up to `covers`; whether it
  /// was answered is not known.
  struct Sent {
    uint64_t covers = 0;
    std::string request;
  };
  std::optional<Sent> sent;
};

struct JournalOptions {
  std::filesystem::path directory;  ///< made when missing, with its parents
  uint64_t limit_bytes = 1ull << 30;
  /// Which drive and user it belongs to. A journal that holds writes of another one is refused.
  std::string identity;
};

/// The write-back journal of a mount with durability=local. What append() took survives a crash of
/// the process and of the machine: data and intent go into one synced write, shared by all who wait
/// at that moment. Thread-safe; tasks go on on the executor.
///
/// The life of a write: append -> note_sent, before the commit leaves -> retire, after its answer.
/// After a crash the sent request is repeated under the same operation ids, so that it is applied
/// exactly once; what it does not cover is sent anew.
class WritebackJournal {
 public:
  /// locked: another mount uses it. precondition_failed: it holds writes of another drive.
  /// corrupt, io_error: it cannot be read; nothing was changed.
  static Result<std::unique_ptr<WritebackJournal>> open(JournalOptions options, Executor& executor);
  ~WritebackJournal();
  WritebackJournal(const WritebackJournal&) = delete;
  WritebackJournal& operator=(const WritebackJournal&) = delete;

  /// Durable when it returns: the number of the write. no_space when the journal or its disk is
  /// full: nothing was kept of it.
  Task<Result<uint64_t>> append(JournaledWrite write);
  /// `request`, which carries the writes of the file up to number `covers`, is about to be sent.
  Task<Result<void>> note_sent(InodeNo ino, uint64_t covers, std::string request);
  /// It was answered: these writes are safe at the primary, whose data_version is `version` now.
  void retire(InodeNo ino, uint64_t covers, uint64_t version);
  /// It was not applied and never will be.
  void forget_sent(InodeNo ino);
  /// The file is gone by this client's own will.
  void drop(InodeNo ino);
  /// The writes belong to another file now, whose data_version is `version` (a conflict copy).
  Task<Result<void>> hand_over(InodeNo from, InodeNo to, uint64_t version);

  /// Room under the bound for data of others on the same disk. False: there is not that much.
  bool set_aside(uint64_t amount);
  void give_back(uint64_t amount);

  /// It is time to send what it holds.
  bool half_full() const;
  /// False: opened only to send what an earlier mount left (limit_bytes 0).
  bool takes_new() const;
  /// A name that is answered before the primary knows it, to be sent later; in the words of the
  /// caller. Not yet durable: the next append() or sync() makes it so, and never what was noted
  /// later without it. The number to retire it by. no_space when the journal is full.
  Result<uint64_t> note_name(InodeNo ino, std::string text);
  /// Its text is another one now.
  void replace_name(uint64_t number, InodeNo ino, std::string text);
  /// The primary has it.
  void retire_name(uint64_t number);
  /// Everything noted so far is durable when it returns.
  Task<Result<void>> sync();
  struct Note {
    uint64_t number = 0;
    InodeNo ino;
    std::string text;
  };
  /// What was noted and not retired, in order.
  Result<std::vector<Note>> names() const;
  bool holds_name(InodeNo ino) const;

  std::vector<InodeNo> files() const;
  /// True while it has something of the file.
  bool holds(InodeNo ino) const;
  Result<RecoveredWrites> load(InodeNo ino) const;
  /// The data of one write of load(), unless it was retired meanwhile. corrupt: it is damaged.
  Result<std::vector<JournaledWrite::Piece>> data(uint64_t number) const;

  struct Stats {
    uint64_t bytes = 0;
    uint64_t limit = 0;
    uint64_t files = 0;
    uint64_t writes = 0;
    uint64_t names = 0;
  };
  Stats stats() const;

 private:
  struct State;
  explicit WritebackJournal(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace aster

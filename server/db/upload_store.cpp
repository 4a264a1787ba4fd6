#include "server/db/upload_store.h"

#include "protocol/base/clock.h"
#include "server/db/database.h"

namespace aster::db {
namespace {

void drop(Txn& txn, std::string_view id) {
  txn.exec("DELETE FROM file_upload_parts WHERE upload = ?1", id);
  txn.exec("DELETE FROM file_uploads WHERE id = ?1", id);
}

}  // namespace

Task<Result<void>> UploadStore::create(UploadRow upload, uint64_t most) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec(
        "DELETE FROM file_upload_parts WHERE upload IN"
        " (SELECT id FROM file_uploads WHERE expires_at <= ?1)",
        now);
    txn.exec("DELETE FROM file_uploads WHERE expires_at <= ?1", now);
    auto count = txn.query("SELECT count(*) FROM file_uploads WHERE user = ?1", upload.user);
    if (count.next() && count.uint64(0) >= most) {
      return fail(Errc::out_of_resources, "too many uploads are open: finish or remove some");
    }
    txn.exec(
        "INSERT INTO file_uploads(id, user, workspace, folder, name, path, total_size, chunk_size,"
        " overwrite, expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        upload.id, upload.user, upload.workspace, upload.folder, Blob{upload.name}, upload.path,
        upload.total_size, upload.chunk_size, upload.overwrite, upload.expires_at);
    return ok();
  });
}

Task<Result<UploadRow>> UploadStore::find(UserId user, std::string id) {
  const int64_t now = clock_.now_seconds();
  auto body = [&](Txn& txn) -> Result<UploadRow> {
    auto q = txn.query(
        "SELECT user, workspace, folder, name, path, total_size, chunk_size, overwrite, expires_at"
        " FROM file_uploads WHERE id = ?1 AND user = ?2 AND expires_at > ?3",
        id, user, now);
    if (!q.next()) return fail(Errc::not_found, "no such upload, or it has expired");
    UploadRow row{.id = id, .user = user};
    row.workspace = q.uint64(1);
    row.folder = InodeNo(q.uint64(2));
    row.name = q.text(3);
    row.path = q.text(4);
    row.total_size = q.uint64(5);
    row.chunk_size = q.uint64(6);
    row.overwrite = q.int64(7) != 0;
    row.expires_at = q.int64(8);
    return row;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<uint64_t>> UploadStore::put_part(std::string id, uint64_t number, std::string content) {
  co_return co_await database_.write([&](Txn& txn) -> Result<uint64_t> {
    if (!txn.query("SELECT 1 FROM file_uploads WHERE id = ?1", id).next()) {
      return fail(Errc::not_found, "the upload was removed meanwhile");
    }
    txn.exec("INSERT OR REPLACE INTO file_upload_parts(upload, number, content) VALUES(?1, ?2, ?3)",
             id, number, content);
    auto count = txn.query("SELECT count(*) FROM file_upload_parts WHERE upload = ?1", id);
    return count.next() ? count.uint64(0) : 0;
  });
}

Task<Result<std::vector<uint64_t>>> UploadStore::part_numbers(std::string id) {
  auto body = [&](Txn& txn) -> Result<std::vector<uint64_t>> {
    std::vector<uint64_t> found;
    auto q =
        txn.query("SELECT number FROM file_upload_parts WHERE upload = ?1 ORDER BY number", id);
    while (q.next()) found.push_back(q.uint64(0));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<std::vector<std::string>>> UploadStore::parts(std::string id) {
  auto body = [&](Txn& txn) -> Result<std::vector<std::string>> {
    std::vector<std::string> found;
    auto q =
        txn.query("SELECT content FROM file_upload_parts WHERE upload = ?1 ORDER BY number", id);
    while (q.next()) found.push_back(q.text(0));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> UploadStore::remove(std::string id) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    drop(txn, id);
    return ok();
  });
}

}  // namespace aster::db

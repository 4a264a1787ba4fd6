#include <boost/json.hpp>

#include "protocol/base/ids.h"
#include "protocol/fs/json.h"
#include "protocol/json_reader.h"
#include "server/content/namespace_call.h"
#include "server/files/file_api.h"
#include "server/primary/api_json.h"

namespace aster::files {

namespace json = boost::json;

namespace {

constexpr uint64_t kChunk = 16 << 20;
constexpr uint64_t kChunksMax = 4096;
constexpr uint64_t kOpenMax = 100;  ///< uploads of one user
/// Less than a grant lives: what an upload knows of is there when it is completed.
constexpr int64_t kLifetime = 20 * 3600;

http::Response reply(int status, const json::object& data) {
  return http::Response::json(status, fs::success_envelope(json::serialize(data)));
}

uint64_t chunk_size_for(uint64_t total) {
  const uint64_t least = (total + kChunksMax - 1) / kChunksMax;
  return std::max(kChunk, (least + kBlockSize - 1) / kBlockSize * kBlockSize);
}

/// The stored form of a part: the commit it will be.
std::string encode_part(content::Uploaded part) {
  fs::Commit commit;
  commit.extents = std::move(part.extents);
  commit.objects = std::move(part.objects);
  fs::BatchRequest batch;
  batch.items.push_back({std::move(commit), OperationId::random()});
  return fs::encode(batch);
}

Result<void> append_part(content::Uploaded& whole, const std::string& text) {
  ASTER_TRY(fs::BatchRequest batch, fs::decode_batch_request(text));
  if (batch.items.size() != 1) return fail(Errc::internal, "a stored part is damaged");
  auto* const commit = std::get_if<fs::Commit>(&batch.items[0].operation);
  if (commit == nullptr) return fail(Errc::internal, "a stored part is damaged");
  for (fs::Extent& extent : commit->extents) {
    if (extent.offset != whole.size) return fail(Errc::internal, "stored parts do not join");
    whole.size += extent.length;
    whole.extents.push_back(extent);
  }
  for (fs::NewObject& object : commit->objects) whole.objects.push_back(std::move(object));
  return ok();
}

json::object progress(const db::UploadRow& upload, const std::vector<uint64_t>& received) {
  return {{"upload_id", upload.id},
          {"total_size", upload.total_size},
          {"chunk_size", upload.chunk_size},
          {"total_chunks", upload.total_chunks()},
          {"received_count", received.size()},
          {"received", json::array(received.begin(), received.end())},
          {"expires_at", primary::rfc3339(upload.expires_at)}};
}

}  // namespace

FileApi::Answer FileApi::begin_upload(Exchange& exchange) {
  ASTER_CO_TRY(const std::string body,
               co_await primary::read_body(exchange.request, primary::kMaxApiBody));
  ASTER_CO_TRY(const json::object object, parse_json_object(body, primary::kMaxApiBody));
  JsonReader reader(object);
  db::UploadRow upload;
  std::string text;
  reader.required("path", text);
  reader.required("total_size", upload.total_size);
  reader.optional("overwrite", upload.overwrite);
  ASTER_CO_TRY(upload, reader.finish(std::move(upload)));
  if (upload.total_size > limit_) {
    co_return fail(Errc::too_large, "at most " + std::to_string(limit_) + " bytes");
  }
  ASTER_CO_TRY(content::Path path, content::decode_path(text));
  ASTER_CO_TRY(const content::Spot spot, co_await exchange.tree.find(std::move(path)));
  if (spot.is_root() || spot.is_directory()) co_return fail(Errc::is_directory, "this is a folder");
  if (!spot.has_parent) co_return fail(Errc::not_found, "the folder above is missing");
  if (spot.node && !upload.overwrite)
    co_return fail(Errc::exists, "there is a file: overwrite it?");
  if (exchange.caller.read_only) co_return fail(Errc::read_only, "you may only read here");
  upload.id = random_hex(16);
  upload.user = exchange.caller.user;
  upload.workspace = exchange.caller.workspace;
  upload.folder = spot.parent().ino;
  upload.name = spot.name();
  upload.path = content::encode_path(spot.path);
  upload.chunk_size = chunk_size_for(upload.total_size);
  upload.expires_at = parts_.clock.now_seconds() + kLifetime;
  ASTER_CO_TRY(co_await uploads_.create(upload, kOpenMax));
  co_return reply(201, progress(upload, {}));
}

Task<Result<db::UploadRow>> FileApi::upload_of(Exchange& exchange) {
  ASTER_CO_TRY(db::UploadRow upload,
               co_await uploads_.find(exchange.caller.user, std::string(exchange.rest)));
  ASTER_CO_TRY(const content::Path path, content::decode_path(upload.path));
  const bool here = upload.workspace == exchange.caller.workspace;
  if (!here || !exchange.tree.admits(path)) {
    co_return fail(Errc::not_found, "no such upload here: it is in another workspace or folder");
  }
  co_return upload;
}

FileApi::Answer FileApi::show_upload(Exchange& exchange) {
  ASTER_CO_TRY(const db::UploadRow upload, co_await upload_of(exchange));
  ASTER_CO_TRY(const auto received, co_await uploads_.part_numbers(upload.id));
  co_return reply(200, progress(upload, received));
}

FileApi::Answer FileApi::put_part(Exchange& exchange) {
  ASTER_CO_TRY(const db::UploadRow upload, co_await upload_of(exchange));
  const auto number = parse_decimal<uint64_t>(exchange.request.path_args[1]);
  if (!number || *number >= upload.total_chunks()) {
    co_return fail(Errc::bad_request,
                   "parts are numbered from 0 to " + std::to_string(upload.total_chunks()) + "-1");
  }
  const uint64_t offset = *number * upload.chunk_size;
  const uint64_t length = std::min(upload.chunk_size, upload.total_size - offset);
  if (exchange.request.content_length.value_or(length) != length) {
    co_return fail(Errc::bad_request, "this part has " + std::to_string(length) + " bytes");
  }
  content::Incoming incoming{exchange.request.body, exchange.request.content_length, length,
                             offset};
  ASTER_CO_TRY(content::Uploaded part,
               co_await writer_.upload(exchange.caller, upload.folder, std::move(incoming),
                                       upload.total_size));
  if (part.size != length) {
    co_return fail(Errc::bad_request, "this part has " + std::to_string(length) + " bytes");
  }
  ASTER_CO_TRY(const uint64_t received,
               co_await uploads_.put_part(upload.id, *number, encode_part(std::move(part))));
  co_return reply(200, {{"received_count", received}, {"total_chunks", upload.total_chunks()}});
}

FileApi::Answer FileApi::complete_upload(Exchange& exchange) {
  ASTER_CO_TRY(const db::UploadRow upload, co_await upload_of(exchange));
  ASTER_CO_TRY(const auto parts, co_await uploads_.parts(upload.id));
  if (parts.size() != upload.total_chunks()) {
    co_return fail(Errc::precondition_failed, std::to_string(parts.size()) + " of " +
                                                  std::to_string(upload.total_chunks()) +
                                                  " parts have arrived");
  }
  if (exchange.caller.only != nullptr) {
    // The folder may have been moved out of the token's since the upload began.
    ASTER_CO_TRY(content::Path path, content::decode_path(upload.path));
    ASTER_CO_TRY(const content::Spot spot, co_await exchange.tree.find(std::move(path)));
    if (!spot.has_parent || spot.parent().ino != upload.folder) {
      co_return fail(Errc::precondition_failed, "the folder above was moved or removed");
    }
  }
  content::Uploaded whole;
  for (const std::string& part : parts) ASTER_CO_TRY(append_part(whole, part));
  fs::GetAttr ask{upload.folder};
  ASTER_CO_TRY(const fs::Attr folder, co_await content::call<fs::Attr>(
                                          parts_.namespaces, exchange.caller, std::move(ask)));
  // Who never got the answer may ask again: parts are kept for a shorter time than answers.
  content::CommitOptions options{.id = OperationId::from_hex(upload.id)};
  Result<fs::Attr> stored = fail(Errc::internal);
  if (const auto before = co_await writer_.done_before(exchange.caller, *options.id)) {
    stored = *before;
  } else {
    stored = co_await writer_.create(exchange.caller, folder, upload.name, whole, options);
  }
  if (stored.failed_with(Errc::exists) && upload.overwrite) {
    fs::Lookup lookup{upload.folder, upload.name};
    ASTER_CO_TRY(const fs::Attr there, co_await content::call<fs::Attr>(
                                           parts_.namespaces, exchange.caller, std::move(lookup)));
    ASTER_CO_TRY(content::Path named, content::decode_path(upload.path));
    ASTER_CO_TRY(content::Spot spot, co_await exchange.tree.find(std::move(named)));
    if (!spot.has_parent || spot.parent().ino != folder.ino) spot.above = {folder};  // it moved
    spot.node = there;
    ASTER_CO_TRY(spare_locks(spot));
    stored = co_await writer_.replace(exchange.caller, there.ino, std::move(whole), options);
  }
  if (!stored.ok()) co_return stored.error();
  ASTER_CO_TRY(co_await uploads_.remove(upload.id));
  ASTER_CO_TRY(const content::Path path, content::decode_path(upload.path));
  co_return http::Response::json(201, fs::success_envelope(info_json(*stored, path)));
}

FileApi::Answer FileApi::drop_upload(Exchange& exchange) {
  ASTER_CO_TRY(const db::UploadRow upload, co_await upload_of(exchange));
  if (exchange.caller.read_only) co_return fail(Errc::read_only, "you may only read here");
  ASTER_CO_TRY(co_await uploads_.remove(upload.id));
  co_return http::Response::json(200, fs::success_envelope({}));
}

}  // namespace aster::files

#pragma once

#include <string>

#include "protocol/http_text.h"
#include "server/content/content_reader.h"
#include "server/content/content_writer.h"
#include "server/content/tree.h"
#include "server/db/upload_store.h"
#include "server/primary/front_end.h"
#include "server/primary/guest_locks.h"

namespace aster::files {

struct FileApiOptions {
  /// Entries of folders that one answer to a search reads, about: a second or two of work.
  size_t searched_entries = 200'000;
};

/// Files by paths for scripts: aster-api(7), "FILES BY PATH". Outlives the server that uses its
/// routes.
class FileApi final : public primary::FrontEnd {
 public:
  FileApi(const primary::FrontEndParts& parts, FileApiOptions options);

  void add_routes(http::Router& router) override;

 private:
  /// One request of a proven user.
  struct Exchange {
    http::Request& request;
    primary::Caller caller;
    content::Tree tree;
    QueryList query;
    std::string_view rest;  ///< of the path, raw
  };
  using Answer = Task<Result<http::Response>>;
  using Method = Answer (FileApi::*)(Exchange&);

  Task<http::Response> answer(http::Request& request, Method method);
  Answer admit_and_run(http::Request& request, Method method);

  Answer download(Exchange& exchange);
  Answer upload(Exchange& exchange);
  Answer remove(Exchange& exchange);
  Answer info(Exchange& exchange);
  Answer list(Exchange& exchange);
  Answer make_folder(Exchange& exchange);
  Answer copy(Exchange& exchange);
  Answer move(Exchange& exchange);
  Answer search(Exchange& exchange);

  Answer begin_upload(Exchange& exchange);
  Answer show_upload(Exchange& exchange);
  Answer put_part(Exchange& exchange);
  Answer complete_upload(Exchange& exchange);
  Answer drop_upload(Exchange& exchange);

  Task<Result<content::Spot>> spot_of(Exchange& exchange);
  struct Transfer {
    content::Spot from;
    content::Spot to;
  };
  Task<Result<Transfer>> plan_transfer(Exchange& exchange, bool is_move);
  /// `locked` while a program on a mount or a WebDAV client has a lock on what is there.
  Result<void> spare_locks(const content::Spot& spot) const;
  /// The same for all below, too.
  Task<Result<void>> spare_locks_below(const content::Spot& spot) const;
  Task<Result<db::UploadRow>> upload_of(Exchange& exchange);

  const primary::FrontEndParts parts_;
  const FileApiOptions options_;
  primary::GuestLocks* const locks_;  ///< of everybody; may be null
  content::ObjectPlaces places_;
  content::ContentReader reader_;
  content::ContentWriter writer_;
  db::UploadStore uploads_;
  const uint64_t limit_;  ///< of one upload
};

Result<std::unique_ptr<primary::FrontEnd>> make_front_end(const primary::FrontEndParts& parts);
/// With other bounds than usual.
primary::MakeFrontEnd make_front_end_with(FileApiOptions options);

/// What is told of a file or folder, as JSON.
std::string info_json(const fs::Attr& attr, const content::Path& path);
std::string items_json(const std::vector<std::string>& items);

}  // namespace aster::files

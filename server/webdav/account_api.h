#pragma once

#include <string>

#include "server/content/tree.h"
#include "server/db/webdav_store.h"
#include "server/primary/front_end.h"

namespace aster::webdav {

/// /api/v1/webdav-accounts: a user's names and passwords for WebDAV. Outlives the server that uses
/// its routes.
class AccountApi {
 public:
  AccountApi(const primary::FrontEndParts& parts, db::WebdavStore& store, std::string prefix)
      : parts_(parts), store_(store), prefix_(std::move(prefix)) {}

  void add_routes(http::Router& router);

 private:
  using Reply = ApiResult<primary::ApiReply>;
  Task<Reply> create(primary::ApiCall call);
  Task<Reply> list(primary::ApiCall call);
  Task<Reply> remove(primary::ApiCall call);
  Task<Reply> toggle(primary::ApiCall call);
  Task<Reply> settings(primary::ApiCall call);
  struct Wanted;
  Task<Result<void>> choose_root(primary::Identity who, const Wanted& wanted,
                                 db::WebdavAccountRow& row);

  const primary::FrontEndParts parts_;
  db::WebdavStore& store_;
  const std::string prefix_;
};

}  // namespace aster::webdav

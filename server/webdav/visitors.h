#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/guarded.h"
#include "server/db/webdav_store.h"
#include "server/primary/front_end.h"

namespace aster::webdav {

/// Who a request comes from, and the tree it sees.
struct Visitor {
  primary::Caller caller;
  InodeNo root;
  std::vector<InodeNo> outside;  ///< directories above `root`, the workspace's root first
  std::string principal;         ///< whose locks are whose: the name that was proven
};

/// Proves Basic (a WebDAV account, or a user with the own password or a token as password) and
/// Bearer authorization. A password that was right is believed for a minute, without another run of
/// argon2id; whatever revokes anything in this process ends that at once, and a token is never
/// believed beyond its own end. Thread-safe.
class Visitors {
 public:
  Visitors(const primary::FrontEndParts& parts, db::WebdavStore& store);

  /// token_invalid (nothing was offered), credentials_failed, rate_limited; stale_handle when the
  /// folder of an account is gone.
  Task<Result<Visitor>> admit(const http::Request& request);

 private:
  struct Belief {
    Visitor visitor;
    uint64_t revocations = 0;
    SteadyTime until;
    int64_t expires_at = 0;  ///< unix seconds, of the token that was the password; 0 = never
  };
  struct Proven {
    Visitor visitor;
    int64_t expires_at = 0;  ///< as in Belief
  };
  struct Offer {
    std::string name;
    std::string password;
    std::string peer;
    std::string key;  ///< of the belief
  };
  std::optional<Visitor> believed(const std::string& key) const;
  Task<Result<Visitor>> prove(Offer offer);
  Task<Result<Proven>> prove_account(db::WebdavAccountRow account, const Offer& offer);
  Task<Result<Proven>> prove_user(const Offer& offer);
  Task<Result<Visitor>> tree_of(primary::Identity who, std::string workspace);
  Task<Result<std::vector<InodeNo>>> above(primary::Caller caller, InodeNo folder);

  const primary::FrontEndParts parts_;
  db::WebdavStore& store_;
  const std::string secret_;  ///< passwords are kept only as a MAC under this
  AsyncMutex proving_;        ///< many connections of one client prove their password once
  Guarded<std::unordered_map<std::string, Belief>> beliefs_;
};

}  // namespace aster::webdav

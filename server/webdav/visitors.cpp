#include "server/webdav/visitors.h"

#include "protocol/base/ids.h"
#include "protocol/base/text.h"
#include "protocol/checksum.h"
#include "protocol/http_text.h"
#include "server/content/namespace_call.h"

namespace aster::webdav {
namespace {

constexpr std::chrono::seconds kBelieved{60};
constexpr size_t kBeliefsMax = 10'000;
constexpr std::string_view kTokenPrefix = "ast_";
constexpr int kDepthMax = 4096;

/// What follows a scheme's name; nullopt for another scheme.
std::optional<std::string> after_scheme(std::string_view header, std::string_view scheme) {
  header = trim(header);
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
      !equals_ignoring_case(header.substr(0, scheme.size()), scheme)) {
    return std::nullopt;
  }
  return std::string(trim(header.substr(scheme.size())));
}

}  // namespace

Visitors::Visitors(const primary::FrontEndParts& parts, db::WebdavStore& store)
    : parts_(parts), store_(store), secret_(random_hex(32)), proving_(parts.work) {}

Task<Result<Visitor>> Visitors::admit(const http::Request& request) {
  const std::string* const header = request.header("Authorization");
  if (header == nullptr) co_return fail(Errc::token_invalid, "a name and password are needed");
  if (const auto token = after_scheme(*header, "Bearer")) {
    ASTER_CO_TRY(primary::Identity who, co_await parts_.accounts.authenticate(*token));
    co_return co_await tree_of(std::move(who), {});
  }
  const auto encoded = after_scheme(*header, "Basic");
  const auto pair = encoded ? decode_base64(*encoded) : std::nullopt;
  const size_t colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    co_return fail(Errc::token_invalid, "Authorization is neither Basic nor Bearer");
  }
  Offer offer{pair->substr(0, colon), pair->substr(colon + 1), request.peer, {}};
  offer.key = to_hex(hmac_sha256(as_bytes(secret_), as_bytes(*pair)));
  if (auto known = believed(offer.key)) co_return std::move(*known);
  const auto turn = co_await proving_.acquire();
  if (auto known = believed(offer.key)) co_return std::move(*known);
  co_return co_await prove(std::move(offer));
}

std::optional<Visitor> Visitors::believed(const std::string& key) const {
  const auto beliefs = beliefs_.lock();
  const auto found = beliefs->find(key);
  if (found == beliefs->end()) return std::nullopt;
  const Belief& belief = found->second;
  const bool expired = belief.expires_at != 0 && belief.expires_at <= parts_.clock.now_seconds();
  const bool holds = !expired && parts_.clock.steady() < belief.until &&
                     belief.revocations == parts_.accounts.revocations();
  if (!holds) return std::nullopt;
  return belief.visitor;
}

Task<Result<Visitor>> Visitors::prove(Offer offer) {
  const uint64_t before = parts_.accounts.revocations();
  auto account = co_await store_.account_by_name(offer.name);
  if (!account.ok() && !account.failed_with(Errc::not_found)) co_return account.error();
  Task<Result<Proven>> proof =
      account.ok() ? prove_account(std::move(*account), offer) : prove_user(offer);
  ASTER_CO_TRY(Proven proven, co_await std::move(proof));
  Visitor visitor = std::move(proven.visitor);
  visitor.principal = offer.name;
  const auto beliefs = beliefs_.lock();
  if (beliefs->size() >= kBeliefsMax) beliefs->clear();
  Belief belief{visitor, before, parts_.clock.steady() + kBelieved, proven.expires_at};
  beliefs->insert_or_assign(offer.key, std::move(belief));
  co_return visitor;
}

Task<Result<Visitors::Proven>> Visitors::prove_account(db::WebdavAccountRow account,
                                                       const Offer& offer) {
  std::optional<std::string> hash;
  if (account.active) hash = account.password_hash;
  ASTER_CO_TRY(
      co_await parts_.accounts.prove(offer.name, std::move(hash), offer.password, offer.peer));
  ASTER_CO_TRY(primary::Identity who, co_await parts_.accounts.identity_of(account.user));
  ASTER_CO_TRY(Visitor visitor, co_await tree_of(std::move(who), account.workspace));
  visitor.caller.read_only = visitor.caller.read_only || account.read_only;
  if (account.root) {
    visitor.root = account.root;
    ASTER_CO_TRY(visitor.outside, co_await above(visitor.caller, visitor.root));
  }
  co_return Proven{std::move(visitor)};
}

Task<Result<Visitors::Proven>> Visitors::prove_user(const Offer& offer) {
  if (offer.password.starts_with(kTokenPrefix)) {
    ASTER_CO_TRY(primary::Identity who, co_await parts_.accounts.authenticate(offer.password));
    if (who.name != offer.name) {
      co_return fail(Errc::credentials_failed, "the token is another user's");
    }
    const int64_t expires_at = who.expires_at;
    ASTER_CO_TRY(Visitor visitor, co_await tree_of(std::move(who), {}));
    co_return Proven{std::move(visitor), expires_at};
  }
  ASTER_CO_TRY(primary::Identity who,
               co_await parts_.accounts.check_password(offer.name, offer.password, offer.peer));
  ASTER_CO_TRY(Visitor visitor, co_await tree_of(std::move(who), {}));
  co_return Proven{std::move(visitor)};
}

Task<Result<Visitor>> Visitors::tree_of(primary::Identity who, std::string workspace) {
  Visitor visitor;
  visitor.principal = who.name;
  ASTER_CO_TRY(visitor.caller,
               co_await parts_.workspaces.enter(std::move(who), std::move(workspace)));
  const auto root = [&] { return parts_.namespaces.root_of(visitor.caller.workspace); };
  ASTER_CO_TRY(visitor.root, co_await parts_.work.run(root));
  co_return visitor;
}

Task<Result<std::vector<InodeNo>>> Visitors::above(primary::Caller caller, InodeNo folder) {
  std::vector<InodeNo> upwards;
  for (InodeNo at = folder; upwards.size() < kDepthMax;) {
    fs::ReadDir read{at, 0, 1};
    ASTER_CO_TRY(const auto page,
                 co_await content::call<fs::DirPage>(parts_.namespaces, caller, std::move(read)));
    if (page.parent == at) break;
    at = page.parent;
    upwards.push_back(at);
  }
  co_return std::vector<InodeNo>(upwards.rbegin(), upwards.rend());
}

}  // namespace aster::webdav

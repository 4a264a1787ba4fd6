#include "server/primary/accounts.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/checksum.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {
namespace {

constexpr size_t kNameMax = 64;
constexpr size_t kTokenBytes = 32;
constexpr std::string_view kTokenPrefix = "ast_";
constexpr int64_t kTouchEvery = 300;  // seconds between notes of use: one write, not one per call
constexpr const char* kLoginRefused = "wrong name or password";

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._@-").find(c) != std::string_view::npos;
}

std::string hash_of(std::string_view token) {
  return to_hex(sha256(as_bytes(token)));
}

bool has_expired(int64_t expires_at, int64_t now) {
  return expires_at != 0 && expires_at <= now;
}

Result<void> check_alive(const db::TokenOwner& owner, int64_t now) {
  if (owner.token.revoked_at != 0) return fail(Errc::token_invalid, "the token was revoked");
  if (has_expired(owner.token.expires_at, now))
    return fail(Errc::token_invalid, "the token has expired");
  if (owner.user.status != db::UserStatus::active) {
    return fail(Errc::token_invalid, "the account is disabled");
  }
  return ok();
}

}  // namespace

Result<void> check_user_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kNameMax && name.front() != '-' &&
                    std::all_of(name.begin(), name.end(), is_name_char);
  if (!fits) {
    return fail(Errc::bad_request,
                "a user name has 1 to 64 letters, digits, '.', '_', '@' or '-', and starts with "
                "no '-'");
  }
  return ok();
}

Accounts::Accounts(AccountOptions options, db::AccountStore& store, NamespaceService* namespaces,
                   Executor& executor, const Clock& clock)
    : options_(options),
      store_(store),
      namespaces_(namespaces),
      executor_(executor),
      clock_(clock),
      hasher_(options.cost, options.hash_threads),
      throttle_(clock, options.throttle),
      making_workspace_(executor) {}

Task<Result<db::UserRow>> Accounts::create_user(NewUser user) {
  ASTER_CO_TRY(check_user_name(user.name));
  ASTER_CO_TRY(check_new_password(user.password));
  db::UserRow row;
  row.name = user.name;
  row.role = user.role;
  ASTER_CO_TRY(row.password_hash, co_await hasher_.hash(std::move(user.password)));
  co_await executor_.hop();
  ASTER_CO_TRY(row, co_await store_.create_user(std::move(row), user.only_if_first));
  ASTER_CO_TRY(row.workspace, co_await workspace_of(row));
  co_return row;
}

Task<Result<db::UserRow>> Accounts::set_up(NewUser user, std::string peer) {
  const std::string nobody;
  ASTER_CO_TRY(co_await begin_try(nobody, peer, "(set-up)"));
  user.role = db::UserRole::admin;
  user.only_if_first = true;
  ASTER_CO_TRY(db::UserRow made, co_await create_user(std::move(user)));
  throttle_.succeeded(nobody, peer);
  co_return made;
}

Task<Result<db::UserRow>> Accounts::update_user(UserId id, Change change) {
  db::UserChange stored{.role = change.role, .status = change.status};
  if (change.password) {
    ASTER_CO_TRY(check_new_password(*change.password));
    ASTER_CO_TRY(stored.password_hash, co_await hasher_.hash(std::move(*change.password)));
    co_await executor_.hop();
  }
  auto row = co_await store_.update_user(id, std::move(stored));
  forget(id);
  const bool ended = row.ok() && (change.password || row->status == db::UserStatus::disabled);
  if (ended && namespaces_ != nullptr) {
    ASTER_CO_TRY(co_await namespaces_->end_sessions(id, 0));
  }
  if (!row.ok() || !change.quota) co_return row;
  ASTER_CO_TRY(row->workspace, co_await workspace_of(*row));
  ASTER_CO_TRY(co_await store_.set_quota(id, *change.quota));
  co_return row;
}

Task<Result<void>> Accounts::end_logins(UserId id) {
  ASTER_CO_TRY(co_await store_.revoke_tokens(id));
  forget(id);
  if (namespaces_ == nullptr) co_return ok();
  co_return co_await namespaces_->end_sessions(id, 0);
}

Task<Result<void>> Accounts::prove(std::string name, std::optional<std::string> hash,
                                   std::string password, std::string peer) {
  if (!check_user_name(name).ok() || password.size() > kPasswordMax) {
    co_return fail(Errc::credentials_failed, kLoginRefused);
  }
  // A name that nobody has may be a password that was typed in the wrong place.
  const std::string subject = hash ? name : std::string("(no such account)");
  ASTER_CO_TRY(co_await begin_try(name, peer, subject));
  ASTER_CO_TRY(const bool right, co_await hasher_.verify(std::move(hash), std::move(password)));
  co_await executor_.hop();
  if (!right) {
    co_await note(UserId(), "login.refused", subject, "from " + peer);
    co_return fail(Errc::credentials_failed, kLoginRefused);
  }
  throttle_.succeeded(name, peer);
  co_return ok();
}

Task<Result<void>> Accounts::begin_try(const std::string& name, const std::string& peer,
                                       std::string subject) {
  const LoginThrottle::Verdict verdict = throttle_.begin(name, peer);
  if (verdict.ok()) co_return ok();
  // Once, not per try: a stranger is not to fill the log.
  if (verdict.begins) {
    std::string detail = "from " + peer + ", limit=" + std::string(verdict.limit);
    co_await note(UserId(), "login.throttled", std::move(subject), std::move(detail));
  }
  co_return fail(Errc::rate_limited, "too many failed logins; try again in " +
                                         std::to_string(verdict.wait.count()) + " s");
}

Task<void> Accounts::note(UserId actor, std::string action, std::string subject,
                          std::string detail) {
  const Result<void> noted =
      co_await store_.audit(actor, std::move(action), std::move(subject), std::move(detail));
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

Task<Result<std::string>> Accounts::hash_password(std::string password) {
  ASTER_CO_TRY(std::string hash, co_await hasher_.hash(std::move(password)));
  co_await executor_.hop();
  co_return hash;
}

Task<Result<db::UserRow>> Accounts::user_with(std::string name, std::string password,
                                              std::string peer) {
  if (!check_user_name(name).ok()) co_return fail(Errc::credentials_failed, kLoginRefused);
  auto found = co_await store_.user_by_name(name);
  if (!found.ok() && found.error().code != Errc::not_found) co_return std::move(found).error();
  std::optional<std::string> hash;
  // A disabled account answers as one that is not there, at the same cost.
  if (found.ok() && found->status == db::UserStatus::active) hash = found->password_hash;
  ASTER_CO_TRY(
      co_await prove(std::move(name), std::move(hash), std::move(password), std::move(peer)));
  co_return std::move(*found);
}

Task<Result<Identity>> Accounts::check_password(std::string name, std::string password,
                                                std::string peer) {
  ASTER_CO_TRY(db::UserRow user,
               co_await user_with(std::move(name), std::move(password), std::move(peer)));
  co_return co_await as_identity(std::move(user));
}

Task<Result<Identity>> Accounts::identity_of(UserId id) {
  auto user = co_await store_.user(id);
  const bool gone =
      user.failed_with(Errc::not_found) || (user.ok() && user->status != db::UserStatus::active);
  if (gone) co_return fail(Errc::token_invalid, "the account is disabled");
  if (!user.ok()) co_return std::move(user).error();
  co_return co_await as_identity(std::move(*user));
}

Task<Result<Identity>> Accounts::as_identity(db::UserRow user) {
  ASTER_CO_TRY(const uint64_t workspace, co_await workspace_of(user));
  co_return Identity{.user = user.id, .name = user.name, .role = user.role, .workspace = workspace};
}

Task<Result<LoginAnswer>> Accounts::login(std::string name, std::string password,
                                          std::string peer) {
  ASTER_CO_TRY(db::UserRow user, co_await user_with(std::move(name), std::move(password), peer));
  db::TokenRow token{.user = user.id, .name = "login"};
  LoginAnswer answer{.token = make_token(token)};
  answer.expires_at = clock_.now_seconds() + options_.token_lifetime.count();
  token.expires_at = answer.expires_at;
  ASTER_CO_TRY(token, co_await store_.create_token(std::move(token)));
  co_await note(user.id, "login.accepted", user.name, "from " + peer);
  answer.user = std::move(user);
  co_return answer;
}

Task<Result<void>> Accounts::logout(Identity who) {
  auto revoked = co_await store_.revoke_token(who.token_hash);
  forget_token(who.token_hash);
  co_return revoked;
}

std::string Accounts::make_token(db::TokenRow& row) {
  std::string token = std::string(kTokenPrefix) + random_hex(kTokenBytes);
  row.hash = hash_of(token);
  return token;
}

void Accounts::forget_token(const std::string& hash) {
  auto cache = cache_.lock();
  ++cache->revocations;
  cache->proofs.erase(hash);
}

std::optional<Identity> Accounts::cached(const std::string& token) const {
  const std::string hash = hash_of(token);
  auto cache = cache_.lock();
  const auto found = cache->proofs.find(hash);
  if (found == cache->proofs.end()) return std::nullopt;
  const Proof& proof = found->second;
  if (clock_.steady() >= proof.recheck_at) return std::nullopt;
  if (has_expired(proof.identity.expires_at, clock_.now_seconds())) return std::nullopt;
  return proof.identity;
}

Task<Result<Identity>> Accounts::authenticate(std::string token) {
  if (auto known = cached(token)) co_return std::move(*known);
  const uint64_t before = cache_.lock()->revocations;
  const std::string hash = hash_of(token);
  ASTER_CO_TRY(Identity identity, co_await look_up(hash));
  auto cache = cache_.lock();
  if (cache->revocations == before) {
    // Full of other people's tokens: starting over costs each of them one look-up.
    if (cache->proofs.size() >= options_.cached_tokens) cache->proofs.clear();
    cache->proofs[hash] = {identity, clock_.steady() + options_.recheck};
  }
  co_return identity;
}

Task<Result<Identity>> Accounts::look_up(std::string hash) {
  auto owner = co_await store_.token(hash);
  if (owner.failed_with(Errc::not_found)) {
    co_return fail(Errc::token_invalid, "the token is not known");
  }
  if (!owner.ok()) co_return std::move(owner).error();
  const int64_t now = clock_.now_seconds();
  ASTER_CO_TRY(check_alive(*owner, now));
  auto scope = decode_token_scope(owner->token.scopes);
  if (!scope.ok()) co_return fail(Errc::token_invalid, "the token: " + scope.error().context);
  if (now - owner->token.last_used_at >= kTouchEvery) {
    const Result<void> touched = co_await store_.touch_token(owner->token.id);
    static_cast<void>(touched);  // a note only
  }
  ASTER_CO_TRY(const uint64_t workspace, co_await workspace_of(owner->user));
  Identity found{.user = owner->user.id,
                 .name = owner->user.name,
                 .role = owner->user.role,
                 .workspace = workspace,
                 .token_hash = std::move(hash),
                 .expires_at = owner->token.expires_at,
                 .token = owner->token.id};
  if (!scope->whole()) found.scope = std::make_shared<const TokenScope>(std::move(*scope));
  co_return found;
}

Task<Result<uint64_t>> Accounts::workspace_of(db::UserRow user) {
  if (user.workspace != 0 || namespaces_ == nullptr) co_return user.workspace;
  auto lock = co_await making_workspace_.acquire();
  ASTER_CO_TRY(db::UserRow fresh, co_await store_.user(user.id));
  if (fresh.workspace != 0) co_return fresh.workspace;
  ASTER_CO_TRY(const uint64_t made, co_await namespaces_->create_workspace(user.name));
  db::UserChange change;
  change.workspace = made;
  ASTER_CO_TRY(fresh, co_await store_.update_user(user.id, std::move(change)));
  co_return fresh.workspace;
}

void Accounts::forget(UserId user) {
  auto cache = cache_.lock();
  ++cache->revocations;
  std::erase_if(cache->proofs,
                [&](const auto& entry) { return entry.second.identity.user == user; });
}

}  // namespace aster::primary

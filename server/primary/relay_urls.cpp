#include "server/primary/relay_urls.h"

#include "protocol/http_text.h"
#include "protocol/sign/signature.h"

namespace aster::primary {
namespace {

std::string text_of(const RelayGrant& grant) {
  return grant.method + "\n" + grant.object.hex() + "\n" + std::to_string(grant.policy.value) +
         "\n" + std::to_string(grant.expires);
}

std::string_view value_of(const QueryList& query, std::string_view name) {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace

std::string RelayUrls::path_for(const RelayGrant& grant) const {
  return "/api/v1/data/objects/" + grant.object.hex() +
         "?policy=" + std::to_string(grant.policy.value) +
         "&expires=" + std::to_string(grant.expires) + "&sig=" + signature(grant);
}

Result<RelayGrant> RelayUrls::verify(std::string_view method, std::string_view object_hex,
                                     std::string_view raw_query) const {
  ASTER_TRY(const QueryList query, form_decode_query(raw_query));
  const auto object = ObjectId::from_hex(object_hex);
  const auto policy = parse_decimal<uint64_t>(value_of(query, "policy"));
  const auto expires = parse_decimal<int64_t>(value_of(query, "expires"));
  if (!object || !policy || !expires) return fail(Errc::bad_request, "malformed data path");
  RelayGrant grant{std::string(method), PolicyId(*policy), *object, *expires};
  if (clock_.now_seconds() > grant.expires) {
    return fail(Errc::token_invalid, "the data path has expired");
  }
  if (!sign::signature_matches(key_, text_of(grant), value_of(query, "sig"))) {
    return fail(Errc::token_invalid, "the data path's signature does not match");
  }
  return grant;
}

std::string RelayUrls::signature(const RelayGrant& grant) const {
  return sign::signature_hex(key_, text_of(grant));
}

}  // namespace aster::primary

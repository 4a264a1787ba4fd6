#include "server/webdav/front_end.h"

#include "server/webdav/account_api.h"
#include "server/webdav/dav.h"

namespace aster::webdav {
namespace {

/// "/name" or deeper, without a '/' at its end, and out of the way of the API.
Result<std::string> prefix_of(const Config& config) {
  std::string prefix = config.text("webdav.prefix");
  while (prefix.ends_with('/')) prefix.pop_back();
  const auto path = content::decode_path(prefix);
  const bool fits = prefix.starts_with('/') && path.ok() && !path->empty() &&
                    content::encode_path(*path) == prefix;
  if (!fits || path->front() == "api" || path->front() == "health") {
    return fail(Errc::bad_request,
                "webdav.prefix \"" + prefix +
                    "\": a path like /webdav is needed, of letters, digits and -._~, and not below "
                    "/api or /health");
  }
  return prefix;
}

/// In order of construction.
class WebdavFrontEnd final : public primary::FrontEnd {
 public:
  WebdavFrontEnd(const primary::FrontEndParts& parts, DavOptions options)
      : store_(parts.database, parts.work, parts.clock),
        places_(
            parts.database,
            [&backends = parts.backends](PolicyId policy) { return backends.driver(policy); },
            parts.work),
        reader_(parts.namespaces, places_, parts.disk),
        writer_(parts.namespaces, places_, parts.work),
        locks_(store_, parts.clock, primary::guest_locks_of(parts.namespaces)),
        visitors_(parts, store_),
        accounts_(parts, store_, options.prefix),
        dav_(std::move(options), visitors_, locks_, parts.namespaces, reader_, writer_,
             parts.clock) {}

  Result<void> load() { return run_blocking(locks_.load()); }
  void add_routes(http::Router& router) override {
    accounts_.add_routes(router);
    dav_.add_routes(router);
  }

 private:
  db::WebdavStore store_;
  content::ObjectPlaces places_;
  content::ContentReader reader_;
  content::ContentWriter writer_;
  LockTable locks_;
  Visitors visitors_;
  AccountApi accounts_;
  Dav dav_;
};

}  // namespace

Result<std::unique_ptr<primary::FrontEnd>> make_front_end(const primary::FrontEndParts& parts) {
  DavOptions options;
  ASTER_TRY(options.prefix, prefix_of(parts.config));
  options.payload_limit = static_cast<uint64_t>(parts.config.integer("webdav.payload_limit"));
  options.xml_limit = static_cast<uint64_t>(parts.config.integer("webdav.xml_payload_limit"));
  auto made = std::make_unique<WebdavFrontEnd>(parts, std::move(options));
  ASTER_TRY(made->load());
  return std::unique_ptr<primary::FrontEnd>(std::move(made));
}

}  // namespace aster::webdav

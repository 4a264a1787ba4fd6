#pragma once

#include "protocol/base/text.h"
#include "server/webdav/front_end.h"
#include "tests/integration/answers.h"

namespace aster {

/// A primary with WebDAV, a user "ann" and storage on its own disk.
class WebdavFixture : public DriveFixture {
 protected:
  WebdavFixture() : DriveFixture({webdav::make_front_end}) {}
  void SetUp() override {
    ASSERT_NE(primary, nullptr);
    set_up_accounts();
    add_policy("local");
  }

  std::string dav_url(const std::string& path) const { return primary_url() + "/webdav" + path; }
  static std::pair<std::string, std::string> basic(const std::string& name,
                                                   const std::string& password) {
    return {"Authorization", "Basic " + encode_base64(name + ":" + password)};
  }
  /// One request as ann, or as `who`.
  ApiAnswer dav(const std::string& method, const std::string& path, std::string body = {},
                HeaderList headers = {}) {
    headers.push_back(who);
    return send(method, dav_url(path), std::move(body), std::move(headers));
  }

  std::pair<std::string, std::string> who = basic("ann", "ann's password");
};

}  // namespace aster

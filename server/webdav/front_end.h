#pragma once

#include "server/primary/front_end.h"

namespace aster::webdav {

/// WebDAV below `webdav.prefix`, and the routes of its accounts.
Result<std::unique_ptr<primary::FrontEnd>> make_front_end(const primary::FrontEndParts& parts);

}  // namespace aster::webdav

#pragma once

#include "protocol/base/errc.h"

namespace aster {

/// The errno that the kernel gets for an Errc; never 0.
int to_errno(Errc code) noexcept;

}  // namespace aster

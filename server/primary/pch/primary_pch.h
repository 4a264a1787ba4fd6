// Precompiled: what most files of both libraries here include.
#include <algorithm>
#include <unordered_map>

#include "protocol/base/guarded.h"
#include "server/primary/namespace_service.h"

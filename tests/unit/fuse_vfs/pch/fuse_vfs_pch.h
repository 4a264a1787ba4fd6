// Precompiled: what nearly every test here includes.
#include "tests/unit/fuse_vfs/vfs_fixture.h"

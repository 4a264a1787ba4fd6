// Precompiled: what nearly every test here includes.
#include "tests/unit/fuse_io/drive.h"

// Precompiled: what every test here includes.
#include "tests/support/namespace_fixture.h"

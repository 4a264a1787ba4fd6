// Precompiled: CLI11 and Boost.JSON cost five seconds a file otherwise.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tools/aster_command.h"

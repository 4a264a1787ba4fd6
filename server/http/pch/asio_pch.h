// Precompiled for this library only: Asio and Beast cost 10 seconds a file otherwise.
#include "server/http/asio.h"

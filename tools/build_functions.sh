# Sourced by tools/check and tools/quickstart: how Aster is configured and compiled.
# shellcheck shell=bash

# As many compilers at once as there are cores and memory (the largest need 1.5 GiB).
job_count() {
  local by_memory cpus
  by_memory=$(awk '/^MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  cpus=$(nproc)
  echo $((by_memory < 1 ? 1 : by_memory < cpus ? by_memory : cpus))
}

# Brings build directory $1 to the given meson options, also after an interrupted run.
configure() {
  local dir=$1 stamp=$1/.configured-with
  shift
  if [[ -f $dir/build.ninja && -f $stamp && $(<"$stamp") == "$*" ]]; then return; fi
  mkdir -p "$dir"
  local wipe=()
  if [[ -f $dir/meson-private/coredata.dat ]]; then wipe=(--wipe); fi
  meson setup "${wipe[@]}" "$dir" "$@" || return 1
  printf '%s' "$*" >"$stamp"
}

# Configures and compiles: build_in DIRECTORY MESON_OPTION...
build_in() {
  # meson finds ccache by itself; precompiled headers need the sloppiness. mold links in no time.
  export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  if command -v mold >/dev/null; then export CXX_LD=mold; fi
  configure "$@" && ninja -C "$1" -j "$(job_count)"
}

# Sourced by tools/quickstart: processes of one state folder; start, stop, health.
# shellcheck shell=bash disable=SC2154

readonly start_seconds=30 stop_seconds=60

# ---- settings: what the first `up` was told --------------------------------------------------

# Sets: port, followers, strategy, mount.
read_settings() {
  local key value
  port= followers= strategy= mount=
  while IFS='=' read -r key value; do
    case "$key" in port | followers | strategy | mount) printf -v "$key" '%s' "$value" ;; esac
  done <"$state/settings"
  [[ -n $port && -n $followers && -n $strategy && -n $mount ]] ||
    fail "$state/settings is damaged; remove $state to start anew"
}

write_settings() {
  printf 'port=%s\nfollowers=%s\nstrategy=%s\nmount=%s\n' \
    "$port" "$followers" "$strategy" "$mount" >"$state/settings.new"
  mv "$state/settings.new" "$state/settings"
}

followers_in_use() {
  local i
  for ((i = 1; i <= followers; i++)); do echo "follower$i"; done
}

port_of() {
  case "$1" in
    primary) echo "$port" ;;
    follower*) echo $((port + ${1#follower})) ;;
  esac
}

url_of() { echo "http://127.0.0.1:$(port_of "$1")"; }

place_of() { if [[ $1 == mount ]]; then echo "$mount"; else url_of "$1"; fi; }

log_of() { echo "$state/$1.log"; }

pid_of() { cat "$state/$1.pid" 2>/dev/null || true; }

# ---- processes -------------------------------------------------------------------------------

# Start time of process $1 in clock ticks since boot; empty when it is gone or a zombie. With it a
# number that another process got since is never taken for ours.
started_at() {
  local line fields
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${line##*) }"
  [[ ${fields[0]} == [ZX] ]] || echo "${fields[19]}"
}

is_running() {
  local pid
  pid=$(pid_of "$1")
  [[ $pid =~ ^[0-9]+$ && -s $state/.$1.started ]] || return 1
  [[ $(started_at "$pid") == "$(<"$state/.$1.started")" ]]
}

# Runs a program in the background, in its own session and working directory: spawn NAME PROGRAM...
# The new process itself records who it is before it becomes the program, so that an interrupt in
# between leaves nothing that `stop` would not find.
spawn() {
  local name=$1
  shift
  rm -f "$state/$name.pid" "$state/.$name.started"
  mkdir -p "$state/$name"
  (
    cd "$state/$name"
    exec setsid bash -c '
      read -r line <"/proc/$$/stat"
      read -ra fields <<<"${line##*) }"
      echo "${fields[19]}" >"$1/.$2.started"
      echo $$ >"$1/$2.pid.new"
      mv "$1/$2.pid.new" "$1/$2.pid"
      ulimit -n "$(ulimit -Hn)"
      shift 2
      exec "$@"' spawn "$state" "$name" "$@"
  ) >>"$(log_of "$name")" 2>&1 </dev/null 9>&- &
  wait_for 5 has_pid "$name" || fail "$name could not be started" "$(log_of "$name")"
}

has_pid() { [[ -s $state/$1.pid ]]; }

# wait_for SECONDS COMMAND...: polls until the command succeeds; 1 at the deadline.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# wait_for_service NAME COMMAND...: the command has to succeed while the process lives.
wait_for_service() {
  local name=$1 end=$((SECONDS + start_seconds))
  shift
  until "$@"; do
    is_running "$name" || fail "$name ended while starting" "$(log_of "$name")"
    ((SECONDS < end)) || fail "$name is not ready after $start_seconds s" "$(log_of "$name")"
    sleep 0.1
  done
}

is_healthy() { curl -sf -o /dev/null --noproxy '*' --max-time 5 "$(url_of "$1")/health"; }

is_gone() { ! is_running "$1"; }

# Ends a process: first politely, after `stop_seconds` with force.
end_process() {
  is_running "$1" || return 0
  kill -TERM "$(pid_of "$1")" 2>/dev/null || true
  if ! wait_for "$stop_seconds" is_gone "$1"; then
    say "$1 did not end within $stop_seconds s: killing it"
    kill -KILL "$(pid_of "$1")" 2>/dev/null || true
    wait_for 10 is_gone "$1" || fail "$1 cannot be killed" "$(log_of "$1")"
  fi
}

# ---- components ------------------------------------------------------------------------------

start_component() {
  [[ $1 != follower* ]] || ((${1#follower} <= followers)) || fail "this drive has no $1"
  if is_running "$1" && { [[ $1 != mount ]] || is_mounted; }; then return 0; fi
  [[ -x $programs/server/aster_drive ]] || fail 'Aster is not built: run tools/quickstart up'
  say "starting $1 ($(place_of "$1"))"
  case "$1" in
    mount) start_mount ;;
    *) start_server "$1" ;;
  esac
}

# The server's settings; everything else is its default.
server_environment() {
  local mode=follower
  [[ $1 != primary ]] || mode=primary
  printf '%s\n' "ASTER__SERVER__START_MODE=$mode" ASTER__SERVER__HOST=127.0.0.1 \
    "ASTER__SERVER__PORT=$(port_of "$1")"
}

# Runs aster_drive with the settings and in the folder of a component: drive NAME ARGUMENT...
drive() {
  local name=$1 settings
  shift
  mapfile -t settings < <(server_environment "$name")
  mkdir -p "$state/$name"
  (cd "$state/$name" && env "${settings[@]}" "$programs/server/aster_drive" "$@" 9>&-)
}

start_server() {
  local settings
  mapfile -t settings < <(server_environment "$1")
  port_is_free "$(port_of "$1")" || fail "port $(port_of "$1") of $1 is taken by another program"
  spawn "$1" env "${settings[@]}" "$programs/server/aster_drive"
  wait_for_service "$1" is_healthy "$1"
}

port_is_free() {
  ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

is_mounted() { mountpoint -q "$mount" 2>/dev/null; }

# A mount whose process was killed stays in the table and answers ENOTCONN.
clear_dead_mount() {
  if grep -qsF " ${mount// /\\040} fuse" /proc/mounts && is_gone mount; then
    umount -l "$mount" || fail "the dead mount at $mount cannot be taken away"
  fi
}

start_mount() {
  if is_running mount; then # unmounted by hand: it still uploads
    wait_for 600 is_gone mount || fail "the last mount still uploads" "$(log_of mount)"
  fi
  clear_dead_mount
  ! is_mounted || fail "something else is mounted at $mount"
  mkdir -p "$mount" || fail "$mount cannot be created"
  [[ -z $(ls -A "$mount") ]] || fail "$mount is not empty; choose another one with --mount"
  mkdir -p "$state/mount/cache"
  spawn mount "$programs/fuse/mount.aster" "$(url_of primary)" "$mount" --foreground \
    --token-file "$state/user.token" --cache-dir "$state/mount/cache" \
    --journal-dir "$state/mount/journal"
  wait_for_service mount is_mounted
}

# " by process N M", as far as /proc tells who works in it.
users_of_mount() {
  local pids
  pids=$(find /proc/[0-9]*/cwd /proc/[0-9]*/fd -maxdepth 1 \( -lname "$mount" -o -lname "$mount/*" \) \
    2>/dev/null | cut -d/ -f3 | sort -un | tr '\n' ' ')
  [[ -z $pids ]] || echo " by process $pids"
}

stop_component() {
  if ! is_running "$1"; then
    [[ $1 != mount ]] || clear_dead_mount
    return 0
  fi
  say "stopping $1"
  if [[ $1 == mount ]]; then
    if is_mounted; then umount "$mount" || fail "$mount is in use$(users_of_mount)"; fi
    # What was written is being uploaded; that may take as long as it takes.
    wait_for 600 is_gone mount || fail "mount still uploads after 10 minutes" "$(log_of mount)"
  fi
  end_process "$1"
  if [[ $1 == mount ]] && tail -n 3 "$(log_of mount)" | grep -q unsent_data; then
    say "the mount could not upload everything: see $(log_of mount)"
  fi
  rm -f "$state/$1.pid" "$state/.$1.started"
}

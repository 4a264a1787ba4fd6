# Sourced by tools/quickstart: what `up` sets up, each step only when it is not done yet.
# shellcheck shell=bash disable=SC2154

readonly user=me admin=admin

# Settings of this `up`: those of the state folder, else those asked for, else the defaults.
settle_settings() {
  if [[ -f $state/settings ]]; then
    read_settings
    [[ -z $asked_port || $asked_port == "$port" ]] ||
      fail "the drive in $state uses port $port; take another --state for another port"
    [[ -z $asked_strategy || $asked_strategy == "$strategy" ]] ||
      fail "the drive in $state uses $strategy; take another --state for another strategy"
    [[ -z $asked_mount || $asked_mount == "$mount" ]] || move_mount
    if [[ -n $asked_followers ]]; then
      ((asked_followers >= followers)) || fail "the drive in $state has $followers followers already"
      followers=$asked_followers
    fi
    return
  fi
  followers=${asked_followers:-1}
  strategy=${asked_strategy:-presigned}
  mount=${asked_mount:-/mnt/drive}
  port=$asked_port
  if [[ -z $port ]]; then
    port=$(free_ports)
  else
    ports_are_free "$port" || fail "one of the ports $port to $((port + followers)) is taken"
  fi
}

# Whether primary and followers find free ports from $1 on.
ports_are_free() {
  local offset
  for ((offset = 0; offset <= followers; offset++)); do
    port_is_free $(($1 + offset)) || return 1
  done
}

move_mount() {
  is_gone mount || fail "the drive is mounted at $mount; stop the mount first"
  mount=$asked_mount
}

free_ports() {
  local first
  for ((first = 3000; first < 60000; first += 10)); do
    if ports_are_free "$first"; then echo "$first" && return; fi
  done
  fail 'no free ports'
}

# Makes $state/$1 with a random password unless it is there.
ensure_password() {
  [[ -s $state/$1 ]] && return
  (
    umask 077
    # 24 bytes of randomness; the group of characters is safe in shells and URLs.
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$state/$1.new"
  )
  mv "$state/$1.new" "$state/$1"
}

# The `aster` command as the administrator.
aster() {
  ASTER_URL=$(url_of primary) ASTER_ADMIN_TOKEN_FILE=$state/admin.token "$programs/tools/aster" "$@"
}

# step WHAT LOG COMMAND...: runs it quietly; its output goes to the log and, on failure, to the user.
step() {
  local what=$1 log=$state/setup.log
  shift
  say "$what"
  "$@" >"$log" 2>&1 </dev/null || fail "$what: failed" "$log"
}

# ---- primary and accounts --------------------------------------------------------------------

set_up_primary() {
  start_component primary
  ensure_password admin.password
  if needs_first_user; then
    step 'creating the administrator' drive primary user add "$admin" --admin \
      --password-file "$state/admin.password"
  fi
  ensure_login "$admin" admin
}

needs_first_user() {
  local answer
  answer=$(curl -sf --noproxy '*' --max-time 10 -X POST "$(url_of primary)/api/v1/auth/check") ||
    fail 'the primary does not answer' "$(log_of primary)"
  [[ $(jq -r .data.setup_needed <<<"$answer") == true ]]
}

# ensure_login ACCOUNT FILES: $state/FILES.token is a token that works.
ensure_login() {
  if token_works "$2"; then return; fi
  step "logging in as $1" "$programs/tools/aster" login "$(url_of primary)" --user "$1" \
    --password-file "$state/$2.password" --token-file "$state/$2.token"
}

# No line of this may put the token where others see it: arguments, output.
token_works() {
  [[ -s $state/$1.token ]] || return 1
  printf 'header = "Authorization: Bearer %s"\n' "$(<"$state/$1.token")" |
    curl -sf -o /dev/null --noproxy '*' --max-time 10 -K - "$(url_of primary)/api/v1/auth/me"
}

set_up_user() {
  ensure_password user.password
  if ! aster user list --json | jq -e --arg u "$user" 'any(.[]; .username == $u)' >/dev/null; then
    step "creating the user '$user'" aster user add "$user" --password-file "$state/user.password"
  fi
  ensure_login "$user" user
}

# ---- followers -------------------------------------------------------------------------------

set_up_followers() {
  local name
  for name in $(followers_in_use); do
    start_component "$name"
    ensure_node "$name"
    ensure_enrolled "$name"
    ensure_target "$name"
    ensure_policy "$name"
  done
}

node_exists() { aster node list --json | jq -e --arg n "$1" 'any(.[]; .name == $n)' >/dev/null; }

ensure_node() {
  node_exists "$1" ||
    step "adding node $1" aster node add "$1" --namespace "$1" --base-url "$(url_of "$1")"
}

enrolment_of() { aster node show "$1" --json | jq -r .enrollment_status; }

ensure_enrolled() {
  if [[ $(enrolment_of "$1") != completed ]]; then
    step "enrolling $1" enroll "$1"
    stop_component "$1" # a binding is read at start
    start_component "$1"
  fi
  step "testing the connection to $1" aster node test "$1"
}

# The token travels by the environment: arguments can be seen by every user of the machine.
enroll() {
  local token
  token=$(aster node enroll-command "$1" --json | jq -er .token)
  ASTER_CLI_ENROLLMENT_TOKEN=$token ASTER_CLI_MASTER_URL=$(url_of primary) drive "$1" node enroll
}

ensure_target() {
  if [[ $(aster target list "$1" --json | jq length) == 0 ]]; then
    step "creating the default target of $1" aster target add "$1" --name default --default
  fi
}

# The first follower's policy becomes the default for new files.
ensure_policy() {
  local options=(--driver remote --node "$1" --strategy "$strategy")
  [[ $1 != follower1 ]] || options+=(--default)
  if ! aster policy list --json | jq -e --arg n "$1" 'any(.[]; .name == $n)' >/dev/null; then
    step "creating the policy for $1 ($strategy)" aster policy add "$1" "${options[@]}"
  fi
}

# ---- what the user gets ----------------------------------------------------------------------

write_env() {
  local name
  {
    for name in "ASTER_URL=$(url_of primary)" "ASTER_USER=$user" \
      "ASTER_PASSWORD_FILE=$state/user.password" "ASTER_ADMIN_TOKEN_FILE=$state/admin.token" \
      "ASTER_MOUNT=$mount" "ASTER_CACHE_DIR=$state/mount/cache" \
      "ASTER_WEBDAV_URL=$(url_of primary)/webdav/" "ASTER_CLI=$programs/tools/aster"; do
      printf 'export %s=%q\n' "${name%%=*}" "${name#*=}"
    done
  } >"$state/env.new"
  mv "$state/env.new" "$state/env"
}

say_what_to_try() {
  cat <<TEXT

The drive is mounted at $mount. Try:
  cp -a /usr/include $mount/ && diff -r /usr/include $mount/include
  . $state/env                  # sets ASTER_URL and where passwords and tokens are
  \$ASTER_CLI status             # also: node list, policy list, user list
  tools/quickstart status       # stop, start, restart: single components; down: all of them
Logs and data: $state
TEXT
}

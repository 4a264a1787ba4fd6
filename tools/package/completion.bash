# bash completion for aster, aster_drive and mount.aster. Words come from the programs' own --help,
# so they are always those of the installed version.
# shellcheck shell=bash

# Prints the commands and options that `"$@" --help` lists.
_aster_words() {
  "$@" --help 2>/dev/null </dev/null | awk '
    /^Subcommands:|^Commands:/ { commands = 1; next }
    /^[A-Z]/ { commands = 0 }
    commands && /^  [a-z]/ { print $1 }
    { line = $0
      while (match(line, /(^|[ ,\[])--?[a-zA-Z][a-zA-Z-]*/)) {
        word = substr(line, RSTART, RLENGTH)
        sub(/^[ ,\[]/, "", word)
        print word
        line = substr(line, RSTART + RLENGTH)
      } }' | sort -u
}

_aster() {
  local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
  case $previous in
    --*-file | --ca | --config)
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
  esac
  # The commands so far: `aster node add ...` asks `aster node add --help`.
  local call=("${COMP_WORDS[0]}") known
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ ${COMP_WORDS[i]} == -* ]] && continue
    known=$(_aster_words "${call[@]}")
    grep -qxF -- "${COMP_WORDS[i]}" <<<"$known" || break
    call+=("${COMP_WORDS[i]}")
  done
  mapfile -t COMPREPLY < <(compgen -W "$(_aster_words "${call[@]}")" -- "$cur")
  if ((${#COMPREPLY[@]} == 0)); then mapfile -t COMPREPLY < <(compgen -f -- "$cur"); fi
}
complete -o filenames -F _aster aster aster_drive mount.aster

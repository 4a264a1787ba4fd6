#compdef aster aster_drive mount.aster
# zsh: the words of the bash completion, which asks the programs themselves.
autoload -U +X bashcompinit && bashcompinit
source /usr/share/bash-completion/completions/aster
_bash_complete -o filenames -F _aster

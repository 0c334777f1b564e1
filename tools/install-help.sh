#!/bin/sh
# Installs the command's man pages and completions, which the command itself writes.
# Usage: tools/install-help.sh <the command> <directory "share">
set -eu
command=$1
share=$2
if ! "$command" --version >/dev/null 2>&1; then
    echo "install: $command does not run here, so its man pages and completions are left out"
    exit 0
fi
install -d "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
"$command" man "$share/man/man1"
"$command" completions bash > "$share/bash-completion/completions/shmflow"
"$command" completions zsh > "$share/zsh/site-functions/_shmflow"
"$command" completions fish > "$share/fish/vendor_completions.d/shmflow.fish"

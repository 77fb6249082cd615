#!/usr/bin/env bash
# Installs Debian or Ubuntu packages: as root, or through sudo; says what to do where neither is possible.
set -euo pipefail
command -v apt-get >/dev/null || { echo "Please install: $*" >&2; exit 1; }
run=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Please run as root: apt-get install $*" >&2; exit 1; }
    run=(sudo)
fi
echo "Installing $* …"
"${run[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null

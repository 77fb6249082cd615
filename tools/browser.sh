#!/usr/bin/env bash
# Makes sure that the browser tests have a browser and a font with Chinese characters.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
if command -v fc-list >/dev/null && ! fc-list :lang=zh | grep -q .; then missing+=(fonts-noto-cjk); fi
if [ ${#missing[@]} -gt 0 ]; then
    case " ${missing[*]} " in *" chromium "*) missing+=(fonts-noto-cjk) ;; esac
    ./apt.sh "${missing[@]}"
fi

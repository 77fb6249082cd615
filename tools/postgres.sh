#!/usr/bin/env bash
# Makes sure that the tests can start a PostgreSQL server of their own, and that backups have its tools.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    mkdir -p /etc/postgresql-common 2>/dev/null || true
    # The package would start a server of its own otherwise, which nobody asked for.
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" 2>/dev/null >/etc/postgresql-common/createcluster.conf || true
    ./apt.sh postgresql
fi

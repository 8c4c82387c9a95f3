#!/usr/bin/env bash
# Callback commands carried out by Slack's own Bolt for Python, unchanged: it verifies what the
# server signs, reads its form, and answers at once or at response_url.
#
#   tests/oracles/bolt.sh [--smoke|--full]   both are the same: some seconds
#
# Exit code 77 when the package cannot be had.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

target=${CARGO_TARGET_DIR:-target}
tools=$target/oracles/bolt
package=slack_bolt==1.30.0

install_peer() {
    [ -e "$tools/installed" ] && return 0
    mkdir -p "$tools" && python3 -m venv "$tools/python" &&
        "$tools/python/bin/pip" install -q "$package" && touch "$tools/installed"
}
install_peer >/dev/null 2>&1 || {
    echo "$package cannot be installed (Python 3 with venv and a package index are needed)"
    exit 77
}

cargo build --quiet --workspace --features ringpost/export --bins || exit 1
scratch=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

"$target/debug/ringpost" --dev --listen 127.0.0.1:0 --data "$scratch/data" --shards 1 \
    --set egress.networks=127.0.0.0/8 >"$scratch/server" 2>&1 &
pids+=($!)
tries=0
until grep -q '^ringpost listening' "$scratch/server"; do
    tries=$((tries + 1))
    [ "$tries" -gt 200 ] && cat "$scratch/server" && exit 1
    sleep 0.1
done
SERVER=$(grep -o 'http://[0-9.:]*' "$scratch/server" | head -n 1)
export SERVER RINGPOST=$target/debug/ringpost
"$tools/python/bin/python" tests/oracles/bolt.py

#!/usr/bin/env bash
# WhatsApp against other people's libraries: pywa, @kapso/whatsapp-cloud-api and whatsapp-api-js
# send to the stand-in of the Graph API, and what they send is compared with what the server sends
# for the same message (tests/it/fixtures/whatsapp_send.jsonl, which tests/it holds the server to);
# our bodies pass kapso's schemas; errors, uploads and downloads are understood; and all judge the
# same signatures as the server does.
#
#   tests/oracles/whatsapp.sh [--smoke|--full]   both are the same: half a minute
#
# Exit code 77 when the packages cannot be had.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

mode=${1:---smoke}
target=${CARGO_TARGET_DIR:-target}
tools=$target/oracles/whatsapp
python_packages=(pywa==4.5.0)
node_packages=(@kapso/whatsapp-cloud-api@0.3.0 whatsapp-api-js@6.3.0)
case "$mode" in
--smoke | --full) ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

install_peers() {
    [ -e "$tools/installed" ] && return 0
    python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 1
    node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null || return 1
    mkdir -p "$tools" && python3 -m venv "$tools/python" &&
        "$tools/python/bin/pip" install -q "${python_packages[@]}" &&
        npm install --silent --no-audit --no-fund --prefix "$tools" "${node_packages[@]}" &&
        touch "$tools/installed"
}
install_peers >/dev/null 2>&1 || {
    echo "${python_packages[*]} ${node_packages[*]} cannot be installed (Python 3.10 with venv, Node.js 20 with npm and package indexes are needed)"
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

# started FILE PATTERN: waits for a line of FILE, and prints the address in it.
started() {
    local tries=0
    until grep -q "$2" "$1"; do
        tries=$((tries + 1))
        [ "$tries" -gt 200 ] && cat "$1" >&2 && return 1
        sleep 0.1
    done
    grep -o 'http://[0-9.:]*' "$1" | head -n 1
}

RINGPOST_WHATSAPP_APP_SECRET=test_app_secret "$target/debug/ringpost" --dev --listen 127.0.0.1:0 \
    --data "$scratch/data" --shards 1 >"$scratch/server" 2>&1 &
pids+=($!)
server=$(started "$scratch/server" '^ringpost listening') || exit 1
"$target/debug/ringpost-load" graph-standin --listen 127.0.0.1:0 --rate 0 --latency 0 \
    --secret test_app_secret --webhook "$server/webhook/whatsapp" >"$scratch/standin" 2>&1 &
pids+=($!)
standin=$(started "$scratch/standin" '^graph-standin listening') || exit 1

export STANDIN=$standin SERVER=$server SCAN=$target/debug/ringpost-scan DATA=$scratch/data
cp tests/oracles/whatsapp.mjs "$tools/whatsapp.mjs" || exit 1
node "$tools/whatsapp.mjs" tests/it/fixtures >"$scratch/node.jsonl" || exit 1
"$tools/python/bin/python" tests/oracles/whatsapp.py tests/it/fixtures "$scratch/node.jsonl" || exit 1
if grep 'was answered with' "$scratch/standin"; then
    echo "FAULT the server refused webhooks of the stand-in"
    exit 1
fi

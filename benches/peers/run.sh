#!/usr/bin/env bash
# ringpost beside the fastest servers there are: echo and rooms, in turn on the same CPU.
#
#   benches/peers/run.sh [--smoke] [--turns N] [--seconds S] [--results DIR] [--no-write]
#
# Builds ringpost, the tester and the peers (crates by cargo, uWebSockets with g++ from the sources
# in a crate, Bun from npm), starts each server pinned to CPU 0, and compares them by
# `ringpost-load compare` on CPU 1: 5 turns of 2 seconds per test and target, interleaved. Raw rooms
# relay and store nothing; the column `ringpost, whole` is the chat protocol with its log and
# fsync, limits lifted. Then the tables of docs/BENCHMARKS.md are written between their markers.
# --smoke: one short turn of small tests against the crates' peers, all as `cargo build` makes them,
# and nothing is written; the figures mean nothing. A peer that cannot be had is left out, aloud.
# Exit code 77 when there is no second CPU, and from --smoke when the peers do not build in a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

smoke='' turns=5 seconds=2 warmup=0.7 write=yes results=''
while [ $# -gt 0 ]; do
    case $1 in
        --smoke) smoke=yes turns=1 seconds=0.3 warmup=0.1 write='' ;;
        --no-write) write='' ;;
        --turns) turns=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        --results) results=$2; shift ;;
        *) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
    esac
    shift
done
[ "$(nproc)" -ge 2 ] || { echo "skipped: the peers need a CPU beside the tester's"; exit 77; }

. benches/peers/servers.sh
[ -n "$results" ] || results=$folder/results
mkdir -p "$results"

# compare TEST TARGETS SCENARIO-WORDS…: one test of the tables.
failed=0
compare() {
    local test=$1 names=$2 name targets=()
    shift 2
    for name in $names; do
        [ -z "${contestants[$name]:-}" ] || targets+=(--target "${contestants[$name]}")
    done
    echo "$*" >"$results/$test.line"
    echo "== $test: ringpost-load compare $*"
    "$target/$built/ringpost-load" compare "$@" "${targets[@]}" --cpus 1 --turns "$turns" \
        --duration "$seconds" --warmup "$warmup" --json --html "$results/$test.html" \
        >"$results/$test.json" || [ $? -eq 1 ]
    # A peer that lost a message is marked in the table; ours must not.
    python3 benches/peers/tables.py show "$results/$test.json" || failed=1
}

build_crates
ulimit -n "$(ulimit -Hn)"
server=("$target/$built/ringpost" --dev --listen 127.0.0.1:0 --set server.shards=1
    --set limits.connections_per_ip=100000)
start ringpost "${server[@]}" --data "$folder/raw"
start whole "${server[@]}" --data "$folder/whole" --set log.ack=fsync --set limits.sends_per_s=0 \
    --set limits.room_sends_per_s=0 --set limits.frames_per_s=0
contestants[whole]+=,dialect=ringpost
start fastwebsockets "$tools/crates/$built/peer-fastwebsockets"
start tungstenite "$tools/crates/$built/peer-tungstenite"
start axum "$tools/crates/$built/peer-axum"
if [ -z "$smoke" ]; then
    if build_uws; then
        start uws "$tools/uws/peer-uws-$uws_version" 127.0.0.1:0
        start uws-defer "$tools/uws/peer-uws-$uws_version" 127.0.0.1:0 defer
    else
        echo "left out: uWebSockets cannot be built (gcc, g++ and crates.io are needed)"
    fi
    if install_bun; then
        start bun "$bun" benches/peers/bun.js 127.0.0.1:0
    else
        echo "left out: Bun cannot be installed (npm is needed)"
    fi
fi

peers="uws uws-defer bun fastwebsockets tungstenite axum"
if [ -n "$smoke" ]; then
    compare echo "ringpost $peers" echo --connections 20
    compare room "ringpost whole $peers" room --rooms 2 --members 20 --in-flight 5
    compare all "ringpost whole $peers" room --rooms 1 --members 30 --in-flight 30 --rounds
    compare paced "ringpost whole $peers" paced --rooms 2 --members 10 --rate 50
    compare slow "ringpost $peers" slow --rooms 1 --members 4 --size 16384
    exit "$failed"
fi
compare echo-100 "ringpost $peers" echo --connections 100
compare echo-1000 "ringpost $peers" echo --connections 1000
compare room-1x1000 "ringpost whole $peers" room --rooms 1 --members 1000
compare rooms-50x20 "ringpost whole $peers" room --rooms 50 --members 20
compare rooms-10x100 "ringpost whole $peers" room --rooms 10 --members 100 --in-flight 10
compare all-100 "ringpost whole $peers" \
    room --rooms 1 --members 100 --in-flight 100 --rounds
compare all-1000 "ringpost whole $peers" \
    room --rooms 1 --members 1000 --in-flight 1000 --rounds
# 100,000 deliveries a second.
compare paced "ringpost whole $peers" paced --rooms 10 --members 100 --rate 100

{
    "$target/$built/ringpost" --version
    for crate in fastwebsockets tokio-tungstenite axum tokio; do
        sed -n "/^name = \"$crate\"$/{n;s/version = \"\(.*\)\"/$crate \1/p}" benches/peers/Cargo.lock
    done
    [ -z "${contestants[uws]:-}" ] || echo "uWebSockets of $uws_crate $uws_version"
    [ -z "${contestants[bun]:-}" ] || echo "Bun $bun_version"
    rustc --version
} >"$results/versions"
if [ -n "$write" ]; then
    python3 benches/peers/tables.py write "$results"
fi
exit "$failed"

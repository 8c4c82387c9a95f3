#!/usr/bin/env bash
# Echo and rooms once more, asked by somebody else's generator: uWebSockets' own load_test and
# broadcast_test, as the crate with its sources carries them.
#
#   benches/peers/others.sh [TURNS] [INTERVALS]     3 turns, 2 intervals of 4 seconds each
#
# Server on CPU 0, generator on CPU 1, as in run.sh beside it. The generators count messages; the
# server's CPU time is read from /proc at each count. load_test asks for `/`, which is a room here:
# it is built with `/echo` in its request, nothing else is changed. broadcast_test: every client
# sends 20 bytes, and when everybody has everything the next iteration begins.
# A server that cannot be had is left out, aloud. Exit code 77 when there is no second CPU or
# nothing to build the generators with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

turns=${1:-3} intervals=${2:-2} smoke=''
[ "$(nproc)" -ge 2 ] || { echo "skipped: the servers need a CPU beside the generator's"; exit 77; }

. benches/peers/servers.sh

build_crates
build_uws || { echo "skipped: gcc, g++ and crates.io are needed for the generators"; exit 77; }
source=$tools/uws/vendor/$uws_crate/uWebSockets
sed 's,"GET / HTTP,"GET /echo HTTP,' "$source/benchmarks/load_test.c" >"$tools/uws/load_test.c"
cp "$source/benchmarks/broadcast_test.c" "$tools/uws/broadcast_test.c"
for generator in load_test broadcast_test; do
    gcc -O3 -DLIBUS_NO_SSL -w -I "$source/uSockets/src" "$tools/uws/$generator.c" \
        "$tools"/uws/objects/*.o -o "$tools/uws/$generator"
done

ulimit -n "$(ulimit -Hn)"
start ringpost "$target/$built/ringpost" --dev --listen 127.0.0.1:0 --set server.shards=1 \
    --set limits.connections_per_ip=100000 --data "$folder/raw"
start uws "$tools/uws/peer-uws-$uws_version" 127.0.0.1:0
start uws-defer "$tools/uws/peer-uws-$uws_version" 127.0.0.1:0 defer
if install_bun; then
    start bun "$bun" benches/peers/bun.js 127.0.0.1:0
else
    echo "left out: Bun cannot be installed (npm is needed)"
fi
start fastwebsockets "$tools/crates/$built/peer-fastwebsockets"
start tungstenite "$tools/crates/$built/peer-tungstenite"

# ask GENERATOR CONNECTIONS NAMES
ask() {
    local generator=$1 connections=$2 name targets=()
    for name in $3; do
        [ -z "${contestants[$name]:-}" ] || targets+=("${contestants[$name]}")
    done
    python3 benches/peers/others.py "$tools/uws/$generator" "$connections" "$turns" "$intervals" \
        "${targets[@]}"
}
echo "| messages per second of server CPU | ringpost | peers | ringpost / best peer |"
echo "| --- | --- | --- | --- |"
failed=0
for connections in 100 1000; do
    ask load_test "$connections" "ringpost uws bun fastwebsockets tungstenite" || failed=1
done
for clients in 100 1000; do
    ask broadcast_test "$clients" "ringpost uws uws-defer bun fastwebsockets tungstenite" ||
        failed=1
done
exit "$failed"

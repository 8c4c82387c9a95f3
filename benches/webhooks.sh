#!/usr/bin/env bash
# Webhooks from WhatsApp and messages to it, at the highest rate that one shard takes.
#
#   benches/webhooks.sh [TURNS] [SECONDS]     5 turns of 3 seconds each
#
# 1. Signed single messages over 64 kept connections, beside the same handler on axum with the crate
#    meta-whatsapp (the signature checked, the JSON parsed, ids told apart, texts kept by contact).
#    Neither touches a disk: ringpost's log.ack is memory and its data is on a tmpfs (its log thread
#    still writes every body, and its CPU is counted; RINGPOST_SHM names another folder).
# 2. The same with log.ack=fsync on the disk.
# 3. Bodies of a thousand messages, and of a thousand statuses: CPU per update.
# 4. 1,000 messages a second from agents' rooms to the Graph API's stand-in, limits lifted: CPU of
#    the egress thread.
# Server on CPU 0, tester on CPU 1. Fails when a promise of docs/BENCHMARKS.md is not kept.
# Exit code 77 when there is no second CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

turns=${1:-5} seconds=${2:-3} smoke=''
[ "$(nproc)" -ge 2 ] || { echo "skipped: the server needs a CPU beside the tester's"; exit 77; }

. benches/peers/servers.sh

cargo build --quiet --release --bin ringpost
cargo build --quiet --release --package ringpost-load
cargo build --quiet --release --manifest-path benches/peers/Cargo.toml \
    --target-dir "$tools/crates" --features webhook --bin peer-webhook
ulimit -n "$(ulimit -Hn)"
shm=$(mktemp -d -p "${RINGPOST_SHM:-/dev/shm}")
trap 'stop; rm -rf "$shm"' EXIT
export RINGPOST_WHATSAPP_APP_SECRET=secret
server=("$target/$built/ringpost" --dev --listen 127.0.0.1:0 --set server.shards=1
    --set limits.connections_per_ip=100000)
load=("$target/$built/ringpost-load")
pid() { sed 's/.*pid=//' <<<"${contestants[$1]}"; }
url() { sed 's/^[^=]*=\([^,]*\),.*/\1/' <<<"${contestants[$1]}"; }
failed=0

start memory "${server[@]}" --set log.ack=memory --data "$shm/memory"
start axum "$tools/crates/$built/peer-webhook"
echo "== signed single messages, no disk"
"${load[@]}" compare webhook --connections 64 --statuses 0 --target "${contestants[memory]}" \
    --target "${contestants[axum]}" --cpus 1 --turns "$turns" --duration "$seconds" --warmup 0.7 \
    --json >"$folder/single"
python3 benches/webhooks.py compare "$folder/single" || failed=1

start fsync "${server[@]}" --set log.ack=fsync --data "$folder/fsync"
echo "== signed single messages, 64 connections, log.ack=fsync"
"${load[@]}" webhook --connections 64 --statuses 0 --target "$(url fsync)" \
    --server-pid "$(pid fsync)" --cpus 1 --duration "$seconds" --warmup 0.7 --json >"$folder/durable"
python3 benches/webhooks.py rate "$folder/durable" 2000 || failed=1

for statuses in 0 100; do
    echo "== bodies of 1,000 updates, $statuses % statuses, no disk"
    "${load[@]}" webhook --connections 4 --batch 1000 --statuses "$statuses" \
        --target "$(url memory)" --server-pid "$(pid memory)" --cpus 1 --duration "$seconds" \
        --warmup 0.7 --json >"$folder/batch"
    python3 benches/webhooks.py update "$folder/batch" 1000 3.0 || failed=1
done

"${load[@]}" graph-standin --listen 127.0.0.1:0 --rate 0 >"$folder/standin" 2>&1 &
pids+=($!)
until graph=$(grep -om1 'http://127\.0\.0\.1:[0-9]*' "$folder/standin"); do sleep 0.1; done
export RINGPOST_WHATSAPP_TOKEN=any
start sending "${server[@]}" --set log.ack=fsync --set whatsapp.numbers=1102=1000 \
    --set "whatsapp.base_url=$graph" --set limits.sends_per_s=0 --set limits.room_sends_per_s=0 \
    --set limits.frames_per_s=0 --data "$folder/sending"
echo "== 1,000 messages a second to the platform for 15 seconds"
address=$(url sending)
taskset -c 1 python3 benches/webhooks.py agents "${address#ws://}" "$(pid sending)" 1000 15 || failed=1
exit "$failed"

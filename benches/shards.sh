#!/usr/bin/env bash
# What a second shard costs: CPU per delivery, and the way from one shard to the other.
#
#   benches/shards.sh [TURNS] [SECONDS]     5 turns of 2 seconds each, one and two shards in turn
#
# Rooms are spread over the shards by their names and members by the kernel, so with two shards half
# of all deliveries go to the other one. Asked twice: both shards on CPU 0 and the tester on CPU 1,
# which leaves what a second shard costs by itself (mail, wake-ups, a send less filled); and with
# CPUs 0 and 1 for shards and tester alike, as a machine of two would have it. Latencies of the way
# between shards are those of `shards.py`, by the kernel's stamps: idle, and while a connection keeps
# one shard busy with echoes.
# Exit code 77 when there is no second CPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

turns=${1:-5} seconds=${2:-2} smoke=''
[ "$(nproc)" -ge 2 ] || { echo "skipped: two shards need two CPUs"; exit 77; }

. benches/peers/servers.sh

cargo build --quiet --release --bin ringpost
cargo build --quiet --release --package ringpost-load
ulimit -n "$(ulimit -Hn)"
server_cpus=0,1
server=("$target/$built/ringpost" --dev --listen 127.0.0.1:0 --set log.ack=fsync
    --set limits.connections_per_ip=100000 --set limits.sends_per_s=0
    --set limits.room_sends_per_s=0 --set limits.frames_per_s=0)
start one "${server[@]}" --set server.shards=1 --data "$folder/one"
start two "${server[@]}" --set server.shards=2 --data "$folder/two"
server_cpus=0
start one-pinned "${server[@]}" --set server.shards=1 --data "$folder/one-pinned"
start two-pinned "${server[@]}" --set server.shards=2 --data "$folder/two-pinned"
url=${contestants[two]#two=} url=${url%%,*}

echo "the way to the other shard, idle, 200 messages a second:"
python3 benches/shards.py "${url#ws://}" 4000 200
echo "the same while a shard answers 50,000 echoes a second:"
"$target/$built/ringpost-load" echo --connections 1 --rate 50000 --target "$url" --warmup 1 \
    --duration 20 --json >"$folder/echo" &
pids+=($!)
sleep 1.5
python3 benches/shards.py "${url#ws://}" 2000 200
wait "${pids[-1]}" || true
unset 'pids[-1]'

# both SUFFIX DIALECT SCENARIO-WORDS…: CPU per delivery of one shard and of two, in turn.
both() {
    local suffix=$1 dialect=$2 cpus=()
    shift 2
    [ -z "$suffix" ] || cpus=(--cpus 1)
    "$target/$built/ringpost-load" compare "$@" "${cpus[@]}" \
        --target "${contestants[one$suffix]},dialect=$dialect" \
        --target "${contestants[two$suffix]},dialect=$dialect" --turns "$turns" \
        --duration "$seconds" --warmup 0.7 | sed -n '/^Server CPU/,/^$/p; /^p50/,/^$/p'
}
for suffix in -pinned ''; do
    for dialect in raw ringpost; do
        for words in 'paced --rooms 50 --members 20 --rate 20' \
            'paced --rooms 10 --members 100 --rate 50' \
            'room --rooms 50 --members 20' \
            'room --rooms 10 --members 100 --in-flight 10'; do
            echo "== ${suffix:-two CPUs}, $dialect: $words"
            # shellcheck disable=SC2086 # words of a scenario
            both "$suffix" "$dialect" $words
        done
    done
done

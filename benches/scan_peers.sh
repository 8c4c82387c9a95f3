#!/usr/bin/env bash
# Four questions to the same five million messages, in ringpost-scan, DuckDB and Polars.
#
#   benches/scan_peers.sh [MESSAGES] [FOLDER]     5M, in a temporary folder that goes when it ends
#
# Top ten users, messages per minute, messages with a word in them, 95th percentile of their size.
# Every engine has one thread and its favourite file: DuckDB a table of its own (users as texts, and
# as numbers) and Parquet with zstd; Polars the same Parquet. CPU time of the query alone for them;
# for ringpost-scan that of the whole process, with sidecars and without. Engines take turns, the
# best of all turns counts, and all answers must be the same. Fails too when ringpost-scan with
# sidecars takes more than half of the CPU time of the fastest peer, with five million messages.
# Exit code 77 when the Python packages cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

messages=${1:-5M}
target=${CARGO_TARGET_DIR:-target}
tools=$target/oracles/peers
packages=(duckdb==2.0.0 polars==2.1.0)
turns=4 rounds=3

if [ ! -e "$tools/installed" ]; then
    python3 -m venv "$tools" && "$tools/bin/pip" install -q "${packages[@]}" &&
        touch "$tools/installed" || {
        echo "${packages[*]} cannot be installed (Python with venv and a package index are needed)"
        exit 77
    }
fi
python=$tools/bin/python

cargo build --quiet --release --features export --bin ringpost-scan --bin ringpost
cargo build --quiet --release --package ringpost-load
scan=$target/release/ringpost-scan

if [ $# -ge 2 ]; then
    folder=$2
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
[ -d "$folder/data" ] || "$target/release/ringpost-load" gen-log --data "$folder/data" \
    --messages "$messages" --users 50k --rooms 500 --plain
if [ ! -e "$folder/peers.parquet" ]; then
    "$scan" --data "$folder/data" export --table messages --to parquet --out "$folder/source.parquet"
    "$python" benches/scan_peers.py prepare "$folder/source.parquet" "$folder"
    rm "$folder/source.parquet"
fi

# A server that starts and stops makes the sidecars; it adds records, but no messages.
make_sidecars() {
    "$target/release/ringpost" --dev --listen 127.0.0.1:0 --data "$folder/data" \
        >"$folder/server.out" 2>"$folder/server.err" &
    local server=$! tries=0
    until [ "$(find "$folder/data/log" -name '*.idx' | wc -l)" -ge \
        $(($(find "$folder/data/log" -name '*.seg' | wc -l) - 1)) ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || { echo "no sidecars: $(cat "$folder/server.err")"; break; }
        sleep 0.1
    done
    kill -TERM "$server"
    wait "$server" || true
}

lines=$folder/lines
: >"$lines"
rm -f "$folder"/data/log/*.idx
"$python" benches/scan_peers.py ours "$scan" "$folder/data" "ringpost-scan, rows" 2 >>"$lines"
make_sidecars
for turn in $(seq "$turns"); do
    for engine in duckdb-text duckdb-id duckdb-parquet polars-parquet; do
        "$python" benches/scan_peers.py ask "$folder" "$engine" "$rounds" >>"$lines"
    done
    "$python" benches/scan_peers.py ours "$scan" "$folder/data" "ringpost-scan, sidecars" "$rounds" \
        >>"$lines"
    echo "turn $turn of $turns" >&2
done
"$python" -c 'import duckdb, polars; print("DuckDB", duckdb.__version__, "Polars", polars.__version__)'
# Fewer messages than that are mostly the start of a process.
share_max=0.5
[ "$messages" = 5M ] || share_max=inf
"$python" benches/scan_peers.py table "$lines" "$share_max"

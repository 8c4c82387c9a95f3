#!/usr/bin/env bash
# The scanner against other people's programs: every report's answer is computed a second time by
# DuckDB from the exported Parquet, and must be the same; the export must open in DuckDB, Polars
# and pyarrow with the right types; and the log itself is read a second time by read_log.py, which
# knows nothing but docs/LOG_FORMAT.md.
#
#   tests/oracles/scan.sh [--smoke]   logs of some thousand messages
#   tests/oracles/scan.sh --full      and one of a million
#
# The logs are empty, of one record, and of everything at once: clocks that go back, times decades
# ahead, names that break naive programs, three starts of the server, many segments. Each is asked
# twice: without sidecars, and with those that a server makes when it starts on the log.
# Exit code 77 when the Python packages cannot be had.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

mode=${1:---smoke}
target=${CARGO_TARGET_DIR:-target}
tools=$target/oracles
packages=(duckdb==2.0.0 polars==2.1.0 pyarrow==26.0.1 crc32c==2.9.post0)
profile=debug build=()
case "$mode" in
--smoke) ;;
--full) profile=release build=(--release) ;;
*)
    sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

install_peers() {
    [ -e "$tools/scan/installed" ] && return 0
    python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 1
    python3 -m venv "$tools/scan" && "$tools/scan/bin/pip" install -q "${packages[@]}" &&
        touch "$tools/scan/installed"
}
install_peers || {
    echo "${packages[*]} cannot be installed (Python 3.10 with venv and a package index are needed)"
    exit 77
}

cargo build --quiet "${build[@]}" --features export --bin ringpost-scan || exit 1
cargo build --quiet "${build[@]}" --package ringpost-load || exit 1
cargo build --quiet "${build[@]}" --bin ringpost || exit 1
scan=$target/$profile/ringpost-scan load=$target/$profile/ringpost-load
scratch=$(mktemp -d)
server_pid=
stop() {
    [ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null && wait "$server_pid" 2>/dev/null
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

# sidecars LOG: until every segment but the one being written has one.
sidecars() {
    local tries=0
    "$target/$profile/ringpost" --dev --listen 127.0.0.1:0 --data "$1" --shards 1 \
        >"$scratch/stdout" 2>"$scratch/stderr" &
    server_pid=$!
    until grep -q '^ringpost listening' "$scratch/stdout" &&
        [ "$(find "$1/log" -name '*.idx' | wc -l)" -ge $(($(find "$1/log" -name '*.seg' | wc -l) - 1)) ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "no sidecars:"
            cat "$scratch/stderr"
            return 1
        fi
        sleep 0.1
    done
    kill "$server_pid"
    wait "$server_pid"
    server_pid=
}

# log NAME OPTION…: makes a log, and judges all that is asked of it.
log() {
    local name=$1
    shift
    "$load" gen-log --data "$scratch/$name" "$@" >"$scratch/$name.words" 2>&1 || {
        cat "$scratch/$name.words"
        return 1
    }
    "$tools/scan/bin/python" tests/oracles/scan.py "$scan" "$scratch/$name" "$scratch" || return 1
    sidecars "$scratch/$name" || return 1
    "$tools/scan/bin/python" tests/oracles/scan.py "$scan" "$scratch/$name" "$scratch" || return 1
    rm -rf "${scratch:?}/$name"
}

failed=0
log empty --messages 0 --plain || failed=1
log one --messages 1 --plain || failed=1
log plain --messages 3k --users 40 --rooms 5 --customers 10 --days 3 --metrics 600 || failed=1
log everything --messages 6k --users 120 --rooms 12 --customers 40 --days 70 --starts 3 \
    --metrics 7200 --segment-mib 1 --odd-names --clock-jumps --future || failed=1
if [ "$mode" = --full ]; then
    log million --messages 1M --users 20k --rooms 300 --starts 3 --metrics 600 --segment-mib 16 \
        --odd-names --clock-jumps --future || failed=1
fi
exit "$failed"

#!/usr/bin/env bash
# The scanner against other people's programs: every report's answer is computed a second time by
# DuckDB from the exported Parquet, and must be the same; the export must open in DuckDB, Polars
# and pyarrow with the right types; and the log itself is read a second time by read_log.py, which
# knows nothing but docs/LOG_FORMAT.md.
#
#   tests/oracles/scan.sh [--smoke]   logs of some thousand messages
#   tests/oracles/scan.sh --full      and one of a million: 10 GiB of memory, most of an hour
#
# The logs are empty, of one record, and of everything at once: clocks that go back, times decades
# ahead, names that break naive programs, three starts of the server, many segments; one from which
# people, a room and a message were erased and old files and texts removed; and one with flipped
# bits. All but the last are asked twice: without sidecars, and with those that a server makes.
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
    sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
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

cargo build --quiet "${build[@]}" --workspace --bins --features ringpost/export || exit 1
scan=$target/$profile/ringpost-scan load=$target/$profile/ringpost-load
scratch=$(mktemp -d)
server_pid=
stop() {
    [ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null && wait "$server_pid" 2>/dev/null
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

# sidecars LOG [OPTION…]: until every segment but the one being written has one.
sidecars() {
    local log=$1 tries=0
    shift
    "$target/$profile/ringpost" --dev --listen 127.0.0.1:0 --data "$log" --shards 1 "$@" \
        >"$scratch/stdout" 2>"$scratch/stderr" &
    server_pid=$!
    until grep -q '^ringpost listening' "$scratch/stdout" &&
        [ "$(find "$log/log" -name '*.idx' | wc -l)" -ge $(($(find "$log/log" -name '*.seg' | wc -l) - 1)) ] &&
        kept "$log"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "no sidecars, or nothing was retired:"
            cat "$scratch/stderr"
            return 1
        fi
        sleep 0.1
    done
    kill "$server_pid"
    wait "$server_pid"
    server_pid=
}

# kept LOG: whether retention has removed the first file, where the test waits for that.
kept() {
    [ "$(basename "$1")" != erased ] || [ ! -e "$1/log/00000000000000000000.seg" ]
}

# generate NAME OPTION…: makes a log.
generate() {
    local name=$1
    shift
    "$load" gen-log --data "$scratch/$name" "$@" >"$scratch/$name.words" 2>&1 || {
        cat "$scratch/$name.words"
        return 1
    }
}

judge() {
    "$tools/scan/bin/python" tests/oracles/scan.py "$scan" "$scratch/$1" "$scratch" "${@:2}"
}

# log NAME OPTION…: makes a log, and judges all that is asked of it.
log() {
    generate "$@" && judge "$1" "${first[@]}" && sidecars "$scratch/$1" && judge "$1" "${second[@]}" || return 1
    rm -rf "${scratch:?}/$1"
}

# first_of LOG COLUMN REPORT…: of the first row.
first_of() {
    "$scan" --data "$1" --format json "${@:3}" |
        "$tools/scan/bin/python" -c 'import json, sys; print(json.load(sys.stdin)[0][sys.argv[1]])' "$2"
}

# erased: without two people, a room's texts and a message; then with a server that retires.
erased() {
    local name=$scratch/erased user contact room message
    generate erased "${everything[@]}" --segment-mib 1 || return 1
    user=$(first_of "$name" name top users --source ws)
    contact=$(first_of "$name" name top users --source whatsapp)
    room=$(first_of "$name" name top rooms --source ws)
    message=support/$(first_of "$name" o grep e --room support)
    for demand in "--message=$message" "--room=$room" "--user=$contact" "--user=$user"; do
        "$scan" --data "$name" erase "$demand" --by judge --reason test --yes >"$scratch/words" 2>&1 || {
            cat "$scratch/words"
            return 1
        }
    done
    if grep -aqF -e "$user" -e "$contact" "$name"/log/*; then
        echo "FAULT $user or $contact is still in the files"
        return 1
    fi
    judge erased --quick || return 1
    local days=$((($(date +%s) - $(date -d 2026-02-01 +%s)) / 86400))
    sidecars "$name" --set "log.keep_days=$days" --set log.keep_rooms=lobby=1d || return 1
    judge erased --quick || return 1
    rm -rf "$name"
}

# damaged: three bits of sealed segments are flipped; names of others may be among what is lost.
damaged() {
    local places
    generate damaged "${everything[@]}" --segment-mib 1 || return 1
    places=$("$tools/scan/bin/python" - "$scratch/damaged/log" <<'PYTHON'
import os, sys
for name, share in list(zip(sorted(os.listdir(sys.argv[1])), (.3, .5, .7))):
    with open(os.path.join(sys.argv[1], name), "r+b") as file:
        data = file.read()
        place = 4096 + int((len(data.rstrip(b"\0")) - 4096) * share)
        file.seek(place)
        file.write(bytes([data[place] ^ 16]))
    print(f"{name}:{place}")
PYTHON
    )
    # shellcheck disable=SC2086 # one argument for each place
    judge damaged --quick $places || return 1
    rm -rf "$scratch/damaged"
}

failed=0
# In a smoke run each pass takes every second of the filters.
first=(--every 2:0) second=(--every 2:1)
[ "$mode" = --full ] && first=() second=()
everything=(--messages 3k --users 120 --rooms 12 --customers 40 --days 70 --starts 3
    --metrics 14400 --odd-names --clock-jumps --future)
log empty --messages 0 --plain || failed=1
log one --messages 1 --plain || failed=1
# Over the end of summer time in Europe.
log plain --messages 2k --users 40 --rooms 5 --customers 10 --days 3 --metrics 600 --begin 2025-10-25 || failed=1
log everything "${everything[@]}" --segment-mib 1 || failed=1
erased || failed=1
damaged || failed=1
if [ "$mode" = --full ]; then
    log long --messages 20k --users 600 --rooms 40 --customers 300 --days 400 --begin 2024-01-01 --metrics 7200 \
        --segment-mib 4 --starts 2 --odd-names || failed=1
    log million --messages 1M --users 20k --rooms 300 --starts 3 --metrics 600 --segment-mib 16 \
        --odd-names --clock-jumps --future || failed=1
fi
exit "$failed"

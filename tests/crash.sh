#!/usr/bin/env bash
# Crash tests: power cuts on ext4 and XFS, SIGKILL, rotten bits, full and failing disks, each under
# load with an audit of every ack, and each with a control that must lose data.
#
#   tests/crash.sh --smoke        10 power cuts per file system, 10 kills, 500 rotten bits; two minutes
#   tests/crash.sh --full         1,000 power cuts per file system, 1,000 kills, 10,000 rotten bits
#   tests/crash.sh power=100 …    so many rounds of each: power, kill, flips, full, errors, erasures,
#                                 calls
#   … --debug                     the server as `cargo test` builds it; --smoke does that anyway
#
# Prints one line of figures for each. Exit code 0 when nothing acknowledged was lost and every
# control lost something, 77 when a part was skipped because this process may not mount; the last
# line says what. Needs root, losetup, mkfs.ext4 and mkfs.xfs (xfsprogs) for all of it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

profile=(--release) rounds=()
for word in "$@"; do
    case "$word" in
    --smoke)
        rounds=(power=10 kill=10 flips=500 full=2 errors=2 erasures=8 calls=6)
        profile=()
        ;;
    --full)
        rounds=(power=1000 kill=1000 flips=10000 full=100 errors=100 erasures=200 calls=200)
        ;;
    --debug) profile=() ;;
    power=* | kill=* | flips=* | full=* | errors=* | erasures=* | calls=*) rounds+=("$word") ;;
    *)
        sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 2
        ;;
    esac
done
[ ${#rounds[@]} -eq 0 ] && exec "${BASH_SOURCE[0]}" --help

# Parts that were not asked for take no round.
for part in power kill flips full errors erasures calls; do
    [[ " ${rounds[*]} " == *" $part="* ]] || rounds+=("$part=0")
done
export RINGPOST_CRASH
RINGPOST_CRASH=$(IFS=,; echo "${rounds[*]}")

if [ "$(id -u)" -eq 0 ] && ! command -v mkfs.xfs >/dev/null && command -v apt-get >/dev/null; then
    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy xfsprogs \
        >/dev/null || echo "mkfs.xfs could not be installed"
fi

# As tests/run does, so that nothing is compiled twice.
all=(--workspace --features ringpost/export)
cargo build --quiet "${all[@]}" --bins "${profile[@]}" || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --quiet "${all[@]}" --test it "${profile[@]}" -- crash:: --nocapture 2>&1 | tee "$log" |
    grep --line-buffered -a -o -E '(crash|skipped): .*'
code=${PIPESTATUS[0]}
if [ "$code" -ne 0 ]; then
    grep -a -A 12 -E 'panicked at' "$log" | head -n 60
    kept=${CARGO_TARGET_DIR:-target}/crash-failed.log
    cp "$log" "$kept"
    echo "failed: acknowledged data was lost, or a control lost none; all that was said: $kept"
    exit 1
fi
if grep -a -q '^skipped: ' "$log"; then
    grep -a '^skipped: ' "$log" | sort -u | tail -n 1
    exit 77
fi

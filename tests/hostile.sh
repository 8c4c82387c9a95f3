#!/usr/bin/env bash
# The hostile commands: sixty commands that loop, grow, flood, lie and hang, called all the time, and
# what people in other rooms notice of it.
#
#   tests/hostile.sh --smoke       three windows of a second with and without them, as `cargo test`
#                                  builds the server: a shard that stands still would be seen
#   tests/hostile.sh --full        ten windows of three seconds, released: the 99th percentile of
#                                  what bystanders wait for must be within 20 % of that without
#   tests/hostile.sh pairs=5 window_ms=2000 only=Program   or of one name: who does what
#
# Prints its figures. Exit code 0 when every call has one end in the log, which is what its caller
# was told, memory stayed bounded, nobody was led to a private address, and bystanders did not wait.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

profile=(--release) sizes=()
for word in "$@"; do
    case "$word" in
    --smoke) profile=() sizes=(pairs=3 window_ms=1000 percent_max=0) ;;
    --full) sizes=(pairs=10 window_ms=3000 percent_max=20) ;;
    pairs=* | window_ms=* | percent_max=* | only=*) sizes+=("$word") ;;
    *) sizes=() && break ;;
    esac
done
if [ ${#sizes[@]} -eq 0 ]; then
    sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
fi
export RINGPOST_HOSTILE
RINGPOST_HOSTILE=$(IFS=,; echo "${sizes[*]}")

# As tests/run does, so that nothing is compiled twice. One after the other: they measure.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --quiet --workspace --features ringpost/export --test it "${profile[@]}" -- \
    hostile:: --nocapture --test-threads=1 >"$log" 2>&1
code=$?
grep -a -o -E 'hostile: .*' "$log"
if [ "$code" -ne 0 ]; then
    grep -a -A 45 -E 'panicked at|^error' "$log" | head -n 80
    exit 1
fi

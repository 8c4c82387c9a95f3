#!/usr/bin/env bash
# What long calls of WebAssembly modules do to everybody else: the latency of a paced chat on one
# shard, with four callers that run a module of ten million fuel all the time, and without them, in
# turn.
#
#   benches/modules.sh [TURNS] [SECONDS]     8 turns of 3 seconds each, with and without
#   benches/modules.sh --smoke               one of each, a second, with what is built already
#
# Exit code 77 when there is no second CPU for the tester.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$(nproc)" -ge 2 ] || { echo "skipped: the tester needs a CPU of its own"; exit 77; }
target=${CARGO_TARGET_DIR:-target}
if [ "${1:-}" = --smoke ]; then
    cargo build --quiet --workspace --features ringpost/export --bins
    exec python3 benches/modules.py "$target/debug" 1 1
fi
cargo build --quiet --release --workspace --features ringpost/export --bins
exec python3 benches/modules.py "$target/release" "${1:-8}" "${2:-3}"

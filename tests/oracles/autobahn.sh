#!/usr/bin/env bash
# The Autobahn test suite against /echo: RFC 6455 by somebody else's reading of it.
#
#   tests/oracles/autobahn.sh [--smoke]   the 301 cases without compression, with kosoku
#   tests/oracles/autobahn.sh --full      all 517 cases, with kosoku and then with wstest
#
# kosoku runs Autobahn's own case files and needs Python 3.10; wstest is the original and needs
# Python 2.7. Every result must be OK or INFORMATIONAL, also for the way the connection closes:
# NON-STRICT (text that is not UTF-8 is noticed late) and UNIMPLEMENTED fail.
# Exit code 77 when the suite cannot be had.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

mode=${1:---smoke}
target=${CARGO_TARGET_DIR:-target}
tools=$target/oracles
skip_code=77
server_pid= scratch=

skip() {
    echo "$1"
    exit "$skip_code"
}

stop() {
    [ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null && wait "$server_pid" 2>/dev/null
    [ -n "$scratch" ] && rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 1' INT TERM

install_kosoku() {
    [ -x "$tools/kosoku/bin/kosoku" ] && return 0
    local python
    for python in python3 python3.13 python3.12 python3.11 python3.10; do
        "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
    done || skip "kosoku wants Python 3.10 with venv"
    "$python" -m venv "$tools/kosoku" && "$tools/kosoku/bin/pip" install -q kosoku==0.1.0
}

install_wstest() {
    [ -x "$tools/wstest/bin/wstest" ] && return 0
    local python
    for python in python2.7 "$HOME"/.pyenv/versions/2.7.*/bin/python2.7; do
        "$python" -m pip --version >/dev/null 2>&1 && break
    done || return 1
    "$python" -m pip install -q 'virtualenv<20.22' -t "$tools/virtualenv" &&
        PYTHONPATH="$tools/virtualenv" "$python" -m virtualenv -q "$tools/wstest" &&
        "$tools/wstest/bin/pip" install -q autobahntestsuite==25.10.1
}

# Starts the server on a free port and sets `address`. Limits on frames are for chat, not for a
# suite that sends 65536 fragments on purpose.
start_server() {
    local profile=$1 tries=0
    scratch=$(mktemp -d)
    "$target/$profile/ringpost" --dev --listen 127.0.0.1:0 --data "$scratch/data" --shards 1 \
        --set limits.frames_per_s=0 >"$scratch/stdout" 2>"$scratch/stderr" &
    server_pid=$!
    until address=$(sed -n 's,^ringpost listening on http://\([^ ]*\).*,\1,p' "$scratch/stdout") &&
        [ -n "$address" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "the server did not become ready:"
            cat "$scratch/stdout" "$scratch/stderr"
            exit 1
        fi
        sleep 0.1
    done
}

# judge FOLDER CASES: reads index.json, the same in both runners.
judge() {
    python3 - "$1/index.json" "$2" <<'PYTHON'
import collections, json, sys

agents = json.load(open(sys.argv[1]))
wanted = int(sys.argv[2])
cases = [case for agent in agents.values() for case in agent.items()]
good = {"OK", "INFORMATIONAL"}
bad = [(name, case) for name, case in cases
       if case["behavior"] not in good or case["behaviorClose"] not in good]
for name, case in sorted(bad):
    print(f"case {name}: {case['behavior']}, close {case['behaviorClose']}")
counts = collections.Counter(case["behavior"] for _, case in cases)
print(f"{len(cases)} of {wanted} cases:", ", ".join(f"{n} {what}" for what, n in counts.items()))
sys.exit(1 if bad or len(cases) != wanted else 0)
PYTHON
}

# kosoku exits with 1 when a case failed and says which; the verdict is ours.
run_kosoku() {
    local cases=$1
    shift
    "$tools/kosoku/bin/kosoku" -m fuzzingclient "ws://$address/echo" -p 4 -o "$scratch/kosoku" "$@"
    judge "$scratch/kosoku" "$cases"
}

# In parts, because a run that is cut short leaves no index.
run_wstest() {
    local part cases failed=0
    while read -r part cases; do
        cat >"$scratch/spec.json" <<JSON
{"outdir": "$scratch/wstest-$cases", "cases": [$part], "exclude-cases": [],
 "exclude-agent-cases": {}, "servers": [{"agent": "ringpost", "url": "ws://$address/echo",
 "options": {"version": 18}}]}
JSON
        "$tools/wstest/bin/wstest" -m fuzzingclient -s "$scratch/spec.json" >"$scratch/wstest.log"
        judge "$scratch/wstest-$cases" "$cases" || failed=1
    done <<'PARTS'
"1.*","2.*","3.*","4.*","5.*","6.*","7.*","10.*" 247
"9.*" 54
"12.*" 90
"13.*" 126
PARTS
    return "$failed"
}

case "$mode" in
--smoke)
    install_kosoku || skip "kosoku 0.1.0 cannot be installed (no package index?)"
    cargo build --quiet --workspace --features ringpost/export --bins || exit 1
    start_server debug
    run_kosoku 301 -x '12.*' -x '13.*'
    ;;
--full)
    install_kosoku || skip "kosoku 0.1.0 cannot be installed (no package index?)"
    cargo build --quiet --release --bin ringpost || exit 1
    start_server release
    run_kosoku 517 || exit 1
    install_wstest || skip "kosoku passed; wstest wants Python 2.7 with pip and a package index"
    run_wstest
    ;;
*)
    sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

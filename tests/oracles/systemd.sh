#!/usr/bin/env bash
# The unit file in docs/OPERATING.md by systemd's own judgement: it parses, and its exposure is at
# most 2.0 of 10. Exit code 77 where there is no systemd-analyze.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

command -v systemd-analyze >/dev/null || {
    echo "no systemd-analyze"
    exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unit=$scratch/ringpost.service
# The program need not be installed here, so another one stands for it.
sed -n '/^```ini$/,/^```$/{/^```/d;p}' docs/OPERATING.md |
    sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' >"$unit"
[ -s "$unit" ] || {
    echo "docs/OPERATING.md has no ini block"
    exit 1
}
# Unknown keys are only warnings to systemd; here nothing may be said about the unit.
complaints=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$unit")
if [ -n "$complaints" ]; then
    echo "$complaints"
    exit 1
fi
systemd-analyze security --offline=true --no-pager --threshold=20 "$unit" | tail -n 1
exit "${PIPESTATUS[0]}"

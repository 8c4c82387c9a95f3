"""One test of others.sh: a generator against servers in turn, and the server's CPU per message.

    others.py GENERATOR CONNECTIONS TURNS INTERVALS TARGET…    TARGET: name=ws://HOST:PORT,pid=PID

The generator says its count every four seconds; the first interval, which holds the start, is not
counted. Prints a row of a table. Fails when a generator ends by itself: then a server lost bytes.
"""

import os
import re
import subprocess
import sys

from tables import NAMES, amount, median

INTERVAL = 4  # LIBUS_TIMEOUT_GRANULARITY, by which the generators divide their counts.


def cpu_ns(pid):
    """CPU time of all threads of a server so far, in nanoseconds."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def turn(generator, connections, intervals, host, port, pid):
    """Messages per second of server CPU, or None when the generator gave up."""
    broadcast = os.path.basename(generator) == "broadcast_test"
    words = [generator, str(connections), host, port, "0"]
    if not broadcast:
        words += ["0", "20"]
    child = subprocess.Popen(["taskset", "-c", "1", "stdbuf", "-oL", *words],
                             stdout=subprocess.PIPE, text=True)
    counted, messages, begun = 0, 0, 0
    try:
        for line in child.stdout:
            found = re.search(r"(?:Msg/sec|clients\)): ([0-9.]+)", line)
            if not found:
                continue
            now = cpu_ns(pid)
            if counted == 0:
                begun = now
            else:
                each = connections * connections if broadcast else 1
                messages += float(found[1]) * INTERVAL * each
            counted += 1
            if counted > intervals:
                return messages / ((now - begun) / 1e9)
        return None
    finally:
        child.kill()
        child.wait()


def main():
    generator, connections, turns, intervals = sys.argv[1], *map(int, sys.argv[2:5])
    targets = {}
    for word in sys.argv[5:]:
        name, host, port, pid = re.match(r"(.*?)=ws://(.*):(\d+),pid=(\d+)", word).groups()
        targets[name] = (host, port, int(pid))
    seen = {name: [] for name in targets}
    for _ in range(turns):
        for name, target in targets.items():
            seen[name].append(turn(generator, connections, intervals, *target))
    cells = []
    for name, values in seen.items():
        if None in values:
            cells.append(f"{NAMES[name]} **gave up**")
        else:
            spread = (max(values) - min(values)) / 2 / median(values)
            cells.append(f"{NAMES[name]} {amount(median(values))} ±{spread:.0%}")
    test = f"{os.path.basename(generator)} {connections}"
    ratios = [mine / max(theirs) for mine, *theirs in zip(*seen.values()) if None not in theirs]
    ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""
    print(f"| `{test}` | {cells[0].removeprefix('ringpost ')} | {', '.join(cells[1:])} | {ratio} |")
    sys.exit(None in seen["ringpost"])


main()

"""The tables of docs/BENCHMARKS.md, made of what `ringpost-load compare --json` said.

    tables.py show FILE.json            one test, for the terminal
    tables.py write RESULTS DOCUMENT    all tests, between the document's markers
"""

import json
import os
import platform
import sys

BEGIN = "<!-- peers: written by benches/peers/run.sh -->"
END = "<!-- peers: end -->"
NAMES = {
    "ringpost": "ringpost",
    "whole": "ringpost, whole",
    "uws": "uWebSockets",
    "uws-defer": "uWebSockets, deferred",
    "bun": "Bun",
    "fastwebsockets": "fastwebsockets",
    "tungstenite": "tokio-tungstenite",
    "axum": "axum",
}
TESTS = {
    "echo-100": "echo, 100 connections",
    "echo-1000": "echo, 1,000 connections",
    "room-1x1000": "one room of 1,000, one message in flight",
    "rooms-50x20": "50 rooms of 20, one in flight each",
    "rooms-10x100": "10 rooms of 100, ten in flight each",
    "all-100": "everyone in a room of 100 at once",
    "all-1000": "1,000 members all at once",
}
OURS = ("ringpost", "whole")


def amount(value):
    """Three digits and k or M."""
    for scale, unit in ((1e6, " M"), (1e3, " k"), (1, "")):
        if value >= scale:
            break
    value /= scale
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{unit}"


def targets_of(test):
    return {target["name"]: target for target in test["targets"]}


def per_cpu_second(target):
    """Messages per second of server CPU in each turn."""
    turns = [turn["server"]["cpu_us_per_message"] for turn in target["turns"] if turn["server"]]
    return [1e6 / us for us in turns if us]


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ratio(targets, name):
    """A server of ours as a multiple of the best peer in the same turn: median, least, most."""
    own = per_cpu_second(targets[name])
    peers = [per_cpu_second(target) for peer, target in targets.items() if peer not in OURS]
    ratios = [mine / max(theirs) for mine, *theirs in zip(own, *peers)] if peers else []
    if not ratios:
        return ""
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def cell(target):
    values = per_cpu_second(target) if target else []
    if not values:
        return ""
    spread = 100 * (max(values) - min(values)) / 2 / median(values)
    mark = "" if target["ok"] else " **failed**"
    return f"{amount(median(values))} ±{spread:.0f} %{mark}"


def middle(target, key):
    """A median, or a dash where no message made it in a short turn."""
    return f"{target[key]['median']:.0f}" if key in target else "-"


def show(test):
    targets = targets_of(test)
    for name, target in targets.items():
        cpu, rate = cell(target), amount(target["received_per_s"]["median"])
        share = max(turn["client"]["share_of_cores"] for turn in target["turns"])
        latency = f"p50 {middle(target, 'p50_us')} p99 {middle(target, 'p99_us')} µs"
        print(f"  {name:<15} {cpu:<14} a CPU second, {rate}/s, {latency}, client {share:.0%}")
        if not target["ok"]:
            print(f"    FAILED: {[turn['findings'] for turn in target['turns']]}")
    for name in OURS:
        if name in targets:
            print(f"  {name} / best peer: {ratio(targets, name)}")
    if not all(target["ok"] for name, target in targets.items() if name in OURS):
        sys.exit(1)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return [row(head), row(["---"] * len(head)), *(row(cells) for cells in rows)]


def cpu_table(tests, names):
    rows = []
    for key, title in TESTS.items():
        if key not in tests:
            continue
        targets = targets_of(tests[key])
        ratios = [ratio(targets, name) if name in targets else "" for name in OURS]
        rows.append([title, *(cell(targets.get(name)) for name in names), *ratios])
    head = ["per second of server CPU", *(NAMES[name] for name in names)]
    return table([*head, "ringpost / best peer", "whole / best peer"], rows)


def paced_table(test):
    rows = []
    for name, target in targets_of(test).items():
        times = [target.get(key) for key in ("p50_us", "p99_us", "p99_9_us")]
        shown = [f"{t['median']:.0f} ({t['min']:.0f} to {t['max']:.0f})" if t else "" for t in times]
        rows.append([NAMES[name], *shown, cell(target)])
    return table(["µs", "p50", "p99", "p99.9", "per second of server CPU"], rows)


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release()}"


def write(results, document):
    tests, lines = {}, []
    for name in [*TESTS, "paced"]:
        path = os.path.join(results, name)
        if os.path.exists(path + ".json"):
            with open(path + ".json", encoding="utf-8") as file:
                tests[name] = json.load(file)
            with open(path + ".line", encoding="utf-8") as file:
                lines.append((name, file.read().strip()))
    if not tests:
        sys.exit(f"no results in {results}")
    with open(os.path.join(results, "versions"), encoding="utf-8") as file:
        versions = ", ".join(line.strip() for line in file if line.strip())
    found = {target["name"] for test in tests.values() for target in test["targets"]}
    names = [name for name in NAMES if name in found]
    first = next(iter(tests.values()))["targets"][0]["turns"]
    out = [BEGIN, ""]
    out.append(f"Machine: {machine()}. {versions}. {len(first)} turns of {first[0]['duration_s']:.1f} s")
    out.append("each, interleaved; server on CPU 0, tester on CPU 1; 64-byte messages; the median, and half")
    out.append("of the range. A ratio is that of the same turn.")
    out += ["", *cpu_table(tests, names), ""]
    if "paced" in tests:
        out.append("Latency from when a message was due to the last of 100 members, 100,000 deliveries a second:")
        out += ["", *paced_table(tests["paced"]), ""]
    out.append("Each line behind `ringpost-load compare … --cpus 1`:")
    out += ["", *(f"- {TESTS.get(name, name)}: `{line}`" for name, line in lines), "", END]
    with open(document, encoding="utf-8") as file:
        text = file.read()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        sys.exit(f"{document} has no markers")
    with open(document, "w", encoding="utf-8") as file:
        file.write(head + "\n".join(out) + tail)


def main(words):
    match words:
        case ["show", path]:
            with open(path, encoding="utf-8") as file:
                show(json.load(file))
        case ["write", results, document]:
            write(results, document)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

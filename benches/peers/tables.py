"""Tables and plot of the comparison, made of what `ringpost-load compare --json` said.

    tables.py show FILE.json    one test, for the terminal
    tables.py write RESULTS     all tests: between the markers of docs/BENCHMARKS.md and README.md,
                                and as docs/peers.svg
"""

import json
import math
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


def ratios(targets, name):
    """A server of ours as a multiple of the best peer in the same turn, for each turn."""
    own = per_cpu_second(targets[name]) if name in targets else []
    peers = [per_cpu_second(target) for peer, target in targets.items() if peer not in OURS]
    return [mine / max(theirs) for mine, *theirs in zip(own, *peers)] if peers else []


def ratio(targets, name):
    """Median, least, most."""
    found = ratios(targets, name)
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else ""


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
        shares = [ratio(targets, name) for name in OURS]
        rows.append([title, *(cell(targets.get(name)) for name in names), *shares])
    head = ["per second of server CPU", *(NAMES[name] for name in names)]
    return table([*head, "ringpost / best peer", "whole / best peer"], rows)


def paced_table(test):
    rows = []
    for name, target in targets_of(test).items():
        times = [target.get(key) for key in ("p50_us", "p99_us", "p99_9_us")]
        shown = [f"{t['median']:.0f} ({t['min']:.0f} to {t['max']:.0f})" if t else "" for t in times]
        rows.append([NAMES[name], *shown, cell(target)])
    return table(["µs", "p50", "p99", "p99.9", "per second of server CPU"], rows)


def short_table(tests):
    """Ours and the best peer, for who reads on."""
    rows = []
    for key, targets in ((key, targets_of(tests[key])) for key in TESTS if key in tests):
        peers = {name: per_cpu_second(targets[name]) for name in targets if name not in OURS}
        best = max((median(values), name) for name, values in peers.items() if values)
        ours = [per_cpu_second(targets[name]) if name in targets else [] for name in OURS]
        shown = [amount(median(values)) if values else "" for values in ours]
        rows.append([TESTS[key], *shown, f"{amount(best[0])} ({NAMES[best[1]]})"])
    head = ["per second of server CPU", *(NAMES[name] for name in OURS), "the best of the others"]
    return table(head, rows)


def plot(tests):
    """Bars on a logarithmic scale; the line is the best peer."""
    left, width, step, top = 300, 520, 46, 64
    keys = [key for key in TESTS if key in tests]
    scale = width / math.log10(50)  # From half the best peer to 25 times.
    place = lambda value: left + scale * math.log10(max(value, 0.5) / 0.5)
    height = top + step * len(keys) + 24
    text = 'font-family="sans-serif" fill="#222"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" role="img">',
        "<title>Messages per second of server CPU, as multiples of the best peer</title>",
        f'<rect width="900" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" {text} font-size="16" font-weight="bold">'
        "Messages per second of server CPU, best peer = 1</text>",
    ]
    for x, color, name in ((left, "#0b7285", "ringpost"), (left + 110, "#74c0cc", "ringpost, whole")):
        out.append(f'<rect x="{x}" y="40" width="12" height="12" fill="{color}"/>')
        out.append(f'<text x="{x + 18}" y="51" {text} font-size="13">{name}</text>')
    for value in (0.5, 1, 2, 5, 10, 20):
        x, line = place(value), "#c92a2a" if value == 1 else "#ddd"
        out.append(f'<path d="M{x:.1f} {top}V{height - 22}" stroke="{line}"/>')
        out.append(
            f'<text x="{x:.1f}" y="{height - 6}" {text} font-size="12" text-anchor="middle">'
            f"{value:g}</text>"
        )
    for index, key in enumerate(keys):
        y, targets = top + step * index, targets_of(tests[key])
        out.append(f'<text x="16" y="{y + 26}" {text} font-size="13">{TESTS[key]}</text>')
        for name, color, shift in zip(OURS, ("#0b7285", "#74c0cc"), (6, 23)):
            found = ratios(targets, name)
            if not found:
                continue
            begin, end, low = place(1), place(median(found)), y + shift
            x, bar = min(begin, end), abs(end - begin)
            out.append(
                f'<rect x="{x:.1f}" y="{low}" width="{bar:.1f}" height="15" fill="{color}"/>'
            )
            out.append(
                f'<text x="{max(begin, end) + 5:.1f}" y="{low + 12}" {text} font-size="12">'
                f"{median(found):.2f}</text>"
            )
    return "\n".join([*out, "</svg>", ""])


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release()}"


def put(document, lines):
    """Replaces what stands between the markers."""
    with open(document, encoding="utf-8") as file:
        text = file.read()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        sys.exit(f"{document} has no markers")
    with open(document, "w", encoding="utf-8") as file:
        file.write(head + "\n".join([BEGIN, "", *lines, "", END]) + tail)


def write(results):
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
    out = []
    out.append(f"Machine: {machine()}. {versions}. {len(first)} turns of {first[0]['duration_s']:.1f} s")
    out.append("each, interleaved; server on CPU 0, tester on CPU 1; 64-byte messages; the median, and half")
    out.append("of the range. A ratio is that of the same turn.")
    out += ["", *cpu_table(tests, names), ""]
    if "paced" in tests:
        out.append("Latency from when a message was due to the last of 100 members, 100,000 deliveries a second:")
        out += ["", *paced_table(tests["paced"]), ""]
    out.append("Each line behind `ringpost-load compare … --cpus 1`:")
    out += ["", *(f"- {TESTS.get(name, name)}: `{line}`" for name, line in lines)]
    put("docs/BENCHMARKS.md", out)
    put("README.md", short_table(tests))
    with open("docs/peers.svg", "w", encoding="utf-8") as file:
        file.write(plot(tests))


def main(words):
    match words:
        case ["show", path]:
            with open(path, encoding="utf-8") as file:
                show(json.load(file))
        case ["write", results]:
            write(results)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

"""What webhooks.sh asks of its runs, and the agents who write to contacts.

    webhooks.py compare FILE              ringpost and a peer, of `ringpost-load compare --json`
    webhooks.py rate FILE AT_LEAST        answers a second, of `ringpost-load webhook --json`
    webhooks.py update FILE BATCH AT_MOST CPU microseconds of one update of a body
    webhooks.py agents HOST:PORT PID RATE SECONDS    sends, and reads the egress thread's CPU

Each prints a line and fails when the bound is not kept.
"""

import hashlib
import hmac
import http.client
import json
import os
import select
import sys
import time

from peers.tables import amount, median, per_cpu_second
from shards import Session

RATIO_MIN = 4
SHARE_MAX = 0.5
NUMBER = "1102"
ROOMS = 1600
ROOMS_PER_SESSION = 100


def read(path):
    with open(path) as file:
        return json.load(file)


def compare(path):
    ours, peer = read(path)["targets"]
    both = list(zip(per_cpu_second(ours), per_cpu_second(peer)))
    ratios = [one / other for one, other in both]
    for index, name in enumerate(("ringpost", "axum and meta-whatsapp")):
        values = [turn[index] for turn in both]
        spread = (max(values) - min(values)) / 2 / median(values)
        print(f"{name}: {amount(median(values))} requests per second of server CPU ±{spread:.0%}")
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), asked {RATIO_MIN}")
    return median(ratios) >= RATIO_MIN


def rate(path, at_least):
    run = read(path)
    latency = run["latency_us"]["webhook"]
    print(f"{run['received_per_s']:.0f} answers a second, asked {at_least}; p50 {latency['p50']:.0f} µs, "
          f"p99 {latency['p99']:.0f} µs; {run['server']['cpu_us_per_message']:.1f} CPU µs each")
    return run["received_per_s"] >= float(at_least)


def update(path, batch, at_most):
    run = read(path)
    each = run["server"]["cpu_us_per_message"] / int(batch)
    updates = run["received_per_s"] * int(batch)
    print(f"{each:.2f} CPU µs an update, asked {at_most}; {updates:.0f} updates a second")
    return each <= float(at_most)


def contact(index):
    # The stand-in has its own ideas of numbers that end in 0001 to 0007.
    return f"4477{index:06}99"


def open_windows(address):
    """Every contact writes, so that agents may answer for a day."""
    connection = http.client.HTTPConnection(address)
    now = int(time.time())
    for begin in range(0, ROOMS, 200):
        messages = [
            {"from": contact(n), "id": f"wamid.{now}.{n}", "timestamp": str(now), "type": "text",
             "text": {"body": "hello"}}
            for n in range(begin, min(begin + 200, ROOMS))
        ]
        value = {"messaging_product": "whatsapp", "messages": messages,
                 "metadata": {"display_phone_number": "15550104477", "phone_number_id": NUMBER}}
        change = {"field": "messages", "value": value}
        body = json.dumps({"object": "whatsapp_business_account",
                           "entry": [{"id": "2", "changes": [change]}]}).encode()
        signature = "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        connection.request("POST", "/webhook/whatsapp", body, {"X-Hub-Signature-256": signature})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status


def counter(address, name):
    connection = http.client.HTTPConnection(address)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    return float(next(line.split()[1] for line in page.splitlines() if line.startswith(name + " ")))


def cpu_ns(pid, thread=None):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if thread not in (None, file.read().strip()):
                continue
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def agents(address, pid, per_second, seconds):
    open_windows(address)
    sessions = []
    for begin in range(0, ROOMS, ROOMS_PER_SESSION):
        session = Session(address, f"agent-{begin}")
        for index in range(begin, begin + ROOMS_PER_SESSION):
            session.ask("join", f"wa:{NUMBER}:{contact(index)}")
        sessions.append(session)
    total = int(float(per_second) * float(seconds))
    begun = (time.monotonic(), cpu_ns(pid, "ringpost-egress"), cpu_ns(pid))
    refused, sent = 0, 0
    while sent < total:
        due = int((time.monotonic() - begun[0]) * float(per_second))
        while sent < min(due, total):
            index = sent % ROOMS
            room = f"wa:{NUMBER}:{contact(index)}"
            text = f"Your order {sent} is on its way, and here are some more words of it"
            sessions[index // ROOMS_PER_SESSION].say("send", room, cid=f"a{sent}", text=text)
            sent += 1
        for session in select.select(sessions, [], [], 0.005)[0]:
            for frame, _ in session.frames():
                session.answer_ping(frame)
                refused += frame["t"] == "err"
    offered_s = time.monotonic() - begun[0]
    taken, patience = 0, time.monotonic() + 15
    while taken < total - refused and time.monotonic() < patience:
        time.sleep(0.25)
        taken = counter(address, "ringpost_outbox_accepted_total")
    took_s = time.monotonic() - begun[0]
    egress = (cpu_ns(pid, "ringpost-egress") - begun[1]) / 1e9
    whole = (cpu_ns(pid) - begun[2]) / 1e9
    print(f"{taken:.0f} of {total} taken by the platform, {refused} refused, offered in "
          f"{offered_s:.1f} s, taken after {took_s:.1f} s; egress thread {egress / offered_s:.2f} of a "
          f"core, {egress / total * 1e6:.0f} µs a message; the whole server {whole / total * 1e6:.0f} µs")
    return taken == total and egress / offered_s <= SHARE_MAX


if __name__ == "__main__":
    asked = {"compare": compare, "rate": rate, "update": update, "agents": agents}[sys.argv[1]]
    sys.exit(not asked(*sys.argv[2:]))

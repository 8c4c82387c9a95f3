"""Latencies of a paced chat while modules run, and while none does.

    modules.py FOLDER TURNS SECONDS    FOLDER holds ringpost and ringpost-load

Starts a server with one shard. The chat: 10 rooms of two, 1,000 messages a second. The callers: four
that each call, in a room of its own, a loop of 9,975,352 fuel every 20 ms, which is more than the
share of the shard that calls may take.
They and the tester share all CPUs but the shard's. Prints a table of the medians over the turns, and exits with 1 when a message was lost, or none of
the calls ended well.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CALLERS = 4
PAUSE_S = 0.02
FIGURES = ("p50", "p99", "p99.9", "max")
CHAT = "chat --rooms 10 --members 2 --rate 100 --json".split()
# (module (memory (export "memory") 1) (data (i32.const 8) "done")
#   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
#   (func (export "run") (param i32 i32) (result i64) (local $n i32)
#     (local.set $n (i32.const 1425000))
#     (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n)))
#     (i64.or (i64.shl (i64.const 8) (i64.const 32)) (i64.const 4))))
LOOP = (
    "AGFzbQEAAAABDAJgAX8Bf2ACf38BfgMDAgABBQMBAAEHGAMGbWVtb3J5AgAFYWxsb2MAAANydW4AAQopAgUAQYAICyEB"
    "AX9B6PzWACECA0AgAkEBayECIAINAAtCCEIghkIEhAsLCgEAQQgLBGRvbmU="
)


class Api:
    """One connection to the API."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def ask(self, method, path, value):
        self.connection.request(method, f"/api/v1/{path}", json.dumps(value))
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def calls(address, stop, ended):
    """Callers until `stop` is set. Counts in `ended` what came of their calls."""

    def caller(number):
        api, room = Api(address), f"loop{number}"
        while not stop.is_set():
            status, answer = api.ask("POST", f"rooms/{room}/commands", {"name": "loop"})
            ended.append(answer.get("state") if status == 200 else answer["error"]["reason"])
            time.sleep(PAUSE_S)

    threads = [threading.Thread(target=caller, args=[number]) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    return threads


def turn(folder, address, seconds, with_calls):
    """One measurement: the figures in microseconds, and what came of calls."""
    stop, ended = threading.Event(), []
    threads = calls(address, stop, ended) if with_calls else []
    load = [f"{folder}/ringpost-load", *CHAT, "--target", f"ws://{address}"]
    done = subprocess.run([*load, "--duration", seconds], capture_output=True, text=True)
    stop.set()
    for thread in threads:
        thread.join()
    if done.returncode != 0:
        sys.exit(f"ringpost-load: {done.stdout}{done.stderr}")
    latencies = json.loads(done.stdout)["latency_us"]["each"]
    return [latencies[name] for name in FIGURES], ended


def measure(folder, address, turns, seconds):
    api = Api(address)
    status, answer = api.ask("PUT", "commands/loop", {"wasm": LOOP, "reply": "ephemeral"})
    assert status == 200, answer
    for number in range(CALLERS):
        api.ask("POST", f"rooms/loop{number}/messages", {"cid": "begin", "text": "hello"})
    rows, ended = {"without calls": [], "with calls": []}, []
    for _ in range(turns):
        for name, figures in rows.items():
            found, states = turn(folder, address, seconds, name == "with calls")
            figures.append(found)
            ended += states
    print("| each message, µs, median of the turns | " + " | ".join(FIGURES) + " |")
    print("| --- " * (len(FIGURES) + 1) + "|")
    for name, figures in rows.items():
        medians = [round(statistics.median(column)) for column in zip(*figures)]
        print(f"| {name} | " + " | ".join(f"{figure:,}" for figure in medians) + " |")
    # An answer that comes later is not the API's to wait for: the log says how it ended.
    taken = sum(state in ("done", "pending") for state in ended)
    print(f"{len(ended)} calls, {taken} taken, the others refused: so many at once are enough")


def ended_well(folder, data):
    scan = [f"{folder}/ringpost-scan", "--data", data, "--kind", "command"]
    scan += ["--where", 'command = "loop"', "tail", "-n", "1000000"]
    done = subprocess.run(scan, capture_output=True, text=True, check=True)
    return sum("outcome=ok" in line for line in done.stdout.splitlines())


def main():
    folder, turns, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as scratch:
        data = f"{scratch}/data"
        server = [f"{folder}/ringpost", "--dev", "--shards", "1", "--listen", "127.0.0.1:0"]
        server += ["--data", data, "--set", "limits.sends_per_s=0"]
        server += ["--set", "limits.room_sends_per_s=0", "--set", "limits.frames_per_s=0"]
        process = subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            address = re.search(r"http://(\S+)", process.stdout.readline())[1]
            # The shard has the first CPU; tester and callers stay off it.
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[1:])
            measure(folder, address, turns, seconds)
        finally:
            process.terminate()
            process.wait(30)
        count = ended_well(folder, data)
        print(f"{count} ended well")
        sys.exit(0 if count else 1)


main()

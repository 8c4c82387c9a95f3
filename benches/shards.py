"""What it costs when a room lives on another shard than its member: the lag between two members.

    shards.py HOST:PORT MESSAGES PER_SECOND    against `ringpost --dev` with two shards

A sender and a member sit on the room's own shard and on the other one, by turns for a room of each
shard. The kernel stamps what arrives on both sockets, so this program's own pace is in no figure.
Prints JSON, microseconds: `near` from the send to the member beside the room, `cross` what the
member on the other shard waits longer; both also by who owns the room. `bare` is what a way between
shards cannot be shorter than: from a write to an eventfd until a process that does nothing but wait
for it on the other CPU is back.
"""

import base64
import json
import os
import select
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
MASK = (1 << 64) - 1


def place(name, shards):
    """The shard that owns a room: base/hash.rs."""
    mixed = 0xCBF29CE484222325
    for byte in name.encode():
        mixed = ((mixed ^ byte) * 0x100000001B3) & MASK
    mixed = ((mixed ^ (mixed >> 32)) * 0x9E3779B97F4A7C15) & MASK
    return (mixed * shards) >> 64


class Session:
    """A WebSocket with a hello on it."""

    def __init__(self, address, user):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        assert b" 101 " in head, head
        self.bytes = b""
        self.requests = 0
        self.shard = int(self.ask("hello", user=user)["sid"].split("-")[1])

    def say(self, verb, room=None, **d):
        """Sends a request without waiting."""
        self.requests += 1
        request = {"t": verb, "id": self.requests, "d": d} | ({"room": room} if room else {})
        text = json.dumps(request).encode()
        assert len(text) < 65536
        size = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        # A mask of zeros is a mask.
        self.socket.sendall(b"\x81" + size + bytes(4) + text)

    def frames(self):
        """What one look brings: each frame with the kernel's time in nanoseconds."""
        data, ancillary, _, _ = self.socket.recvmsg(65536, 64)
        assert data, "closed"
        stamp = next(struct.unpack("qq", value[:16]) for _, _, value in ancillary)
        self.bytes += data
        while len(self.bytes) >= 2:
            size, begin = self.bytes[1], 2
            if size == 126:
                size, begin = struct.unpack(">H", self.bytes[2:4])[0], 4
            if len(self.bytes) < begin + size:
                return
            frame, self.bytes = self.bytes[begin : begin + size], self.bytes[begin + size :]
            yield json.loads(frame), stamp[0] * 1_000_000_000 + stamp[1]

    def ask(self, verb, room=None, **d):
        """A request and its ok."""
        self.say(verb, room, **d)
        wanted = self.requests
        while True:
            for frame, _ in self.frames():
                self.answer_ping(frame)
                if frame.get("id") == wanted:
                    assert frame["t"] == "ok", frame
                    return frame.get("d", {})

    def fileno(self):
        return self.socket.fileno()

    def answer_ping(self, frame):
        if frame["t"] == "ping":
            self.say("pong")


def measure(near, far, room, count, per_second):
    """Lags of `count` messages in nanoseconds: to the near member, and from it to the far one."""
    lags = []
    due = time.monotonic()
    for _ in range(count):
        due += 1 / per_second
        time.sleep(max(0, due - time.monotonic()))
        cid, arrived = f"{room}-{os.getpid()}-{near.requests}", {}
        sent = time.clock_gettime_ns(time.CLOCK_REALTIME)
        near.say("send", room, cid=cid, text="x" * 64)
        while len(arrived) < 2:
            for session in select.select([near, far], [], [], 10)[0]:
                for frame, stamp in session.frames():
                    session.answer_ping(frame)
                    if frame["t"] == "msg" and frame["d"]["cid"] == cid:
                        arrived[session] = stamp
                    assert frame["t"] != "err", frame
        lags.append((arrived[near] - sent, arrived[far] - arrived[near]))
    return lags


def bare(count, per_second):
    """Nanoseconds from a write to an eventfd to the reader on another CPU."""
    bell, (answers, said) = os.eventfd(0), os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, {1})
        for _ in range(count):
            os.read(bell, 8)
            os.write(said, struct.pack("q", time.monotonic_ns()))
        os._exit(0)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    lags = []
    for _ in range(count):
        time.sleep(1 / per_second)
        begun = time.monotonic_ns()
        os.write(bell, struct.pack("q", 1))
        lags.append(struct.unpack("q", os.read(answers, 8))[0] - begun)
    os.wait()
    os.sched_setaffinity(0, allowed)
    return lags


def percentiles(values):
    ordered = sorted(values)
    at = lambda part: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] / 1000, 1)
    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "max": at(1)}


def main():
    address, count, per_second = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    report, together = {"bare": percentiles(bare(count // 4, per_second))}, []
    members = {}
    for number in range(64):
        session = Session(address, f"member-{number}")
        members.setdefault(session.shard, session)
        if len(members) == 2:
            break
    assert len(members) == 2, "all connections came to one shard: is server.shards 2?"
    for owner in (0, 1):
        room = next(f"r{n}" for n in range(100) if place(f"r{n}", 2) == owner)
        near, far = members[owner], members[1 - owner]
        near.ask("join", room)
        far.ask("join", room)
        measure(near, far, room, 100, per_second)
        lags = measure(near, far, room, count // 2, per_second)
        together += lags
        report[f"shard {owner} owns"] = {
            "near": percentiles([near for near, _ in lags]),
            "cross": percentiles([cross for _, cross in lags]),
        }
    report["all"] = {
        "near": percentiles([near for near, _ in together]),
        "cross": percentiles([cross for _, cross in together]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

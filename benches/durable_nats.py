"""Writers of NATS JetStream for benches/durable_peers.sh: each publishes, waits for the ack of the
stream, and publishes again.

    durable_nats.py HOST:PORT WRITERS BYTES SECONDS     prints acks a second and their latency

Speaks the few lines of the protocol that this takes: a client library would be most of the cost.
"""
import json, selectors, socket, sys, time

(host, port), writers, size, seconds = sys.argv[1].rsplit(":", 1), *map(int, sys.argv[2:5])


def connect():
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.recv(65_536)  # INFO
    connection.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\nPING\r\n')
    while not connection.recv(65_536).endswith(b"PONG\r\n"):
        pass
    return connection


def request(connection, subject, payload):
    connection.sendall(b"SUB answer 1\r\nUNSUB 1 1\r\nPUB %s answer %d\r\n%s\r\n"
                       % (subject, len(payload), payload))
    received = b""
    while not (received.startswith(b"MSG") and received.endswith(b"}\r\n")):
        received += connection.recv(65_536)
    answer = json.loads(received.split(b"\r\n", 1)[1])
    assert "error" not in answer, answer


stream = {"name": "durable", "subjects": ["durable.*"], "storage": "file", "num_replicas": 1}
request(connect(), b"$JS.API.STREAM.CREATE.durable", json.dumps(stream).encode())

selector, frames, sent_at = selectors.DefaultSelector(), [], []
for number in range(writers):
    connection = connect()
    connection.sendall(b"SUB ack.%d 1\r\n" % number)
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ, number)
    frames.append(b"PUB durable.%d ack.%d %d\r\n%s\r\n" % (number, number, size, b"x" * size))
    sent_at.append(time.perf_counter())
    connection.send(frames[number])
# One second to warm up, then what is counted.
begin, count, took, partial = time.perf_counter() + 1, 0, [], [b""] * writers
while (now := time.perf_counter()) < begin + seconds:
    for key, _ in selector.select(0.1):
        number, connection = key.data, key.fileobj
        received = partial[number] + connection.recv(65_536)
        if received.startswith(b"PING"):
            connection.send(b"PONG\r\n")
            received = received[6:]
        if not received.endswith(b"}\r\n"):
            partial[number] = received
            continue
        assert b'"seq":' in received, received
        partial[number] = b""
        now = time.perf_counter()
        if now >= begin:
            count += 1
            took.append(now - sent_at[number])
        sent_at[number] = now
        connection.send(frames[number])
took.sort()
print(json.dumps({"acks_per_s": round(count / seconds), "p50_ms": round(took[len(took) // 2] * 1e3, 2),
                  "p99_ms": round(took[len(took) * 99 // 100] * 1e3, 2)}))

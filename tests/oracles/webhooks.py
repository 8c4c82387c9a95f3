"""What tests/oracles/webhooks.sh compares: signatures of the server and of standardwebhooks."""

import datetime
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from standardwebhooks import Webhook

SERVER = os.environ["SERVER"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENTS = 25


def call(method, path, body, headers=None):
    request = urllib.request.Request(SERVER + path, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def put(path, definition):
    status, answer = call("PUT", "/api/v1/" + path, json.dumps(definition).encode())
    assert status == 200, answer


def receive():
    """The receiver of the documents believes and shows every event."""
    port = free_port()
    environment = dict(os.environ, SECRET=SECRET, PORT=str(port))
    program = [sys.executable, "docs/examples/receiver.py"]
    receiver = subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        put("subscriptions/crm", {
            "url": f"http://127.0.0.1:{port}/", "secret": SECRET, "events": ["message"],
            "batch": {"max": 4}, "retry_s": [1] * 20, "from": "start",
        })
        for number in range(EVENTS):
            body = json.dumps({"text": f"number {number} ä €"}).encode()
            status, answer = call("POST", "/api/v1/rooms/ops/messages", body)
            assert status == 200, answer
        for number in range(EVENTS):
            line = receiver.stdout.readline()
            assert f"number {number} ä €" in line and line.startswith("msg ops"), line
    finally:
        receiver.kill()
    refused = [line for line in receiver.stderr.read().splitlines() if "Error" in line]
    assert not refused, refused
    status, standing = call("GET", "/api/v1/subscriptions/crm/status", None)
    assert standing["dead_count"] == 0, standing


def knock():
    """A hook takes what the library signs, and nothing else."""
    put("hooks/door", {"room": "ops", "signature": {"scheme": "standard", "secret": SECRET}})
    now = datetime.datetime.now(datetime.timezone.utc)
    old = now - datetime.timedelta(minutes=10)
    body = json.dumps({"text": "signed by somebody else"})
    other = "whsec_" + "A" * 32
    for at, key, changed, want in [
        (now, SECRET, body, 200), (old, SECRET, body, 401), (now, other, body, 401),
        (now, SECRET, body + " ", 401),
    ]:
        headers = {
            "webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(key).sign("msg_1", at, body),
        }
        status, answer = call("POST", "/hook/door", changed.encode(), headers)
        assert status == want, (status, answer)


def document():
    """The document shows the receiver as it is."""
    text = open("docs/WEBHOOKS.md", encoding="utf-8").read()
    shown = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    assert shown == open("docs/examples/receiver.py", encoding="utf-8").read()


document()
receive()
knock()
print(f"ok: {EVENTS} events believed by standardwebhooks, and 4 signatures judged alike")

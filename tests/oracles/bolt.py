"""Commands of a ringpost server carried out by Slack's Bolt for Python, as it is.

SERVER is a running server in development mode that may call 127.0.0.1, RINGPOST the program. A line
is typed into `ringpost chat`, and what is shown there is compared. Prints FAULT lines and exits with
1 when something differs.
"""

import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from slack_bolt import App
from slack_bolt.authorization import AuthorizeResult

SERVER = os.environ["SERVER"]
PATIENCE_S = 15
faults = 0
logging.disable(logging.CRITICAL)


def check(what, got, want):
    global faults
    if got == want:
        print(f"ok    {what}")
    else:
        faults += 1
        print(f"FAULT {what}: got {got!r}, want {want!r}")


def app(secret, told):
    """An app with all kinds of answers. It is told who it is, since Slack cannot be asked here."""

    def authorize(enterprise_id, team_id):
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token="xoxb-none")

    bolt = App(signing_secret=secret, authorize=authorize)

    @bolt.command("/at-once")
    def at_once(ack, command):
        told.put(dict(command))
        ack(f"you said {command['text']}")

    @bolt.command("/loud")
    def loud(ack, command):
        ack(response_type="in_channel", text=f"{command['user_name']} says {command['text']}")

    @bolt.command("/blocks")
    def blocks(ack):
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "only *blocks*"}}
        ack(blocks=[section])

    @bolt.command("/later")
    def later(ack, respond, command):
        ack()
        time.sleep(0.3)
        respond(f"cold in {command['text']}", response_type="in_channel")

    @bolt.command("/often")
    def often(ack, respond):
        ack()
        told.put([respond(f"part {n}").status_code for n in range(6)])

    return bolt


def serve(secret, told):
    """Starts Bolt's own development server; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bolt = app(secret, told)
    threading.Thread(target=lambda: bolt.start(port), daemon=True).start()
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return f"http://127.0.0.1:{port}/slack/events"
        except OSError:
            time.sleep(0.05)
    sys.exit("FAULT Bolt does not listen")


def put(name, url, secret):
    body = json.dumps({"http": {"url": url, "secret": secret}}).encode()
    request = urllib.request.Request(f"{SERVER}/api/v1/commands/{name}", body, method="PUT")
    urllib.request.urlopen(request).close()


class Chat:
    """Somebody at a terminal."""

    def __init__(self):
        url = SERVER.replace("http", "ws", 1) + "/ws"
        args = ["chat", "--url", url, "--user", "ann", "--room", "ops", "--json"]
        self.process = subprocess.Popen(
            [os.environ["RINGPOST"], *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.shown = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            d = event.get("d", {})
            if event.get("t") == "msg":
                self.shown.put((d["from"], d["text"]))
            elif event.get("t") == "cmd":
                self.shown.put((d["kind"], d["text"]))

    def says(self, line, count=1):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return [self.shown.get(timeout=PATIENCE_S) for _ in range(count)]


def main():
    told = queue.Queue()
    right = serve("right secret", told)
    for name in ["at-once", "loud", "blocks", "later", "often"]:
        put(name, right, "right secret")
    put("forged", right, "another secret")
    chat = Chat()
    shown = chat.says("/at-once São Paulo & <b>")
    check("an answer at once", shown, [("ephemeral", "you said São Paulo & <b>")])
    command = told.get(timeout=PATIENCE_S)
    fields = ["command", "text", "user_id", "user_name", "channel_id", "channel_name"]
    want = ["/at-once", "São Paulo & <b>", "ann", "ann", "ops", "ops"]
    check("what Bolt reads of it", [command[name] for name in fields], want)
    check("one for everybody", chat.says("/loud hello"), [("command:loud", "ann says hello")])
    check("one of blocks", chat.says("/blocks"), [("ephemeral", "only *blocks*")])
    check("a later one", chat.says("/later Oslo"), [("command:later", "cold in Oslo")])
    parts = [("ephemeral", f"part {n}") for n in range(5)]
    check("five of them", chat.says("/often", 5), parts)
    statuses = told.get(timeout=PATIENCE_S)
    check("and no sixth", (statuses[:5], statuses[5]), ([200] * 5, 404))
    check("a wrong secret is refused by Bolt", chat.says("/forged"), [("error", "/forged failed")])
    chat.process.stdin.close()
    chat.process.wait(PATIENCE_S)
    sys.exit(1 if faults else 0)


main()

"""Takes the events of a subscription: pip install standardwebhooks; SECRET=whsec_… receiver.py"""
import http.server, json, os
from standardwebhooks import Webhook

key, seen = Webhook(os.environ["SECRET"]), set()

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key.verify(body, {name.lower(): value for name, value in self.headers.items()})
        for event in json.loads(body)["events"]:
            if event["id"] not in seen:  # An event may come again; its id stays the same.
                seen.add(event["id"])
                print(event["t"], event.get("room"), event["d"], flush=True)
        self.send_response(204)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(os.environ.get("PORT", 8090))), Receiver).serve_forever()

"""Answers /weather: python3 weather.py PORT SECRET. Needs nothing but Python."""
import hashlib, hmac, json, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

class Weather(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        at = self.headers.get("x-slack-request-timestamp", "0")
        mac = hmac.new(SECRET, b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
        ours = hmac.compare_digest("v0=" + mac, self.headers.get("x-slack-signature", ""))
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        text = f"It rains in {fields.get('text', 'Oslo')}, {fields['user_name']}."
        answer = json.dumps({"response_type": "in_channel", "text": text}).encode()
        self.send_response(200 if ours and abs(time.time() - int(at)) < 300 else 401)
        self.end_headers()
        self.wfile.write(answer if ours else b"")

SECRET = sys.argv[2].encode()
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Weather)
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()

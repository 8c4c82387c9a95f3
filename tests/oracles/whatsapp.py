"""Sends the messages of whatsapp_send.jsonl with pywa and compares what it and the libraries of
whatsapp.mjs sent with our bodies: whatsapp.py FIXTURES NODE_LINES, run by whatsapp.sh.

Where a library says the same in another way that the platform takes too, `plain` makes both equal;
everything else must be the same. Signatures are judged by all of them and by the server.
"""
import hashlib, http.client, json, logging, os, subprocess, sys, time, urllib.parse
import pywa
from pywa import errors, types

FIXTURES, NODE_LINES = sys.argv[1:]
STANDIN, SERVER = os.environ["STANDIN"], os.environ["SERVER"]
SECRET, NUMBER, TO = "test_app_secret", "1102", "+447700900123"
faults = []
# Wrong signatures are what is asked about.
logging.disable(logging.CRITICAL)


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def fault(sentence):
    faults.append(sentence)
    print("FAULT", sentence)


def ask(base, method, path, body=None, headers={}):
    address = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def client():
    wa = pywa.WhatsApp(phone_id=NUMBER, token="token", app_secret=SECRET, verify_token="v",
                       server=None, validate_updates=True)
    # It has no option for this.
    wa.api._session.base_url = f"{STANDIN}/v25.0"
    return wa


def send(wa, case):
    """The same message by pywa; None for one that it has no words for."""
    content, about = case["content"], case["about"]
    more = {"tracker": case["body"]["biz_opaque_callback_data"]}
    if about and content["type"] != "reaction":
        more["reply_to_message_id"] = about
    media = content.get("link") or content.get("id")
    match content["type"]:
        case "text":
            return wa.send_message(TO, content["text"], preview_url=content.get("preview", False), **more)
        case "reaction" if content["emoji"]:
            return wa.send_reaction(TO, content["emoji"], about, **more)
        case "reaction":
            return wa.remove_reaction(TO, about, **more)
        case "image":
            return wa.send_image(TO, media, content.get("caption"), **more)
        case "video":
            return wa.send_video(TO, media, content.get("caption"), **more)
        case "document":
            return wa.send_document(TO, media, content.get("filename"), content.get("caption"), **more)
        case "audio":
            return wa.send_audio(TO, media, is_voice=content.get("voice"), **more)
        case "sticker":
            return wa.send_sticker(TO, media, **more)
        case "buttons" if isinstance(content.get("header"), dict):
            return wa.send_image(TO, content["header"]["image"]["link"], content["text"],
                                 buttons=[types.Button(b["title"], b["id"]) for b in content["buttons"]], **more)
        case "buttons":
            buttons = [types.Button(b["title"], b["id"]) for b in content["buttons"]]
            return wa.send_message(TO, content["text"], header=content.get("header"),
                                   footer=content.get("footer"), buttons=buttons, **more)
        case "list":
            sections = [
                types.Section(s["title"], [types.SectionRow(r["title"], r["id"], r["description"]) for r in s["rows"]])
                for s in content["sections"]
            ]
            return wa.send_message(TO, content["text"], buttons=types.SectionList(content["button"], sections), **more)
        case "link":
            return wa.send_message(TO, content["text"], buttons=types.URLButton(content["title"], content["url"]), **more)
        case "ask_location":
            return wa.request_location(TO, content["text"], **more)
        case "location":
            return wa.send_location(TO, content["latitude"], content["longitude"], content["name"],
                                    content["address"], **more)
        case "contacts":
            card = content["contacts"][0]
            contact = types.Contact(
                name=types.Contact.Name(**card["name"]),
                phones=[types.Contact.Phone(phone=p["phone"], type=p["type"]) for p in card["phones"]],
            )
            return wa.send_contact(TO, contact, **more)
        case _:
            return None  # Its templates are classes of the template's own.


def plain(body):
    """A body without what may be said in two ways."""
    body = json.loads(json.dumps(body))
    body.setdefault("recipient_type", "individual")
    if "to" in body:
        body["to"] = body["to"].lstrip("+")
    body.get("text", {}).setdefault("preview_url", False)
    for key in ("latitude", "longitude"):
        if key in body.get("location", {}):
            body["location"][key] = float(body["location"][key])
    body.get("template", {}).get("language", {}).pop("policy", None)
    return without_nothing(body)


def without_nothing(value):
    """Absent, null and an empty list are the same, and so is false where a flag is absent."""
    if isinstance(value, list):
        return [without_nothing(item) for item in value]
    if not isinstance(value, dict):
        return value
    read = {key: without_nothing(item) for key, item in value.items() if item not in (None, [])}
    if read.get("preview_url") is False:
        del read["preview_url"]
    return read


def compare(cases, taken):
    _, sent = ask(STANDIN, "GET", "/standin/sent")
    bodies = {item["id"]: item["body"] for item in json.loads(sent)}
    for peer, name, wamid in taken:
        theirs, ours = plain(bodies[wamid]), plain(cases[name]["body"])
        if theirs != ours:
            fault(f"{peer} says {name} otherwise:\n  theirs {json.dumps(theirs)}\n  ours   {json.dumps(ours)}")


def refusals(wa):
    for ending, kind in {
        "0001": errors.ReEngagementMessage, "0002": errors.RateLimitHit, "0003": errors.ExpiredAccessToken,
        "0004": errors.UnknownError, "0005": errors.TooManyMessages,
    }.items():
        try:
            wa.send_message(f"+44770090{ending}", "x")
            fault(f"{ending} was taken")
        except errors.WhatsAppError as error:
            if not isinstance(error, kind):
                fault(f"pywa understood {error!r} for {ending}")


def files(wa):
    bytes_of_it = bytes(range(256)) * 300
    media = wa.upload_media(bytes_of_it, mime_type="image/png", filename="a.png")
    media_id = getattr(media, "id", media)
    found = wa.get_media_url(media_id)
    told = (int(found.file_size), found.mime_type, found.sha256)
    if told != (len(bytes_of_it), "image/png", hashlib.sha256(bytes_of_it).hexdigest()):
        fault(f"the file is told as {found}")
    if wa.get_media_bytes(found.url) != bytes_of_it:
        fault("the file came back otherwise")
    if not wa.delete_media(media_id):
        fault("the file stayed")


def signatures(wa, node):
    """Theirs and ours on every fixture: raw UTF-8, ASCII-escaped, right, wrong, and misspelled."""
    theirs = {}
    for line in node:
        if "signature" in line:
            theirs.setdefault(line["signature"], {})[line["peer"]] = line["verdict"]
    count = unfit = 0
    with open(f"{FIXTURES}/whatsapp/signatures.tsv", encoding="utf-8") as table:
        rows = [line.rstrip("\n").split("\t") for line in table if "\tsha256=" in line]
    for file, header in rows:
        with open(f"{FIXTURES}/whatsapp/{file}", "rb") as handle:
            raw = handle.read()
        wrong = header[:-1] + ("1" if header[-1] == "0" else "0")
        for change, given in {"as_is": header, "wrong": wrong}.items():
            status, _ = ask(SERVER, "POST", "/webhook/whatsapp", raw,
                            {"X-Hub-Signature-256": given, "Content-Type": "application/json"})
            ours = status == 200
            verdicts = dict(theirs.get(f"{file}:{change}", {}))
            verdicts["pywa"] = wa.webhook_update_validator(raw, given) is None
            for peer, verdict in verdicts.items():
                count += 1
                # This one hashes an escaped copy, so raw UTF-8 never passes (its issue 290).
                if peer == "whatsapp-api-js" and not raw.isascii():
                    unfit += 1
                    continue
                if verdict != ours:
                    fault(f"{peer} says {verdict} to {file}:{change}, the server {ours}")
            if ours != (change == "as_is"):
                fault(f"the server says {ours} to {file}:{change}")
        for given in (header.replace("sha256=", ""), header.upper(), header.replace("sha256=", "sha1="), ""):
            status, _ = ask(SERVER, "POST", "/webhook/whatsapp", raw, {"X-Hub-Signature-256": given})
            if status != 401:
                fault(f"the server says {status} to {file} with {given!r}")
    return count, unfit


def told_to_the_server():
    """A customer's words at the stand-in come to the server's log: its webhooks are well made."""
    said = json.dumps({"number": NUMBER, "from": "447700900123", "text": "café sagt 👋"})
    ask(STANDIN, "POST", "/standin/say", said)
    for _ in range(100):
        found = subprocess.run([os.environ["SCAN"], "--data", os.environ["DATA"], "grep", "café sagt"],
                               capture_output=True, check=False)
        if found.returncode == 0 and b"447700900123" in found.stdout:
            return
        time.sleep(0.1)
    fault("the server's log has no word of the customer's")


def main():
    cases = {case["name"]: case for case in lines(f"{FIXTURES}/whatsapp_send.jsonl")}
    node = lines(NODE_LINES)
    wa = client()
    taken = [(line["peer"], line["name"], line["id"]) for line in node if "name" in line]
    for name, case in cases.items():
        answer = send(wa, case)
        if answer is not None:
            taken.append(("pywa", name, answer.id))
    compare(cases, taken)
    wa.mark_message_as_read("wamid.HBgL")
    wa.indicate_typing("wamid.HBgL")
    refusals(wa)
    files(wa)
    verdicts, unfit = signatures(wa, node)
    told_to_the_server()
    by_peer = {peer: sum(1 for line in taken if line[0] == peer) for peer in ("pywa", "kapso", "whatsapp-api-js")}
    for name in cases:
        if sum(1 for line in taken if line[1] == name) == 0:
            fault(f"no library sent {name}")
    print(f"{len(cases)} messages; the same by {by_peer}; {verdicts} verdicts on signatures, of which "
          f"{unfit} on raw UTF-8 by a library that cannot judge it")
    sys.exit(1 if faults else 0)


main()

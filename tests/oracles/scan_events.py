"""The reports that show records: tail, audit, grep with its neighbours, and verify."""
import glob, os, struct
from scan_base import *


def shown(row):
    """What a line of tail and audit says of an exported row."""
    want = {"seq": row["seq"], "time": row.get("ts"), "kind": row["kind"],
            "room": row.get("room"), "user": row.get("user"), "o": row.get("o")}
    if row["kind"] in ("message", "edit"):
        want["text"] = row.get("text") or None
    return want


def tail(rows):
    for count, options, keep in ((1, [], lambda row: True), (7, [], lambda row: True),
                                 (100_000, [], lambda row: True),
                                 (5, ["--kind", "message,edit"], lambda row: row["kind"] in ("message", "edit")),
                                 (5, ["--source", "whatsapp"], lambda row: row.get("source") == "whatsapp")):
        check(["tail", "-n", str(count), *options], [shown(row) for row in rows if keep(row)][-count:])


def audit(rows):
    """Some users, odd ones first, some rooms, and messages with all that happened to them."""
    count = {}
    for row in rows:
        if row["kind"] == "message":
            count[row.get("user")] = count.get(row.get("user"), 0) + 1
    count.pop(None, None)
    names = sorted(count, key=lambda name: (name.isascii() and name.replace(".", "").isalnum(), -count[name], name))
    rooms = sorted({row["room"] for row in rows if "room" in row})
    for name in names[:8] + names[-2:]:
        subject = lambda row: row["kind"] in ("member", "erasure") and row.get("subject") == name
        check(["audit", "--as", "user", "--", name],
              [shown(row) for row in rows if row.get("user") == name or subject(row)])
    for name in rooms[:2] + rooms[-1:]:
        check(["audit", "--as", "room", "--", name], [shown(row) for row in rows if row.get("room") == name])
    told = [row for row in rows if row["kind"] in ("edit", "delete")][:3]
    sent = [row for row in rows if row["kind"] == "status"][:1]
    wanted = [(row["room"], row["target"]) for row in told]
    wanted += [(row["room"], row["o"]) for row in rows if row["kind"] == "message"
               and any(row.get("external") == status.get("external") for status in sent)][:1]
    for room, o in wanted:
        check(["audit", f"{room}/{o}"], message(rows, room, o))


def message(rows, room, o):
    """What happened to a message; of the marks of a user those that first say had or read."""
    rows = [row for row in rows if row.get("room") == room]
    mine = [row for row in rows if row["kind"] == "message" and row.get("o") == o]
    external = mine[-1].get("external") if mine else None
    had, found = {}, []
    for row in rows:
        if row["kind"] == "mark":
            reads, has = row.get("read", 0) >= o, row.get("recv", 0) >= o or row.get("read", 0) >= o
            user = had.setdefault(row.get("user"), [False, False])
            news = has and (not user[0] or (reads and not user[1]))
            user[:] = [user[0] or has, user[1] or reads]
            about = news
        else:
            about = {"message": row.get("o") == o or row.get("reply") == o, "edit": row.get("target") == o,
                     "delete": row.get("target") == o,
                     "status": external is not None and row.get("external") == external}.get(row["kind"], False)
        if about:
            found.append(shown(row))
    return found


def neighbours(rows):
    """grep -C 1: with one message of the same room and segment before and after."""
    begins = sorted(int(os.path.basename(path)[:20]) for path in glob.glob(os.path.join(DATA, "log", "*.seg")))
    segment = lambda seq: sum(begin <= seq for begin in begins)
    places, wanted = {}, {}
    for row in rows:
        if row["kind"] == "message":
            places.setdefault((segment(row["seq"]), row.get("room")), []).append(row)
    for talk in places.values():
        for index, row in enumerate(talk):
            if "refund" in row.get("text", ""):
                for near in talk[max(index - 1, 0):index + 2]:
                    wanted.setdefault(near["seq"], None)
                wanted[row["seq"]] = "*"
    check(["grep", "refund", "-C", "1"], [{"seq": seq, "hit": hit} for seq, hit in sorted(wanted.items())])


def verify(records, damage):
    """Counts of all records, names too; `damage` lists (file, begin) of what must be reported."""
    asked["verify"] += 1
    got = report("verify", status=(2,) if damage else (0, 1))
    kept = sum(row["records"] for row in got if row["finding"] in ("sealed", "open"))
    if kept != records:
        fault(f"verify counts {kept} records, read_log.py {records}")
    begins = {os.path.basename(path): struct.unpack_from("<Q", open(path, "rb").read(32), 16)[0]
              for path in glob.glob(os.path.join(DATA, "log", "*.seg"))}
    named = {row["file"]: row["first_seq"] for row in got if row["finding"] in ("sealed", "open")}
    if named != begins:
        fault(f"verify names {named}, there are {begins}")
    corrupt = [(row["file"], row["begin"], row["end"]) for row in got if row["finding"] == "corrupt"]
    for file, place in damage:
        if not any(file == name and begin <= place < end for name, begin, end in corrupt):
            fault(f"verify does not name {file} at {place}: {corrupt}")
    if not damage and any(row["finding"] not in ("sealed", "open") for row in got):
        fault(f"verify: {[row for row in got if row['finding'] not in ('sealed', 'open')]}")

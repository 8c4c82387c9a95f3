"""What the judges of tests/oracles/scan.py share: asking the scanner, time, and the rows as SQL.

The rows of the export are the table `r`: `us` is the time in microseconds, `wall_<zone>` what a
clock of that zone shows. A report is judged on the view `v` (the rows that its filters let
through, `wall` by its --tz), which `look` makes.
"""
import collections, concurrent.futures, datetime, json, math, subprocess, sys, zoneinfo
import duckdb, pyarrow

SCAN, DATA, SCRATCH = sys.argv[1:4]
ENGINE = duckdb.connect()
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Spring in the one, autumn in the other, and a zone that is not whole hours away.
ZONES = {"utc": "UTC", "berlin": "Europe/Berlin", "york": "America/New_York", "nepal": "Asia/Kathmandu"}
EPOCH = datetime.datetime(1970, 1, 1)
faults, asked, checks, seen = [], collections.Counter(), [], []
# The scanner answers while the next answer is computed here.
POOL = concurrent.futures.ThreadPoolExecutor(3)


def fault(what):
    faults.append(what)
    print(f"FAULT {what}"[:2_000])


def scan(*arguments, status=(0, 1)):
    """(exit status, stdout) of the scanner."""
    done = subprocess.run([SCAN, "--data", DATA, *arguments], capture_output=True, text=True)
    if done.returncode not in status:
        fault(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.returncode, done.stdout


def report(*arguments, status=(0, 1)):
    out = scan("--format", "json", *arguments, status=status)[1]
    try:
        return json.loads(out)
    except ValueError:
        fault(f"{' '.join(arguments)}: no JSON: {out[:300]}")
        return []


def same(got, want):
    if isinstance(got, float) or isinstance(want, float):
        return got is not None and want is not None and abs(got - want) <= 1.1e-4 * max(1, abs(want))
    return got == want


def check(arguments, want):
    """The rows of a report against what they should be: columns of `want` only. Later: see `settle`."""
    asked[arguments[0]] += 1
    checks.append(POOL.submit(compare, arguments, want))


def settle():
    """Waits for all that is being compared."""
    for one in checks:
        one.result()


def compare(arguments, want):
    got = report(*arguments)
    name = " ".join(arguments)
    if len(got) != len(want):
        fault(f"{name}: {len(got)} rows, {len(want)} wanted\n  got  {got[:3]}\n  want {want[:3]}")
        return
    for number, (one, other) in enumerate(zip(got, want)):
        for key, value in other.items():
            if key not in one or not same(one[key], value):
                fault(f"{name}: row {number}: {key} is {one.get(key)!r}, {value!r} wanted\n  {one}\n  {other}")
                return


def date(day):
    return EPOCH.date() + datetime.timedelta(days=day)


def moment(us):
    day, rest = divmod(us, DAY)
    second, micro = divmod(rest, 1_000_000)
    return f"{date(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{micro:06}Z"


def microseconds(text):
    when = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    return round((when - EPOCH).total_seconds()) * 1_000_000 + int(text[20:26])


def wall(us, zone):
    """What a clock shows, in microseconds."""
    when = EPOCH.replace(tzinfo=datetime.UTC) + datetime.timedelta(microseconds=us)
    return us + round(when.astimezone(zoneinfo.ZoneInfo(ZONES[zone])).utcoffset().total_seconds()) * 1_000_000


def load(path):
    """The exported rows as the table `r`."""
    ENGINE.execute(f"create table rows as select * exclude (ts), epoch_us(ts) as us from read_parquet('{path}')")
    seqs, times = zip(*ENGINE.execute("select seq, us from rows").fetchall())
    walls = pyarrow.table({"seq": pyarrow.array(seqs, pyarrow.uint64())} | {
        f"wall_{zone}": [None if us is None else wall(us, zone) for us in times] for zone in ZONES})
    ENGINE.register("walls", walls)
    ENGINE.execute("create table r as select * from rows join walls using (seq) order by seq")
    ENGINE.execute("drop table rows")
    ENGINE.unregister("walls")


def look(where="true", zone="utc"):
    """Makes the view `v`."""
    where = where.replace("wall", f"wall_{zone}")
    if seen != [where, zone]:
        seen[:] = [where, zone]
        ENGINE.execute(f"create or replace temp table v as select *, wall_{zone} as wall from r where {where} order by seq")
    return ENGINE


def bucket(by):
    day = f"wall // {DAY} - case when wall % {DAY} < 0 then 1 else 0 end"
    day = f"(date '1970-01-01' + cast({day} as integer))"
    return {
        "minute": "strftime(make_timestamp(wall), '%Y-%m-%dT%H:%M')",
        "hour": "strftime(make_timestamp(wall), '%Y-%m-%dT%H:00')",
        "day": f"strftime({day}, '%Y-%m-%d')",
        "week": f"strftime(date_trunc('week', {day}), '%Y-%m-%d')",
        "month": f"strftime({day}, '%Y-%m')",
    }[by]


def rank(values, q):
    """The smallest value that at least the share q of all does not exceed."""
    values = sorted(values)
    return values[min(max(math.ceil(q * len(values)), 1), len(values)) - 1]


def waits(messages, between):
    """(room, user who answers, time of the question, wait) and the questions left, by room."""
    open_, answers = {}, []
    for us, user, room, source in messages:
        if source == "system":
            continue
        if between == "customers":
            if source == "whatsapp":
                open_.setdefault(room, (us, user))
            elif room in open_:
                asked_us, _ = open_.pop(room)
                answers.append((room, user, asked_us, us - asked_us))
        elif room not in open_:
            open_[room] = (us, user)
        elif open_[room][1] != user:
            answers.append((room, user, open_[room][0], us - open_[room][0]))
            open_[room] = (us, user)
    return answers, open_


def wait_ms(us):
    """In milliseconds, and 49 days at most."""
    return min(max(us, 0) // 1_000, (1 << 32) - 1)


def talks(messages, now_us, gap=DAY, over=30 * MINUTE):
    """The last conversation with each customer, the most urgent first."""
    rooms = {}
    for us, user, room, source in messages:
        if source == "system" or room is None or us >= now_us:
            continue
        talk = rooms.setdefault(room, {"began": us, "last": us, "n": 0, "talks": 1, "since": None, "customer": False})
        if us - talk["last"] > gap:
            talk |= {"began": us, "n": 0, "talks": talk["talks"] + 1, "since": None}
        asks = source == "whatsapp"
        talk |= {"last": us, "user": user, "n": talk["n"] + 1, "customer": talk["customer"] or asks}
        talk["since"] = (us if talk["since"] is None else talk["since"]) if asks else None
    found = []
    for room, talk in rooms.items():
        if talk["customer"]:
            silent = now_us - talk["last"] > gap
            waiting = talk["since"] is not None
            state = (("missed" if silent else "overdue" if now_us - talk["since"] > over else "waiting")
                     if waiting else "closed" if silent else "answered")
            order = (("overdue", "waiting", "answered", "missed", "closed").index(state),
                     talk["since"] if waiting else -1 << 63, -talk["last"], room.encode())
            found.append((order, room, state, talk))
    return [one[1:] for one in sorted(found, key=lambda one: one[0])]


def fates(rows):
    """By the platform's id: what statuses say of a message to it, in the order of the log."""
    found = {}
    for row in rows:
        out = row["kind"] == "message" and row.get("direction") == "out"
        if "external" not in row or not (out or row["kind"] == "status"):
            continue
        us = microseconds(row["ts"])
        fate = found.setdefault(row["external"], {"begun": us, "steps": {}, "told": False, "error": 0,
                                                  "category": None, "billable": False})
        if row["kind"] == "message":
            continue
        fate["told"] = True
        pricing = json.loads(row.get("extra") or "{}").get("pricing") or {}
        if pricing.get("category") is not None:
            fate["category"] = pricing["category"]
            fate["billable"] |= pricing.get("billable") or False
        step = {"sent": "sent", "delivered": "delivered", "read": "read", "played": "read",
                "failed": "failed"}.get(row["status"])
        if step and step not in fate["steps"]:
            fate["steps"][step] = us - fate["begun"]
            if step == "failed":
                fate["error"] = row.get("error", 0)
    spans = {step: [wait_ms(fate["steps"][step]) for fate in found.values() if step in fate["steps"]]
             for step in ("sent", "delivered", "read", "failed")}
    told = [fate for fate in found.values() if fate["told"]]
    for fate in told:
        got = [step for step in ("sent", "delivered", "read") if step in fate["steps"]]
        reached = ("sent", "delivered", "read").index(got[-1]) + 1 if got else 0
        fate["got"] = {"sent": reached >= 1, "delivered": reached >= 2, "read": reached >= 3,
                       "failed": "failed" in fate["steps"] and reached < 2}
    return told, spans


def reached(some, step):
    return sum(fate["got"][step] for fate in some)

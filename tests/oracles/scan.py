"""Judges one log for tests/oracles/scan.sh: scan.py RINGPOST_SCAN DATA_DIRECTORY SCRATCH

Every answer is computed here from the exported rows, in SQL or plain Python, from what the manual
says that a report means; nothing is taken from the scanner's code.
"""
import datetime, json, math, os, struct, subprocess, sys, unicodedata
import duckdb, polars, pyarrow, pyarrow.ipc, pyarrow.parquet

SCAN, DATA, SCRATCH = sys.argv[1:4]
ENGINE = duckdb.connect()
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
CODES = {
    "source": "ws whatsapp command handler api system", "direction": "in out internal",
    "outcome": "ok failed timeout denied bad_arguments limited", "scope": "user room message retention",
    "status": "queued accepted sent delivered read played failed deleted",
    "member": "join leave add kick ban unban role mute unmute", "room": "created topic settings",
    "session": "start end",
}
faults, asked = [], 0


def fault(what):
    faults.append(what)
    print(f"FAULT {what}"[:2_000])


def scan(*arguments, status=(0, 1)):
    """(exit status, stdout) of the scanner."""
    done = subprocess.run([SCAN, "--data", DATA, *arguments], capture_output=True, text=True)
    if done.returncode not in status:
        fault(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.returncode, done.stdout


def report(*arguments):
    out = scan(*arguments, "--format", "json")[1]
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
    """The rows of a report against what they should be: columns of `want` only."""
    global asked
    asked += 1
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


def known(verb):
    return f"\n  {verb} " in scan("--help", status=(0,))[1]


def moment(us):
    day, rest = divmod(us, DAY)
    second, micro = divmod(rest, 1_000_000)
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{micro:06}Z"


def microseconds(text):
    date = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    return round((date - datetime.datetime(1970, 1, 1)).total_seconds()) * 1_000_000 + int(text[20:26])


# ---- the export, in three programs -------------------------------------------------------------

def exports():
    paths = {to: os.path.join(SCRATCH, f"rows.{to}") for to in ("parquet", "arrow", "jsonl", "csv")}
    for to, path in paths.items():
        scan("export", "--to", to, "--out", path)
    rows = [json.loads(line) for line in open(paths["jsonl"], encoding="utf-8")]
    table = pyarrow.parquet.read_table(paths["parquet"])
    types = {"ts": "timestamp[us, tz=UTC]", "seq": "uint64", "o": "uint64", "error": "uint32",
             "text": "string", "user": "string", "kind": "string", "erased": "bool", "buckets": "binary"}
    for name, want in types.items():
        got = str(table.schema.field(name).type)
        if got != want:
            fault(f"pyarrow: {name} is {got}, {want} wanted")
    frame = polars.read_parquet(paths["parquet"])
    for name, want in {"ts": polars.Datetime("us", "UTC"), "seq": polars.UInt64, "text": polars.String,
                       "error": polars.UInt32, "erased": polars.Boolean}.items():
        if frame.schema[name] != want:
            fault(f"Polars: {name} is {frame.schema[name]}, {want} wanted")
    described = {row[0]: row[1] for row in ENGINE.execute(f"describe from '{paths['parquet']}'").fetchall()}
    for name, want in {"ts": "TIMESTAMP WITH TIME ZONE", "seq": "UBIGINT", "error": "UINTEGER",
                       "text": "VARCHAR", "erased": "BOOLEAN", "buckets": "BLOB"}.items():
        if described[name] != want:
            fault(f"DuckDB: {name} is {described[name]}, {want} wanted")
    if polars.read_ipc(paths["arrow"]).height != frame.height:
        fault("Polars reads another number of rows from arrow")
    arrow = pyarrow.ipc.open_file(paths["arrow"]).read_all()
    for name in ("kind", "source", "status"):
        if not pyarrow.types.is_dictionary(arrow.schema.field(name).type):
            fault(f"arrow: {name} is no dictionary")
    plain = arrow.cast(pyarrow.schema([
        field if not pyarrow.types.is_dictionary(field.type) else field.with_type(pyarrow.string())
        for field in arrow.schema]))
    if plain.drop_columns(["ts"]).to_pylist() != table.drop_columns(["ts"]).to_pylist():
        fault("arrow and parquet differ")
    if plain["ts"].cast(pyarrow.int64()).to_pylist() != table["ts"].cast(pyarrow.int64()).to_pylist():
        fault("arrow and parquet differ in ts")
    if len(rows) != table.num_rows or frame.height != table.num_rows:
        fault(f"jsonl has {len(rows)} rows, parquet {table.num_rows}")
    times = table["ts"].cast(pyarrow.int64()).to_pylist()
    for row, other, us in zip(rows, table.drop_columns(["ts"]).to_pylist(), times):
        other["ts"] = us if us is None else moment(us)
        other = {key: value.hex() if isinstance(value, bytes) else value for key, value in other.items()}
        if row != {key: value for key, value in other.items() if value is not None and value is not False}:
            fault(f"jsonl and parquet differ: {row} {other}")
            break
    lines = ENGINE.execute(f"select count(*) from read_csv('{paths['csv']}', header=true, all_varchar=true, "
                       "max_line_size=10000000)").fetchone()[0] if rows else 0
    if lines != len(rows):
        fault(f"csv has {lines} rows for DuckDB, {len(rows)} wanted")
    counts = 0
    for name in ("messages", "events", "statuses", "commands", "sessions", "metrics"):
        counts += len(scan("export", "--table", name)[1].splitlines())
    if counts != len(rows):
        fault(f"the tables hold {counts} rows, all holds {len(rows)}")
    return paths["parquet"], rows


def reader(rows):
    """read_log.py must give the same records, names included."""
    here = os.path.dirname(os.path.abspath(__file__))
    program = [sys.executable, os.path.join(here, "read_log.py"), os.path.join(DATA, "log")]
    read = [json.loads(line) for line in subprocess.run(
        program, capture_output=True, text=True, check=True).stdout.splitlines()]
    seqs = [row["seq"] for row in read]
    if seqs != sorted(set(seqs)):
        fault("read_log.py: numbers do not ascend")
    read = [row for row in read if row["kind"] != "name"]
    if len(read) != len(rows):
        fault(f"read_log.py gives {len(read)} records, the export {len(rows)}")
        return
    for one, row in zip(read, rows):
        for name, value in one.items():
            words = CODES.get(one["kind"] if name == "action" else name)
            if words and isinstance(value, int):
                value = (["unknown"] + words.split() + ["unknown"] * 256)[value]
            elif name == "ts":
                value = moment(value)
            elif name == "bytes" and "text" in row:
                name, value = "text", bytes.fromhex(value).decode()
            absent = value in (None, "", 0, False)
            if not (absent and name not in row) and row.get(name) != value:
                fault(f"read_log.py: {name} of {one['seq']} is {value!r}, {row.get(name)!r} exported")
                return


# ---- the reports -------------------------------------------------------------------------------

def bucket(by):
    day = f"us // {DAY} - case when us % {DAY} < 0 then 1 else 0 end"
    date = f"(date '1970-01-01' + cast({day} as integer))"
    return {
        "minute": "strftime(make_timestamp(us), '%Y-%m-%dT%H:%M')",
        "hour": "strftime(make_timestamp(us), '%Y-%m-%dT%H:00')",
        "day": f"strftime({date}, '%Y-%m-%d')",
        "week": f"strftime(date_trunc('week', {date}), '%Y-%m-%d')",
        "month": f"strftime({date}, '%Y-%m')",
    }[by]


def summary(db, where, arguments):
    row = db.execute(f"""select count(*), min(us), max(us), count(distinct "user"), count(distinct room)
                     from r where {where}""").fetchone()
    want = {"records": row[0], "first": row[1] and moment(row[1]), "last": row[2] and moment(row[2]),
            "users": row[3], "rooms": row[4]}
    sizes = [row[0] for row in db.execute(
        f"select octet_length(encode(text)) from r where kind = 'message' and {where}").fetchall()]
    for name, q in (("p50", .5), ("p95", .95), ("max", 1)):
        want[f"text {name}"] = rank(sizes, q) if sizes else None
    for direction in ("in", "out", "internal"):
        want[f"messages {direction}"] = db.execute(
            f"select count(*) from r where kind = 'message' and direction = '{direction}' and {where}").fetchone()[0]
    for kind, count in db.execute(f"select kind, count(*) from r where {where} group by 1").fetchall():
        want[f"kind {kind}"] = count
    global asked
    asked += 1
    got = {row["measure"]: row["value"] for row in report("summary", *arguments)}
    for name in ("segments", "bytes"):
        got.pop(name, None)
    if got != want:
        fault(f"summary {arguments}: {sorted(set(got.items()) ^ set(want.items()), key=str)}")


def top(db, where, arguments):
    for what, column in (("users", '"user"'), ("rooms", "room")):
        total = db.execute(f"select count(*) from r where kind = 'message' and {where}").fetchone()[0]
        rows = db.execute(f"""select {column}, count(*) as n from r where kind = 'message' and {column} is not null
                          and {where} group by 1""").fetchall()
        # Names by their bytes.
        rows = sorted(rows, key=lambda row: (-row[1], row[0].encode()))[:10]
        check(["top", what, *arguments], [{"rank": rank, "name": name, "messages": n, "share": n / total}
                                          for rank, (name, n) in enumerate(rows, 1)])
    rows = db.execute(f"""select command, count(*), count(*) filter (outcome = 'ok'), max(duration_us)
                      from r where kind = 'command' and {where} group by 1""").fetchall()
    total = sum(row[1] for row in rows)
    rows = sorted(rows, key=lambda row: (-row[1], row[0].encode()))[:10]
    check(["top", "commands", *arguments], [
        {"rank": rank, "command": name, "calls": n, "share": n / total, "answered": ok / n}
        for rank, (name, n, ok, _) in enumerate(rows, 1)])


def volume(db, where, arguments):
    for by in ("minute", "hour", "day", "week", "month"):
        rows = db.execute(f"""select {bucket(by)}, count(*) from r where kind = 'message' and {where}
                          group by 1 order by min(us)""").fetchall()
        check(["volume", "--by", by, *arguments], [{"time": time, "messages": n} for time, n in rows])


def people(db):
    """Cohorts, and who is new."""
    for by in ("day", "week", "month"):
        number = {"day": f"us // {DAY}", "week": f"(us // {DAY} + 3) // 7",
                  "month": "date_part('year', make_timestamp(us)) * 12 + date_part('month', make_timestamp(us))"}[by]
        pairs = db.execute(f"""select distinct cast({number} as bigint), "user", {bucket(by)} from r
                           where kind = 'message' and "user" is not null""").fetchall()
        first = {}
        for period, user, label in sorted(pairs):
            first.setdefault(user, (period, label))
        new, periods, labels, active = {}, {}, {}, {}
        for period, user, label in pairs:
            labels[period] = label
            periods[period] = periods.get(period, 0) + 1
            new[period] = new.get(period, 0) + (first[user][0] == period)
            key = first[user][0], period - first[user][0]
            active[key] = active.get(key, 0) + 1
        if known("new-vs-returning"):
            check(["new-vs-returning", "--by", by], [
                {"period": labels[p], "users": periods[p], "new": new[p], "returning": periods[p] - new[p]}
                for p in sorted(periods)])
        if known("retention"):
            check(["retention", "--by", by], [
                {"cohort": labels[p], "users": active[p, 0], "after": after, "active": n,
                 "share": n / active[p, 0]} for (p, after), n in sorted(active.items())])
        if known("active") and by == "day":
            days = {}
            for period, user, _ in pairs:
                days.setdefault(period, set()).add(user)
            want = []
            for day in sorted(days):
                # Days without anybody are there too, unless the clock jumped by more than 400.
                before = max((other for other in days if other < day), default=day - 1)
                quiet = range(before + 1, day) if day - before <= 400 else ()
                for one in (*quiet, day):
                    within = lambda n: len(set().union(*(days.get(d, ()) for d in range(one - n + 1, one + 1))))
                    want.append({"day": moment(one * DAY)[:10], "daily": within(1), "weekly": within(7),
                                 "monthly": within(30)})
            check(["active"], want)


def heatmap(db, where, arguments):
    hours = dict(db.execute(f"""select (us // {HOUR} + 72) % 168, count(*) from r
                                where kind = 'message' and {where} group by 1""").fetchall())
    week = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    want = [{"weekday": week[hour // 24], "hour": hour % 24, "messages": hours.get(hour, 0)} for hour in range(168)]
    check(["heatmap", *arguments], want if hours else [])


def words(db, where, arguments):
    counts = {}
    for text, in db.execute(f"select text from r where kind = 'message' and {where}").fetchall():
        for word in "".join(c if is_letter(c) else " " for c in text).split(" "):
            if 3 <= len(word) <= 40 and any(unicodedata.category(c)[0] in "LM" for c in word):
                counts[word.lower()] = counts.get(word.lower(), 0) + 1
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0].encode()))[:10]
    check(["top", "words", *arguments], [{"rank": rank, "word": word} for rank, (word, n) in enumerate(rows, 1)])


def is_letter(c):
    """Letters, numbers, and the vowel signs that stand between letters of Indian scripts."""
    sign = unicodedata.category(c) in ("Mc", "Mn") and not unicodedata.combining(c) and "\u0900" <= c <= "\u0dff"
    return unicodedata.category(c) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No") or sign


def grep(db, where, arguments):
    quote = "chr(39)"
    for pattern, options, condition in (
            ("order", [], "contains(text, 'order')"), ("ORDER", ["-i"], "contains(lower(text), 'order')"),
            ("paid|refund", ["-e"], "regexp_matches(text, 'paid|refund')"), ("straße", [], "contains(text, 'straße')"),
            ("no such thing", [], "contains(text, 'no such thing')"), ("'", [], f"contains(text, {quote})")):
        seqs = [row[0] for row in db.execute(f"""select seq from r where kind = 'message' and {condition}
                                                 and {where} order by seq""").fetchall()]
        check(["grep", pattern, *options, *arguments], [{"seq": seq} for seq in seqs])
        check(["grep", pattern, "-c", *options, *arguments], [{"messages": len(seqs)}])


def deliveries(rows):
    """Of messages to the platform: how far they got, by what their statuses say."""
    fates = {}
    for row in rows:
        out = row["kind"] == "message" and row.get("direction") == "out"
        if "external" not in row or not (out or row["kind"] == "status"):
            continue
        us = microseconds(row["ts"])
        fate = fates.setdefault(row["external"], {"begun": us, "steps": {}, "told": False, "error": 0,
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
    spans = {step: [max(fate["steps"][step], 0) // 1_000 for fate in fates.values() if step in fate["steps"]]
             for step in ("sent", "delivered", "read", "failed")}
    fates = [fate for fate in fates.values() if fate["told"]]
    for fate in fates:
        got = [step for step in ("sent", "delivered", "read") if step in fate["steps"]]
        reached = ("sent", "delivered", "read").index(got[-1]) + 1 if got else 0
        fate["got"] = {"sent": reached >= 1, "delivered": reached >= 2, "read": reached >= 3,
                       "failed": "failed" in fate["steps"] and reached < 2}
    count = lambda some, step: sum(fate["got"][step] for fate in some)
    want = [{"step": "messages", "messages": len(fates)}] if fates else []
    for step in spans if fates else ():
        row = {"step": step, "messages": count(fates, step), "share": count(fates, step) / len(fates)}
        if spans[step]:
            cut = [min(span, (1 << 32) - 1) for span in spans[step]]
            row |= {"median_s": rank(cut, .5) / 1e3, "p95_s": rank(cut, .95) / 1e3}
        want.append(row)
    if fates:
        want.append({"step": "pending", "messages": len(fates) - count(fates, "delivered") - count(fates, "failed")})
    check(["deliveries"], want)
    errors = {}
    for fate in fates:
        if fate["got"]["failed"]:
            errors[fate["error"]] = errors.get(fate["error"], 0) + 1
    check(["deliveries", "--by", "error"], [{"error": error, "messages": n} for error, n in
                                            sorted(errors.items(), key=lambda row: (-row[1], row[0]))])
    for by, key in (("category", lambda f: f["category"] or ""), ("day", lambda f: moment(f["begun"])[:10])):
        groups = {}
        for fate in fates:
            groups.setdefault(key(fate), []).append(fate)
        check(["deliveries", "--by", by], [
            {by: name or "unknown", "messages": len(some), "billable": sum(fate["billable"] for fate in some),
             **{step: count(some, step) for step in spans}} for name, some in sorted(groups.items())])


def latency(rows):
    """Percentiles are at most 1.6 % off; counts and maxima are exact."""
    pieces = {}
    for row in rows:
        if row["kind"] == "metric":
            values = pieces.setdefault((row["ts"][:13] + ":00", row["metric"]), {"max": 0, "buckets": {}})
            values["max"] = max(values["max"], row["max"])
            for index, n in struct.iter_unpack("<HI", bytes.fromhex(row.get("buckets", ""))):
                values["buckets"][index] = values["buckets"].get(index, 0) + n
    global asked
    asked += 1
    got = report("latency")
    if [(row["time"], row["metric"]) for row in got] != sorted(pieces):
        fault(f"latency: {len(got)} rows, {len(pieces)} wanted")
        return
    for row in got:
        values = pieces[row["time"], row["metric"]]
        total = sum(values["buckets"].values())
        for name, q in (("p50_us", .5), ("p95_us", .95), ("p99_us", .99)):
            left = math.ceil(q * total)
            for index, n in sorted(values["buckets"].items()):
                left -= n
                if left <= 0:
                    break
            shift = index // 64 - 1
            floor = index if index < 128 else (index - 64 * shift) << shift
            if not floor <= row[name] <= floor * 1.016 + 1:
                fault(f"latency: {name} is {row[name]}, {floor} wanted: {row}")
                return
        if (row["count"], row["max_us"]) != (total, values["max"]):
            fault(f"latency: {row}, {total} values up to {values['max']} wanted")
            return


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


def response_times(db):
    messages = db.execute("""select us, "user", room, source from r where kind = 'message' order by seq""").fetchall()
    for between in ("customers", "anyone"):
        answers, open_ = waits(messages, between)
        for per in ("room", "agent", "hour"):
            key = {"room": lambda a: a[0] or "", "agent": lambda a: a[1] or "",
                   "hour": lambda a: f"{a[2] // HOUR % 24:02}"}[per]
            spans, left = {}, {}
            for answer in answers:
                # In milliseconds, and 49 days at most.
                spans.setdefault(key(answer), []).append(min(max(answer[3], 0) // 1_000, (1 << 32) - 1))
            if between == "customers" and per != "agent":
                for room, (us, _) in open_.items():
                    name = key((room, "", us, 0))
                    left[name] = left.get(name, 0) + 1
            names = set(spans) | set(left)
            order = (lambda n: n) if per == "hour" else (lambda n: (-len(spans.get(n, [])), n.encode()))
            want = []
            for name in sorted(names, key=order):
                row = {per: name, "answers": len(spans.get(name, [])), "unanswered": left.get(name, 0)}
                if name in spans:
                    row |= {"median_s": rank(spans[name], .5) / 1e3, "p95_s": rank(spans[name], .95) / 1e3,
                            "max_s": max(spans[name]) / 1e3}
                want.append(row)
            check(["response-times", "--per", per, "--between", between, "-n", "0"], want)


def conversations(db, now_us):
    gap, over, rooms = DAY, 30 * MINUTE, {}
    for us, user, room, source in db.execute(
            f"""select us, "user", room, source from r where kind = 'message' and us < {now_us} order by seq""").fetchall():
        if source == "system" or room is None:
            continue
        talk = rooms.setdefault(room, {"began": us, "last": us, "n": 0, "talks": 1, "since": None, "customer": False})
        if us - talk["last"] > gap:
            talk |= {"began": us, "n": 0, "talks": talk["talks"] + 1, "since": None}
        asks = source == "whatsapp"
        talk |= {"last": us, "user": user, "n": talk["n"] + 1, "customer": talk["customer"] or asks}
        talk["since"] = (us if talk["since"] is None else talk["since"]) if asks else None
    want = []
    for room, talk in rooms.items():
        if talk["customer"]:
            silent = now_us - talk["last"] > gap
            waiting = talk["since"] is not None
            state = (("missed" if silent else "overdue" if now_us - talk["since"] > over else "waiting")
                     if waiting else "closed" if silent else "answered")
            want.append((("overdue", "waiting", "answered", "missed", "closed").index(state),
                         talk["since"] if waiting else -1 << 63, -talk["last"], room.encode(), {
                "room": room, "state": state, "waiting_since": moment(talk["since"]) if waiting else None,
                "last": moment(talk["last"]), "began": moment(talk["began"]), "messages": talk["n"],
                "conversations": talk["talks"], "last_speaker": talk["user"]}))
    want.sort(key=lambda row: row[:4])
    check(["conversations", "-n", "0", "--until", moment(now_us)], [row[4] for row in want])


def main():
    path, rows = exports()
    reader(rows)
    db = ENGINE
    db.execute(f"create table r as select * exclude (ts), epoch_us(ts) as us from read_parquet('{path}')")
    times = sorted(row["ts"] for row in rows if "ts" in row)
    filters = [("true", [])]
    if len(times) > 100:
        since, until = microseconds(times[len(times) // 4]), microseconds(times[len(times) * 3 // 4])
        busy = db.execute("""select "user" from r where kind = 'message' and "user" is not null
                         group by 1 order by count(*) desc, 1""").fetchmany(12)
        room = db.execute("select room from r where kind = 'message' group by 1 order by count(*) desc, 1").fetchone()[0]
        filters += [(f"us >= {since} and us < {until}", ["--since", moment(since), "--until", moment(until)]),
                    (f"room = '{room.replace(chr(39), chr(39) * 2)}'", ["--room", room]),
                    ("kind = 'message' and source = 'whatsapp'", ["--source", "whatsapp"])]
        for user, in busy[:1] + busy[-1:]:
            quoted = user.replace("'", "''")
            filters.append((f""""user" = '{quoted}'""", ["--user", user]))
    for where, arguments in filters:
        summary(db, where, arguments)
        top(db, where, arguments)
        volume(db, where, arguments)
        for verb, judge in (("heatmap", heatmap), ("grep", grep)):
            if known(verb):
                judge(db, where, arguments)
        if "words" in scan("top", "--help", status=(0,))[1]:
            words(db, where, arguments)
    people(db)
    if known("response-times"):
        response_times(db)
    if known("conversations"):
        now = max((microseconds(time) for time in times if time < "2030"), default=0) + 3 * HOUR
        conversations(db, now)
    if known("deliveries"):
        deliveries(rows)
    if known("latency"):
        latency(rows)
    print(f"{os.path.basename(DATA)}: {len(rows)} records, {asked} answers compared, {len(faults)} faults")
    sys.exit(bool(faults))


main()

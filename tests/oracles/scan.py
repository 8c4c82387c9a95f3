"""Judges one log for tests/oracles/scan.sh: scan.py RINGPOST_SCAN DATA_DIRECTORY SCRATCH

Every answer is computed here from the exported rows, in SQL or plain Python, from what the manual
says that a report means; nothing is taken from the scanner's code.
"""
import datetime, json, math, os, statistics, subprocess, sys
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
        if known("active") and by == "day" and pairs:
            days = {}
            for period, user, _ in pairs:
                days.setdefault(period, set()).add(user)
            last = max(days)
            want = {}
            for day in sorted(days):
                within = lambda n: len(set().union(*(days.get(d, set()) for d in range(day - n + 1, day + 1))))
                want[moment(day * DAY)[:10]] = (len(days[day]), within(7), within(30))
            got = {row.get("day", row.get("date", row.get("period"))): row for row in report("active")}
            global asked
            asked += 1
            for day, (daily, weekly, monthly) in want.items():
                row = got.get(day)
                numbers = row and tuple(row.get(key) for key in ("daily", "weekly", "monthly"))
                if row and None in numbers:
                    numbers = tuple(row.get(key) for key in ("dau", "wau", "mau"))
                if numbers != (daily, weekly, monthly):
                    fault(f"active: {day}: {row}, {(daily, weekly, monthly)} wanted")
                    break


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
    people(db)
    if known("response-times"):
        response_times(db)
    if known("conversations"):
        now = max((microseconds(time) for time in times if time < "2030"), default=0) + 3 * HOUR
        conversations(db, now)
    print(f"{os.path.basename(DATA)}: {len(rows)} records, {asked} answers compared, {len(faults)} faults")
    sys.exit(bool(faults))


main()

"""Every report, computed a second time from the exported rows, from what the manual says it means.

`ask` is a `Look`: the filters of the command line and the same in SQL.
"""
import math, struct, unicodedata
from scan_base import *


class Look:
    """Filters as arguments and as a condition over the table `r`."""

    def __init__(self, arguments=(), where="true", zone="utc", since=None, user=None):
        self.arguments = list(arguments) + (["--tz", ZONES[zone]] if zone != "utc" else [])
        self.where, self.zone, self.since, self.user = where, zone, since, user
        if since is not None:
            self.arguments += ["--since", moment(since)]
        if user is not None:
            self.arguments += ["--user", user]

    def view(self, since=True, user=True):
        """The rows that pass; some reports mean something else by --since and --user."""
        where = f"({self.where})"
        if since and self.since is not None:
            where += f" and us >= {self.since}"
        if user and self.user is not None:
            where += f""" and "user" = '{self.user.replace("'", "''")}'"""
        return look(where, self.zone)

    def wall(self, us):
        return wall(us, self.zone)


def everything(ask, rows):
    """All reports that count; `rows` is the whole export."""
    for judge in (summary, top, volume, heatmap, words, grep, people, response_times, conversations, latency):
        judge(ask)
    deliveries(ask, rows)


def summary(ask):
    db = ask.view()
    row = db.execute("""select count(*), min(us), max(us), count(distinct "user"), count(distinct room) from v""").fetchone()
    want = {"records": row[0], "first": row[1] and moment(row[1]), "last": row[2] and moment(row[2]),
            "users": row[3], "rooms": row[4]}
    sizes = [row[0] for row in db.execute("select octet_length(encode(text)) from v where kind = 'message'").fetchall()]
    sizes = [size or 0 for size in sizes]
    for name, q in (("p50", .5), ("p95", .95), ("max", 1)):
        want[f"text {name}"] = rank(sizes, q) if sizes else None
    for direction in ("in", "out", "internal"):
        want[f"messages {direction}"] = db.execute(
            f"select count(*) from v where kind = 'message' and direction = '{direction}'").fetchone()[0]
    for kind, count in db.execute("select kind, count(*) from v group by 1").fetchall():
        want[f"kind {kind}"] = count
    asked["summary"] += 1
    got = {row["measure"]: row["value"] for row in report("summary", *ask.arguments)}
    for name in ("segments", "bytes"):
        got.pop(name, None)
    if got != want:
        fault(f"summary {ask.arguments}: {sorted(set(got.items()) ^ set(want.items()), key=str)}")


def top(ask):
    db = ask.view()
    total = db.execute("select count(*) from v where kind = 'message'").fetchone()[0]
    for what, column in (("users", '"user"'), ("rooms", "room")):
        rows = db.execute(f"""select {column}, count(*) as n from v where kind = 'message' and {column} is not null
                          group by 1""").fetchall()
        # Names by their bytes.
        rows = sorted(rows, key=lambda row: (-row[1], row[0].encode()))[:10]
        check(["top", what, *ask.arguments], [{"rank": rank, "name": name, "messages": n, "share": n / total}
                                              for rank, (name, n) in enumerate(rows, 1)])
    rows = db.execute("""select command, count(*), count(*) filter (outcome = 'ok'), list(duration_us)
                      from v where kind = 'command' group by 1""").fetchall()
    total = sum(row[1] for row in rows)
    rows = sorted(rows, key=lambda row: (-row[1], row[0].encode()))[:10]
    check(["top", "commands", *ask.arguments], [
        {"rank": place, "command": name, "calls": n, "share": n / total, "answered": ok / n,
         "longest": max(spans) / 1e6} for place, (name, n, ok, spans) in enumerate(rows, 1)])


def volume(ask):
    db = ask.view()
    for by in ("minute", "hour", "day", "week", "month"):
        rows = db.execute(f"""select {bucket(by)}, count(*) from v where kind = 'message'
                          group by 1 order by min(wall)""").fetchall()
        check(["volume", "--by", by, *ask.arguments], [{"time": time, "messages": n} for time, n in rows])


def heatmap(ask):
    hours = dict(ask.view().execute(f"""select (wall // {HOUR} + 72) % 168, count(*) from v
                                        where kind = 'message' group by 1""").fetchall())
    want = [{"weekday": WEEK[hour // 24], "hour": hour % 24, "messages": hours.get(hour, 0)} for hour in range(168)]
    check(["heatmap", *ask.arguments], want if hours else [])


def words(ask):
    counts = {}
    for text, in ask.view().execute("select text from v where kind = 'message' and text is not null").fetchall():
        for word in "".join(c if is_letter(c) else " " for c in text).split(" "):
            if 3 <= len(word) <= 40 and any(unicodedata.category(c)[0] in "LM" for c in word):
                counts[word.lower()] = counts.get(word.lower(), 0) + 1
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0].encode()))[:10]
    check(["top", "words", *ask.arguments], [
        {"rank": rank, "word": word, "uses": n} for rank, (word, n) in enumerate(rows, 1)])


LETTERS = {}


def is_letter(c):
    """Letters, numbers, and the vowel signs that stand between letters of Indian scripts."""
    if c not in LETTERS:
        sign = unicodedata.category(c) in ("Mc", "Mn") and not unicodedata.combining(c) and "\u0900" <= c <= "\u0dff"
        LETTERS[c] = sign or unicodedata.category(c) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No")
    return LETTERS[c]


def grep(ask):
    db = ask.view()
    for pattern, options, condition in (
            ("order", [], "contains(text, 'order')"), ("ORDER", ["-i"], "contains(lower(text), 'order')"),
            ("paid|refund", ["-e"], "regexp_matches(text, 'paid|refund')"), ("straße", [], "contains(text, 'straße')"),
            ("no such thing", [], "contains(text, 'no such thing')"), ("'", [], "contains(text, chr(39))")):
        seqs = [row[0] for row in db.execute(f"select seq from v where kind = 'message' and {condition}").fetchall()]
        check(["grep", pattern, *options, *ask.arguments], [{"seq": seq} for seq in seqs])
        check(["grep", pattern, "-c", *options, *ask.arguments], [{"messages": len(seqs)}])


def people(ask):
    """Cohorts, and who is new; --since only says from which period on rows are shown."""
    db = ask.view(since=False)
    for by in ("day", "week", "month"):
        number = {"day": f"wall // {DAY}", "week": f"(wall // {DAY} + 3) // 7",
                  "month": "date_part('year', make_timestamp(wall)) * 12 + date_part('month', make_timestamp(wall))"}[by]
        pairs = db.execute(f"""select distinct cast({number} as bigint), "user", {bucket(by)} from v
                           where kind = 'message' and "user" is not null""").fetchall()
        least = -1 << 63
        if ask.since is not None:
            day = ask.wall(ask.since) // DAY
            least = {"day": day, "week": (day + 3) // 7, "month": date(day).year * 12 + date(day).month}[by]
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
        check(["new-vs-returning", "--by", by, *ask.arguments], [
            {"period": labels[p], "users": periods[p], "new": new[p], "returning": periods[p] - new[p]}
            for p in sorted(periods) if p >= least])
        check(["retention", "--by", by, *ask.arguments], [
            {"cohort": labels[p], "users": active[p, 0], "after": after, "active": n,
             "share": n / active[p, 0]} for (p, after), n in sorted(active.items()) if p >= least])
        if by == "day":
            check(["active", *ask.arguments], active_days(pairs, least))


def active_days(pairs, least):
    days = {}
    for day, user, _ in pairs:
        days.setdefault(day, set()).add(user)
    want = []
    for day in sorted(days):
        # Days without anybody are there too, unless the clock jumped by more than 400.
        before = max((other for other in days if other < day), default=day - 1)
        quiet = range(before + 1, day) if day - before <= 400 else ()
        for one in (*quiet, day):
            within = lambda n: len(set().union(*(days.get(d, ()) for d in range(one - n + 1, one + 1))))
            if one >= least:
                want.append({"day": str(date(one)), "daily": within(1), "weekly": within(7),
                             "monthly": within(30), "stickiness": within(1) / within(30)})
    return want


def response_times(ask):
    db = ask.view(user=False)
    messages = db.execute("""select us, "user", room, source from v where kind = 'message' order by seq""").fetchall()
    for between in ("customers", "anyone"):
        answers, open_ = waits(messages, between)
        for per in ("room", "agent", "hour"):
            key = {"room": lambda a: a[0] or "", "agent": lambda a: a[1] or "",
                   "hour": lambda a: f"{ask.wall(a[2]) // HOUR % 24:02}"}[per]
            spans, left = {}, {}
            for answer in answers:
                if ask.user in (None, answer[1]):
                    spans.setdefault(key(answer), []).append(wait_ms(answer[3]))
            if between == "customers" and per != "agent" and ask.user is None:
                for room, (us, _) in open_.items():
                    name = key((room, "", us, 0))
                    left[name] = left.get(name, 0) + 1
            names = set(spans) | set(left)
            order = (lambda n: n) if per == "hour" else (lambda n: (-len(spans.get(n, [])), n.encode()))
            want = []
            for name in sorted(names, key=order):
                # Nobody's question has no agent.
                row = {per: name, "answers": len(spans.get(name, [])),
                       "unanswered": None if per == "agent" else left.get(name, 0)}
                if name in spans:
                    row |= {"median_s": rank(spans[name], .5) / 1e3, "p95_s": rank(spans[name], .95) / 1e3,
                            "max_s": max(spans[name]) / 1e3}
                want.append(row)
            check(["response-times", "--per", per, "--between", between, "-n", "0", *ask.arguments], want)


def conversations(ask):
    """Three hours after the last message that is not of the far future."""
    messages = ask.view().execute(
        """select us, "user", room, source from v where kind = 'message' order by seq""").fetchall()
    now_us = max((us for us, *_ in messages if us < microseconds("2030-01-01T00:00:00.000000Z")), default=0) + 3 * HOUR
    if "--until" in ask.arguments:
        now_us = microseconds(ask.arguments[ask.arguments.index("--until") + 1])
    arguments = ask.arguments if "--until" in ask.arguments else [*ask.arguments, "--until", moment(now_us)]
    for options, gap, over in ((["--over", "30m"], DAY, 30 * MINUTE), (["--over", "2h", "--gap", "6h"], 6 * HOUR, 2 * HOUR)):
        check(["conversations", "-n", "0", *options, *arguments], [{
            "room": room, "state": state, "waiting_since": None if talk["since"] is None else moment(talk["since"]),
            "last": moment(talk["last"]), "began": moment(talk["began"]), "messages": talk["n"],
            "conversations": talk["talks"], "last_speaker": talk["user"]}
            for room, state, talk in talks(messages, now_us, gap, over)])


def deliveries(ask, rows):
    seqs = {seq for seq, in ask.view().execute("select seq from v").fetchall()}
    told, spans = fates(row for row in rows if row["seq"] in seqs)
    want = [{"step": "messages", "messages": len(told), "share": 1.0}] if told else []
    for step in spans if told else ():
        row = {"step": step, "messages": reached(told, step), "share": reached(told, step) / len(told)}
        if spans[step]:
            row |= {"median_s": rank(spans[step], .5) / 1e3, "p95_s": rank(spans[step], .95) / 1e3}
        want.append(row)
    if told:
        pending = len(told) - reached(told, "delivered") - reached(told, "failed")
        want.append({"step": "pending", "messages": pending, "share": pending / len(told)})
    check(["deliveries", *ask.arguments], want)
    errors = {}
    for fate in told:
        if fate["got"]["failed"]:
            errors[fate["error"]] = errors.get(fate["error"], 0) + 1
    check(["deliveries", "--by", "error", *ask.arguments], [
        {"error": error, "messages": n} for error, n in sorted(errors.items(), key=lambda row: (-row[1], row[0]))])
    for by, key in (("category", lambda f: f["category"] or ""),
                    ("day", lambda f: str(date(ask.wall(f["begun"]) // DAY)))):
        groups = {}
        for fate in told:
            groups.setdefault(key(fate), []).append(fate)
        check(["deliveries", "--by", by, *ask.arguments], [
            {by: name or "unknown", "messages": len(some), "billable": sum(fate["billable"] for fate in some),
             **{step: reached(some, step) for step in spans}} for name, some in sorted(groups.items())])


def latency(ask):
    """Percentiles are at most 1.6 % off; counts and maxima are exact."""
    db = ask.view()
    pieces = {}
    for time, metric, most, buckets in db.execute(
            f"select {bucket('hour')}, metric, max, buckets from v where kind = 'metric'").fetchall():
        values = pieces.setdefault((time, metric), {"max": 0, "buckets": {}})
        values["max"] = max(values["max"], most or 0)
        for index, n in struct.iter_unpack("<HI", buckets or b""):
            values["buckets"][index] = values["buckets"].get(index, 0) + n
    asked["latency"] += 1
    got = report("latency", *ask.arguments)
    if [(row["time"], row["metric"]) for row in got] != sorted(pieces):
        fault(f"latency {ask.arguments}: {len(got)} rows, {len(pieces)} wanted")
        return
    for row in got:
        values = pieces[row["time"], row["metric"]]
        total = sum(values["buckets"].values())
        for name, q in (("p50_us", .5), ("p95_us", .95), ("p99_us", .99)):
            floor = quantile(values["buckets"], q)
            if not floor <= row[name] <= floor * 1.016 + 1:
                fault(f"latency: {name} is {row[name]}, {floor} wanted: {row}")
                return
        if (row["count"], row["max_us"]) != (total, values["max"]):
            fault(f"latency: {row}, {total} values up to {values['max']} wanted")
            return


def quantile(buckets, q):
    """Where the bucket begins that holds it."""
    key = q, tuple(buckets.items())
    if key not in QUANTILES:
        QUANTILES[key] = find_quantile(buckets, q)
    return QUANTILES[key]


QUANTILES = {}


def find_quantile(buckets, q):
    left = math.ceil(q * sum(buckets.values()))
    for index, n in sorted(buckets.items()):
        left -= n
        if left <= 0:
            break
    shift = index // 64 - 1
    return index if index < 128 else (index - 64 * shift) << shift

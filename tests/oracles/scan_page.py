"""The numbers of `report --html`: read out of the page, and computed from the exported rows.

What is drawn is read from what the page tells a pointer (`<title>`), so bars and lines count too.
"""
import html.parser, os, re, struct
from scan_base import *
from scan_reports import quantile

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
TOP = 10
# Days of the page: up to so many are drawn one by one, and named without their year.
DAILY_DAYS_MAX, YEARLESS_DAYS_MAX = 120, 366


class Page(html.parser.HTMLParser):
    """By headline of a card: rows of its tables, titles of its pictures, its sentence."""

    def __init__(self, text):
        super().__init__()
        self.cards, self.card, self.stack, self.cell, self.row, self.head = {}, None, [], None, None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        kind = dict(attributes).get("class", "")
        if tag == "section":
            self.card = {"kind": kind, "rows": [], "titles": [], "words": [], "value": None, "alts": []}
        if tag == "tr":
            self.row = []
        if tag in ("h1", "h2", "td", "th", "title", "p", "b", "li", "small") or (tag == "span" and "state" in kind):
            self.stack.append((tag, []))
        if tag == "svg" and self.card is not None and "aria-label" in dict(attributes):
            self.card["alts"].append(dict(attributes)["aria-label"])

    def handle_data(self, data):
        for _, texts in self.stack:
            texts.append(data)

    def handle_endtag(self, tag):
        if self.stack and self.stack[-1][0] == tag:
            text = "".join(self.stack.pop()[1])
            if tag == "h2":
                self.cards[text] = self.card
            elif tag in ("td", "th") and self.row is not None:
                self.row.append(text)
            elif tag == "title" and self.card is not None:
                self.card["titles"].append(text)
            elif tag in ("p", "li") and self.card is not None:
                self.card["words"].append(text)
            elif tag == "b" and self.card is not None and "tile" in self.card["kind"]:
                self.card["value"] = text
        if tag == "tr" and self.card is not None:
            self.card["rows"].append(self.row)


def shown(text):
    """A name as it stands on a page: what is no letter of anybody's is an escape."""
    bad = lambda c: ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c in BIDI
    return "".join(f"\\u{{{ord(c):x}}}" if bad(c) else c for c in text)


BIDI = {chr(c) for c in (0x61c, 0x200e, 0x200f, 0x2028, 0x2029, *range(0x202a, 0x202f), *range(0x2066, 0x206a))}


def span(us):
    """As a person says it."""
    second = us // 1_000_000
    if us < 1_000:
        return f"{us} µs"
    if us < 1_000_000:
        return f"{us // 1_000} ms"
    if second < 60:
        return f"{second}.{us // 100_000 % 10} s"
    if second < 3_600:
        return f"{second // 60}m {second % 60:02}s"
    if second < 86_400:
        return f"{second // 3_600}h {second // 60 % 60:02}m"
    return f"{second // 86_400}d {second // 3_600 % 24:02}h"


def short(day, year):
    return f"{date(day).day} {MONTHS[date(day).month - 1]}" + (f" {date(day).year}" if year else "")


def monday(day):
    return (day + 3) // 7 * 7 - 3


def page(rows, ask, today_us):
    """Judges the page over the last 30 days that have messages."""
    asked["report"] += 1
    path = os.path.join(SCRATCH, "page.html")
    status, _ = scan("report", "--html", path, *ask.arguments)
    text = open(path, encoding="utf-8").read()
    for never in ("<script", "http:", "https:", "NaN", *BIDI):
        if never in text:
            fault(f"page: {never!r}")
    db = ask.view(since=False)
    db.execute(f"create or replace temp table m as select *, wall // {DAY} as day from v where kind = 'message'")
    # The page is about whole days.
    since_us = -1 << 62 if ask.since is None else ask.since - ask.wall(ask.since) % DAY
    days = [day for day, in db.execute(f"select distinct day from m where us >= {since_us} order by 1").fetchall()]
    if not days:
        if status != 1 or "No messages" not in text:
            fault(f"page of nothing: {status}")
        return
    last = max((day for day in days if day <= ask.wall(today_us) // DAY), default=days[-1])
    if "--until" in ask.arguments:
        last = ask.wall(microseconds(ask.arguments[ask.arguments.index("--until") + 1]) - 1) // DAY
    first = max(last - 29, days[0]) if ask.since is None else ask.wall(ask.since) // DAY
    cards = Page(text).cards
    judge = lambda name, got, want: got == want or fault(f"page: {name}: {got!r}, {want!r} wanted")
    once = lambda title, key: cards.get(title, {}).get(key)
    inside = f"from m where day between {first} and {last} and us >= {since_us}"
    one = lambda sql: db.execute(sql).fetchone()[0]

    # The headlines.
    judge("Messages", once("Messages", "alts") is not None, True)
    tiles = dict(re.findall(r'class="card tile"><h2>([^<]*)</h2><b>([^<]*)</b>', text))
    judge("tile messages", tiles.get("Messages"), f"{one(f'select count(*) {inside}'):,}")
    judge("tile users", tiles.get("Active users"), f'{one(f"""select count(distinct "user") {inside}"""):,}')
    fresh = dict(db.execute(f"""select "user", min(day) from m where "user" is not null and day <= {last} group by 1""").fetchall())
    judge("tile new", tiles.get("New users"), f"{sum(first <= day for day in fresh.values()):,}")
    messages = db.execute(f"""select us, "user", room, source {inside} order by seq""").fetchall()
    answers, _ = waits(messages, "customers")
    spans = [wait_ms(answer[3]) * 1_000 for answer in answers]
    judge("tile median", tiles.get("Median response"), span(rank(spans, .5)) if spans else None)

    # What is drawn, by day and by hour.
    counts = dict(db.execute(f"select day, count(*) {inside} group by 1").fetchall())
    users = {}
    for day, user in db.execute("""select distinct day, "user" from m where "user" is not null""").fetchall():
        users.setdefault(day, set()).add(user)
    window = range(first, last + 1)
    within = lambda day, n: len(set().union(*(users.get(d, ()) for d in range(day - n + 1, day + 1))))
    label = lambda day: short(day, len(window) > YEARLESS_DAYS_MAX)
    weekly = len(window) > DAILY_DAYS_MAX
    if first < last:
        # Many days are drawn by sevens from the first on, and what tells people apart by weeks.
        points = [window[begin:begin + (7 if weekly else 1)] for begin in range(0, len(window), 7 if weekly else 1)]
        judge("volume", once("Messages", "titles"), [
            f"{label(days[0])}: {sum(counts.get(day, 0) for day in days):,}" for days in points])
        judge("active", once("Active users", "titles"), [
            f"{label(days[0])}: monthly {within(days[-1], 30):,}, weekly {within(days[-1], 7):,}, "
            f"daily {sum(within(day, 1) for day in days) // len(days):,}" for days in points])
        spans_of = range(monday(first), last + 1, 7) if weekly else window
        ends = {day: min(day + 6, last) if weekly else day for day in spans_of}
        new = {day: sum(day <= one <= end for one in fresh.values()) for day, end in ends.items()}
        judge("new", once("New and returning", "titles"), [
            f"{label(day)}: {within(end, end - day + 1) - new[day]:,} known, {new[day]:,} new"
            for day, end in ends.items()])
        hours = dict(db.execute(f"select (wall // {HOUR} + 72) % 168, count(*) {inside} group by 1").fetchall())
        judge("heat", once("When people write", "titles"), [
            f"{WEEK[hour // 24]} {hour % 24:02}:00: {hours.get(hour, 0):,} messages" for hour in range(168)])
    else:
        hours = dict(db.execute(f"select wall // {HOUR} % 24, count(*) {inside} group by 1").fetchall())
        judge("hours", once("Messages", "titles"), [f"{hour:02}:00: {hours.get(hour, 0):,}" for hour in range(24)])

    # The busiest. What the server itself says is nobody's.
    def busiest(column, source, more=""):
        found = db.execute(f"select {column}, count(*) {source} and {column} is not null {more} group by 1").fetchall()
        return [[shown(name), f"{n:,}", ""] for name, n in sorted(found, key=lambda row: (-row[1], row[0].encode()))[:TOP]]
    begin_us, end_us = f"us >= {since_us} and wall >= {first * DAY}", f"wall < {(last + 1) * DAY}"
    calls = busiest("command", f"from v where kind = 'command' and {begin_us} and {end_us}")
    lists = ((["person", "messages", ""], busiest('"user"', inside, "and source is distinct from 'system'")),
             (["room", "messages", ""], busiest("room", inside)), (["command", "calls", ""], calls))
    want = [row for head, some in lists if some for row in (head, *some)]
    judge("busiest", once("The busiest", "rows"), want)

    # Customers.
    if answers:
        by_hour, by_agent = {}, {}
        for answer in answers:
            by_hour.setdefault(ask.wall(answer[2]) // HOUR % 24, []).append(wait_ms(answer[3]) * 1_000)
            by_agent.setdefault(answer[1], []).append(wait_ms(answer[3]) * 1_000)
        # An hour with less than a hundredth of the answers is left out.
        often = {hour: us for hour, us in by_hour.items() if len(us) * 100 >= len(answers)}
        judge("response times", once("Response time by hour of the question", "titles"), [
            f"{hour:02}:00: {span(rank(often[hour], .5)) if hour in often else span(0)}" for hour in range(24)])
        best = sorted(by_agent.items(), key=lambda one: (-len(one[1]), one[0].encode()))[:TOP]
        judge("agents", once("Who answers customers", "rows")[1:], [
            [shown(name), f"{len(us):,}", span(rank(us, .5)), span(rank(us, .95)), ""] for name, us in best])
    end = next(us for us in ((last + 1) * DAY + shift * 15 * MINUTE for shift in range(-56, 57))
               if ask.wall(us) == (last + 1) * DAY)
    now_us = min(today_us, end)
    if "--until" in ask.arguments:
        now_us = min(now_us, microseconds(ask.arguments[ask.arguments.index("--until") + 1]))
    found = talks(messages, now_us)
    if found:
        states = [state for _, state, _ in found]
        judge("tile waiting", tiles.get("Customers waiting"), f"{states.count('overdue') + states.count('waiting'):,}")
        judge("states", once("Conversations", "words")[1:], [
            f"{states.count(state):,}{state}" for state in ("overdue", "waiting", "answered", "missed", "closed")])
        urgent = [one for one in found if one[2]["since"] is not None][:TOP]
        judge("conversations", once("Conversations", "rows")[1:], [
            [shown(room), state, span(now_us - talk["since"]), f"{talk['n']:,}"] for room, state, talk in urgent])

    # Deliveries.
    seqs = {seq for seq, in db.execute(f"select seq from v where {begin_us} and {end_us}").fetchall()}
    told, after = fates(row for row in rows if row["seq"] in seqs)
    if told:
        share = lambda n: f"{n / len(told) * 100:.1f} %"
        steps = [["handed over", f"{len(told):,}", "100.0 %", "", ""]]
        for step in ("sent", "delivered", "read", "failed"):
            n = reached(told, step)
            steps.append([step, f"{n:,}", share(n), span(rank(after[step], .5) * 1_000) if after[step] else "", ""])
        pending = len(told) - reached(told, "delivered") - reached(told, "failed")
        steps.append(["on their way", f"{pending:,}", share(pending), "", ""])
        judge("tile delivered", tiles.get("Delivered"), share(reached(told, "delivered")))
        rows = once("Messages to WhatsApp", "rows")
        judge("deliveries", rows[1:7], steps)
        categories = {}
        for fate in told:
            if fate["category"]:
                categories.setdefault(fate["category"], []).append(fate["billable"])
        judge("categories", rows[8:], [[name, f"{len(all_):,}", f"{sum(all_):,}"]
                                       for name, all_ in sorted(categories.items())])
        errors = {}
        for fate in told:
            if fate["got"]["failed"]:
                errors[fate["error"]] = errors.get(fate["error"], 0) + 1
        got = [(row[0].rsplit("(", 1)[1].rstrip(")"), row[1]) for row in (once("Why messages failed", "rows") or [])[1:]]
        judge("failures", got, [(str(error), f"{n:,}") for error, n in
                                sorted(errors.items(), key=lambda one: (-one[1], one[0]))[:TOP]])

    # Latencies: the page says p99 and p50 by the day or week, 1.6 % exact.
    pieces = {}
    for metric, day, buckets in db.execute(f"""select metric, wall // {DAY}, buckets from v where kind = 'metric'
                                              and {begin_us} and {end_us}""").fetchall():
        values = pieces.setdefault(metric, {}).setdefault(monday(day) if weekly else day, {})
        for index, n in struct.iter_unpack("<HI", buckets or b""):
            values[index] = values.get(index, 0) + n
    if last - first >= 7:
        titles = iter(once("Server latency", "titles") or [])
        for metric in sorted(pieces):
            for day, values in sorted(pieces[metric].items()):
                title = next(titles, "")
                low = [quantile(values, q) for q in (.99, .5)]
                fits = [f"{label(day)}: p99 {a}, p50 {b}" for a in near(low[0]) for b in near(low[1])]
                if title not in fits:
                    fault(f"page: {metric}: {title!r}, {fits[0]!r} wanted")
                    return


def near(us):
    """What is said of a value that is up to 1.6 % more."""
    return dict.fromkeys(span(us + more) for more in range(0, us // 60 + 2, max(1, us // 4_000)))

"""Judges one log for tests/oracles/scan.sh: scan.py RINGPOST_SCAN DATA SCRATCH [OPTION…] [FILE:PLACE…]

Every answer is computed here from the exported rows, in SQL or plain Python, from what the manual
says that a report means; nothing is taken from the scanner's code. With --quick the reports are
asked without filters only, with --every N:K with each Nth filter from the Kth. FILE:PLACE is a damaged byte that `verify` must name.
"""
import os, re, sys, time
import polars, pyarrow, pyarrow.ipc, pyarrow.parquet
from scan_base import *
from scan_events import audit, neighbours, tail, verify
from scan_page import page
from scan_reports import Look, everything

OPTIONS = dict(zip(sys.argv[4:], sys.argv[5:] + [""]))
HERE = os.path.dirname(os.path.abspath(__file__))
CODES = {
    "source": "ws whatsapp command handler api system", "direction": "in out internal",
    "outcome": "ok failed timeout denied bad_arguments limited", "scope": "user room message retention",
    "status": "queued accepted sent delivered read played failed deleted",
    "member": "join leave add kick ban unban role mute unmute", "room": "created topic settings",
    "session": "start end",
}
# A type of the manual in pyarrow, Polars and DuckDB.
TYPES = {
    "u64": ("uint64", polars.UInt64, "UBIGINT"), "u32": ("uint32", polars.UInt32, "UINTEGER"),
    "text": ("string", polars.String, "VARCHAR"), "code": ("string", polars.String, "VARCHAR"),
    "timestamp": ("timestamp[us, tz=UTC]", polars.Datetime("us", "UTC"), "TIMESTAMP WITH TIME ZONE"),
    "bool": ("bool", polars.Boolean, "BOOLEAN"), "bytes": ("binary", polars.Binary, "BLOB"),
}

# Rows of a million that are compared at a time: as Python's objects, all of them take 17 GB.
SLICE_ROWS = 20_000


def columns():
    """Names and types of all columns, as the manual lists them."""
    manual = open(os.path.join(HERE, "../../docs/LOG_FORMAT.md"), encoding="utf-8").read()
    table = manual[manual.index("| column | type | of |"):]
    return re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.M)


def exports():
    """The whole export, opened by three programs: the same rows and the manual's types."""
    paths = {to: os.path.join(SCRATCH, f"rows.{to}") for to in ("parquet", "arrow", "jsonl", "csv")}
    for to, path in paths.items():
        scan("export", "--to", to, "--out", path)
    # A million rows have the same names of columns: one text for all of them.
    once = lambda pairs: {sys.intern(name): value for name, value in pairs}
    rows = [json.loads(line, object_pairs_hook=once) for line in open(paths["jsonl"], encoding="utf-8")]
    table, frame = pyarrow.parquet.read_table(paths["parquet"]), polars.read_parquet(paths["parquet"])
    arrow = pyarrow.ipc.open_file(paths["arrow"]).read_all()
    ipc = polars.read_ipc(paths["arrow"])
    duck = ENGINE.execute(f"describe from '{paths['parquet']}'").fetchall()
    names = [name for name, _ in columns()]
    for program, got in (("pyarrow", table.column_names), ("Polars", frame.columns), ("arrow", arrow.column_names),
                         ("DuckDB", [row[0] for row in duck])):
        if got != names:
            fault(f"{program}: columns {got}, {names} in the manual")
            return paths["parquet"], rows
    for (name, kind), (_, described, *_) in zip(columns(), duck):
        field, wanted = arrow.schema.field(name).type, TYPES[kind]
        words = pyarrow.types.is_dictionary(field)
        if kind == "code" and not words:
            fault(f"arrow: {name} is no dictionary")
        ipc_type = polars.String if isinstance(ipc.schema[name], polars.Categorical) else ipc.schema[name]
        got = (str(table.schema.field(name).type), frame.schema[name], described)
        if got != wanted or str(field.value_type if words else field) != wanted[0] or ipc_type != wanted[1]:
            fault(f"{name}: {got}, {field}, {ipc_type}, {wanted} wanted")
    plain = arrow.cast(pyarrow.schema([
        field if not pyarrow.types.is_dictionary(field.type) else field.with_type(pyarrow.string())
        for field in arrow.schema]))
    if (frame.height, ipc.height, len(rows)) != (table.num_rows,) * 3:
        fault(f"rows: parquet {table.num_rows}, jsonl {len(rows)}, Polars {frame.height} and {ipc.height}")
    if not frame.equals(ipc.with_columns(polars.selectors.categorical().cast(polars.String))):
        fault("Polars reads other rows from arrow")
    for begin in range(0, len(rows), SLICE_ROWS):
        alike(rows[begin:begin + SLICE_ROWS], table.slice(begin, SLICE_ROWS), plain.slice(begin, SLICE_ROWS))
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


def alike(rows, table, arrow):
    """Some rows of jsonl, of the Parquet and of the Arrow file."""
    times = table["ts"].cast(pyarrow.int64()).to_pylist()
    if arrow["ts"].cast(pyarrow.int64()).to_pylist() != times:
        fault("arrow and parquet differ in ts")
    listed = table.drop_columns(["ts"]).to_pylist()
    if arrow.drop_columns(["ts"]).to_pylist() != listed:
        fault("arrow and parquet differ")
    for row, other, us in zip(rows, listed, times):
        other["ts"] = us if us is None else moment(us)
        other = {key: value.hex() if isinstance(value, bytes) else value for key, value in other.items()}
        if row != {key: value for key, value in other.items() if value is not None and value is not False}:
            fault(f"jsonl and parquet differ: {row} {other}")
            break


def reader(rows):
    """read_log.py must give the same records; the number of all, names included."""
    program = [sys.executable, os.path.join(HERE, "read_log.py"), os.path.join(DATA, "log")]
    count, last, is_same, names, records = 0, -1, True, [], iter(rows)
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        for one in map(json.loads, process.stdout):
            if one["seq"] <= last:
                fault(f"read_log.py: {one['seq']} comes after {last}")
            count, last = count + 1, one["seq"]
            if one["kind"] == "name":
                names.append((one["seq"], one["text"], one["id"]))
            else:
                is_same = is_same and same_record(one, next(records, {}))
    if process.returncode != 0:
        fault(f"read_log.py: exit {process.returncode}")
    if count - len(names) != len(rows):
        fault(f"read_log.py gives {count - len(names)} records, the export {len(rows)}")
    if names != [(row["seq"], row.get("text", ""), row["id"])
                 for row in map(json.loads, scan("export", "--kind", "name")[1].splitlines())]:
        fault("read_log.py: other names than export --kind name")
    return count


def same_record(one, row):
    """A record as read_log.py says it, and as it was exported."""
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
            return False
    return True


def looks(rows):
    """The filters that all reports are asked with."""
    times = sorted(row["ts"] for row in rows if "ts" in row)
    asks = [Look(), Look(zone="berlin")]
    if len(times) < 100 or "--quick" in OPTIONS:
        return asks[:1]
    since, until = microseconds(times[len(times) // 4]), microseconds(times[len(times) * 3 // 4])
    count = lambda column: ENGINE.execute(f"""select "{column}" from r where kind = 'message' and "{column}" is not null
                                        group by 1 order by count(*) desc, 1""").fetchall()
    users, (room, *_) = count("user"), count("room")[0]
    has = lambda test: f"coalesce({test}, false)"
    hour, weekday = f"wall // {HOUR} % 24", f"(wall // {DAY} + 3) % 7"
    return asks + [
        Look(zone="york"),
        Look(["--until", moment(until)], f"us < {until}", "nepal", since=since),
        Look(["--room", room], f"""room = '{room.replace("'", "''")}'"""),
        Look(["--source", "whatsapp,api"], "kind = 'message' and source in ('whatsapp', 'api')"),
        Look(["--kind", "message,metric"], "kind in ('message', 'metric')"),
        Look(["--kind", "status,edit"], "kind in ('status', 'edit')"),
        Look(user=users[0][0]), Look(user=users[min(11, len(users) - 1)][0]),
        Look(["--where", "hour >= 9 and hour < 17 and not weekday = sun and size > 20"],
             has(f"{hour} between 9 and 16 and not {weekday} = 6 and kind = 'message' "
                 "and coalesce(octet_length(encode(text)), 0) > 20"), "york"),
        Look(["--where", 'text ~ "[Oo]rder|paid" or status = failed or duration > 5ms and outcome != ok'],
             has("kind = 'message' and regexp_matches(text, '[Oo]rder|paid')") + " or " + has("status = 'failed'")
             + " or " + has("duration_us > 5000 and outcome <> 'ok'")),
        Look(["--where", "not (user ~ \"^wa:\" or direction = out) and not error >= 1"],
             "not (" + has("""starts_with("user", 'wa:')""") + " or " + has("direction = 'out'") + ") and not "
             + has("kind = 'status' and coalesce(error, 0) >= 1")),
    ]


def main():
    began = time.monotonic()
    path, rows = exports()
    records = reader(rows)
    damage = [argument.split(":") for argument in sys.argv[4:] if ".seg:" in argument]
    verify(records, [(file, int(place)) for file, place in damage])
    if rows:
        load(path)
        every, begin = (int(one) for one in OPTIONS.get("--every", "1:0").split(":"))
        asks = looks(rows)[begin::every] or looks(rows)[:1]
        for ask in asks:
            everything(ask, rows)
        for ask in asks[:4]:
            page(rows, ask, time.time_ns() // 1_000)
        tail(rows)
        audit(rows)
        neighbours(rows)
    settle()
    print(f"{os.path.basename(DATA)}: {len(rows)} records, {sum(asked.values())} answers compared, "
          f"{len(faults)} faults, {time.monotonic() - began:.0f} s")
    sys.exit(bool(faults))


main()

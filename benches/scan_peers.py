"""The four questions of benches/scan_peers.sh, asked of DuckDB and Polars.

    scan_peers.py prepare SOURCE.parquet FOLDER    makes each engine its favourite file
    scan_peers.py ask FOLDER ENGINE ROUNDS         prints a JSON line per question
    scan_peers.py ours SCAN DATA LABEL ROUNDS      the same of ringpost-scan
    scan_peers.py table LINES SHARE_MAX            all of them as a table

CPU time of the query alone, best of the rounds, one thread; what is counted is the process's own
user and system time around the call, so the engine's start and the opening of the file are outside.
Answers are printed in one shape, so that they can be compared as text.
"""
import json, math, os, subprocess, sys, time

os.environ["POLARS_MAX_THREADS"] = "1"
NEEDLE = "refund"
TITLES = {"top": "top 10 users", "minutes": "per minute", "substring": "substring", "p95": "p95 of text size"}
QUESTIONS = list(TITLES)


def prepare(source, folder):
    import duckdb
    db = duckdb.connect(os.path.join(folder, "peers.duckdb"), config={"threads": 1})
    db.execute("set timezone = 'UTC'")
    rows = f"""select ts at time zone 'UTC' as ts, "user", room, text, octet_length(encode(text)) as size
               from read_parquet('{source}')"""
    db.execute(f"create or replace table by_text as {rows}")
    db.execute('create or replace table users as select "user", row_number() over () as id '
           'from (select distinct "user" from by_text)')
    # In the order of the log, as a table that grows with it would be.
    db.execute("""create or replace table by_id as
                  select b.ts, u.id::uinteger as "user", b.text, b.size
                  from by_text b left join users u on u."user" is not distinct from b."user"
                  order by b.rowid""")
    db.execute(f"copy by_text to '{folder}/peers.parquet' (format parquet, compression zstd)")
    db.close()


def duckdb_questions(folder, table, by_id):
    import duckdb
    db = duckdb.connect(os.path.join(folder, "peers.duckdb"), read_only=True, config={"threads": 1})
    db.execute("set timezone = 'UTC'")
    top = f'select "user", count(*) as n from {table} group by 1 order by n desc, 1 limit 10'
    if by_id:
        top = f'select users."user", n from ({top}) t join users on users.id = t."user" order by n desc, 1'
    queries = {
        "top": top,
        "minutes": f"select count(*), max(n) from (select date_trunc('minute', ts), count(*) as n "
                   f"from {table} group by 1)",
        "substring": f"select count(*) from {table} where contains(text, '{NEEDLE}')",
        "p95": f"select quantile_disc(size, 0.95) from {table}",
    }
    return {name: lambda query=query: db.execute(query).fetchall() for name, query in queries.items()}


def polars_questions(folder):
    import polars as pl
    rows = pl.scan_parquet(os.path.join(folder, "peers.parquet"))
    queries = {
        "top": rows.group_by("user").len().sort(["len", "user"], descending=[True, False]).head(10),
        "minutes": rows.group_by(pl.col("ts").dt.truncate("1m")).len().select(
            pl.len().alias("minutes"), pl.col("len").max()),
        "substring": rows.filter(pl.col("text").str.contains(NEEDLE, literal=True)).select(pl.len()),
        "p95": rows.select(pl.col("size").quantile(0.95, interpolation="higher")),
    }
    return {name: lambda query=query: query.collect(engine="streaming").rows()
            for name, query in queries.items()}


def answer(name, rows):
    if name == "top":
        return [[user or "", int(n)] for user, n in rows]
    return [int(value) for value in rows[0]]


def ask(folder, engine, rounds):
    questions = {
        "duckdb-text": lambda: duckdb_questions(folder, "by_text", False),
        "duckdb-id": lambda: duckdb_questions(folder, "by_id", True),
        "duckdb-parquet": lambda: duckdb_questions(folder, f"'{folder}/peers.parquet'", False),
        "polars-parquet": lambda: polars_questions(folder),
    }[engine]()
    for name in QUESTIONS:
        best = None
        for _ in range(rounds):
            begin = time.process_time()
            rows = questions[name]()
            spent = (time.process_time() - begin) * 1e3
            best = spent if best is None else min(best, spent)
        print(json.dumps({"engine": engine, "question": name, "cpu_ms": round(best, 2),
                          "answer": answer(name, rows)}))


def ours(scan, data, label, rounds):
    """Whole processes: start, listing of the directory, names, rows of the answer and all."""
    commands = {
        "top": ["top", "users"],
        "minutes": ["volume", "--by", "minute"],
        "substring": ["grep", "-c", NEEDLE],
        "p95": ["summary"],
    }
    for name in QUESTIONS:
        best = out = None
        for _ in range(rounds):
            process = subprocess.Popen(
                [scan, "--data", data, "--threads", "1", "--format", "json", *commands[name]],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            out = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            spent = (usage.ru_utime + usage.ru_stime) * 1e3
            best = spent if best is None else min(best, spent)
        rows = json.loads(out)
        found = {
            "top": lambda: [[row["name"], row["messages"]] for row in rows],
            "minutes": lambda: [len(rows), max(row["messages"] for row in rows)],
            "substring": lambda: [next(iter(rows[-1].values())) if isinstance(rows, list) else rows],
            "p95": lambda: [next(row["value"] for row in rows if row["measure"] == "text p95")],
        }[name]()
        print(json.dumps({"engine": label, "question": name, "cpu_ms": round(best, 2),
                          "answer": found}))


def table(lines, share_max):
    """Markdown of all that was asked; whether all answers are the same, and the sidecars' CPU time
    is at most this share of the fastest peer's."""
    best, answers = {}, {}
    for line in map(json.loads, lines):
        key = line["engine"], line["question"]
        best[key] = min(line["cpu_ms"], best.get(key, math.inf))
        answers.setdefault(line["question"], {})[line["engine"]] = line["answer"]
    engines = list(dict.fromkeys(engine for engine, _ in best))
    peers = [engine for engine in engines if not engine.startswith("ringpost")]
    print("| CPU ms, best of all rounds | " + " | ".join(TITLES[name] for name in QUESTIONS) + " |")
    print("| --- |" + " --- |" * len(QUESTIONS))
    for engine in engines:
        cells = [f"{best[engine, name]:.1f}" if (engine, name) in best else "" for name in QUESTIONS]
        print(f"| {engine} | " + " | ".join(cells) + " |")
    fastest = {name: min(best[peer, name] for peer in peers) for name in QUESTIONS}
    for engine in engines:
        if engine not in peers:
            cells = [f"{best[engine, name] / fastest[name]:.2f}" for name in QUESTIONS]
            print(f"| {engine} / fastest peer | " + " | ".join(cells) + " |")
    kept = all(best[engine, name] <= share_max * fastest[name]
               for engine in engines if engine.endswith("sidecars") for name in QUESTIONS)
    if not kept:
        print(f"TOO SLOW: more than {share_max} of the fastest peer")
    equal = True
    for name, given in answers.items():
        first = next(iter(given.values()))
        for engine, one in given.items():
            if one != first:
                equal = False
                print(f"DIFFERENT: {name}: {engine} says {one}, {next(iter(given))} says {first}")
    print(f"answers {'equal' if equal else 'DIFFER'}: " + json.dumps({n: next(iter(a.values())) for n, a in answers.items()}))
    return equal and kept


verb, arguments = sys.argv[1], sys.argv[2:]
if verb == "prepare":
    prepare(*arguments)
elif verb == "ask":
    ask(arguments[0], arguments[1], int(arguments[2]))
elif verb == "ours":
    ours(arguments[0], arguments[1], arguments[2], int(arguments[3]))
else:
    sys.exit(not table(open(arguments[0], encoding="utf-8"), float(arguments[1])))

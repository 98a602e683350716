"""Reads days that the historian has sealed with the programs that they are meant for, and compares them with `corerl data`.

Prints one JSON object: a list of checks, each with what was checked, whether it holds, and the facts.
"""

import csv
import datetime
import json
import pathlib
import sys

import duckdb
import pyarrow.dataset
import pyarrow.parquet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
checks = []


def check(what, passed, facts=""):
    checks.append({"what": what, "passed": bool(passed), "facts": str(facts)})


def microseconds(text):
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1)


def address(kind, tag):
    return tag + kind.removeprefix("setpoint") if kind.startswith("setpoint") else tag


def ordered(rows):
    """Rows may come in any order; nothing is smaller than a number."""
    return sorted(rows, key=lambda row: [(cell is not None, cell) for cell in row])


def samples(directory):
    """What `corerl data query` says: time, agent, tag, value, unit, quality and the source's time."""
    with open(directory / "samples.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return ordered(
        (microseconds(row["time"]), row["agent"], row["tag"], float(row["value"]) if row["value"] else None,
         row["unit"] or None, row["state"] if row["tag"] == "level" else None,
         microseconds(row["source_time"]) if row["source_time"] else None)
        for row in rows
    )


def dataset(history, name):
    files = sorted(str(path) for path in history.glob(f"site=*/date=*/{name}-*.parquet"))
    return pyarrow.dataset.dataset(files, format="parquet", partitioning="hive", partition_base_dir=str(history))


def arrow(history, ours):
    found = dataset(history, "samples")
    table = found.to_table()
    times = [time // 1000 for time in table.column("time").cast("int64").to_pylist()]
    sources = table.column("source_time").cast("int64").to_pylist()
    theirs = ordered(
        (time, f"{row['site']}/{row['agent']}", address(row["kind"], row["tag"]), row["value"], row["unit"], row["quality"], source)
        for time, source, row in zip(times, sources, table.to_pylist())
    )
    check("pyarrow: one dataset of sealed days has the same samples", theirs == ours, f"{len(theirs)} samples")
    check("pyarrow: days are partitions", set(map(str, table.column("date").to_pylist())) == {"2023-11-14", "2023-11-15"})
    metadata = found.schema.field("age_us").metadata or {}
    check("pyarrow: units are in the fields' metadata of sealed days", metadata.get(b"unit") == b"us"
          and b"description" in metadata and str(found.schema.field("time").type) == "timestamp[ns, tz=UTC]", metadata)
    sites = {pyarrow.parquet.read_metadata(path).metadata[b"corerl.site"].decode() for path in found.files}
    check("pyarrow: each file says whose it is", sites == {row[1].rsplit("/", 1)[0] for row in ours}, sites)


def duck(history, ours):
    source = f"read_parquet('{history}/site=*/date=*/samples-*.parquet', hive_partitioning = true)"
    query = f"""select epoch_us(time::timestamptz), site || '/' || agent, kind, tag, value, unit, quality,
        epoch_us(source_time::timestamptz) from {source}"""
    rows = duckdb.sql(query).fetchall()
    theirs = ordered((time, agent, address(kind, tag), *rest) for time, agent, kind, tag, *rest in rows)
    check("DuckDB: one dataset of sealed days has the same samples", theirs == ours, f"{len(theirs)} samples")
    day = f"select count(*), count(distinct site) from {source} where date = '2023-11-15'"
    midnight = microseconds("2023-11-15T00:00:00+00:00")
    expected = [row for row in ours if row[0] >= midnight]
    counted = duckdb.sql(day).fetchall()[0]
    check("DuckDB: a day is found by its partition", counted == (len(expected), len({row[1] for row in expected})), counted)


def events(directory, history):
    with open(directory / "events.json", encoding="utf-8") as file:
        told = json.load(file)["events"]
    ours = ordered((one["agent"], microseconds(one["time"]), one["cycle"], one["kind"], one["uid"], one["text"]) for one in told)
    table = dataset(history, "events").to_table()
    times = [time // 1000 for time in table.column("time").cast("int64").to_pylist()]
    rows = list(zip(times, table.to_pylist()))
    theirs = ordered((f"{row['site']}/{row['agent']}", time, row["cycle"], row["event"], row["uid"], row["text"]) for time, row in rows)
    check("pyarrow: sealed events are the same", ours and theirs == ours, f"{len(theirs)} events")
    check("pyarrow: words of an event have all 64 bits", {row["a"] for _, row in rows} == {2**64 - 1})
    with open(directory / "gaps.json", encoding="utf-8") as file:
        told = [gap for gap in json.load(file)["gaps"] if gap["what"] != "run"]
    ours = ordered((gap["agent"], gap["what"], gap["count"], gap["why"]) for gap in told)
    source = f"read_parquet('{history}/site=*/date=*/gaps-*.parquet', hive_partitioning = true)"
    theirs = ordered(duckdb.sql(f"select site || '/' || agent, missing, count, why from {source}").fetchall())
    check("DuckDB: sealed gaps are the same", ours and theirs == ours, f"{len(theirs)} gaps")


def main(directory):
    history = directory / "history"
    ours = samples(directory)
    check("there are samples to compare", any(row[3] is None for row in ours) and {row[6] is None for row in ours} == {False, True} and len({row[1] for row in ours}) == 2, f"{len(ours)} samples")
    arrow(history, ours)
    duck(history, ours)
    events(directory, history)
    json.dump({"checks": checks}, sys.stdout)


main(pathlib.Path(sys.argv[1]))

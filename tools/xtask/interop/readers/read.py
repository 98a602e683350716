"""Reads what `corerl export` wrote of one recording with the programs that it is meant for, and compares it with its CSV.

Prints one JSON object: a list of checks, each with what was checked, whether it holds, and the facts.
"""

import csv
import datetime
import json
import math
import pathlib
import sys

import duckdb
import pyarrow.parquet
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TAG = "level"
checks = []


def check(what, passed, facts=""):
    checks.append({"what": what, "passed": bool(passed), "facts": str(facts)})


def number(cell):
    return float(cell) if cell else None


def microseconds(text):
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1)


def same(ours, theirs):
    """Bit for bit; no value in a table is not-a-number in a message."""
    return len(ours) == len(theirs) and all(
        one == other or (one is None and (other is None or math.isnan(other))) for one, other in zip(ours, theirs)
    )


def read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def columns(path):
    rows = read_csv(path)
    heading = next(name for name in rows[0] if name == TAG or name.startswith(TAG + " ["))
    return {
        "unit": heading.removeprefix(TAG).strip(" []"),
        "cycle": [int(row["cycle"]) for row in rows],
        "time_us": [microseconds(row["time"]) for row in rows],
        "mode": [row["cycle.mode"] for row in rows],
        TAG: [number(row[heading]) for row in rows],
        "reward": [number(row["cycle.reward"]) for row in rows],
        "raw": [number(next(cell for name, cell in row.items() if ".raw" in name)) for row in rows],
        "setpoint": next(name.split(".raw")[0] for name in rows[0] if ".raw" in name),
    }


def mcap(path, ours, events):
    topics, channels, times = {}, {}, []
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            topics.setdefault(channel.topic, []).append(decoded)
            channels[channel.topic] = (schema.name, channel.metadata)
            if channel.topic == "/cycle":
                times.append(message.log_time // 1000)
        statistics = reader.get_summary().statistics
        # A stretch in the middle, by the indexes alone.
        middle = [time * 1000 for time in times[len(times) // 3 : 2 * len(times) // 3]]
        found = reader.iter_messages(topics=["/cycle"], starting_at=middle[0], ending_before=middle[-1])
        stretch = [message.log_time // 1000 for _, _, message in found]
    cycles = topics["/cycle"]
    check("mcap: a stretch in the middle is found by its times", abs(len(stretch) - len(middle)) <= 1
          and stretch and stretch[0] >= times[len(times) // 3], f"{len(stretch)} of {len(times)}")
    check("mcap: every cycle is a message, at its time", times == ours["time_us"], f"{len(cycles)} cycles")
    check("mcap: cycles have their numbers", [one.number for one in cycles] == ours["cycle"])
    check("mcap: modes have their names", [one.mode_name for one in cycles] == ours["mode"], set(ours["mode"]))
    check("mcap: a tag has the same values", same(ours[TAG], [one.value for one in topics[f"/tags/{TAG}"]]))
    wished = [one.raw for one in topics[f"/setpoints/{ours['setpoint']}"]]
    check("mcap: a setpoint has the same values", same(ours["raw"], wished))
    check("mcap: units are in the channels' metadata", channels["/cycle"][1].get("unit.lateness_us") == "us"
          and channels[f"/tags/{TAG}"][1].get("unit") == ours["unit"])
    logs = topics.get("/events", [])
    check("mcap: events are a log of Foxglove", channels["/events"][0] == "foxglove.Log"
          and [log.message for log in logs] == [event["text"] for event in events], f"{len(logs)} events")
    check("mcap: its statistics count every message", statistics.message_count == sum(map(len, topics.values())),
          f"{statistics.message_count} messages on {statistics.channel_count} channels")


def parquet(path, ours):
    table = pyarrow.parquet.read_table(path)
    schema = table.schema
    check("pyarrow: a row for each cycle", table.column("cycle").to_pylist() == ours["cycle"], table.num_rows)
    check("pyarrow: a tag has the same values", same(ours[TAG], table.column(TAG).to_pylist()))
    check("pyarrow: rewards are the same, and null without one", same(ours["reward"], table.column("cycle.reward").to_pylist()))
    times = table.column("time").cast("int64").to_pylist()
    check("pyarrow: times are instants in UTC", str(schema.field("time").type) == "timestamp[ns, tz=UTC]"
          and [time // 1000 for time in times] == ours["time_us"], schema.field("time").type)
    metadata = schema.field("cycle.lateness_us").metadata or {}
    check("pyarrow: units are in the fields' metadata", metadata.get(b"unit") == b"us" and b"description" in metadata, metadata)
    tag = (schema.field(TAG).metadata or {}).get(b"unit", b"").decode()
    check("pyarrow: a tag has the unit of the site", tag == ours["unit"], tag)


def duck(path, ours):
    query = f"""select count(*), min("{TAG}"), max("{TAG}"), count("cycle.reward"), count(distinct "cycle.mode") from '{path}'"""
    rows, lowest, highest, rewards, modes = duckdb.sql(query).fetchall()[0]
    values = [value for value in ours[TAG] if value is not None]
    check("DuckDB: it counts the same rows, rewards and modes", rows == len(ours["cycle"])
          and rewards == sum(one is not None for one in ours["reward"]) and modes == len(set(ours["mode"])), rows)
    check("DuckDB: the same extremes", (lowest, highest) == (min(values, default=None), max(values, default=None)), f"{lowest} to {highest}")


def scope(path, table):
    """A capture of the scope, beside the table that it was made from."""
    with open(table, newline="", encoding="utf-8") as file:
        lines = file.readlines()
    facts = dict(line[2:].strip().split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    topics, times = {}, []
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        for _, channel, message, decoded in reader.iter_decoded_messages():
            topics.setdefault(channel.topic, []).append(decoded)
            if channel.topic == "/sample":
                times.append(message.log_time)
        found = {metadata.name: metadata.metadata for metadata in reader.iter_metadata()}
    since = [int(facts["trigger_ns"]) + round(float(row["time_s"]) * 1e9) for row in rows]
    counts = [(str(one.cycle), str(one.lost), str(one.skipped)) for one in topics["/sample"]]
    check("mcap: a capture of the scope has its samples at their times", times == since
          and counts == [(row["cycle"], row["lost"], row["skipped"]) for row in rows], f"{len(times)} samples")
    for title in ["level [m]", "u.sent [%]"]:
        ours = [number(row[title]) for row in rows]
        theirs = [one.value for one in topics.get(f"/scope/{title}", [])]
        check(f"mcap: a capture of the scope has the values of {title}", same(ours, theirs), theirs)
    check("mcap: a capture of the scope has its facts", found.get("corerl.scope/1") == facts, found)


def main(directory):
    ours = columns(directory / "run.csv")
    events = read_csv(directory / "events.csv")
    check("there is something to compare", events and any(ours[TAG]) and any(ours["raw"]), f"{len(ours['cycle'])} cycles")
    mcap(directory / "run.mcap", ours, events)
    parquet(directory / "run.parquet", ours)
    duck(directory / "run.parquet", ours)
    scope(directory / "scope.mcap", pathlib.Path(__file__).with_name("scope.csv"))
    json.dump({"checks": checks}, sys.stdout)


main(pathlib.Path(sys.argv[1]))

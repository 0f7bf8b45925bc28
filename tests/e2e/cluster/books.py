"""Runs in the writer's pod: are the rows of the database the messages of the topics, one for one?

Prints JSON: for each of the three topics how many messages, keys and rows there are, and which keys
lack rows or have rows that no message stands for. Messages of the last seconds may be on their way,
so what lacks is asked for again for a while.
"""

import collections
import json
import os
import sys
import time
import uuid
from datetime import datetime

import psycopg2
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

SETTLE_S = 45
STILL_COMING_S = 5.0
TABLES = {
    "option-chain": ("spy_option_chain", ("symbol", "expiry", "sampled_at")),
    "option-features": ("option_features", ("symbol", "expiry", "ts")),
    # One forecast a horizon, whoever made it, and one of a shadow.
    "predicted-smile": ("predicted_smile",
                        ("symbol", "expiry", "made_at", "horizon_s", "role = 'shadow'")),
}


def consumed(topic):
    """How many messages each key has, and how many rows it asks for, up to the topic's end."""
    pairs = [pair.partition("=") for pair in os.environ.get("SMILE_KAFKA_OPTIONS", "").split(",")]
    consumer = Consumer({"bootstrap.servers": os.environ["SMILE_KAFKA_BOOTSTRAP"],
                         "group.id": f"books-{uuid.uuid4()}", "enable.auto.commit": False,
                         "enable.partition.eof": False,
                         **{key: value for key, _, value in pairs if key}})
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            for number in numbers}
    left = {number for number, (low, high) in ends.items() if high > low}
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    messages, rows = collections.Counter(), {}
    while left:
        for message in consumer.consume(500, 1.0):
            if message.error():
                raise SystemExit(str(message.error()))
            if message.offset() < ends[message.partition()][1]:
                content = json.loads(message.value())
                key = tuple(value(content, name) for name in TABLES[topic][1])
                slot = (key, content["slice"]) if "slice" in content else key
                messages[slot] += 1
                rows[key] = len(content["strike"]) if "strike" in content else 1
            if message.offset() >= ends[message.partition()][1] - 1:
                left.discard(message.partition())
    consumer.close()
    return messages, rows


def value(content, name):
    """A field as the database gives it: instants as seconds since 1970."""
    if name == "role = 'shadow'":
        return content["role"] == "shadow"
    if not name.endswith(("at", "ts")):
        return content[name]
    return round(datetime.fromisoformat(content[name].replace("Z", "+00:00")).timestamp(), 3)


def stored(topic):
    """How many rows each key has."""
    table, names = TABLES[topic]
    columns = [f"round(extract(epoch FROM {name}), 3)::float" if name.endswith(("at", "ts"))
               else f"{name}::text" if name == "expiry" else name for name in names]
    with psycopg2.connect(os.environ["SMILE_DATABASE_URL"]) as database, \
            database.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}, count(*) FROM {table} "
                       f"GROUP BY {', '.join(str(n + 1) for n in range(len(names)))}")
        return {tuple(row[:-1]): row[-1] for row in cursor.fetchall()}


def balance(topic):
    """The account of one topic; a topic's message must have all its rows, a row its message."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        messages, wanted = consumed(topic)
        rows = stored(topic)
        newest = max((key[2] for key in wanted), default=0.0) - STILL_COMING_S
        lost = {key for key, count in wanted.items() if rows.get(key, 0) < count}
        doubled = {key for key, count in wanted.items() if rows.get(key, 0) > count}
        unknown = {key for key in rows if key not in wanted and key[2] < newest}
        if (not lost and not unknown) or time.monotonic() > deadline:
            break
        time.sleep(2)
    return {"messages": sum(messages.values()), "keys": len(wanted), "rows": sum(rows.values()),
            "sent again": sum(count - 1 for count in messages.values()),
            "lost": sorted(map(str, lost))[:5], "doubled": sorted(map(str, doubled))[:5],
            "unknown": sorted(map(str, unknown))[:5]}


def main():
    """All three topics, and that every chain has its smile."""
    account = {topic: balance(topic) for topic in TABLES}
    _, chains = consumed("option-chain")
    smiles = stored("option-features")
    newest = max((key[2] for key in chains), default=0.0) - STILL_COMING_S
    without = [key for key in chains if key[2] < newest and key not in smiles]
    account["chains without a smile"] = sorted(map(str, without))[:5]
    json.dump(account, sys.stdout)


main()

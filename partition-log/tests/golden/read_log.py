#!/usr/bin/env python3
"""Reads segment files with kafka-python, checking every checksum, and prints each record as a line of JSON:
offset, timestamp, key, value, headers, parts in hexadecimal and null as empty."""

import json
import sys

from kafka.record.memory_records import MemoryRecords

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        records = MemoryRecords(file.read())
    while (batch := records.next_batch()) is not None:
        assert batch.validate_crc(), path
        for r in batch:
            text = lambda part: (part or b"").hex()
            headers = [[name.encode().hex(), text(value)] for name, value in r.headers]
            print(json.dumps([r.offset, r.timestamp, text(r.key), text(r.value), headers]))
    assert records.valid_bytes() == records.size_in_bytes(), path

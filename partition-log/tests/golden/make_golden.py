#!/usr/bin/env python3
"""Makes the golden segment files with kafka-python's record builders, an implementation that is not ours.

    python3 -m venv venv && venv/bin/pip install kafka-python python-snappy lz4 zstandard
    venv/bin/python partition-log/tests/golden/make_golden.py partition-log/tests/golden

Made with kafka-python 3.0.12, python-snappy 0.7.3, lz4 4.4.5, zstandard 0.25.0. What a producer leaves to the broker
(base offset, control batches, append times, compaction) is done here as a broker does it. `expected.json` holds, for each
topic, the records as they were given to the builders: offset, timestamp, key, value, headers; null is given as empty.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
T0 = 1_700_000_000_000


def batch(base, rows, codec=0, producer=(-1, -1, -1), transactional=False, deltas=None, attributes=0, epoch=5):
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=transactional, producer_id=producer[0],
        producer_epoch=producer[1], base_sequence=producer[2], batch_size=1 << 30)
    for delta, (timestamp, key, value, headers) in zip(deltas or range(len(rows)), rows):
        assert builder.append(delta, timestamp, key, value, headers)
    out = bytearray(builder.build())
    if codec:
        assert struct.unpack_from(">h", out, 21)[0] & 7 == codec, "it was not worth compressing"
    struct.pack_into(">q", out, 0, base)
    struct.pack_into(">i", out, 12, epoch)
    if attributes:
        struct.pack_into(">h", out, 21, struct.unpack_from(">h", out, 21)[0] | attributes)
        struct.pack_into(">I", out, 17, calc_crc32c(memoryview(out)[21:]))
    return bytes(out)


def rows_of(name):
    plain = [(T0 + n * 1000, b"user-%d" % (n % 7), b'{"v":1,"type":"play","n":%d}' % n, []) for n in range(40)]
    odd = [
        (T0 + 40_500, None, b"no key", [("cs-source", b"file:1"), ("empty", b""), ("null", None)]),
        (T0 + 39_999, b"", b"an empty key", [("\u00fc", bytes(range(256)))]),
        (T0 + 41_000, b"no value", None, []),
        (T0 + 41_001, bytes(range(256)), b"long " * 100, [("codec", name.encode())] * 3),
    ]
    return plain, odd


def expected(base, rows, deltas=None, timestamp=None):
    hex_ = lambda part: (part or b"").hex()
    return [
        [base + delta, timestamp or row[0], hex_(row[1]), hex_(row[2]), [[n.encode().hex(), hex_(v)] for n, v in row[3]]]
        for delta, row in zip(deltas or range(len(rows)), rows)
    ]


def main(target):
    broker = target / "broker"
    shutil.rmtree(broker, ignore_errors=True)
    records = {}

    def segment(topic, base, batches):
        folder = broker / f"{topic}-0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{base:020}.log").write_bytes(b"".join(batches))

    for name, codec in CODECS.items():
        plain, odd = rows_of(name)
        segment(name, 7, [batch(7, plain, codec), batch(47, odd, codec)])
        records[name] = expected(7, plain) + expected(47, odd)

    plain, odd = rows_of("mixed")
    one, two, three = plain[:3], plain[3:6], odd
    marker = [(T0 + 50_000, struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 9), [])]
    segment("mixed", 0, [
        batch(0, one, CODECS["zstd"], producer=(4000, 1, 0)),
        batch(3, two, producer=(4001, 0, 0), transactional=True),
        batch(6, marker, producer=(4001, 0, -1), transactional=True, attributes=0x20),
        # Compacted: of offsets 7 to 12 these two are left.
        batch(7, two[:2], deltas=[1, 4]),
    ])
    # Offsets 13 to 19 are gone altogether; then a batch whose timestamps the broker gave.
    segment("mixed", 20, [batch(20, three, CODECS["lz4"], attributes=0x08)])
    newest = max(row[0] for row in three)
    records["mixed"] = (
        expected(0, one) + expected(3, two) + expected(7, two[:2], [1, 4]) + expected(20, three, timestamp=newest))

    # Producer 4001 aborts what it wrote at 0 to 2 and commits what it wrote at 6 to 8; 4002 commits 3 to 5. The broker
    # lists the abort in the segment's .txnindex: version, producer, first and last offset, last stable offset.
    abort = [(T0 + 50_000, struct.pack(">hh", 0, 0), struct.pack(">hi", 0, 9), [])]
    control = dict(transactional=True, attributes=0x20)
    segment("aborted", 0, [
        batch(0, one, producer=(4001, 0, 0), transactional=True),
        batch(3, two, producer=(4002, 0, 0), transactional=True),
        batch(6, abort, producer=(4001, 0, -1), **control),
        batch(7, two, producer=(4001, 0, 3), transactional=True),
        batch(10, marker, producer=(4002, 0, -1), **control),
        batch(11, marker, producer=(4001, 0, -1), **control),
    ])
    (broker / "aborted-0" / f"{0:020}.txnindex").write_bytes(struct.pack(">hqqqq", 0, 4001, 0, 6, 3))
    records["aborted"] = expected(3, two) + expected(7, two)

    lines = ",\n".join(f'"{topic}": {json.dumps(rows)}' for topic, rows in records.items())
    (target / "expected.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

#!/usr/bin/env python3
"""Reads a ringpost log by docs/LOG_FORMAT.md alone: read_log.py LOG_DIRECTORY > rows.jsonl"""
import glob, itertools, json, os, struct, sys

TYPES = """1 name id:I text:T name_kind:B|3 edit o:Q target:Q ts:q text:T version:I|4 delete o:Q target:Q ts:q
2 message o:Q ts:q reply:Q cid:T text:T display:T external:T extra:T source:B direction:B|12 stop ts:q
5 member o:Q ts:q subject:T role:B action:B|6 room o:Q ts:q text:T action:B|10 mark ts:q recv:Q read:Q
7 session ts:q sid:T device:T client:T code:H action:B|8 command ts:q args:T command:I duration_us:I outcome:B
9 status ts:q external:T recipient:T extra:T error:I status:B|14 user_status ts:q text:T state:B
13 raw ts:q id:Q bytes:X part:H parts:H|15 metric ts:q span_us:Q count:Q sum:Q max:Q metric:T buckets:X shard:H
16 erasure ts:q id:Q record_count:Q by:T subject:T reason:T segment_count:I scope:B|11 epoch ts:q epoch:Q
17 run ts:q epoch:Q first:Q last:Q|18 seen ts:q o:Q print_high:Q print_low:Q cid:T""".replace("\n", "|").split("|")
TYPES = {int(t): (kind, [f.split(":") for f in fields]) for t, kind, *fields in map(str.split, TYPES)}
CRCS = list(range(256))
for _ in range(8): CRCS = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in CRCS]
try: from crc32c import crc32c  # A thousand times faster than what follows.
except ImportError:
    def crc32c(data, crc=0xFFFFFFFF):
        for byte in data: crc = CRCS[(crc ^ byte) & 255] ^ crc >> 8
        return crc ^ 0xFFFFFFFF

def batch(data, at, salt):  # What an intact batch says of itself, or None.
    if data[at:at + 4] != b"rpB1" or at + 64 > len(data): return None
    size, crc, count, seq, _, _, prev, durable, _, _, own = struct.unpack_from("<IIIQqqIIIII", data, at + 4)
    good = own == at and 64 <= size <= len(data) - at
    good = good and crc == crc32c(struct.pack("<Q", salt) + data[at:at + 8] + data[at + 12:at + size])
    return (at, size, count, seq, prev, durable, crc) if good else None

def batches(data, seq, salt, chain, at=4096):
    while at + 64 <= len(data):
        found = batch(data, at, salt)
        if not found or (found[3], found[4]) != (seq, chain):
            later = (batch(data, place, salt) for place in range(at + 8, len(data), 8))
            later = [b for b in later if b and b[3] >= seq]
            if not any(b[5] > at for b in later): return  # Torn, or the end; else corrupt: skip.
            found = later[0]
        yield found[0] + 64, found[2], found[3]
        at, seq, chain = found[0] + found[1], found[3] + found[2], found[6]

def fields(data, place, types):  # The root stands at the end of its archive, aligned by nature.
    for name, form in types:
        place += -place % (size := struct.calcsize("i" if form in "TX" else form))
        if form in "TX":
            (distance, length), size = struct.unpack_from("<iI", data, place), 8
            text = data[place + distance:place + distance + length]
            yield name, text.decode() if form == "T" else text.hex()
        else: yield name, struct.unpack_from("<" + form, data, place)[0]
        place += size
def rows(data):
    base, _, _, salt, _, _, size, count = struct.unpack_from("<QQQQIIII", data, 16)
    roots = {tag: root for tag, _, root in struct.iter_unpack("<HHI", data[64:64 + 8 * count])}
    chain, names = struct.unpack_from("<I", data, size - 4)[0], {0: None}
    assert data[:8] == b"RINGPOST" and crc32c(data[:size - 4]) == chain
    for at, count, first in batches(data, base, salt, chain):
        for seq in range(first, first + count):
            size, tag, flags, user, room = struct.unpack_from("<IHHII", data, at)
            kind, types = TYPES.get(tag, ("unknown", []))
            row = dict(fields(data, at + 16 + size - roots.get(tag, 0), types))
            if tag == 1: names[row["id"]] = row["text"]
            if tag == 8: row["command"] = names.get(row["command"], "?")
            yield {"seq": seq, "kind": kind, "user": names.get(user, "?"), "room": names.get(room, "?"), "erased": flags & 1, **row}
            at += 16 + (size + 7) // 8 * 8

paths = sorted(glob.glob(os.path.join(sys.argv[1], "*.seg"))) + [f"{1 << 64:020}"]
for path, newer in itertools.pairwise(paths):
    base, until = int(os.path.basename(path)[:20]), int(os.path.basename(newer)[:20])
    if newer != paths[-1] and not base <= struct.unpack("<Q", open(newer, "rb").read(32)[24:])[0] <= (1 << 64) - 2:
        until = base  # The next one does not follow this one, which was given up before it kept anything.
    for row in rows(open(path, "rb").read()):
        if row["seq"] < until: print(json.dumps(row))

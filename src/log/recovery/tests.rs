//! The rule against a disk that loses power, rots, and mixes up places.

use super::*;
use crate::log::batch::{FLAG_SEAL, Framer, SYNC_ALIGN};
use crate::log::record::{NameId, RawRecord, RawRecords, RecordHeader};
use std::collections::BTreeMap;

const SIZE: usize = 192 * 1_024;
const SECTOR: usize = 512;

const HEADER: SegmentHeader = SegmentHeader {
    base_seq: 1_000,
    prev_base_seq: None,
    created_us: 0,
    salt: 0xfeed,
    segment_bytes: SIZE as u32,
    start: 1,
};

/// A small generator, so that a failing seed replays.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % limit
    }
}

/// What a device holds, and what the kernel has not yet given it: sector by sector, each version
/// that it had since the last sync.
struct Disk {
    cache: Vec<u8>,
    device: Vec<u8>,
    dirty: BTreeMap<usize, Vec<[u8; SECTOR]>>,
}

impl Disk {
    fn new() -> Self {
        let mut cache = vec![0; SIZE];
        cache[..SEGMENT_HEADER_BYTES].copy_from_slice(&HEADER.encode()[..]);
        Self { device: cache.clone(), cache, dirty: BTreeMap::new() }
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) {
        let begin = offset as usize;
        self.cache[begin..begin + bytes.len()].copy_from_slice(bytes);
        for sector in begin / SECTOR..(begin + bytes.len()).div_ceil(SECTOR) {
            let version = self.cache[sector * SECTOR..][..SECTOR].try_into().unwrap();
            self.dirty.entry(sector).or_default().push(version);
        }
    }

    fn sync(&mut self) {
        self.device.copy_from_slice(&self.cache);
        self.dirty.clear();
    }

    /// Each dirty sector survives in one of its versions, or not at all.
    fn lose_power(mut self, dice: &mut Dice, survive_percent: u64) -> Vec<u8> {
        for (sector, versions) in &self.dirty {
            if dice.below(100) < survive_percent {
                let version = versions[dice.below(versions.len() as u64) as usize];
                self.device[sector * SECTOR..][..SECTOR].copy_from_slice(&version);
            }
        }
        self.device
    }
}

fn push(framer: &mut Framer, payload: &[u8]) {
    let payload_len = payload.len() as u32;
    let (user, room) = (NameId::NONE, NameId::NONE);
    let header = RecordHeader { payload_len, tag: 900, flags: 0, user, room };
    framer.push(&RawRecord { header, payload });
}

/// Sequence number and payload of every record that the rule accepts.
fn read(image: &[u8], scan: &SegmentScan) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    for batch in &scan.batches {
        let bytes = &image[batch.offset as usize..(batch.offset + batch.len) as usize];
        let mut records = RawRecords::new(&bytes[BATCH_HEADER_BYTES..]).take(batch.count as usize);
        for index in 0..batch.count {
            let record = records.next().expect("as many records as counted");
            found.push((batch.base_seq + u64::from(index), record.payload.to_vec()));
        }
    }
    found
}

fn payload(seq: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (seq as u8).wrapping_mul(31).wrapping_add(at as u8)).collect()
}

fn flush(framer: &mut Framer, disk: &mut Disk, align: usize) {
    framer.finish(align);
    let (offset, bytes) = framer.pending();
    disk.write(offset, bytes);
    framer.written();
}

/// One life of a segment as the log thread leads it. Gives the disk at the power cut, how many
/// records were pushed, and how many of them were acknowledged.
fn live(dice: &mut Dice) -> (Disk, u64, u64) {
    let mut disk = Disk::new();
    let mut framer = Framer::new(&HEADER);
    let (mut pushed, mut acked) = (0, 0);
    for _ in 0..1 + dice.below(10) {
        for _ in 0..1 + dice.below(3) {
            for _ in 0..1 + dice.below(12) {
                let len = 8 + dice.below(900) as usize;
                push(&mut framer, &payload(HEADER.base_seq + pushed, len));
                pushed += 1;
            }
            if dice.below(3) == 0 {
                flush(&mut framer, &mut disk, 1);
            }
        }
        flush(&mut framer, &mut disk, SYNC_ALIGN);
        if dice.below(5) > 0 {
            disk.sync();
            framer.synced();
            acked = pushed;
            if dice.below(2) == 0 {
                framer.mark(0);
                flush(&mut framer, &mut disk, 1);
            }
        }
    }
    (disk, pushed, acked)
}

#[test]
fn a_power_cut_loses_nothing_that_was_acked_and_cries_no_wolf() {
    let (mut torn, mut kept_unacked) = (0, 0);
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        let (disk, pushed, acked) = live(&mut dice);
        let image = disk.lose_power(&mut dice, [10, 50, 90][seed as usize % 3]);
        let scan = scan(&image).expect("the header was synced");
        let found = read(&image, &scan);
        assert!(found.len() as u64 >= acked, "seed {seed}: acked {acked}, found {}", found.len());
        assert!(found.len() as u64 <= pushed, "seed {seed}: ghosts");
        assert_eq!(scan.corrupt, [], "seed {seed}: a power cut is no corruption");
        for (index, (seq, bytes)) in found.iter().enumerate() {
            assert_eq!(*seq, HEADER.base_seq + index as u64, "seed {seed}");
            assert_eq!(*bytes, payload(*seq, bytes.len()), "seed {seed}");
        }
        assert_eq!(scan.record_count, found.len() as u64);
        torn += u32::from(matches!(scan.ending, Ending::Torn(_)));
        kept_unacked += u32::from(found.len() as u64 > acked);
    }
    assert!(torn > 500 && kept_unacked > 50, "the model has teeth: {torn} {kept_unacked}");
}

#[test]
fn without_a_sync_the_model_loses_records() {
    let mut lost = 0;
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut disk = Disk::new();
        let mut framer = Framer::new(&HEADER);
        (0..40).for_each(|seq| push(&mut framer, &payload(HEADER.base_seq + seq, 400)));
        flush(&mut framer, &mut disk, SYNC_ALIGN);
        let image = disk.lose_power(&mut dice, 50);
        lost += u32::from(scan(&image).unwrap().record_count < 40);
    }
    assert_eq!(lost, 200);
}

/// Three synced batches of four records, a vouching mark, and a seal if wanted.
fn image(sealed: bool) -> (Vec<u8>, Vec<u32>) {
    let mut disk = Disk::new();
    let mut framer = Framer::new(&HEADER);
    let mut begins = Vec::new();
    for batch in 0..3 {
        begins.push(framer.end() as u32);
        for seq in 0..4 {
            push(&mut framer, &payload(HEADER.base_seq + batch * 4 + seq, 100));
        }
        flush(&mut framer, &mut disk, SYNC_ALIGN);
        disk.sync();
        framer.synced();
    }
    begins.push(framer.end() as u32);
    framer.mark(if sealed { FLAG_SEAL } else { 0 });
    flush(&mut framer, &mut disk, 1);
    (disk.cache, begins)
}

#[test]
fn rot_is_reported_and_what_follows_is_read() {
    let (_, at) = image(false);
    let damage = |begin: u32, end: u32| vec![Region { begin, end }];
    check(
        "first batch rots",
        false,
        |i| i[at[0] as usize + 70] ^= 1,
        8,
        damage(at[0], at[1]),
        Ending::Open,
    );
    check(
        "middle batch rots",
        true,
        |i| i[at[1] as usize + 9] ^= 1,
        8,
        damage(at[1], at[2]),
        Ending::Sealed,
    );
    check(
        "last batch rots",
        false,
        |i| i[at[2] as usize] ^= 1,
        8,
        damage(at[2], at[3]),
        Ending::Open,
    );
    check(
        "two rot",
        true,
        |i| {
            i[at[0] as usize + 70] ^= 1;
            i[at[2] as usize + 70] ^= 1;
        },
        4,
        vec![Region { begin: at[0], end: at[1] }, Region { begin: at[2], end: at[3] }],
        Ending::Sealed,
    );
    check(
        "a batch in the wrong place",
        false,
        |i| {
            let copied = i[at[0] as usize..at[1] as usize].to_vec();
            i[at[1] as usize..][..copied.len()].copy_from_slice(&copied);
        },
        8,
        damage(at[1], at[2]),
        Ending::Open,
    );
    check(
        "a sector of zeros",
        true,
        |i| i[at[1] as usize..][..SECTOR].fill(0),
        8,
        damage(at[1], at[2]),
        Ending::Sealed,
    );
}

#[test]
fn tails_are_torn_open_or_sealed() {
    let (_, at) = image(false);
    let torn = |begin: u32| Ending::Torn(Region { begin, end: begin + 64 });
    check("nothing is wrong", false, |_| (), 12, vec![], Ending::Open);
    check("sealed in order", true, |_| (), 12, vec![], Ending::Sealed);
    check("only the mark rots", false, |i| i[at[3] as usize + 20] ^= 1, 12, vec![], torn(at[3]));
    check(
        "noise behind the end",
        false,
        |i| i[at[3] as usize + 64..][..64].fill(7),
        12,
        vec![],
        torn(at[3] + 64),
    );
    check(
        "a sealed segment ends at its seal",
        true,
        |i| i[at[3] as usize + 64] = 7,
        12,
        vec![],
        Ending::Sealed,
    );
}

#[track_caller]
fn check(
    name: &str,
    sealed: bool,
    damage: impl Fn(&mut [u8]),
    record_count: u64,
    corrupt: Vec<Region>,
    ending: Ending,
) {
    let (mut image, _) = image(sealed);
    damage(&mut image);
    let scan = scan(&image).unwrap();
    let got = (scan.record_count, scan.corrupt.clone(), scan.ending);
    assert_eq!(got, (record_count, corrupt, ending), "{name}");
    for (seq, bytes) in read(&image, &scan) {
        assert_eq!(bytes, payload(seq, 100), "{name}");
    }
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_reported() {
    let (whole, begins) = image(true);
    let seal_at = begins[3] as usize;
    let mut dice = Dice(1);
    for _ in 0..4_000 {
        let at = SEGMENT_HEADER_BYTES
            + dice.below((seal_at + 64 - SEGMENT_HEADER_BYTES) as u64) as usize;
        let mut image = whole.clone();
        image[at] ^= 1 << dice.below(8);
        let scan = scan(&image).unwrap();
        if at >= seal_at {
            assert_eq!((scan.record_count, scan.corrupt.len()), (12, 0), "byte {at}");
            assert!(matches!(scan.ending, Ending::Torn(_)), "byte {at}");
        } else {
            assert_eq!((scan.record_count, scan.corrupt.len()), (8, 1), "byte {at}");
            let region = scan.corrupt[0];
            assert!((region.begin..region.end).contains(&(at as u32)), "byte {at} in {region:?}");
        }
    }
}

#[test]
fn a_live_segment_is_read_as_far_as_it_is_whole() {
    let (whole, begins) = image(false);
    let mut growing = vec![0; SIZE];
    growing[..SEGMENT_HEADER_BYTES].copy_from_slice(&whole[..SEGMENT_HEADER_BYTES]);
    let mut scan = SegmentScan::begin(&growing).unwrap();
    for written in (SEGMENT_HEADER_BYTES..begins[3] as usize + 64).step_by(56) {
        growing[..written].copy_from_slice(&whole[..written]);
        scan.extend(&growing);
        let whole_count = begins[1..].iter().filter(|end| **end as usize <= written).count();
        // A batch may be whole before its padding is written: the padding is zeros.
        assert!(scan.batches.len() >= whole_count, "{written}");
        for (seq, bytes) in read(&growing, &scan) {
            assert_eq!(bytes, payload(seq, 100), "{written}");
        }
    }
    growing.copy_from_slice(&whole);
    scan.extend(&growing);
    assert_eq!(scan.record_count, 12);
}

#[test]
fn any_bytes_behind_the_header_are_read_without_a_crash() {
    let mut dice = Dice(3);
    for _ in 0..300 {
        let (mut image, _) = image(dice.below(2) == 0);
        for _ in 0..1 + dice.below(40) {
            let at = SEGMENT_HEADER_BYTES + dice.below(16_384) as usize;
            image[at] = dice.below(256) as u8;
        }
        image.truncate(SEGMENT_HEADER_BYTES + dice.below(20_000) as usize);
        let scan = scan(&image).unwrap();
        assert!(scan.record_count <= 12);
        assert!(scan.end as usize <= image.len());
        read(&image, &scan);
    }
}

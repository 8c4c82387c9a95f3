//! Reports over statuses, metrics and single subjects.

use super::*;
use crate::log::record::{DeleteV1, EditV1, MarkV1, MemberAction, MemberV1, MetricV1};
use crate::metrics::Buckets;

/// Rows of a report as CSV, without its head.
#[track_caller]
fn check(scratch: &Scratch, line: &str, want: &[&str]) {
    let (status, out, words) = scan(scratch, &format!("--format csv {line}"));
    let rows: Vec<_> = out.lines().skip(1).collect();
    assert_eq!(rows, want, "{line}: {words}");
    assert_eq!(status, u8::from(want.is_empty()), "{line}: {words}");
}

/// Four messages to customers: one read, one failed, one on its way, one that nobody speaks of.
fn sent(scratch: &Scratch) {
    let (writer, mut producer) = start(scratch);
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let kim = producer.intern(NameKind::User, "wa:49").unwrap();
    let room = producer.intern(NameKind::Room, "wa:1/49").unwrap();
    for (o, external) in [(1, "wamid.A"), (2, "wamid.B"), (3, "wamid.C"), (4, "wamid.D")] {
        let out = message(o, "hello", Source::Ws, Direction::Out);
        producer.append(ann, room, &MessageV1 { external, ..out }).unwrap();
    }
    let extra = r#"{"pricing":{"category":"service","billable":false}}"#;
    let billed =
        r#"{"conversation":{"id":"c"},"pricing":{"category":"marketing","billable":true}}"#;
    for (second, external, status, error, extra) in [
        (2, "wamid.A", Delivery::Accepted, 0, ""),
        (3, "wamid.A", Delivery::Sent, 0, extra),
        (5, "wamid.B", Delivery::Sent, 0, billed),
        (11, "wamid.A", Delivery::Delivered, 0, extra),
        (12, "wamid.B", Delivery::Failed, 131_047, ""),
        (61, "wamid.A", Delivery::Read, 0, ""),
        (4, "wamid.C", Delivery::Sent, 0, "{\"pricing\":"),
    ] {
        let ts_us = BEGIN_US + second * 1_000_000;
        let status = status as u8;
        let record = StatusV1 { ts_us, external, recipient: "49", extra, error, status };
        producer.append(kim, room, &record).unwrap();
    }
    writer.stop().unwrap();
}

#[test]
fn deliveries_follow_each_message() {
    let scratch = Scratch::new("deliveries");
    sent(&scratch);
    check(
        &scratch,
        "deliveries",
        &[
            "messages,3,1.0000,,",
            "sent,3,1.0000,2.000,3.000",
            "delivered,1,0.3333,10.000,10.000",
            "read,1,0.3333,60.000,60.000",
            "failed,1,0.3333,10.000,10.000",
            "pending,1,0.3333,,",
        ],
    );
    let meaning = "131047,1,1.0000,more than 24 hours since the customer wrote: needs a template";
    check(&scratch, "deliveries --by error", &[meaning]);
    check(
        &scratch,
        "deliveries --by category",
        &[
            "unknown,1,1,0,0,0,0,0.0000,0.0000,0.0000",
            "marketing,1,1,0,0,1,1,0.0000,0.0000,1.0000",
            "service,1,1,1,1,0,0,1.0000,1.0000,0.0000",
        ],
    );
    check(&scratch, "deliveries --by day", &["2026-11-22,3,3,1,1,1,1,0.3333,0.3333,0.3333"]);
    // Without the message, a span runs from its first status.
    check(
        &scratch,
        "deliveries --kind status --until 2026-11-22T18:00:12Z",
        &[
            "messages,3,1.0000,,",
            "sent,3,1.0000,0.000,1.000",
            "delivered,1,0.3333,9.000,9.000",
            "read,0,0.0000,,",
            "failed,0,0.0000,,",
            "pending,2,0.6667,,",
        ],
    );
    check(&scratch, "deliveries --kind message", &[]);
}

#[test]
fn latencies_add_up_across_shards() {
    let scratch = Scratch::new("latency");
    let (writer, mut producer) = start(&scratch);
    for (minute, shard, name, values) in [
        (0, 0, "turn", [1_u64, 100]),
        (0, 1, "turn", [100, 100]),
        (70, 0, "turn", [7, 9]),
        (0, 0, "send_to_ack", [50, 60]),
    ] {
        let mut buckets = Buckets::default();
        values.iter().for_each(|value| buckets.record(*value));
        let mut bytes = Vec::new();
        buckets.encode(&mut bytes);
        let record = MetricV1 {
            ts_us: BEGIN_US + minute * 60_000_000,
            span_us: 60_000_000,
            count: 2,
            sum: values.iter().sum(),
            max: values[1],
            name,
            buckets: &bytes,
            shard,
        };
        producer.append(NameId::NONE, NameId::NONE, &record).unwrap();
    }
    writer.stop().unwrap();
    check(
        &scratch,
        "latency",
        &[
            "2026-11-22T18:00,send_to_ack,2,50,60,60,60",
            "2026-11-22T18:00,turn,4,100,100,100,100",
            "2026-11-22T19:00,turn,2,7,9,9,9",
        ],
    );
    check(&scratch, "latency --by day --metric turn", &["2026-11-22,turn,6,9,100,100,100"]);
    check(
        &scratch,
        "latency --by day --tz Asia/Tokyo --metric turn",
        &["2026-11-23,turn,6,9,100,100,100"],
    );
    check(&scratch, "latency --metric nothing", &[]);
}

/// Sequence numbers and kinds of an audit.
#[track_caller]
fn audited(scratch: &Scratch, line: &str) -> Vec<String> {
    let (_, out, words) = scan(scratch, &format!("--format csv audit {line}"));
    assert!(words.is_empty() || words.contains("nothing found"), "{line}: {words}");
    let kinds = out.lines().skip(1).map(|row| {
        let cells: Vec<_> = row.split(',').collect();
        format!("{} {}", cells[2], cells[4])
    });
    kinds.collect()
}

#[test]
fn an_audit_finds_what_happened_to_a_subject() {
    let scratch = Scratch::new("audit");
    sent(&scratch);
    let (writer, mut producer) = start(&scratch);
    let ann = producer.intern(NameKind::User, "ann").unwrap();
    let bob = producer.intern(NameKind::User, "bob").unwrap();
    let eve = producer.intern(NameKind::User, "eve").unwrap();
    let lobby = producer.intern(NameKind::Room, "lobby").unwrap();
    let other = producer.intern(NameKind::Room, "lobby/7").unwrap();
    let ts_us = BEGIN_US + 100_000_000;
    let kick = MemberAction::Kick as u8;
    let said = message(7, "what", Source::Ws, Direction::Internal);
    producer.append(ann, lobby, &said).unwrap();
    producer.append(ann, other, &message(7, "elsewhere", Source::Ws, Direction::Internal)).unwrap();
    let answer = message(8, "that", Source::Ws, Direction::Internal);
    producer.append(bob, lobby, &MessageV1 { reply: 7, ..answer }).unwrap();
    producer.append(eve, lobby, &MarkV1 { ts_us, recv: 6, read: 6 }).unwrap();
    producer.append(eve, lobby, &MarkV1 { ts_us, recv: 7, read: 6 }).unwrap();
    producer.append(eve, lobby, &MarkV1 { ts_us, recv: 8, read: 6 }).unwrap();
    producer.append(eve, lobby, &MarkV1 { ts_us, recv: 8, read: 8 }).unwrap();
    let edit = EditV1 { o: 9, target: 7, ts_us, text: "what?", version: 1 };
    producer.append(ann, lobby, &edit).unwrap();
    producer.append(ann, lobby, &EditV1 { target: 8, ..edit }).unwrap();
    producer.append(ann, lobby, &DeleteV1 { o: 10, target: 7, ts_us }).unwrap();
    let out = MemberV1 { o: 11, ts_us, subject: "mallory", role: 0, action: kick };
    producer.append(ann, lobby, &out).unwrap();
    writer.stop().unwrap();
    let about = ["message ann", "message bob", "mark eve", "mark eve", "edit ann", "delete ann"];
    assert_eq!(audited(&scratch, "lobby/7 --as message"), about);
    assert_eq!(audited(&scratch, "lobby/7"), ["message ann"], "a room is called so");
    assert_eq!(audited(&scratch, "mallory"), ["member ann"]);
    assert_eq!(audited(&scratch, "bob"), ["message bob"]);
    assert_eq!(audited(&scratch, "lobby").len(), 10);
    assert_eq!(audited(&scratch, "lobby --kind mark --user eve").len(), 4);
    let status = "status wa:49";
    assert_eq!(audited(&scratch, "wamid.B"), ["message ann", status, status]);
    assert_eq!(audited(&scratch, "wa:1/49/2"), ["message ann", status, status]);
    assert_eq!(audited(&scratch, "wa:49").len(), 7);
    let (status, out, words) = scan(&scratch, "audit nobody\u{202e} --format json");
    assert_eq!((status, out.as_str()), (1, "[]\n"));
    assert!(words.contains("is called nobody\\u{202e}"), "{words}");
}

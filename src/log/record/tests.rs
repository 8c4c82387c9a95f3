//! The bytes of every type are pinned here. A failing golden test means that files written
//! yesterday would be misread today: make a new type instead.

use super::*;

#[repr(align(8))]
struct Aligned([u8; 1_024]);

/// Serialises, compares with the golden bytes, and reads back both ways.
#[track_caller]
fn check<R: Record>(record: &R, golden: &str, read: impl Fn(RecordView<'_>)) {
    let mut out = Aligned([0xaa; 1_024]);
    let len = serialize_into(record, &mut out.0).expect("fits");
    let payload = &out.0[..len];
    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden.replace([' ', '\n'], ""), "{}", R::KIND.name());
    let view = RecordView::check(R::KIND, payload).expect("valid");
    assert_eq!(view.kind(), R::KIND);
    read(view);
    // SAFETY: serialised for this kind just above, into an aligned buffer.
    read(unsafe { RecordView::trust(R::KIND, payload) });
    for short in 0..len {
        let kept = serialize_into(record, &mut out.0[..short]);
        assert_eq!(kept, None, "{short} bytes are too few");
    }
}

#[test]
fn names() {
    let record = NameV1 { id: 7, text: "ann", kind: NameKind::User as u8 };
    check(&record, "616e6e00 07000000 f8ffffff 03000000 01000000", |view| {
        let RecordView::Name(name) = view else { panic!() };
        assert_eq!((name.id.to_native(), &*name.text, name.kind), (7, "ann", 1));
    });
}

#[test]
fn messages() {
    let record = MessageV1 {
        o: 1,
        ts_us: -2,
        reply: 3,
        cid: "c1",
        text: "hi",
        display: "Ann",
        external: "",
        extra: "{}",
        source: Source::Whatsapp as u8,
        direction: Direction::In as u8,
    };
    let golden = "63316869416e6e7b7d00000000000000
        0100000000000000 feffffffffffffff 0300000000000000
        d8ffffff02000000 d2ffffff02000000 ccffffff03000000 c7ffffff00000000 bfffffff02000000
        0201000000000000";
    check(&record, golden, |view| {
        let RecordView::Message(message) = view else { panic!() };
        assert_eq!((message.o.to_native(), message.ts_us.to_native()), (1, -2));
        assert_eq!((&*message.cid, &*message.text, &*message.display), ("c1", "hi", "Ann"));
        assert_eq!((&*message.external, &*message.extra), ("", "{}"));
        assert_eq!((message.reply.to_native(), message.source, message.direction), (3, 2, 1));
    });
}

#[test]
fn edits_and_deletions() {
    let edit = EditV1 { o: 2, target: 1, ts_us: 3, text: "ho", version: 4 };
    let golden = "686f000000000000 0200000000000000 0100000000000000 0300000000000000
        e0ffffff02000000 04000000 00000000";
    check(&edit, golden, |view| {
        let RecordView::Edit(edit) = view else { panic!() };
        assert_eq!((edit.target.to_native(), &*edit.text, edit.version.to_native()), (1, "ho", 4));
    });
    let delete = DeleteV1 { o: 2, target: 1, ts_us: 3 };
    check(&delete, "0200000000000000 0100000000000000 0300000000000000", |view| {
        let RecordView::Delete(delete) = view else { panic!() };
        assert_eq!((delete.o.to_native(), delete.target.to_native()), (2, 1));
    });
}

#[test]
fn members_and_rooms() {
    let member = MemberV1 { o: 2, ts_us: 3, subject: "bob", role: 1, action: 2 };
    let golden =
        "626f620000000000 0200000000000000 0300000000000000 e8ffffff03000000 0102000000000000";
    check(&member, golden, |view| {
        let RecordView::Member(member) = view else { panic!() };
        assert_eq!((&*member.subject, member.role, member.action), ("bob", 1, 2));
    });
    let room = RoomV1 { o: 2, ts_us: 3, text: "t", action: RoomAction::Topic as u8 };
    let golden =
        "7400000000000000 0200000000000000 0300000000000000 e8ffffff01000000 0200000000000000";
    check(&room, golden, |view| {
        let RecordView::Room(room) = view else { panic!() };
        assert_eq!((&*room.text, room.action), ("t", 2));
    });
}

#[test]
fn conversations_and_definitions() {
    let change =
        ConversationV1 { o: 2, ts_us: 3, value: "vip", action: ConversationAction::Tag as u8 };
    let golden =
        "7669700000000000 0200000000000000 0300000000000000 e8ffffff03000000 0300000000000000";
    check(&change, golden, |view| {
        let RecordView::Conversation(change) = view else { panic!() };
        assert_eq!((change.o.to_native(), &*change.value, change.action), (2, "vip", 3));
    });
    let definition = DefinitionV1 { ts_us: 3, version: 4, name: "away", body: "{}", kind: 1 };
    let golden = "617761797b7d0000 0300000000000000 0400000000000000 e8ffffff04000000
        e4ffffff02000000 0100000000000000";
    check(&definition, golden, |view| {
        let RecordView::Definition(definition) = view else { panic!() };
        assert_eq!((&*definition.name, &*definition.body), ("away", "{}"));
        assert_eq!((definition.version.to_native(), definition.kind), (4, 1));
    });
}

#[test]
fn sessions_and_commands() {
    let session = SessionV1 { ts_us: 3, sid: "s", device: "d", client: "c", code: 4101, action: 2 };
    let golden = "7364630000000000 0300000000000000 f0ffffff01000000 e9ffffff01000000
        e2ffffff01000000 0510020000000000";
    check(&session, golden, |view| {
        let RecordView::Session(session) = view else { panic!() };
        assert_eq!((&*session.sid, &*session.device, &*session.client), ("s", "d", "c"));
        assert_eq!((session.code.to_native(), session.action), (4101, 2));
    });
    let command = CommandV1 { ts_us: 3, args: "a b", command: 9, duration_us: 77, outcome: 1 };
    let golden = "6120620000000000 0300000000000000 f0ffffff03000000 09000000 4d000000
        0100000000000000";
    check(&command, golden, |view| {
        let RecordView::Command(command) = view else { panic!() };
        assert_eq!((&*command.args, command.command.to_native()), ("a b", 9));
        assert_eq!((command.duration_us.to_native(), command.outcome), (77, 1));
    });
    let call = CallV1 {
        ts_us: 3,
        cost: 5,
        args: "a b",
        call: "c-1",
        cid: "x",
        command: 9,
        duration_us: 77,
        outcome: 1,
    };
    let golden = "612062632d317800 0300000000000000 0500000000000000 e8ffffff03000000
        e3ffffff03000000 deffffff01000000 09000000 4d000000 0100000000000000";
    check(&call, golden, |view| {
        let RecordView::Call(call) = view else { panic!() };
        assert_eq!((&*call.args, &*call.call, &*call.cid), ("a b", "c-1", "x"));
        assert_eq!((call.command.to_native(), call.cost.to_native()), (9, 5));
        assert_eq!((call.duration_us.to_native(), call.outcome), (77, 1));
    });
    let state = StateV1 { ts_us: 3, key: "poll vote:ann", value: "1" };
    let golden =
        "706f6c6c20766f74653a616e6e310000 0300000000000000 e8ffffff0d000000 edffffff01000000";
    check(&state, golden, |view| {
        let RecordView::State(state) = view else { panic!() };
        assert_eq!((&*state.key, &*state.value), ("poll vote:ann", "1"));
    });
}

#[test]
fn delivery_receipts_and_states() {
    let status = StatusV1 {
        ts_us: 3,
        external: "w",
        recipient: "49",
        extra: "",
        error: 131_047,
        status: Delivery::Failed as u8,
    };
    let golden = "7734390000000000 0300000000000000 f0ffffff01000000 e9ffffff02000000
        e3ffffff00000000 e7ff0100 07000000";
    check(&status, golden, |view| {
        let RecordView::Status(status) = view else { panic!() };
        assert_eq!((&*status.external, &*status.recipient), ("w", "49"));
        assert_eq!((status.error.to_native(), status.status), (131_047, 7));
    });
    let mark = MarkV1 { ts_us: 3, recv: 9, read: 8 };
    check(&mark, "0300000000000000 0900000000000000 0800000000000000", |view| {
        let RecordView::Mark(mark) = view else { panic!() };
        assert_eq!((mark.recv.to_native(), mark.read.to_native()), (9, 8));
    });
    let state = UserStatusV1 { ts_us: 3, text: "out", state: 2 };
    check(&state, "6f75740000000000 0300000000000000 f0ffffff03000000 0200000000000000", |view| {
        let RecordView::UserStatus(state) = view else { panic!() };
        assert_eq!((&*state.text, state.state), ("out", 2));
    });
}

#[test]
fn starts_stops_and_raw_bodies() {
    check(&EpochV1 { ts_us: 3, epoch: 5 }, "0300000000000000 0500000000000000", |view| {
        let RecordView::Epoch(epoch) = view else { panic!() };
        assert_eq!(epoch.epoch.to_native(), 5);
    });
    check(&StopV1 { ts_us: 3 }, "0300000000000000", |view| {
        assert!(matches!(view, RecordView::Stop(stop) if stop.ts_us.to_native() == 3));
    });
    let raw = RawV1 { ts_us: 3, id: 4, bytes: &[0xff, 0, 1], part: 1, parts: 2 };
    let golden =
        "ff00010000000000 0300000000000000 0400000000000000 e8ffffff03000000 01000200 00000000";
    check(&raw, golden, |view| {
        let RecordView::Raw(raw) = view else { panic!() };
        assert_eq!(
            (&*raw.bytes, raw.part.to_native(), raw.parts.to_native()),
            (&[255, 0, 1][..], 1, 2)
        );
    });
}

#[test]
fn layouts_are_pinned() {
    let layouts: Vec<_> = Kind::ALL.iter().map(|kind| (kind.tag(), kind.layout())).collect();
    let want = [
        (1, (16, 4, None)),
        (2, (72, 8, Some(8))),
        (3, (40, 8, Some(16))),
        (4, (24, 8, Some(16))),
        (5, (32, 8, Some(8))),
        (6, (32, 8, Some(8))),
        (7, (40, 8, Some(0))),
        (8, (32, 8, Some(0))),
        (9, (40, 8, Some(0))),
        (10, (24, 8, Some(0))),
        (11, (16, 8, Some(0))),
        (12, (8, 8, Some(0))),
        (13, (32, 8, Some(0))),
        (14, (24, 8, Some(0))),
        (15, (64, 8, Some(0))),
        (16, (56, 8, Some(0))),
        (17, (32, 8, Some(0))),
        (18, (40, 8, Some(0))),
        (19, (32, 8, Some(8))),
        (20, (40, 8, Some(0))),
        (21, (56, 8, Some(0))),
        (22, (24, 8, Some(0))),
    ];
    assert_eq!(layouts, want);
}

#[test]
fn fixed_fields_are_found_without_validation() {
    let mut out = Aligned([0; 1_024]);
    let record = CommandV1 { ts_us: 42, args: "x", command: 9, duration_us: 1, outcome: 1 };
    let payload_len = serialize_into(&record, &mut out.0).unwrap();
    let header = RecordHeader {
        payload_len: payload_len as u32,
        tag: 8,
        flags: 0,
        user: NameId(1),
        room: NameId(2),
    };
    assert_eq!(RecordHeader::decode(&header.encode()), header);
    let raw = RawRecord { header, payload: &out.0[..payload_len] };
    assert_eq!((raw.ts_us(), raw.command(), raw.direction()), (Some(42), Some(NameId(9)), None));
    for len in 0..32 {
        let raw = RawRecord { header, payload: &out.0[..len] };
        assert_eq!((raw.ts_us(), raw.command()), (None, None), "{len} bytes hold no root");
    }
    let later = RecordHeader { tag: 999, ..header };
    let raw = RawRecord { header: later, payload: &out.0[..payload_len] };
    assert_eq!((raw.kind(), raw.ts_us()), (None, None));
}

#[test]
fn any_bytes_are_refused_or_read_but_never_a_crash() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Aligned([0; 1_024]);
    for round in 0..20_000 {
        for word in out.0[..128].chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&(state >> (round % 60)).to_le_bytes());
        }
        for kind in Kind::ALL {
            if let Some(RecordView::Message(message)) = RecordView::check(*kind, &out.0[..128]) {
                assert!(message.text.len() <= 128);
            }
        }
        let mut walked = 0;
        for record in RawRecords::new(&out.0[..128]) {
            walked += record.header.stride();
        }
        assert!(walked <= 128);
    }
}

#[test]
fn codes_round_trip() {
    for byte in 0..=255u8 {
        for (found, own, name) in [
            (
                Source::from_byte(byte).is_some(),
                Source::from_byte(byte).map(|code| code as u8),
                Source::from_byte(byte).map(Source::name),
            ),
            (
                Delivery::from_byte(byte).is_some(),
                Delivery::from_byte(byte).map(|code| code as u8),
                Delivery::from_byte(byte).map(Delivery::name),
            ),
        ] {
            assert_eq!(found.then_some(byte), own);
            assert_eq!(found, name.is_some_and(|name| !name.is_empty()));
        }
    }
    assert_eq!(Kind::from_tag(0), None);
    assert!(Kind::ALL.iter().all(|kind| Kind::from_tag(kind.tag()) == Some(*kind)));
}

#[test]
fn the_document_lists_every_type() {
    let document = include_str!("../../../docs/LOG_FORMAT.md");
    for kind in Kind::ALL {
        let row = format!("| {} | {} | ", kind.tag(), kind.name());
        assert!(document.contains(&row), "{row}");
    }
    assert!(document.contains(&format!("`{:#010x}`", crate::log::format::RKYV_DESCRIPTOR)));
}

#[test]
fn metrics_and_erasures() {
    let metric = MetricV1 {
        ts_us: 3,
        span_us: 60,
        count: 2,
        sum: 9,
        max: 7,
        name: "turn",
        buckets: &[7, 0, 1, 0, 0, 0],
        shard: 1,
    };
    let golden = "7475726e07000100 0000000000000000 0300000000000000 3c00000000000000
        0200000000000000 0900000000000000 0700000000000000
        c8ffffff04000000 c4ffffff06000000 0100000000000000";
    check(&metric, golden, |view| {
        let RecordView::Metric(metric) = view else { panic!() };
        assert_eq!((&*metric.name, metric.shard.to_native()), ("turn", 1));
        assert_eq!((metric.count.to_native(), metric.buckets.len()), (2, 6));
    });
    let erasure = EraseV1 {
        ts_us: 3,
        id: 4,
        record_count: 5,
        by: "op",
        subject: "erased-1",
        reason: "",
        segment_count: 6,
        scope: EraseScope::User as u8,
    };
    let golden = "6f706572617365642d31000000000000
        0300000000000000 0400000000000000 0500000000000000
        d8ffffff02000000 d2ffffff08000000 d2ffffff00000000 0600000001000000";
    check(&erasure, golden, |view| {
        let RecordView::Erasure(erasure) = view else { panic!() };
        assert_eq!((&*erasure.by, &*erasure.subject, erasure.scope), ("op", "erased-1", 1));
    });
}

#[test]
fn what_only_snapshots_hold() {
    let run = RunV1 { ts_us: 3, epoch: 5, first: 1, last: 9 };
    let golden = "0300000000000000 0500000000000000 0100000000000000 0900000000000000";
    check(&run, golden, |view| {
        let RecordView::Run(run) = view else { panic!() };
        assert_eq!((run.first.to_native(), run.last.to_native()), (1, 9));
    });
    let seen = SeenV1 { ts_us: 3, o: 2, print_high: 0, print_low: 8, cid: "c" };
    let golden = "6300000000000000 0300000000000000 0200000000000000 0000000000000000
        0800000000000000 d8ffffff01000000";
    check(&seen, golden, |view| {
        let RecordView::Seen(seen) = view else { panic!() };
        assert_eq!((seen.o.to_native(), seen.print_low.to_native(), &*seen.cid), (2, 8, "c"));
    });
}

#[test]
fn the_document_lists_every_code() {
    fn row(field: &str, names: &[&str]) {
        let document = include_str!("../../../docs/LOG_FORMAT.md");
        let row = format!("| {field} | {} |", names.join(", "));
        assert!(document.contains(&row), "docs/LOG_FORMAT.md lacks {row}");
    }
    macro_rules! rows {
        ($($field:literal $code:ident;)*) => {
            $(
                let names: Vec<_> = $code::ALL.iter().map(|code| code.name()).collect();
                row($field, &names);
                assert!($code::ALL.iter().zip(1..).all(|(code, byte)| *code as u8 == byte));
            )*
        };
    }
    rows! {
        "name: kind" NameKind;
        "message: source" Source;
        "message: direction" Direction;
        "member: action" MemberAction;
        "room: action" RoomAction;
        "session: action" SessionAction;
        "command: outcome" Outcome;
        "status: status" Delivery;
        "erasure: scope" EraseScope;
    }
}

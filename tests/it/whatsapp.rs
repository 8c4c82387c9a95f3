//! Webhook shapes of the WhatsApp Cloud API: signatures, and that no item is lost or invented,
//! counted a second time by an independent walk over plain JSON values.

use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::{self, SignatureError};
use ringpost::whatsapp::webhook::{self, DeliveryState, Inbound, Update};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/whatsapp");
    let files = std::fs::read_dir(folder).expect("fixtures are in the tree");
    let files = files.map(|file| file.expect("readable").path());
    let files: BTreeMap<_, _> = files
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    assert!(files.len() > 50);
    files
}

fn bodies() -> impl Iterator<Item = (String, Vec<u8>)> {
    fixtures().into_iter().filter(|(name, _)| name.ends_with(".json"))
}

#[test]
fn every_signature_verifies_and_every_mutation_fails() {
    let files = fixtures();
    let secrets = [Secret::new(*b"test_app_secret")];
    let table = std::str::from_utf8(&files["signatures.tsv"]).expect("text");
    for line in table.lines() {
        let (name, header) = line.split_once('\t').expect("two columns");
        let body = &files[name];
        assert_eq!(signature::verify(body, Some(header.as_bytes()), &secrets), Ok(()), "{name}");
        assert_eq!(signature::sign(body, &secrets[0]), header, "{name}");
        let step = (body.len() / 16).max(1);
        for at in (0..body.len()).step_by(step) {
            let mut mutated = body.clone();
            mutated[at] ^= 1 << (at % 8);
            let result = signature::verify(&mutated, Some(header.as_bytes()), &secrets);
            assert_eq!(result, Err(SignatureError::Mismatch), "{name} at {at}");
        }
    }
    assert_eq!(table.lines().count(), bodies().count());
}

/// (messages, statuses, all) as a reader of plain values counts them.
fn walk(body: &Value) -> (usize, usize, usize) {
    let items = |value: &Value, key: &str| value[key].as_array().map_or(0, Vec::len);
    if body["object"] != "whatsapp_business_account" {
        return (0, 0, 1);
    }
    let (mut messages, mut statuses, mut all) = (0, 0, 0);
    for entry in body["entry"].as_array().expect("a list") {
        for change in entry["changes"].as_array().expect("a list") {
            let value = &change["value"];
            if change["field"] == "messages" {
                messages += items(value, "messages");
                statuses += items(value, "statuses");
                all += items(value, "messages") + items(value, "statuses");
                all += items(value, "errors");
            } else if change["field"] == "smb_message_echoes" {
                all += items(value, "message_echoes");
            } else {
                all += 1;
            }
        }
    }
    (messages, statuses, all)
}

fn count(updates: &[Update<'_>]) -> (usize, usize, usize) {
    let messages = updates.iter().filter(|update| matches!(update, Update::Message(_))).count();
    let statuses = updates.iter().filter(|update| matches!(update, Update::Status(_))).count();
    (messages, statuses, updates.len())
}

#[test]
fn nothing_is_lost_or_invented() {
    let mut sums = (0, 0, 0);
    for (name, body) in bodies() {
        let updates = webhook::parse(&body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let value: Value = serde_json::from_slice(&body).expect("JSON");
        let want = walk(&value);
        assert_eq!(count(&updates), want, "{name}");
        for update in &updates {
            if let Update::Message(inbound) = update {
                let room = inbound.room_name().unwrap_or_else(|| panic!("{name}: no room"));
                assert!(room.starts_with(&format!("wa:{}:", inbound.phone_number_id)), "{room}");
            }
        }
        sums = (sums.0 + want.0, sums.1 + want.1, sums.2 + want.2);
    }
    assert!(sums.0 >= 40 && sums.1 >= 9 && sums.2 > sums.0 + sums.1, "{sums:?}");
}

#[test]
fn a_batch_of_a_thousand() {
    let (_, template) = bodies().find(|(name, _)| name == "01_text.json").expect("is there");
    let mut body: Value = serde_json::from_slice(&template).expect("JSON");
    let messages = &mut body["entry"][0]["changes"][0]["value"]["messages"];
    let one = messages[0].clone();
    *messages = (0..1_000)
        .map(|n| {
            let mut message = one.clone();
            message["id"] = format!("wamid.{n}").into();
            message
        })
        .collect();
    let body = body.to_string().into_bytes();
    let updates = webhook::parse(&body).expect("parses");
    assert_eq!(count(&updates), (1_000, 0, 1_000));
    let Some(Update::Message(last)) = updates.last() else { panic!("a message") };
    assert_eq!(last.wamid, "wamid.999");
}

/// The only message of a file.
#[track_caller]
fn check(file: &str, check: impl FnOnce(&Inbound<'_>)) {
    let (_, body) = bodies().find(|(name, _)| name.starts_with(file)).expect("is there");
    match webhook::parse(&body).expect("parses").as_slice() {
        [Update::Message(inbound)] => check(inbound),
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn fields_of_messages() {
    check("01_", |inbound| {
        assert_eq!(&*inbound.room_name().unwrap(), "wa:110220330440550:GB.70011223344556677889");
        assert_eq!(inbound.display_phone.as_deref(), Some("15550104477"));
        assert_eq!(inbound.person.wa_id.as_deref(), Some("447700900123"));
        assert_eq!(inbound.person.profile_name.as_deref(), Some("Ines Alder"));
        assert_eq!(inbound.timestamp_s, Some(1_795_000_001));
        assert_eq!(inbound.text(), "Is bay 4 free at noon?");
        assert!(inbound.raw.get().contains("\"wamid.SEJnTVRFWDAwMDAwMDAxRkFLRQ==\""));
    });
    check("02b_", |inbound| {
        assert!(inbound.text().starts_with("café naïve £5/€6 田中さん 👩\u{200d}👧 \\back"));
        assert_eq!(inbound.person.profile_name.as_deref(), Some("田中 花子"));
    });
    check("04_", |inbound| assert_eq!(inbound.text().chars().count(), 4_096));
    check("35_", |inbound| {
        assert_eq!(inbound.contact.as_str(), "GB.70011223344556677889");
        assert!(inbound.text().starts_with("User Ines Alder changed from GB."));
    });
    check("42_", |inbound| {
        assert_eq!((inbound.person.wa_id.as_deref(), inbound.text().len()), (None, 19));
        assert_eq!(inbound.person.username.as_deref(), Some("ines.alder"));
        let parent = Some("GB.ENT.60099887766554433221");
        assert_eq!(inbound.person.parent_user_id.as_deref(), parent);
    });
    check("43_", |inbound| {
        assert_eq!(&*inbound.room_name().unwrap(), "wa:110220330440550:447700900123");
    });
    check("45_", |inbound| {
        assert!(inbound.room_name().unwrap().ends_with(":Y2FwaV9ncm91cDpFWEFNUExFOjAwMDE="));
    });
    check("28_", |inbound| assert!(inbound.about().is_some()));
    check("30_", |inbound| assert!(inbound.about().is_some()));
    check("36_", |inbound| assert_eq!(inbound.identity_hash.as_deref(), Some("Qm9ndXM=")));
}

#[test]
fn fields_of_statuses() {
    let (_, body) = bodies().find(|(name, _)| name.starts_with("56_")).expect("is there");
    let updates = webhook::parse(&body).expect("parses");
    let [Update::Status(status)] = updates.as_slice() else { panic!("a status") };
    assert_eq!(status.status, DeliveryState::Failed);
    assert_eq!(status.errors[0].code, 131_047);
    assert!(status.errors[0].details.as_deref().is_some_and(|text| text.contains("24 hours")));
    let (_, body) = bodies().find(|(name, _)| name.starts_with("61_")).expect("is there");
    let updates = webhook::parse(&body).expect("parses");
    let people: Vec<_> = updates
        .iter()
        .filter_map(|update| match update {
            Update::Status(status) => status.participant.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(people, ["GB.70011223344556677889", "JP.80022334455667788990"]);
}

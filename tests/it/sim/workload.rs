//! What clients ask for: one request at a time, chosen by the seed.

use super::client::{Asked, Client, Wish};
use super::plan::Plan;
use super::prng::Rng;
use ringpost::base::limits::{CID_WINDOW_MS, TEXT_BYTES_MAX};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;

/// A message older than this is not sent again: its `cid` may be forgotten.
const DRAFT_MS_MAX: u64 = CID_WINDOW_MS - 60_000;

/// Verbs inside a room and how often they are chosen.
const VERBS: [(&str, usize); 11] = [
    ("send", 40),
    ("edit", 8),
    ("delete", 3),
    ("history", 9),
    ("typing", 4),
    ("mark", 8),
    ("who", 5),
    ("leave", 5),
    ("status", 4),
    ("cmd", 8),
    ("cmds", 1),
];

/// The first words of a connection.
pub fn hello(client: &mut Client, plan: &Plan, rng: &mut Rng) -> String {
    let mut rooms = BTreeMap::new();
    if client.views.is_empty() || rng.chance(10) {
        let room = rng.pick(&plan.rooms);
        client.views.entry(room).or_default().wanted = true;
    }
    if rng.chance(60) {
        for (room, view) in client.views.iter().filter(|(_, view)| view.wanted) {
            rooms.insert(room.clone(), wish(view.position(), rng));
        }
    }
    let mut d = json!({"user": client.user, "quiet": client.quiet, "device": "sim"});
    if !client.echo {
        d["echo"] = false.into();
    }
    if let Some(resume) = client.resume.clone().filter(|_| rng.chance(70)) {
        d["resume"] = resume.into();
    }
    let wishes = rooms.iter().map(|(room, wish)| (room.clone(), join_fields(wish, false)));
    d["rooms"] = Value::Object(wishes.collect());
    let id = client.ask(Asked::Hello(rooms));
    json!({"t": "hello", "id": id, "d": d}).to_string()
}

/// Continue where it stopped, if it can, nearly always.
fn wish(position: Option<(String, u64)>, rng: &mut Rng) -> Wish {
    match position {
        Some((epoch, o)) if rng.chance(90) => Wish::After(epoch, o),
        _ if rng.chance(50) => Wish::Last(rng.below(20) as u64),
        _ => Wish::Fresh,
    }
}

fn join_fields(wish: &Wish, member: bool) -> Value {
    let mut d = match wish {
        Wish::Fresh => json!({}),
        Wish::Last(count) => json!({"last": count}),
        Wish::After(epoch, o) => json!({"e": epoch, "o": o}),
    };
    if member {
        d["member"] = true.into();
    }
    d
}

/// What must come before anything new: a wanted room that it is not in, or a message without its
/// `ok`.
pub fn overdue(client: &mut Client, now_ms: u64, rng: &mut Rng) -> Option<String> {
    let behind = client
        .views
        .iter()
        .find(|(room, view)| view.wanted && !view.seated && !client.is_moving(room));
    if let Some((room, view)) = behind {
        let (room, wish) = (room.clone(), wish(view.position(), rng));
        let d = join_fields(&wish, rng.chance(15));
        let id = client.ask(Asked::Join(room.clone(), wish));
        return Some(json!({"t": "join", "id": id, "room": room, "d": d}).to_string());
    }
    let views = &client.views;
    client.drafts.retain(|draft| {
        draft.at_ms + DRAFT_MS_MAX > now_ms && (draft.sent || views[&draft.room].wanted)
    });
    let draft = client
        .drafts
        .iter_mut()
        .find(|draft| !draft.sent && views.get(&draft.room).is_some_and(|view| view.seated))?;
    draft.sent = true;
    let (room, cid, text) = (draft.room.clone(), draft.cid.clone(), draft.text.clone());
    let id = client.ask(Asked::Send(room.clone(), cid.clone()));
    let d = json!({"cid": cid, "text": text});
    Some(json!({"t": "send", "id": id, "room": room, "d": d}).to_string())
}

/// The next request of a client that is in use. `None`: it has nothing to say.
pub fn request(client: &mut Client, plan: &Plan, now_ms: u64, rng: &mut Rng) -> Option<String> {
    if rng.chance(70)
        && let Some(text) = overdue(client, now_ms, rng)
    {
        return Some(text);
    }
    if rng.chance(4) {
        let room = rng.pick(&plan.rooms);
        client.views.entry(room).or_default().wanted = true;
        return overdue(client, now_ms, rng);
    }
    if rng.chance(1) {
        let id = client.ask(Asked::Other);
        return Some(json!({"t": "bye", "id": id}).to_string());
    }
    let seated = client.views.iter().filter(|(_, view)| view.seated);
    let rooms: Vec<String> = seated.map(|(room, _)| room.clone()).collect();
    let joining = client.asked.values().find_map(|asked| match asked {
        Asked::Join(room, _) => Some(room.clone()),
        _ => None,
    });
    if let Some(room) = joining
        && rng.chance(10)
    {
        // Gone before it was in: both answers must come.
        client.views.entry(room.clone()).or_default().wanted = rng.chance(50);
        let id = client.ask(Asked::Leave(room.clone()));
        return Some(json!({"t": "leave", "id": id, "room": room}).to_string());
    }
    if rooms.is_empty() {
        return overdue(client, now_ms, rng);
    }
    let room = rng.pick(&rooms);
    let total: usize = VERBS.iter().map(|(_, weight)| weight).sum();
    let mut chosen = rng.below(total);
    let verb = VERBS.iter().find(|(_, weight)| {
        let here = chosen < *weight;
        chosen = chosen.saturating_sub(*weight);
        here
    });
    in_room(client, plan, verb.expect("within the total").0, room, now_ms, rng)
}

/// Moments that are asked for: the past of a run, and its present.
const TIMES_MS: Range<u64> = 1_795_000_000_000 - 4_000_000..1_795_000_000_000 + 60_000;

fn in_room(
    client: &mut Client,
    plan: &Plan,
    verb: &'static str,
    room: String,
    now_ms: u64,
    rng: &mut Rng,
) -> Option<String> {
    let top = client.views[&room].next;
    let (asked, d) = match verb {
        "send" => {
            client.number += 1;
            let cid = format!("c{}", client.number);
            let text = text(plan, rng);
            client.draft(room, cid, text, now_ms);
            return overdue(client, now_ms, rng);
        }
        "edit" | "delete" => {
            let o = own_message(client, &room, rng)?;
            (Asked::Change(room.clone()), json!({"o": o, "text": text(plan, rng)}))
        }
        "history" => {
            let direction = rng.pick(&["newest", "before", "after", "around", "since_ts"]);
            let o = match direction {
                "since_ts" => TIMES_MS.start + rng.below(TIMES_MS.count()) as u64,
                _ => rng.range(1, top as usize + 2) as u64,
            };
            let limit = rng.pick(&[1, 2, 5, 50, 300]);
            let mut d = json!({"limit": limit});
            if direction != "newest" {
                d[direction] = o.into();
            }
            (Asked::History(room.clone(), direction, o, limit), d)
        }
        "mark" => {
            let read = rng.below(top as usize + 3);
            (Asked::Other, json!({"recv": read + rng.below(3), "read": read}))
        }
        "who" => (Asked::Who(room.clone()), json!({})),
        "leave" => {
            if client.is_moving(&room) {
                return None;
            }
            client.views.get_mut(&room).expect("seated").wanted = rng.chance(40);
            (Asked::Leave(room.clone()), json!({"member": rng.chance(20)}))
        }
        "status" if rng.chance(50) => (Asked::Other, json!({"users": users(plan)})),
        "status" => (Asked::Other, json!({"state": rng.pick(&["online", "away", "dnd"])})),
        "cmd" => {
            let line = command(plan, rng);
            let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
            (Asked::Other, json!({"name": name, "text": rest}))
        }
        _ => (Asked::Other, json!({})),
    };
    let id = client.ask(asked);
    Some(json!({"t": verb, "id": id, "room": room, "d": d}).to_string())
}

fn own_message(client: &Client, room: &str, rng: &mut Rng) -> Option<u64> {
    let held = &client.views[room].held;
    let from = format!(r#""from":"{}""#, client.user);
    let own = held.iter().filter(|(_, frame)| {
        frame.starts_with(r#"{"t":"msg""#) && (frame.contains(&from) || frame.len() % 8 == 0)
    });
    let own: Vec<u64> = own.map(|(o, _)| *o).collect();
    if own.is_empty() { None } else { Some(rng.pick(&own)) }
}

fn command(plan: &Plan, rng: &mut Rng) -> String {
    let user = rng.pick(&users(plan));
    match rng.below(9) {
        0 | 1 => format!("topic about {}", rng.below(100)),
        2 | 3 => format!("invite {user}"),
        4 => format!("kick {user}"),
        5 => format!("role {user} {}", rng.pick(&["member", "moderator", "owner"])),
        6 => format!("access {}", rng.pick(&["open", "open", "members"])),
        7 => "help".to_owned(),
        _ => "nonsense".to_owned(),
    }
}

fn text(plan: &Plan, rng: &mut Rng) -> String {
    if plan.big_texts && rng.chance(60) {
        return "x".repeat(rng.range(TEXT_BYTES_MAX / 2, TEXT_BYTES_MAX));
    }
    match rng.below(12) {
        0 => "\u{1}\"\\ é 😀".to_owned(),
        1 => "//starts with a slash".to_owned(),
        n => "word ".repeat(n),
    }
}

/// All users of a plan.
pub fn users(plan: &Plan) -> Vec<String> {
    (0..plan.user_count).map(|n| format!("user-{n}")).collect()
}

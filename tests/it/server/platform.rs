//! What the platform's webhooks say, read from plain JSON values: an oracle that shares no code
//! with the server's reader. It leans on the fixtures being well-formed where they are not about
//! that.

use super::client::Client;
use super::process::Server;
use super::raw::{Response, exchange};
use super::webhook::request;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::sign;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What makes a status the same status.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Step {
    pub room: String,
    pub id: String,
    pub status: String,
    pub who: String,
}

/// What rooms and log must have.
pub struct Expected {
    /// By room and platform id: the `d` of the message, without `ext` and `reply`.
    pub messages: BTreeMap<(String, String), Value>,
    /// With the errors that any of its deliveries names, 0 for none: the first one counts.
    pub statuses: BTreeMap<Step, BTreeSet<u64>>,
    /// Who is who.
    pub people: People,
}

/// One item of a body, with all that it needs around it.
pub struct Item {
    object: Value,
    entry: Value,
    field: Value,
    value: Value,
}

impl Item {
    /// A body of this item alone.
    pub fn body(self) -> Value {
        let mut entry = self.entry;
        entry["changes"] = json!([{"field": self.field, "value": self.value}]);
        json!({"object": self.object, "entry": [entry]})
    }
}

const LISTS: [&str; 4] = ["messages", "statuses", "errors", "message_echoes"];

/// The items of a body, each on its own.
pub fn items(body: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    for entry in list(&body["entry"]) {
        for change in list(&entry["changes"]) {
            let item = |value: Value| {
                let (object, field) = (body["object"].clone(), change["field"].clone());
                Item { object, entry: entry.clone(), field, value }
            };
            let whole = &change["value"];
            let lists = LISTS.into_iter().filter(|name| whole[*name].is_array());
            let before = items.len();
            for name in lists.clone() {
                for one in list(&whole[name]) {
                    let mut value = whole.clone();
                    let fields = value.as_object_mut().expect("it has lists");
                    LISTS.iter().for_each(|other| drop(fields.remove(*other)));
                    value[name] = json!([one]);
                    items.push(item(value));
                }
            }
            if items.len() == before {
                items.push(item(whole.clone()));
            }
        }
    }
    items
}

/// One body of all that are the platform's.
pub fn join(bodies: &[Value]) -> Value {
    let ours = bodies.iter().filter(|body| body["object"] == "whatsapp_business_account");
    let entries: Vec<_> = ours.flat_map(|body| list(&body["entry"])).collect();
    json!({"object": "whatsapp_business_account", "entry": entries})
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Posts a body as the platform would.
pub fn post_body(server: &Server, body: &[u8]) -> Response {
    let signature = sign(body, &Secret::new(b"test_app_secret".as_slice()));
    exchange(server, request(body, &format!("X-Hub-Signature-256: {signature}\r\n")))
}

/// All messages of a room.
pub fn msgs(client: &mut Client, room: &str) -> Vec<Value> {
    let mut msgs = Vec::new();
    loop {
        let after = msgs.last().map_or(0, |msg: &Value| msg["o"].as_u64().expect("a position"));
        let page = client.granted("history", room, json!({"after": after, "limit": 300}));
        msgs.extend(page["msgs"].as_array().expect("a list").iter().cloned());
        if page["more"] != true {
            msgs.retain(|msg| msg["t"] == "msg");
            return msgs;
        }
    }
}

/// Which ids are of one person, as far as any of the bodies tells. In which room a conversation is
/// depends on what came first, so rooms and names are compared by the first id of the person.
pub struct People(Vec<BTreeSet<String>>);

impl People {
    fn read(bodies: &[Value]) -> Self {
        let mut people = Self(Vec::new());
        for Item { value, .. } in bodies.iter().flat_map(items) {
            for contact in list(&value["contacts"]) {
                people.same([&contact["user_id"], &contact["wa_id"]]);
            }
            for message in list(&value["messages"]) {
                let system = &message["system"];
                people.same([&message["from_user_id"], &message["from"]]);
                let previous = [&system["previous_user_id"], &message["from"]];
                people.same([previous[0], previous[1], &system["user_id"], &system["wa_id"]]);
            }
        }
        people
    }

    fn same<const COUNT: usize>(&mut self, ids: [&Value; COUNT]) {
        let mut ids: BTreeSet<String> =
            ids.into_iter().filter_map(|id| id.as_str()).map(str::to_owned).collect();
        self.0.retain(|known| {
            let is_apart = known.is_disjoint(&ids);
            if !is_apart {
                ids.extend(known.iter().cloned());
            }
            is_apart
        });
        self.0.push(ids);
    }

    /// The first id of whoever has this one.
    fn first<'a>(&'a self, id: &'a str) -> &'a str {
        let known = self.0.iter().find(|ids| ids.contains(id));
        known.and_then(BTreeSet::first).map_or(id, String::as_str)
    }

    /// A user's name, by the first id.
    pub fn user(&self, user: &str) -> String {
        format!("wa:{}", self.first(user.strip_prefix("wa:").expect("of the platform")))
    }

    /// A room's name, by the first id.
    pub fn room(&self, room: &str) -> String {
        let (number, with) = room[3..].split_once(':').expect("a conversation");
        format!("wa:{number}:{}", self.first(with))
    }

    /// All names that a room may have.
    pub fn rooms(&self, room: &str) -> Vec<String> {
        let (number, with) = room[3..].split_once(':').expect("a conversation");
        match self.0.iter().find(|ids| ids.contains(with)) {
            Some(ids) => ids.iter().map(|id| format!("wa:{number}:{id}")).collect(),
            None => vec![room.to_owned()],
        }
    }
}

/// What these bodies must lead to, whatever their order.
pub fn expected(bodies: &[Value]) -> Expected {
    let people = People::read(bodies);
    let Expected { messages, statuses, .. } = stated(bodies);
    let messages = messages.into_iter().map(|((room, id), mut d)| {
        d["from"] = people.user(d["from"].as_str().expect("somebody")).into();
        ((people.room(&room), id), d)
    });
    let messages = messages.collect();
    let mut known: BTreeMap<Step, BTreeSet<u64>> = BTreeMap::new();
    for (step, errors) in statuses {
        let step = Step { room: people.room(&step.room), who: people.user(&step.who), ..step };
        known.entry(step).or_default().extend(errors);
    }
    let statuses = known;
    Expected { messages, statuses, people }
}

/// The same under the ids that each item names first.
fn stated(bodies: &[Value]) -> Expected {
    let mut expected =
        Expected { messages: BTreeMap::new(), statuses: BTreeMap::new(), people: People(vec![]) };
    for Item { object, field, value, .. } in bodies.iter().flat_map(items) {
        if object != "whatsapp_business_account" {
            continue;
        }
        let number = value["metadata"]["phone_number_id"].as_str().unwrap_or("").to_owned();
        let person = |user_id: &Value, wa_id: &Value| {
            let same = |person: &&Value| {
                (user_id.is_string() && person["user_id"] == *user_id)
                    || (wa_id.is_string() && person["wa_id"] == *wa_id)
            };
            let known = list(&value["contacts"]).iter().find(same).cloned().unwrap_or_default();
            let ids = [user_id, &known["user_id"], wa_id, &known["wa_id"]];
            let id = ids.into_iter().find_map(|id| id.as_str()).unwrap_or("").to_owned();
            (id, known["profile"]["name"].as_str().unwrap_or("").to_owned())
        };
        if field == "messages" {
            for message in list(&value["messages"]) {
                let (mut id, name) = person(&message["from_user_id"], &message["from"]);
                let previous = message["system"]["previous_user_id"].as_str();
                id = previous.map_or(id, str::to_owned);
                let mut d = message_shown(message);
                d.insert("from".into(), format!("wa:{id}").into());
                let is_notice = message["type"] == "system";
                d.insert("src".into(), if is_notice { "system" } else { "whatsapp" }.into());
                let is_change = ["edit", "revoke"].iter().any(|it| message["type"] == *it);
                if is_notice {
                    d.insert("dir".into(), "internal".into());
                } else if !name.is_empty() && !is_change {
                    d.insert("name".into(), name.into());
                }
                let with = message["group_id"].as_str().unwrap_or(&id);
                let key = (format!("wa:{number}:{with}"), word(&message["id"]));
                expected.messages.insert(key, d.into());
            }
            for status in list(&value["statuses"]) {
                let (step, error) = status_logged(&number, status, person);
                expected.statuses.entry(step).or_default().insert(error);
            }
        }
        for message in list(&value["message_echoes"]) {
            let (id, _) = person(&message["to_user_id"], &message["to"]);
            let mut d = message_shown(message);
            d.insert("from".into(), format!("wa:{}", word(&message["from"])).into());
            d.insert("src".into(), "whatsapp".into());
            d.insert("dir".into(), "out".into());
            let with = message["group_id"].as_str().unwrap_or(&id);
            let key = (format!("wa:{number}:{with}"), word(&message["id"]));
            expected.messages.insert(key, d.into());
        }
    }
    expected
}

fn status_logged(
    number: &str,
    status: &Value,
    person: impl Fn(&Value, &Value) -> (String, String),
) -> (Step, u64) {
    let in_group = status["recipient_type"] == "group";
    let (with, who) = if in_group {
        let participant = [
            &status["recipient_participant_user_id"],
            &status["recipient_participant_id"],
            &status["participant_recipient_id"],
        ];
        let who = participant.into_iter().find_map(|id| id.as_str()).expect("somebody");
        (word(&status["recipient_id"]), who.to_owned())
    } else {
        let (id, _) = person(&status["recipient_user_id"], &status["recipient_id"]);
        (id.clone(), id)
    };
    let known = ["sent", "delivered", "read", "played", "failed"];
    let name = word(&status["status"]);
    let name = if known.contains(&&*name) { name } else { "other".to_owned() };
    let error = status["errors"][0]["code"].as_u64().unwrap_or(0);
    let room = format!("wa:{number}:{with}");
    let step = Step { room, id: word(&status["id"]), status: name, who: format!("wa:{who}") };
    (step, error)
}

fn word(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// `text` and `content` of a message.
fn message_shown(message: &Value) -> Map<String, Value> {
    let (mut text, mut content) = kind_shown(message);
    if message["type"] == "edit" {
        text = format!("[edited] {text}");
    }
    let context = &message["context"];
    let mut more = Map::new();
    if context["forwarded"] == true || context["frequently_forwarded"] == true {
        more.insert("forwarded".into(), true.into());
    }
    if context["frequently_forwarded"] == true {
        more.insert("frequently_forwarded".into(), true.into());
    }
    if let Some(product) = context["referred_product"]["product_retailer_id"].as_str() {
        let catalog = &context["referred_product"]["catalog_id"];
        more.insert("product".into(), json!({"catalog_id": catalog, "product": product}));
    }
    let errors: Vec<_> = list(&message["errors"])
        .iter()
        .map(|error| {
            json!({"code": error["code"], "title": error["title"],
                "details": error["error_data"]["details"]})
        })
        .collect();
    if !errors.is_empty() {
        more.insert("errors".into(), errors.into());
    }
    if let Some(referral) = message["referral"].as_object() {
        let mut referral = referral.clone();
        if let Some(welcome) = referral.remove("welcome_message") {
            referral.insert("welcome".into(), welcome["text"].clone());
        }
        more.insert("referral".into(), referral.into());
    }
    let is_bare = message["type"] == "text" && more.is_empty();
    content.as_object_mut().expect("an object").append(&mut more);
    let mut d = Map::new();
    d.insert("text".into(), text.into());
    if !is_bare {
        d.insert("content".into(), content);
    }
    d
}

/// The same without what a message belongs to.
fn kind_shown(message: &Value) -> (String, Value) {
    let name = word(&message["type"]);
    let object = &message[&*name];
    let interactive = word(&object["type"]);
    let reply = &object[&*interactive];
    match (&*name, &*interactive) {
        ("text", _) => (word(&object["body"]), json!({"type": "text"})),
        ("image" | "audio" | "video" | "document" | "sticker", _) => media_shown(&name, object),
        ("location", _) => {
            let named = [&object["name"], &object["address"]].map(word).join(", ");
            let degrees = format!("{}, {}", object["latitude"], object["longitude"]);
            let text = if named == ", " { degrees } else { named };
            (format!("[location] {text}"), with_type("location", object))
        }
        ("contacts", _) => {
            let who = |card: &Value| match card["name"]["formatted_name"].as_str() {
                Some(name) => name.to_owned(),
                None if card["name"].is_object() => {
                    [&card["name"]["first_name"], &card["name"]["last_name"]].map(word).join(" ")
                }
                None => word(&card["phones"][0]["phone"]),
            };
            let names: Vec<_> = list(object).iter().map(who).collect();
            let mut cards = object.clone();
            for card in cards.as_array_mut().expect("a list") {
                card.as_object_mut()
                    .expect("a card")
                    .retain(|key, _| !["vcard", "origin"].contains(&key.as_str()));
            }
            let content = json!({"type": "contacts", "contacts": cards});
            (format!("[contacts] {}", names.join(", ")), content)
        }
        ("interactive", "button_reply" | "list_reply") => {
            (word(&reply["title"]), with_type(&interactive, reply))
        }
        ("interactive", "nfm_reply") => {
            let data: Value = serde_json::from_str(&word(&reply["response_json"])).expect("JSON");
            let content = json!({"type": "flow_reply", "name": reply["name"],
                "text": reply["body"], "data": data});
            (format!("[{}] {}", word(&reply["name"]), word(&reply["body"])), content)
        }
        ("interactive", "call_permission_reply") => {
            let expires: i64 = word(&reply["expiration_timestamp"]).parse().expect("seconds");
            let content = json!({"type": "call_permission", "response": reply["response"],
                "expires": expires, "source": reply["response_source"]});
            (format!("[call permission] {}", word(&reply["response"])), content)
        }
        ("interactive", other) => (format!("[{other}]"), json!({"type": "unknown", "name": other})),
        ("button", _) => {
            let content =
                json!({"type": "button_reply", "id": object["payload"], "title": object["text"]});
            (word(&object["text"]), content)
        }
        ("reaction", _) => {
            let emoji = word(&object["emoji"]);
            let text = match &*emoji {
                "" => "[reaction removed]".to_owned(),
                emoji => format!("[reaction] {emoji}"),
            };
            (text, json!({"type": "reaction", "emoji": emoji}))
        }
        _ => rare_shown(&name, message, object),
    }
}

fn rare_shown(name: &str, message: &Value, object: &Value) -> (String, Value) {
    match name {
        "order" => {
            let items = list(&object["product_items"]);
            let line = |item: &Value| {
                let product = word(&item["product_retailer_id"]);
                let price = &item["item_price"];
                format!("{} × {product} at {price} {}", item["quantity"], word(&item["currency"]))
            };
            let lines: Vec<_> = items.iter().map(line).collect();
            let text = format!("[order] {}\n{}", lines.join(", "), word(&object["text"]));
            let item = |item: &Value| {
                json!({"product": item["product_retailer_id"], "quantity": item["quantity"],
                    "price": item["item_price"], "currency": item["currency"]})
            };
            let items: Vec<_> = items.iter().map(item).collect();
            let content = json!({"type": "order", "catalog_id": object["catalog_id"],
                "text": object["text"], "items": items});
            (text, content)
        }
        "system" => system_shown(message, object),
        "unsupported" => match object["type"].as_str() {
            Some(kind) => {
                (format!("[unsupported] {kind}"), json!({"type": "unsupported", "name": kind}))
            }
            None => ("[unsupported]".to_owned(), json!({"type": "unsupported"})),
        },
        "edit" => {
            let (text, content) = kind_shown(&object["message"]);
            (text, json!({"type": "edit", "content": content}))
        }
        "revoke" => ("[deleted a message]".to_owned(), json!({"type": "revoke"})),
        other => (format!("[{other}]"), json!({"type": "unknown", "name": other})),
    }
}

fn media_shown(name: &str, object: &Value) -> (String, Value) {
    let mut content = json!({"type": name});
    for key in ["id", "mime_type", "sha256", "caption", "filename"] {
        let value = word(&object[key]);
        if !value.is_empty() {
            content[key] = value.into();
        }
    }
    for key in ["voice", "animated"] {
        if object[key] == true {
            content[key] = true.into();
        }
    }
    let words: Vec<_> =
        [&object["filename"], &object["caption"]].into_iter().filter_map(Value::as_str).collect();
    let text = format!("[{name}] {}", words.join("\n"));
    (text.trim_end().to_owned(), content)
}

fn system_shown(message: &Value, object: &Value) -> (String, Value) {
    let mut content = json!({"type": "system", "name": object["type"]});
    let ids = |pairs: [(&str, &Value); 3]| -> Value {
        let known = pairs.into_iter().filter(|(_, id)| id.is_string());
        known.map(|(key, id)| (key.to_owned(), id.clone())).collect::<Map<_, _>>().into()
    };
    if object["type"] != "customer_identity_changed" {
        content["previous"] = ids([
            ("user_id", &object["previous_user_id"]),
            ("parent_user_id", &object["previous_parent_user_id"]),
            ("wa_id", &message["from"]),
        ]);
        content["current"] = ids([
            ("user_id", &object["user_id"]),
            ("parent_user_id", &object["parent_user_id"]),
            ("wa_id", &object["wa_id"]),
        ]);
    }
    (word(&object["body"]), content)
}

fn with_type(name: &str, object: &Value) -> Value {
    let mut content = object.clone();
    content["type"] = name.into();
    content
}

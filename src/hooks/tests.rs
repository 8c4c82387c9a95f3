use super::*;
use serde_json::json;

const BODY: &[u8] = br#"{"text":"hi"}"#;
const NOW_S: i64 = 1_000;
/// HMACs of [`BODY`] by `swordfish`.
const HEX: &str = "57f70d5adbf827adc3425a86efcb9bded5d5c3f1306acd06df733beedb398bd3";
const BASE_64: &str = "V/cNWtv4J63DQlqG78ub3tXVw/Ewas0G33M77ts5i9M=";
/// Of `1000.` and the body.
const STRIPE: &str = "585f52eb695e8f556c5756344daf543a1e4a7f5389420d6c578e7577a2d30558";
/// By the key of the specification's example.
const STANDARD: [(&str, &str); 3] = [
    ("webhook-id", "msg_1"),
    ("webhook-timestamp", "1000"),
    ("webhook-signature", "v1,78hpG677pRiQyGk9DsrufPQs6X7/T4NOAoW4JrUIG9c="),
];

fn hook(definition: &Value) -> Hook {
    Hook::parse("ci", &definition.to_string()).expect("a hook")
}

/// Opens a letter with these headers, given by name.
fn open(
    hook: &Hook,
    given: &[(&str, &str)],
    key: Option<&str>,
    body: &[u8],
) -> Result<Option<Post>, Refused> {
    let value = |name: &str| {
        let found = given.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| Box::from(value.as_bytes()))
    };
    let headers: Vec<_> = hook.headers().iter().map(|name| value(name)).collect();
    hook.open(&Letter { headers: &headers, key, body, now_s: NOW_S })
}

#[track_caller]
fn said(hook: &Hook, body: &Value) -> Option<String> {
    let headers = [("x-hook-secret", "swordfish")];
    let post = open(hook, &headers, None, body.to_string().as_bytes()).expect("a right letter");
    post.map(|post| post.text)
}

/// (definition of the lock, headers, what stands in the path, passes); the signatures were made by
/// another program.
#[test]
fn locks() {
    let shown = json!({"secret": "swordfish"});
    let github = json!({"signature": {"header": "X-Hub-Signature-256", "prefix": "sha256=",
        "secret": "swordfish", "algorithm": "hmac-sha256", "encoding": "hex"}});
    let shopify = json!({"signature": {"header": "X-Shopify-Hmac-Sha256", "secret": "swordfish",
        "encoding": "base64"}});
    let stripe = json!({"signature": {"scheme": "stripe", "secret": "swordfish"}});
    let standard = json!({"signature": {"scheme": "standard",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}});
    let by_github = format!("sha256={HEX}");
    let by_stripe = format!("t=1000,v0=00,v1=00,v1={STRIPE}");
    let old = format!("t=1,v1={STRIPE}");
    type Row<'a> = (&'a Value, &'a [(&'a str, &'a str)], Option<&'a str>, bool);
    let rows: &[Row<'_>] = &[
        (&shown, &[("authorization", "Bearer swordfish")], None, true),
        (&shown, &[("authorization", "bearer swordfish")], None, true),
        (&shown, &[("x-hook-secret", "swordfish")], None, true),
        (&shown, &[], Some("swordfish"), true),
        (&shown, &[], None, false),
        (&shown, &[("authorization", "swordfish")], None, false),
        (&shown, &[("authorization", "Bearer ")], None, false),
        (&shown, &[("x-hook-secret", "swordfis")], Some(""), false),
        (&github, &[("x-hub-signature-256", &by_github)], None, true),
        (&github, &[("x-hub-signature-256", HEX)], None, false),
        (&github, &[("x-hub-signature-256", "sha256=")], None, false),
        (&github, &[("x-hub-signature-256", "sha256=00")], None, false),
        (&github, &[("x-hook-secret", "swordfish")], Some("swordfish"), false),
        (&shopify, &[("x-shopify-hmac-sha256", BASE_64)], None, true),
        (&shopify, &[("x-shopify-hmac-sha256", "AAAA")], None, false),
        (&stripe, &[("stripe-signature", &by_stripe)], None, true),
        (&stripe, &[("stripe-signature", &old)], None, false),
        (&stripe, &[("stripe-signature", "")], None, false),
        (&standard, &STANDARD, None, true),
        (&standard, &[("webhook-id", "msg_2"), STANDARD[1], STANDARD[2]], None, false),
        (&standard, &STANDARD[..2], None, false),
    ];
    for (lock, headers, key, passes) in rows {
        let mut definition = (*lock).clone();
        definition["room"] = "ops".into();
        let got = open(&hook(&definition), headers, *key, BODY);
        match got {
            Ok(post) => {
                assert!(passes, "{lock} {headers:?}");
                assert_eq!(post.expect("no filter").text, "hi");
            }
            Err(refused) => assert!(!passes && refused.status == 401, "{lock} {headers:?}"),
        }
    }
    let told = open(&hook(&with(standard, "room", "ops")), &STANDARD, None, BODY);
    assert_eq!(told.expect("right").expect("told").cid, "hook-msg_1");
}

/// The example of GitHub's documents ("Validating webhook deliveries").
#[test]
fn the_example_of_github() {
    let definition = json!({"room": "ops", "text": "x", "signature": {
        "header": "X-Hub-Signature-256", "prefix": "sha256=",
        "secret": "It's a Secret to Everybody"}});
    let mac = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let got = open(&hook(&definition), &[("x-hub-signature-256", mac)], None, b"Hello, World!");
    assert_eq!(got.expect_err("no JSON").reason, "bad_json", "but the signature is right");
}

fn with(mut value: Value, key: &str, field: &str) -> Value {
    value[key] = field.into();
    value
}

#[test]
fn templates_show_places_of_the_body() {
    let body = json!({"a": {"b": [{"c": "deep"}, 7]}, "n": 1.5, "t": true, "z": null, "e": ""});
    for (template, want) in [
        ("{{a.b.0.c}}", "deep"),
        ("<{{ a.b.1 }}> {{n}} {{t}}", "<7> 1.5 true"),
        ("{{a.b}}", r#"[{"c":"deep"},7]"#),
        ("x{{z}}{{gone}}{{a.b.9}}{{n.x}}{{e}}", "x"),
        ("{{gone|nobody}} {{z|-}} {{e|empty}}", "nobody - empty"),
        ("} {", "} {"),
    ] {
        let definition = json!({"room": "ops", "secret": "swordfish", "text": template});
        assert_eq!(said(&hook(&definition), &body).as_deref(), Some(want), "{template}");
    }
}

#[test]
fn only_what_fits_is_told() {
    let body = json!({"text": "hi", "action": "opened", "draft": false, "n": 3, "z": null});
    for (when, told) in [
        (json!({}), true),
        (json!({"action": "opened"}), true),
        (json!({"action": "closed"}), false),
        (json!({"action": ["closed", "opened"], "n": 3}), true),
        (json!({"action": "opened", "n": 4}), false),
        (json!({"draft": true}), true),
        (json!({"draft": false}), false),
        (json!({"draft": [false]}), true),
        (json!({"z": false, "gone.deep": false}), true),
    ] {
        let definition = json!({"room": "ops", "secret": "swordfish", "when": when});
        assert_eq!(said(&hook(&definition), &body).is_some(), told, "{when}");
    }
    let off = json!({"room": "ops", "secret": "swordfish", "enabled": false});
    assert_eq!(said(&hook(&off), &body), None);
}

#[test]
fn bodies_that_say_nothing_are_refused() {
    let hook = hook(&json!({"room": "ops", "secret": "swordfish"}));
    let deep = "[".repeat(100_000);
    for (body, reason) in [
        ("", "bad_json"),
        ("{", "bad_json"),
        (&*deep, "bad_json"),
        ("payload=%", "bad_form"),
        ("payload=hi", "bad_json"),
        ("{}", "no_text"),
        (r#"{"text":" \n"}"#, "no_text"),
    ] {
        let got = open(&hook, &[], Some("swordfish"), body.as_bytes());
        assert_eq!(got.expect_err("nothing").reason, reason);
    }
    let form = b"payload=%7B%22text%22%3A+%22hi%22%7D";
    let post = open(&hook, &[], Some("swordfish"), form).expect("right").expect("told");
    let want = Post { room: "ops".into(), user: "ci".into(), text: "hi".into(), cid: "".into() };
    assert_eq!(post, want);
}

#[test]
fn what_is_said_is_bounded() {
    let definition = json!({"room": "ops", "secret": "swordfish", "text": "{{t}}", "id": "{{i}}"});
    let post = |id: &str| {
        let body = json!({"t": "é".repeat(TEXT_BYTES_MAX), "i": id}).to_string();
        let got = open(&hook(&definition), &[], Some("swordfish"), body.as_bytes());
        got.expect("right").expect("told")
    };
    let (short, long) = (post("7"), post(&"7".repeat(300)));
    assert_eq!(short.text.len(), TEXT_BYTES_MAX);
    assert_eq!(short.cid, "hook-7");
    assert!(long.cid.len() <= CID_BYTES_MAX && long.cid != post(&"7".repeat(301)).cid);
}

/// 5,000 times 100 KiB are half a gigabyte.
#[test]
fn a_template_that_names_a_long_value_often_takes_no_more_memory_than_a_text() {
    let template = Template::parse(&"{{a}}-".repeat(5_000)).expect("a template");
    for (value, front) in [
        (json!("é".repeat(50_000)), "éé"),
        (json!(format!("{}é", " ".repeat(100_000))), "é- "),
        (json!(vec![7; 50_000]), "[7,7"),
    ] {
        let text = template.render(&json!({"a": value}), TEXT_BYTES_MAX);
        assert!(text.starts_with(front) && text.len() > TEXT_BYTES_MAX - 4);
        assert!(text.capacity() <= 4 * TEXT_BYTES_MAX, "{} bytes", text.capacity());
    }
    let definition = json!({"room": "ops", "secret": "swordfish", "text": "x",
        "id": "{{i}}".repeat(5_000)});
    let cid = |id: &str| {
        let body = json!({"i": format!("{}{id}", "7".repeat(100_000))}).to_string();
        let got = open(&hook(&definition), &[], Some("swordfish"), body.as_bytes());
        got.expect("right").expect("told").cid
    };
    assert_ne!(cid("1"), cid("2"));
}

#[test]
fn faults_say_where() {
    for (json, want) in [
        (r#"{"secret": "swordfish"}"#, "`room` is missing"),
        (r#"{"room": "a"}"#, "a door without a lock"),
        (r#"{"room": "a", "secret": "short"}"#, "`secret`: wants at least 8"),
        (r#"{"room": "a", "secret": "swordfish", "signature": {}}"#, "give one of them"),
        (r#"{"room": "a", "signature": {"secret": "swordfish"}}"#, "`header` is missing"),
        (r#"{"room": "a", "signature": {"secret": "swordfish", "scheme": "x"}}"#, "only body"),
        (
            r#"{"room": "a", "signature": {"secret": "swordfish", "scheme": "stripe",
                "prefix": "x"}}"#,
            "`signature.prefix`: this scheme sets it",
        ),
        (r#"{"room": " a", "secret": "swordfish"}"#, "`room`: takes no control"),
        (r#"{"room": "a", "user": "wa:1", "secret": "swordfish"}"#, "`user`: names that begin"),
        (r#"{"room": "a", "user": "handler:x", "secret": "swordfish"}"#, "stand for handlers"),
        (r#"{"room": "a", "user": "erased-1", "secret": "swordfish"}"#, "who were erased"),
        (r#"{"room": "a", "secret": "swordfish", "text": "{{"}"#, "`text`: has a `{{`"),
        (r#"{"room": "a", "secret": "swordfish", "text": "{{a..b}}"}"#, "no place in the body"),
        (r#"{"room": "a", "secret": "swordfish", "when": {"a": {}}}"#, "`when.a`: wants true"),
        (r#"{"room": "a", "secret": "swordfish", "rom": 1}"#, "did you mean \"room\"?"),
    ] {
        let fault = Hook::parse("ci", json).expect_err(json).to_string();
        assert!(fault.contains(want), "{json}: {fault}");
        assert!(!fault.contains("swordfish"), "{fault}");
    }
}

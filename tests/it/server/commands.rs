//! Commands that are added while the server runs, from all sides: the API, the chat, files,
//! programs and the shell.

use super::client::Client;
use super::desk::{call, granted, post};
use super::graph::{Graph, Reply};
use super::outgoing::sending;
use super::process::{Folder, Plan, Server};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Makes every call another one.
static CALLS: AtomicU64 = AtomicU64::new(0);

fn put(server: &Server, name: &str, body: &Value) {
    granted(server, "PUT", &format!("commands/{name}"), &body.to_string());
}

/// Types a line and gives the next thing that is said: by a command to all, or to whoever asked.
fn types(client: &mut Client, line: &str) -> String {
    let cid = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
    client.post("send", "ops", json!({"cid": cid, "text": line}));
    heard(client)
}

fn heard(client: &mut Client) -> String {
    loop {
        let frame = client.next();
        let text = |name: &str| frame["d"][name].as_str().unwrap_or_default().to_owned();
        match frame["t"].as_str() {
            Some("msg") => return format!("{}: {}", text("from"), text("text")),
            Some("cmd") => return format!("{}: {}", text("kind"), text("text")),
            Some("err") => return format!("refused: {}", text("msg")),
            _ => {}
        }
    }
}

fn await_heard(client: &mut Client, line: &str, want: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let said = types(client, line);
        if said.contains(want) {
            return;
        }
        assert!(Instant::now() < deadline, "{line}: {said:?}, not {want:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let mut server = Plan::new().shards(2).start();
    put(&server, "hi", &json!({"template": "Hello $user ($count)", "aliases": ["hey"]}));
    let mut ann = Client::member(&server, "ann", "ops");
    assert_eq!(types(&mut ann, "/hi"), "command:hi: Hello ann (1)");
    assert_eq!(
        types(&mut ann, "/command add lunch Soup"),
        "ephemeral: /lunch works here now; /command show lunch shows it"
    );
    granted(&server, "PATCH", "commands/hi", r#"{"aliases": ["yo"]}"#);
    server.kill9();
    server.restart();
    let mut ann = Client::member(&server, "ann", "ops");
    assert_eq!(types(&mut ann, "/yo"), "command:hi: Hello ann (2)");
    assert_eq!(types(&mut ann, "/lunch"), "command:lunch: Soup");
    assert!(types(&mut ann, "/hey").starts_with("refused: there is no command /hey"));
    let listed = ann.granted("cmds", "ops", json!({"prefix": "l"}));
    assert_eq!(listed["cmds"][0]["name"], "lunch");
    let wrong = call(&server, "PUT", "commands/x", "{\"template\": \"a\",\n \"repl\": 1}").1;
    assert_eq!((&wrong["error"]["line"], &wrong["error"]["column"]), (&json!(2), &json!(2)));
}

#[test]
fn the_api_runs_commands() {
    let server = Server::start_default();
    put(&server, "tip", &json!({"template": "psst $user $1", "reply": "ephemeral"}));
    let _ann = Client::member(&server, "ann", "ops");
    let body = r#"{"name": "tip", "text": "x", "cid": "1"}"#;
    let answer = granted(&server, "POST", "rooms/ops/commands", body);
    assert_eq!((&answer["state"], &answer["text"]), (&json!("done"), &json!("psst api x")));
    assert_eq!(granted(&server, "POST", "rooms/ops/commands", body)["dup"], true);
    let (status, answer) = call(&server, "POST", "rooms/ops/commands", r#"{"name": "tipp"}"#);
    assert_eq!(status, 422, "{answer}");
    assert!(answer["error"]["hint"].as_str().is_some_and(|hint| hint.contains("/tip?")));
}

/// A program of the documents, which says its port.
struct Program(Child, String);

impl Program {
    fn start(name: &str, secret: &str) -> Option<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name);
        let mut command = Command::new("python3");
        command.arg(path).args(["0", secret]).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: there is no python3");
            return None;
        };
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("readable");
        let port = line.trim_end().strip_prefix("listening on ").expect("its port").to_owned();
        Some(Self(child, port))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_callback_of_the_documents_answers_what_we_sign() {
    let Some(weather) = Program::start("weather.py", "s3cret") else { return };
    let server = Plan::new().set("egress.networks", "127.0.0.0/8").start();
    let url = format!("http://127.0.0.1:{}/weather", weather.1);
    let example = include_str!("../../../docs/examples/commands/weather.json");
    let mut body: Value = serde_json::from_str(example).expect("JSON");
    body["http"] = json!({"url": url, "secret": "s3cret"});
    put(&server, "weather", &body);
    let mut ann = Client::member(&server, "ann", "ops");
    assert_eq!(types(&mut ann, "/wx Oslo 3"), "command:weather: It rains in Oslo 3, ann.");
    assert!(types(&mut ann, "/wx Oslo many").starts_with("refused: `days` is a whole number"));
    body["http"]["secret"] = "another".into();
    put(&server, "weather", &body);
    assert_eq!(types(&mut ann, "/wx Oslo"), "error: /wx failed");
    let hidden = granted(&server, "GET", "commands/weather", "");
    assert_eq!(hidden["definition"]["http"]["secret"], "…");
}

#[test]
fn an_address_for_later_answers_is_known_to_nobody_else() {
    let server = Server::start_default();
    for (path, status) in [
        ("/respond/0.1.0123456789abcdef0123456789abcdef", 404),
        ("/respond/9.1.x", 404),
        ("/respond/x", 404),
    ] {
        let response = post(&server, "POST", path, "", br#"{"text": "x"}"#);
        assert_eq!(response.status, status, "{path}");
    }
    assert_eq!(post(&server, "GET", "/respond/0.1.x", "", b"").status, 405);
}

#[test]
fn files_and_programs_become_commands_while_it_runs() {
    let folder = Folder::new();
    let (definitions, programs) =
        (folder.path().join("definitions"), folder.path().join("programs"));
    let commands = definitions.join("commands");
    std::fs::create_dir_all(&commands).expect("a folder");
    std::fs::create_dir_all(&programs).expect("a folder");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    std::fs::write(commands.join("echo.rhai"), "`${text}!`").expect("a file");
    std::fs::write(commands.join("echo.json"), r#"{"help": "Says it"}"#).expect("a file");
    let server = Plan::new()
        .set("api.definitions", &text(&definitions))
        .set("commands.programs", &text(&programs))
        .start();
    let mut ann = Client::member(&server, "ann", "ops");
    assert!(types(&mut ann, "/hi").starts_with("refused: there is no command"));
    await_heard(&mut ann, "/echo ha", "command:echo: ha!");
    std::fs::write(commands.join("hi.json"), r#"{"template": "one"}"#).expect("a file");
    await_heard(&mut ann, "/hi", "command:hi: one");
    std::fs::write(commands.join("hi.json"), r#"{"template": "number two"}"#).expect("a file");
    await_heard(&mut ann, "/hi", "command:hi: number two");
    std::fs::write(commands.join("hi.json"), r#"{"templat": "three"}"#).expect("a file");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/programs/disk");
    std::fs::copy(example, programs.join("disk")).expect("a copy");
    await_heard(&mut ann, "/disk /tmp", "are used");
    assert_eq!(types(&mut ann, "/hi"), "command:hi: number two", "a broken file changes nothing");
    assert!(server.words().contains("did you mean \"template\"?"), "{}", server.words());
    std::fs::remove_file(commands.join("hi.json")).expect("a file");
    await_heard(&mut ann, "/hi", "there is no command");
    let log = server.scan(&["--kind", "command", "--where", "command = \"disk\"", "tail"]).1;
    assert!(log.contains("outcome=ok"), "{log}");
}

fn ringpost(server: &Server, args: &[&str]) -> (i32, String, String) {
    let url = format!("http://{}", server.address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
    let Output { status, stdout, stderr } =
        command.arg("command").args(args).args(["--url", &url]).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn the_shell_adds_shows_runs_and_removes_commands() {
    let server = Server::start_default();
    let mut ann = Client::member(&server, "ann", "ops");
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let file = folder.path().join("bad.json");
    std::fs::write(&file, "{\"template\": \"a\",\n \"repl\": 1}").expect("a file");
    let bad = file.to_str().expect("UTF-8");
    for (args, status, out, words) in [
        (
            &["add", "hi", "--template", "Hello $user", "--about", "Greets"][..],
            0,
            "hi, version 1\n",
            "",
        ),
        (&["list"], 0, "hi  template  Greets\n", ""),
        (&["run", "--room", "ops", "--user", "bob", "/hi"], 0, "done\n", ""),
        (&["disable", "hi", "until", "Monday"], 0, "hi, version 2\n", ""),
        (&["list"], 0, "hi  template  off: until Monday  Greets\n", ""),
        (&["enable", "hi"], 0, "hi, version 3\n", ""),
        (
            &["add", "x", "--template", "$usr"],
            1,
            "",
            "error: line 1, column 13: `template`: $usr is not known",
        ),
        (&["add", "x", bad], 1, "", "error: line 2, column 2: `repl`"),
        (&["add", "x", "none.json"], 2, "", "error: cannot read none.json"),
        (&["show", "x"], 1, "", "error: there is none of this name"),
        (&["add", "y", "--template", "z", "--dry-run"], 0, "y, version 1\n", ""),
        (&["rm", "hi"], 0, "hi, version 4\n", ""),
        (&["list"], 0, "", ""),
    ] {
        let (got, said, complaint) = ringpost(&server, args);
        assert_eq!((got, said.as_str()), (status, out), "{args:?}: {complaint}");
        assert!(complaint.starts_with(words), "{args:?}: {complaint}");
    }
    assert_eq!(heard(&mut ann), "command:hi: Hello bob");
    let data = server.data().to_str().expect("UTF-8").to_owned();
    let (status, log, _) = ringpost(&server, &["log", "hi", "--data", &data]);
    assert!(status == 0 && log.contains("/hi") && log.contains("outcome=ok"), "{log}");
    assert!(ringpost(&server, &["stats", "--data", &data]).1.contains("hi"));
}

#[test]
fn contacts_see_a_menu_of_commands() {
    let graph = Graph::start();
    let server = sending(&graph).start();
    put(&server, "price@wa:1102", &json!({"template": "5", "help": "What it costs"}));
    let shown = "/price  What it costs\n/help  [NAME] — list the commands, or explain one\n";
    let (status, said, words) = ringpost(&server, &["publish", "1102", "--dry-run"]);
    assert_eq!((status, said.as_str()), (0, shown), "{words}");
    assert_eq!(ringpost(&server, &["publish", "1102", "price"]).1, "/price  What it costs\n");
    let asked = graph.message();
    assert!(asked.path.ends_with("/1102/conversational_automation"), "{}", asked.path);
    let want = json!({"commands": [
        {"command_name": "price", "command_description": "What it costs"}
    ]});
    assert_eq!(asked.body, want, "and nothing was told by the dry run");
    graph.script(&[Reply::Error(100)]);
    for (args, want) in [
        (&["publish", "1102"][..], "error: WhatsApp refused the menu with status 400"),
        (&["publish", "1103"], "error: this server sends nothing by 1103"),
        (&["publish", "1102", "kick"], "error: there is no command /kick for contacts of 1102"),
        (&["publish", "eleven"], "error: a menu is put at"),
    ] {
        let (status, said, words) = ringpost(&server, args);
        assert!((status, said.as_str()) == (1, "") && words.starts_with(want), "{words}");
    }
}

//! The thread against a server of one page on this machine.

use super::*;
use crate::base::secret::Secret;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

/// What the server saw: request line, headers, body.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: String,
    body: Vec<u8>,
    connection: usize,
}

/// Answers by the last part of the path; every connection has a thread.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = seen.clone();
        // Ends with the test program: it waits for nothing but connections.
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (stream, seen) = (stream.expect("accepted"), shared.clone());
                std::thread::spawn(move || serve_stream(stream, connection, &seen));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn serve_stream(stream: TcpStream, connection: usize, seen: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let (mut headers, mut length) = (String::new(), 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            if header == "\r\n" {
                break;
            }
            let lower = header.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            headers.push_str(&lower);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let path = line.split(' ').nth(1).expect("a path").to_owned();
        seen.lock().expect("no panic").push(Seen { line, headers, body, connection });
        let answer = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let text = match path.rsplit('/').next().expect("a last part") {
            "silent" => {
                let mut rest = Vec::new();
                let _ = reader.read_to_end(&mut rest);
                return;
            }
            "cut" => return,
            "moved" => {
                "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            "long" => answer("200 OK", &"x".repeat(5_000)),
            "chunks" => {
                let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1_000));
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                format!("{head}{}0\r\n\r\n", chunk.repeat(5))
            }
            "stuck" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
            "bad" => answer("400 Bad Request", r#"{"error":{"code":131056}}"#),
            _ => answer("200 OK", r#"{"messages":[{"id":"wamid.1"}]}"#),
        };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

const CALLER: Caller = Caller::Shard(ShardId(3));

struct Bench {
    egress: Egress,
    sender: EgressSender,
    replies: Receiver<Reply>,
    ticket: u64,
}

const TOKEN: &str = "EAAG-swordfish";

impl Bench {
    fn start(base: &str, networks: &[&str]) -> Self {
        Self::believing(Roots::default(), base, networks)
    }

    fn believing(roots: Roots, base: &str, networks: &[&str]) -> Self {
        let mut tokens = Tokens::default();
        tokens.set("1102", Secret::new(TOKEN.as_bytes()));
        let options = EgressOptions {
            graph: Some(GraphAddress::new(base, "v25.0").expect("an address")),
            tokens,
            networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
            roots,
            calls_max: 8,
            timeouts: Timeouts {
                connect: Duration::from_millis(800),
                head: Duration::from_millis(1_000),
                body: Duration::from_millis(500),
                file: Duration::from_millis(1_000),
            },
        };
        assert!(!format!("{options:?}").contains("swordfish"));
        let (sender, replies) = channel();
        let sender = Mutex::new(sender);
        let reply = move |reply| {
            // A bench that has what it wants may be gone.
            let _ = sender.lock().expect("no panic").send(reply);
        };
        let (calls_out, calls) = super::channel(8);
        let egress = Egress::start(options, calls, reply).expect("a thread");
        Self { egress, sender: calls_out, replies, ticket: 0 }
    }

    fn ask(&mut self, request: Request) -> Result<Got, Miss> {
        self.ticket += 1;
        let call = Call { caller: CALLER, ticket: self.ticket, request };
        assert!(!format!("{call:?}").contains("swordfish"));
        self.sender.try_call(call).expect("room");
        let reply = self.replies.recv_timeout(Duration::from_secs(10)).expect("a reply");
        assert_eq!((reply.caller, reply.ticket), (CALLER, self.ticket));
        assert!(!format!("{reply:?}").contains("swordfish"));
        reply.result
    }

    fn post(&mut self, url: &str) -> Result<Got, Miss> {
        self.post_within(Duration::from_secs(60), url)
    }

    fn post_within(&mut self, within: Duration, url: &str) -> Result<Got, Miss> {
        let headers = vec![("Webhook-Id".into(), "7".into())];
        let body: Arc<[u8]> = b"{}"[..].into();
        let answer_bytes_max = 1_000;
        let (url, mime) = (url.into(), "application/json");
        self.ask(Request::Post { url, headers, body, mime, within, answer_bytes_max })
    }
}

fn message(number: &str) -> Request {
    Request::Message { number: number.into(), body: r#"{"a":1}"#.into() }
}

#[test]
fn messages_go_to_the_graph_api_over_connections_that_are_kept() {
    let server = Server::start();
    let mut bench = Bench::start(&server.address, &[]);
    for _ in 0..3 {
        let got = bench.ask(message("1102")).expect("an answer");
        assert_eq!((got.status, got.bytes), (200, got.body.len() as u64));
        assert!(got.body.starts_with(b"{\"messages\""));
    }
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /v25.0/1102/messages HTTP/1.1\r\n");
    assert!(seen[0].headers.contains("authorization: bearer eaag-swordfish\r\n"));
    assert!(seen[0].headers.contains("content-type: application/json\r\n"));
    assert_eq!(seen[0].body, br#"{"a":1}"#);
    assert!(seen.iter().all(|request| request.connection == 0));
    // No token, no call.
    assert!(matches!(bench.ask(message("1103")), Err(Miss::Refused(_))));
    assert!(matches!(bench.ask(message("../1102")), Err(Miss::Refused(_))));
    assert_eq!(server.seen().len(), 3);
    drop(bench.sender);
    bench.egress.stop().expect("no panic");
}

#[test]
fn what_was_sent_is_told_from_what_was_not() {
    let server = Server::start();
    let mut bench = Bench::start(&server.address, &["127.0.0.1"]);
    let url = |path: &str| format!("{}/{path}", server.address);
    assert!(matches!(bench.post(&url("silent")), Err(Miss::Lost(_))));
    assert!(matches!(bench.post(&url("cut")), Err(Miss::Lost(_))));
    assert!(matches!(bench.post(&url("stuck")), Err(Miss::Lost(_))));
    assert_eq!(bench.post(&url("long")), Err(Miss::TooLarge { status: 200 }));
    assert_eq!(bench.post(&url("chunks")), Err(Miss::TooLarge { status: 200 }));
    assert_eq!(bench.post(&url("bad")).expect("an answer").status, 400);
    assert_eq!(bench.post(&url("moved")).expect("not followed").status, 302);
    assert_eq!(server.seen().len(), 7, "each once");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let missed = bench.post(&format!("http://{closed}/"));
    assert!(matches!(missed, Err(Miss::NotSent(_))), "{missed:?}");
    // Takes connections and never says anything of TLS.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let missed = bench.post(&format!("https://{}/", mute.local_addr().expect("bound")));
    assert!(matches!(missed, Err(Miss::NotSent(_))), "{missed:?}");
}

#[test]
fn a_post_that_nobody_waits_for_is_not_sent_and_ends_in_time() {
    let server = Server::start();
    let mut bench = Bench::start(&server.address, &["127.0.0.1"]);
    let url = |path: &str| format!("{}/{path}", server.address);
    // Over a new connection, and over one that is kept.
    for before in [0, 1] {
        let missed = bench.post_within(Duration::ZERO, &url("late"));
        assert!(matches!(missed, Err(Miss::NotSent(_))), "{missed:?}");
        assert_eq!(bench.post(&url("ok")).expect("an answer").status, 200);
        let seen = server.seen();
        assert_eq!(seen.len(), before + 1);
        assert!(seen.iter().all(|request| request.line.contains("/ok")), "{seen:?}");
    }
    let missed = bench.post_within(Duration::from_millis(50), &url("silent"));
    assert!(matches!(missed, Err(Miss::Lost(_))), "{missed:?}");
}

const AUTHORITY: &str = include_str!("../../tests/it/fixtures/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../tests/it/fixtures/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../tests/it/fixtures/tls/server.key");

/// The port of a server there whose certificate is for `localhost` and 127.0.0.1; each call is
/// answered.
fn serve_tls(host: &str) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = rustls::ServerConnection::new(config.clone()).expect("a configuration");
            let mut stream = rustls::StreamOwned::new(tls, stream.expect("accepted"));
            let mut head = Vec::new();
            // Who does not believe the certificate goes away.
            while !head.ends_with(b"\r\n\r\n{}") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    break;
                }
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            let _ = stream.flush();
        }
    });
    port
}

#[test]
fn a_certificate_is_believed_by_its_authority_and_its_name() {
    let ours = || Roots::parse(AUTHORITY).expect("a certificate");
    for (roots, host, problem) in [
        (ours(), "127.0.0.1", None),
        (ours(), "localhost", None),
        (ours(), "127.0.0.2", Some("not valid for name")),
        (Roots::default(), "127.0.0.1", Some("UnknownIssuer")),
    ] {
        // Names are looked up, and the first address may be of the other family.
        let port = serve_tls(if host == "localhost" { "127.0.0.1" } else { host });
        let mut bench = Bench::believing(roots, "https://graph.example", &["127.0.0.0/8", "::1"]);
        match (bench.post(&format!("https://{host}:{port}/ok")), problem) {
            (Ok(got), None) => assert_eq!((got.status, &*got.body), (200, &b"hi"[..]), "{host}"),
            (Err(Miss::NotSent(why)), Some(problem)) if why.contains(problem) => {}
            (result, _) => panic!("{host}: {result:?} and not {problem:?}"),
        }
    }
}

#[test]
fn authorities_are_certificates() {
    let both = format!("{AUTHORITY}\n{AUTHORITY}");
    assert!(Roots::parse(&both).is_ok());
    let begun = "-----BEGIN CERTIFICATE-----\n";
    for (pem, want) in [
        ("", "holds no certificate"),
        (begun, "section end"),
        (
            &format!("{AUTHORITY}{begun}AAAA\n-----END CERTIFICATE-----\n"),
            "certificate 2 is not valid",
        ),
    ] {
        let problem = Roots::parse(pem).expect_err(pem);
        assert!(problem.contains(want), "{pem}: {problem}");
    }
}

#[test]
fn nobody_is_called_who_may_not_be() {
    let server = Server::start();
    let mut bench = Bench::start(&server.address, &[]);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        for scheme in ["http", "https"] {
            let missed = bench.post(&format!("{scheme}://{host}:{port}/ok"));
            // A name that some resolvers do not know is not called either.
            let refused = matches!(missed, Err(Miss::Refused(_) | Miss::NotSent(_)));
            assert!(refused, "{scheme} {host}: {missed:?}");
        }
    }
    let missed = bench.post(&format!("https://localhost:{port}/ok"));
    assert!(matches!(missed, Err(Miss::Refused(ref why)) if why.contains("not public")));
    assert!(server.seen().is_empty());
}

#[test]
fn files_go_up_and_come_down_whole_or_not_at_all() {
    let server = Server::start();
    let mut bench = Bench::start(&server.address, &[]);
    let folder = std::env::temp_dir().join(format!("ringpost-egress-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let number: Arc<str> = "1102".into();
    let up = folder.join("up");
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
    std::fs::write(&up, &bytes).expect("written");
    let mime = "image/png".into();
    let got = bench.ask(Request::Upload { number: number.clone(), file: up, mime });
    assert_eq!(got.expect("an answer").status, 200);
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /v25.0/1102/media HTTP/1.1\r\n");
    let found = seen[0].body.windows(bytes.len()).any(|window| window == bytes);
    assert!(found && seen[0].headers.contains("multipart/form-data; boundary=ringpost-"));
    let mime = "image/png\r\nx: y".into();
    let odd = Request::Upload { number: number.clone(), file: folder.join("up"), mime };
    assert!(matches!(bench.ask(odd), Err(Miss::Refused(_))));

    let down = folder.join("down");
    let mut fetch = |path: &str, bytes_max| {
        let url = format!("{}/{path}", server.address).into();
        let (number, file) = (number.clone(), down.clone());
        bench.ask(Request::Download { number, url, file, bytes_max })
    };
    assert_eq!(fetch("chunks", 4_999), Err(Miss::TooLarge { status: 200 }));
    assert_eq!(fetch("long", 4_999), Err(Miss::TooLarge { status: 200 }));
    assert!(matches!(fetch("stuck", 4_999), Err(Miss::Lost(_))));
    assert_eq!(fetch("bad", 5_000).expect("an answer").status, 400);
    let left = std::fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left, 1, "only the file that went up");
    assert_eq!(fetch("chunks", 5_000).expect("an answer").bytes, 5_000);
    assert_eq!(std::fs::read(&down).expect("written"), vec![b'x'; 5_000]);
    let url = "https://example.org/secret".into();
    let foreign = Request::Download { number, url, file: down, bytes_max: 9 };
    assert!(matches!(bench.ask(foreign), Err(Miss::Refused(_))), "no token for strangers");
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_full_channel_gives_the_call_back() {
    let server = Server::start();
    let bench = Bench::start(&server.address, &["127.0.0.1"]);
    let sender = bench.sender;
    let mut given_back = 0;
    for ticket in 0..40 {
        let url = format!("{}/silent", server.address).into();
        let body: Arc<[u8]> = b"{}"[..].into();
        let request = Request::Post {
            mime: "application/json",
            url,
            headers: Vec::new(),
            body,
            within: Duration::from_secs(60),
            answer_bytes_max: 9,
        };
        if let Err(call) = sender.try_call(Call { caller: CALLER, ticket, request }) {
            assert_eq!(call.ticket, ticket);
            given_back += 1;
        }
    }
    assert!(given_back >= 40 - 17, "8 under way, 8 waiting, 1 between: {given_back}");
    drop(sender);
    bench.egress.stop().expect("no panic");
    assert_eq!(bench.replies.iter().count(), 40 - given_back, "each has its reply");
}

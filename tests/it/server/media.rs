//! Files of WhatsApp through the API: fetched once, checked, streamed, forgotten with an erasure.

use super::client::Client;
use super::desk::post;
use super::erasure::{erase, finished};
use super::process::{PATIENCE, Plan, Server};
use super::raw::{Raw, get};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NUMBER: &str = "110220330440550";
const TOKEN: &str = "EAAtoken";

/// What the platform has: id, type, announced hash, bytes; and which of it was asked for.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<String, (String, String, Vec<u8>)>,
    asked: Vec<String>,
    /// What was given to it.
    taken: Vec<Vec<u8>>,
    /// So many downloads are answered with 404 first.
    expired: usize,
}

struct Platform {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
}

impl Platform {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let shared = Arc::clone(&shelf);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, address, &shelf));
            }
        });
        Self { address, shelf }
    }

    fn put(&self, id: &str, mime: &str, hash: &str, bytes: &[u8]) {
        let file = (mime.to_owned(), hash.to_owned(), bytes.to_vec());
        self.shelf.lock().expect("whole").files.insert(id.to_owned(), file);
    }

    fn expire(&self, count: usize) {
        self.shelf.lock().expect("whole").expired = count;
    }

    /// What was asked for since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf.lock().expect("whole").asked)
    }

    fn server(&self) -> Server {
        let plan =
            Plan::new().shards(2).set("whatsapp.base_url", &format!("http://{}", self.address));
        plan.set("whatsapp.numbers", NUMBER).env("RINGPOST_WHATSAPP_TOKEN", TOKEN).start()
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, shelf: &Mutex<Shelf>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut lines, mut line) = (Vec::new(), String::new());
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            lines.push(line.to_ascii_lowercase());
        }
        let bearer = format!("authorization: bearer {TOKEN}\r\n").to_ascii_lowercase();
        assert!(lines.contains(&bearer), "{lines:?}");
        let path = lines[0].split(' ').nth(1)?.to_owned();
        let id = path.rsplit('/').next()?.to_owned();
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.trim().parse().expect("digits"));
        let mut given = vec![0; length];
        reader.read_exact(&mut given).ok()?;
        let mut shelf = shelf.lock().expect("whole");
        shelf.asked.push(path.clone());
        if path.ends_with("/media") {
            shelf.taken.push(given);
            stream
                .write_all(b"HTTP/1.1 200 X\r\nContent-Length: 13\r\n\r\n{\"id\":\"8001\"}")
                .ok()?;
            continue;
        }
        let is_download = path.starts_with("/file/");
        let is_expired = is_download && shelf.expired > 0;
        shelf.expired -= usize::from(is_expired);
        let found = shelf.files.get(&id).filter(|_| !is_expired);
        let (status, body) = match found {
            None => (404, br#"{"error":{"code":100,"message":"no such object"}}"#.to_vec()),
            Some((.., bytes)) if is_download => (200, bytes.clone()),
            Some((mime, hash, bytes)) => {
                let url = format!("http://{address}/file/{id}");
                let info = json!({"url": url, "mime_type": mime, "sha256": hash, "id": id,
                                  "file_size": bytes.len().to_string()});
                (200, info.to_string().into_bytes())
            }
        };
        drop(shelf);
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body).ok()?;
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/media/{NUMBER}/{id}")
}

fn request(id: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path(id))
}

/// SHA-256 of `hi`, in the two ways in which it is written.
const HEX: &str = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
const BASE64: &str = "j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ=";

#[test]
fn a_file_is_fetched_once_for_all_who_ask_and_streamed_as_they_read() {
    let platform = Platform::start();
    let bytes: Vec<u8> =
        (0..8_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    platform.put("7001", "video/mp4", "unknown", &bytes);
    let mut server = platform.server();
    let mut raws: Vec<Raw> = (0..4).map(|_| Raw::connect(&server)).collect();
    for raw in &mut raws {
        // Pipelined: the second answer must not overtake the file.
        raw.write(format!("{}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", request("7001")));
    }
    for raw in &mut raws {
        let response = raw.response();
        assert_eq!((response.status, response.field("content-type")), (200, Some("video/mp4")));
        assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
        assert!(response.body == bytes, "every byte, in its place");
        assert_eq!(raw.response().status, 200);
    }
    assert_eq!(platform.asked(), ["/v25.0/7001", "/file/7001"]);
    let head = post(&server, "GET", &path("7001"), "Connection: close\r\n", b"");
    assert!(head.body == bytes && platform.asked().is_empty(), "it is kept");
    let mut raw = Raw::connect(&server);
    raw.write(request("7001").replace("GET", "HEAD"));
    assert_eq!(raw.head_response().field("content-length"), Some("8000000"));
    // Whoever goes away in the middle does not hold the others up.
    let mut gone = Raw::connect(&server);
    gone.write(request("7001"));
    drop(gone);
    assert_eq!(get(&server, "/healthz").status, 200);
    // It outlives the server.
    assert_eq!(server.terminate(), 0);
    server.restart();
    assert!(post(&server, "GET", &path("7001"), "", b"").body == bytes);
    assert_eq!(platform.asked(), Vec::<String>::new());
    assert_eq!(server.terminate(), 0);
}

#[test]
fn what_is_not_what_was_announced_is_not_given_out() {
    let platform = Platform::start();
    platform.put("1", "image/png", HEX, b"hi");
    platform.put("2", "image/png", BASE64, b"hi");
    platform.put("3", "image/png", HEX, b"ho");
    platform.put("4", "text/html", "", b"<script>");
    platform.put("5", "image/png", "", &vec![7; 6 << 20]);
    let server = platform.server();
    for (id, status, word) in [
        ("1", 200, "hi"),
        ("2", 200, "hi"),
        ("3", 502, "damaged"),
        ("4", 200, "<script>"),
        ("5", 502, "too_large"),
        ("6", 404, "not_found"),
        ("a%2Fb", 404, "not_found"),
        ("..", 404, "not_found"),
    ] {
        let response = post(&server, "GET", &path(id), "", b"");
        assert_eq!(response.status, status, "{id}: {}", response.head);
        assert!(response.text().contains(word), "{id}: {}", response.text());
        if id == "4" {
            assert_eq!(response.field("content-disposition"), Some("attachment"));
            let policy = response.field("content-security-policy");
            assert_eq!(policy, Some("sandbox; default-src 'none'"));
        }
    }
    let kept = std::fs::read_dir(server.data().join("media")).expect("a folder").flatten();
    let kept = kept.filter(|file| file.path().extension().is_some_and(|end| end == "bin")).count();
    assert_eq!(kept, 3, "what was refused is not kept");
    platform.asked();
    platform.put("9", "image/png", HEX, b"hi");
    platform.expire(1);
    assert_eq!(post(&server, "GET", &path("9"), "", b"").text(), "hi");
    let asked = ["/v25.0/9", "/file/9", "/v25.0/9", "/file/9"];
    assert_eq!(platform.asked(), asked, "an address that has run out is asked for again");
    let other = post(&server, "PUT", &path("9"), "", b"");
    assert_eq!((other.status, other.field("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_file_is_given_to_the_platform() {
    let platform = Platform::start();
    let server = platform.server();
    let path = format!("/api/v1/media/{NUMBER}");
    let file = vec![7; 3 << 20];
    let typed = "Content-Type: image/png\r\n";
    for (lines, bytes, status, word) in [
        (typed, &*file, 200, r#"{"id":"8001"}"#),
        ("", b"x", 400, "bad_file"),
        ("Content-Type: image\r\n", b"x", 400, "bad_file"),
        ("Content-Type: image/tiff\r\n", b"x", 400, "mime"),
        (typed, b"", 400, "file"),
        (typed, &vec![7; 6 << 20], 400, "5 MB"),
    ] {
        let response = post(&server, "POST", &path, lines, bytes);
        assert_eq!(response.status, status, "{lines}: {}", response.text());
        assert!(response.text().contains(word), "{lines}: {}", response.text());
    }
    let shelf = platform.shelf.lock().expect("whole");
    assert_eq!(shelf.asked, [format!("/v25.0/{NUMBER}/media")]);
    assert!(shelf.taken[0].windows(file.len()).any(|window| window == file), "as it was given");
    let kept = std::fs::read_dir(server.data().join("media")).expect("a folder");
    assert_eq!(kept.count(), 0);
}

#[test]
fn an_erasure_takes_the_files_with_it() {
    let platform = Platform::start();
    platform.put("1", "image/png", HEX, b"hi");
    let mut server = platform.server();
    assert_eq!(post(&server, "GET", &path("1"), "", b"").text(), "hi");
    let file = server.data().join(format!("media/{NUMBER}_1.bin"));
    assert!(file.exists());
    for name in ["ann", "bob"] {
        Client::member(&server, name, "hall").send("hall", name, "hi");
    }
    finished(erase(&server, &["--user", "ann"]));
    let begin = Instant::now();
    while file.exists() {
        assert!(begin.elapsed() < PATIENCE, "nobody knows whose it was");
        std::thread::sleep(Duration::from_millis(20));
    }
    // And one that is done while the server does not run.
    assert_eq!(post(&server, "GET", &path("1"), "", b"").text(), "hi");
    assert_eq!(server.terminate(), 0);
    finished(erase(&server, &["--user", "bob"]));
    server.restart();
    assert!(!file.exists());
    assert_eq!(server.terminate(), 0);
}

//! The platform: posts signed webhooks, and posts again what was not answered with 200.

use super::person::text;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature::sign;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The key that the server must know.
pub const APP_SECRET: &str = "crash_app_secret";
/// The rooms of the two customers.
pub const ROOMS: [&str; 2] =
    ["wa:110220330440550:GB.70011223344556677880", "wa:110220330440550:GB.70011223344556677881"];

/// Begins the texts of its messages.
pub const NAME: &str = "hook";

/// The platform's memory.
#[derive(Debug, Default)]
pub struct Hooks {
    /// The message on its way, or the next.
    next: u64,
    /// Answered with 200 since the last audit, and when.
    pub acked: Vec<(u64, Instant)>,
    /// Answered with 503.
    pub refused: u64,
    /// How often one was posted again because no answer came.
    pub repeated: u64,
}

impl Hooks {
    /// Posts until the connection ends. `calm`: only until one more is answered.
    pub fn live(&mut self, address: SocketAddr, calm: bool) {
        let wait = Duration::from_secs(20);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, wait) else { return };
        stream.set_read_timeout(Some(wait)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        loop {
            if stream.write_all(&request(self.next)).is_err() {
                return;
            }
            match response(&mut stream) {
                Some(200) => {
                    self.acked.push((self.next, Instant::now()));
                    self.next += 1;
                    if calm {
                        return;
                    }
                }
                Some(503) => {
                    self.refused += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some(status) => panic!("a webhook was answered with {status}"),
                None => {
                    self.repeated += 1;
                    return;
                }
            }
        }
    }

    /// The room and first word of a message.
    pub fn message(n: u64) -> (&'static str, String) {
        (ROOMS[n as usize % ROOMS.len()], format!("{NAME}.{n}"))
    }
}

fn request(n: u64) -> Vec<u8> {
    let user = ROOMS[n as usize % ROOMS.len()].rsplit(':').next().expect("a contact");
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550104477", "phone_number_id": "110220330440550"},
        "contacts": [{"profile": {"name": "Ines"}, "wa_id": "447700900123", "user_id": user}],
        "messages": [{
            "from": "447700900123", "from_user_id": user, "id": format!("wamid.{n}"),
            "timestamp": "1795000001", "type": "text", "text": {"body": text(NAME, n)},
        }],
    });
    let changes = json!([{"value": value, "field": "messages"}]);
    let entry = json!([{"id": "203040506070801", "changes": changes}]);
    let body = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
    let signature = sign(body.as_bytes(), &Secret::new(APP_SECRET.as_bytes()));
    let length = body.len();
    let head = format!(
        "POST /webhook/whatsapp HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\
         X-Hub-Signature-256: {signature}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// The status of one whole response; `None` when the connection ends before that.
fn response(stream: &mut TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let field = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        };
        let length = head.lines().find_map(field).unwrap_or(0);
        if body.len() >= length {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}

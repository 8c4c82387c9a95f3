//! tungstenite's client is the independent reader and writer.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocket};
use tungstenite::{Error, Message};

use super::super::encode::*;
use super::*;

/// A socket in memory: what the client may read, and what it wrote.
#[derive(Default)]
struct Wire {
    to_client: io::Cursor<Vec<u8>>,
    from_client: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.to_client.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.from_client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn client(to_client: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire { to_client: io::Cursor::new(to_client), from_client: Vec::new() };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

const LENGTHS: [usize; 9] = [0, 1, 15, 125, 126, 1_000, 65_535, 65_536, 200_000];

#[test]
fn its_frames_are_read() {
    let limits = Limits { message_bytes_max: 200_000, fragments_max: 8 };
    let mut client = client(Vec::new());
    let mut want = Vec::new();
    for length in LENGTHS {
        let text = "é".repeat(length / 2);
        want.push(words(&Item::Text(&text)));
        client.send(Message::text(text)).unwrap();
        let bytes = vec![length as u8; length];
        want.push(words(&Item::Binary(&bytes)));
        client.send(Message::binary(bytes)).unwrap();
    }
    for (opcode, part, fin) in [(Data::Text, "frag", false), (Data::Continue, "ments", true)] {
        let frame = Frame::message(part.as_bytes(), OpCode::Data(opcode), fin);
        client.send(Message::Frame(frame)).unwrap();
        client.send(Message::Ping("p".into())).unwrap();
    }
    want.extend(["ping(70)".into(), "text(fragments)".into(), "ping(70)".into()]);
    client.close(Some(CloseFrame { code: CloseCode::Away, reason: "gone".into() })).unwrap();
    want.push("close(1001 gone)".into());
    let bytes = &client.get_ref().from_client;
    for piece_bytes in [1, 7, 1_460, 70_000, bytes.len()] {
        let mut pieces: Vec<_> = bytes.chunks(piece_bytes).map(<[u8]>::to_vec).collect();
        assert_eq!(read(&mut Decoder::server(None), &mut pieces, &limits), want);
    }
}

#[test]
fn it_reads_our_frames() {
    let mut bytes = Vec::new();
    let mut want = Vec::new();
    for length in LENGTHS {
        let text = "é".repeat(length / 2);
        encode_text(&mut bytes, &text);
        want.push(Message::text(text));
        let binary = vec![length as u8; length];
        encode_binary(&mut bytes, &binary);
        want.push(Message::binary(binary));
    }
    encode_ping(&mut bytes, b"ping");
    want.push(Message::Ping("ping".into()));
    encode_pong(&mut bytes, b"pong");
    want.push(Message::Pong("pong".into()));
    encode_close(&mut bytes, 4000, "drain");
    let close = CloseFrame { code: CloseCode::from(4000), reason: "drain".into() };
    want.push(Message::Close(Some(close)));
    let mut client = client(bytes);
    for message in want {
        assert_eq!(client.read().unwrap(), message);
    }
    assert!(matches!(client.read(), Err(Error::ConnectionClosed | Error::Io(_))));
    // Its answers come back to us.
    let _ = client.flush();
    let answers = client.get_ref().from_client.clone();
    let said = read(&mut Decoder::server(None), &mut [answers], &LIMITS);
    assert_eq!(said, ["pong(70696e67)", "close(4000 drain)"]);
}

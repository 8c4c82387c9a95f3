//! WebSocket connections: chat and echo.

use super::link::{ChatLink, EchoLink, Link, Protocol};
use super::perform::grant;
use super::turn::Shard;
use crate::base::codes::CloseReason;
use crate::base::ids::ConnId;
use crate::base::limits::{
    SEND_QUEUE_BYTES_MAX, SEND_QUEUE_RESUME_BYTES, WS_ECHO_FRAGMENTS_MAX,
    WS_ECHO_MESSAGE_BYTES_MAX, WS_FRAGMENTS_MAX, WS_MESSAGE_BYTES_MAX,
};
use crate::chat::event::Event;
use crate::wire::ws::encode::{
    Kind, encode_binary, encode_close, encode_close_reply, encode_pong, encode_text,
};
use crate::wire::ws::message::{Item, Limits};

const CHAT_LIMITS: Limits =
    Limits { message_bytes_max: WS_MESSAGE_BYTES_MAX, fragments_max: WS_FRAGMENTS_MAX };
const ECHO_LIMITS: Limits =
    Limits { message_bytes_max: WS_ECHO_MESSAGE_BYTES_MAX, fragments_max: WS_ECHO_FRAGMENTS_MAX };

/// What is left to do after one message, when the decoder is no longer borrowed.
pub(super) enum After {
    Next,
    Wait,
    /// The peer said goodbye, or broke a rule: its goodbye is in the scratch buffer.
    Close(u16),
    Refuse(CloseReason),
}

impl Shard {
    /// Bytes of any connection.
    pub(super) fn on_bytes(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let mut at = 0;
        loop {
            let Some(link) = self.links.get_mut(conn) else {
                return;
            };
            link.heard_ms = self.now.mono_ms();
            link.pinged = false;
            match link.protocol {
                Protocol::Http(_) => at += self.on_http(conn, &bytes[at..]),
                Protocol::Chat(_) => return self.on_chat(conn, &mut bytes[at..]),
                Protocol::Echo(_) => return self.on_echo(conn, &mut bytes[at..]),
                Protocol::Raw(_) => return self.on_raw(conn, &mut bytes[at..]),
                Protocol::Closing { .. } => return,
            }
            if at == bytes.len() {
                return;
            }
        }
    }

    fn on_chat(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let mut at = 0;
        loop {
            let Some(Link { protocol: Protocol::Chat(chat), .. }) = self.links.get_mut(conn) else {
                return;
            };
            let ChatLink { decoder, .. } = chat;
            let after = match decoder.next(&mut bytes[at..], &CHAT_LIMITS) {
                Err(reason) => After::Refuse(reason),
                Ok(step) => {
                    at += step.consumed;
                    match step.item {
                        None => After::Wait,
                        Some(Item::Text(text)) => {
                            let (mail, records) =
                                (self.outbox_items > 0, !self.unlogged.is_empty());
                            self.hub.grant(grant(mail, records, self.producer.free_bytes()));
                            let event = Event::Text { conn, text };
                            self.hub.handle(self.now, event, &mut self.effects);
                            After::Next
                        }
                        Some(Item::Binary(_)) => After::Refuse(CloseReason::BinaryOnText),
                        Some(Item::Ping(payload)) => {
                            self.scratch.clear();
                            encode_pong(&mut self.scratch, payload);
                            self.driver.queue_copy(conn, &self.scratch);
                            After::Next
                        }
                        Some(Item::Pong(_)) => After::Next,
                        Some(Item::Close { code, .. }) => {
                            self.scratch.clear();
                            encode_close_reply(&mut self.scratch, code);
                            After::Close(code.unwrap_or(1005))
                        }
                    }
                }
            };
            match after {
                After::Next => {
                    self.perform();
                    if self.driver.queued_bytes(conn) > SEND_QUEUE_BYTES_MAX {
                        return self.cut(conn, CloseReason::Slow);
                    }
                }
                After::Wait => return,
                After::Close(code) => return self.finish(conn, code, true),
                After::Refuse(reason) => return self.close_chat(conn, reason, 0),
            }
        }
    }

    /// The closing handshake of RFC 6455 §7.1.2: our close frame, then the end of the socket.
    pub(super) fn finish(&mut self, conn: ConnId, code: u16, chat: bool) {
        self.driver.queue_copy(conn, &self.scratch);
        if let Some(link) = self.links.get_mut(conn) {
            link.close_code = code;
        }
        self.begin_closing(conn, chat);
    }

    fn on_echo(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let Some(Link { protocol: Protocol::Echo(echo), .. }) = self.links.get_mut(conn) else {
            return;
        };
        let EchoLink { decoder, encoder, paused } = &mut **echo;
        let out = &mut self.scratch;
        out.clear();
        let mut at = 0;
        let after = loop {
            let step = match decoder.next(&mut bytes[at..], &ECHO_LIMITS) {
                Ok(step) => step,
                Err(reason) => break After::Refuse(reason),
            };
            at += step.consumed;
            match (step.item, encoder.as_mut()) {
                (None, _) => break After::Wait,
                (Some(Item::Text(text)), None) => encode_text(out, text),
                (Some(Item::Binary(data)), None) => encode_binary(out, data),
                (Some(Item::Text(text)), Some(encoder)) => {
                    encoder.encode(Kind::Text, text.as_bytes(), 1, out);
                }
                (Some(Item::Binary(data)), Some(encoder)) => {
                    encoder.encode(Kind::Binary, data, 1, out);
                }
                (Some(Item::Ping(payload)), _) => encode_pong(out, payload),
                (Some(Item::Pong(_)), _) => {}
                (Some(Item::Close { code, .. }), _) => {
                    encode_close_reply(out, code);
                    break After::Close(code.unwrap_or(1005));
                }
            }
        };
        if let Some(encoder) = encoder {
            encoder.release();
        }
        match after {
            After::Next | After::Wait => {
                let queued = self.driver.queue_copy(conn, out);
                if queued > SEND_QUEUE_BYTES_MAX && !*paused {
                    *paused = true;
                    self.driver.pause_reads(conn);
                    self.driver.notify_below(conn, SEND_QUEUE_RESUME_BYTES);
                }
                // One long message must not pin its memory to the shard.
                if out.capacity() > SEND_QUEUE_BYTES_MAX {
                    *out = Vec::new();
                }
            }
            After::Close(code) => self.finish(conn, code, false),
            After::Refuse(reason) => {
                let (code, name, _) = reason.describe();
                encode_close(out, code, name);
                self.finish(conn, code, false);
            }
        }
    }
}

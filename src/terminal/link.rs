//! The socket's thread: connects, passes frames to and from the session, connects again.

use super::commands::Input;
use super::complete::Question;
use super::hold::Hold;
use super::note::Note;
use super::screen::Screen;
use super::session::Session;
use super::{ChatError, Url};
use crate::base::codes::{Advice, CloseReason};
use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// How long a read waits: a typed line waits for it, so it is short.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// How long the server may take to answer the handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames taken before the screen and the keyboard get their turn.
const FRAMES_PER_TURN: usize = 256;
/// First and longest back-off (docs/PROTOCOL.md, Close codes).
const BACK_OFF_MS: (u64, u64) = (200, 20_000);
/// How long the next answer may take when the input has ended.
const LEAVE_TIMEOUT_MS: u64 = 10_000;
/// Messages without an answer; beyond, typed lines wait where they are read.
const OUTBOX_MAX: usize = 256;

/// What the keyboard's side says.
#[derive(Debug)]
pub enum Line {
    /// Do this, and say when it is on the screen.
    Enter(Input, SyncSender<()>),
    /// Ask the server this about the active room, and pass the answer on.
    Ask(Question, SyncSender<Value>),
    /// There will be no more: leave when everything has been sent.
    End,
}

/// The socket's thread and what it owns.
pub struct Link {
    url: Url,
    session: Session,
    screen: Screen,
    hold: Hold,
    /// What the keyboard's side shows before the cursor.
    prompt: Arc<Mutex<String>>,
    socket: Option<WebSocket<TcpStream>>,
    epoch: Instant,
    attempt: u32,
    retry_at_ms: u64,
    /// Who waits for the answer to a question.
    asker: Option<SyncSender<Value>>,
    /// Set when the input has ended: messages left, and until when one must be answered.
    leaving: Option<(usize, u64)>,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(url: Url, session: Session, screen: Screen, prompt: Arc<Mutex<String>>) -> Self {
        Self {
            url,
            session,
            screen,
            hold: Hold::default(),
            prompt,
            socket: None,
            epoch: Instant::now(),
            attempt: 0,
            retry_at_ms: 0,
            asker: None,
            leaving: None,
        }
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    /// Talks until the input ends or the server does not want us.
    ///
    /// # Errors
    /// When the first connection fails, when the server sends us away for good, and when messages
    /// are left unsent at the end.
    pub fn run(mut self, lines: &Receiver<Line>) -> Result<(), ChatError> {
        self.socket = Some(connect(&self.url)?);
        self.session.connected();
        loop {
            self.take_lines(lines);
            let ended = match self.socket.is_some() {
                true => self.exchange()?,
                false => self.reconnect(),
            };
            if let Some(why) = ended {
                self.lost(&why);
            }
            if let Some(why) = self.session.rejected() {
                return Err(ChatError::Refused(why.to_string()));
            }
            let now_ms = self.now_ms();
            self.session.tick(now_ms);
            self.show();
            if let (Some(told), Some(asker)) = (self.session.take_told(), &self.asker) {
                // The keyboard's side may have stopped waiting.
                let _ = asker.try_send(told);
            }
            if let Some((before, deadline_ms)) = self.leaving {
                match self.session.unanswered() {
                    0 => {
                        self.leave();
                        return Ok(());
                    }
                    count if count < before => {
                        self.leaving = Some((count, now_ms + LEAVE_TIMEOUT_MS));
                    }
                    count if now_ms >= deadline_ms => return Err(ChatError::Unsent(count)),
                    _ => {}
                }
            }
        }
    }

    fn take_lines(&mut self, lines: &Receiver<Line>) {
        if self.session.unanswered() >= OUTBOX_MAX {
            if self.socket.is_none() {
                std::thread::sleep(READ_TIMEOUT);
            }
            return;
        }
        // While there is no socket to wait on, the keyboard is what this thread waits on.
        let mut line = match self.socket.is_some() {
            true => lines.try_recv().ok(),
            false => match lines.recv_timeout(READ_TIMEOUT) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(READ_TIMEOUT);
                    None
                }
            },
        };
        while let Some(next) = line {
            match next {
                Line::Enter(input, done) => {
                    let now_ms = self.now_ms();
                    self.session.enter(input, now_ms);
                    self.show();
                    // The keyboard's side may have stopped waiting.
                    let _ = done.try_send(());
                }
                Line::Ask(question, answer) => {
                    self.session.question(&question);
                    self.asker = Some(answer);
                }
                Line::End => {
                    let deadline_ms = self.now_ms() + LEAVE_TIMEOUT_MS;
                    self.leaving = Some((self.session.unanswered(), deadline_ms));
                    return;
                }
            }
            if self.session.unanswered() >= OUTBOX_MAX {
                return;
            }
            line = lines.try_recv().ok();
        }
    }

    /// Sends and receives once; `Some` says why the connection has ended.
    fn exchange(&mut self) -> Result<Option<String>, ChatError> {
        for frame in self.session.take_frames() {
            let socket = self.socket.as_mut().expect("the caller checked");
            if let Err(error) = socket.send(Message::text(frame)) {
                return Ok(Some(error.to_string()));
            }
        }
        for _ in 0..FRAMES_PER_TURN {
            let socket = self.socket.as_mut().expect("the caller checked");
            match socket.read() {
                Ok(Message::Text(text)) => {
                    let now_ms = self.now_ms();
                    self.session.receive(&text, now_ms);
                    if self.session.online() {
                        self.attempt = 0;
                    }
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.as_ref().map_or(1005, |frame| u16::from(frame.code));
                    return verdict(code).map(Some);
                }
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Ok(Some(error.to_string())),
            }
            // An answer may have made a message ready; it need not wait for the next silence.
            if self.session.has_frames() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn lost(&mut self, why: &str) {
        if self.socket.take().is_some() {
            self.session.disconnected();
            let note = Note::Info(format!("connection lost ({why}), connecting again …"));
            self.hold.push(note, self.now_ms());
        }
        let longest_ms = match self.session.take_bye_after_ms() {
            Some(after_ms) => after_ms,
            None => BACK_OFF_MS.1.min(BACK_OFF_MS.0 << self.attempt.min(16)),
        };
        self.attempt += 1;
        self.retry_at_ms = self.now_ms() + random() % (longest_ms + 1);
    }

    /// Connects when it is time; `Some` says why that failed.
    fn reconnect(&mut self) -> Option<String> {
        if self.now_ms() < self.retry_at_ms {
            return None;
        }
        match connect(&self.url) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.session.connected();
                self.hold.push(Note::Info("connected again".into()), self.now_ms());
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    fn show(&mut self) {
        let now_ms = self.now_ms();
        for note in self.session.take_notes() {
            self.hold.push(note, now_ms);
        }
        while let Some(note) = self.hold.pop(now_ms) {
            self.screen.show(&note, self.session.active());
        }
        for event in self.session.take_events() {
            self.screen.event(&event);
        }
        let prompt = prompt(&self.session);
        *self.prompt.lock().expect("nobody panics with the prompt") = prompt;
    }

    /// Leaves in order, so that others see us go at once.
    fn leave(&mut self) {
        // What is still held comes out as it is.
        while let Some(note) = self.hold.pop(u64::MAX) {
            self.screen.show(&note, self.session.active());
        }
        if let Some(socket) = &mut self.socket {
            // The other side may be gone already; leaving needs nobody's consent.
            let _ = socket.send(Message::text(r#"{"t":"bye"}"#));
            let _ = socket.close(None);
            let _ = socket.flush();
        }
    }
}

/// `room (other 2)> `, as far as it fits a prompt.
fn prompt(session: &Session) -> String {
    let others: Vec<String> =
        session.unread().take(4).map(|(room, unread)| format!("{room} {unread}")).collect();
    let others =
        if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    let state = if session.online() { "" } else { " (offline)" };
    let room = if session.active().is_empty() { "(no room)" } else { session.active() };
    super::escape::harmless(&format!("{room}{others}{state}> "), " ")
}

/// What a close code means for us: the reason to connect again, or the end.
fn verdict(code: u16) -> Result<String, ChatError> {
    let known = CloseReason::ALL.into_iter().find(|reason| reason.code() == code);
    let Some((_, name, advice)) = known.map(CloseReason::describe) else {
        return Ok(format!("closed with {code}"));
    };
    match advice {
        Advice::Reconnect | Advice::BackOff => Ok(name.to_string()),
        Advice::Renew | Advice::Stay | Advice::Fix => Err(ChatError::Closed { code, name }),
    }
}

fn connect(url: &Url) -> Result<WebSocket<TcpStream>, ChatError> {
    let failed = |error: std::io::Error| ChatError::Connect { host: url.host.clone(), error };
    let mut addresses = url.host.to_socket_addrs().map_err(failed)?;
    let nowhere = || failed(ErrorKind::AddrNotAvailable.into());
    let address = addresses.next().ok_or_else(nowhere)?;
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(CONNECT_TIMEOUT)).map_err(failed)?;
    stream.set_write_timeout(Some(CONNECT_TIMEOUT)).map_err(failed)?;
    let text = format!("ws://{}{}", url.host, url.path);
    let uri = text.parse().map_err(|_| ChatError::Url { url: text.clone(), why: "not a URL" })?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol("ringpost.v1.json");
    let (socket, _) = tungstenite::client(request, stream).map_err(|error| match error {
        HandshakeError::Failure(error) => ChatError::Handshake(error.to_string()),
        HandshakeError::Interrupted(_) => ChatError::Handshake("no answer".into()),
    })?;
    socket.get_ref().set_read_timeout(Some(READ_TIMEOUT)).map_err(failed)?;
    Ok(socket)
}

/// A number that differs from call to call and from run to run; no secret.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

//! What a message to the platform costs: the lanes, and the CPU of the egress thread.
//!
//! `cargo bench --bench egress` measures; `cargo test --benches` runs the same code small. A
//! message is rendered, waits in its lane, is called, and its answer is read; the platform is a
//! thread that says yes after a while, so its CPU is not the egress thread's.

use ringpost::base::clock::Now;
use ringpost::base::secret::Secret;
use ringpost::egress::{
    self, Call, Caller, Egress, EgressOptions, GraphAddress, Reply, Request, Roots, Timeouts,
    Tokens,
};
use ringpost::whatsapp::lanes::{
    Answer, FlightId, Input, Lanes, LanesOptions, MessageId, Outcome, Outgoing, Output,
};
use ringpost::whatsapp::send::{Content, Message, Recipient};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the platform is said to take at most.
const PER_S: u32 = 1_000;
/// Of one core.
const SHARE_MAX: f64 = 0.5;

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let seconds = if full { 20 } else { 1 };
    println!("lanes alone              {:8.2} µs a message", lanes_alone(seconds * 20_000));
    let (took, cpu, count) = through(u64::from(PER_S) * seconds);
    let rate = count as f64 / took.as_secs_f64();
    let share = cpu / took.as_secs_f64();
    println!("messages taken           {rate:8.0} a second of {PER_S} offered");
    println!("egress thread            {:8.1} µs a message", cpu * 1e6 / count as f64);
    println!("egress thread            {:8.2} of a core", share);
    assert!(!full || share <= SHARE_MAX, "the egress thread takes more than half a core");
    assert!(!full || rate >= f64::from(PER_S) * 0.9, "fewer than were offered");
}

fn outgoing(message: u64) -> Outgoing {
    let to = format!("4477{:08}", message % 5_000);
    let text = format!("Your order {message} is on its way, and here are some more words of it");
    let content = Content::text(&text).expect("a text");
    let callback = Some(format!("rp:{message}"));
    let to_whom = Recipient::Phone(to.clone());
    let body = Message { to: to_whom, content, about: None, callback }.render().expect("fits");
    Outgoing {
        message: MessageId(message),
        number: "1102".into(),
        conversation: to.into(),
        body: body.into(),
        needs_window: true,
        window_until_ms: i64::MAX,
        expires_ms: i64::MAX,
    }
}

/// µs of rendering, queueing, calling and answering, without a network.
fn lanes_alone(count: u64) -> f64 {
    let mut lanes = Lanes::new(LanesOptions::default());
    lanes.set_number(&"1102".into(), 1_000_000);
    let (mut out, mut accepted) = (Vec::new(), 0);
    let begin = Instant::now();
    for message in 0..count {
        let mono_us = message * 10_000;
        let now = Now { wall_us: mono_us as i64, mono_us };
        lanes.handle(now, Input::Send(outgoing(message)), &mut out);
        while let Some(output) = out.pop() {
            match output {
                Output::Call { flight, .. } => {
                    let answer = Answer::Accepted { wamid: "wamid.1".into() };
                    lanes.handle(now, Input::Answer { flight, answer }, &mut out);
                }
                Output::Outcome { outcome: Outcome::Accepted { .. }, .. } => accepted += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(accepted, count);
    begin.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// Seconds, CPU seconds of the egress thread, and messages taken.
fn through(count: u64) -> (Duration, f64, u64) {
    let platform = platform();
    let mut tokens = Tokens::default();
    tokens.set_any(Secret::new(*b"token"));
    let (sender, replies) = crossbeam_channel::bounded::<Reply>(1_024);
    let options = EgressOptions {
        graph: Some(GraphAddress::new(&platform, "v25.0").expect("an address")),
        tokens,
        networks: Vec::new(),
        roots: Roots::default(),
        calls_max: 512,
        timeouts: Timeouts::default(),
    };
    let reply = move |reply| sender.send(reply).expect("the bench waits for all");
    let (calls, receiver) = egress::channel(512);
    let egress = Egress::start(options, receiver, reply).expect("a thread");
    let mut lanes = Lanes::new(LanesOptions::default());
    lanes.set_number(&"1102".into(), PER_S);
    let (begin, mut sent, mut accepted) = (Instant::now(), 0, 0);
    let mut out = Vec::new();
    let cpu_before = thread_cpu("ringpost-egress");
    while accepted < count {
        let elapsed_us = begin.elapsed().as_micros() as u64;
        let now = Now { wall_us: elapsed_us as i64, mono_us: elapsed_us };
        while sent < count && sent * 1_000_000 / u64::from(PER_S) <= elapsed_us {
            lanes.handle(now, Input::Send(outgoing(sent)), &mut out);
            sent += 1;
        }
        lanes.handle(now, Input::Tick, &mut out);
        if let Ok(reply) = replies.recv_timeout(Duration::from_millis(1)) {
            for reply in std::iter::once(reply).chain(replies.try_iter()) {
                let got = reply.result.expect("the platform answers");
                let answer = Answer::read(got.status, &got.body);
                let flight = FlightId(reply.ticket);
                lanes.handle(now, Input::Answer { flight, answer }, &mut out);
            }
        }
        for output in out.drain(..) {
            match output {
                Output::Call { flight, number, body, .. } => {
                    let request = Request::Message { number, body };
                    let call = Call { caller: Caller::Outbox, ticket: flight.0, request };
                    calls.try_call(call).expect("the lanes keep to what fits");
                }
                Output::Outcome { outcome: Outcome::Accepted { .. }, .. } => accepted += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let took = begin.elapsed();
    let cpu = thread_cpu("ringpost-egress") - cpu_before;
    drop(calls);
    egress.stop().expect("no panic");
    (took, cpu, accepted)
}

/// Says yes to everything after 50 ms; one thread for each connection.
fn platform() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = Arc::new(stream.expect("accepted"));
            std::thread::spawn(move || while answer(&stream).is_some() {});
        }
    });
    format!("http://{address}")
}

fn answer(stream: &TcpStream) -> Option<()> {
    // Requests come one after the other, so a reader for each loses nothing.
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    std::thread::sleep(Duration::from_millis(50));
    let body = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.HBgLMTIzNDU2Nzg5"}]}"#;
    let mut writer = stream;
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()
}

/// CPU seconds that the threads with this name have used.
fn thread_cpu(name: &str) -> f64 {
    let mut ticks = 0.0;
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            // Nanoseconds on the CPU: proc_pid_schedstat(5).
            let on_cpu = read("schedstat");
            let first = on_cpu.split(' ').next().and_then(|text| text.parse::<f64>().ok());
            ticks += first.unwrap_or(0.0) / 1e9;
        }
    }
    ticks
}

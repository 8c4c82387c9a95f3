//! `webhook`: signed webhooks as the WhatsApp platform posts them, over connections that are kept.
//! Each must be answered with 200, once.
//!
//! A body holds `--batch` messages of as many contacts, or as many statuses; every message has an
//! id that no other run uses. 429 and 503 are refusals: the platform would post the same again.

use super::pace::Pace;
use super::{Outcome, Player, Scenario, Settings, Share, fill, fraction};
use crate::driver::gate::{Gate, Schedule};
use crate::driver::target::Target;
use crate::driver::{Failure, Nanos, Outbox, Speech, Wake, Workload};
use crate::http;
use crate::latency::Latency;
use ringpost::base::secret::Secret;
use ringpost::whatsapp::signature;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;

/// How long answers may take after the last request was sent.
const DRAIN_NS: Nanos = 5_000_000_000;
/// How often to look at the gate and at the end.
const TICK_NS: Nanos = 2_000_000;
/// How long to listen for answers too many when all have come.
const QUIET_NS: Nanos = 50_000_000;
/// A refused request of a closed loop is followed by the next after this long.
const RETRY_NS: Nanos = 50_000_000;
/// Contacts that write.
const CONTACT_COUNT: f64 = 10_000.0;
/// What every body begins with, up to the list of messages or statuses.
const HEAD: &str = concat!(
    r#"{"object":"whatsapp_business_account","entry":[{"id":"203040506070801","changes":["#,
    r#"{"value":{"messaging_product":"whatsapp","metadata":"#,
    r#"{"display_phone_number":"15550104477","phone_number_id":"110220330440550"},"#,
);

/// The table's entry.
pub const SCENARIO: Scenario = Scenario {
    name: "webhook",
    summary: "signed WhatsApp webhooks, single or in batches, each answered with 200",
    path: |_| PATH,
    protocol: |_| None,
    rate_default: 0.0,
    describe: |settings| {
        let Settings { connections, batch, status_percent, rate, .. } = settings;
        let load = match rate {
            0.0 => "one in flight each".to_string(),
            rate => format!("{rate} webhooks/s offered"),
        };
        format!("{connections} connections, {load}, {batch} per body, {status_percent} % statuses")
    },
    threads_max: |settings| settings.connections,
    share,
};

const PATH: &str = "/webhook/whatsapp";

fn share(settings: &Settings, share: Share, gate: Arc<Gate>) -> Box<dyn Player> {
    let part = share.of(settings.connections);
    let target = Target::resolve(&settings.target, PATH).expect("the run resolved it before");
    Box::new(Webhook {
        bodies: Bodies {
            settings: settings.clone(),
            secret: Secret::new(settings.secret.clone().into_bytes()),
            thread: share.index,
            count: 0,
        },
        target,
        rate: settings.rate * part.len() as f64 / settings.connections as f64,
        phase: fraction(settings.seed, part.start as u64),
        free: VecDeque::new(),
        resting: VecDeque::new(),
        lanes: part.map(|_| Lane::default()).collect(),
        gate,
        open_count: 0,
        arrived: false,
        schedule: None,
        pace: None,
        in_flight: 0,
        answered_at: 0,
        counted: (0, 0),
        answers: BTreeMap::new(),
        failure: None,
        scratch: (Vec::new(), Vec::new()),
        latency: Latency::new("webhook", "from intended post to answer"),
        lag: Latency::new("lag", "from due to sent"),
        outcome: Outcome::default(),
    })
}

/// Makes bodies, each another.
struct Bodies {
    settings: Settings,
    secret: Secret,
    thread: usize,
    count: u64,
}

impl Bodies {
    /// Appends the next body.
    fn next(&mut self, out: &mut Vec<u8>) {
        let number = self.count;
        self.count += 1;
        let seed = self.settings.seed.wrapping_add(self.thread as u64);
        let is_status = fraction(seed, number) * 100.0 < self.settings.status_percent as f64;
        let batch = self.settings.batch as u64;
        let numbers = number * batch..(number + 1) * batch;
        let contact = |n: u64| 447_700_900_000 + (fraction(!seed, n) * CONTACT_COUNT) as u64;
        out.extend_from_slice(HEAD.as_bytes());
        if is_status {
            list(out, "statuses", numbers, |out, n| {
                let (id, to) = (self.id(n), contact(n));
                let status = ["sent", "delivered", "read"][n as usize % 3];
                write!(out, r#"{{"id":"{id}","status":"{status}","timestamp":"1795000063""#)?;
                write!(out, r#","recipient_id":"{to}"}}"#)
            });
        } else {
            list(out, "contacts", numbers.clone(), |out, n| {
                let from = contact(n);
                write!(out, r#"{{"profile":{{"name":"Contact {from}"}},"wa_id":"{from}"}}"#)
            });
            out.push(b',');
            list(out, "messages", numbers, |out, n| {
                let (id, from) = (self.id(n), contact(n));
                write!(out, r#"{{"from":"{from}","id":"{id}","timestamp":"1795000001","#)?;
                out.extend_from_slice(br#""type":"text","text":{"body":""#);
                fill(out, seed, n, self.settings.size);
                out.extend_from_slice(br#""}}"#);
                Ok(())
            });
        }
        out.extend_from_slice(br#"},"field":"messages"}]}]}"#);
    }

    fn id(&self, number: u64) -> String {
        format!("wamid.{}.{}.{number}", self.settings.tag, self.thread)
    }
}

/// Appends `"name":[…]` with one item per number.
fn list(
    out: &mut Vec<u8>,
    name: &str,
    numbers: std::ops::Range<u64>,
    mut item: impl FnMut(&mut Vec<u8>, u64) -> std::io::Result<()>,
) {
    write!(out, "\"{name}\":[").expect("memory takes it");
    for number in numbers.clone() {
        if number > numbers.start {
            out.push(b',');
        }
        item(out, number).expect("memory takes it");
    }
    out.push(b']');
}

/// One connection.
#[derive(Debug, Default)]
struct Lane {
    /// When the request under way was due.
    due: Option<Nanos>,
    lost: bool,
}

struct Webhook {
    bodies: Bodies,
    target: Target,
    /// This thread's part of the rate; 0 in a closed loop.
    rate: f64,
    /// Where in the first gap of an open loop this thread begins.
    phase: f64,
    lanes: Vec<Lane>,
    /// Connections without a request under way.
    free: VecDeque<usize>,
    /// Those that were refused, and until when they rest.
    resting: VecDeque<(Nanos, usize)>,
    gate: Arc<Gate>,
    open_count: usize,
    arrived: bool,
    schedule: Option<Schedule>,
    pace: Option<Pace>,
    in_flight: u64,
    answered_at: Nanos,
    /// (sent, answered) since the gate was last told.
    counted: (u64, u64),
    /// Answers by status.
    answers: BTreeMap<u16, u64>,
    failure: Option<Failure>,
    /// (body, request).
    scratch: (Vec<u8>, Vec<u8>),
    latency: Latency,
    lag: Latency,
    outcome: Outcome,
}

impl Webhook {
    fn send(&mut self, due: Nanos, out: &mut dyn Outbox) {
        let conn = self.free.pop_front().expect("asked before");
        let (body, request) = &mut self.scratch;
        body.clear();
        request.clear();
        self.bodies.next(body);
        let signature = signature::sign(body, &self.bodies.secret);
        let Target { host, path, .. } = &self.target;
        http::post(request, host, path, (signature::HEADER, &signature), body);
        self.lanes[conn].due = Some(due);
        self.in_flight += 1;
        self.outcome.expected += 1;
        self.counted.0 += 1;
        out.bytes(conn, request);
    }

    /// Sends what is due; gives when the next one is.
    fn catch_up(&mut self, schedule: Schedule, now: Nanos, out: &mut dyn Outbox) -> Nanos {
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            self.free.extend(self.resting.pop_front().map(|(_, conn)| conn));
        }
        let Some(mut pace) = self.pace else {
            while now < schedule.stop && !self.free.is_empty() {
                self.send(now, out);
            }
            let rested = self.resting.front().map_or(schedule.stop, |(until, _)| *until);
            return rested.min(schedule.stop);
        };
        while !self.free.is_empty()
            && let Some(due) = pace.take(schedule, now, &mut self.lag)
        {
            self.send(due, out);
        }
        if self.free.is_empty() {
            pace.excuse(now);
        }
        self.pace = Some(pace);
        pace.next(schedule)
    }

    fn answered(&mut self, conn: usize, due: Nanos, response: (u16, &[u8]), now: Nanos) {
        let (status, body) = response;
        *self.answers.entry(status).or_default() += 1;
        self.in_flight -= 1;
        match status {
            200 => {
                self.outcome.delivered += 1;
                if self.schedule.is_some_and(|schedule| schedule.measures(due)) {
                    self.latency.record(now - due);
                }
                self.free.push_back(conn);
                return;
            }
            401 | 403 | 404 => {
                let body = String::from_utf8_lossy(body);
                let what = format!("a webhook was answered with {status}: {}", body.trim_end());
                let hint = "is --secret the server's `whatsapp.app_secret`?";
                self.failure = Some(Failure::new(what).hint(hint));
            }
            // The platform posts it again; it was not taken and nothing is lost.
            429 | 503 => {
                self.outcome.expected -= 1;
                self.outcome.refused += 1;
            }
            _ => self.outcome.broken += 1,
        }
        if status != 429 && status != 503 || self.outcome.refused == 1 {
            self.outcome
                .find(|| format!("connection {conn}: a webhook was answered with {status}"));
        }
        self.resting.push_back((now + RETRY_NS, conn));
    }
}

impl Workload for Webhook {
    fn connection_count(&self) -> usize {
        self.lanes.len()
    }

    fn speech(&self) -> Speech {
        Speech::Http
    }

    fn opened(&mut self, conn: usize, _now: Nanos, _out: &mut dyn Outbox) {
        self.open_count += 1;
        self.free.push_back(conn);
    }

    fn received(&mut self, conn: usize, payload: &[u8], now: Nanos, _out: &mut dyn Outbox) {
        self.counted.1 += 1;
        self.answered_at = now;
        let response = http::read(payload).ok().flatten().expect("the driver cut it out");
        match self.lanes[conn].due.take() {
            Some(due) => self.answered(conn, due, (response.status, response.body), now),
            None => {
                self.outcome.duplicated += 1;
                let status = response.status;
                self.outcome.find(|| format!("connection {conn}: {status} answers no request"));
            }
        }
    }

    fn lost(&mut self, conn: usize, why: &str, _now: Nanos) {
        let lane = &mut self.lanes[conn];
        lane.lost = true;
        self.in_flight -= u64::from(lane.due.take().is_some());
        self.free.retain(|free| *free != conn);
        self.resting.retain(|(_, resting)| *resting != conn);
        self.outcome.broken += 1;
        self.outcome.find(|| format!("connection {conn} was lost: {why}"));
    }

    fn turn(&mut self, now: Nanos, out: &mut dyn Outbox) -> Result<Wake, Failure> {
        let (sent, answered) = std::mem::take(&mut self.counted);
        self.gate.count(sent, answered);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if !self.arrived && self.open_count == self.lanes.len() {
            self.arrived = true;
            self.gate.arrive(now);
        }
        let Some(schedule) = self.gate.begun(now) else {
            return Ok(Wake::At(now + TICK_NS));
        };
        if self.schedule.is_none() {
            self.schedule = Some(schedule);
            if self.rate > 0.0 {
                self.pace = Some(Pace::new(schedule.start, self.rate, self.phase));
            }
        }
        let next = self.catch_up(schedule, now, out);
        let gone = self.lanes.iter().all(|lane| lane.lost);
        let quiet = self.in_flight == 0 && now > self.answered_at + QUIET_NS;
        let settled = quiet && next >= schedule.stop || gone;
        if now >= schedule.stop && (settled || now > schedule.stop + DRAIN_NS) {
            return Ok(Wake::Finished);
        }
        Ok(Wake::At(if next > now { next.min(now + 10 * TICK_NS) } else { now + TICK_NS }))
    }
}

impl Player for Webhook {
    fn outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        let answers = self.answers.iter().map(|(status, count)| format!("{count} × {status}"));
        let answers = answers.collect::<Vec<_>>().join(", ");
        let batch = self.bodies.settings.batch as u64;
        let parts = outcome.delivered * batch;
        let text = format!("answers {answers}; {parts} messages and statuses taken");
        outcome.lines.push(("Webhooks", text));
        outcome.figures.push(("parts_taken".into(), parts as f64));
        outcome.latencies = vec![self.latency.clone()];
        outcome.lag = (self.rate > 0.0).then(|| self.lag.clone());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn bodies_are_json_and_all_different() {
        let settings = crate::tests::options("webhook --batch 3 --statuses 50").settings;
        let secret = Secret::new(b"s".to_vec());
        let mut bodies = Bodies { settings, secret, thread: 0, count: 0 };
        let (mut ids, mut kinds) = (BTreeSet::new(), [0, 0]);
        for _ in 0..100 {
            let mut body = Vec::new();
            bodies.next(&mut body);
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let value = &body["entry"][0]["changes"][0]["value"];
            assert_eq!(value["messaging_product"], "whatsapp");
            for (kind, key) in ["messages", "statuses"].iter().enumerate() {
                for part in value[*key].as_array().into_iter().flatten() {
                    kinds[kind] += 1;
                    assert!(ids.insert(part["id"].as_str().expect("text").to_string()));
                }
            }
            if let Some(messages) = value["messages"].as_array() {
                let contacts = value["contacts"].as_array().expect("contacts");
                for (message, contact) in messages.iter().zip(contacts) {
                    assert_eq!(message["from"], contact["wa_id"]);
                }
            }
        }
        assert_eq!(kinds[0] + kinds[1], 300);
        assert!(kinds[0] > 100 && kinds[1] > 100, "{kinds:?}");
    }
}

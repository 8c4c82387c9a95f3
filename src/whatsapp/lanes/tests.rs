//! Rules one by one, then all of them at once under seeds.

use super::model::{Faults, Weather, World, at, outgoing};
use super::*;
use crate::base::limits::CONTACT_WINDOW_MS;

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// One number; `count` conversations that have just written.
fn world(seed: u64, per_s: u32, conversations: u64) -> World {
    let mut world = World::new(seed, LanesOptions::default());
    world.number("1", per_s);
    for conversation in 0..conversations {
        world.heard_at(0, "1", &conversation.to_string());
    }
    world.run_until(10 * SECOND);
    world
}

/// The same with a platform that says nothing: the test answers.
fn by_hand(seed: u64, conversations: u64) -> World {
    let mut world = world(seed, 80, conversations);
    world.weather = Weather::Silent;
    world
}

fn answer(world: &mut World, flight: u64, answer: Answer) {
    world.step(Input::Answer { flight: FlightId(flight), answer });
}

fn accepted(wamid: &str) -> Answer {
    Answer::Accepted { wamid: wamid.into() }
}

fn refused(code: u32) -> Answer {
    Answer::Refused { http_status: 400, error: GraphError { code, details: String::new() } }
}

#[test]
fn one_recipient_gets_a_burst_then_one_in_six_seconds() {
    let mut world = world(1, 80, 1);
    let begin = world.now_us;
    for message in 0..60 {
        world.send_at(begin, message, "1", "0");
    }
    world.run_until(begin + 200 * SECOND);
    assert_eq!((world.taken.len(), world.limits_met), (60, 0));
    world.check_order();
    let times: Vec<u64> = world.calls.iter().map(|call| (call.0 - begin) / SECOND).collect();
    // 45 one after the other, each as long as the platform takes to answer.
    assert!(times[44] < 30, "{times:?}");
    let gaps = times[50..].windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.into_iter().all(|gap| (5..=7).contains(&gap)), "{times:?}");
}

#[test]
fn a_number_sends_no_faster_than_it_may() {
    for per_s in [20, 80, 1_000] {
        let mut world = world(2, per_s, 2_000);
        let begin = world.now_us;
        for message in 0..2_000 {
            world.send_at(begin, message, "1", &message.to_string());
        }
        world.run_until(begin + 120 * SECOND);
        assert_eq!((world.taken.len(), world.limits_met), (2_000, 0), "{per_s}");
        let took_us = world.calls.last().expect("calls").0 - begin;
        let ideal_us = 2_000 * SECOND / u64::from(per_s);
        assert!(took_us < ideal_us + ideal_us / 10 + SECOND, "{per_s} a second: {took_us} µs");
    }
}

#[test]
fn a_step_is_bounded_and_says_that_there_is_more() {
    let mut lanes = Lanes::new(LanesOptions::default());
    let number: Arc<str> = "1".into();
    lanes.set_number(&number, 1_000_000);
    let mut out = Vec::new();
    let mut calls = 0;
    for message in 0..200 {
        let mut message = outgoing(message, "1", &message.to_string());
        message.needs_window = false;
        lanes.handle(at(1), Input::Send(message), &mut out);
        calls += out.drain(..).count();
    }
    assert_eq!(calls, 200);
    assert_eq!(lanes.counts().flights, 200);
    for flight in 1..=200 {
        let end = Input::Answer { flight: FlightId(flight), answer: refused(131_056) };
        lanes.handle(at(2), end, &mut out);
    }
    assert!(out.is_empty());
    // All wait for the same second, more or less.
    let due_us = 2 * SECOND;
    lanes.handle(at(due_us), Input::Tick, &mut out);
    assert_eq!((out.len(), lanes.deadline_us()), (CALLS_PER_STEP_MAX, Some(0)));
    while lanes.deadline_us() == Some(0) {
        lanes.handle(at(due_us), Input::Tick, &mut out);
    }
    assert_eq!(out.len(), 200);
}

#[test]
fn room_is_bounded_by_count_and_bytes() {
    let options = LanesOptions { queued_max: 3, queued_bytes_max: 30, ..LanesOptions::default() };
    let mut lanes = Lanes::new(options);
    lanes.set_number(&"1".into(), 80);
    assert!(lanes.has_room(30) && !lanes.has_room(31));
    let mut out = Vec::new();
    for message in 0..3 {
        assert!(lanes.has_room(6));
        let mut message = outgoing(message, "1", "0");
        message.needs_window = false;
        lanes.handle(at(1), Input::Send(message), &mut out);
    }
    assert!(!lanes.has_room(0));
    let end = Input::Answer { flight: FlightId(1), answer: accepted("w") };
    lanes.handle(at(2), end, &mut out);
    assert!(lanes.has_room(18) && !lanes.has_room(19));
}

#[test]
fn an_hour_without_the_platform_loses_nothing_and_ends_gently() {
    for weather in [Weather::Refusing, Weather::Unavailable] {
        let mut world = world(3, 80, 500);
        let begin = world.now_us;
        world.weather = weather;
        for message in 0..3_000 {
            let conversation = (message * 7 % 500).to_string();
            world.send_at(begin + message * SECOND, message, "1", &conversation);
        }
        let end = begin + HOUR;
        world.weather_at(end, Weather::Fine);
        world.run_until(end);
        assert!(world.taken.is_empty() && world.outcomes.is_empty());
        assert_eq!(world.told, [Output::PlatformDown]);
        let probes = world.calls.len();
        assert!((100..200).contains(&probes), "{probes} probes in an hour");
        assert!(world.lanes.counts().platform_down);
        world.run_until(end + 90 * SECOND);
        assert_eq!((world.taken.len(), world.limits_met), (3_000, 0), "{weather:?}");
        assert_eq!(world.told[1], Output::PlatformUp);
        world.check_order();
        // The first round trips carry one call, then two, then four.
        let back = &world.calls[probes..];
        let soon = |us: u64| back.iter().filter(|call| call.0 < back[0].0 + us).count();
        assert_eq!(soon(50_000), 1);
        assert!(soon(SECOND / 2) < 20 && soon(SECOND) < 100, "{}", soon(SECOND));
    }
}

#[test]
fn an_unknown_message_is_never_sent_again_and_a_status_tells_its_fate() {
    let mut world = by_hand(4, 1);
    for message in 0..3 {
        world.step(Input::Send(outgoing(message, "1", "0")));
    }
    answer(&mut world, 1, Answer::Lost);
    assert_eq!(world.outcome(0), Some(&Outcome::Unknown));
    assert_eq!(world.calls.iter().map(|call| call.1).collect::<Vec<_>>(), [0, 1]);
    let status = |message, error| Input::Status {
        number: "1".into(),
        conversation: "0".into(),
        message: Some(MessageId(message)),
        wamid: "wamid.0".into(),
        error,
    };
    world.step(status(0, None));
    assert_eq!(world.outcome(0), Some(&Outcome::Accepted { wamid: "wamid.0".into() }));
    world.step(status(0, None));
    assert_eq!(world.outcomes[&MessageId(0)].len(), 2, "told once");
    // Faster than the answer, which then says nothing new.
    world.step(status(1, None));
    assert!(matches!(world.outcome(1), Some(Outcome::Accepted { .. })));
    answer(&mut world, 2, Answer::Lost);
    assert!(matches!(world.outcome(1), Some(Outcome::Accepted { .. })));
    // No answer at all.
    let late = world.now_us + ANSWER_TIMEOUT_US;
    world.now_us = late;
    world.step(Input::Tick);
    assert_eq!(world.outcome(2), Some(&Outcome::Unknown));
    world.step(status(2, Some(131_026)));
    let failed = Some(131_026);
    let told = world.outcome(2).and_then(|outcome| match outcome {
        Outcome::Failed(Failure::Platform(error)) => Some(error.code),
        _ => None,
    });
    assert_eq!(told, failed);
    world.step(Input::Lost { message: MessageId(9) });
    assert_eq!(world.outcome(9), Some(&Outcome::Unknown));
}

#[test]
fn a_stopped_number_waits_for_a_new_token_and_others_go_on() {
    let mut world = world(5, 80, 3);
    world.number("2", 80);
    world.heard_at(world.now_us, "2", "9");
    world.weather = Weather::Expired;
    let begin = world.now_us;
    for message in 0..6 {
        world.send_at(begin, message, "1", &(message % 3).to_string());
    }
    world.run_until(begin + 600 * SECOND);
    assert!(world.outcomes.is_empty());
    assert_eq!(world.lanes.counts().stopped, 1);
    assert_eq!(world.lanes.stopped().map(|(id, error)| (id, error.code)).next(), Some(("1", 190)));
    assert!(world.calls.len() < 10, "{:?}", world.calls);
    assert!(!world.lanes.counts().platform_down, "an answer is an answer");
    world.weather = Weather::Fine;
    world.send_at(world.now_us, 7, "2", "9");
    world.run_until(world.now_us + 10 * SECOND);
    assert!(world.was_taken(7));
    assert_eq!(world.taken.len(), 1);
    world.step(Input::Resume { number: "1".into() });
    world.run_until(world.now_us + 10 * SECOND);
    assert_eq!(world.taken.len(), 7);
    world.check_order();
    assert!(world.told.contains(&Output::Resumed { number: "1".into() }));
}

#[test]
fn a_probe_notices_a_renewed_token() {
    let mut world = world(6, 80, 2);
    world.weather = Weather::Expired;
    let begin = world.now_us;
    world.send_at(begin, 0, "1", "0");
    world.send_at(begin, 1, "1", "1");
    world.weather_at(begin + 300 * SECOND, Weather::Fine);
    world.run_until(begin + 1_200 * SECOND);
    assert_eq!(world.taken.len(), 2);
    let stops = world.told.iter().filter(|told| matches!(told, Output::Stopped { .. })).count();
    assert_eq!((stops, world.told.len()), (1, 2), "{:?}", world.told);
}

#[test]
fn free_text_needs_the_window_and_a_template_does_not() {
    let mut world = world(7, 80, 1);
    let begin = world.now_us;
    let late = begin + CONTACT_WINDOW_MS as u64 * 1_000;
    world.send_at(late, 0, "1", "0");
    let mut template = outgoing(1, "1", "0");
    (template.body, template.needs_window) = ("0 template".into(), false);
    world.input_at(late, Input::Send(template));
    world.heard_at(late + SECOND, "1", "0");
    world.send_at(late + 2 * SECOND, 2, "1", "0");
    let mut expired = outgoing(3, "1", "0");
    expired.expires_ms = at(late).wall_ms();
    world.input_at(late + 3 * SECOND, Input::Send(expired));
    world.send_at(late, 4, "unheard of", "0");
    world.run_until(late + 10 * SECOND);
    assert_eq!(world.outcome(0), Some(&Outcome::Failed(Failure::WindowClosed)));
    assert!(world.was_taken(1) && world.was_taken(2) && world.taken.len() == 2);
    assert_eq!(world.outcome(3), Some(&Outcome::Failed(Failure::Expired)));
    assert_eq!(world.outcome(4), Some(&Outcome::Failed(Failure::NoSuchNumber)));
}

#[test]
fn a_message_that_waits_is_looked_at_again_when_the_window_reopens() {
    let mut world = world(8, 80, 1);
    let begin = world.now_us;
    let closing = begin + CONTACT_WINDOW_MS as u64 * 1_000 - 60 * SECOND;
    world.weather_at(closing - SECOND, Weather::Refusing);
    world.send_at(closing, 0, "1", "0");
    world.heard_at(closing + 10 * SECOND, "1", "0");
    world.weather_at(closing + 600 * SECOND, Weather::Fine);
    world.run_until(closing + 1_500 * SECOND);
    assert!(world.was_taken(0));
}

#[test]
fn too_many_to_one_recipient_waits_four_times_as_long_each_time() {
    let mut world = by_hand(9, 1);
    world.step(Input::Send(outgoing(0, "1", "0")));
    let mut waits = Vec::new();
    for flight in 1..=9 {
        let before = world.now_us;
        answer(&mut world, flight, refused(131_056));
        let due_us = world.lanes.deadline_us().expect("a wait");
        waits.push((due_us - before) as f64 / SECOND as f64);
        world.now_us = due_us;
        world.step(Input::Tick);
    }
    for (wait, base) in waits.iter().zip([1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 4_096.0]) {
        assert!((base..=base * 1.25 + 6.0).contains(wait), "{waits:?}");
    }
    answer(&mut world, 10, accepted("w"));
    assert_eq!(world.calls.len(), 10);
}

#[test]
fn one_bad_message_is_given_up_while_others_pass() {
    let mut world = by_hand(10, 2);
    world.step(Input::Send(outgoing(0, "1", "0")));
    let mut next = 1;
    while world.outcome(0).is_none() {
        let flight = world.calls.len() as u64;
        assert!(flight < 100);
        let bad = world.calls.last().expect("a call").1 == 0;
        let told = if bad { refused_by(500, 131_000) } else { accepted("w") };
        answer(&mut world, flight, told);
        if bad {
            world.step(Input::Send(outgoing(next, "1", "1")));
            next += 1;
        } else if let Some(due_us) = world.lanes.deadline_us() {
            world.now_us = world.now_us.max(due_us);
            world.step(Input::Tick);
        }
    }
    let tries = world.calls.iter().filter(|call| call.1 == 0).count() as u32;
    assert!((RETRIES_MAX..=RETRIES_MAX + 2).contains(&tries), "{tries}");
}

fn refused_by(http_status: u16, code: u32) -> Answer {
    Answer::Refused { http_status, error: GraphError { code, details: String::new() } }
}

#[test]
fn signals_go_now_or_never() {
    let mut world = world(11, 20, 1);
    let signal = || Input::Signal { number: "1".into(), body: "{}".into() };
    for _ in 0..3 {
        world.step(signal());
    }
    assert_eq!((world.told.len(), world.lanes.counts().signals_dropped), (1, 2));
    world.step(Input::Signal { number: "2".into(), body: "{}".into() });
    assert_eq!(world.lanes.counts().signals_dropped, 3);
}

#[test]
fn answers() {
    let check = |http_status, body: &str, want: Answer| {
        assert_eq!(Answer::read(http_status, body.as_bytes()), want, "{http_status} {body}");
    };
    check(200, r#"{"messages":[{"id":"wamid.1"}]}"#, accepted("wamid.1"));
    check(200, "{}", Answer::Lost);
    check(400, r#"{"error":{"code":131056}}"#, refused(131_056));
    check(500, r#"{"error":{"code":131000}}"#, refused_by(500, 131_000));
    check(500, "oops", Answer::Lost);
    check(502, "<html>", Answer::Lost);
    check(504, "", Answer::Lost);
    check(503, "", Answer::NotSent);
    check(429, "", Answer::NotSent);
    check(404, "<html>", Answer::NotSent);
    check(302, "", Answer::NotSent);
}

/// Sends, outages, expired tokens, refusals and lost answers of all kinds, under one seed.
fn storm(seed: u64) -> World {
    let options = LanesOptions { flights_max: 40, ..LanesOptions::default() };
    let mut world = World::new(seed, options);
    for (number, per_s) in [("1", 80), ("2", 20), ("3", 1_000)] {
        world.number(number, per_s);
        for conversation in 0..12 {
            world.heard_at(0, number, &format!("{number}/{conversation}"));
        }
    }
    world.faults =
        Faults { transient: 150, permanent: 100, lost: 60, rate_limited: 20, pair_limited: 20 };
    world.run_until(10 * SECOND);
    let mut at_us = world.now_us;
    for message in 0..800 {
        at_us += match world.random.below(10) {
            0 => world.random.below(60 * SECOND),
            1..4 => world.random.below(SECOND),
            _ => 0,
        };
        let number = ["1", "2", "3"][world.random.below(3) as usize];
        let conversation = format!("{number}/{}", world.random.below(12));
        world.send_at(at_us, message, number, &conversation);
    }
    let mut weather_us = world.now_us;
    for _ in 0..6 {
        weather_us += world.random.below(600 * SECOND);
        let weather = [Weather::Refusing, Weather::Silent, Weather::Unavailable, Weather::Expired]
            [world.random.below(4) as usize];
        world.weather_at(weather_us, weather);
        weather_us += world.random.below(400 * SECOND);
        world.weather_at(weather_us, Weather::Fine);
    }
    world.run_until(12 * HOUR);
    world
}

#[test]
fn storms() {
    for seed in 1..=100 {
        let world = storm(seed);
        assert_eq!(world.limits_met, 0, "seed {seed}: a limit was met that our pace should keep");
        world.check_order();
        for message in 0..800 {
            let last = world.outcome(message);
            let taken = world.was_taken(message);
            let fits = match last {
                None => false,
                Some(Outcome::Accepted { .. }) => taken,
                Some(Outcome::Failed(_)) => !taken,
                // Statuses come for all that was taken, so nothing taken stays unknown.
                Some(Outcome::Unknown) => !taken,
            };
            assert!(fits, "seed {seed}: message {message}, taken {taken}: {last:?}");
        }
        let counts = world.lanes.counts();
        let left = (counts.queued, counts.queued_bytes, counts.flights, counts.lanes);
        assert_eq!(left, (0, 0, 0, 0), "seed {seed}");
        assert_eq!(world.lanes.deadline_us(), None, "seed {seed}");
        let told: Vec<_> = world.outcomes.values().map(Vec::len).collect();
        assert!(told.iter().all(|count| *count <= 2), "seed {seed}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    assert_eq!(storm(7).calls, storm(7).calls);
}

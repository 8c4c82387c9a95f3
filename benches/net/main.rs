//! What a message costs a shard's thread: ringpost's net beside a plain epoll loop and glommio's
//! streams, in CPU microseconds of the server's thread, which a noisy machine disturbs least.
//!
//! The server runs on one CPU, the clients on another, over loopback. Rounds are interleaved
//! (A B C A B C …). `cargo bench --bench net` runs in full and fails when a ratio does not hold;
//! without `--bench` it is a smoke test.

mod clients;

mod epoll;

mod streams;

mod sys;

mod under_test;

use clients::{Load, Sample};
use std::process::ExitCode;
use std::time::Duration;

/// One server under load: how its thread is started.
#[derive(Clone, Copy)]
struct Contestant {
    name: &'static str,
    /// Serves until all of its connections have come and gone.
    serve: fn(sys::Seat),
}

/// One load, its contestants, and what must hold between the last and the first.
struct Contest {
    title: &'static str,
    load: Load,
    contestants: &'static [Contestant],
    /// Upper bound of the last contestant's median over the first one's.
    ratio_max: f64,
}

const ECHO: &[Contestant] = &[
    Contestant { name: "epoll, recv + send", serve: epoll::echo },
    Contestant { name: "glommio TcpStream", serve: streams::echo },
    Contestant { name: "ringpost net", serve: under_test::echo },
];

const FAN_OUT: &[Contestant] = &[
    Contestant { name: "epoll, a send per message", serve: epoll::fan_out },
    Contestant { name: "ringpost net", serve: under_test::fan_out },
];

const CONTESTS: &[Contest] = &[
    Contest {
        title: "echo, 64 connections, 64 bytes",
        load: Load::Echo { connections: 64 },
        contestants: ECHO,
        ratio_max: 1.0,
    },
    Contest {
        title: "echo, 1000 connections, 64 bytes",
        load: Load::Echo { connections: 1_000 },
        contestants: ECHO,
        ratio_max: 1.0,
    },
    Contest {
        title: "fan-out to 1000, 1 message in flight, per delivery",
        load: Load::FanOut { connections: 1_000, in_flight: 1 },
        contestants: FAN_OUT,
        ratio_max: 1.0,
    },
    Contest {
        title: "fan-out to 1000, 10 messages in flight, per delivery",
        load: Load::FanOut { connections: 1_000, in_flight: 10 },
        contestants: FAN_OUT,
        ratio_max: 0.25,
    },
];

/// How much of everything a mode does.
struct Size {
    rounds: usize,
    warm_up: Duration,
    measure: Duration,
    connections_max: usize,
}

fn main() -> ExitCode {
    let full = std::env::args().any(|argument| argument == "--bench");
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let size = if full {
        Size {
            rounds: rounds_from_env().unwrap_or(7),
            warm_up: Duration::from_millis(150),
            measure: Duration::from_millis(600),
            connections_max: usize::MAX,
        }
    } else {
        Size {
            rounds: 1,
            warm_up: Duration::from_millis(20),
            measure: Duration::from_millis(50),
            connections_max: 50,
        }
    };
    ringpost::net::raise();
    let mut failures = 0;
    for contest in CONTESTS {
        if only.as_ref().is_none_or(|word| contest.title.contains(word.as_str())) {
            failures += u32::from(!run(contest, &size) && full);
        }
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rounds_from_env() -> Option<usize> {
    std::env::var("ROUNDS").ok()?.parse().ok()
}

/// Runs one contest and prints its table. Whether the ratio holds.
fn run(contest: &Contest, size: &Size) -> bool {
    println!("\n{}", contest.title);
    let load = contest.load.at_most(size.connections_max);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contest.contestants.len()];
    for _ in 0..size.rounds {
        for (contestant, samples) in contest.contestants.iter().zip(&mut samples) {
            samples.push(clients::measure(contestant.serve, load, size.warm_up, size.measure));
        }
    }
    let costs: Vec<Spread> =
        samples.iter().map(|samples| Spread::of(samples, |sample| sample.server_us)).collect();
    println!(
        "  {:<28}{:>9}{:>17}{:>9}{:>9}{:>9}{:>9}",
        "server", "CPU us", "lowest..highest", "ratio", "msg/s", "server", "client"
    );
    for ((contestant, samples), cost) in contest.contestants.iter().zip(&samples).zip(&costs) {
        let rate = Spread::of(samples, |sample| sample.rate).median;
        let server = Spread::of(samples, |sample| sample.server_busy).median;
        let client = Spread::of(samples, |sample| sample.client_busy).median;
        println!(
            "  {:<28}{:>9.3}{:>8.3}..{:<7.3}{:>9.2}{:>9.0}{:>8.0}%{:>8.0}%{}",
            contestant.name,
            cost.median,
            cost.lowest,
            cost.highest,
            cost.median / costs[0].median,
            rate,
            100.0 * server,
            100.0 * client,
            if client > 0.97 { "  the client was the bottleneck" } else { "" }
        );
    }
    let ratio = costs[costs.len() - 1].median / costs[0].median;
    let holds = ratio <= contest.ratio_max;
    let verdict = if holds { "PASS" } else { "FAIL" };
    println!("  {verdict}: ringpost / epoll = {ratio:.3}, at most {:.2}", contest.ratio_max);
    holds
}

/// Median and range of the rounds.
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Spread {
    fn of(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Self {
        let mut values: Vec<f64> = samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let highest = values[values.len() - 1];
        Self { median: values[values.len() / 2], lowest: values[0], highest }
    }
}

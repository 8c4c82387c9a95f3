//! `ringpost-load gen-log`: a realistic log of any size, from a seed, through the real writer.
//!
//! Nothing is sent anywhere. What the records say follows from the options alone; the log thread
//! decides where batches and segments end.

mod command_line;

/// Chance.
pub mod dice;

/// Texts.
mod words;

/// Times.
mod rhythm;

/// Users, rooms, customers.
mod people;

/// What is due.
mod later;

/// What the server measures about itself.
mod metrics;

/// What happens.
mod story;

/// Into a log.
mod writer;

#[cfg(test)]
mod tests;

use command_line::Options;
use dice::Dice;
use people::People;
use std::process::ExitCode;
use std::time::Instant;
use story::Story;
use writer::{LogSink, Written};

/// Runs the command line behind `gen-log`.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let options = match command_line::parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let begin = Instant::now();
    match write(&options) {
        Ok(written) => {
            summarize(&options, written, begin);
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::from(2)
        }
    }
}

/// Writes the log that `options` describe.
fn write(options: &Options) -> Result<Written, String> {
    let mut dice = Dice::new(options.seed);
    let people = People::new(options, &mut dice);
    let mut sink = LogSink::start(options)?;
    Story::new(options, &people, dice, &mut sink).tell()?;
    sink.finish(options.begin_us + i64::from(options.days) * rhythm::DAY_US)
}

fn summarize(options: &Options, written: Written, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64().max(1e-6);
    let mib = written.bytes as f64 / f64::from(1 << 20);
    let cpu = crate::process::usage(std::process::id()).map_or(0.0, |it| it.cpu.as_secs_f64());
    eprintln!(
        "{} messages, {} records in {} segments, {mib:.0} MiB",
        options.messages, written.record_count, written.segment_count
    );
    eprintln!(
        "{seconds:.2} s, {cpu:.2} s of CPU, {:.2} M records/s, {:.0} MiB/s",
        written.record_count as f64 / seconds / 1e6,
        mib / seconds,
    );
}

//! `ringpost`: the server and its companions.

use ringpost::config::{self, Command, Config, ConfigError, Inputs};
use ringpost::{node, rehearsal, remote, terminal};
use std::io::{BufWriter, ErrorKind, Stdout, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    let inputs = Inputs {
        args: std::env::args_os().collect(),
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        read: &|path| std::fs::read(path),
    };
    match config::load(inputs) {
        Ok(command) => run(command),
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(ConfigError::EXIT_CODE)
        }
    }
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(config) => serve(*config),
        Command::Chat(options) => chat(options),
        Command::ConfigCheck { config, report } => {
            warn(&config);
            print(&report)
        }
        Command::HandlersCheck(paths) => {
            rehearsed(rehearsal::check(&paths, &mut stdout(), &mut std::io::stderr()))
        }
        Command::HandlersTest(options) => rehearse(options),
        Command::Remote(options) => {
            rehearsed(remote::run(&options, &mut stdout(), &mut std::io::stderr()))
        }
        Command::Print(text) => print(&text),
    }
}

fn serve(config: Config) -> ExitCode {
    warn(&config);
    let ready = |address| {
        let mut out = std::io::stdout().lock();
        // Nobody may be listening to this line, which is no reason not to serve.
        let _ = writeln!(out, "ringpost listening on http://{address}");
        let _ = out.flush();
    };
    match node::serve(config, ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn chat(options: config::ChatOptions) -> ExitCode {
    let config::ChatOptions { user, room, url, token, json } = options;
    match terminal::run(terminal::ChatOptions { user, room, url, token, json }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rehearse(options: config::HandlersTestOptions) -> ExitCode {
    let config::HandlersTestOptions {
        data,
        since,
        until,
        handler,
        files,
        room,
        shown_count,
        json: is_json,
    } = options;
    let options =
        rehearsal::Options { data, since, until, handler, files, room, shown_count, is_json };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_us = now.as_micros() as i64;
    rehearsed(rehearsal::replay(&options, now_us, &mut stdout(), &mut std::io::stderr()))
}

/// A reader that closed the pipe has seen enough: that is success.
fn rehearsed(status: std::io::Result<u8>) -> ExitCode {
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write: {error}");
            ExitCode::from(rehearsal::EXIT_ERROR)
        }
    }
}

/// Rows come one by one; they leave in larger pieces, and when it is dropped.
fn stdout() -> BufWriter<Stdout> {
    BufWriter::new(std::io::stdout())
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
}

/// A reader that closed the pipe has seen enough: that is success.
fn print(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    ExitCode::SUCCESS
}

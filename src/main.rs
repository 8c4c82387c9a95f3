//! `ringpost`: the server and its companions.

use ringpost::config::{self, Command, Config, ConfigError, Inputs};
use ringpost::{node, terminal};
use std::io::Write as _;
use std::process::ExitCode;

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

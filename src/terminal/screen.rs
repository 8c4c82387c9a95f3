//! Where lines go: above the prompt of a terminal, or to a pipe as text or JSON lines.

use super::escape::harmless_json;
use super::note::Note;
use super::render::Renderer;
use rustyline::ExternalPrinter;
use serde_json::Value;
use std::io::Write;

/// The way out.
pub enum Output {
    /// A terminal with a prompt on it.
    Terminal(Box<dyn ExternalPrinter + Send>),
    /// Lines of text.
    Text(Box<dyn Write + Send>),
    /// Events as the server wrote them, one a line.
    Json(Box<dyn Write + Send>),
}

/// A place to show notes.
pub struct Screen {
    output: Output,
    renderer: Renderer,
}

impl Screen {
    /// A screen that shows notes as `renderer` words them.
    pub fn new(output: Output, renderer: Renderer) -> Self {
        Self { output, renderer }
    }

    /// Shows one note; `active` is the room the person talks in.
    ///
    /// A screen that cannot be written to any more is no reason to stop: what was typed must still
    /// be sent, and the input ends by itself when the terminal is gone.
    pub fn show(&mut self, note: &Note, active: &str) {
        if !matches!(self.output, Output::Terminal(_))
            && let Some(words) = self.renderer.words(note)
        {
            eprintln!("{words}");
            return;
        }
        let lines = self.renderer.lines(note, active);
        if lines.is_empty() {
            return;
        }
        match &mut self.output {
            Output::Terminal(printer) => {
                let _ = printer.print(lines);
            }
            Output::Text(out) => {
                let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
            }
            Output::Json(_) => {}
        }
    }

    /// Shows one event, where events are wanted as they are.
    pub fn event(&mut self, event: &Value) {
        if let Output::Json(out) = &mut self.output {
            let _ = writeln!(out, "{}", harmless_json(event)).and_then(|()| out.flush());
        }
    }
}

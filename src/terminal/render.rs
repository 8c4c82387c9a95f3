//! Notes as lines of text: with colours for a terminal, plain for a pipe. Pure.

use super::escape::{colour, harmless};
use super::note::{Message, Note, Progress};

/// A time as a person's clock shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalTime {
    /// The day, as the date line shows it.
    pub day: String,
    /// Hours, minutes and seconds: `HH:MM:SS`.
    pub clock: String,
}

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For a terminal that knows colours.
    Colour,
    /// For a terminal without.
    Bare,
    /// For a pipe: one line per message, `HH:MM:SS room user: text`.
    Pipe,
}

/// Makes lines from notes; remembers the day of the last one.
pub struct Renderer {
    style: Style,
    local_time: fn(i64) -> LocalTime,
    day: String,
}

impl Renderer {
    /// `local_time` tells a time in milliseconds since 1970 as the person's clock does.
    pub fn new(style: Style, local_time: fn(i64) -> LocalTime) -> Self {
        Self { style, local_time, day: String::new() }
    }

    /// The lines of one note, each with its newline; empty when there is nothing to show.
    ///
    /// `active` is the room the person talks in: its name is left out of lines on a terminal.
    pub fn lines(&mut self, note: &Note, active: &str) -> String {
        if self.style == Style::Pipe {
            return self.pipe(note);
        }
        match note {
            Note::Message { room, message, progress } => {
                let place = if room == active { String::new() } else { self.room(room) };
                let line = self.message(message, *progress, &place);
                format!("{}{line}\n", self.date_line(message.ts))
            }
            Note::Kept { o, .. } => self.dim(&format!("      #{o} ✓")) + "\n",
            Note::Waiting { text, .. } => {
                self.dim(&format!("  …   {}  (waits for the connection)", harmless(text, " ↵ ")))
                    + "\n"
            }
            Note::Changed { room, ts, by, of, before, text } => {
                let place = if room == active { String::new() } else { self.room(room) };
                let line = self.change(*ts, by, *of, before.as_deref(), text.as_deref());
                format!("{}{place}{line}\n", self.date_line(*ts))
            }
            Note::Aside { room, text } => {
                let place = if room == active { String::new() } else { self.room(room) };
                place + &*self.dim(&format!("      · {}", harmless(text, " "))) + "\n"
            }
            Note::Info(text) => self.dim(&format!("  {}", harmless(text, "\n  "))) + "\n",
            Note::RolledBack { room, to } => self.alarm(&rolled_back(room, *to)) + "\n",
            Note::Error(text) => self.alarm(&format!("! {}", harmless(text, "\n  "))) + "\n",
        }
    }

    fn message(&self, message: &Message, progress: Progress, place: &str) -> String {
        let clock = (self.local_time)(message.ts).clock;
        let head = self.dim(&format!("{} #{}", &clock[..5], message.o));
        let author = message.name.as_deref().unwrap_or(&message.from);
        let author = self.name(author, &message.from);
        let quoted = match &message.reply {
            Some((o, Some((from, text)))) => {
                let text = short(&harmless(text, " "));
                self.dim(&format!("↪ #{o} {}: {text} ", harmless(from, " ")))
            }
            Some((o, None)) => self.dim(&format!("↪ #{o} ")),
            None => String::new(),
        };
        let text = match message.deleted {
            true => self.dim("(deleted)"),
            false => harmless(&message.text, "\n        "),
        };
        let edited = if message.edited { self.dim(" (edited)") } else { String::new() };
        match progress {
            Progress::Past => format!("{head} {place}{author}: {quoted}{text}{edited}"),
            Progress::Kept => format!("{head} {place}{author}: {quoted}{text}{edited} ✓"),
            Progress::Pending => {
                let text = self.dim(&format!("{text} …"));
                format!("{head} {place}{author}: {quoted}{text}")
            }
        }
    }

    fn change(
        &self,
        ts: i64,
        by: &str,
        of: u64,
        before: Option<&str>,
        text: Option<&str>,
    ) -> String {
        let clock = (self.local_time)(ts).clock;
        let before = before.map(|text| short(&harmless(text, " "))).unwrap_or_default();
        let head = self.dim(&format!("{} ✎ #{of}", &clock[..5]));
        let by = self.name(by, by);
        match text {
            Some(text) => {
                let before = if before.is_empty() { before } else { format!("{before} → ") };
                format!("{head} {by}: {}{}", self.dim(&before), harmless(text, "\n        "))
            }
            None => format!("{head} {by} {}", self.dim(&format!("deleted: {before}"))),
        }
    }

    fn pipe(&self, note: &Note) -> String {
        match note {
            Note::Message { room, message, .. } if !message.deleted => {
                let clock = (self.local_time)(message.ts).clock;
                let text = harmless(&message.text, "\\n");
                let (room, from) = (harmless(room, " "), harmless(&message.from, " "));
                format!("{clock} {room} {from}: {text}\n")
            }
            Note::Changed { room, ts, by, of, text, .. } => {
                let clock = (self.local_time)(*ts).clock;
                let (room, by) = (harmless(room, " "), harmless(by, " "));
                match text {
                    Some(text) => {
                        format!("{clock} {room} {by} edits #{of}: {}\n", harmless(text, "\\n"))
                    }
                    None => format!("{clock} {room} {by} deletes #{of}\n"),
                }
            }
            _ => String::new(),
        }
    }

    /// What a pipe gets on standard error, so that standard output holds messages only.
    pub fn words(&self, note: &Note) -> Option<String> {
        match note {
            Note::RolledBack { room, to } => Some(rolled_back(room, *to)),
            Note::Info(text) => Some(harmless(text, "\n")),
            Note::Error(text) => Some(format!("error: {}", harmless(text, "\n"))),
            _ => None,
        }
    }

    /// A line for the day, when it is another one than that of the line before.
    fn date_line(&mut self, ts: i64) -> String {
        let day = (self.local_time)(ts).day;
        if day == self.day {
            return String::new();
        }
        self.day.clone_from(&day);
        self.dim(&format!("── {day} ──")) + "\n"
    }

    fn room(&self, room: &str) -> String {
        self.dim(&format!("[{}] ", harmless(room, " ")))
    }

    fn name(&self, shown: &str, from: &str) -> String {
        let shown = harmless(shown, " ");
        match self.style {
            Style::Colour => format!("\x1b[{}m{shown}\x1b[0m", colour(from)),
            Style::Bare | Style::Pipe => shown,
        }
    }

    fn dim(&self, text: &str) -> String {
        match self.style {
            Style::Colour if !text.is_empty() => format!("\x1b[2m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }

    fn alarm(&self, text: &str) -> String {
        match self.style {
            Style::Colour => format!("\x1b[1;31m{text}\x1b[0m"),
            Style::Bare | Style::Pipe => text.to_string(),
        }
    }
}

fn rolled_back(room: &str, to: u64) -> String {
    let room = harmless(room, " ");
    format!("! the server crashed: messages of {room} after #{to} were not kept, ignore them")
}

/// The first words of a text.
fn short(text: &str) -> String {
    const LETTERS_MAX: usize = 40;
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(ts: i64) -> LocalTime {
        let (days, s) = (ts.div_euclid(86_400_000), ts.rem_euclid(86_400_000) / 1_000);
        let clock = format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60);
        LocalTime { day: format!("day {days}"), clock }
    }

    fn message(o: u64, ts: i64, text: &str) -> Message {
        Message {
            o,
            ts,
            from: "bob".into(),
            name: None,
            text: text.into(),
            reply: None,
            edited: false,
            deleted: false,
            own: false,
        }
    }

    fn said(message: Message, progress: Progress) -> Note {
        Note::Message { room: "tea".into(), message, progress }
    }

    #[track_caller]
    fn check(style: Style, note: Note, want: &str) {
        let mut renderer = Renderer::new(style, utc);
        renderer.day = "day 0".into();
        assert_eq!(renderer.lines(&note, "tea"), want);
    }

    #[test]
    fn lines_of_a_terminal() {
        let past = said(message(7, 3_600_000, "hi\nyou"), Progress::Past);
        check(Style::Bare, past, "01:00 #7 bob: hi\n        you\n");
        let mut reply = message(8, 0, "yes");
        reply.reply = Some((7, Some(("al".into(), "?".into()))));
        reply.edited = true;
        let want = "00:00 #8 bob: ↪ #7 al: ? yes (edited)\n";
        check(Style::Bare, said(reply, Progress::Past), want);
        check(Style::Bare, said(message(1, 0, "x"), Progress::Kept), "00:00 #1 bob: x ✓\n");
        check(Style::Bare, said(message(1, 0, "x"), Progress::Pending), "00:00 #1 bob: x …\n");
        let next_day = said(message(1, 86_400_000, "x"), Progress::Past);
        check(Style::Bare, next_day, "── day 1 ──\n00:00 #1 bob: x\n");
        let other = Note::Aside { room: "pub".into(), text: "al is typing".into() };
        check(Style::Bare, other, "[pub]       · al is typing\n");
        let error = Note::Error("bad\x1b[2J".into());
        check(Style::Colour, error, "\x1b[1;31m! bad\\u{1b}[2J\x1b[0m\n");
    }

    #[test]
    fn lines_of_a_pipe() {
        let two = said(message(7, 3_661_000, "hi\nyou"), Progress::Pending);
        check(Style::Pipe, two, "01:01:01 tea bob: hi\\nyou\n");
        check(Style::Pipe, Note::Kept { room: "tea".into(), o: 1 }, "");
        let gone = Note::Changed {
            room: "tea".into(),
            ts: 0,
            by: "al".into(),
            of: 3,
            before: None,
            text: None,
        };
        check(Style::Pipe, gone, "00:00:00 tea al deletes #3\n");
    }
}

//! Rows as a table, JSON, JSON lines or CSV.
//!
//! A table holds its first rows back until their widths are known, or until somebody who waits is
//! shown them ([`Rows::flush`]); later rows keep those widths. The other formats are written as the
//! rows come.

use super::{escape, spark, time};
use std::fmt::Write as _;
use std::io::{self, Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of one value in a table, escapes included.
const TABLE_CELL_WIDTH_MAX: usize = 100;

/// Rows that a table may hold back.
const TABLE_WAITING_MAX: usize = 1_000;

/// Letters of a bar for a share of 1.
const BAR_WIDTH: usize = 24;

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
}

impl Format {
    pub(super) const ALL: [Self; 4] = [Self::Table, Self::Json, Self::Jsonl, Self::Csv];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// What a table may do for eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Look {
    /// Bold and colours.
    pub(super) colour: bool,
    /// A person reads it: digits in groups.
    pub(super) person: bool,
}

/// A column: its name, and how wide a table makes it at least when rows come one by one. A column
/// without a name is a picture: only tables have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) width: usize,
}

/// One value of a row.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Cell {
    None,
    /// How many.
    Count(u64),
    /// Which: a number that is not counted, as a sequence number.
    Id(u64),
    /// A part of 1: `12.3%` in a table, four decimals elsewhere.
    Share(f64),
    /// Microseconds of a span: in words in a table, seconds elsewhere.
    Span(u64),
    /// Microseconds since 1970.
    Time(i64),
    Text(String),
    /// A part of 1, drawn.
    Bar(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::None } else { Self::Text(text.to_owned()) }
    }
}

impl Cell {
    /// `part` of `whole`; nothing of nothing is no share.
    pub(super) fn share(part: u64, whole: u64) -> Self {
        if whole == 0 { Self::None } else { Self::Share(part as f64 / whole as f64) }
    }

    /// As programs read it.
    fn plain(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Count(number) | Self::Id(number) => number.to_string(),
            Self::Share(share) | Self::Bar(share) => format!("{share:.4}"),
            // Waits are whole milliseconds; a command may take less than one.
            Self::Span(us) if us % 1_000 == 0 => {
                format!("{}.{:03}", us / 1_000_000, us / 1_000 % 1_000)
            }
            Self::Span(us) => format!("{}.{:06}", us / 1_000_000, us % 1_000_000),
            Self::Time(us) => time::format(*us),
            Self::Text(text) => text.clone(),
        }
    }

    /// As a person reads it.
    fn shown(&self, look: Look) -> String {
        match self {
            Self::Count(number) if look.person => spark::grouped(*number),
            Self::Share(share) => format!("{:.1}%", share * 100.0),
            Self::Span(us) => spark::span(*us),
            Self::Bar(share) => spark::bar(*share, BAR_WIDTH),
            Self::Time(_) => self.plain().replace(".000000Z", "Z"),
            Self::Text(text) => {
                let mut escaped = String::new();
                escape::terminal(text, &mut escaped);
                cut(&mut escaped);
                escaped
            }
            _ => self.plain(),
        }
    }

    /// Numbers stand at the right, so that their digits stand below each other.
    const fn is_number(&self) -> bool {
        !matches!(self, Self::None | Self::Time(_) | Self::Text(_) | Self::Bar(_))
    }
}

/// A value of a table row: its text, and whether it stands at the right.
type Shown = (String, bool);

/// Rows on their way out. [`Rows::end`] closes the brackets.
pub(super) struct Rows<'a> {
    out: &'a mut dyn Write,
    format: Format,
    look: Look,
    columns: &'static [Column],
    row_count: u64,
    /// Rows of a table whose widths are not settled.
    waiting: Vec<Vec<Shown>>,
    widths: Option<Vec<usize>>,
}

impl<'a> Rows<'a> {
    pub(super) fn begin(
        out: &'a mut dyn Write,
        format: Format,
        look: Look,
        columns: &'static [Column],
    ) -> io::Result<Self> {
        match format {
            Format::Json => out.write_all(b"[")?,
            Format::Csv => {
                let names = columns.iter().map(|column| column.name);
                let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
                out.write_all((names.join(",") + "\r\n").as_bytes())?;
            }
            Format::Jsonl | Format::Table => {}
        }
        Ok(Self { out, format, look, columns, row_count: 0, waiting: Vec::new(), widths: None })
    }

    pub(super) fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        assert!(cells.len() == self.columns.len());
        let mut line = String::new();
        match self.format {
            Format::Json => {
                line.push_str(if self.row_count == 0 { "\n" } else { ",\n" });
                self.object(cells, &mut line);
            }
            Format::Jsonl => {
                self.object(cells, &mut line);
                line.push('\n');
            }
            Format::Csv => {
                for (index, (_, cell)) in self.named(cells).enumerate() {
                    line.push_str(if index == 0 { "" } else { "," });
                    escape::csv(&cell.plain(), &mut line);
                }
                line.push_str("\r\n");
            }
            Format::Table => {
                let shown = |cell: &Cell| (cell.shown(self.look), cell.is_number());
                let row: Vec<Shown> = cells.iter().map(shown).collect();
                match &self.widths {
                    Some(widths) => line = table_line(&row, widths) + "\n",
                    None => self.waiting.push(row),
                }
            }
        }
        self.row_count += 1;
        self.out.write_all(line.as_bytes())?;
        if self.waiting.len() > TABLE_WAITING_MAX { self.settle(false) } else { Ok(()) }
    }

    /// Shows what is held back: for rows that somebody waits for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.settle(false)?;
        self.out.flush()
    }

    /// Ends the output and gives the number of rows.
    pub(super) fn end(mut self) -> io::Result<u64> {
        match self.format {
            Format::Json => {
                self.out.write_all(if self.row_count == 0 { b"]\n" } else { b"\n]\n" })?;
            }
            Format::Table if self.row_count > 0 => self.settle(true)?,
            _ => {}
        }
        Ok(self.row_count)
    }

    /// Fixes the widths of a table by the rows at hand, and writes its head and those rows. When
    /// more may come, each column keeps its least width.
    fn settle(&mut self, complete: bool) -> io::Result<()> {
        if self.format != Format::Table || self.widths.is_some() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        let mut widths = Vec::new();
        let mut head: Vec<Shown> = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let widest = rows.iter().map(|row| row[index].0.width()).max().unwrap_or(0);
            let least = if complete { 0 } else { column.width };
            widths.push(widest.max(column.name.width()).max(least));
            head.push((column.name.to_owned(), rows.iter().any(|row| row[index].1)));
        }
        let head = table_line(&head, &widths);
        let head = if self.look.colour { format!("\x1b[1m{head}\x1b[0m") } else { head };
        writeln!(self.out, "{head}")?;
        for row in rows {
            writeln!(self.out, "{}", table_line(&row, &widths))?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    /// The values that have a name.
    fn named<'c>(&self, cells: &'c [Cell]) -> impl Iterator<Item = (&'static str, &'c Cell)> {
        let pairs = self.columns.iter().zip(cells);
        pairs.map(|(column, cell)| (column.name, cell)).filter(|(name, _)| !name.is_empty())
    }

    fn object(&self, cells: &[Cell], line: &mut String) {
        line.push('{');
        for (index, (name, cell)) in self.named(cells).enumerate() {
            line.push_str(if index == 0 { "" } else { "," });
            escape::json(name, line);
            line.push(':');
            match cell {
                Cell::None => line.push_str("null"),
                Cell::Time(_) | Cell::Text(_) => escape::json(&cell.plain(), line),
                _ => {
                    let _ = write!(line, "{}", cell.plain());
                }
            }
        }
        line.push('}');
    }
}

/// One line: two blanks between columns, none at the end.
fn table_line(row: &[Shown], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, ((text, right), width)) in row.iter().zip(widths).enumerate() {
        let missing = width.saturating_sub(text.width());
        line.push_str(if index == 0 { "" } else { "  " });
        line.extend(std::iter::repeat_n(' ', if *right { missing } else { 0 }));
        line.push_str(text);
        line.extend(std::iter::repeat_n(' ', if *right { 0 } else { missing }));
    }
    line.truncate(line.trim_end_matches(' ').len());
    line
}

/// A table is for eyes: a webhook's body would push the other columns off the screen. Every other
/// format has the whole text.
fn cut(text: &mut String) {
    let mut width = 0;
    for (index, letter) in text.char_indices() {
        width += letter.width().unwrap_or(0);
        if width > TABLE_CELL_WIDTH_MAX {
            text.truncate(index);
            text.push('…');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { name: "name", width: 10 },
        Column { name: "messages", width: 0 },
        Column { name: "share", width: 0 },
        Column { name: "", width: 0 },
        Column { name: "median_s", width: 0 },
        Column { name: "note", width: 0 },
    ];

    fn rows() -> Vec<[Cell; 6]> {
        let row = |name: &str, count, share, us, note: &str| {
            let bar = Cell::Bar(share);
            [name.into(), Cell::Count(count), Cell::Share(share), bar, Cell::Span(us), note.into()]
        };
        vec![
            row("日本 👩‍👩‍👧", 1_234_567, 0.5, 95_250_000, ""),
            row("a\u{202e}b", 12, 0.25, 1_500_000, "say \"hi\", you"),
        ]
    }

    fn written(format: Format, look: Look, flushed: bool) -> String {
        let mut out = Vec::new();
        let mut target = Rows::begin(&mut out, format, look, COLUMNS).unwrap();
        for row in rows() {
            target.row(&row).unwrap();
            if flushed {
                target.flush().unwrap();
            }
        }
        assert_eq!(target.end().unwrap(), 2);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_fits_its_rows() {
        let want = "\
name         messages  share                median_s  note
日本 👩‍👩‍👧     1,234,567  50.0%  ████████████    1m 35s
a\\u{202e}b         12  25.0%  ██████           1.5 s  say \"hi\", you
";
        assert_eq!(written(Format::Table, Look { colour: false, person: true }, false), want);
        let streamed = written(Format::Table, Look { colour: true, person: false }, true);
        assert!(streamed.starts_with("\x1b[1mname        messages"), "{streamed}");
        assert!(streamed.contains("  1234567  50.0%"), "{streamed}");
    }

    #[test]
    fn programs_get_numbers_and_no_pictures() {
        let csv = written(Format::Csv, Look::default(), false);
        let want = "name,messages,share,median_s,note\r\n日本 👩‍👩‍👧,1234567,0.5000,95.250,\r\n\
            a\\u{202e}b,12,0.2500,1.500,\"say \"\"hi\"\", you\"\r\n";
        assert_eq!(csv, want);
        let json = written(Format::Json, Look { colour: true, person: true }, false);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json[0]["messages"], 1_234_567);
        assert_eq!(json[1]["median_s"], 1.5);
        assert_eq!(json[0]["note"], serde_json::Value::Null);
        assert_eq!(json[1]["name"], "a\u{202e}b");
        assert_eq!(json[0].as_object().unwrap().len(), 5);
    }

    #[test]
    fn no_rows_are_no_table() {
        for (format, want) in [
            (Format::Table, ""),
            (Format::Json, "[]\n"),
            (Format::Jsonl, ""),
            (Format::Csv, "name,messages,share,median_s,note\r\n"),
        ] {
            let mut out = Vec::new();
            let rows = Rows::begin(&mut out, format, Look::default(), COLUMNS).unwrap();
            assert_eq!(rows.end().unwrap(), 0);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}

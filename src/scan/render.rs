//! Rows as a table, JSON, JSON lines or CSV; written as they come, so that a tail can follow.

use super::{escape, time};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Characters of one value in a table, escapes included.
const TABLE_CELL_CHARS_MAX: usize = 100;

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

/// A column: its name, and how wide a table makes it at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) width: usize,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    None,
    Count(u64),
    Time(i64),
    Text(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::None } else { Self::Text(text.to_owned()) }
    }
}

/// Rows on their way out. [`Rows::end`] closes the brackets.
pub(super) struct Rows<'a> {
    out: &'a mut dyn Write,
    format: Format,
    columns: &'static [Column],
    row_count: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn begin(
        out: &'a mut dyn Write,
        format: Format,
        colour: bool,
        columns: &'static [Column],
    ) -> io::Result<Self> {
        let mut line = String::new();
        match format {
            Format::Json => line.push('['),
            Format::Jsonl => {}
            Format::Csv => {
                let names: Vec<_> = columns.iter().map(|column| column.name).collect();
                line = names.join(",") + "\r\n";
            }
            Format::Table => {
                for (index, column) in columns.iter().enumerate() {
                    pad(&mut line, column.name, column.width, index + 1 == columns.len());
                }
                line = if colour { format!("\x1b[1m{line}\x1b[0m\n") } else { line + "\n" };
            }
        }
        out.write_all(line.as_bytes())?;
        Ok(Self { out, format, columns, row_count: 0 })
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
                for (index, cell) in cells.iter().enumerate() {
                    line.push_str(if index == 0 { "" } else { "," });
                    escape::csv(&text(cell), &mut line);
                }
                line.push_str("\r\n");
            }
            Format::Table => {
                for (index, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
                    let mut escaped = String::new();
                    escape::terminal(&text(cell), &mut escaped);
                    cut(&mut escaped);
                    pad(&mut line, &escaped, column.width, index + 1 == cells.len());
                }
                line.push('\n');
            }
        }
        self.row_count += 1;
        self.out.write_all(line.as_bytes())
    }

    /// Shows what is buffered: for rows that somebody waits for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the output and gives the number of rows.
    pub(super) fn end(self) -> io::Result<u64> {
        if self.format == Format::Json {
            self.out.write_all(if self.row_count == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        Ok(self.row_count)
    }

    fn object(&self, cells: &[Cell], line: &mut String) {
        line.push('{');
        for (index, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
            line.push_str(if index == 0 { "" } else { "," });
            escape::json(column.name, line);
            line.push(':');
            match cell {
                Cell::None => line.push_str("null"),
                Cell::Count(count) => {
                    let _ = write!(line, "{count}");
                }
                Cell::Time(_) | Cell::Text(_) => escape::json(&text(cell), line),
            }
        }
        line.push('}');
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::None => String::new(),
        Cell::Count(count) => count.to_string(),
        Cell::Time(us) => time::format(*us),
        Cell::Text(text) => text.clone(),
    }
}

/// A table is for eyes: a webhook's body would push the other columns off the screen. Every other
/// format has the whole text.
fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TABLE_CELL_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

/// Pads by characters: wide ones shift a table by a column, which is better than a table of widths.
fn pad(line: &mut String, text: &str, width: usize, last: bool) {
    line.push_str(text);
    if !last {
        let missing = width.saturating_sub(text.chars().count());
        line.extend(std::iter::repeat_n(' ', missing + 2));
    }
}

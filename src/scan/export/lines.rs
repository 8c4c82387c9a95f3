//! JSON lines and CSV: one row per line, no library.

use super::Sink;
use super::fields::{Field, Table};
use super::row::{Row, Value};
use crate::scan::{escape, time};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Rows as JSON objects (RFC 8259), one per line.
///
/// Columns of `all` that a record does not have, or that are false, are left out: there are many.
/// Other tables have every column in every line, so that whoever guesses a schema from the first
/// lines guesses right.
pub(super) struct Jsonl<W> {
    out: W,
    table: &'static Table,
    line: String,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn begin(out: W, table: &'static Table) -> Self {
        Self { out, table, line: String::new() }
    }
}

impl<W: Write> Sink for Jsonl<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let sparse = self.table.kinds.is_empty();
        self.line.clear();
        for field in self.table.fields {
            let value = row.get(*field);
            if sparse && matches!(value, Value::None | Value::Flag(false)) {
                continue;
            }
            self.line.push(if self.line.is_empty() { '{' } else { ',' });
            // Names of columns need no escape.
            let _ = write!(self.line, "\"{}\":", field.name());
            push_json(value, &mut self.line);
        }
        self.line.push_str("}\n");
        self.out.write_all(self.line.as_bytes())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

fn push_json(value: Value<'_>, line: &mut String) {
    match value {
        Value::None => line.push_str("null"),
        Value::Time(us) => {
            let _ = write!(line, "\"{}\"", time::format(us));
        }
        Value::Text(text) => escape::json(text, line),
        Value::Code(code) => {
            let _ = write!(line, "\"{code}\"");
        }
        Value::Bytes(bytes) => {
            line.push('"');
            push_hex(bytes, line);
            line.push('"');
        }
        Value::Count(_) | Value::Number(_) | Value::Flag(_) => push_plain(value, line),
    }
}

fn push_plain(value: Value<'_>, line: &mut String) {
    let _ = match value {
        Value::Count(count) => write!(line, "{count}"),
        Value::Number(number) => write!(line, "{number}"),
        Value::Flag(flag) => write!(line, "{flag}"),
        _ => Ok(()),
    };
}

fn push_hex(bytes: &[u8], line: &mut String) {
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
}

/// Rows as CSV (RFC 4180) with a head line. Control characters and backslashes are escaped as on a
/// terminal, so that a row is a line; absent is nothing, and an empty text is `""`.
pub(super) struct Csv<W> {
    out: W,
    fields: &'static [Field],
    line: String,
}

impl<W: Write> Csv<W> {
    pub(super) fn begin(mut out: W, table: &'static Table) -> io::Result<Self> {
        let names: Vec<_> = table.fields.iter().map(|field| field.name()).collect();
        write!(out, "{}\r\n", names.join(","))?;
        Ok(Self { out, fields: table.fields, line: String::new() })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.line.clear();
        for (index, field) in self.fields.iter().enumerate() {
            self.line.push_str(if index == 0 { "" } else { "," });
            match row.get(*field) {
                Value::Text("") => self.line.push_str("\"\""),
                Value::Text(text) => escape::csv(text, &mut self.line),
                Value::Code(code) => self.line.push_str(code),
                Value::Time(us) => self.line.push_str(&time::format(us)),
                Value::Bytes(bytes) => push_hex(bytes, &mut self.line),
                value => push_plain(value, &mut self.line),
            }
        }
        self.line.push_str("\r\n");
        self.out.write_all(self.line.as_bytes())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

//! Parquet, by the column writer of the `parquet` crate.
//!
//! Rows are gathered by column and written as a row group when enough are there, so memory has a
//! bound whatever the length of the log. Every column is dictionary-encoded as long as that pays,
//! compressed with zstd, and nullable; times are `TIMESTAMP(MICROS, UTC)`, counts unsigned.

use super::Sink;
use super::fields::{Field, Table, Type};
use super::row::{Row, Value};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type as Node};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Rows of a group at most. Readers skip and parallelise by groups.
const GROUP_ROWS_MAX: usize = 122_880;
/// Bytes of texts that a group gathers before it is written.
const GROUP_BYTES: usize = 24 << 20;

/// Rows as a Parquet file.
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<File>,
    fields: &'static [Field],
    columns: Vec<Column>,
    row_count: usize,
    text_bytes: usize,
}

/// The gathered values of one column.
struct Column {
    values: Values,
    /// Per row, 1 when there is a value. Parquet calls it the definition level.
    present: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    /// One allocation for all: the bytes behind one another, and where each value ends.
    Bytes {
        arena: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl ParquetFile {
    pub(super) fn begin(file: File, table: &'static Table) -> io::Result<Self> {
        let properties = Arc::new(properties(table));
        let schema = schema(table).map_err(broken)?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), properties);
        let columns = table.fields.iter().map(|field| Column::of(field.ty())).collect();
        let writer = writer.map_err(broken)?;
        Ok(Self { writer, fields: table.fields, columns, row_count: 0, text_bytes: 0 })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let writer = group.next_column()?.expect("as many columns as in the schema");
            column.write(writer)?;
        }
        group.close()?;
        self.row_count = 0;
        self.text_bytes = 0;
        Ok(())
    }
}

impl Sink for ParquetFile {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, field) in self.columns.iter_mut().zip(self.fields) {
            self.text_bytes += column.push(row.get(*field));
        }
        self.row_count += 1;
        if self.row_count == GROUP_ROWS_MAX || self.text_bytes >= GROUP_BYTES {
            self.write_group().map_err(broken)?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        if self.row_count > 0 {
            self.write_group().map_err(broken)?;
        }
        self.writer.close().map_err(broken)?;
        Ok(())
    }
}

impl Column {
    fn of(ty: Type) -> Self {
        let values = match ty {
            Type::Count | Type::Time => Values::Int64(Vec::new()),
            Type::Number => Values::Int32(Vec::new()),
            Type::Code | Type::Name | Type::Text | Type::Bytes => {
                Values::Bytes { arena: Vec::new(), ends: Vec::new() }
            }
            Type::Flag => Values::Bool(Vec::new()),
        };
        Self { values, present: Vec::new() }
    }

    /// Takes a value and gives the bytes that it holds elsewhere.
    fn push(&mut self, value: Value<'_>) -> usize {
        self.present.push(i16::from(value != Value::None));
        match (&mut self.values, value) {
            (_, Value::None) => {}
            // Unsigned numbers keep their bits: the logical type says how to read them.
            (Values::Int64(values), Value::Count(count)) => values.push(count.cast_signed()),
            (Values::Int64(values), Value::Time(us)) => values.push(us),
            (Values::Int32(values), Value::Number(number)) => values.push(number.cast_signed()),
            (Values::Bool(values), Value::Flag(flag)) => values.push(flag),
            (Values::Bytes { arena, ends }, Value::Code(text) | Value::Text(text)) => {
                arena.extend_from_slice(text.as_bytes());
                ends.push(arena.len());
                return text.len();
            }
            (Values::Bytes { arena, ends }, Value::Bytes(bytes)) => {
                arena.extend_from_slice(bytes);
                ends.push(arena.len());
                return bytes.len();
            }
            (_, value) => unreachable!("{value:?} in a column of another type"),
        }
        0
    }

    fn write(&mut self, writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Bool(values) => write::<BoolType>(writer, values, &self.present)?,
            Values::Int32(values) => write::<Int32Type>(writer, values, &self.present)?,
            Values::Int64(values) => write::<Int64Type>(writer, values, &self.present)?,
            Values::Bytes { arena, ends } => {
                let arena = ByteArray::from(std::mem::take(arena));
                let begins = std::iter::once(0).chain(ends.iter().copied());
                let value = |(begin, end): (usize, &usize)| arena.slice(begin, end - begin);
                let mut values = begins.zip(ends.iter()).map(value).collect();
                write::<ByteArrayType>(writer, &mut values, &self.present)?;
                ends.clear();
            }
        }
        self.present.clear();
        Ok(())
    }
}

fn write<T: DataType>(
    mut writer: SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    present: &[i16],
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(values, Some(present), None)?;
    writer.close()?;
    values.clear();
    Ok(())
}

fn properties(table: &Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_created_by(concat!("ringpost ", env!("CARGO_PKG_VERSION")).to_owned());
    for field in table.fields.iter().filter(|field| matches!(field.ty(), Type::Text | Type::Bytes))
    {
        // Hardly two texts are equal: a dictionary of them is built for nothing, and the least and
        // the greatest text help nobody to skip.
        let column = ColumnPath::from(field.name());
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None);
    }
    builder.build()
}

fn schema(table: &Table) -> Result<Node, ParquetError> {
    let mut nodes = Vec::new();
    for field in table.fields {
        let unsigned = |bits| LogicalType::integer(bits, false);
        let (physical, logical) = match field.ty() {
            Type::Count => (Physical::INT64, Some(unsigned(64))),
            Type::Number => (Physical::INT32, Some(unsigned(32))),
            Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Type::Code | Type::Name | Type::Text => {
                (Physical::BYTE_ARRAY, Some(LogicalType::String))
            }
            Type::Bytes => (Physical::BYTE_ARRAY, None),
            Type::Flag => (Physical::BOOLEAN, None),
        };
        let node = Node::primitive_type_builder(field.name(), physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL)
            .build()?;
        nodes.push(Arc::new(node));
    }
    Node::group_type_builder(table.name).with_fields(nodes).build()
}

fn broken(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

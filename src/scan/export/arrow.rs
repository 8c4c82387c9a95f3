//! Arrow IPC files (also called Feather 2), by the `arrow` crates.
//!
//! Rows are gathered by column and written as a record batch when enough are there. Codes are
//! dictionaries: each has all its texts from the first batch on, because an Arrow file may not
//! replace a dictionary.

use super::Sink;
use super::fields::{Field, Table, Type};
use super::row::{Row, Value};
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Int8Builder, StringBuilder, TimestampMicrosecondBuilder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

/// Rows of a batch at most.
const BATCH_ROWS_MAX: usize = 65_536;
/// Bytes of texts that a batch gathers before it is written: far below the 2 GiB of a column.
const BATCH_BYTES: usize = 24 << 20;
/// Times are in UTC.
const ZONE: &str = "UTC";

/// Rows as an Arrow IPC file.
pub(super) struct ArrowFile {
    writer: FileWriter<BufWriter<File>>,
    schema: SchemaRef,
    fields: &'static [Field],
    columns: Vec<Column>,
    row_count: usize,
    text_bytes: usize,
}

enum Column {
    Count(UInt64Builder),
    Number(UInt32Builder),
    Time(TimestampMicrosecondBuilder),
    Code { keys: Int8Builder, codes: Vec<&'static str>, texts: ArrayRef },
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Flag(BooleanBuilder),
}

impl ArrowFile {
    pub(super) fn begin(file: File, table: &'static Table) -> io::Result<Self> {
        let fields = table
            .fields
            .iter()
            .map(|field| ArrowField::new(field.name(), data_type(field.ty()), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let writer = FileWriter::try_new(BufWriter::new(file), &schema).map_err(broken)?;
        let columns = table.fields.iter().map(|field| Column::of(*field)).collect();
        Ok(Self { writer, schema, fields: table.fields, columns, row_count: 0, text_bytes: 0 })
    }

    fn write_batch(&mut self) -> Result<(), ArrowError> {
        let arrays = self.columns.iter_mut().map(Column::take).collect();
        self.writer.write(&RecordBatch::try_new(self.schema.clone(), arrays)?)?;
        self.row_count = 0;
        self.text_bytes = 0;
        Ok(())
    }
}

impl Sink for ArrowFile {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, field) in self.columns.iter_mut().zip(self.fields) {
            self.text_bytes += column.push(row.get(*field));
        }
        self.row_count += 1;
        if self.row_count == BATCH_ROWS_MAX || self.text_bytes >= BATCH_BYTES {
            self.write_batch().map_err(broken)?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        if self.row_count > 0 {
            self.write_batch().map_err(broken)?;
        }
        self.writer.finish().map_err(broken)
    }
}

impl Column {
    fn of(field: Field) -> Self {
        match field.ty() {
            Type::Count => Self::Count(UInt64Builder::new()),
            Type::Number => Self::Number(UInt32Builder::new()),
            Type::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone(ZONE)),
            Type::Code => {
                let codes = field.codes();
                assert!(codes.len() <= i8::MAX as usize);
                let texts = Arc::new(StringArray::from(codes.clone()));
                Self::Code { keys: Int8Builder::new(), codes, texts }
            }
            Type::Name | Type::Text => Self::Text(StringBuilder::new()),
            Type::Bytes => Self::Bytes(BinaryBuilder::new()),
            Type::Flag => Self::Flag(BooleanBuilder::new()),
        }
    }

    /// Takes a value and gives the bytes of text in it.
    fn push(&mut self, value: Value<'_>) -> usize {
        match (&mut *self, value) {
            (Self::Count(column), Value::Count(count)) => column.append_value(count),
            (Self::Number(column), Value::Number(number)) => column.append_value(number),
            (Self::Time(column), Value::Time(us)) => column.append_value(us),
            (Self::Flag(column), Value::Flag(flag)) => column.append_value(flag),
            (Self::Code { keys, codes, .. }, Value::Code(code)) => {
                let key = codes.iter().position(|known| *known == code);
                keys.append_value(key.expect("fields list every code") as i8);
            }
            (Self::Text(column), Value::Text(text)) => {
                column.append_value(text);
                return text.len();
            }
            (Self::Bytes(column), Value::Bytes(bytes)) => {
                column.append_value(bytes);
                return bytes.len();
            }
            (column, Value::None) => column.push_none(),
            (_, value) => unreachable!("{value:?} in a column of another type"),
        }
        0
    }

    fn push_none(&mut self) {
        match self {
            Self::Count(column) => column.append_null(),
            Self::Number(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Code { keys, .. } => keys.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Bytes(column) => column.append_null(),
            Self::Flag(column) => column.append_null(),
        }
    }

    /// The gathered values; leaves the column empty.
    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Count(column) => Arc::new(column.finish()),
            Self::Number(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Code { keys, texts, .. } => {
                Arc::new(DictionaryArray::<Int8Type>::new(keys.finish(), texts.clone()))
            }
            Self::Text(column) => Arc::new(column.finish()),
            Self::Bytes(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
        }
    }
}

fn data_type(ty: Type) -> DataType {
    match ty {
        Type::Count => DataType::UInt64,
        Type::Number => DataType::UInt32,
        Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
        Type::Code => DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
        Type::Name | Type::Text => DataType::Utf8,
        Type::Bytes => DataType::Binary,
        Type::Flag => DataType::Boolean,
    }
}

fn broken(error: ArrowError) -> io::Error {
    io::Error::other(error)
}

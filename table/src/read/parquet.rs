//! Rows of Parquet files.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;

use super::{Read, io};
use crate::{Record, TableError};

/// A Parquet file whose rows are read one by one, a page of each column in memory.
pub(super) struct Parquet {
    path: PathBuf,
    rows: RowIter<'static>,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Parquet {
    pub(super) fn open(path: &Path) -> Result<(Vec<String>, Self), TableError> {
        let file = File::open(path).map_err(io(path))?;
        let content = |what: String| TableError::Content { path: path.to_owned(), what };
        let reader = SerializedFileReader::new(file).map_err(|error| content(error.to_string()))?;
        let schema = reader.metadata().file_metadata().schema().clone();
        let columns = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok((columns, Self { path: path.to_owned(), rows }))
    }

    pub(super) fn next(&mut self, record: &mut Record) -> Result<Read, TableError> {
        let row = match self.rows.next() {
            None => return Ok(Read::End),
            Some(row) => {
                row.map_err(|error| TableError::Content { path: self.path.clone(), what: error.to_string() })?
            }
        };
        for (name, field) in row.get_column_iter() {
            if let Err(what) = push(record, field) {
                let reason = format!("`{name}` holds {what}");
                return Ok(Read::Rejected { reason, original: row.to_string() });
            }
        }
        Ok(Read::Row)
    }
}

/// Adds a cell; what it is, if it cannot be one.
fn push(record: &mut Record, field: &Field) -> Result<(), &'static str> {
    const DAY_MS: f64 = 86_400_000.0;
    match field {
        Field::Null => record.push_missing(),
        Field::Bool(value) => record.push_text(if *value { "true" } else { "false" }),
        Field::Byte(value) => record.push_number(f64::from(*value)),
        Field::Short(value) => record.push_number(f64::from(*value)),
        Field::Int(value) => record.push_number(f64::from(*value)),
        Field::Long(value) => whole(record, i128::from(*value)),
        Field::UByte(value) => record.push_number(f64::from(*value)),
        Field::UShort(value) => record.push_number(f64::from(*value)),
        Field::UInt(value) => record.push_number(f64::from(*value)),
        Field::ULong(value) => whole(record, i128::from(*value)),
        Field::Float16(value) => record.push_number(f64::from(value.to_f32())),
        Field::Float(value) => record.push_number(f64::from(*value)),
        Field::Double(value) => record.push_number(*value),
        // Printed with its point where it belongs.
        Field::Decimal(_) => record.push_text(&field.to_string()),
        Field::Str(text) => record.push_text(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => record.push_text(text),
            Err(_) => return Err("bytes that are no text"),
        },
        Field::Date(days) => record.push_date(f64::from(*days)),
        Field::TimestampMillis(ms) => record.push_date(*ms as f64 / DAY_MS),
        Field::TimestampMicros(us) => record.push_date(*us as f64 / (DAY_MS * 1e3)),
        Field::TimeMillis(_) | Field::TimeMicros(_) => return Err("a time without a date"),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => return Err("a list or a group"),
    }
    Ok(())
}

/// A whole number; as text where a float would lose digits, as an id needs them.
fn whole(record: &mut Record, value: i128) {
    if value.unsigned_abs() <= 1 << 53 {
        record.push_number(value as f64);
    } else {
        record.push_text(&value.to_string());
    }
}

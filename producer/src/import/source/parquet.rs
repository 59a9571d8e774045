//! Rows of Parquet files: the wanted columns alone are read, a few thousand values at a time.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use types::RejectReason;

use crate::map::{Cell, Reject};

/// How many rows are decoded at once.
const ROWS: usize = 4096;

/// Reads the rows of one file, one by one.
pub(crate) struct ParquetRows {
    file: SerializedFileReader<File>,
    wanted: Vec<Wanted>,
    group: usize,
    left_in_group: usize,
    columns: Vec<Column>,
    /// Of the rows decoded, how many there are and which comes next.
    decoded: usize,
    next: usize,
    row: u64,
    /// Where others see how many of the file's bytes are read, and how many of them were told: as its rows go by.
    read: Arc<AtomicU64>,
    bytes: u64,
    told: u64,
}

impl std::fmt::Debug for ParquetRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetRows").field("row", &self.row).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    leaf: usize,
    meaning: Meaning,
    optional: i16,
}

/// What a column's stored values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Plain,
    Unsigned,
    Date,
    /// So many units in a millisecond; 0 for whole seconds does not occur.
    Moment {
        per_ms: i64,
        utc: bool,
    },
    Decimal {
        scale: i32,
    },
}

/// A column whose pages are open, and the values decoded of it.
struct Column {
    reader: ColumnReader,
    /// Definition levels: which rows have a value. Empty for a column that every row has.
    levels: Vec<i16>,
    values: Values,
    /// The first value not given out.
    next: usize,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl ParquetRows {
    /// Opens a file. The inner error is the wanted column that it does not have, and those that it has.
    pub(crate) fn open(
        file: File,
        wanted: &[String],
        read: &Arc<AtomicU64>,
    ) -> Result<Result<Self, (String, Vec<String>)>, ParquetError> {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let file = SerializedFileReader::new(file)?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let mut found = Vec::with_capacity(wanted.len());
        for name in wanted {
            let leaf =
                schema.columns().iter().position(|c| c.path().string() == *name && c.max_rep_level() == 0);
            let Some(leaf) = leaf else {
                let is_within = |path: String| {
                    path.strip_prefix(&**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                let mut lists = schema.columns().iter().filter(|c| c.max_rep_level() > 0);
                if lists.any(|c| is_within(c.path().string())) {
                    let why = format!(
                        "column `{name}` is a list, which no map reads: give each item a row of its own when the file is written"
                    );
                    return Err(ParquetError::General(why));
                }
                let single = schema.columns().iter().filter(|c| c.max_rep_level() == 0);
                let all = single.map(|c| c.path().string()).collect();
                return Ok(Err((name.clone(), all)));
            };
            let column = schema.column(leaf);
            found.push(Wanted { leaf, meaning: meaning(&column), optional: column.max_def_level() });
        }
        Ok(Ok(Self {
            file,
            wanted: found,
            group: 0,
            left_in_group: 0,
            columns: Vec::new(),
            decoded: 0,
            next: 0,
            row: 0,
            read: Arc::clone(read),
            bytes,
            told: 0,
        }))
    }

    fn tell(&mut self) {
        let rows = u64::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        let done = (self.row + self.decoded as u64).min(rows);
        let bytes = u128::from(self.bytes) * u128::from(done) / u128::from(rows);
        let bytes = u64::try_from(bytes).unwrap_or(self.bytes);
        self.read.fetch_add(bytes.saturating_sub(self.told), Ordering::Relaxed);
        self.told = self.told.max(bytes);
    }

    /// The columns of a file that are lists, which no map reads: the outermost name of each.
    pub(crate) fn lists(file: File) -> Result<Vec<String>, ParquetError> {
        let file = SerializedFileReader::new(file)?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let lists = schema.columns().iter().filter(|column| column.max_rep_level() > 0);
        let mut names: Vec<String> =
            lists.filter_map(|column| column.path().parts().first().cloned()).collect();
        names.dedup();
        Ok(names)
    }

    /// The columns of a file that are no lists; of typed times also whether they are instants.
    pub(crate) fn columns(file: File) -> Result<Vec<(String, Option<bool>)>, ParquetError> {
        let file = SerializedFileReader::new(file)?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let single = schema.columns().iter().filter(|column| column.max_rep_level() == 0);
        let described = single.map(|column| {
            let utc = match meaning(column) {
                Meaning::Moment { utc, .. } => Some(utc),
                Meaning::Date => Some(false),
                _ if column.physical_type() == parquet::basic::Type::INT96 => Some(false),
                _ => None,
            };
            (column.path().string(), utc)
        });
        Ok(described.collect())
    }

    /// Which of the wanted columns hold wall-clock times of an unknown zone.
    pub(crate) fn naive(&self) -> impl Iterator<Item = usize> {
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        let naive = move |w: &Wanted| {
            matches!(w.meaning, Meaning::Date | Meaning::Moment { utc: false, .. })
                || schema.column(w.leaf).physical_type() == parquet::basic::Type::INT96
        };
        self.wanted.iter().enumerate().filter(move |(_, w)| naive(w)).map(|(place, _)| place)
    }

    /// Goes to the next row and returns its number, from 1; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, ParquetError> {
        if self.row > 0 {
            for (column, wanted) in self.columns.iter_mut().zip(&self.wanted) {
                column.next += usize::from(column.has_value(self.next, wanted.optional));
            }
            self.next += 1;
        }
        while self.next >= self.decoded {
            if self.left_in_group == 0 && !self.open_group()? {
                return Ok(None);
            }
            self.decode()?;
            self.tell();
        }
        self.row += 1;
        Ok(Some(self.row))
    }

    fn open_group(&mut self) -> Result<bool, ParquetError> {
        self.columns.clear();
        while self.group < self.file.num_row_groups() {
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.left_in_group = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            if self.left_in_group > 0 {
                for wanted in &self.wanted {
                    let reader = group.get_column_reader(wanted.leaf)?;
                    let values = Values::for_reader(&reader);
                    self.columns.push(Column { reader, levels: Vec::new(), values, next: 0 });
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn decode(&mut self) -> Result<(), ParquetError> {
        let rows = self.left_in_group.min(ROWS);
        for column in &mut self.columns {
            let read = column.decode(rows)?;
            if read != rows {
                return Err(ParquetError::General(format!("a column ends after {read} of {rows} rows")));
            }
        }
        self.left_in_group -= rows;
        self.decoded = rows;
        self.next = 0;
        Ok(())
    }

    /// Adds the wanted columns of the row at hand to `cells`.
    pub(crate) fn cells<'r>(&'r self, cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        for (column, wanted) in self.columns.iter().zip(&self.wanted) {
            let value = column.has_value(self.next, wanted.optional);
            cells.push(if value { column.values.cell(column.next, wanted.meaning)? } else { Cell::Missing });
        }
        Ok(())
    }
}

impl Column {
    fn has_value(&self, row: usize, optional: i16) -> bool {
        optional == 0 || self.levels.get(row) == Some(&optional)
    }

    fn decode(&mut self, rows: usize) -> Result<usize, ParquetError> {
        fn read<T: DataType>(
            reader: &mut ColumnReaderImpl<T>,
            rows: usize,
            levels: &mut Vec<i16>,
            values: &mut Vec<T::T>,
        ) -> Result<usize, ParquetError> {
            values.clear();
            reader.read_records(rows, Some(levels), None, values).map(|(records, ..)| records)
        }
        self.levels.clear();
        self.next = 0;
        let levels = &mut self.levels;
        match (&mut self.reader, &mut self.values) {
            (ColumnReader::BoolColumnReader(r), Values::Bool(v)) => read(r, rows, levels, v),
            (ColumnReader::Int32ColumnReader(r), Values::Int32(v)) => read(r, rows, levels, v),
            (ColumnReader::Int64ColumnReader(r), Values::Int64(v)) => read(r, rows, levels, v),
            (ColumnReader::Int96ColumnReader(r), Values::Int96(v)) => read(r, rows, levels, v),
            (ColumnReader::FloatColumnReader(r), Values::Float(v)) => read(r, rows, levels, v),
            (ColumnReader::DoubleColumnReader(r), Values::Double(v)) => read(r, rows, levels, v),
            (ColumnReader::ByteArrayColumnReader(r), Values::Bytes(v)) => read(r, rows, levels, v),
            (ColumnReader::FixedLenByteArrayColumnReader(r), Values::Fixed(v)) => read(r, rows, levels, v),
            _ => Err(ParquetError::General("a column changed its type".to_owned())),
        }
    }
}

impl Values {
    fn for_reader(reader: &ColumnReader) -> Self {
        match reader {
            ColumnReader::BoolColumnReader(_) => Self::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Self::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Self::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Self::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Self::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Self::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Self::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Self::Fixed(Vec::new()),
        }
    }

    fn cell(&self, at: usize, meaning: Meaning) -> Result<Cell<'_>, Reject> {
        let float = |n: f64| {
            let error =
                || Reject::new(RejectReason::NumberOutOfRange, format!("{n} is no number to count with"));
            if n.is_finite() { Ok(Cell::Float(n)) } else { Err(error()) }
        };
        match self {
            Self::Bool(v) => Ok(Cell::Bool(v[at])),
            Self::Int32(v) if meaning == Meaning::Unsigned => Ok(Cell::Int(i64::from(v[at].cast_unsigned()))),
            Self::Int32(v) => Ok(integer(i64::from(v[at]), meaning)),
            Self::Int64(v) => Ok(integer(v[at], meaning)),
            Self::Int96(v) => Ok(Cell::Moment { ms: v[at].to_millis(), utc: false }),
            Self::Float(v) => float(f64::from(v[at])),
            Self::Double(v) => float(v[at]),
            Self::Bytes(v) => bytes(v[at].data(), meaning),
            Self::Fixed(v) => bytes(v[at].data(), meaning),
        }
    }
}

fn integer(n: i64, meaning: Meaning) -> Cell<'static> {
    match meaning {
        Meaning::Plain => Cell::Int(n),
        // Above i64 the digits are kept as text, as an id needs.
        Meaning::Unsigned if n < 0 => Cell::Text(Cow::Owned(n.cast_unsigned().to_string())),
        Meaning::Unsigned => Cell::Int(n),
        Meaning::Date => Cell::Moment { ms: n.saturating_mul(86_400_000), utc: false },
        Meaning::Moment { per_ms, utc } => Cell::Moment { ms: n.div_euclid(per_ms), utc },
        Meaning::Decimal { scale } => decimal(i128::from(n), scale),
    }
}

fn bytes(data: &[u8], meaning: Meaning) -> Result<Cell<'_>, Reject> {
    if let Meaning::Decimal { scale } = meaning {
        if data.len() > 16 {
            return Err(Reject::new(
                RejectReason::NumberOutOfRange,
                "a decimal of more than 16 bytes".to_owned(),
            ));
        }
        // Big-endian two's complement: the sign fills the bytes that are not there.
        let sign = if data.first().is_some_and(|b| b & 0x80 != 0) { -1_i128 } else { 0 };
        return Ok(decimal(data.iter().fold(sign, |n, b| (n << 8) | i128::from(*b)), scale));
    }
    match std::str::from_utf8(data) {
        Ok(text) => Ok(Cell::Text(Cow::Borrowed(text))),
        Err(e) => Err(Reject::new(RejectReason::InvalidUtf8, e.to_string())),
    }
}

/// A decimal as text, so that money stays exact.
fn decimal(unscaled: i128, scale: i32) -> Cell<'static> {
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 {
        return i64::try_from(unscaled)
            .map_or_else(|_| Cell::Text(Cow::Owned(unscaled.to_string())), Cell::Int);
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    Cell::Text(Cow::Owned(format!("{sign}{whole}.{fraction}")))
}

fn meaning(column: &ColumnDescriptor) -> Meaning {
    let per_ms = |unit: TimeUnit| match unit {
        TimeUnit::MILLIS => 1,
        TimeUnit::MICROS => 1_000,
        TimeUnit::NANOS => 1_000_000,
    };
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp(t)), _) => {
            Meaning::Moment { per_ms: per_ms(t.unit), utc: t.is_adjusted_to_u_t_c }
        }
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Meaning::Date,
        (Some(LogicalType::Decimal(d)), _) => Meaning::Decimal { scale: d.scale },
        (Some(LogicalType::Integer(i)), _) if !i.is_signed => Meaning::Unsigned,
        (None, ConvertedType::TIMESTAMP_MILLIS) => Meaning::Moment { per_ms: 1, utc: true },
        (None, ConvertedType::TIMESTAMP_MICROS) => Meaning::Moment { per_ms: 1_000, utc: true },
        (None, ConvertedType::DECIMAL) => Meaning::Decimal { scale: column.type_scale() },
        (None, ConvertedType::UINT_32 | ConvertedType::UINT_64) => Meaning::Unsigned,
        _ => Meaning::Plain,
    }
}

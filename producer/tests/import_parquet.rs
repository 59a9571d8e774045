//! Parquet files as imports see them: typed times, nulls, decimals, nested columns, several row groups.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use partition_log::{Log, MemoryLog, RecordBuf};
use producer::Surroundings;
use producer::import::{ImportError, ImportOptions, Input, Summary, import};
use producer::map::Mapping;
use types::{EventTime, Offset, PartitionId, headers};

const SCHEMA: &str = "message m {
    optional binary user (UTF8);
    required int64 at (TIMESTAMP(MICROS,true));
    required int64 wall (TIMESTAMP(MILLIS,false));
    optional int32 amount (DECIMAL(9,2));
    optional double n;
    optional boolean flag;
    optional group a { optional int32 b; }
    repeated int32 tags;
}";
const T0: i64 = 1_700_000_000_000;
const ROWS: usize = 9_000;

fn is_null(i: usize) -> bool {
    i % 10 == 9
}

/// Writes `ROWS` rows in three groups. Every tenth value of an optional column is null.
fn write(path: &Path) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in (0..ROWS).collect::<Vec<_>>().chunks(ROWS / 3) {
        let levels: Vec<i16> = rows.iter().map(|i| i16::from(!is_null(*i))).collect();
        let there: Vec<usize> = rows.iter().copied().filter(|i| !is_null(*i)).collect();
        let mut group = writer.next_row_group().unwrap();
        let mut place = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            let levels = Some(levels.as_slice());
            match place {
                0 => {
                    let users: Vec<ByteArray> =
                        there.iter().map(|i| format!("u{}", i % 7).as_str().into()).collect();
                    column.typed::<ByteArrayType>().write_batch(&users, levels, None).unwrap();
                }
                1 | 2 => {
                    let scale = if place == 1 { 1_000 } else { 1 };
                    let times: Vec<i64> = rows.iter().map(|i| (T0 + *i as i64 * 1000) * scale).collect();
                    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
                }
                3 => {
                    let amounts: Vec<i32> = there.iter().map(|i| *i as i32 - 5).collect();
                    column.typed::<Int32Type>().write_batch(&amounts, levels, None).unwrap();
                }
                4 => {
                    let numbers: Vec<f64> =
                        there.iter().map(|i| if *i == 20 { f64::NAN } else { *i as f64 / 2.0 }).collect();
                    column.typed::<DoubleType>().write_batch(&numbers, levels, None).unwrap();
                }
                5 => {
                    let flags: Vec<bool> = there.iter().map(|i| i % 2 == 0).collect();
                    column.typed::<BoolType>().write_batch(&flags, levels, None).unwrap();
                }
                7 => {
                    let none = vec![0; rows.len()];
                    column.typed::<Int32Type>().write_batch(&[], Some(&none), Some(&none)).unwrap();
                }
                _ => {
                    let nested: Vec<i32> = there.iter().map(|i| *i as i32).collect();
                    let levels: Vec<i16> = rows.iter().map(|i| if is_null(*i) { 0 } else { 2 }).collect();
                    column.typed::<Int32Type>().write_batch(&nested, Some(&levels), None).unwrap();
                }
            }
            column.close().unwrap();
            place += 1;
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn map(time: &str) -> String {
    format!(
        r#"
        [entity]
        type = "user"
        id = "user"
        empty = "skip"
        [time]
        {time}
        [type]
        constant = "buy"
        [fields]
        amount = {{ column = "amount", kind = "money", currency = "EUR" }}
        n = {{ column = "n", kind = "number" }}
        flag = "flag"
        b = "a.b"
        "#
    )
}

fn run(log: &MemoryLog, map: &str, path: &Path) -> Result<Summary, ImportError> {
    let mapping = Mapping::from_toml(map, Path::new("map.toml")).unwrap();
    let mut options = ImportOptions::new("events", EventTime(T0 + 1_000_000_000_000));
    options.partitions = Some(1);
    import(log, &[Input { path: PathBuf::from(path), mapping: &mapping }], &options, &Surroundings::default())
}

fn values(log: &MemoryLog) -> Vec<(String, String)> {
    let mut reader = log.reader("events", PartitionId(0), Offset::ZERO).unwrap();
    let mut records = RecordBuf::default();
    while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let source = |bytes: &[u8]| text(bytes).rsplit(':').next().unwrap().to_owned();
    records.iter().filter_map(|r| Some((source(r.header(headers::SOURCE)?), text(r.value)))).collect()
}

#[test]
fn typed_columns_become_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.parquet");
    write(&path);
    let log = MemoryLog::new();
    let summary = run(&log, &map("column = \"at\"\nformat = \"native\""), &path).unwrap();
    let nulls = (0..ROWS).filter(|i| is_null(*i)).count() as u64;
    assert_eq!(summary.rows, ROWS as u64);
    assert_eq!((summary.empty_entity, summary.rejected_rows()), (nulls, 1));
    assert_eq!(summary.events, ROWS as u64 - nulls - 1);
    let values = values(&log);
    let expected = |i: usize, minor: i64| {
        let n = i as f64 / 2.0;
        (
            (i + 1).to_string(),
            format!(
                r#"{{"v":1,"entity_type":"user","entity":"u{}","type":"buy","ts":{},"fields":{{"amount":{{"minor":{minor},"currency":"EUR"}},"b":{i},"flag":{},"n":{n:?}}}}}"#,
                i % 7,
                T0 + i as i64 * 1000,
                i.is_multiple_of(2),
            ),
        )
    };
    assert_eq!(values[0], expected(0, -5));
    assert_eq!(*values.last().unwrap(), expected(ROWS - 2, ROWS as i64 - 7));
    for i in [4_095, 4_096, 2_998, 3_000, 7_095] {
        assert!(values.contains(&expected(i, i as i64 - 5)), "row {i}");
    }
    // The row with a NaN is set aside, its columns as text.
    assert!(values.iter().any(|(source, text)| source == "21" && !text.starts_with('{')));
}

#[test]
fn a_wall_clock_needs_a_zone_and_a_missing_column_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.parquet");
    write(&path);
    let error = run(&MemoryLog::new(), &map("column = \"wall\"\nformat = \"native\""), &path)
        .unwrap_err()
        .to_string();
    assert!(error.contains("e.parquet: column `wall` holds times that do not say in which zone"), "{error}");
    let log = MemoryLog::new();
    run(&log, &map("column = \"wall\"\nformat = \"native\"\nzone = \"+01:00\""), &path).unwrap();
    assert!(values(&log)[0].1.contains(&format!("\"ts\":{}", T0 - 3_600_000)));
    let error = run(&log, &map("column = \"when\"\nformat = \"ms\""), &path).unwrap_err().to_string();
    assert!(error.contains("column `when`, which is not there; there are `user`, `at`"), "{error}");
    std::fs::write(&path, b"PAR1 and nothing else").unwrap();
    assert!(run(&MemoryLog::new(), &map("column = \"at\"\nformat = \"native\""), &path).is_err());
}

#[test]
fn a_list_is_named_as_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.parquet");
    let schema = "message m { required binary user (UTF8); repeated group at { required int64 ms; } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::default()).unwrap().close().unwrap();
    for (column, expected) in [
        ("at", "lists.parquet: Parquet error: column `at` is a list, which no map reads"),
        ("at.ms", "column `at.ms` is a list, which no map reads"),
        ("a", "column `a`, which is not there; there are `user`"),
    ] {
        let map = map(&format!("column = \"{column}\"\nformat = \"ms\""));
        let error = run(&MemoryLog::new(), &map, &path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn init_drafts_from_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("buys.parquet");
    write(&path);
    let draft = producer::init::draft(&path).unwrap();
    assert!(
        draft.map.contains("format = \"parquet\"") && draft.map.contains("column = \"at\""),
        "{}",
        draft.map
    );
    for expected in [
        "format = \"native\"",
        "flag = { column = \"flag\", kind = \"bool\" }",
        "# wall = { column = \"wall\", kind = \"number\" }   # a time, which is no quantity",
        "# Left out, because they are lists, which no map reads: [\"tags\"].",
    ] {
        assert!(draft.map.contains(expected), "{expected}\n{}", draft.map);
    }
    assert!(!draft.spec.contains("wall"), "{}", draft.spec);
    assert_eq!(draft.preview.len(), 10);
}

mod mend;
mod order;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use partition_log::{Log as _, MemoryLog, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId, headers};

use order::{is_in_order, rows};

use super::*;
use crate::around::Surroundings;
use crate::map::Mapping;

/// 2100: later than all that is imported here.
const LATER: EventTime = EventTime(4_102_444_800_000);

const T0: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

const MAP: &str = r#"
    [entity]
    type = "user"
    id = "user"
    [time]
    column = "at"
    format = "ms"
    [type]
    column = "what"
    [fields]
    n = { column = "n", kind = "number" }
"#;

struct Bench {
    folder: tempfile::TempDir,
    log: MemoryLog,
    options: ImportOptions,
}

/// A record in short: source, then key, type and time, or the reason it was rejected for.
type Short = (String, String);

impl Bench {
    fn new() -> Self {
        let mut options = ImportOptions::new("events", LATER);
        options.partitions = Some(2);
        Self { folder: tempfile::tempdir().unwrap(), log: MemoryLog::new(), options }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, map: &str, files: &[PathBuf]) -> Result<Summary, ImportError> {
        let mapping = Mapping::from_toml(map, Path::new("map.toml")).unwrap();
        import(&self.log, &inputs(&mapping, files), &self.options, &Surroundings::default())
    }

    /// What is on the log, ticks aside, partition after partition.
    fn records(&self) -> Vec<Short> {
        (0..2).flat_map(|p| self.partition(p)).filter(|(source, _)| source != "tick").collect()
    }

    fn partition(&self, partition: u32) -> Vec<Short> {
        let mut reader = self.log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let folder = format!("{}/", self.folder.path().display());
        records
            .iter()
            .map(|r| {
                let source =
                    r.header(headers::SOURCE).map_or("tick".to_owned(), |s| name(s).replace(&folder, ""));
                if let Some(reason) = r.header(headers::REASON) {
                    assert!(r.header(headers::DETAIL).is_some_and(|d| !d.is_empty()));
                    return (source, name(reason));
                }
                let mut event = Event::default();
                event.decode(r.value).unwrap();
                (source, format!("{} {} {}", event.entity, event.kind, event.ts))
            })
            .collect()
    }

    /// The values of rejected records, sorted.
    fn originals(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for partition in 0..2 {
            let mut reader = self.log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
            let mut records = RecordBuf::default();
            while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
            all.extend(
                records.iter().filter(|r| r.header(headers::REASON).is_some()).map(|r| r.value.to_vec()),
            );
        }
        all.sort();
        all
    }
}

fn inputs<'m>(mapping: &'m Mapping, files: &[PathBuf]) -> Vec<Input<'m>> {
    files.iter().map(|path| Input { path: path.clone(), mapping }).collect()
}

fn sorted(mut records: Vec<Short>) -> Vec<Short> {
    records.sort();
    records
}

const PLAIN: &str =
    "user,at,what,n\nann,1700000000000,play,1\nbob,1700000001000,\"stop\",2.5\nann,1700000002000,play,\n";

fn expected(name: &str, first_line: u64) -> Vec<Short> {
    let record = |line: u64, text: &str| (format!("{name}:{line}"), text.to_owned());
    vec![
        record(first_line, "ann play 1700000000000"),
        record(first_line + 1, "bob stop 1700000001000"),
        record(first_line + 2, "ann play 1700000002000"),
    ]
}

#[test]
fn every_text_format_and_compression_gives_the_same_events() {
    let gzip = |text: &str| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    };
    let objects: Vec<String> =
        [("ann", 0, "play", "1"), ("bob", 1, "stop", "2.5"), ("ann", 2, "play", "null")]
            .map(|(user, s, what, n)| {
                format!(r#"{{"user":"{user}","at":17000000{s:02}000,"what":"{what}","n":{n}}}"#)
            })
            .to_vec();
    let objects: Vec<String> = objects
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let at = row.find("\"at\":").unwrap() + 5;
            format!(
                "{}{}{}",
                &row[..at],
                1_700_000_000_000_u64 + 1000 * i as u64,
                &row[row.find(",\"what\"").unwrap()..]
            )
        })
        .collect();
    let lines = objects.join("\n");
    let cases: Vec<(&str, Vec<u8>, u64)> = vec![
        ("a.csv", PLAIN.into(), 2),
        ("crlf.csv", PLAIN.replace('\n', "\r\n").into(), 2),
        ("bom.csv", format!("\u{feff}{PLAIN}").into(), 2),
        ("semicolon.csv", PLAIN.replace(',', ";").into(), 2),
        ("a.tsv", PLAIN.replace(',', "\t").into(), 2),
        ("a.csv.gz", gzip(PLAIN), 2),
        ("a.csv.zst", zstd::encode_all(PLAIN.as_bytes(), 1).unwrap(), 2),
        ("a.jsonl", lines.clone().into(), 1),
        ("empty_lines.jsonl", lines.replace('\n', "\r\n\r\n").replace("\r\n\r\n", "\r\n").into(), 1),
        ("array.json", format!("[{}]", objects.join(",\n")).into(), 1),
    ];
    for (name, bytes, first_line) in cases {
        let bench = Bench::new();
        let file = bench.file(name, &bytes);
        let summary = bench.import(MAP, &[file]).unwrap();
        assert_eq!(sorted(bench.records()), sorted(expected(name, first_line)), "{name}");
        assert_eq!((summary.rows, summary.events, summary.entities), (3, 3, Some(2)), "{name}");
    }
}

#[test]
fn columns_between_blanks_need_no_header() {
    let bench = Bench::new();
    let file = bench.file("cd.txt", b" 00001 19970101  1   11.77\n 00002 19970112  5   77.00\n");
    let map = r#"
        format = "whitespace"
        columns = ["customer", "date", "cds", "dollars"]
        [entity]
        type = "customer"
        id = "customer"
        [time]
        column = "date"
        format = "%Y%m%d"
        zone = "UTC"
        [type]
        constant = "purchase"
    "#;
    bench.import(map, &[file]).unwrap();
    let expected = [("cd.txt:1", "00001 purchase 852076800000"), ("cd.txt:2", "00002 purchase 853027200000")];
    assert_eq!(sorted(bench.records()), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn rubbish_is_set_aside_with_its_bytes_and_the_import_goes_on() {
    let bench = Bench::new();
    let good = br#"{"user":"ann","at":1700000000000,"what":"play","n":1}"#.to_vec();
    let long = format!(r#"{{"user":"{}"}}"#, "x".repeat(10 << 20)).into_bytes();
    let rubbish: Vec<(Vec<u8>, &str)> = vec![
        (b"{\"user\":".to_vec(), "invalid_json"),
        (b"not json".to_vec(), "invalid_json"),
        (b"[1,2]".to_vec(), "wrong_type"),
        (b"{\"user\":\"\xff\"}".to_vec(), "invalid_utf8"),
        (br#"{"at":1700000000000,"what":"play"}"#.to_vec(), "missing_field"),
        (br#"{"user":"ann","what":"play"}"#.to_vec(), "missing_field"),
        (br#"{"user":"ann","at":1700000000000,"what":"play","n":NaN}"#.to_vec(), "invalid_json"),
        (br#"{"user":"ann","at":1700000000000,"what":"play","n":"inf"}"#.to_vec(), "number_out_of_range"),
        (br#"{"user":"ann","at":1700000000000,"what":"play","n":1e999}"#.to_vec(), "invalid_json"),
        (br#"{"user":"ann","at":0,"what":"play"}"#.to_vec(), "time_out_of_range"),
        (br#"{"user":"ann","at":1700000000000000,"what":"play"}"#.to_vec(), "time_out_of_range"),
        (br#"{"user":"ann","at":1700000000000,"what":"$erase"}"#.to_vec(), "unknown_system_type"),
        (br#"{"v":1,"type":"$tick","ts":1700000000000}"#.to_vec(), "missing_field"),
        (long, "too_large"),
    ];
    let mut bytes = Vec::new();
    for (row, _) in &rubbish {
        bytes.extend_from_slice(row);
        bytes.extend_from_slice(b"\n");
        bytes.extend_from_slice(&good);
        bytes.extend_from_slice(b"\n");
    }
    // Extra fields and repeated ids are no fault here; a time far ahead is the consumer's to judge.
    bytes.extend_from_slice(br#"{"user":"ann","at":7000000000000,"what":"play","more":[1]}"#);
    let file = bench.file("r.jsonl", &bytes);
    let summary = bench.import(MAP, &[file]).unwrap();
    let count = rubbish.len() as u64;
    assert_eq!((summary.events, summary.rejected_rows()), (count + 1, count));
    let rejected: Vec<Short> =
        sorted(bench.records()).into_iter().filter(|(_, t)| !t.contains(' ')).collect();
    let mut expected: Vec<Short> = (0..)
        .zip(&rubbish)
        .map(|(i, (_, reason))| (format!("r.jsonl:{}", 2 * i + 1), (*reason).to_owned()))
        .collect();
    expected.sort();
    assert_eq!(rejected, expected);
    let mut originals: Vec<Vec<u8>> =
        rubbish.iter().map(|(row, _)| row[..row.len().min(64 << 10)].to_vec()).collect();
    originals.sort();
    assert_eq!(bench.originals(), originals);
}

#[test]
fn rows_of_another_width_and_stray_quotes_cost_themselves_only() {
    let bench = Bench::new();
    let text = "user,at,what,n\nann,1700000000000,play\nann,1700000000000,play,1,2\n\"ann,1700000000000,play,1\nbob,1700000001000,play,1\nann,1700000002000,\"a\nb\",1\n";
    let file = bench.file("q.csv", text.as_bytes());
    let summary = bench.import(MAP, &[file]).unwrap();
    let expected = [
        ("q.csv:2", "mapping"),
        ("q.csv:3", "mapping"),
        ("q.csv:4", "mapping"),
        ("q.csv:5", "bob play 1700000001000"),
        ("q.csv:6", "ann a\nb 1700000002000"),
    ];
    assert_eq!(sorted(bench.records()), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(summary.rejected.get("mapping"), Some(&3));
}

#[test]
fn a_stray_quote_does_not_make_one_event_of_two_rows() {
    let bench = Bench::new();
    // Both lines together have the four columns that are due.
    let text = format!("user,at,what,n\nann,{T0},\"play,1\nbob,{},stop\"y,2\neve,{T0},play,3\n", T0 + 1);
    let file = bench.file("q.csv", text.as_bytes());
    bench.import(MAP, &[file]).unwrap();
    let found = sorted(bench.records());
    assert_eq!(found[0], ("q.csv:2".to_owned(), "mapping".to_owned()));
    assert_eq!(found[1], ("q.csv:3".to_owned(), format!("bob stop\"y {}", T0 + 1)));
    assert_eq!(found[2], ("q.csv:4".to_owned(), format!("eve play {T0}")));
}

#[test]
fn a_file_that_does_not_fit_the_map_is_refused_with_its_columns() {
    let bench = Bench::new();
    let file = bench.file("x.csv", b"user,at,n\nann,1,1\n");
    let error = bench.import(MAP, &[file]).unwrap_err().to_string();
    assert!(
        error.contains("x.csv: the map reads column `what`, which is not there; there are `user`, `at`, `n`"),
        "{error}"
    );
    let file = bench.file("utf16.csv", b"u\0s\0e\0r\0,\0a\0t\0");
    assert!(bench.import(MAP, &[file]).unwrap_err().to_string().contains("encoding = \"utf-16le\""));
    let torn = zstd::encode_all(PLAIN.repeat(10_000).as_bytes(), 1).unwrap();
    let file = bench.file("torn.csv.zst", &torn[..torn.len() / 2]);
    assert!(bench.import(MAP, &[file]).unwrap_err().to_string().contains("torn.csv.zst near line"));
}

#[test]
fn a_joined_table_adds_columns_and_what_is_missing_is_as_the_map_says() {
    let bench = Bench::new();
    let file = bench.file("a.csv", b"user,at,what\nann,1700000000000,play\neve,1700000000000,play\n");
    bench.file("users.csv", b"id;age\nann;A\nbob;B\n");
    let base = MAP.replace("n = { column = \"n\", kind = \"number\" }", "age = \"users.age\"");
    let join = |missing: &str| {
        format!(
            "{base}\n[[join]]\nname = \"users\"\nfile = \"users.csv\"\nkey = \"id\"\non = \"user\"\ncolumns = [\"age\"]\nmissing = \"{missing}\""
        )
    };
    for (missing, events, rejected, skipped) in [("empty", 2, 0, 0), ("reject", 1, 1, 0), ("skip", 1, 0, 1)] {
        let map = bench.file("map.toml", join(missing).as_bytes());
        let mapping = Mapping::load(&map, &[]).unwrap();
        let log = MemoryLog::new();
        let summary = import(
            &log,
            &inputs(&mapping, std::slice::from_ref(&file)),
            &bench.options,
            &Surroundings::default(),
        )
        .unwrap();
        assert_eq!(
            (summary.events, summary.rejected_rows(), summary.not_joined),
            (events, rejected, skipped)
        );
    }
    let map = bench.file("map.toml", format!("null = [\"A\"]\n{}", join("empty")).as_bytes());
    let mapping = Mapping::load(&map, &[]).unwrap();
    let log = MemoryLog::new();
    import(&log, &inputs(&mapping, std::slice::from_ref(&file)), &bench.options, &Surroundings::default())
        .unwrap();
    for partition in 0..2 {
        let mut reader = log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        assert!(records.iter().all(|r| !String::from_utf8_lossy(r.value).contains("age")), "A means nothing");
    }
    bench.file("users.csv", b"id,age\nann,A\nann,B\n");
    let error = Mapping::load(&bench.folder.path().join("map.toml"), &[]).unwrap_err().to_string();
    assert!(error.contains("users.csv:3: the key `ann`"), "{error}");
}

#[test]
fn files_with_maps_of_their_own_come_in_order_together() {
    let bench = Bench::new();
    let events = bench.file("events.csv", rows((0..100).map(|i| (1, T0 + i as i64 * DAY))).as_bytes());
    let ends = bench.file("ends.csv", b"who;day;left\nu1;2023-12-01;yes\nu1;2024-01-01;no\n");
    let map = r#"
        [entity]
        type = "user"
        id = "who"
        [time]
        column = "day"
        format = "date"
        zone = "UTC"
        shift = "12h"
        [type]
        column = "left"
        names = { yes = "cancel", no = "renew" }
    "#;
    let own = Mapping::from_toml(map, Path::new("ends.toml")).unwrap();
    let mapping = Mapping::from_toml(MAP, Path::new("map.toml")).unwrap();
    let files = [Input { path: events, mapping: &mapping }, Input { path: ends, mapping: &own }];
    let summary = import(&bench.log, &files, &bench.options, &Surroundings::default()).unwrap();
    assert_eq!((summary.order, summary.events), ("merged", 102));
    assert!(is_in_order(&bench));
    assert!(bench.records().contains(&("ends.csv:2".to_owned(), "u1 cancel 1701432000000".to_owned())));
    let other = Mapping::from_toml(&map.replace("\"user\"", "\"account\""), Path::new("ends.toml")).unwrap();
    let files = [files[0].clone(), Input { mapping: &other, ..files[1].clone() }];
    let error = import(&bench.log, &files, &bench.options, &Surroundings::default()).unwrap_err();
    assert!(matches!(error, ImportError::EntityTypes(..)), "{error}");
}

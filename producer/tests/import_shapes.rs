//! Files in the shapes of public data sets, each read by a map alone: the built program on a table of small files.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use partition_log::{LogOptions, RecordBuf, open};
use types::{Event, Offset, PartitionId, headers};

struct Shape {
    name: &'static str,
    bytes: Vec<u8>,
    /// All of the map but who the events are about.
    map: &'static str,
    /// `LINE entity type ts`, or `LINE reason` and the row's bytes.
    expected: Vec<(&'static str, &'static [u8])>,
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn producer(folder: &Path, name: &str, map: &str) -> Output {
    std::fs::write(folder.join("map.toml"), map).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(folder).args([
        "import",
        name,
        "--map",
        "map.toml",
        "--to",
        "file:log",
        "--partitions",
        "1",
    ]);
    command.args(["--not-after", "2030-01-01", "--sort", "never", "--json"]).output().unwrap()
}

/// What is on the log, ticks aside.
fn records(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let log = open(&format!("file:{}", folder.join("log").display()), &LogOptions::default()).unwrap();
    let mut reader = log.reader("events", PartitionId(0), Offset::ZERO).unwrap();
    let mut records = RecordBuf::default();
    while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let shown = records.iter().filter_map(|record| {
        let source = text(record.header(headers::SOURCE)?);
        let line = source.rsplit(':').next().unwrap();
        Some(match record.header(headers::REASON) {
            Some(reason) => (format!("{line} {}", text(reason)), record.value.to_vec()),
            None => {
                let mut event = Event::default();
                event.decode(record.value).unwrap();
                (format!("{line} {} {} {}", event.entity, event.kind, event.ts), Vec::new())
            }
        })
    });
    shown.collect()
}

/// The map of a shape: the `[entity]` is the column `user` unless it says another.
fn whole(map: &str) -> String {
    let entity = if map.contains("[entity]") { "" } else { "\n[entity]\ntype = \"user\"\nid = \"user\"\n" };
    format!("{map}{entity}")
}

const ISO: &str = "[time]\ncolumn = \"at\"\nformat = \"iso\"\nzone = \"UTC\"\n[type]\ncolumn = \"what\"";

fn shapes() -> Vec<Shape> {
    let shape = |name, bytes: &[u8], map, expected: &[(&'static str, &'static [u8])]| Shape {
        name,
        bytes: bytes.to_vec(),
        map,
        expected: expected.to_vec(),
    };
    let part = |text: &str| gzip(text);
    let members = [part("user,at,what\nann,2020-01-01,a\n"), part("bob,2020-01-01,b\n")].concat();
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..],
        &zstd::encode_all(&b"user,at,what\nann,2020-01-01,a"[..], 1).unwrap(),
    ]
    .concat();
    vec![
        shape(
            "ratings.dat",
            b"1::1193::5::978300760\n2::Caf\xe9::x\n1::661::3::978302109\r\n",
            "delimiter = \"::\"\nencoding = \"latin-1\"\ncolumns = [\"user\", \"movie\", \"stars\", \"at\"]\n\
                [time]\ncolumn = \"at\"\nformat = \"s\"\n[type]\nconstant = \"rate\"",
            &[("1 1 rate 978300760000", b""), ("2 mapping", b"2::Caf\xe9::x"), ("3 1 rate 978302109000", b"")],
        ),
        shape(
            "retail.csv",
            b"user,at,what\n17850,12/1/2010 8:26,caf\xe9\n17850,12/1/2010 8:28,\x80\n",
            "encoding = \"cp1252\"\n[time]\ncolumn = \"at\"\nformat = \"%m/%d/%Y %H:%M\"\nzone = \"UTC\"\n[type]\ncolumn = \"what\"",
            &[("2 17850 café 1291191960000", b""), ("3 17850 € 1291192080000", b"")],
        ),
        shape(
            "broken.csv",
            b"user,at,what\nann,2020-01-01,\x83\x65\nann,2020-01-01,\xff\n",
            "encoding = \"shift_jis\"\n[time]\ncolumn = \"at\"\nformat = \"date\"\nzone = \"UTC\"\n[type]\ncolumn = \"what\"",
            &[("2 ann テ 1577836800000", b""), ("3 invalid_utf8", b"ann,2020-01-01,\xff")],
        ),
        shape(
            "excel.txt",
            &utf16("user\tat\twhat\r\nZoë\t43831,5\t\"a\tb\"\r\nZoë\tx\tc\r\n", false),
            "[number]\ndecimal = \",\"\n\
                [time]\ncolumn = \"at\"\nformat = \"days\"\nsince = \"1899-12-30\"\nzone = \"UTC\"\n[type]\ncolumn = \"what\"",
            &[("2 Zoë a\tb 1577880000000", b""), ("3 mapping", b"Z\0o\0\xeb\0\t\0x\0\t\0c\0")],
        ),
        shape("big.csv", &utf16("user,at,what\nann,2020-01-01,a", true), ISO, &[("2 ann a 1577836800000", b"")]),
        shape(
            "days.csv",
            b"user,day,hour\nann,132,5\nann,,5\nann,132.25,5\n",
            "[time]\ncolumn = \"day\"\nformat = \"days\"\nsince = \"2017-01-01\"\nzone = \"+02:00\"\n[type]\nconstant = \"x\"",
            &[("2 ann x 1494626400000", b""), ("3 missing_field", b"ann,,5"), ("4 ann x 1494648000000", b"")],
        ),
        shape(
            "parts.csv",
            b"user,date,hour\nann,20170513,5\n",
            "[time]\ncolumn = [\"date\", \"hour\"]\nformat = \"%Y%m%d %H\"\nzone = \"UTC\"\n[type]\nconstant = \"x\"",
            &[("2 ann x 1494651600000", b"")],
        ),
        shape(
            "access.log",
            b"h1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a b HTTP/1.0\" 200 23\nh1 - - [x] \"\" 1 2\n",
            "format = \"whitespace\"\nquote = \"\\\"\"\nbrackets = true\nnull = [\"-\"]\n\
                columns = [\"user\", \"i\", \"u\", \"at\", \"req\", \"status\", \"n\"]\n\
                [time]\ncolumn = \"at\"\nformat = \"%d/%b/%Y:%H:%M:%S %z\"\n[type]\ncolumn = \"status\"",
            &[("1 h1 200 971211336000", b""), ("2 mapping", b"h1 - - [x] \"\" 1 2")],
        ),
        shape(
            "nested.jsonl",
            br#"{"user":"ann","events":[{"at":"2020-01-02","what":"b"},{"at":"2020-01-01","what":"a"}]}
{"user":"bob","events":[]}
{"user":"bob","events":[{"at":"2020-01-02","what":"b"},{"what":"b"}]}
"#,
            "each = \"events\"\n[time]\ncolumn = \"events.at\"\nformat = \"date\"\nzone = \"UTC\"\n[type]\ncolumn = \"events.what\"",
            &[
                ("1 ann a 1577836800000", b""),
                ("1#2 ann b 1577923200000", b""),
                ("3 missing_field", br#"{"user":"bob","events":[{"at":"2020-01-02","what":"b"},{"what":"b"}]}"#),
            ],
        ),
        shape(
            "pretty.json",
            b"{\n \"user\": 1,\n \"at\": \"2020-01-01\", \"what\": \"a\"\n}{\"user\":2,\"at\":\"2020-01-01\",\"what\":\"b\"}",
            ISO,
            &[("1 1 a 1577836800000", b""), ("2 2 b 1577836800000", b"")],
        ),
        shape(
            "stray.tsv",
            b"user\tat\twhat\nann\t2009-05-04T23:08:57Z\t\"Weird Al\nann\t2009-05-04T23:08:57Z\t\"Heroes\"\n",
            "quote = \"\"\n[time]\ncolumn = \"at\"\nformat = \"rfc3339\"\n[type]\ncolumn = \"what\"",
            &[("2 ann \"Weird Al 1241478537000", b""), ("3 ann \"Heroes\" 1241478537000", b"")],
        ),
        shape(
            "fraction.csv",
            b"\xef\xbb\xbfuser,at,what,what\r\nann,1425583114.123,a,b\r\nbob,1425583115.5,c,d",
            "[time]\ncolumn = \"at\"\nformat = \"s\"\n[type]\ncolumn = \"what.2\"",
            &[("2 ann b 1425583114123", b""), ("3 bob d 1425583115500", b"")],
        ),
        shape(
            "ragged.csv",
            b"user,at,what,more\nann,2020-01-01,a\nbob,2020-01-01,b,c,d\n",
            "ragged = true\n[time]\ncolumn = \"at\"\nformat = \"date\"\nzone = \"UTC\"\n[type]\ncolumn = \"what\"",
            &[("2 ann a 1577836800000", b""), ("3 bob b 1577836800000", b"")],
        ),
        shape("mac.csv", b"user,at,what\rann,2020-01-01,a\rbob,x,b", ISO, &[("2 ann a 1577836800000", b""), ("3 mapping", b"bob,x,b")]),
        shape("lines.csv", b"user,at,what\nann,2020-01-01,\"a\n\nb\"\nbob,2020-01-01,c\n", ISO, &[("2 ann a\n\n\
            b 1577836800000", b""), ("5 bob c 1577836800000", b"")]),
        shape("members.csv.gz", &members, ISO, &[("2 ann a 1577836800000", b""), ("3 bob b 1577836800000", b"")]),
        shape("skippable.csv.zst", &skippable, ISO, &[("2 ann a 1577836800000", b"")]),
    ]
}

#[test]
fn a_map_is_all_that_a_new_data_set_needs() {
    for Shape { name, bytes, map, expected } in shapes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let map = whole(map);
        let expected: Vec<_> =
            expected.iter().map(|(text, bytes)| ((*text).to_owned(), bytes.to_vec())).collect();
        // The second time there is nothing to add.
        for _ in 0..2 {
            let output = producer(folder.path(), name, &map);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(records(folder.path()), expected, "{name}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_named_with_what_to_do() {
    let zoned = "zone = \"UTC\"\n[type]\ncolumn = \"what\"";
    let cases: [(&[u8], String, &str); 13] = [
        (
            b"user,at,what\n",
            ISO.replace("\"at\"", "\"when\""),
            "x.csv: the map reads column `when`, which is not there; there are `user`, `at`, `what`",
        ),
        (b"", ISO.into(), "x.csv: the map reads column `user`, and there is no column: the file is empty"),
        (b"\x1b[31muser,at\x07\n", ISO.into(), "there are `\\u{1b}[31muser`, `at\\u{7}`"),
        (
            b"user,at,what\n",
            ISO.replace("\"iso\"", "\"YYYY-MM-DD\""),
            "map.toml:3: `time.format`: `YYYY-MM-DD` is not a time format",
        ),
        (
            b"user,at,what\n",
            format!("{ISO}\n[fields]\nprice = {{ column = \"price\", kind = \"decimal\" }}"),
            "unknown variant `decimal`, expected one of `auto`, `number`, `text`, `bool`, `money`",
        ),
        (b"PK\x03\x04", ISO.into(), "x.csv: it is a zip archive, or a workbook of Excel: unpack it"),
        (b"u\0s\0e\0r\0,\0a\0t\0\n\0", ISO.into(), "write encoding = \"utf-16le\" into the map"),
        (
            b"user,at,what\n",
            format!("encoding = \"ebcdic\"\n{ISO}"),
            "map.toml:1: `encoding`: `ebcdic` is no encoding known here",
        ),
        (
            b"user,at,what\n",
            format!("[time]\ncolumn = \"at\"\nformat = \"days\"\nsince = \"monday\"\n{zoned}"),
            "map.toml:4: `time.since`: `monday` is no moment",
        ),
        (
            b"user,at,what\n",
            "[time]\ncolumn = \"at\"\nformat = \"days\"\nsince = \"2017-01-01\"\n[type]\ncolumn = \"what\""
                .into(),
            "map.toml:3: `time.format`: times of the format `days` do not say in which zone they are",
        ),
        (
            b"user,at,what\n",
            format!("quote = \"''\"\n{ISO}"),
            "map.toml:1: `quote`: must be one ASCII character",
        ),
        (
            b"user,at,what\n",
            format!("each = \"events\"\n{ISO}"),
            "x.csv: the map says `each`, which is for JSON",
        ),
        (
            b"{}",
            format!("each = \"e\"\n{ISO}\n[event_id]\ncolumn = \"id\""),
            "`event_id.column`: names no column of the items of `e`",
        ),
    ];
    for (bytes, map, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.csv"), bytes).unwrap();
        let output = producer(folder.path(), "x.csv", &whole(&map));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}\nexpected {expected}");
        assert!(!folder.path().join("log/events-0").exists(), "nothing is made of it");
    }
}

#[test]
fn a_list_that_no_row_has_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let row = br#"{"user":"ann","events":[{"at":"2020-01-01","what":"a"}]}"#;
    std::fs::write(folder.path().join("x.jsonl"), row).unwrap();
    let map = "each = \"evnts\"\n[time]\ncolumn = \"evnts.at\"\nformat = \"date\"\nzone = \"UTC\"\n[type]\ncolumn = \"evnts.what\"";
    let output = producer(folder.path(), "x.jsonl", &whole(map));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["no_items"], &summary["filtered"]), (&1.into(), &0.into()), "{summary}");
}

//! An import that is killed again and again leaves the log of an import that was not: the built program, kill -9, files and a real Kafka.
//!
//! `CHURNSTREAM_SOAK=full` kills 200 times. The seed is printed; `CHURNSTREAM_SEED` sets it.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use partition_log::conformance::broker;
use partition_log::{LogOptions, RecordBuf, TopicConfig, open};
use types::{Offset, PartitionId};

const PARTITIONS: u32 = 3;
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

/// A small generator of its own: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64, Steele, Lea and Flood 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Csv,
    /// Out of order beyond the lateness.
    ShuffledCsv,
    /// An array of objects that is one line.
    OneLine,
    /// With a byte order mark, and half a surrogate pair here and there.
    Utf16,
    /// With bytes here and there that are no character.
    ShiftJis,
}

impl Shape {
    /// The file's bytes. The text has `\u{fffd}` where there is to be no character.
    fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf16 => {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units
                    .map(|unit| if unit == 0xfffd { 0xd83d } else { unit })
                    .flat_map(u16::to_le_bytes)
                    .collect()
            }
            Self::ShiftJis => {
                let byte = |c| match c {
                    '\u{fffd}' => 0xff,
                    // Of half width, which is one byte.
                    '\u{ff71}' => 0xb1,
                    other => u8::try_from(other).unwrap(),
                };
                text.chars().map(byte).collect()
            }
            _ => text.into(),
        }
    }

    fn map(self) -> String {
        let encoding = if self == Self::ShiftJis { "encoding = \"shift_jis\"" } else { "" };
        format!("{encoding}{MAP}")
    }
}

/// Two files that overlap in time, with bad rows between the good ones.
fn write_files(folder: &Path, shape: Shape, random: &mut Random) -> Vec<PathBuf> {
    const ROWS: u64 = 15_000;
    (0..2)
        .map(|number| {
            let mut text = if shape == Shape::OneLine { "[" } else { "user,at,what,n\n" }.to_owned();
            for i in 0..ROWS {
                let place = if shape == Shape::ShuffledCsv { random.below(ROWS) } else { i };
                let at = 1_700_000_000_000 + place * 200_000 + random.below(100_000);
                let user = random.below(500);
                // Writing to a String cannot fail.
                let _ = match i % 211 {
                    n if shape == Shape::OneLine => {
                        let number = if n == 0 { "\"many\"".to_owned() } else { i.to_string() };
                        let comma = if i == 0 { "" } else { "," };
                        write!(text, r#"{comma}{{"user":"u{user}","at":{at},"what":"play","n":{number}}}"#)
                    }
                    0 => writeln!(text, "u{user},{at},play,many"),
                    1 => writeln!(text, "u{user},{at}"),
                    2 if shape == Shape::Utf16 || shape == Shape::ShiftJis => {
                        writeln!(text, "u{user},{at},\u{fffd}play,{i}")
                    }
                    3 if shape == Shape::Utf16 || shape == Shape::ShiftJis => {
                        writeln!(text, "u{user},{at},\u{ff71},{i}")
                    }
                    _ => writeln!(text, "u{user},{at},play,{i}"),
                };
            }
            if shape == Shape::OneLine {
                text.push(']');
            }
            let path = folder.join(format!("{number}.csv"));
            std::fs::write(&path, shape.bytes(&text)).unwrap();
            path
        })
        .collect()
}

fn command(folder: &Path, files: &[PathBuf], log: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.arg("import").args(files).arg("--map").arg(folder.join("map.toml"));
    command.args(["--partitions", &PARTITIONS.to_string(), "--not-after", "2025-01-01", "--json"]);
    command.args(["--to", log]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

type Stored = (Offset, i64, Vec<u8>, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn shown((offset, at, key, value, headers): &Stored) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    format!("{offset} {at} {} {} {headers:?}", text(key), text(value))
}

fn records(log: &str) -> Vec<Vec<Stored>> {
    let log = open(log, &LogOptions::default()).unwrap();
    (0..PARTITIONS)
        .map(|partition| {
            let mut reader = log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
            let mut records = RecordBuf::default();
            while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
            let stored = |r: partition_log::Record<'_>| {
                let headers = r.headers().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
                (r.offset, r.timestamp.0, r.key.to_vec(), r.value.to_vec(), headers)
            };
            records.iter().map(stored).collect()
        })
        .collect()
}

fn assert_same(found: &[Vec<Stored>], expected: &[Vec<Stored>]) {
    for (partition, (found, expected)) in found.iter().zip(expected).enumerate() {
        if let Some((found, expected)) = found.iter().zip(expected).find(|(a, b)| a != b) {
            panic!("partition {partition}: {} where {} belongs", shown(found), shown(expected));
        }
        assert_eq!(found.len(), expected.len(), "partition {partition}");
    }
}

/// Kills imports into fresh logs on files, or with topics of fresh names on brokers.
fn check(brokers: Option<&str>, shape: Shape, kills: u32, random: &mut Random) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("map.toml"), shape.map()).unwrap();
    let files = write_files(folder.path(), shape, random);
    let on_files = |name: &str| format!("file:{}", folder.path().join(name).display());
    let fresh = |name: &str| match brokers {
        Some(brokers) => format!("kafka:{brokers}/{}-{name}.", folder.path().file_name().unwrap().display()),
        None => on_files(name),
    };
    let whole = on_files("whole");
    assert!(command(folder.path(), &files, &whole).status().unwrap().success());
    let expected = records(&whole);
    let begun = Instant::now();
    assert!(command(folder.path(), &files, &fresh("timed")).status().unwrap().success());
    let span = begun.elapsed().as_micros() as u64;
    assert!(expected.iter().map(Vec::len).sum::<usize>() > 30_000);
    if shape == Shape::Utf16 || shape == Shape::ShiftJis {
        let holds = |part: &str| {
            let bytes = shape.bytes(part);
            let bytes = bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(&bytes).to_vec();
            expected
                .iter()
                .flatten()
                .filter(|record| record.3.windows(bytes.len()).any(|part| part == bytes))
                .count()
        };
        assert!(holds("\u{fffd}play") > 100, "what is no text is there as it stands in the file");
        let katakana = |record: &&Stored| String::from_utf8_lossy(&record.3).contains('\u{ff71}');
        assert!(expected.iter().flatten().filter(katakana).count() > 100, "and text is text");
    }

    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        let log = fresh(&format!("log-{round}"));
        round += 1;
        // A log is killed at until an import of it comes to its end; then the next is begun.
        loop {
            let mut child = command(folder.path(), &files, &log).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(random.below(span)));
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            let status = child.wait().unwrap();
            killed += u32::from(ended.is_none());
            if ended.is_some() || killed >= kills {
                assert!(ended.is_none() || status.success());
                break;
            }
        }
        assert!(command(folder.path(), &files, &log).status().unwrap().success());
        assert_same(&records(&log), &expected);
        if let Some(log) = log.strip_prefix("file:") {
            std::fs::remove_dir_all(log).unwrap();
        }
    }
}

fn random() -> Random {
    let seed = std::env::var("CHURNSTREAM_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(u64::from(std::process::id()));
    eprintln!("CHURNSTREAM_SEED={seed}");
    Random(seed)
}

fn kills(few: u32, many: u32) -> u32 {
    if std::env::var("CHURNSTREAM_SOAK").is_ok_and(|s| s == "full") { many } else { few }
}

#[test]
fn kill_9_at_random_moments_changes_no_record() {
    let mut random = random();
    for shape in [Shape::Csv, Shape::ShuffledCsv, Shape::OneLine, Shape::Utf16, Shape::ShiftJis] {
        check(None, shape, kills(6, 100), &mut random);
    }
}

#[test]
fn kill_9_at_random_moments_changes_no_record_on_kafka() {
    let Some(brokers) = broker::shared() else { return };
    let mut random = random();
    for shape in [Shape::Csv, Shape::ShuffledCsv] {
        check(Some(&brokers.bootstrap), shape, kills(6, 60), &mut random);
    }
}

/// The rows are years old, and by their times the broker would have forgotten who wrote them.
#[test]
fn a_broker_that_is_killed_before_it_acknowledges_what_it_wrote_changes_no_record() {
    let Some((brokers, proxy)) = broker::start_behind_proxy() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("map.toml"), MAP).unwrap();
    let files = write_files(folder.path(), Shape::Csv, &mut random());
    let whole = format!("file:{}", folder.path().join("whole").display());
    assert!(command(folder.path(), &files, &whole).status().unwrap().success());
    let log = format!("kafka:{}/import.", proxy.address);
    // The note of a topic is to be acknowledged.
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    open(&log, &LogOptions::default()).unwrap().create_topic("events", &config).unwrap();
    proxy.keep_answers("import.events");
    let mut child = command(folder.path(), &files, &log).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while proxy.kept_back() == 0 {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    brokers.signal(1, "KILL");
    proxy.forget_answers();
    brokers.restart(1);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the import does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success());
    assert_same(&records(&log), &records(&whole));
    broker::stop(&brokers);
}

use clap::Parser;
use partition_log::{TopicConfig, partition_for};
use types::headers;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: LogCommand,
}

/// A log in a folder, its topic `events` filled.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir };
        let log = fixture.log();
        let config = TopicConfig { partitions: 2, key: "user".into(), partitioner: "murmur2".into() };
        log.create_topic("events", &config).unwrap();
        log.create_topic("dead-letters", &config).unwrap();
        let mut events = log.writer("events").unwrap();
        let mut letters = log.writer("dead-letters").unwrap();
        for (n, user) in ["u1", "u5", "u11", "u1", "u5"].into_iter().enumerate() {
            let at = EventTime(1_700_000_000_000 + n as i64 * 1500);
            let partition = partition_for(user.as_bytes(), 2);
            let value = format!(r#"{{"n":{n}}}"#);
            let mut writer = events.partition(partition).unwrap();
            let offset = writer.append(at, user.as_bytes(), value.as_bytes(), &[]).unwrap();
            writer.sync().unwrap();
            let mut writer = letters.partition(partition).unwrap();
            let reason: &[u8] = if n == 0 { b"mapping" } else { b"late" };
            let from = format!("events-{partition}@{offset}");
            let all = [(headers::REASON, reason), (headers::FROM, from.as_bytes())];
            writer.append(at, user.as_bytes(), value.as_bytes(), &all).unwrap();
            writer.sync().unwrap();
        }
        fixture
    }

    fn log(&self) -> SharedLog {
        partition_log::open(&self.place(), &LogOptions::default()).unwrap()
    }

    fn place(&self) -> String {
        format!("file:{}", self.dir.path().display())
    }

    /// Runs a command line in which `PLACE` stands for the log, and gives its output with the folder's name made the same.
    fn run(&self, line: &str) -> (String, bool) {
        let line = line.replace("PLACE", &self.place());
        let cli = Cli::try_parse_from(std::iter::once("log").chain(line.split(' '))).unwrap();
        let mut out = Vec::new();
        let code = run(&cli.command, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap().replace(&self.dir.path().display().to_string(), "DIR");
        (text, code == ExitCode::SUCCESS)
    }

    fn print(&self, line: &str) -> String {
        let (text, ok) = self.run(line);
        assert!(ok, "{text}");
        text
    }
}

#[test]
fn stat_and_dump_print_what_is_there() {
    let log = Fixture::new();
    insta::assert_snapshot!(log.print("stat PLACE/events"));
    insta::assert_snapshot!(log.print("dump PLACE/dead-letters --limit 3"));
    insta::assert_snapshot!(log.print("dump PLACE/events --key u1 --since 2023-11-14T22:13:21Z --json"));
    let json: serde_json::Value = serde_json::from_str(&log.print("stat PLACE/events --json")).unwrap();
    assert_eq!((&json["records"], &json["partitions"]), (&5.into(), &2.into()));
    let json: serde_json::Value =
        serde_json::from_str(&log.print("dump PLACE/events --json --limit 0")).unwrap();
    assert_eq!(json["records"], serde_json::json!([]));
}

#[test]
fn verify_fails_where_something_is_wrong() {
    let log = Fixture::new();
    insta::assert_snapshot!(log.print("verify PLACE/events"));
    let path = log.dir.path().join("events-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (text, ok) = log.run("verify PLACE/events");
    assert!(!ok);
    // The checksums in it are those of our bytes, always the same.
    insta::assert_snapshot!(text);
    let (text, ok) = log.run("verify PLACE/events --json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!ok && json["ok"] == false);
}

#[test]
fn redrive_and_repartition_say_what_they_did() {
    let log = Fixture::new();
    insta::assert_snapshot!(log.print("redrive PLACE/dead-letters --reason late --dry-run"));
    insta::assert_snapshot!(log.print("redrive PLACE/dead-letters"));
    let json: serde_json::Value =
        serde_json::from_str(&log.print("redrive PLACE/dead-letters --json")).unwrap();
    assert_eq!((&json["redriven"], &json["already_redriven"]), (&0.into(), &4.into()));
    insta::assert_snapshot!(log.print("repartition PLACE/events --to events-3 --partitions 3"));
    assert_eq!(log.log().topic("events-3").unwrap().unwrap().partitions, 3);
    let said = log.print("repartition PLACE/events --to PLACE/new/events --partitions 3");
    assert!(said.ends_with("consumer --from file:DIR/new --topic events, with an empty store\n"), "{said}");
    log.print("verify PLACE/new/events");
}

#[test]
fn wrong_arguments_are_refused_with_what_is_right() {
    for (line, word) in [
        ("stat events", "file:DIR/TOPIC"),
        ("redrive file:a/b --reason bad", "late"),
        ("dump file:a/b --since yesterday", "2024-03-01T00:00:00Z"),
        ("repartition file:a/b --to c", "--partitions"),
        ("repartition file:a/b --to c --partitions 0", "1.."),
        ("repartition file:a/b --to c/d --partitions 2", "file:DIR/TOPIC"),
    ] {
        let error =
            Cli::try_parse_from(std::iter::once("log").chain(line.split(' '))).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn sizes_have_a_fitting_unit() {
    for (n, text) in
        [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (u64::MAX, "16777216.0 TiB")]
    {
        assert_eq!(bytes(n), text);
    }
}

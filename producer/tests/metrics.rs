//! The binary with `--http`: what it says of itself while it writes, beside what the log holds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use partition_log::{LogOptions, RecordBuf, open};
use types::{Offset, PartitionId};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// The program at work. It is killed when this is dropped.
struct Producer {
    child: Child,
    address: String,
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn producer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Producer {
    fn start(arguments: &[&str]) -> Self {
        let mut child = producer(arguments).args(["--http", "127.0.0.1:0"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some((_, address)) = line.split_once("bound=") {
                break address.trim().to_owned();
            }
        };
        // What it says further is read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Status and text of a page; none once it has ended.
    fn page(&self, path: &str) -> Option<(u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.address)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// How many events it says that it has produced.
    fn produced(&self) -> Option<u64> {
        let (_, numbers) = self.page("/metrics")?;
        let name = "churn_events_produced_total{topic=\"events\"} ";
        numbers.lines().find_map(|line| line.strip_prefix(name)).map(|n| n.parse().unwrap())
    }

    /// Waits until it has produced so many beyond what the log held, and as many as the log then shows.
    fn until(&self, least: u64, place: &str, held: u64) -> u64 {
        let begun = Instant::now();
        loop {
            let before = self.produced();
            let shown = events_on(place) - held;
            if let Some(count) = before {
                assert!(count <= shown, "it says {count}, the log holds {shown}");
                // Between two batches both stand still.
                if count >= least && count == shown {
                    return count;
                }
            }
            assert!(begun.elapsed() < LONG, "it says {before:?}, the log holds {shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The records of a log that readers see, ticks aside.
fn events_on(place: &str) -> u64 {
    let log = open(place, &LogOptions::default()).unwrap();
    let Some(config) = log.topic("events").unwrap() else { return 0 };
    let mut count = 0;
    for partition in (0..config.partitions).map(PartitionId) {
        let mut reader = log.reader("events", partition, Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        let is_tick = |value: &[u8]| value.windows(7).any(|piece| piece == b"\"$tick\"");
        count += records.iter().filter(|record| !is_tick(record.value)).count() as u64;
    }
    count
}

/// The same after a kill, with what was written and not yet shown.
fn events_left(place: &str) -> u64 {
    let log = open(place, &LogOptions::default()).unwrap();
    let mut writer = log.writer("events").unwrap();
    for partition in (0..writer.config().partitions).map(PartitionId) {
        writer.partition(partition).unwrap().sync().unwrap();
    }
    drop(writer);
    events_on(place)
}

fn place(dir: &Path) -> String {
    format!("file:{}", dir.join("log").display())
}

#[test]
fn a_simulation_says_what_it_has_written_and_nothing_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let days = |days, rate| {
        let fixed = ["simulate", "--users", "300", "--seed", "5", "--partitions", "3", "--truth", "none"];
        [&fixed[..], &["--days", days, "--rate", rate, "--to", &place]].concat()
    };
    let running = Producer::start(&days("30", "200"));
    let first = running.until(150, &place, 0);
    assert_eq!(running.page("/healthz").unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(running.page("/readyz").unwrap(), (200, "ok\n".to_owned()));
    let (_, numbers) = running.page("/metrics").unwrap();
    assert!(numbers.contains(&format!("churn_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));

    // Another one cannot have the address, and says so before it does anything.
    let elsewhere = format!("file:{}", dir.path().join("elsewhere").display());
    let simulate =
        ["simulate", "--users", "5", "--days", "1", "--to", &elsewhere, "--http", &running.address];
    let refused = producer(&simulate).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("cannot listen on") && said.contains(&running.address)
    );
    assert!(!dir.path().join("elsewhere").exists());

    // Killed: what it said is there. The next one counts what it adds itself.
    let second = running.until(first + 50, &place, 0);
    drop(running);
    let held = events_left(&place);
    assert!(held >= second);
    let running = Producer::start(&days("30", "200"));
    running.until(150, &place, held);
    drop(running);

    // And to the end.
    let before = events_left(&place);
    let done = producer(&days("30", "max")).args(["--json", "--http", "127.0.0.1:0"]).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["events"], events_on(&place) - before);
}

#[test]
fn an_import_counts_events_and_rows_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut rows = "user,at,what,n\n".to_owned();
    for i in 0..20_000_u64 {
        let n = if i % 7 == 0 { "many".to_owned() } else { i.to_string() };
        rows.push_str(&format!("u{},{},play,{n}\n", i % 90, 1_700_000_000_000 + i * 60_000));
    }
    std::fs::write(path("events.csv"), rows).unwrap();
    let map = "[entity]\ntype = \"user\"\nid = \"user\"\n[time]\ncolumn = \"at\"\nformat = \"ms\"\n[type]\ncolumn = \"what\"\n";
    let number = "[fields]\nn = { column = \"n\", kind = \"number\" }\n";
    std::fs::write(path("map.toml"), format!("{map}{number}")).unwrap();
    std::fs::write(path("mended.toml"), format!("{map}{}", number.replace("number", "text"))).unwrap();
    let (file, old, mended) = (path("events.csv"), path("map.toml"), path("mended.toml"));
    let import = |map, rate| ["import", &file, "--map", map, "--to", &place, "--rate", rate];

    let running = Producer::start(&import(&old, "200"));
    running.until(150, &place, 0);
    assert_eq!(running.page("/readyz").unwrap().0, 200);
    drop(running);
    let held = events_left(&place);
    let running = Producer::start(&import(&old, "200"));
    running.until(150, &place, held);
    drop(running);
    assert!(producer(&import(&old, "max")).output().unwrap().status.success());
    assert_eq!(events_on(&place), 20_000);
    assert!(producer(&import(&mended, "max")).arg("--rejected").output().unwrap().status.success());
    assert_eq!(events_on(&place), 20_000 + 20_000 / 7 + 1);
}

//! `churnstream log retain` beside a producer and a consumer at work that are killed and started again: what is left is what an
//! uninterrupted run leaves, and nothing that was still needed is gone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

mod small;

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser as _;
use consumer::{ConsumerOptions, DEAD_LETTERS, SCORES, Scaling, Surroundings, Workers};
use feature_store::StoreOptions;
use partition_log::{LogOptions, RecordBuf, SharedLog};
use types::PartitionId;

const PARTITIONS: u32 = 2;
const TOPICS: [&str; 3] = ["events", SCORES, DEAD_LETTERS];
/// Longer than all of it takes on a busy machine.
const LONG: Duration = Duration::from_secs(400);

/// What this program is, when a test starts it again: a folder's name and arguments, one a line.
const ROLE: &str = "RETENTION_TEST_ROLE";

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

/// Not a test of its own: the producer, when this program is started again as one.
#[test]
fn the_producer() {
    let Ok(arguments) = std::env::var(ROLE) else { return };
    let cli = producer::cli::Cli::try_parse_from(arguments.lines()).unwrap();
    let producer::cli::Command::Import(import) = cli.command else { panic!("no import: {arguments}") };
    producer::import::run(&import, &producer::Surroundings::default()).unwrap();
}

/// Not a test of its own: the consumer, when this program is started again as one.
#[test]
fn the_consumer() {
    let Ok(arguments) = std::env::var(ROLE) else { return };
    let [dir, name, until_end] = arguments.lines().collect::<Vec<_>>()[..] else { panic!("{arguments}") };
    let dir = Path::new(dir);
    let options = ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(7),
        store: dir.join(format!("{name}-store")),
        model: dir.join("model"),
        features: dir.join("spec.toml"),
        workers: Workers::Fixed(2),
        until_end: until_end == "true",
        commit_interval: Duration::from_millis(50),
        tick_idle: Duration::from_secs(60),
        batch_events: 200,
        reasons: consumer::pipeline::Reasons::Risen,
        prices: None,
        without_beginning: false,
        state: StoreOptions { snapshot_interval: Duration::from_millis(100), ..StoreOptions::default() },
        http: Some(([127, 0, 0, 1], 0).into()),
        scaling: Scaling { every: Duration::from_millis(50), ..Scaling::default() },
    };
    let log = partition_log::open(&place(dir, name), &LogOptions::default()).unwrap();
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
}

fn place(dir: &Path, name: &str) -> String {
    format!("file:{}", dir.join(format!("{name}-log")).display())
}

/// One log with one store, and who works on them.
struct Place {
    dir: PathBuf,
    name: &'static str,
    log: SharedLog,
}

/// A process at work. It is killed when this is dropped.
struct Running {
    child: Child,
    words: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(dir: &Path, role: &str, arguments: &[&str]) -> Self {
        let words = tempfile::Builder::new().prefix(role).tempfile_in(dir).unwrap().into_temp_path().keep();
        let words = words.unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", role, "--nocapture", "--test-threads=1"])
            .env(ROLE, arguments.join("\n"))
            .stdout(Stdio::null())
            .stderr(File::create(&words).unwrap())
            .spawn()
            .unwrap();
        Self { child, words }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    fn ends_well(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.said());
    }

    fn has_ended(&mut self) -> bool {
        let Some(status) = self.child.try_wait().unwrap() else { return false };
        assert!(status.success(), "{status}\n{}", self.said());
        true
    }
}

/// A topic's records of a partition from its start on: offset, time, key, value.
type Rows = Vec<(u64, i64, Vec<u8>, Vec<u8>)>;

impl Place {
    fn new(dir: &Path, name: &'static str) -> Self {
        let log = partition_log::open(&place(dir, name), &LogOptions::default()).unwrap();
        Self { dir: dir.to_owned(), name, log }
    }

    fn produce(&self, rate: &str) -> Running {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let (file, map, place) = (path("events.csv"), path("map.toml"), place(&self.dir, self.name));
        let what = ["producer", "import", &file, "--map", &map, "--to", &place, "--partitions", "2"];
        Running::start(&self.dir, "the_producer", &[&what[..], &["--rate", rate]].concat())
    }

    fn consume(&self, until_end: bool) -> Running {
        let dir = self.dir.display().to_string();
        Running::start(&self.dir, "the_consumer", &[&dir, self.name, &until_end.to_string()])
    }

    /// How many records were removed; none, and why, if the command refused.
    fn retain(&self, topic: &str) -> Result<u64, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
            .args(["log", "retain", &format!("{}/{topic}", place(&self.dir, self.name))])
            .args(["--older-than", "1d", "--json", "--store"])
            .arg(self.dir.join(format!("{}-store", self.name)))
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        Ok(report["removed_records"].as_u64().unwrap())
    }

    /// Where its consumer says that it answers; that of a killed one stays.
    fn address(&self) -> Option<String> {
        consumer::address_of(&self.dir.join(format!("{}-store", self.name)))
    }

    fn rows(&self, topic: &str, partition: u32) -> Rows {
        let partition = PartitionId(partition);
        let start = self.log.bounds(topic, partition).unwrap().start;
        let mut reader = self.log.reader(topic, partition, start).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        records.iter().map(|r| (r.offset.0, r.timestamp.0, r.key.to_vec(), r.value.to_vec())).collect()
    }
}

/// Ends who waits for it, whatever happens.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Whether the command had a reason not to remove anything.
fn may_refuse(why: &str, has_removed: bool) -> bool {
    // Before the first consumer has made store and topics, and the first commit.
    let early = ["there is no topic", "No such file", "there is no store", "cannot be known"];
    why.contains("no consumer answers") || (!has_removed && early.iter().any(|reason| why.contains(reason)))
}

/// A year and more in which people play; of one row in twenty the number is none.
fn write_events(dir: &Path) {
    let mut rows = "user,at,what,n\n".to_owned();
    let days = 400;
    for row in 0..days * 60 {
        let at = small::DAY_0 + row * (small::DAY / 60);
        // Some stop soon, some come late.
        let user = if row % 3 == 0 { row * 7 / 1_000 } else { row * 31 % 40 };
        let n = if row % 20 == 0 { "many".to_owned() } else { row.to_string() };
        writeln!(rows, "u{user},{at},play,{n}").unwrap();
    }
    std::fs::write(dir.join("events.csv"), rows).unwrap();
    std::fs::write(dir.join("map.toml"), MAP).unwrap();
    std::fs::write(dir.join("spec.toml"), small::SPEC).unwrap();
    drop(small::bundle(dir, "model", [1.0, -2.0], 10));
}

#[test]
fn what_is_left_beside_producers_and_consumers_that_are_killed_is_that_of_an_uninterrupted_run() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_events(dir);
    let reference = Place::new(dir, "reference");
    reference.produce("max").ends_well();
    reference.consume(true).ends_well();

    let live = Place::new(dir, "live");
    let begun = Instant::now();
    let (mut producer, is_over) = (live.produce("1500"), AtomicBool::new(false));
    while live.log.topic("events").unwrap().is_none() {
        assert!(!producer.has_ended() && begun.elapsed() < LONG, "{}", producer.said());
        sleep(Duration::from_millis(10));
    }
    let (rounds, of_all) = (AtomicU64::new(0), AtomicBool::new(false));
    let removed = std::thread::scope(|scope| {
        // As from cron, only more often.
        let retaining = scope.spawn(|| {
            let mut removed = [0; TOPICS.len()];
            while !is_over.load(SeqCst) {
                let mut all = true;
                for (topic, removed) in TOPICS.iter().zip(&mut removed) {
                    match live.retain(topic) {
                        Ok(records) => *removed += records,
                        Err(why) => {
                            assert!(may_refuse(&why, *removed > 0), "{why}");
                            all = false;
                        }
                    }
                }
                rounds.fetch_add(u64::from(all), SeqCst);
                of_all.store(removed.iter().all(|records| *records > 0), SeqCst);
            }
            removed
        });
        let over = Over(&is_over);
        let (mut kills, mut ended) = (0, false);
        while !retaining.is_finished() && (!ended || kills < 6 || !of_all.load(SeqCst)) {
            let mut consumer = live.consume(false);
            let before = live.address();
            // Until it answers, and all topics were looked through while it had the store; or until another had that for longer than it waits.
            // The last ones live until records of all topics went: those who are killed at once put little state behind them.
            let mut asked = None;
            while consumer.child.try_wait().unwrap().is_none() && !retaining.is_finished() {
                assert!(begun.elapsed() < LONG, "{}\n{}", producer.said(), consumer.said());
                let now = rounds.load(SeqCst);
                let enough = !ended || of_all.load(SeqCst);
                if live.address() != before && now > *asked.get_or_insert(now + 1) && enough {
                    break;
                }
                sleep(Duration::from_millis(20));
            }
            if consumer.child.try_wait().unwrap().is_some() {
                assert!(consumer.said().contains("open in another process"), "{}", consumer.said());
            }
            drop(consumer);
            kills += 1;
            ended = producer.has_ended();
            if kills == 3 {
                drop(producer);
                producer = live.produce("1500");
            }
        }
        producer.ends_well();
        live.consume(true).ends_well();
        drop(over);
        let removed = retaining.join().unwrap();
        println!("{kills} kills, removed {removed:?} of {TOPICS:?}");
        removed
    });
    for (topic, removed) in TOPICS.iter().zip(removed) {
        assert!(removed > 0, "{topic}: nothing was removed beside them");
        live.retain(topic).unwrap();
        for partition in 0..PARTITIONS {
            let (all, left) = (reference.rows(topic, partition), live.rows(topic, partition));
            let (start, whole) = (left.first().unwrap().0, all.len());
            let expected: Rows = all.into_iter().filter(|row| row.0 >= start).collect();
            let differs = left.iter().zip(&expected).find(|(left, expected)| left != expected);
            assert!(differs.is_none(), "{topic}-{partition}: {differs:?}");
            assert_eq!(left.len(), expected.len(), "{topic}-{partition}");
            assert!(
                start > 0 && left.len() < whole / 4,
                "{topic}-{partition}: {} of {whole} are left",
                left.len()
            );
        }
        let checked = live.log.verify(topic, PartitionId(0)).unwrap();
        assert!(checked.findings.is_empty(), "{checked:?}");
    }
}

#[test]
fn a_log_without_its_beginning_is_not_taken_for_a_whole_one() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_events(dir);
    std::fs::write(
        dir.join("labels.toml"),
        "horizon = \"7d\"\n[lost]\nsilence = true\n[rows]\nmin_history = \"0d\"\ntriggers = \"sweep\"\n",
    )
    .unwrap();
    let spec = small::SPEC.replace("[lifecycle]", "[lifecycle]\nsilence = \"7d\"");
    std::fs::write(dir.join("silent.toml"), spec).unwrap();
    let live = Place::new(dir, "live");
    live.produce("max").ends_well();
    live.consume(true).ends_well();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
            .current_dir(dir)
            .args(arguments)
            .args(["--from", &place(dir, "live")])
            .output()
            .unwrap();
        let [said, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), said, errors)
    };
    let rows = ["rows", "export", "--features", "silent.toml", "--labels", "labels.toml", "--json", "--to"];
    let get = ["features", "get", "u1", "--store", "live-store"];
    for whole in [&[&rows[..], &["whole.parquet"]].concat()[..], &get, &["incidents"]] {
        let (ok, _, errors) = run(whole);
        assert!(ok && !errors.contains("retention removed"), "{whole:?}: {errors}");
    }

    let removed = live.retain("events").unwrap();
    assert!(removed > 0);
    let train = ["train", "--features", "silent.toml", "--labels", "labels.toml", "--to", "new"];
    let retrain =
        ["retrain", "--features", "silent.toml", "--labels", "labels.toml", "--registry", "registry"];
    let rows = [&rows[..], &["rows.parquet"]].concat();
    for cut in [&rows[..], &get, &train, &retrain, &["drift", "--features", "spec.toml", "--model", "model"]]
    {
        let (ok, _, errors) = run(cut);
        assert!(!ok && errors.contains("no longer holds its beginning"), "{cut:?}: {errors}");
        assert!(errors.contains(&format!("the first {removed} records")), "{cut:?}: {errors}");
    }
    for cut in [&rows[..], &get] {
        let (ok, said, errors) = run(&[cut, &["--without-beginning"]].concat());
        assert!(ok && errors.contains("mind: retention removed the first"), "{cut:?}: {errors}");
        let report = serde_json::from_str::<serde_json::Value>(&said).unwrap_or_default();
        assert!(cut == get || report["replay"]["removed"] == removed, "{said}");
    }
    // Days need nothing of before, but those that are whole are judged alone.
    let (ok, _, errors) = run(&["incidents"]);
    assert!(ok && errors.contains("of which all is left"), "{errors}");

    // Who was scored goes on; who has no state does not begin in the middle.
    live.consume(true).ends_well();
    std::fs::rename(dir.join("live-store"), dir.join("elsewhere")).unwrap();
    let mut fresh = live.consume(true);
    assert!(!fresh.child.wait().unwrap().success());
    assert!(fresh.said().contains("BeginningGone"), "{}", fresh.said());
}

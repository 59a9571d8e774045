//! A topic that others write, in JSON of their own: read through a map it gives the very scores that our own events give, on files and in
//! a group on Kafka; and what cannot be used is set aside as it stands in the topic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use consumer::{ConsumerOptions, DEAD_LETTERS, SCORES, Surroundings};
use partition_log::conformance::broker;
use partition_log::mapped::{RecordMap, mapped};
use partition_log::{FileLog, KafkaLog, LogError, LogOptions, RecordBuf, SharedLog};
use producer::foreign::ForeignEvents;
use support::compare::{self, Stored};
use support::stream::{Appender, Outgoing, Shape};
use support::{EVENTS, World, stream};
use types::{Event, Offset, headers};

const PARTITIONS: u32 = 2;
const MAP: &str = r#"
[entity]
type = "user"
id = "who.id"

[time]
column = "at"
format = "ms"

[type]
column = "did"
names = { watch = "play" }

[event_id]
column = "nr"

[fields]
watch_s = "more.watch_s"
genre = "more.genre"
finished = "more.finished"
amount = { column = "more.amount.minor", kind = "money", currency_column = "more.amount.currency", minor = true }
plan = "more.plan"
country = "more.country"
price = "more.price"

[[where]]
column = "internal"
present = false
"#;

/// Our records that mean something, and the same as others would write them. Ticks and erasures are ours in both.
fn both(seed: u64) -> (Vec<Outgoing>, Vec<Outgoing>) {
    let records = stream::make(seed, Shape { users: 150, days: 20, empty: (1, 1) });
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for record in records {
        let mut event = Event::default();
        if event.decode(&record.value).is_err()
            || !(event.entity_type == "user" || event.kind.starts_with('$'))
        {
            continue;
        }
        let value = match event.system() {
            Ok(Some(_)) => record.value.clone(),
            Err(_) => continue,
            Ok(None) => {
                let known: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
                let did = if event.kind == "play" { "watch" } else { &*event.kind };
                let mut foreign =
                    serde_json::json!({ "at": event.ts.0, "did": did, "who": { "id": event.entity } });
                if let Some(fields) = known.get("fields") {
                    foreign["more"] = fields.clone();
                }
                if let Some(id) = known.get("id") {
                    foreign["nr"] = id.clone();
                }
                foreign.to_string().into_bytes()
            }
        };
        ours.push(record.clone());
        theirs.push(Outgoing { value, ..record });
    }
    (ours, theirs)
}

/// No wait is longer: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn run(log: &SharedLog, options: &ConsumerOptions) {
    let (through, of) = (Arc::clone(log), options.clone());
    let run = std::thread::spawn(move || consumer::run(&of, &through, &Surroundings::new()));
    let begun = std::time::Instant::now();
    while !run.is_finished() {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = run.join().unwrap().unwrap();
    assert!(status.scores > 500, "{status:?}");
}

/// Markers of transactions take offsets too.
fn without_offsets(log: &SharedLog, topic: &str) -> Vec<Vec<Stored>> {
    let mut all = compare::records(log.as_ref(), topic);
    for (index, record) in all.iter_mut().flat_map(|partition| partition.iter_mut().enumerate()) {
        record.offset = Offset(index as u64);
    }
    all
}

struct Proof {
    world: World,
    theirs: Vec<Outgoing>,
    scores: Vec<Vec<Stored>>,
    letters: Vec<Vec<Stored>>,
    map: PathBuf,
}

impl Proof {
    fn new() -> Self {
        let seed = support::seed();
        let world = World::new(seed);
        drop(world.registry("registry"));
        let (ours, theirs) = both(seed);
        let log: SharedLog = Arc::new(FileLog::new(world.dir().join("ours"), LogOptions::default()));
        stream::create(log.as_ref(), PARTITIONS);
        Appender::new(log.as_ref()).append(&ours);
        run(&log, &world.options("ours-store", "registry"));
        let (scores, letters) = (without_offsets(&log, SCORES), without_offsets(&log, DEAD_LETTERS));
        assert!(letters.iter().flatten().count() > 10);
        let map = world.dir().join("map.toml");
        std::fs::write(&map, MAP).unwrap();
        Self { world, theirs, scores, letters, map }
    }

    fn holds(&self, log: SharedLog, store: &str) {
        stream::create(log.as_ref(), PARTITIONS);
        Appender::new(log.as_ref()).append(&self.theirs);
        // What the map leaves out is no letter, and what it cannot read is one. Both come last, so that nothing else moves.
        let unread = [&b"no json"[..], br#"{"who":{"id":"u00001"},"did":"watch","at":"yesterday"}"#];
        let last = self.theirs.last().unwrap().arrival.0;
        let mut more: Vec<_> = unread.iter().map(|value| Outgoing::new(b"u00001", value, last)).collect();
        more.push(Outgoing::new(b"u00001", br#"{"internal":1}"#, last));
        Appender::new(log.as_ref()).append(&more);

        let through =
            mapped(Arc::clone(&log), EVENTS, Arc::new(ForeignEvents::load(&self.map, None).unwrap()));
        run(
            &through,
            &ConsumerOptions { session_timeout: support::session(), ..self.world.options(store, "registry") },
        );
        compare::same_records("scores", &self.scores, &without_offsets(&log, SCORES));
        compare::same_users(
            "state",
            &compare::states(&self.world.dir().join("ours-store")),
            &compare::states(&self.world.dir().join(store)),
        );

        // The same letters, but as they stand in the topic.
        let stored = compare::records(log.as_ref(), EVENTS);
        let mut unreadable = 0;
        for (expected, found) in self.letters.iter().zip(without_offsets(&log, DEAD_LETTERS)) {
            for (index, letter) in found.iter().enumerate() {
                let from = letter.header(headers::FROM).unwrap();
                let (place, offset) = from.rsplit_once('@').unwrap();
                let partition: usize = place.rsplit_once('-').unwrap().1.parse().unwrap();
                let source =
                    stored[partition].iter().find(|record| record.offset.0.to_string() == offset).unwrap();
                assert_eq!((&letter.key, &letter.value), (&source.key, &source.value), "{from}");
                assert!(letter.header(partition_log::mapped::ORIGINAL).is_none());
                match expected.get(index) {
                    Some(same) => assert_eq!(letter.header(headers::REASON), same.header(headers::REASON)),
                    None => unreadable += 1,
                }
            }
        }
        assert_eq!(unreadable, unread.len());
    }
}

#[test]
fn what_others_write_scores_as_if_it_were_ours() {
    let proof = Proof::new();
    proof.holds(
        Arc::new(FileLog::new(proof.world.dir().join("theirs"), LogOptions::default())),
        "theirs-store",
    );

    let Some(brokers) = broker::shared() else { return };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let place = format!("{}/foreign-{nanos}.", brokers.bootstrap);
    proof.holds(Arc::new(KafkaLog::new(&place, &LogOptions::default()).unwrap()), "kafka-store");
}

/// Leaves everything out, and is slow about it.
struct Slow;

impl RecordMap for Slow {
    fn map(&self, records: &RecordBuf, _into: &mut RecordBuf) -> Result<(), LogError> {
        std::thread::sleep(Duration::from_millis(120) * records.len() as u32);
        Ok(())
    }
}

#[test]
fn through_a_long_stretch_that_means_nothing_commits_go_on_without_a_pause() {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let log: SharedLog = Arc::new(FileLog::new(world.dir().join("log"), LogOptions::default()));
    stream::create(log.as_ref(), 1);
    // Three reads a stretch, and ten stretches.
    let large = vec![b'x'; 600_000];
    let records = vec![Outgoing::new(b"u00001", &large, stream::BEGIN.0); 60];
    Appender::new(log.as_ref()).append(&records);
    let through = mapped(Arc::clone(&log), EVENTS, Arc::new(Slow));
    let mut options = world.options("store", "registry");
    // Whoever waits for the next commit after each stretch waits for most of a minute.
    options.commit_interval = Duration::from_secs(4);
    options.scaling.every = Duration::from_millis(20);
    let around = Surroundings::new();
    let begun = std::time::Instant::now();
    let run = {
        let (through, around) = (Arc::clone(&through), around.clone());
        std::thread::spawn(move || consumer::run(&options, &through, &around))
    };
    let mut seen = std::collections::BTreeSet::new();
    while !run.is_finished() {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        seen.extend(around.status.read().partitions.iter().map(|p| (p.position.0, p.committed.0)));
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = run.join().unwrap().unwrap();
    let took = begun.elapsed();
    assert_eq!(status.partitions[0].committed, Offset(60));
    let positions = seen.iter().filter(|(position, _)| (1..60).contains(position)).count();
    let committed = seen.iter().filter(|(_, committed)| (1..60).contains(committed)).count();
    assert!(positions > 3 && committed > 0, "{seen:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn maps_for_files_alone_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("map.toml");
    for (more, word) in [
        ("[[event]]\ntype = { constant = \"a\" }\n[[event]]\ntype = { constant = \"b\" }\n", "one event"),
        ("", "JSON"),
    ] {
        let format = if more.is_empty() { "format = \"csv\"\n" } else { "" };
        std::fs::write(&path, format!("{format}{MAP}{more}")).unwrap();
        let error = ForeignEvents::load(&path, None).err().unwrap().to_string();
        assert!(error.contains(word) && error.contains("map.toml"), "{error}");
    }
}

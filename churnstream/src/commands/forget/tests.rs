use std::collections::BTreeMap;

use feature_store::StoreIdentity;
use feature_store::store::Commit;
use partition_log::TopicConfig;
use types::{Band, Millis, SourcePosition, Trigger};

use super::*;

const P0: PartitionId = PartitionId(0);

struct Fixture {
    dir: tempfile::TempDir,
    log: partition_log::SharedLog,
}

fn score(user: &str, offset: u64) -> Vec<u8> {
    let score = Score {
        v: 1,
        id: format!("{user}-{offset}"),
        entity_type: "user".into(),
        entity: user.into(),
        as_of: EventTime(0),
        horizon: Millis::DAY,
        margin: 0.5,
        probability: 0.25,
        band: Band::Low,
        model: "m".into(),
        spec: "s".into(),
        source: SourcePosition { partition: P0, offset: Offset(offset) },
        trigger: Trigger::Event,
        reasons: Vec::new(),
    };
    serde_json::to_vec(&score).unwrap()
}

impl Fixture {
    /// Events of two users, each with a score and every fifth a dead letter; one partition.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_bytes: 4000, ..LogOptions::default() };
        let place = format!("file:{}", dir.path().join("log").display());
        let log = partition_log::open(&place, &options).unwrap();
        let fixture = Self { dir, log };
        for topic in ["events", SCORES, DEAD_LETTERS] {
            let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
            fixture.log.create_topic(topic, &config).unwrap();
        }
        fixture.add(0..100);
        fixture
    }

    fn add(&self, numbers: std::ops::Range<u64>) {
        for topic in ["events", SCORES, DEAD_LETTERS] {
            let mut writer = self.log.writer(topic).unwrap().partition(P0).unwrap();
            for n in numbers.clone() {
                let user = if n % 2 == 0 { "ann" } else { "bob" };
                let from = format!("events-0@{n}");
                let all: [(&str, &[u8]); 1] = [(headers::FROM, from.as_bytes())];
                let (value, all) = match topic {
                    SCORES => (score(user, n), &all[..0]),
                    DEAD_LETTERS => (format!("bad {user} {n}").into_bytes(), &all[..]),
                    _ => (format!("event {user} {n}").into_bytes(), &all[..0]),
                };
                if topic != DEAD_LETTERS || n % 5 == 0 {
                    writer.append(EventTime(n as i64), user.as_bytes(), &value, all).unwrap();
                    writer.flush().unwrap();
                }
            }
            writer.sync().unwrap();
        }
    }

    /// What the command says, with `--purge` or without.
    fn say(&self, user: &str, purge: bool) -> anyhow::Result<()> {
        let (user, from, topic) = (user.into(), self.log.place(), "events".into());
        Forget { user, from, topic, purge, store: purge.then(|| self.store()) }.run()
    }

    fn erase(&self, user: &str) {
        self.say(user, false).unwrap();
    }

    fn commit(&self, next: u64) {
        let identity = StoreIdentity { spec_hash: "0".repeat(16), topic: "events".into(), partitions: 1 };
        let store = Store::open(&self.store(), &identity, StoreOptions::default()).unwrap();
        let mut users = store.partition::<UserState>(P0).unwrap();
        let next_input = Offset(next);
        users.commit(Commit { next_input, outputs: BTreeMap::new(), sweep: None }).unwrap();
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn purge(&self, user: &str) -> anyhow::Result<Vec<(String, u64)>> {
        purge(&*self.log, "events", user, &self.store())
    }

    /// Offset and key of what a topic holds.
    fn held(&self, topic: &str) -> Vec<(u64, String)> {
        let mut reader = self.log.reader(topic, P0, Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        records.iter().map(|r| (r.offset.0, String::from_utf8_lossy(r.key).into_owned())).collect()
    }
}

#[test]
fn a_purge_takes_out_what_was_before_the_erasure_and_nothing_else() {
    let fixture = Fixture::new();
    fixture.commit(50);
    let error = format!("{:#}", fixture.purge("ann").unwrap_err());
    assert!(error.contains("holds no erasure of user `ann`"), "{error}");
    fixture.erase("ann");
    let error = format!("{:#}", fixture.purge("ann").unwrap_err());
    assert!(error.contains("at offset 100 of events-0") && error.contains("is at 50"), "{error}");
    // Ann comes back: what is from then on stays.
    fixture.add(101..111);
    fixture.commit(105);

    let before: Vec<_> = ["events", SCORES, DEAD_LETTERS].map(|topic| fixture.held(topic)).into();
    let held = fixture.log.writer(SCORES).unwrap();
    let error = format!("{:#}", fixture.purge("ann").unwrap_err());
    assert!(error.contains("being written"), "{error}");
    drop(held);
    let purged = fixture.purge("ann").unwrap();
    let expected = [(SCORES, 50), (DEAD_LETTERS, 10), ("events", 51)].map(|(t, n)| (t.to_owned(), n));
    assert_eq!(purged, expected);
    for (topic, before) in ["events", SCORES, DEAD_LETTERS].into_iter().zip(before) {
        let (erased, last_letter) = (100, 20);
        // The erasure itself goes too.
        let border = if topic == DEAD_LETTERS { last_letter } else { erased + 1 };
        let right: Vec<_> =
            before.into_iter().filter(|(offset, key)| key == "bob" || *offset >= border).collect();
        assert_eq!(fixture.held(topic), right, "{topic}");
        assert!(partition_log::admin::verify(&*fixture.log, topic).unwrap().ok);
    }
    let error = fixture.say("ann", true).unwrap_err().to_string();
    assert!(error.contains("nothing of user `ann`"), "{error}");
}

#[test]
fn a_user_who_is_not_there_is_not_erased() {
    let fixture = Fixture::new();
    let before = fixture.held("events");
    let error = fixture.say("Ann", false).unwrap_err().to_string();
    assert!(error.contains("user `Ann` is not in events"), "{error}");
    assert_eq!(fixture.held("events"), before);
    fixture.erase("bob");
    assert_eq!(fixture.held("events").len(), before.len() + 1);
}

#[test]
fn what_cannot_be_purged_is_refused_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there: one who asked would wait for half a minute.
    let from = "kafka:127.0.0.1:1/shop.".to_owned();
    let forget = Forget {
        user: "ann".into(),
        from,
        topic: "events".into(),
        purge: true,
        store: Some(dir.path().into()),
    };
    let begun = std::time::Instant::now();
    let error = forget.run().unwrap_err().to_string();
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    for words in [
        "--purge is for file: only",
        "churnstream forget ann --from kafka:127.0.0.1:1/shop.`",
        "shop.events, shop.scores, shop.shadow-scores, shop.dead-letters",
        "--entity-name shop.events --add-config retention.ms=7776000000",
        "shop.snapshots",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

//! What a consumer left behind, in a form that can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use feature_store::{StateValue, Store, StoreOptions, SweepCursor, UserState};
use partition_log::{Log, RecordBuf};
use types::{EventTime, Offset, PartitionId};

/// A record of an output, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: Offset,
    pub(crate) timestamp: EventTime,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Stored {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(n, _)| n == name)?;
        Some(String::from_utf8_lossy(&found.1).into_owned())
    }
}

/// Every record of a topic, partition by partition.
pub(crate) fn records(log: &dyn Log, topic: &str) -> Vec<Vec<Stored>> {
    let partitions = log.topic(topic).unwrap().expect("the topic is there").partitions;
    (0..partitions).map(|partition| partition_records(log, topic, PartitionId(partition))).collect()
}

fn partition_records(log: &dyn Log, topic: &str, partition: PartitionId) -> Vec<Stored> {
    let start = log.bounds(topic, partition).unwrap().start;
    let mut reader = log.reader(topic, partition, start).unwrap();
    let (mut buffer, mut all) = (RecordBuf::default(), Vec::new());
    loop {
        buffer.clear();
        if reader.read(&mut buffer, 1 << 20).unwrap() == 0 {
            return all;
        }
        all.extend(
            buffer.iter().map(|record| Stored {
                offset: record.offset,
                timestamp: record.timestamp,
                key: String::from_utf8_lossy(record.key).into_owned(),
                value: record.value.to_vec(),
                headers: record
                    .headers()
                    .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), v.to_vec()))
                    .collect(),
            }),
        );
    }
}

/// For each user the scores in the order in which they were made, without what depends on where the user lies.
pub(crate) fn scores_by_user(log: &dyn Log, topic: &str) -> BTreeMap<String, Vec<String>> {
    let mut users = BTreeMap::<String, Vec<String>>::new();
    for record in records(log, topic).into_iter().flatten() {
        let mut score: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        let fields = score.as_object_mut().unwrap();
        assert_eq!(fields["entity"].as_str(), Some(record.key.as_str()));
        assert_eq!(fields["as_of"].as_i64(), Some(record.timestamp.0));
        fields.remove("id").unwrap();
        fields.remove("source").unwrap();
        users.entry(record.key).or_default().push(score.to_string());
    }
    users
}

/// The state of every user, as the bytes that are stored.
pub(crate) fn states(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let identity = feature_store::store::identity(store).unwrap();
    let opened = Store::open(store, &identity, StoreOptions::default()).unwrap();
    let mut all = BTreeMap::new();
    for partition in (0..identity.partitions).map(PartitionId) {
        let mut users = opened.partition::<UserState>(partition).unwrap();
        let mut from = Some(SweepCursor::START);
        while let Some(cursor) = from {
            from = users
                .sweep(cursor, 1000, |user, state| {
                    let mut bytes = Vec::new();
                    state.encode(&mut bytes);
                    assert!(all.insert(user.to_owned(), bytes).is_none(), "{user} came twice");
                })
                .unwrap();
        }
    }
    all
}

/// Stops at the first difference and shows it.
pub(crate) fn same_records(what: &str, expected: &[Vec<Stored>], found: &[Vec<Stored>]) {
    assert_eq!(expected.len(), found.len(), "{what}: partitions");
    for (partition, (expected, found)) in expected.iter().zip(found).enumerate() {
        for (e, f) in expected.iter().zip(found) {
            assert_eq!(
                e,
                f,
                "{what}-{partition}: {} / {}",
                String::from_utf8_lossy(&e.value),
                String::from_utf8_lossy(&f.value)
            );
        }
        assert_eq!(expected.len(), found.len(), "{what}-{partition}: records");
    }
}

/// Stops at the first user who differs.
pub(crate) fn same_users<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<String, T>,
    found: &BTreeMap<String, T>,
) {
    for (user, expected) in expected {
        assert_eq!(Some(expected), found.get(user), "{what}: user {user}");
    }
    assert_eq!(expected.len(), found.len(), "{what}: users");
}

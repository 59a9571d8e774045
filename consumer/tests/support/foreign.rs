//! A topic that others write: without ticks, and without a note of what it is keyed by.

use partition_log::{Log, LogOptions, SharedLog, TopicConfig, partition_for};
use types::{Event, EventTime, PartitionId, headers};

use super::EVENTS;
use super::stream::{DAY, HOUR, Outgoing};

/// Makes a topic `PREFIX.events` whose note stands where those who read `kafka:BROKERS/PREFIX.` do not look. Returns the place.
pub(crate) fn make(brokers: &str, prefix: &str, partitions: u32) -> (String, SharedLog) {
    let open = |place: &str| partition_log::open(place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() };
    open(&format!("kafka:{brokers}")).create_topic(&format!("{prefix}.{EVENTS}"), &config).unwrap();
    let place = format!("kafka:{brokers}/{prefix}.");
    let log = open(&place);
    assert_eq!(log.topic(EVENTS).unwrap().unwrap().key, "", "whose it is is not known");
    (place, log)
}

/// Of each partition its records with ticks where they are to be decided, and of each tick the offset of the record that it stands before
/// in the topic without ticks.
pub(crate) type Ticked = (Vec<Outgoing>, Vec<(i64, u64)>);

/// Puts the ticks of each partition before the first event that has passed them.
pub(crate) fn with_ticks(records: &[Outgoing], partitions: u32) -> Vec<Ticked> {
    let mut all: Vec<Ticked> = (0..partitions).map(|_| Ticked::default()).collect();
    let mut last = vec![None; partitions as usize];
    let mut offsets = vec![0; partitions as usize];
    for record in records {
        let partition = partition_for(&record.key, partitions).0 as usize;
        let (ticked, decided) = &mut all[partition];
        if let Some(at) = passes(record) {
            let mut tick = *last[partition].get_or_insert((at - HOUR).div_euclid(DAY) * DAY);
            while at >= tick + DAY + HOUR {
                tick += DAY;
                ticked.push(Outgoing::tick(tick));
                decided.push((tick, offsets[partition]));
            }
            last[partition] = Some(tick);
        }
        offsets[partition] += 1;
        ticked.push(record.clone());
    }
    all
}

/// The time that an event of a user passes ticks by.
fn passes(record: &Outgoing) -> Option<i64> {
    if record.key.is_empty() && record.headers.iter().any(|(name, _)| *name == headers::REASON) {
        return None;
    }
    let mut event = Event::default();
    event.decode(&record.value).ok()?;
    let usable =
        !event.kind.starts_with('$') && event.entity_type == "user" && event.entity.as_bytes() == record.key;
    usable.then_some(event.ts.min(record.arrival).0)
}

/// What the control topic says of a partition: ticks, and the offsets that they stand before.
pub(crate) fn decided(log: &dyn Log, partition: u32) -> Vec<(i64, u64)> {
    let records = super::compare::records(log, consumer::CONTROL);
    let decided = records[PartitionId(partition).0 as usize].iter().map(|record| {
        let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        let tick = value["tick"].as_i64().unwrap();
        assert_eq!(record.timestamp, EventTime(tick));
        (tick, value["before"].as_u64().unwrap())
    });
    decided.collect()
}

//! What others can put into a topic, or a broker into an answer, on a real broker: no reader falls over it, and none goes on behind it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partition_log::backends::kafka::{GroupEvent, GroupOptions, KafkaGroup};
use partition_log::conformance::broker;
use partition_log::{KafkaLog, Log, LogError, LogOptions, PartitionReader, RecordBuf, TopicConfig};
use rdkafka::ClientConfig;
use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_headers_t};
use rdkafka::message::{Header, OwnedHeaders, ToBytes};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);
/// No wait is longer: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn fresh(name: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{nanos}")
}

fn log(bootstrap: &str) -> KafkaLog {
    KafkaLog::new(bootstrap, &LogOptions::default()).unwrap()
}

fn create(log: &KafkaLog, topic: &str) {
    let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
    log.create_topic(topic, &config).unwrap();
}

/// Writes records of the values `0`, `1` and so on.
fn fill(log: &KafkaLog, topic: &str, records: u64) {
    create(log, topic);
    let mut writer = log.writer(topic).unwrap().partition(P0).unwrap();
    for n in 0..records {
        let value = format!("{n} {}", "and the like ".repeat(20));
        writer.append(EventTime(1_700_000_000_000), b"u1", value.as_bytes(), &[]).unwrap();
    }
    writer.sync().unwrap();
}

/// A producer that knows nothing of churnstream.
fn others_producer(bootstrap: &str) -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// The partition's only member, and its reader.
fn member(log: &KafkaLog, topic: &str) -> (KafkaGroup, Box<dyn PartitionReader>) {
    let options = GroupOptions {
        group: fresh("group"),
        member: "member".to_owned(),
        topic: topic.to_owned(),
        outputs: Vec::new(),
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_secs(10),
        give_up: Arc::new(|| false),
    };
    let group = log.join(&options).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no partition came");
        if let Some(GroupEvent::Assigned(partitions)) = group.poll(Duration::from_millis(50)).unwrap() {
            assert_eq!(partitions, [P0]);
            break;
        }
    }
    let reader = group.reader(P0, Offset::ZERO).unwrap();
    group.take(&[(P0, Offset::ZERO)]).unwrap();
    (group, reader)
}

/// Reads until there are so many records, or an error.
fn read(reader: &mut dyn PartitionReader, records: usize) -> Result<RecordBuf, LogError> {
    let (mut block, deadline) = (RecordBuf::default(), Instant::now() + PATIENCE);
    while block.len() < records {
        assert!(Instant::now() < deadline, "{} of {records} came", block.len());
        if reader.read(&mut block, 1 << 20)? == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(block)
}

/// Both kinds of reader: one of its own, and a group's.
fn with_both(log: &KafkaLog, topic: &str, check: impl Fn(&mut dyn PartitionReader)) {
    check(&mut *log.reader(topic, P0, Offset::ZERO).unwrap());
    let (_group, mut reader) = member(log, topic);
    check(&mut *reader);
}

#[test]
#[allow(unsafe_code)]
fn a_header_may_have_any_name() {
    let Some(brokers) = broker::shared() else { return };
    let (log, topic) = (log(&brokers.bootstrap), fresh("any-name"));
    create(&log, &topic);
    let names: [&[u8]; 4] = [b"plain", b"\xff\xfe", b"", "zoë".as_bytes()];
    let headers = OwnedHeaders::new().insert(Header { key: "plain", value: Some("first") });
    for name in &names[1..] {
        let native = std::ptr::from_ref(headers.as_borrowed()).cast_mut().cast::<rd_kafka_headers_t>();
        // SAFETY: that is how rdkafka itself comes from the one to the other; librdkafka copies name and value.
        let added = unsafe {
            rd_kafka_header_add(native, name.as_ptr().cast(), name.len() as isize, std::ptr::null(), 0)
        };
        assert_eq!(added, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    let producer = others_producer(&brokers.bootstrap);
    let record = BaseRecord::to(&topic).key("u1").payload("with headers").headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::to(&topic).key("u1").payload("without")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    with_both(&log, &topic, |reader| {
        let found = read(reader, 2).unwrap();
        let values: Vec<_> = found.iter().map(|record| record.value).collect();
        assert_eq!(values, [&b"with headers"[..], b"without"]);
        let headers: Vec<_> = found.get(0).unwrap().headers().collect();
        let values: [&[u8]; 4] = [b"first", b"", b"", b""];
        assert_eq!(headers, names.into_iter().zip(values).collect::<Vec<_>>());
        assert_eq!(found.get(1).unwrap().headers().len(), 0);
    });
}

/// A record that only ends a transaction stands in the outputs of a consumer, and those may be read by another one.
#[test]
fn a_record_that_only_ends_a_transaction_is_passed_over_in_a_group_too() {
    struct Nothing;
    impl ToBytes for Nothing {
        fn to_bytes(&self) -> &[u8] {
            &[]
        }
    }
    let Some(brokers) = broker::shared() else { return };
    let (log, topic) = (log(&brokers.bootstrap), fresh("settled"));
    create(&log, &topic);
    let producer = others_producer(&brokers.bootstrap);
    let value = |value| BaseRecord::<str, str>::to(&topic).key("u1").payload(value);
    producer.send(value("before")).map_err(|(error, _)| error).unwrap();
    let settled: BaseRecord<'_, str, Nothing> = BaseRecord::to(&topic).key("$settled");
    producer.send(settled).map_err(|(error, _)| error).unwrap();
    producer.send(value("behind")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    with_both(&log, &topic, |reader| {
        let found = read(reader, 2).unwrap();
        let found: Vec<_> = found.iter().map(|record| (record.offset.0, record.value)).collect();
        assert_eq!(found, [(0, &b"before"[..]), (2, b"behind")]);
        assert_eq!(reader.position(), Offset(3));
    });
}

/// What a batch is compressed by stands in the last bits of its attributes, behind the checksum.
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const BATCH_HEADER: usize = 61;

/// Changes the first batch of a segment, and makes its checksum right again.
fn damage(segment: &Path, change: impl FnOnce(&mut [u8])) {
    let mut file = File::options().read(true).write(true).open(segment).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let length = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let batch = &mut bytes[..12 + length];
    assert_ne!(batch[ATTRIBUTES + 1] & 7, 0, "it is compressed");
    change(batch);
    let crc = crc32c::crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(batch).unwrap();
}

#[test]
fn a_batch_that_cannot_be_unpacked_is_an_error_and_not_a_standstill() {
    // Of its own: its files are written to.
    let Some(brokers) = broker::start(1) else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let log = log(&brokers.bootstrap);
    for (topic, word) in [("unpackable", "ecompress"), ("unknown-codec", "mplemented")] {
        fill(&log, topic, 50);
        damage(&dir.join(format!("data-1/{topic}-0/00000000000000000000.log")), |batch| match topic {
            "unpackable" => batch[BATCH_HEADER..].fill(0x5a),
            _ => batch[ATTRIBUTES + 1] |= 7,
        });
        with_both(&log, topic, |reader| {
            let begun = Instant::now();
            let error = read(reader, 1).unwrap_err();
            assert!(matches!(&error, LogError::Broker { .. }) && error.to_string().contains(word), "{error}");
            // Not the limit that a read has anyway.
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {error}", begun.elapsed());
            assert_eq!(reader.position(), Offset::ZERO);
        });
    }
    broker::stop(&brokers);
}

/// On librdkafka's own broker for tests: no real one can be told to refuse what it has.
#[test]
fn a_leader_that_refuses_for_a_moment_what_it_has_costs_a_session_and_not_the_process() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("refused", 1, 1).unwrap();
    let producer = others_producer(&cluster.bootstrap_servers());
    for _ in 0..3 {
        producer
            .send(BaseRecord::to("refused").key("u1").payload("here"))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let log = log(&cluster.bootstrap_servers());
    cluster.request_errors(RDKafkaApiKey::Fetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE]);
    let (group, mut reader) = member(&log, "refused");
    let error = read(&mut *reader, 1).unwrap_err();
    assert!(matches!(&error, LogError::Broker { .. }), "{error:?}");
    drop((reader, group));
    let (_group, mut reader) = member(&log, "refused");
    assert_eq!(read(&mut *reader, 3).unwrap().len(), 3);
}

/// On librdkafka's own broker too: how long a real one takes to know what it leads is nobody's choice.
#[test]
fn a_broker_that_does_not_know_yet_what_it_leads_is_asked_again() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("waking", 1, 1).unwrap();
    let producer = others_producer(&cluster.bootstrap_servers());
    producer.send(BaseRecord::to("waking").key("u1").payload("here")).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let log = log(&cluster.bootstrap_servers());
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    let leaderless = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    cluster.request_errors(RDKafkaApiKey::ListOffsets, &[unknown, leaderless, unknown, unknown]);
    let bounds = log.bounds("waking", P0).unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset::ZERO, Offset(1)));
}

#[test]
fn what_retention_removed_is_gone_for_a_group_too() {
    let Some(brokers) = broker::shared() else { return };
    let (log, topic) = (log(&brokers.bootstrap), fresh("gone"));
    fill(&log, &topic, 50);
    let keep = partition_log::Retention { oldest: Some(EventTime(1_700_000_000_001)), max_bytes: None };
    assert!(log.retain(&topic, P0, &keep, Offset(u64::MAX >> 1)).unwrap().start > Offset::ZERO);
    let (_group, mut reader) = member(&log, &topic);
    let error = read(&mut *reader, 1).unwrap_err();
    assert!(matches!(&error, LogError::OutOfRange { offset: Offset(0), .. }), "{error:?}");
}

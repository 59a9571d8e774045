//! A stream from a seed: users who join, are active, fall silent, leave and return; records that come in order, out of
//! order, late, too late, from the future, twice, and as rubbish; ticks, an erasure, a redriven event.

use partition_log::{Log, PartitionWriter, TopicConfig, partition_for};
use types::{Event, EventTime, Field, PartitionId, Value, headers};

use super::EVENTS;
use super::random::Random;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Midnight before the first event.
pub(crate) const BEGIN: EventTime = EventTime(19_675 * DAY);

/// A record on its way to the log.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) arrival: EventTime,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// Ticks go to every partition.
    pub(crate) everywhere: bool,
}

impl Outgoing {
    pub(crate) fn new(key: &[u8], value: &[u8], arrival: i64) -> Self {
        let (key, value) = (key.to_vec(), value.to_vec());
        Self { key, value, arrival: EventTime(arrival), headers: Vec::new(), everywhere: false }
    }

    pub(crate) fn event(event: &Event<'_>, arrival: i64) -> Self {
        let mut value = Vec::new();
        event.encode(&mut value);
        Self::new(event.entity.as_bytes(), &value, arrival)
    }

    pub(crate) fn tick(at: i64) -> Self {
        let value = format!(r#"{{"v":1,"type":"$tick","ts":{at}}}"#);
        Self { everywhere: true, ..Self::new(b"", value.as_bytes(), at + HOUR) }
    }

    fn with(mut self, header: &'static str, value: &[u8]) -> Self {
        self.headers.push((header, value.to_vec()));
        self
    }
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) users: usize,
    pub(crate) days: i64,
    /// No user lies in the first of these partitions when there are as many as the second.
    pub(crate) empty: (u32, u32),
}

/// A user's id. Some need care in JSON, in UTF-8 and in paths.
fn name(number: usize) -> String {
    match number % 40 {
        17 => format!("zoë-{number:04}"),
        23 => format!("o\"h\\{number:04}"),
        31 => format!("a b/{number:04}%"),
        _ => format!("u{number:05}"),
    }
}

pub(crate) fn users(shape: Shape) -> Vec<String> {
    let (empty, of) = shape.empty;
    (0..).map(name).filter(|name| partition_for(name.as_bytes(), of).0 != empty).take(shape.users).collect()
}

/// Makes the records in the order in which they arrive.
pub(crate) fn make(seed: u64, shape: Shape) -> Vec<Outgoing> {
    let mut random = Random::new(seed);
    let mut records = Vec::new();
    for user in users(shape) {
        life(&user, shape.days, &mut random, &mut records);
    }
    records.sort_by_key(|record| record.arrival);
    with_ticks(records, shape.days)
}

/// Puts each day's tick where a producer puts it: before the first record that arrives an hour after midnight or later.
fn with_ticks(records: Vec<Outgoing>, days: i64) -> Vec<Outgoing> {
    let mut all = Vec::with_capacity(records.len() + days as usize);
    let mut next = BEGIN.0 + DAY;
    for record in records {
        while record.arrival.0 >= next + HOUR {
            all.push(Outgoing::tick(next));
            next += DAY;
        }
        all.push(record);
    }
    all.push(Outgoing::tick(next));
    all
}

fn life(user: &str, days: i64, random: &mut Random, out: &mut Vec<Outgoing>) {
    let joins = random.between(0, days * 2 / 3 + 1);
    let busy = *random.pick(&[100, 300, 300, 700, 3000]);
    let (mut living, mut made) = (true, 0);
    for day in joins..days {
        let mut at = BEGIN.0 + day * DAY + random.between(5 * HOUR, 12 * HOUR);
        if day == joins {
            emit(user, "signup", at, &mut made, random, out);
        }
        if !living {
            if random.permille(250) {
                emit(user, "resubscribe", at, &mut made, random, out);
                living = true;
            }
            continue;
        }
        let events = busy / 1000 + i64::from(random.permille(busy as u64 % 1000));
        for _ in 0..events {
            at += random.between(0, 3 * HOUR);
            let kind = *random.pick(&[
                "play",
                "play",
                "play",
                "session",
                "search",
                "ticket",
                "renewal",
                "payment_failed",
                "plan_change",
            ]);
            emit(user, kind, at, &mut made, random, out);
        }
        if random.permille(40) {
            emit(user, "cancel", at + MINUTE, &mut made, random, out);
            living = false;
        }
        if random.permille(3) {
            let erase = Event {
                entity: user.into(),
                entity_type: "user".into(),
                kind: "$erase".into(),
                ts: EventTime(at),
                ..Event::default()
            };
            out.push(Outgoing::event(&erase, at + 2 * MINUTE));
        }
        if random.permille(60) {
            out.push(rubbish(user, at, random));
        }
    }
}

fn emit(user: &str, kind: &str, at: i64, made: &mut u32, random: &mut Random, out: &mut Vec<Outgoing>) {
    *made += 1;
    let fields = fields(kind, random);
    // Sources without ids are usual too.
    let id = (!random.permille(100)).then(|| format!("{user}-{made}").into());
    let mut event = Event {
        entity_type: "user".into(),
        entity: user.into(),
        kind: kind.into(),
        ts: EventTime(at),
        id,
        fields,
    };
    let arrival = at
        + match random.below(1000) {
            0..850 => random.between(0, MINUTE),
            850..930 => random.between(MINUTE, HOUR),
            930..980 => random.between(HOUR, 24 * HOUR),
            980..990 => random.between(25 * HOUR, 80 * HOUR),
            990..995 => -random.between(HOUR, 20 * HOUR),
            _ => -random.between(25 * HOUR, 99 * HOUR),
        };
    let record = Outgoing::event(&event, arrival);
    if random.permille(20) {
        out.push(Outgoing { arrival: EventTime(arrival + random.between(1, 20 * HOUR)), ..record.clone() });
    }
    if random.permille(4) {
        event.ts = EventTime(at - 30 * HOUR);
        event.id = None;
        out.push(Outgoing::event(&event, arrival + 3 * MINUTE).with(headers::REDRIVEN, b""));
    }
    out.push(record);
}

fn fields(kind: &str, random: &mut Random) -> Vec<Field<'static>> {
    let money = |minor| Value::Money { minor, currency: "EUR".into() };
    match kind {
        "play" => {
            let watched = Value::Float(random.between(0, 72_000) as f64 / 10.0);
            let genre = random.pick(&["drama", "comedy", "news", "krimi", "アニメ"]);
            vec![
                ("watch_s".into(), if random.permille(30) { Value::Null } else { watched }),
                ("genre".into(), Value::Str((*genre).into())),
                ("finished".into(), Value::Bool(random.permille(400))),
            ]
        }
        "renewal" | "payment_failed" => vec![("amount".into(), money(random.between(99, 2_999)))],
        "signup" | "plan_change" | "resubscribe" => vec![
            ("plan".into(), Value::Str((*random.pick(&["ads", "standard", "premium", "old"])).into())),
            ("country".into(), Value::Str((*random.pick(&["DE", "JP", "US", "FR"])).into())),
            ("price".into(), Value::Float(random.between(0, 2_000) as f64 / 100.0)),
        ],
        _ => Vec::new(),
    }
}

/// An event without more, that arrives when it happens.
pub(crate) fn plain(user: &str, kind: &str, at: i64) -> Outgoing {
    let event = Event {
        entity_type: "user".into(),
        entity: user.into(),
        kind: kind.into(),
        ts: EventTime(at),
        ..Event::default()
    };
    Outgoing::event(&event, at)
}

/// The time now, in milliseconds since the epoch.
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// A record that cannot be used, of one kind or another.
fn rubbish(user: &str, at: i64, random: &mut Random) -> Outgoing {
    let quoted = serde_json::to_string(user).unwrap();
    let key = user.as_bytes();
    let line = match random.below(9) {
        0 => "not json at all".to_owned(),
        1 => format!(r#"{{"v":1,"entity_type":"user","entity":{quoted},"type":"play","ts":{at}"#),
        2 => format!(r#"{{"v":1,"entity_type":"user","entity":{quoted},"type":"play"}}"#),
        3 => format!(r#"{{"v":7,"entity_type":"user","entity":{quoted},"type":"play","ts":{at}}}"#),
        4 => format!(r#"{{"v":1,"entity_type":"user","entity":{quoted},"type":"$explode","ts":{at}}}"#),
        5 => format!(r#"{{"v":1,"entity_type":"account","entity":{quoted},"type":"play","ts":{at}}}"#),
        6 => format!(r#"{{"v":1,"entity_type":"user","entity":"someone else","type":"play","ts":{at}}}"#),
        7 => return Outgoing::new(key, b"\xff\xfe\x00", at),
        _ => {
            let reason: &[u8] = b"mapping";
            return Outgoing::new(b"", b"a;broken;line", at)
                .with(headers::REASON, reason)
                .with(headers::DETAIL, b"column 2");
        }
    };
    Outgoing::new(key, line.as_bytes(), at)
}

/// Makes the topic of events.
pub(crate) fn create(log: &dyn Log, partitions: u32) {
    let config = TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic(EVENTS, &config).unwrap();
}

/// Writes records to the topic of events, as a producer would.
pub(crate) struct Appender {
    _topic: Box<dyn partition_log::TopicWriter>,
    partitions: Vec<Box<dyn PartitionWriter>>,
}

impl Appender {
    pub(crate) fn new(log: &dyn Log) -> Self {
        let mut topic = log.writer(EVENTS).unwrap();
        let partitions =
            (0..topic.config().partitions).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
        Self { _topic: topic, partitions }
    }

    pub(crate) fn append(&mut self, records: &[Outgoing]) {
        let count = self.partitions.len() as u32;
        for record in records {
            let headers: Vec<_> =
                record.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            let chosen = partition_for(&record.key, count).0;
            for (index, writer) in self.partitions.iter_mut().enumerate() {
                if record.everywhere || index as u32 == chosen {
                    writer.append(record.arrival, &record.key, &record.value, &headers).unwrap();
                }
            }
        }
        self.partitions.iter_mut().for_each(|writer| writer.sync().unwrap());
    }

    /// Writes records to one partition, whatever their keys.
    pub(crate) fn append_to(&mut self, partition: usize, records: &[Outgoing]) {
        for record in records {
            let headers: Vec<_> =
                record.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            let writer = &mut self.partitions[partition];
            writer.append(record.arrival, &record.key, &record.value, &headers).unwrap();
        }
        self.partitions[partition].sync().unwrap();
    }
}

//! Writers of one stream of events in five ways: two versions of an Avro schema, two of a Protobuf file, and JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper")]

use apache_avro::types::Value as Avro;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value as Proto};
use serde_json::json;

use crate::registry::Running;
use crate::support::stream::{BEGIN, DAY, Outgoing};

/// One event, before anybody wrote it down.
pub(crate) struct Happened {
    user: String,
    at: i64,
    did: &'static str,
    nr: String,
    watch_s: Option<f64>,
    genre: &'static str,
    finished: bool,
    plan: &'static str,
    cents: i32,
}

/// Five ways to write one: two versions of Avro, two of Protobuf, and JSON. The second versions have a field `plan` and no `genre`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Avro(bool),
    Protobuf(bool),
    Json,
}

pub(crate) const WAYS: [Way; 5] =
    [Way::Avro(false), Way::Avro(true), Way::Protobuf(false), Way::Protobuf(true), Way::Json];

pub(crate) fn events() -> Vec<Happened> {
    let dids = ["watch", "watch", "renewal", "watch", "session", "signup", "watch"];
    let event = |n: i64| Happened {
        user: format!("u{}", n * 7 % 61),
        at: BEGIN.0 + n * (DAY / 60),
        did: dids[n as usize % dids.len()],
        nr: format!("e{n}"),
        watch_s: (n % 3 > 0).then_some(n as f64 * 0.5),
        genre: ["drama", "news"][n as usize % 2],
        finished: n % 4 == 0,
        plan: ["standard", "premium"][n as usize % 2],
        cents: (n as i32 * 37) % 2500 - 200,
    };
    (0..1500).map(event).collect()
}

fn avro(second: bool) -> String {
    let other = if second {
        json!({"name": "plan", "type": {"type": "enum", "name": "Plan", "symbols": ["standard", "premium"]}})
    } else {
        json!({"name": "genre", "type": ["null", "string"]})
    };
    let more = json!({"type": "record", "name": "More", "fields": [
        {"name": "watch_s", "type": ["null", "double"]},
        {"name": "finished", "type": "boolean"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        other,
    ]});
    json!({"type": "record", "name": "Event", "namespace": "shop", "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "did", "type": "string"},
        {"name": "nr", "type": "string"},
        {"name": "who", "type": {"type": "record", "name": "Who", "fields": [{"name": "id", "type": "string"}]}},
        {"name": "more", "type": more},
    ]})
    .to_string()
}

/// The message stands second, and within another.
fn protobuf(second: bool) -> String {
    let other = if second { "Plan plan = 5;" } else { "string genre = 4;" };
    format!(
        r#"syntax = "proto3"; package shop; import "who.proto";
        enum Plan {{ standard = 0; premium = 1; }}
        message Unused {{ int32 a = 1; }}
        message Outer {{
          map<string, string> tags = 1;
          message Event {{ int64 at = 1; string did = 2; string nr = 3; Who who = 4; More more = 5; }}
          message More {{ optional double watch_s = 1; bool finished = 2; string price = 3; {other} }}
        }}"#
    )
}

const WHO: &str = r#"syntax = "proto3"; package shop; message Who { string id = 1; }"#;
const JSON_SCHEMA: &str = r#"{"type":"object","properties":{"at":{"type":"integer"}}}"#;

/// What writers know: the numbers of their schemas, and the schemas.
pub(crate) struct Writers {
    ids: Vec<u32>,
    avro: [apache_avro::Schema; 2],
    protobuf: [MessageDescriptor; 2],
}

impl Writers {
    pub(crate) fn new(registry: &Running) -> Self {
        registry.register("who.proto", "PROTOBUF", WHO, &[]);
        let ids = WAYS.map(|way| match way {
            Way::Avro(second) => registry.register(&format!("avro-{second}"), "AVRO", &avro(second), &[]),
            Way::Protobuf(second) => {
                let subject = format!("protobuf-{second}");
                registry.register(&subject, "PROTOBUF", &protobuf(second), &["who.proto"])
            }
            Way::Json => registry.register("json", "JSON", JSON_SCHEMA, &[]),
        });
        let dir = tempfile::tempdir().unwrap();
        let message = |second| {
            std::fs::write(dir.path().join("who.proto"), WHO).unwrap();
            let name = format!("event-{second}.proto");
            std::fs::write(dir.path().join(&name), protobuf(second)).unwrap();
            let mut compiler = protox::Compiler::new([dir.path()]).unwrap();
            compiler.include_imports(true).open_file(dir.path().join(&name)).unwrap();
            compiler.descriptor_pool().get_message_by_name("shop.Outer.Event").unwrap()
        };
        let schema = |second| apache_avro::Schema::parse_str(&avro(second)).unwrap();
        Self {
            ids: ids.to_vec(),
            avro: [schema(false), schema(true)],
            protobuf: [message(false), message(true)],
        }
    }

    pub(crate) fn write(&self, way: usize, event: &Happened) -> Vec<u8> {
        let content = match WAYS[way] {
            Way::Avro(second) => self.write_avro(second, event),
            // Two indexes: the second message, and the first in it.
            Way::Protobuf(second) => [&[4, 2, 0][..], &self.write_protobuf(second, event)].concat(),
            Way::Json => plain(Way::Json, event),
        };
        [&[0][..], &self.ids[way].to_be_bytes(), &content].concat()
    }

    fn write_avro(&self, second: bool, event: &Happened) -> Vec<u8> {
        let text = |text: &str| Avro::String(text.to_owned());
        let record = |fields: Vec<(&str, Avro)>| {
            Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let watch_s = event
            .watch_s
            .map_or(Avro::Union(0, Avro::Null.into()), |n| Avro::Union(1, Avro::Double(n).into()));
        let other = if second {
            ("plan", Avro::Enum(u32::from(event.plan == "premium"), event.plan.to_owned()))
        } else {
            ("genre", Avro::Union(1, text(event.genre).into()))
        };
        let price = Avro::Decimal(event.cents.to_be_bytes().to_vec().into());
        let finished = Avro::Boolean(event.finished);
        let more = record(vec![("watch_s", watch_s), ("finished", finished), ("price", price), other]);
        let all = record(vec![
            ("at", Avro::TimestampMillis(event.at)),
            ("did", text(event.did)),
            ("nr", text(&event.nr)),
            ("who", record(vec![("id", text(&event.user))])),
            ("more", more),
        ]);
        apache_avro::to_avro_datum(&self.avro[usize::from(second)], all).unwrap()
    }

    fn write_protobuf(&self, second: bool, event: &Happened) -> Vec<u8> {
        let kind = &self.protobuf[usize::from(second)];
        let inner = |name: &str| {
            let field = kind.get_field_by_name(name).unwrap();
            DynamicMessage::new(field.kind().as_message().unwrap().clone())
        };
        let text = |text: &str| Proto::String(text.to_owned());
        let (mut all, mut who, mut more) = (DynamicMessage::new(kind.clone()), inner("who"), inner("more"));
        who.set_field_by_name("id", text(&event.user));
        if let Some(watch_s) = event.watch_s {
            more.set_field_by_name("watch_s", Proto::F64(watch_s));
        }
        more.set_field_by_name("finished", Proto::Bool(event.finished));
        more.set_field_by_name("price", text(&price(event)));
        if second {
            more.set_field_by_name("plan", Proto::EnumNumber(i32::from(event.plan == "premium")));
        } else {
            more.set_field_by_name("genre", text(event.genre));
        }
        all.set_field_by_name("at", Proto::I64(event.at));
        all.set_field_by_name("did", text(event.did));
        all.set_field_by_name("nr", text(&event.nr));
        all.set_field_by_name("who", Proto::Message(who));
        all.set_field_by_name("more", Proto::Message(more));
        all.encode_to_vec()
    }
}

fn price(event: &Happened) -> String {
    let sign = if event.cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", event.cents.abs() / 100, event.cents.abs() % 100)
}

/// The event as plain JSON, with what the way of writing has of it.
fn plain(way: Way, event: &Happened) -> Vec<u8> {
    let mut more = json!({"finished": event.finished, "price": price(event)});
    if let Some(watch_s) = event.watch_s {
        more["watch_s"] = json!(watch_s);
    }
    if matches!(way, Way::Avro(true) | Way::Protobuf(true)) {
        more["plan"] = json!(event.plan);
    } else {
        more["genre"] = json!(event.genre);
    }
    json!({"at": event.at, "did": event.did, "nr": event.nr, "who": {"id": event.user}, "more": more})
        .to_string()
        .into_bytes()
}

/// The same records as plain JSON and by the writers, with churnstream's ticks between them.
pub(crate) fn both(writers: &Writers, events: &[Happened], ways: &[usize]) -> (Vec<Outgoing>, Vec<Outgoing>) {
    let (mut ours, mut theirs, mut day) = (Vec::new(), Vec::new(), events[0].at / DAY);
    for (n, event) in events.iter().enumerate() {
        if std::mem::replace(&mut day, event.at / DAY) != day {
            ours.push(Outgoing::tick(day * DAY));
            theirs.push(Outgoing::tick(day * DAY));
        }
        let way = ways[n % ways.len()];
        let key = event.user.as_bytes();
        ours.push(Outgoing::new(key, &plain(WAYS[way], event), event.at));
        theirs.push(Outgoing::new(key, &writers.write(way, event), event.at));
    }
    (ours, theirs)
}

//! Reading event v1 from JSON: one pass, borrowing, by serde.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{Event, EventError, EventTime, Field, RejectReason, Value};

pub(crate) fn decode<'a>(event: &mut Event<'a>, json: &'a [u8]) -> Result<(), EventError> {
    let reject = |reason, detail: String| EventError { reason, detail };
    // serde_json checks strings one by one; checking the whole once is cheaper and tells the two faults apart.
    let text = std::str::from_utf8(json).map_err(|e| reject(RejectReason::InvalidUtf8, e.to_string()))?;

    event.entity_type = Cow::Borrowed("");
    event.entity = Cow::Borrowed("");
    event.kind = Cow::Borrowed("");
    event.id = None;
    event.fields.clear();
    let mut seen = Seen::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    EventSeed { event, seen: &mut seen }.deserialize(&mut parser).and_then(|()| parser.end()).map_err(
        |e| {
            let reason = if e.is_data() { RejectReason::WrongType } else { RejectReason::InvalidJson };
            reject(reason, e.to_string())
        },
    )?;

    match seen.version {
        Some(1) => {}
        Some(other) => {
            return Err(reject(
                RejectReason::UnsupportedVersion,
                format!("event version {other}; this reads 1"),
            ));
        }
        None => return Err(reject(RejectReason::MissingField, "`v` is missing".to_owned())),
    }
    if event.kind.is_empty() {
        return Err(reject(RejectReason::MissingField, "`type` is missing or empty".to_owned()));
    }
    if !seen.ts {
        return Err(reject(RejectReason::MissingField, "`ts` is missing".to_owned()));
    }
    let is_system = event.kind.starts_with('$');
    for (name, value) in [("entity", &event.entity), ("entity_type", &event.entity_type)] {
        if value.is_empty() && !is_system {
            return Err(reject(RejectReason::MissingField, format!("`{name}` is missing or empty")));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    version: Option<u64>,
    ts: bool,
}

struct EventSeed<'e, 'a> {
    event: &'e mut Event<'a>,
    seen: &'e mut Seen,
}

impl<'a> DeserializeSeed<'a> for EventSeed<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for EventSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "v" => self.seen.version = Some(map.next_value()?),
                "id" => self.event.id = map.next_value::<Option<Text<'a>>>()?.map(|t| t.0),
                "entity_type" => self.event.entity_type = map.next_value::<Text<'a>>()?.0,
                "entity" => self.event.entity = map.next_value::<Text<'a>>()?.0,
                "type" => self.event.kind = map.next_value::<Text<'a>>()?.0,
                "ts" => {
                    self.event.ts = EventTime(map.next_value()?);
                    self.seen.ts = true;
                }
                "fields" => map.next_value_seed(FieldsSeed(&mut self.event.fields))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct FieldsSeed<'e, 'a>(&'e mut Vec<Field<'a>>);

impl<'a> DeserializeSeed<'a> for FieldsSeed<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for FieldsSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value = map.next_value_seed(ValueSeed)?;
            self.0.push((name, value));
        }
        Ok(())
    }
}

/// A string that borrows where it can.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(v.to_owned()))
            }
        }
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct ValueSeed;

impl<'a> DeserializeSeed<'a> for ValueSeed {
    type Value = Value<'a>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ValueSeed {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value<'a>, E> {
        Ok(Value::Int(v))
    }
    #[expect(clippy::cast_precision_loss, reason = "a whole number beyond i64 is read as the nearest float")]
    fn visit_u64<E>(self, v: u64) -> Result<Value<'a>, E> {
        Ok(i64::try_from(v).map_or(Value::Float(v as f64), Value::Int))
    }
    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value<'a>, E> {
        if v.is_finite() { Ok(Value::Float(v)) } else { Err(E::custom("a number beyond range")) }
    }
    fn visit_borrowed_str<E>(self, v: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Str(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value<'a>, E> {
        Ok(Value::Str(Cow::Owned(v.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Value<'a>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        let (mut minor, mut currency, mut others) = (None, None, false);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "minor" => minor = Some(map.next_value::<i64>()?),
                "currency" => currency = Some(map.next_value::<Text<'a>>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    others = true;
                }
            }
        }
        match (minor, currency, others) {
            (Some(minor), Some(currency), false) => Ok(Value::Money { minor, currency }),
            (None, None, _) => Ok(Value::Other),
            _ => Err(A::Error::custom("money needs `minor` and `currency` and nothing else")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Event<'_>, RejectReason> {
        let mut event = Event::default();
        event.decode(json.as_bytes()).map(|()| event).map_err(|e| e.reason)
    }

    const WHOLE: &str = r#"{"v":1,"id":"e-1","entity_type":"user","entity":"u1","type":"play","ts":5,"fields":{"s":12.5,"n":-3,"d":"tv","b":true,"a":{"minor":1299,"currency":"EUR"},"z":null}}"#;

    #[test]
    fn a_whole_event_reads_back_as_written() {
        let event = read(WHOLE).unwrap();
        assert_eq!(event.fields.len(), 6);
        assert_eq!(event.field("a"), Some(&Value::Money { minor: 1299, currency: "EUR".into() }));
        let mut out = Vec::new();
        event.encode(&mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), WHOLE);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", RejectReason::InvalidJson),
            ("{", RejectReason::InvalidJson),
            ("[]", RejectReason::WrongType),
            (r#"{"v":1} x"#, RejectReason::InvalidJson),
            (r#"{"entity_type":"u","entity":"1","type":"a","ts":1}"#, RejectReason::MissingField),
            (r#"{"v":2,"entity_type":"u","entity":"1","type":"a","ts":1}"#, RejectReason::UnsupportedVersion),
            (r#"{"v":1,"entity_type":"u","type":"a","ts":1}"#, RejectReason::MissingField),
            (r#"{"v":1,"entity_type":"u","entity":"1","ts":1}"#, RejectReason::MissingField),
            (r#"{"v":1,"entity_type":"u","entity":"1","type":"a"}"#, RejectReason::MissingField),
            (r#"{"v":1,"entity_type":"u","entity":7,"type":"a","ts":1}"#, RejectReason::WrongType),
            (r#"{"v":1,"entity_type":"u","entity":"1","type":"a","ts":1.5}"#, RejectReason::WrongType),
            (
                r#"{"v":1,"entity_type":"u","entity":"1","type":"a","ts":1,"fields":{"x":NaN}}"#,
                RejectReason::InvalidJson,
            ),
            (
                r#"{"v":1,"entity_type":"u","entity":"1","type":"a","ts":1,"fields":{"x":1e999}}"#,
                RejectReason::InvalidJson,
            ),
            (
                r#"{"v":1,"entity_type":"u","entity":"1","type":"a","ts":1,"fields":{"x":{"minor":1}}}"#,
                RejectReason::WrongType,
            ),
        ];
        for (json, reason) in cases {
            assert_eq!(read(json).unwrap_err(), reason, "{json}");
        }
        assert_eq!(Event::default().decode(b"\xff").unwrap_err().reason, RejectReason::InvalidUtf8);
    }

    #[test]
    fn escapes_unknown_keys_and_ticks_are_read() {
        let event =
            read(r#"{"v":1,"entity_type":"user","entity":"\u00e9\"","type":"a","ts":1,"more":[1,{}]}"#)
                .unwrap();
        assert_eq!(event.entity, "é\"");
        let tick = read(r#"{"v":1,"type":"$tick","ts":86400000}"#).unwrap();
        assert_eq!(tick.system(), Ok(Some(crate::SystemEvent::Tick)));
        assert!(read(r#"{"v":1,"type":"$other","ts":1}"#).unwrap().system().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_number_survive(entity in "\\PC{1,20}", text: String, int: i64, float in -1e300_f64..1e300) {
            let event = Event {
                entity_type: "user".into(), entity: entity.into(), kind: "k".into(), ts: EventTime(int), id: None,
                fields: vec![("t".into(), Value::Str(text.into())), ("f".into(), Value::Float(float))],
            };
            let mut out = Vec::new();
            event.encode(&mut out);
            let mut back = Event::default();
            back.decode(&out).unwrap();
            proptest::prop_assert_eq!(&event.entity, &back.entity);
            proptest::prop_assert_eq!(&event.fields[0], &back.fields[0]);
            let near = match back.fields[1].1 { Value::Float(f) => f, Value::Int(i) => i as f64, _ => f64::NAN };
            proptest::prop_assert!((near - float).abs() <= float.abs() * 1e-15);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Event::default().decode(&bytes);
        }
    }
}

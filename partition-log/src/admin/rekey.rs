//! Events under another key: what was known by its user is known by one of its fields from then on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use types::{Event, Offset, PartitionId, RejectReason, SystemEvent, Value, push_json_str};

use super::{READ_BYTES, partitions};
use crate::{Log, LogError, Record, RecordBuf, TopicConfig};

/// Turns events of one key into events of another.
pub(super) struct Rekey<'k> {
    /// The new key, and the field whose text it is.
    key: &'k str,
    /// The old one.
    was: &'k str,
    /// Where the last erasure of each entity stands that wanted to be forgotten. Nobody could be forgotten by it under another key.
    erased: HashMap<(PartitionId, Vec<u8>), Offset>,
    /// The event at hand, encoded.
    pub(super) value: Vec<u8>,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rekeyed {
    /// An event with this key; its bytes lie in [`Rekey::value`].
    Event(String),
    /// It cannot have the new key.
    Rejected(RejectReason, String),
    /// It is of somebody who was to be forgotten after it, or says so.
    Erased,
}

impl<'k> Rekey<'k> {
    /// Looks for erasures in all of a topic. O(bytes).
    pub(super) fn new(
        log: &dyn Log,
        topic: &str,
        config: &'k TopicConfig,
        key: &'k str,
    ) -> Result<Self, LogError> {
        let refuse = |detail: String| Err(LogError::BadTopic { topic: topic.to_owned(), detail });
        if config.key.is_empty() {
            return refuse(
                "it has no key of ours, so its records are no events that could get another".to_owned(),
            );
        }
        if key.is_empty() || key == config.key {
            return refuse(format!(
                "it is keyed by `{}` already: name another field of its events",
                config.key
            ));
        }
        let mut erased = HashMap::new();
        let mut records = RecordBuf::default();
        for partition in partitions(config) {
            let mut reader = log.reader(topic, partition, log.bounds(topic, partition)?.start)?;
            loop {
                records.clear();
                if reader.read(&mut records, READ_BYTES)? == 0 {
                    break;
                }
                for record in records.iter().filter(is_erasure) {
                    erased.insert((partition, record.key.to_vec()), record.offset);
                }
            }
        }
        Ok(Self { key, was: &config.key, erased, value: Vec::new() })
    }

    /// What becomes of a record that has a key.
    pub(super) fn take(&mut self, partition: PartitionId, record: &Record<'_>) -> Rekeyed {
        if !self.erased.is_empty()
            && let Some(at) = self.erased.get(&(partition, record.key.to_vec()))
            && record.offset <= *at
        {
            return Rekeyed::Erased;
        }
        match self.event(record) {
            Ok(key) => Rekeyed::Event(key),
            Err((reason, detail)) => Rekeyed::Rejected(reason, detail),
        }
    }

    fn event(&mut self, record: &Record<'_>) -> Result<String, (RejectReason, String)> {
        let mut event = Event::default();
        event.decode(record.value).map_err(|error| (error.reason, error.detail))?;
        if !matches!(event.system(), Ok(None)) {
            return Err((RejectReason::UnknownSystemType, format!("`{}`", event.kind)));
        }
        if event.entity_type != self.was {
            let detail =
                format!("entity type `{}`; the topic was keyed by `{}`", event.entity_type, self.was);
            return Err((RejectReason::WrongEntityType, detail));
        }
        if event.entity.as_bytes() != record.key {
            let detail = format!("the record's key is not the entity `{}`", event.entity);
            return Err((RejectReason::KeyMismatch, detail));
        }
        let key = match event.field(self.key) {
            Some(Value::Str(text)) if !text.is_empty() => text.clone().into_owned(),
            None | Some(Value::Null | Value::Str(_)) => {
                let detail = format!("field `{}`, the new key, is missing or empty", self.key);
                return Err((RejectReason::MissingField, detail));
            }
            Some(_) => {
                return Err((
                    RejectReason::WrongType,
                    format!("field `{}`, the new key, is no text", self.key),
                ));
            }
        };
        let text =
            std::str::from_utf8(record.value).map_err(|e| (RejectReason::InvalidUtf8, e.to_string()))?;
        // The fields as they were written, lists and objects too.
        let Fields { fields } =
            serde_json::from_str(text).map_err(|e| (RejectReason::InvalidJson, e.to_string()))?;
        let (was, entity) = (self.was, std::mem::take(&mut event.entity));
        event.fields.clear();
        event.entity_type = Cow::Borrowed(self.key);
        event.entity = Cow::Borrowed(&key);
        let out = &mut self.value;
        out.clear();
        event.encode(out);
        // Its closing brace.
        out.pop();
        out.extend_from_slice(b",\"fields\":{");
        for (name, value) in &fields.0 {
            push_json_str(out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
            out.push(b',');
        }
        if fields.0.iter().all(|(name, _)| name != was) {
            push_json_str(out, was);
            out.push(b':');
            push_json_str(out, &entity);
        } else {
            out.pop();
        }
        out.extend_from_slice(b"}}");
        Ok(key)
    }
}

fn is_erasure(record: &Record<'_>) -> bool {
    const NAME: &[u8] = SystemEvent::ERASE.as_bytes();
    // Most are told apart without being decoded.
    if record.key.is_empty() || !record.value.windows(NAME.len()).any(|bytes| bytes == NAME) {
        return false;
    }
    let mut event = Event::default();
    event.decode(record.value).is_ok() && event.system() == Ok(Some(SystemEvent::Erase))
}

#[derive(serde::Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    fields: Pairs<'a>,
}

/// Names and values in their order.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

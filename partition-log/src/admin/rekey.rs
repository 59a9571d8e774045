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
    /// The topic that is read.
    topic: &'k str,
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
        topic: &'k str,
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
        Ok(Self { key, was: &config.key, topic, erased, value: Vec::new() })
    }

    /// What becomes of a record that has a key.
    ///
    /// # Errors
    /// [`LogError::BadTopic`] if it is an erasure that came after all were looked for: what it wants forgotten may have been copied.
    pub(super) fn take(&mut self, partition: PartitionId, record: &Record<'_>) -> Result<Rekeyed, LogError> {
        if !self.erased.is_empty()
            && let Some(at) = self.erased.get(&(partition, record.key.to_vec()))
            && record.offset <= *at
        {
            return Ok(Rekeyed::Erased);
        }
        match self.event(record) {
            Ok(key) => Ok(Rekeyed::Event(key)),
            Err(_) if is_erasure(record) => {
                let detail = format!(
                    "somebody was forgotten while it was copied (partition {partition}, offset {}), and may be in the copy: remove that, \
                     and copy again",
                    record.offset
                );
                Err(LogError::BadTopic { topic: self.topic.to_owned(), detail })
            }
            Err((reason, detail)) => Ok(Rekeyed::Rejected(reason, detail)),
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

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;
    use crate::MemoryLog;

    #[test]
    fn who_is_forgotten_while_events_are_copied_stops_the_copy() {
        let log = MemoryLog::new();
        let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
        log.create_topic("events", &config).unwrap();
        let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
        let mut append = |kind: &str, user: &str| {
            let value = format!(
                r#"{{"v":1,"entity_type":"user","entity":"{user}","type":"{kind}","ts":1700000000000,"fields":{{"account":"a"}}}}"#
            );
            writer.append(EventTime(7), user.as_bytes(), value.as_bytes(), &[]).unwrap();
            writer.sync().unwrap();
        };
        for (kind, user) in [("play", "u1"), ("$erase", "u1"), ("play", "u1"), ("play", "u2")] {
            append(kind, user);
        }
        let mut rekey = Rekey::new(&log, "events", &config, "account").unwrap();
        append("$erase", "u2");
        let mut records = RecordBuf::default();
        log.reader("events", PartitionId(0), Offset::ZERO).unwrap().read(&mut records, 1 << 20).unwrap();
        let mut taken: Vec<_> = records.iter().map(|record| rekey.take(PartitionId(0), &record)).collect();
        let last = taken.pop().unwrap();
        assert!(
            matches!(&last, Err(LogError::BadTopic { detail, .. }) if detail.contains("offset 4")),
            "{last:?}"
        );
        let event = || Rekeyed::Event("a".to_owned());
        let taken: Vec<_> = taken.into_iter().map(Result::unwrap).collect();
        assert_eq!(taken, [Rekeyed::Erased, Rekeyed::Erased, event(), event()]);
    }
}

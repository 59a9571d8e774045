//! Records that others write, read through a map: what a topic holds is turned into events as it is read.
//!
//! One record is one event, or none where the map's conditions leave it out. What the map cannot read becomes a record that carries the
//! reason, as an importer's rejected rows do, and the consumer moves it to the dead letters with its original bytes. Ticks and erasures
//! that churnstream wrote between the others' records stay as they are.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partition_log::mapped::{ORIGINAL, RecordMap};
use partition_log::{LogError, Record, RecordBuf, SharedLog};
use telemetry::Metrics;
use types::{Event, headers};

use crate::import::source::JsonParser;
use crate::map::{Cell, Fate, Format, MapError, MappedRow, Mapping, Reject, RowMapper, TextEncoding};
use crate::wire::{self, Access, Registry, SchemaResult, SettingsError};

/// For so long schemas are asked for in one go, where there are many and the registry answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// A map for the records of a topic.
pub struct ForeignEvents {
    mapping: Mapping,
    json: JsonParser,
    /// Knows the writers' schemas, where values are in Confluent's wire format.
    registry: Option<Arc<Registry>>,
}

/// The log whose topic is read through a map. `registry` is the address of the schema registry, of which the environment may speak too. Where it
/// does not answer, reading waits for `patience`, and then says so.
///
/// # Errors
/// As for [`ForeignEvents::load`]; if the registry's settings are wrong, or an address is given that the map does not need.
pub fn through_map(
    log: SharedLog,
    topic: &str,
    map: &Path,
    registry: Option<&str>,
    metrics: Option<&Metrics>,
    patience: Duration,
) -> Result<SharedLog, ForeignError> {
    let found = Access::find(registry)?.map(|access| Registry::new(access, metrics)).transpose()?;
    let events = ForeignEvents::load(map, found.map(Arc::new))?;
    if registry.is_some() && !events.needs_registry() {
        let wrong = "a schema registry is for maps with format = \"confluent\"";
        return Err(ForeignError::NotForTopics { path: map.to_owned(), wrong });
    }
    let map: Arc<dyn RecordMap> =
        if patience.is_zero() { Arc::new(events) } else { Arc::new(Patient::new(events, patience)) };
    Ok(partition_log::mapped::mapped(log, topic, map))
}

/// A map that waits for what it needs and cannot have at the moment: for commands that read to the end and have nothing else to do.
pub struct Patient<M> {
    map: M,
    patience: Duration,
}

impl<M: RecordMap> Patient<M> {
    /// Waits no longer than `patience` for one block of records.
    pub const fn new(map: M, patience: Duration) -> Self {
        Self { map, patience }
    }
}

impl<M: RecordMap> RecordMap for Patient<M> {
    fn is_patient(&self) -> bool {
        true
    }

    fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError> {
        let begun = Instant::now();
        loop {
            match self.map.map(records, into) {
                Err(LogError::NotNow(why)) if begun.elapsed() < self.patience => {
                    tracing::warn!(why, "waiting");
                    std::thread::sleep(Duration::from_millis(500));
                }
                other => return other,
            }
        }
    }
}

/// Why a map is not for a topic.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be used at all.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The schema registry cannot be asked.
    #[error(transparent)]
    Registry(#[from] SettingsError),
    /// It is for files alone, or lacks something.
    #[error("{}: {wrong}", path.display())]
    NotForTopics {
        /// The map.
        path: std::path::PathBuf,
        /// Why.
        wrong: &'static str,
    },
}

impl ForeignEvents {
    /// Reads a map, the same as for imports of JSON lines. One whose format is `confluent` needs a schema registry.
    ///
    /// # Errors
    /// If it cannot be read, makes several events of one record, is for a format that records of a topic do not have, or needs a
    /// registry and there is none.
    pub fn load(path: &Path, registry: Option<Arc<Registry>>) -> Result<Self, ForeignError> {
        let mapping = Mapping::load(path, &[])?;
        let refuse = |wrong| Err(ForeignError::NotForTopics { path: path.to_owned(), wrong });
        if !mapping.gives_one() {
            return refuse("a record of a topic is one event: leave out `[[event]]`, `count` and `each`");
        }
        if mapping.layout().encoding.is_some_and(|encoding| encoding != TextEncoding::Utf8) {
            return refuse("the records of a topic are UTF-8: leave out `encoding`");
        }
        let registry = match mapping.layout().format {
            Format::Auto | Format::JsonLines | Format::Json => None,
            Format::Confluent if registry.is_none() => {
                return refuse(
                    "its format needs a schema registry: add --schema-registry URL, or set CHURNSTREAM_REGISTRY_URL",
                );
            }
            Format::Confluent => registry,
            _ => {
                return refuse(
                    "the records of a topic are JSON: leave out `format`, or write \"jsonl\" or \"confluent\"",
                );
            }
        };
        Ok(Self { json: JsonParser::new(mapping.columns(), None), mapping, registry })
    }

    /// Whether values are in Confluent's wire format.
    #[must_use]
    pub fn needs_registry(&self) -> bool {
        self.registry.is_some()
    }

    /// The columns that it reads, as paths.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.mapping.columns()
    }

    /// The writers' schemas of all records that name one, before any record is mapped: whether it can be done is known then.
    fn schemas(
        &self,
        registry: &Registry,
        records: &RecordBuf,
    ) -> Result<HashMap<u32, SchemaResult>, LogError> {
        let (mut all, begun) = (HashMap::new(), Instant::now());
        let mut last = 0;
        for record in records.iter() {
            let Ok((id, _)) = wire::split(record.value) else { continue };
            if std::mem::replace(&mut last, id) == id || all.contains_key(&id) {
                continue;
            }
            if begun.elapsed() > PATIENCE {
                return Err(LogError::NotNow("there are many schemas to ask for".to_owned()));
            }
            all.insert(id, registry.schema(id).map_err(LogError::NotNow)?);
        }
        Ok(all)
    }

    fn map_one<'r>(
        &'r self,
        value: &[u8],
        mapper: &mut RowMapper<'r>,
        row: &mut MappedRow,
    ) -> Result<Fate, Reject> {
        let mut cells = vec![Cell::Missing; mapper.joined_cells()];
        self.json.parse(value, &mut cells)?;
        mapper.map(&mut cells, row)
    }
}

/// Puts into `json` what a value in the wire format becomes by its writer's schema.
fn decode(value: &[u8], schemas: &HashMap<u32, SchemaResult>, json: &mut Vec<u8>) -> Result<(), Reject> {
    json.clear();
    let (id, content) = wire::split(value)?;
    let Some(schema) = schemas.get(&id) else {
        return Err(Reject::new(
            types::RejectReason::UnknownSchema,
            format!("schema {id} was not looked for"),
        ));
    };
    let decoded = schema.as_ref().map_err(Reject::clone)?.decode(content, json);
    decoded.map_err(|Reject { reason, detail }| Reject::new(reason, format!("schema {id}: {detail}")))
}

/// Whether churnstream wrote it, as a tick.
fn is_ours(record: &Record<'_>) -> bool {
    let mut event = Event::default();
    event.decode(record.value).is_ok() && matches!(event.system(), Ok(Some(_)))
}

impl RecordMap for ForeignEvents {
    fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError> {
        let registry = self.registry.as_ref();
        let schemas = registry.map(|registry| self.schemas(registry, records)).transpose()?;
        let (mut mapper, mut row, mut json) =
            (RowMapper::new(&self.mapping), MappedRow::default(), Vec::new());
        for record in records.iter() {
            if is_ours(&record) {
                into.push(&record);
                continue;
            }
            // Whoever sends such headers does not mean ours.
            let kept = record.headers().filter(|(name, _)| {
                ![headers::REASON, headers::DETAIL, ORIGINAL].iter().any(|ours| ours.as_bytes() == *name)
            });
            let mapped = match &schemas {
                None => self.map_one(record.value, &mut mapper, &mut row),
                Some(schemas) => decode(record.value, schemas, &mut json)
                    .and_then(|()| self.map_one(&json, &mut mapper, &mut row)),
            };
            match mapped {
                Ok(Fate::Events) => {
                    let Some((event, _, value)) = row.get(0) else { continue };
                    let original = std::iter::once((ORIGINAL.as_bytes(), record.value));
                    let time = event.arrival.unwrap_or(record.timestamp);
                    into.push_parts(record.offset, time, record.key, value, kept.chain(original));
                }
                Ok(Fate::Filtered | Fate::NoItems | Fate::EmptyEntity | Fate::NotJoined) => {}
                Err(Reject { reason, detail }) => {
                    let said = [
                        (headers::REASON.as_bytes(), reason.name().as_bytes()),
                        (headers::DETAIL.as_bytes(), detail.as_bytes()),
                        (ORIGINAL.as_bytes(), record.value),
                    ];
                    let all = kept.chain(said);
                    into.push_parts(record.offset, record.timestamp, record.key, record.value, all);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use types::{EventTime, Offset};

    use super::*;

    /// Knows what it needs at the third time.
    struct Slow(AtomicU32);

    impl RecordMap for Slow {
        fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError> {
            if self.0.fetch_add(1, Ordering::Relaxed) < 2 {
                return Err(LogError::NotNow("not yet".into()));
            }
            records.iter().for_each(|record| into.push(&record));
            Ok(())
        }
    }

    #[test]
    fn who_has_patience_gets_what_is_late_and_no_one_waits_for_ever() {
        let (mut records, mut into) = (RecordBuf::default(), RecordBuf::default());
        records.push_parts(Offset(3), EventTime(1), b"u", b"v", std::iter::empty::<(&[u8], &[u8])>());
        let map = |patience| Patient::new(Slow(AtomicU32::new(0)), patience);
        assert!(matches!(map(Duration::ZERO).map(&records, &mut into), Err(LogError::NotNow(_))));
        assert!(into.is_empty());
        map(Duration::from_secs(60)).map(&records, &mut into).unwrap();
        assert_eq!(into.len(), 1);
    }
}

//! Records that others write, read through a map: what a topic holds is turned into events as it is read.
//!
//! One record is one event, or none where the map's conditions leave it out. What the map cannot read becomes a record that carries the
//! reason, as an importer's rejected rows do, and the consumer moves it to the dead letters with its original bytes. Ticks and erasures
//! that churnstream wrote between the others' records stay as they are.

use std::path::Path;

use partition_log::mapped::{ORIGINAL, RecordMap};
use partition_log::{LogError, Record, RecordBuf};
use types::{Event, headers};

use crate::import::source::JsonParser;
use crate::map::{Cell, Fate, Format, MapError, MappedRow, Mapping, Reject, RowMapper};

/// A map for the records of a topic.
pub struct ForeignEvents {
    mapping: Mapping,
    json: JsonParser,
}

/// Why a map is not for a topic.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It cannot be used at all.
    #[error(transparent)]
    Map(#[from] MapError),
    /// It is for files alone.
    #[error("{}: {wrong}", path.display())]
    NotForTopics {
        /// The map.
        path: std::path::PathBuf,
        /// Why.
        wrong: &'static str,
    },
}

impl ForeignEvents {
    /// Reads a map, the same as for imports of JSON lines.
    ///
    /// # Errors
    /// If it cannot be read, makes several events of one record, or is for a format that records of a topic do not have.
    pub fn load(path: &Path) -> Result<Self, ForeignError> {
        let mapping = Mapping::load(path, &[])?;
        let refuse = |wrong| Err(ForeignError::NotForTopics { path: path.to_owned(), wrong });
        if !mapping.gives_one() {
            return refuse("a record of a topic is one event: leave out `[[event]]` and `count`");
        }
        if !matches!(mapping.layout().format, Format::Auto | Format::JsonLines | Format::Json) {
            return refuse("the records of a topic are JSON: leave out `format`, or write \"jsonl\"");
        }
        Ok(Self { json: JsonParser::new(mapping.columns()), mapping })
    }

    fn map_one<'r>(
        &'r self,
        record: &Record<'r>,
        mapper: &mut RowMapper<'r>,
        row: &mut MappedRow,
    ) -> Result<Fate, Reject> {
        let mut cells = vec![Cell::Missing; mapper.joined_cells()];
        self.json.parse(record.value, &mut cells)?;
        mapper.map(&mut cells, row)
    }
}

/// Whether churnstream wrote it, as a tick.
fn is_ours(record: &Record<'_>) -> bool {
    let mut event = Event::default();
    event.decode(record.value).is_ok() && matches!(event.system(), Ok(Some(_)))
}

impl RecordMap for ForeignEvents {
    fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError> {
        let (mut mapper, mut row) = (RowMapper::new(&self.mapping), MappedRow::default());
        for record in records.iter() {
            if is_ours(&record) {
                into.push(&record);
                continue;
            }
            // Whoever sends such headers does not mean ours.
            let kept = record.headers().filter(|(name, _)| {
                ![headers::REASON, headers::DETAIL, ORIGINAL].iter().any(|ours| ours.as_bytes() == *name)
            });
            match self.map_one(&record, &mut mapper, &mut row) {
                Ok(Fate::Events) => {
                    let Some((event, _, value)) = row.get(0) else { continue };
                    let original = std::iter::once((ORIGINAL.as_bytes(), record.value));
                    let time = event.arrival.unwrap_or(record.timestamp);
                    into.push_parts(record.offset, time, record.key, value, kept.chain(original));
                }
                Ok(Fate::Filtered | Fate::EmptyEntity | Fate::NotJoined) => {}
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

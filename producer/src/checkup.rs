//! Whether the records of a topic that others write can be read through a map: looked at in its newest records.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use partition_log::checkup::Check;
use partition_log::mapped::RecordMap as _;
use partition_log::{Log, LogError, RecordBuf};
use types::{Offset, PartitionId, headers};

use crate::foreign::{ForeignError, ForeignEvents};
use crate::wire::{self, Access, Registry, Trouble};

/// So many of each partition's newest records are looked at, at most.
const NEWEST: u64 = 100;
/// Of all partitions, no more bytes.
const MOST_BYTES: usize = 16 << 20;

/// Looks at a map, at the schema registry that it needs, at the schemas of a topic's newest records, and at what becomes of those. The log is
/// the one without the map. Commits nothing.
#[must_use]
pub fn of_map(log: &dyn Log, topic: &str, map: &Path, registry: Option<&str>) -> Vec<Check> {
    let found = match load(map, registry) {
        Ok(found) => found,
        Err(error) => return vec![Check::problem("map", error.to_string(), "mend it, and ask again")],
    };
    let (events, registry) = found;
    let mut checks = Vec::new();
    if let Some(registry) = &registry {
        checks.push(of_registry(registry));
    }
    let mut records = RecordBuf::default();
    if let Err(error) = newest(log, topic, &mut records) {
        checks.push(Check::problem("newest records", error.to_string(), ""));
        return checks;
    }
    if records.is_empty() {
        let advice = "ask again when something was written";
        checks.push(Check::warning("newest records", format!("`{topic}` is empty"), advice));
        return checks;
    }
    if let Some(registry) = &registry {
        checks.extend(of_schemas(registry, &events, &records));
    }
    checks.push(of_records(&events, &records));
    checks
}

fn load(map: &Path, registry: Option<&str>) -> Result<(ForeignEvents, Option<Arc<Registry>>), ForeignError> {
    let access = Access::find(registry)?;
    let registry = access.map(|access| Registry::new(access, None)).transpose()?.map(Arc::new);
    let events = ForeignEvents::load(map, registry.clone())?;
    let registry = registry.filter(|_| events.needs_registry());
    Ok((events, registry))
}

fn of_registry(registry: &Registry) -> Check {
    let about = "schema registry";
    let url = registry.client().url();
    match registry.client().types() {
        Ok(types) => Check::ok(about, format!("{url} answers; it takes {}", types.join(", "))),
        Err(Trouble::Unavailable(why) | Trouble::Unusable(why) | Trouble::Lacks(why)) => {
            let advice = "check its address, whether it runs, and who asks (CHURNSTREAM_REGISTRY_USER and so on): a consumer waits for it";
            Check::problem(about, format!("{url}: {why}"), advice)
        }
        Err(Trouble::Unknown) => {
            let advice = "is it the address of Confluent's API? Apicurio has it at /apis/ccompat/v7";
            Check::problem(about, format!("{url} does not answer as a schema registry"), advice)
        }
    }
}

/// The newest records of all partitions.
fn newest(log: &dyn Log, topic: &str, into: &mut RecordBuf) -> Result<(), LogError> {
    let Some(config) = log.topic(topic)? else { return Ok(()) };
    for partition in (0..config.partitions).map(PartitionId) {
        let bounds = log.bounds(topic, partition)?;
        let from = Offset(bounds.end.0.saturating_sub(NEWEST)).max(bounds.start);
        let mut reader = log.reader(topic, partition, from)?;
        while reader.position() < bounds.end && into.bytes() < MOST_BYTES {
            if reader.read(into, MOST_BYTES)? == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Each schema that the records name: whether it is known, and has what the map reads.
fn of_schemas(registry: &Registry, events: &ForeignEvents, records: &RecordBuf) -> Vec<Check> {
    let mut contents = BTreeMap::new();
    for (id, content) in records.iter().filter_map(|record| wire::split(record.value).ok()) {
        contents.entry(id).or_insert(content);
    }
    let check = |(id, content): (u32, &[u8])| {
        let about = format!("schema {id}");
        match registry.schema(id) {
            Err(why) => Check::problem(about, why, "a consumer waits for it"),
            Ok(Err(reject)) => {
                let advice =
                    "records with it become dead letters: register it, then `churnstream log redrive`";
                Check::problem(about, reject.detail, advice)
            }
            Ok(Ok(schema)) => {
                let columns = events.columns().iter();
                let missing: Vec<_> =
                    columns.filter(|column| schema.has(content, column) == Some(false)).cloned().collect();
                if missing.is_empty() {
                    return Check::ok(about, "it can be read");
                }
                let found = format!("it has no {}", missing.join(", "));
                Check::warning(about, found, "these are missing in its events: see the map's columns")
            }
        }
    };
    contents.into_iter().map(check).collect()
}

/// What becomes of the records.
fn of_records(events: &ForeignEvents, records: &RecordBuf) -> Check {
    let about = "newest records";
    let mut mapped = RecordBuf::default();
    if let Err(error) = events.map(records, &mut mapped) {
        return Check::problem(about, error.to_string(), "a consumer waits and tries again");
    }
    let rejected: Vec<_> = mapped.iter().filter(|record| record.header(headers::REASON).is_some()).collect();
    let (all, good) = (records.len(), mapped.len() - rejected.len());
    let found = format!("of {all} records {good} are events and {} are left out", all - mapped.len());
    let Some(first) = rejected.first() else { return Check::ok(about, found) };
    let said = |name| first.header(name).map(|said| String::from_utf8_lossy(said).into_owned());
    let found = format!(
        "{found}; {} cannot be read, the first: {} ({})",
        rejected.len(),
        said(headers::DETAIL).unwrap_or_default(),
        said(headers::REASON).unwrap_or_default()
    );
    let advice = "they become dead letters: mend the map, or what writes them";
    if good == 0 { Check::problem(about, found, advice) } else { Check::warning(about, found, advice) }
}

//! By which names a topic knows the sources, and how far it holds them.

use std::collections::HashMap;

use partition_log::{Log, LogError, TopicWriter};
use types::PartitionId;

use super::config::SinkConfig;
use super::partition::{End, Held, Partition, find_end};

/// Opens every partition. Returns what each source is called on this topic, the partitions, and whether some of them holds events of
/// other sources and none of these.
pub(super) fn open(
    log: &dyn Log,
    config: &SinkConfig,
    topic: &mut dyn TopicWriter,
    partitions: u32,
) -> Result<(Vec<String>, Vec<Partition>, bool), LogError> {
    let mut writers = Vec::with_capacity(partitions as usize);
    for id in (0..partitions).map(PartitionId) {
        let mut writer = topic.partition(id)?;
        // What a killed run flushed and did not sync is on the log; show it to the reader that looks for it.
        writer.sync()?;
        writers.push(writer);
    }
    let (names, ends) = look(log, config, partitions)?;
    let foreign = ends.iter().any(|end| end.foreign && end.positions.iter().all(Option::is_none));
    let held: Vec<bool> =
        (0..names.len()).map(|source| ends.iter().any(|end| end.positions[source].is_some())).collect();
    let opened =
        writers.into_iter().zip(ends).map(|(writer, end)| Partition::new(writer, end, &held)).collect();
    Ok((names, opened, foreign))
}

/// Looks at the end of every partition. Returns what each source is called on this topic, and the ends.
fn look(log: &dyn Log, config: &SinkConfig, partitions: u32) -> Result<(Vec<String>, Vec<End>), LogError> {
    let all = |places: &HashMap<&[u8], usize>| {
        let end = |id| find_end(log, &config.topic, PartitionId(id), places, config.sources.len());
        (0..partitions).map(end).collect::<Result<Vec<End>, _>>()
    };
    let own = config.sources.iter().enumerate().map(|(place, name)| (name.as_bytes(), place));
    let former = config.former.iter().map(|(name, place)| (name.as_bytes(), *place));
    let mut ends = all(&former.chain(own).collect())?;
    let mut names = config.sources.clone();
    for (place, name) in names.iter_mut().enumerate() {
        let mut held = ends.iter().filter_map(|end| end.positions[place].as_ref());
        // Its own, where the log knows several.
        if let Some(held) = held.clone().find(|held| held.name() == name.as_bytes()).or_else(|| held.next()) {
            *name = String::from_utf8_lossy(held.name()).into_owned();
        }
    }
    let is_other = |(held, name): (&Option<Held>, &String)| {
        held.as_ref().is_some_and(|held| held.name() != name.as_bytes())
    };
    if ends.iter().any(|end| end.positions.iter().zip(&names).any(is_other)) {
        // An earlier version has written one source under several names. It goes on under one.
        ends = all(&names.iter().enumerate().map(|(place, name)| (name.as_bytes(), place)).collect())?;
    }
    Ok((names, ends))
}

//! What `churnstream doctor` says of what a log holds, once it can be read.

use std::path::Path;

use anyhow::Context as _;
use feature_store::{Spec, Store, StoreError, StoreOptions, UserState};
use partition_log::checkup::Check;
use partition_log::{Bounds, Log, LogError, TopicConfig, admin};
use types::{Offset, PartitionId};

use crate::commands::running;

/// Topics in files that are no larger are read through; others take `churnstream log verify`.
const READ_THROUGH: u64 = 1 << 30;
/// Findings of one topic that are told.
const TOLD: usize = 3;

/// What the topics of events and of outputs hold. `entities` are what the events are about, and the files that say so.
pub(super) fn check(log: &dyn Log, events: &str, entities: &[(String, String)]) -> Vec<Check> {
    let looked = || -> Result<Vec<Check>, LogError> {
        let Some(config) = log.topic(events)? else { return Ok(Vec::new()) };
        let mut checks = Vec::new();
        checks.extend(beginning(log, events));
        checks.extend(dead_letters(log, events)?);
        let scores = log.topic(consumer::SCORES)?;
        let of =
            |(entity, said_by): &(String, String)| keys(events, &config, scores.as_ref(), entity, said_by);
        checks.extend(entities.iter().filter_map(of));
        if log.as_kafka().is_none() {
            for topic in [events, consumer::SCORES, consumer::SHADOW_SCORES, consumer::DEAD_LETTERS] {
                if log.topic(topic)?.is_some() {
                    checks.push(whole(log, topic)?);
                }
            }
        }
        Ok(checks)
    };
    looked().unwrap_or_else(|error| vec![Check::problem("log", error.to_string(), "")])
}

/// Whether the events are all there.
fn beginning(log: &dyn Log, events: &str) -> Option<Check> {
    let about = format!("topic {events}");
    let advice =
        "a store that has read them stays whole; training, backtests and a rebuild know what is left alone";
    match backtest::removed(log, events) {
        Ok(removed) => removed.map(|removed| Check::warning(about, removed.to_string(), advice)),
        Err(error) => Some(Check::problem(about, error.to_string(), "")),
    }
}

/// Whether most of what came could be used.
fn dead_letters(log: &dyn Log, events: &str) -> Result<Option<Check>, LogError> {
    if log.topic(consumer::DEAD_LETTERS)?.is_none() {
        return Ok(None);
    }
    let bounds = |topic: &str| -> Result<Vec<Bounds>, LogError> {
        let partitions = log.topic(topic)?.map_or(0, |config| config.partitions);
        (0..partitions).map(|partition| log.bounds(topic, PartitionId(partition))).collect()
    };
    // Of the events all that ever came: letters of removed ones may be there still.
    let letters: u64 = bounds(consumer::DEAD_LETTERS)?.iter().map(|b| b.end.since(b.start)).sum();
    let came: u64 = bounds(events)?.iter().map(|b| b.end.0).sum();
    let about = "dead letters";
    let found = format!("{letters}, of {came} records that ever came to {events}");
    let advice = format!(
        "`churnstream log dump {}/{} --limit 5` shows some with their reasons; mend the map, the spec or what writes them, then \
         `churnstream log redrive`",
        log.place(),
        consumer::DEAD_LETTERS
    );
    // They stay when they are redriven: no problem that a mended one would go on having.
    let many = letters * 10 > came;
    Ok(Some(if many { Check::warning(about, found, advice) } else { Check::ok(about, found) }))
}

/// Whether events and scores are about what the spec or the map says.
fn keys(
    events: &str,
    config: &TopicConfig,
    scores: Option<&TopicConfig>,
    entity: &str,
    said_by: &str,
) -> Option<Check> {
    let differs = |topic: &str, key: &str| {
        let found = format!("`{topic}` is keyed by {key}, and {said_by} is about {entity}");
        let advice =
            "the consumer refuses it or makes all dead letters: use what belongs to this log, or another log";
        Check::problem("key", found, advice)
    };
    // A topic that others made says nothing of its key.
    if !config.key.is_empty() && config.key != entity {
        return Some(differs(events, &config.key));
    }
    let scores = scores.filter(|scores| !scores.key.is_empty() && scores.key != entity)?;
    Some(differs(consumer::SCORES, &scores.key))
}

/// Whether every byte of a topic in files is what was written, if that is soon read.
fn whole(log: &dyn Log, topic: &str) -> Result<Check, LogError> {
    let about = format!("bytes of {topic}");
    let advice = format!("churnstream log verify {}/{topic}", log.place());
    if admin::stat(log, topic)?.bytes.is_none_or(|bytes| bytes > READ_THROUGH) {
        return Ok(Check::ok(about, format!("not read through, there are many: `{advice}` does")));
    }
    let report = admin::verify(log, topic)?;
    if report.ok {
        return Ok(Check::ok(about, "all as they were written"));
    }
    let findings: Vec<String> = report
        .by_partition
        .iter()
        .flat_map(|p| {
            p.findings
                .iter()
                .map(move |f| format!("{topic}-{} offset {}: {}", p.partition, f.offset, f.detail))
        })
        .collect();
    let more = findings.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let told = findings[..findings.len().min(TOLD)].join("; ");
    Ok(Check::problem(
        about,
        told + &more,
        format!("bring the damaged files back from a copy; all of it: {advice}"),
    ))
}

/// How far the consumer of a store is.
pub(super) fn consumer_of(log: &dyn Log, events: &str, store: &Path) -> Check {
    let about = "consumer";
    if let Some(status) = running::status(store) {
        if status.topic != events {
            return Check::problem(about, format!("it reads `{}`, not `{events}`", status.topic), "");
        }
        let lags = status.partitions.iter().map(|partition| partition.lag);
        let Some(lag) = lags.sum::<Option<u64>>() else {
            return Check::warning(about, "it runs, and its lag is not known", "look again");
        };
        let oldest =
            status.partitions.iter().filter_map(|partition| partition.lag_seconds).fold(0.0, f64::max);
        return Check::ok(about, format!("it runs; {lag} records wait, the oldest for {oldest:.0} s"));
    }
    match waiting(log, events, store) {
        Ok(lag) => Check::ok(about, format!("none runs; {lag} records wait for it")),
        Err(error) => {
            let said = telemetry::in_words(error.as_ref());
            match error.downcast_ref() {
                Some(StoreError::InUse { .. }) => {
                    Check::warning(about, said, "one that starts answers soon: look again")
                }
                _ => Check::problem(about, said, "give the --store that belongs to this topic"),
            }
        }
    }
}

/// How many records wait, by the last commit in a store that no consumer has open.
fn waiting(log: &dyn Log, events: &str, store: &Path) -> anyhow::Result<u64> {
    let identity = feature_store::store::identity(store)?;
    anyhow::ensure!(identity.topic == events, "{} was made from `{}`", store.display(), identity.topic);
    let config = log.topic(events)?.context("there is no topic of events")?;
    anyhow::ensure!(
        identity.partitions == config.partitions,
        "{} has {} partitions, and `{events}` has {}",
        store.display(),
        identity.partitions,
        config.partitions
    );
    let opened = Store::open(store, &identity, StoreOptions::default())?;
    let mut lag = 0;
    for partition in (0..identity.partitions).map(PartitionId) {
        let bounds = log.bounds(events, partition)?;
        let next = opened
            .partition::<UserState>(partition)?
            .committed()
            .map_or(Offset::ZERO, |commit| commit.next_input);
        anyhow::ensure!(
            next <= bounds.end,
            "{} has read {events}-{partition} up to offset {next}, and that ends at {}: it is of another log",
            store.display(),
            bounds.end
        );
        lag += bounds.end.since(next.max(bounds.start));
    }
    Ok(lag)
}

/// What a spec is about.
pub(super) fn entity_of(spec: &Path) -> anyhow::Result<String> {
    Ok(Spec::load(spec)?.entity().to_owned())
}

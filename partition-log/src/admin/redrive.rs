//! Dead letters go back to the topic that they came from, once what rejected them is mended.
//!
//! A redriven record has the key, value and timestamp of the original, goes to the partition that it came from, and
//! carries the headers `cs-from` (`TOPIC-PARTITION@OFFSET` of the record that was set aside) and `cs-redriven`, which
//! exempts it from lateness as far as state reaches back. The header `cs-source` stays behind: producers resume from the
//! last one that they find in a partition, which must not be an old one.
//!
//! **Never twice.** The origin names a dead letter for good, because a redriven record that is rejected again has an
//! origin of its own. What was redriven is remembered in the topic `DEAD-LETTERS.redriven`; see the module `once`.

use std::collections::BTreeMap;

use serde::Serialize;
use types::{PartitionId, RejectReason, headers};

use super::once::Once;
use super::{READ_BYTES, partitions, require};
use crate::{Log, LogError, Record, RecordBuf, TopicConfig, partition_for};

/// What to redrive.
#[derive(Debug, Clone, Default)]
pub struct RedriveOptions {
    /// Only letters rejected for one of these reasons; empty: for any but `mapping`. Rows of files are never redriven.
    pub reasons: Vec<String>,
    /// Count, but append nothing.
    pub dry_run: bool,
}

/// What was redriven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedriveReport {
    /// Dead letters looked at.
    pub letters: u64,
    /// Appended to their topics (with `dry_run`: would be).
    pub redriven: u64,
    /// Left because an earlier run redrove them.
    pub already_redriven: u64,
    /// Left because their reason was not asked for.
    pub other_reasons: u64,
    /// Left because they are rows that an importer could not read, whatever the reason: they are no events, and come in by
    /// another map instead.
    pub import_lines: u64,
    /// Left because they were cut: the whole record stands where it came from.
    pub truncated: u64,
    /// Left because they name no record of a topic that is here.
    pub without_origin: u64,
    /// `redriven` by the reason of the rejection.
    pub by_reason: BTreeMap<String, u64>,
    /// `redriven` by topic.
    pub by_topic: BTreeMap<String, u64>,
}

/// Redrives the letters of the topic `dead_letters`. The topics that they came from must not be open for writing elsewhere.
///
/// # Errors
/// If a topic is missing, damaged or locked. What was appended by then is remembered.
pub fn redrive(
    log: &dyn Log,
    dead_letters: &str,
    options: &RedriveOptions,
) -> Result<RedriveReport, LogError> {
    let config = require(log, dead_letters)?;
    let memory = format!("{dead_letters}.redriven");
    let open = if options.dry_run { Once::look } else { Once::open };
    let mut once = open(log, &memory, headers::FROM)?;
    let mut report = RedriveReport::default();
    let redriven = letters(log, (dead_letters, &config), options, &mut once, &mut report);
    // What was appended before an error is remembered all the same.
    let finished = once.finish();
    redriven.and(finished)?;
    Ok(report)
}

fn letters(
    log: &dyn Log,
    (dead_letters, config): (&str, &TopicConfig),
    options: &RedriveOptions,
    once: &mut Once<'_>,
    report: &mut RedriveReport,
) -> Result<(), LogError> {
    let mut buf = RecordBuf::default();
    for partition in partitions(config) {
        let mut reader = log.reader(dead_letters, partition, log.bounds(dead_letters, partition)?.start)?;
        loop {
            buf.clear();
            if reader.read(&mut buf, READ_BYTES)? == 0 {
                break;
            }
            for letter in buf.iter() {
                report.letters += 1;
                let Some(origin) = letter.header(headers::FROM).and_then(Origin::parse) else {
                    report.without_origin += 1;
                    continue;
                };
                let reason =
                    String::from_utf8_lossy(letter.header(headers::REASON).unwrap_or_default()).into_owned();
                let asked = options.reasons.contains(&reason);
                if !options.reasons.is_empty() && !asked {
                    report.other_reasons += 1;
                } else if is_import_line(&letter) || (reason == RejectReason::Mapping.name() && !asked) {
                    report.import_lines += 1;
                } else if letter.header(headers::TRUNCATED).is_some() {
                    report.truncated += 1;
                } else if once.is_done(&origin.text) {
                    report.already_redriven += 1;
                } else if log.topic(&origin.topic)?.is_none() {
                    report.without_origin += 1;
                } else {
                    if options.dry_run {
                        once.pretend(&origin.text);
                    } else {
                        append(once, &origin, &letter)?;
                    }
                    report.redriven += 1;
                    *report.by_reason.entry(reason).or_default() += 1;
                    *report.by_topic.entry(origin.topic).or_default() += 1;
                }
            }
        }
    }
    Ok(())
}

/// Whether a letter is a row of a file as an importer found it, and not an event.
fn is_import_line(letter: &Record<'_>) -> bool {
    letter.key.is_empty() && letter.header(headers::SOURCE).is_some()
}

/// Where a dead letter came from.
struct Origin {
    text: String,
    topic: String,
    partition: PartitionId,
}

impl Origin {
    /// Reads `TOPIC-PARTITION@OFFSET`.
    fn parse(from: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(from).ok()?;
        let (place, offset) = text.rsplit_once('@')?;
        let (topic, partition) = place.rsplit_once('-')?;
        offset.parse::<u64>().ok()?;
        Some(Self {
            text: text.to_owned(),
            topic: topic.to_owned(),
            partition: PartitionId(partition.parse().ok()?),
        })
    }
}

fn append(once: &mut Once<'_>, origin: &Origin, letter: &Record<'_>) -> Result<(), LogError> {
    let ours = [headers::REASON, headers::DETAIL, headers::FROM, headers::REDRIVEN, headers::SOURCE];
    let kept = letter.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
    let mut all: Vec<(&str, &[u8])> = kept.filter(|(name, _)| !ours.contains(name)).collect();
    all.push((headers::FROM, origin.text.as_bytes()));
    all.push((headers::REDRIVEN, b""));
    let choose = |config: &TopicConfig| {
        // A topic that was made again with fewer partitions has lost the old one.
        let there = origin.partition.0 < config.partitions;
        if there { origin.partition } else { partition_for(letter.key, config.partitions) }
    };
    once.append(&origin.topic, choose, (letter.timestamp, letter.key, letter.value), &all, &origin.text)
}

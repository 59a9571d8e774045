//! `churnstream log repartition`: a topic again, in another number of partitions or under another key.

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;
use partition_log::admin::{self, RepartitionReport};
use partition_log::{LogError, TopicPlace};
use producer::cli::WritingArgs;

use super::{TopicArgs, json, open};

/// Into what to copy.
#[derive(Debug, Args)]
pub struct RepartitionArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// The new topic: a name beside the old one, or another log's: file:DIR/TOPIC or kafka:BROKERS/TOPIC
    #[arg(long, value_name = "TOPIC")]
    to: Target,
    /// How many partitions it gets [default, with --key: as many as the old one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), required_unless_present = "key")]
    partitions: Option<u32>,
    /// Key the events by this text field of theirs: it becomes the entity type, and the old entity a field
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    #[command(flatten)]
    writing: WritingArgs,
    /// Copy what is left of a topic whose oldest records were removed; the copy looks whole
    #[arg(long)]
    without_beginning: bool,
}

/// Where a copy goes: a topic in the same log, or in another.
#[derive(Debug, Clone)]
enum Target {
    Beside(String),
    Elsewhere(TopicPlace),
}

impl std::str::FromStr for Target {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        // No name of a topic has a colon or a slash.
        if text.contains([':', '/']) {
            text.parse().map(Self::Elsewhere)
        } else {
            Ok(Self::Beside(text.to_owned()))
        }
    }
}

impl Target {
    fn beside(&self, from: &TopicPlace) -> TopicPlace {
        match self {
            Self::Beside(topic) => TopicPlace { place: from.place.clone(), topic: topic.clone() },
            Self::Elsewhere(place) => place.clone(),
        }
    }
}

/// Copies and says what came of it.
pub(super) fn run(args: &RepartitionArgs, out: &mut dyn Write) -> Result<()> {
    let place = &args.topic.topic;
    let (log, to) = (open(place)?, args.to.beside(place));
    if let Some(removed) = backtest::removed(&*log, &place.topic)? {
        let advice = "a copy begins at offset 0 and looks whole: --without-beginning makes it";
        anyhow::ensure!(args.without_beginning, "{removed}; {advice}");
    }
    let target = partition_log::open(&to.place, &args.writing.options(&to.place)?)
        .with_context(|| format!("opening {to}"))?;
    let partitions = match args.partitions {
        Some(partitions) => partitions,
        None => log.topic(&place.topic)?.with_context(|| format!("there is no {place}"))?.partitions,
    };
    let (source, copy) = ((&*log, &*place.topic), (&*target, &*to.topic));
    let report = match &args.key {
        Some(key) => admin::repartition_by(source, copy, partitions, key)?,
        None => admin::repartition(source, copy, partitions)?,
    };
    if args.topic.json {
        return json(out, &report);
    }
    print(out, &report)?;
    if to.place != place.place {
        writeln!(out, "to score it: consumer --from {} --topic {}, with an empty store", to.place, to.topic)?;
    }
    Ok(())
}

fn print(out: &mut dyn Write, report: &RepartitionReport) -> Result<()> {
    let RepartitionReport { from, to, partitions_before, partitions, records, ticks, .. } = report;
    writeln!(
        out,
        "{records} records and {ticks} ticks copied from {from} ({partitions_before} partitions) to {to} ({partitions})"
    )?;
    for (partition, records) in report.by_partition.iter().enumerate() {
        writeln!(out, "  partition {partition}: {records} records, ticks included")?;
    }
    if report.rejected > 0 {
        writeln!(
            out,
            "{} of them have no `{}` to be keyed by: the consumer of {to} makes dead letters of them",
            report.rejected, report.key
        )?;
    }
    if report.erased > 0 {
        writeln!(out, "{} left out: they are erasures, or stand before one of theirs", report.erased)?;
    }
    Ok(())
}

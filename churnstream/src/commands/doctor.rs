//! `churnstream doctor`: says whether a log is fit for work, and what to do if not.

mod content;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::commands::through::Through;
use anyhow::Result;
use clap::Args;
use partition_log::checkup::{self, Check, Purpose, Verdict};
use partition_log::{Log, LogError, LogOptions};
use serde::Serialize;

/// Check a log: reachability, rights, topics and their settings, clocks, dead letters, lag.
///
/// Topics in files are read through, if they are no larger than a GiB. Lag is that of the group on Kafka, and that of the consumer whose --store
/// is given. A line for each thing that was looked at: `ok`, `warning` or `problem`, with what to do. Ends with exit code 1 on a problem. Changes
/// nothing, unless it is told to try writing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  churnstream doctor --from kafka:localhost:9092
  churnstream doctor --from kafka:broker:9093/shop. --try-writing
  churnstream doctor --from file:log --store state --features spec.toml
  churnstream doctor --from file:log --json

For TLS, user and password see `churnstream --help`, \"Kafka\". What librdkafka does is told with its setting debug
(CHURNSTREAM_KAFKA_DEBUG=broker,security) and RUST_LOG=debug.")]
pub struct Doctor {
    /// The log: file:DIR or kafka:BROKERS
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events
    #[arg(long, default_value = "events")]
    topic: String,
    /// On Kafka, the consumers' group. Default: churnstream-TOPIC
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    #[command(flatten)]
    through: Through,
    /// The feature spec: are log and outputs keyed by what it is about?
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
    /// The consumer's store: does it belong to the log, and how far is it?
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// On Kafka, make a topic, write to it and remove it, and write to the consumer's topics in transactions that are aborted: tells the
    /// rights to write, and the difference of the clocks
    #[arg(long)]
    try_writing: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    place: &'a str,
    verdict: Verdict,
    checks: &'a [Check],
}

/// Looks at the log and prints what was found to `out`. The exit code is 1 if there is a problem.
///
/// # Errors
/// If `out` cannot be written to.
pub fn run(command: &Doctor, out: &mut dyn Write) -> Result<ExitCode> {
    let purpose = |group: String| Purpose {
        events: command.topic.clone(),
        outputs: [consumer::SCORES, consumer::SHADOW_SCORES, consumer::DEAD_LETTERS, consumer::CONTROL]
            .map(str::to_owned)
            .into(),
        compacted: vec![consumer::SNAPSHOTS.to_owned()],
        group: command.group.clone().unwrap_or(group),
        try_writing: command.try_writing,
    };
    let checks = match partition_log::open(&command.from, &LogOptions::default()) {
        Ok(log) => {
            let mut checks = match log.as_kafka() {
                Some(kafka) => kafka.checkup(&purpose(kafka.usual_group(&command.topic))),
                None => checkup::of_files(log.as_ref(), &purpose(String::new())),
            };
            checks.extend(command.through.check(log.as_ref(), &command.topic));
            // Where brokers do not answer, nobody is asked again.
            if log.as_kafka().is_none() || checks.iter().all(|check| check.verdict != Verdict::Problem) {
                checks.extend(command.content(log.as_ref()));
            }
            checks
        }
        Err(error @ LogError::BadPlace(_)) => return Err(error.into()),
        Err(error) => vec![Check::problem("settings", error.to_string(), "")],
    };
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    if command.json {
        serde_json::to_writer(&mut *out, &Report { place: &command.from, verdict, checks: &checks })?;
        writeln!(out)?;
    } else {
        print(out, &checks, verdict)?;
    }
    Ok(if verdict == Verdict::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Doctor {
    /// What the log holds, and whether spec, map and store belong to it.
    fn content(&self, log: &dyn Log) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut entities = Vec::new();
        match self.features.as_deref().map(|spec| (content::entity_of(spec), spec)) {
            Some((Ok(entity), spec)) => entities.push((entity, spec.display().to_string())),
            Some((Err(error), _)) => {
                checks.push(Check::problem("spec", format!("{error:#}"), "mend it, and ask again"))
            }
            None => {}
        }
        entities.extend(self.through.entity());
        checks.extend(content::check(log, &self.topic, &entities));
        checks.extend(self.store.as_deref().map(|store| content::consumer_of(log, &self.topic, store)));
        checks
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
    }
}

fn print(out: &mut dyn Write, checks: &[Check], verdict: Verdict) -> Result<()> {
    for Check { about, verdict, found, advice } in checks {
        writeln!(out, "{:8} {about}: {}", word(*verdict), telemetry::plain(found))?;
        if !advice.is_empty() {
            writeln!(out, "{:8} -> {advice}", "")?;
        }
    }
    match verdict {
        Verdict::Ok => writeln!(out, "all is well")?,
        Verdict::Warning => writeln!(out, "it works; see the warnings")?,
        Verdict::Problem => writeln!(out, "see the problems")?,
    }
    Ok(())
}

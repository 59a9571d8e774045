//! What can be asked for on the command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use partition_log::{Compression, Durability, LogError, LogOptions};
use types::Millis;

use crate::rate::{Rate, Speed};
use crate::tick::{TickPlan, TickPlanError};

/// Fills a log of events: from a file, or with a simulated streaming service.
#[derive(Debug, Parser)]
#[command(
    name = "producer",
    version,
    about,
    after_help = "Kafka: TLS, user, password and other settings of librdkafka stand in a file of lines `setting=value` that
CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is sasl.password."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the events of a simulated subscription streaming service, whose true churn risk is known.
    Simulate(crate::simulate::SimulateArgs),
    /// Write the events of files, read by a mapping.
    ///
    /// Run again, it goes on where it was. Rows that the map cannot read are set aside with the reason; mend the map and
    /// bring them in with --rejected.
    ///
    /// Examples:
    ///   producer import events.csv --map map.toml --to file:data
    ///   producer import events.csv --map mended.toml --to file:data --rejected
    ///
    /// Exit code: 0 if it came to its end; 1 if it could not, or no row could be read; 2 if it is asked for what cannot be;
    /// 130 if it was stopped before its end.
    #[command(verbatim_doc_comment)]
    Import(crate::import::ImportArgs),
    /// Let time pass on a log to which nobody writes, so that users who are silent are swept.
    ///
    /// Ticks come with events: where none are written, no day ends. This writes the ticks that are missing, and the
    /// consumer scores everybody who is still there as of each. Nothing else may be writing to the topic, as with imports.
    /// An event that comes later and is older than a tick misses that tick's sweep. It counts all the same, unless it lies
    /// behind its user's newest event by more than the allowed lateness: then it is a dead letter, as any such event.
    ///
    /// Examples:
    ///   producer tick --to file:data
    ///   producer tick --to file:data --until 2025-03-10
    /// From cron, each day at half past one (UTC), when midnight's tick is due:
    ///   30 1 * * *  producer tick --to file:/srv/churn/data
    ///
    /// Exit code: 0 if the log holds the ticks; 1 if not; 2 if it is asked for what cannot be.
    #[command(verbatim_doc_comment)]
    Tick(crate::tick_until::TickArgs),
}

/// Where the events go and how fast: the same for every source.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// The log to write to: file:DIR or kafka:BROKERS
    #[arg(long, value_name = "LOG", value_parser = partition_log::parse_place)]
    pub to: String,
    /// The topic to write.
    #[arg(long, default_value = "events", value_parser = own_topic)]
    pub topic: String,
    /// How many partitions the topic has [default: as it exists, otherwise 4]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: Option<u32>,
    /// The most events per second, or max.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub rate: Rate,
    /// Let time pass so many times faster than it was [default: as fast as it goes]
    #[arg(long, value_name = "X")]
    pub speed: Option<Speed>,
    /// When ticks are.
    #[command(flatten)]
    pub ticks: PlanArgs,
    /// How it is written.
    #[command(flatten)]
    pub writing: WritingArgs,
    /// Serve /metrics, /healthz and /readyz here while it works; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// Print one JSON object about what was done on standard output.
    #[arg(long)]
    pub json: bool,
}

/// When ticks are.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// A tick, which makes the consumer score silent users too, at every whole multiple of this span.
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    pub tick: Millis,
    /// How long after those multiples, which are of UTC, a tick is: 16h is midnight in Shanghai. As the spec's `tick.offset`.
    #[arg(long, value_name = "SPAN", default_value = "0h")]
    pub tick_offset: Millis,
    /// How long after it a tick is written, so that slightly late events still count.
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    pub tick_grace: Millis,
}

impl Default for PlanArgs {
    /// Each day at 00:00 UTC, with an hour's grace.
    fn default() -> Self {
        Self { tick: Millis::DAY, tick_offset: Millis(0), tick_grace: Millis::HOUR }
    }
}

impl PlanArgs {
    /// The plan.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn plan(&self) -> Result<TickPlan, TickPlanError> {
        TickPlan::new(self.tick, self.tick_offset, self.tick_grace)
    }
}

/// How a log is written: the same for every program that writes one.
#[derive(Debug, Clone, Default, Args)]
pub struct WritingArgs {
    /// Of files, what survives a loss of power: `always` all that readers see; `interval:SPAN`, as interval:10s, all but the newest so
    /// long; `system` what the system has written by itself. A killed program loses nothing by any [default: always]
    #[arg(long, value_name = "always|interval:SPAN|system")]
    pub durability: Option<Durability>,
    /// How batches are compressed: none, lz4 or zstd [default: none in files, lz4 on Kafka]
    #[arg(long, value_name = "none|lz4|zstd")]
    pub compression: Option<Compression>,
}

impl WritingArgs {
    /// The options with which a log at `place` is opened.
    ///
    /// # Errors
    /// [`LogError::BadPlace`] for what that place cannot do.
    pub fn options(&self, place: &str) -> Result<LogOptions, LogError> {
        let refuse = |what: &str| Err(LogError::BadPlace(format!("{place}: {what}")));
        if place.starts_with("kafka:") {
            if self.durability.is_some() {
                return refuse(
                    "--durability is of files; on Kafka the topic's replicas and `min.insync.replicas` say what is promised",
                );
            }
            if self.compression == Some(Compression::None) {
                return refuse("batches for Kafka are always compressed: --compression lz4 or zstd");
            }
        }
        let usual = LogOptions::default();
        Ok(LogOptions {
            durability: self.durability.unwrap_or(usual.durability),
            compression: self.compression.unwrap_or(usual.compression),
            ..usual
        })
    }
}

/// Topics that the consumer alone writes.
const RESERVED: [&str; 5] = ["scores", "shadow-scores", "dead-letters", "control", "snapshots"];

pub(crate) fn own_topic(name: &str) -> Result<String, String> {
    match RESERVED.contains(&name) {
        true => Err(format!(
            "the consumer writes `{name}`, and nobody else may; events belong in a topic of their own"
        )),
        false => Ok(name.to_owned()),
    }
}

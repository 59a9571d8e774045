//! What can be asked for on the command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};
use types::Millis;

use crate::rate::{Rate, Speed};

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
    /// A tick, which makes the consumer score silent users too, at every whole multiple of this span.
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    pub tick: Millis,
    /// How long after those multiples, which are of UTC, a tick is: 16h is midnight in Shanghai. As the spec's `tick.offset`.
    #[arg(long, value_name = "SPAN", default_value = "0h")]
    pub tick_offset: Millis,
    /// How long after it a tick is written, so that slightly late events still count.
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    pub tick_grace: Millis,
    /// Serve /metrics, /healthz and /readyz here while it works; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// Print one JSON object about what was done on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Topics that the consumer alone writes.
const RESERVED: [&str; 5] = ["scores", "shadow-scores", "dead-letters", "control", "snapshots"];

fn own_topic(name: &str) -> Result<String, String> {
    match RESERVED.contains(&name) {
        true => Err(format!(
            "the consumer writes `{name}`, and nobody else may; events belong in a topic of their own"
        )),
        false => Ok(name.to_owned()),
    }
}

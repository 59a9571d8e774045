//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use types::Millis;

use crate::{AutoscalerOptions, Limits, ProcessCommand, ThresholdPolicy};

const MORE_HELP: &str = "Examples:
  autoscaler --from kafka:localhost:9092 --max 3 --http 127.0.0.1:9470 -- \\
      consumer --from kafka:localhost:9092 --store state/{n} \\
      --features spec.toml --model model --http 127.0.0.1:946{n}
  autoscaler --from kafka:localhost:9092 --log decisions.jsonl

Processes: in the command, {n} stands for the number of a process: 0, 1, 2 and so on. Those with the highest numbers are stopped first:
by SIGTERM, upon which a consumer commits and ends, and after 30 s by SIGKILL. One that dies is started again, after 1 s, then 2 s, up to
60 s; one that refuses its arguments (exit code 2) ends the autoscaler, unless one has run for 10 s before. A script must end with
`exec consumer ...`, or signals reach the shell alone. If the autoscaler is killed, its processes get SIGTERM (on Linux;
elsewhere they live on, and those of the next autoscaler fail and say that the store is in use until they are stopped). Other members of
the group are left alone and not counted; without a command, the group's members are.

Lag that is not known, because brokers do not answer, changes nothing: as many processes as there are stay.

Prometheus finds the processes' own metrics by http_sd_configs at /targets, where their command says --http.

Kafka: TLS, user, password and other settings of librdkafka stand in a file of lines `setting=value` that
CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is sasl.password.

Exit codes: 0 done, 1 failed, 2 wrong arguments. Ctrl-C stops the processes and ends; a second one kills them.";

/// Keeps as many consumer processes of a Kafka group running as its lag asks for.
///
/// What stands behind `--` is the command of one of them. Without a command, or with --dry-run, it starts none and says how many there
/// should be, in its log and its metrics.
#[derive(Debug, Parser)]
#[command(version, after_help = more_help())]
pub struct Arguments {
    /// Where the events are: kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    pub from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    pub topic: String,
    /// The group of the consumers. Default: churnstream-TOPIC.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// The fewest processes.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub min: u32,
    /// The most processes. More than there are partitions do nothing.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub max: u32,
    /// How often the brokers are asked and it is decided.
    #[arg(long, default_value = "5s", value_name = "SPAN")]
    pub every: Millis,
    /// One process more when more records than this wait.
    #[arg(long, default_value_t = ThresholdPolicy::default().high_events, value_name = "N")]
    pub high_events: u64,
    /// One process more when the oldest record has waited for longer than this; 0s: only their number counts. It is not known of records
    /// that waited before this program began.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    pub high_age: Millis,
    /// What is below this share of both is little.
    #[arg(long, default_value_t = ThresholdPolicy::default().low_share, value_name = "SHARE", value_parser = parse_share)]
    pub low_share: f64,
    /// One process fewer when little has waited for so long.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    pub low_for: Millis,
    /// No process more for this long after one was added: until it can have shown what it does.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    pub settle: Millis,
    /// No process fewer for this long after any change, and none more after one was stopped.
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    pub cooldown: Millis,
    /// Serve /metrics, /healthz, /readyz and /targets here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// Write decisions, with the numbers that led to them, into this file, one JSON object a line; what is held for one reason once a minute.
    /// Beyond 4 MiB it is renamed to FILE.1 and begun anew.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Start and stop nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
    /// The command of one consumer process.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Clap takes `{n}` for the end of a line, unless something stands within it; this is nothing to see.
fn more_help() -> String {
    MORE_HELP.replace("{n}", "{\u{1b}[0mn}")
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}

fn span(span: Millis) -> Duration {
    Duration::from_millis(span.0.unsigned_abs())
}

impl Arguments {
    /// How the autoscaler is set up.
    ///
    /// # Errors
    /// What is wrong with the arguments, in words.
    pub fn options(&self) -> Result<AutoscalerOptions, String> {
        let Self { min, max, topic, group, .. } = self;
        if min > max {
            return Err(format!("--min {min} is more than --max {max}"));
        }
        if self.every.0 == 0 {
            return Err("--every takes a span of at least 1ms".to_owned());
        }
        let command = match self.command.clone() {
            words if words.is_empty() => None,
            words => Some(
                ProcessCommand::new(words, &self.from, topic, group.as_deref(), *max)
                    .map_err(|wrong| wrong.to_string())?,
            ),
        };
        Ok(AutoscalerOptions {
            topic: topic.clone(),
            group: group.clone(),
            command: command.filter(|_| !self.dry_run),
            policy: ThresholdPolicy {
                high_events: self.high_events,
                high_seconds: (self.high_age.0 > 0).then(|| span(self.high_age).as_secs_f64()),
                low_share: self.low_share,
                low_for: span(self.low_for),
            },
            limits: Limits::new(*min, *max, span(self.cooldown), span(self.settle)),
            every: span(self.every),
            http: self.http,
            log: self.log.clone(),
        })
    }
}

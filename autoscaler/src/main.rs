//! The command `autoscaler`: parses, builds, runs and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use autoscaler::{
    AutoscalerError, AutoscalerOptions, Limits, ProcessCommand, Surroundings, ThresholdPolicy, become_command,
};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use partition_log::LogOptions;
use telemetry::{LogFormat, LogTo, init_tracing};
use types::Millis;

const MORE_HELP: &str = "Examples:
  autoscaler --from kafka:localhost:9092 --max 3 --http 127.0.0.1:9470 -- \\
             consumer --from kafka:localhost:9092 --store state/{n} --features spec.toml --model model --http 127.0.0.1:946{n}
  autoscaler --from kafka:localhost:9092 --log decisions.jsonl

Processes: in the command, {n} stands for the number of a process: 0, 1, 2 and so on. Those with the highest numbers are stopped first:
by SIGTERM, upon which a consumer commits and ends, and after 30 s by SIGKILL. One that dies is started again, after 1 s, then 2 s, up to
60 s; one that refuses its arguments (exit code 2) ends the autoscaler. If the autoscaler is killed, its processes get SIGTERM (on Linux;
elsewhere they live on, and those of the next autoscaler fail and say that the store is in use until they are stopped). Other members of
the group are left alone and not counted.

Lag that is not known, because brokers do not answer, changes nothing: as many processes as there are stay.

Prometheus finds the processes' own metrics by http_sd_configs at /targets, where their command says --http.

Kafka: TLS, user, password and other settings of librdkafka stand in a file of lines `setting=value` that
CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is sasl.password.

Exit codes: 0 done, 1 failed, 2 wrong arguments. Ctrl-C stops the processes and ends; a second one kills them.";

/// Keeps as many consumer processes of a Kafka group running as its lag asks for.
///
/// What stands behind `--` is the command of one of them. Without a command, or with --dry-run, it starts none and says how many there
/// should be, in its log and its metrics.
#[derive(Parser)]
#[command(version, after_help = more_help())]
struct Arguments {
    /// Where the events are: kafka:BROKERS.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// The group of the consumers. Default: churnstream-TOPIC.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The fewest processes.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    min: u32,
    /// The most processes. More than there are partitions do nothing.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    max: u32,
    /// How often the brokers are asked and it is decided.
    #[arg(long, default_value = "5s", value_name = "SPAN")]
    every: Millis,
    /// One process more when more records than this wait.
    #[arg(long, default_value_t = ThresholdPolicy::default().high_events, value_name = "N")]
    high_events: u64,
    /// One process more when the oldest record has waited for longer than this; 0s: only their number counts. It is not known of records
    /// that waited before this program began.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    high_age: Millis,
    /// What is below this share of both is little.
    #[arg(long, default_value_t = ThresholdPolicy::default().low_share, value_name = "SHARE", value_parser = parse_share)]
    low_share: f64,
    /// One process fewer when little has waited for so long.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    low_for: Millis,
    /// No process more for this long after one was added: until it can have shown what it does.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    settle: Millis,
    /// No process fewer for this long after any change, and none more after one was stopped.
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    cooldown: Millis,
    /// Serve /metrics, /healthz, /readyz and /targets here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Write every decision, with the numbers that led to it, into this file, one JSON object a line. Beyond 4 MiB it is renamed to
    /// FILE.1 and begun anew.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Start and stop nothing.
    #[arg(long)]
    dry_run: bool,
    /// Log as JSON lines.
    #[arg(long)]
    log_json: bool,
    /// The command of one consumer process.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
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

fn main() -> ExitCode {
    if let Some(failed) = become_command() {
        return failed;
    }
    let arguments = Arguments::parse();
    let options = match options(&arguments) {
        Ok(options) => options,
        Err(wrong) => Arguments::command().error(ErrorKind::ValueValidation, wrong).exit(),
    };
    match run(&arguments, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autoscaler: {}", telemetry::in_words(error.as_ref()));
            let refused = matches!(error.downcast_ref(), Some(AutoscalerError::Refused { .. }));
            if refused { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn options(arguments: &Arguments) -> Result<AutoscalerOptions, String> {
    let Arguments { min, max, topic, group, .. } = arguments;
    if min > max {
        return Err(format!("--min {min} is more than --max {max}"));
    }
    if arguments.every.0 == 0 {
        return Err("--every takes a span of at least 1ms".to_owned());
    }
    let command = match arguments.command.clone() {
        words if words.is_empty() => None,
        words => Some(
            ProcessCommand::new(words, topic, group.as_deref(), *max).map_err(|wrong| wrong.to_string())?,
        ),
    };
    Ok(AutoscalerOptions {
        topic: topic.clone(),
        group: group.clone(),
        command: command.filter(|_| !arguments.dry_run),
        policy: ThresholdPolicy {
            high_events: arguments.high_events,
            high_seconds: (arguments.high_age.0 > 0).then(|| span(arguments.high_age).as_secs_f64()),
            low_share: arguments.low_share,
            low_for: span(arguments.low_for),
        },
        limits: Limits::new(*min, *max, span(arguments.cooldown), span(arguments.settle)),
        every: span(arguments.every),
        http: arguments.http,
        log: arguments.log.clone(),
    })
}

fn run(arguments: &Arguments, options: &AutoscalerOptions) -> anyhow::Result<()> {
    let format = if arguments.log_json { LogFormat::Json } else { LogFormat::Plain };
    init_tracing(format, LogTo::Stderr)?;
    let log = partition_log::open(&arguments.from, &LogOptions::default())?;
    autoscaler::run(options, log.as_ref(), &Surroundings::new())?;
    Ok(())
}

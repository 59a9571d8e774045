//! The command `consumer`: parses, builds, runs and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, Scaling, Surroundings, Workers};
use partition_log::LogOptions;
use telemetry::{LogFormat, LogTo, init_tracing};
use types::Millis;

/// Keeps features per user, scores every user as events arrive and as users fall silent, and writes the scores.
///
/// Reads a topic of events, and writes the topics `scores`, `shadow-scores` and `dead-letters` beside it. It can be killed
/// at any moment: started again, it goes on where it was, and the outputs are those of one uninterrupted run.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  consumer --from file:data/log --store data/state --features spec.toml --model data/model
  consumer --from file:data/log --store data/state --features spec.toml --model data/model --until-end
  consumer --from file:data/log --store data/state --features spec.toml --model data/registry \\
           --workers auto --http 127.0.0.1:9464
  consumer --from kafka:localhost:9092 --store data/state --features spec.toml --model data/model
  consumer --from kafka:localhost:9092 --topic web.clicks --map map.toml --store data/state \\
           --features spec.toml --model data/model
  consumer --from kafka:localhost:9092 --topic web.clicks --map map.toml --schema-registry http://localhost:8081 \\
           --store data/state --features spec.toml --model data/model

Kafka: TLS, user, password and other settings of librdkafka stand in a file of lines `setting=value` that
CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is sasl.password.

Schema registry: CHURNSTREAM_REGISTRY_USER and CHURNSTREAM_REGISTRY_PASSWORD, or CHURNSTREAM_REGISTRY_TOKEN, say who asks; ..._FILE
names a file that holds the password or token. CHURNSTREAM_REGISTRY_CA is a file (PEM) of the authorities to trust, else public ones.

Exit codes: 0 done, 1 failed, 2 wrong arguments. Ctrl-C commits and ends; a second one ends at once."
)]
struct Arguments {
    /// Where the events are: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// Others write the topic, as JSON of their own: read it through this map, as `producer import` would. One record is one event.
    /// With another map, begin with another store.
    #[arg(long, value_name = "MAP.toml")]
    map: Option<PathBuf>,
    /// With a map whose format is `confluent`: the schema registry that knows the writers' schemas, by Confluent's API. Default: the
    /// environment's CHURNSTREAM_REGISTRY_URL. A registry that does not answer is waited for.
    #[arg(long, value_name = "URL", requires = "map")]
    schema_registry: Option<String>,
    /// On Kafka: the consumers of one group share the partitions. Default: churnstream-TOPIC.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// On Kafka: after this long without a sign of life the group goes on without a process.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    session_timeout: Millis,
    /// The folder of the state; made if it is not there.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml")]
    features: PathBuf,
    /// A model bundle, or a registry of them.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// How many threads process partitions: a number, or `auto` to follow the lag.
    #[arg(long, default_value = "1", value_parser = parse_workers)]
    workers: Workers,
    /// End at what is the log's end now, with all state written to the store.
    #[arg(long)]
    until_end: bool,
    /// How often outputs are synced and committed.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    commit_interval: Millis,
    /// On a Kafka topic that others write, ticks are decided by its events; a partition to which nothing has come for this long is swept
    /// by the clock.
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    tick_idle: Millis,
    /// Records between two looks at what else is to be done.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Memory for users' state, in MiB. The rest stays in the store.
    #[arg(long, default_value_t = 512, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// How long a change of state may wait before it is written to the store: longer writes less, and replays more after a
    /// crash.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    snapshot_interval: Millis,
    /// With `--workers auto`: more workers when more records than this wait, fewer when a twentieth of it does.
    #[arg(long, default_value_t = Scaling::default().lag_up, value_name = "N")]
    scale_lag: u64,
    /// How often lag, registry and workers are looked at.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    scale_every: Millis,
    /// With `--workers auto`: no change for this long after one, and none to fewer before twice this.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    scale_cooldown: Millis,
    /// Write no reasons with scores: faster. The read API explains a score on demand all the same. Change it only after a
    /// clean end.
    #[arg(long)]
    no_reasons: bool,
    /// What users pay: the prices of a money file, as for `churnstream backtest --money`. Then /metrics says after each sweep what revenue is
    /// at risk, per currency: probability times price times the model's horizon.
    #[arg(long, value_name = "MONEY.toml")]
    prices: Option<PathBuf>,
    /// Serve /metrics, /healthz, /readyz and the read API here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    http: SocketAddr,
    /// Log as JSON lines.
    #[arg(long)]
    log_json: bool,
    /// Print a summary as one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn parse_workers(text: &str) -> Result<Workers, String> {
    let cores = u32::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
        .unwrap_or(u32::MAX);
    match text {
        "auto" => Ok(Workers::Auto { min: 1, max: cores }),
        number => match number.parse() {
            Ok(workers @ 1..=1024) => Ok(Workers::Fixed(workers)),
            _ => Err("give a number from 1 to 1024, or `auto`".to_owned()),
        },
    }
}

fn span(span: Millis) -> Duration {
    Duration::from_millis(span.0.unsigned_abs())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("consumer: {}", telemetry::in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let format = if arguments.log_json { LogFormat::Json } else { LogFormat::Plain };
    init_tracing(format, LogTo::Stderr)?;
    let around = Surroundings::new();
    around.shutdown.listen(|| {}).context("listen to signals")?;
    let mut log = partition_log::open(&arguments.from, &LogOptions::default())?;
    if let Some(map) = &arguments.map {
        let (topic, registry) = (&arguments.topic, arguments.schema_registry.as_deref());
        log =
            producer::foreign::through_map(log, topic, map, registry, Some(&around.metrics), Duration::ZERO)?;
    }
    let options = ConsumerOptions {
        topic: arguments.topic.clone(),
        group: arguments.group.clone(),
        session_timeout: span(arguments.session_timeout),
        store: arguments.store.clone(),
        model: arguments.model.clone(),
        features: arguments.features.clone(),
        workers: arguments.workers,
        until_end: arguments.until_end,
        commit_interval: span(arguments.commit_interval),
        tick_idle: span(arguments.tick_idle),
        batch_events: arguments.batch as usize,
        reasons: if arguments.no_reasons { Reasons::Off } else { Reasons::Risen },
        prices: arguments.prices.clone(),
        state: feature_store::StoreOptions {
            memory: (arguments.memory as usize) << 20,
            snapshot_interval: span(arguments.snapshot_interval),
            ..feature_store::StoreOptions::default()
        },
        http: Some(arguments.http),
        scaling: Scaling {
            lag_up: arguments.scale_lag,
            lag_down: arguments.scale_lag / 20,
            cooldown: span(arguments.scale_cooldown),
            calm: span(arguments.scale_cooldown) * 2,
            every: span(arguments.scale_every),
        },
    };
    let status = consumer::run(&options, &log, &around)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        let rejected: u64 = status.rejected.iter().map(|(_, n)| n).sum();
        eprintln!(
            "{} records processed, {} scores, {rejected} dead letters in {:.1} s",
            status.processed, status.scores, status.uptime_seconds
        );
    }
    Ok(())
}

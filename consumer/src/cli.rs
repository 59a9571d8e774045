//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use producer::cli::WritingArgs;
use types::Millis;

use crate::pipeline::Reasons;
use crate::{ConsumerOptions, Scaling, Workers};

/// Keeps features per user, scores every user as events arrive and as users fall silent, and writes the scores.
///
/// Reads a topic of events, and writes the topics `scores`, `shadow-scores` and `dead-letters` beside it. It can be killed
/// at any moment: started again, it goes on where it was, and the outputs are those of one uninterrupted run.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  consumer --from file:data/log --store data/state --features spec.toml \\
      --model data/model
  consumer --from file:data/log --store data/state --features spec.toml \\
      --model data/model --until-end
  consumer --from file:data/log --store data/state --features spec.toml \\
      --model data/registry --workers auto --http 127.0.0.1:9464
  consumer --from kafka:localhost:9092 --store data/state \\
      --features spec.toml --model data/model
  consumer --from kafka:localhost:9092 --topic web.clicks --map map.toml \\
      --store data/state --features spec.toml --model data/model
  consumer --from kafka:localhost:9092 --topic web.clicks --map map.toml \\
      --schema-registry http://localhost:8081 --store data/state \\
      --features spec.toml --model data/model

Kafka: TLS, user, password and other settings of librdkafka stand in a file of lines `setting=value` that
CHURNSTREAM_KAFKA_CONFIG names, or in variables: CHURNSTREAM_KAFKA_SASL_PASSWORD is sasl.password.

Schema registry: CHURNSTREAM_REGISTRY_USER and CHURNSTREAM_REGISTRY_PASSWORD, or CHURNSTREAM_REGISTRY_TOKEN, say who asks; ..._FILE
names a file that holds the password or token. CHURNSTREAM_REGISTRY_CA is a file (PEM) of the authorities to trust, else public ones.

Exit codes: 0 done, 1 failed, 2 wrong arguments. Ctrl-C commits and ends; a second one ends at once."
)]
pub struct Arguments {
    /// Where the events are: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    pub from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    pub topic: String,
    /// Others write the topic, as JSON of their own: read it through this map, as `producer import` would. One record is one event.
    /// With another map, begin with another store.
    #[arg(long, value_name = "MAP.toml")]
    pub map: Option<PathBuf>,
    /// With a map whose format is `confluent`: the schema registry that knows the writers' schemas, by Confluent's API. Default: the
    /// environment's CHURNSTREAM_REGISTRY_URL. A registry that does not answer is waited for.
    #[arg(long, value_name = "URL", requires = "map")]
    pub schema_registry: Option<String>,
    /// On Kafka: the consumers of one group share the partitions. Default: churnstream-TOPIC.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// On Kafka: after this long without a sign of life the group goes on without a process.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    pub session_timeout: Millis,
    /// The folder of the state; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml")]
    pub features: PathBuf,
    /// A model bundle, or a registry of them.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// With an empty store, begin although retention has removed the beginning of the topic: users are then known by what is left alone.
    /// A Kafka topic that others write may always be begun so.
    #[arg(long)]
    pub without_beginning: bool,
    /// How many threads process partitions: a number, or `auto` to follow the lag. A number is obeyed, also beyond the machine's cores, up
    /// to one thread a partition; `auto` stays within the cores. Partitions are placed on the threads by load.
    #[arg(long, default_value = "1", value_parser = parse_workers)]
    pub workers: Workers,
    /// End at what is the log's end now, with all state written to the store.
    #[arg(long)]
    pub until_end: bool,
    /// How often outputs are synced and committed.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    pub commit_interval: Millis,
    /// On a Kafka topic that others write, ticks are decided by its events; a partition to which nothing has come for this long is swept
    /// by the clock.
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    pub tick_idle: Millis,
    /// Records between two looks at what else is to be done.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Memory for users' state, in MiB. The rest stays in the store.
    #[arg(long, default_value_t = 512, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub memory: u32,
    /// How long a change of state may wait before it is written to the store: longer writes less, and replays more after a
    /// crash.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    pub snapshot_interval: Millis,
    /// With `--workers auto`: more workers when more records than this wait, fewer when a twentieth of it does.
    #[arg(long, default_value_t = Scaling::default().lag_up, value_name = "N")]
    pub scale_lag: u64,
    /// How often lag, registry and workers are looked at.
    #[arg(long, default_value = "1s", value_name = "SPAN")]
    pub scale_every: Millis,
    /// With `--workers auto`: no change for this long after one, and none to fewer before twice this. With any number: partitions of skewed
    /// loads are placed anew no more often than this.
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    pub scale_cooldown: Millis,
    /// Write no reasons with scores: faster. The read API explains a score on demand all the same. Change it only after a
    /// clean end.
    #[arg(long)]
    pub no_reasons: bool,
    /// What users pay: the prices of a money file, as for `churnstream backtest --money`. Then /metrics says after each sweep what revenue is
    /// at risk, per currency: probability times price times the model's horizon.
    #[arg(long, value_name = "MONEY.toml")]
    pub prices: Option<PathBuf>,
    /// How scores and dead letters are written.
    #[command(flatten)]
    pub writing: WritingArgs,
    /// Serve /metrics, /healthz, /readyz and the read API here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub http: SocketAddr,
    /// Log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
    /// Print a summary as one JSON object at the end.
    #[arg(long)]
    pub json: bool,
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

impl Arguments {
    /// How the consumer is set up.
    #[must_use]
    pub fn options(&self) -> ConsumerOptions {
        ConsumerOptions {
            topic: self.topic.clone(),
            group: self.group.clone(),
            session_timeout: span(self.session_timeout),
            store: self.store.clone(),
            model: self.model.clone(),
            features: self.features.clone(),
            without_beginning: self.without_beginning,
            workers: self.workers,
            until_end: self.until_end,
            commit_interval: span(self.commit_interval),
            tick_idle: span(self.tick_idle),
            batch_events: self.batch as usize,
            reasons: if self.no_reasons { Reasons::Off } else { Reasons::Risen },
            prices: self.prices.clone(),
            state: feature_store::StoreOptions {
                memory: (self.memory as usize) << 20,
                snapshot_interval: span(self.snapshot_interval),
                ..feature_store::StoreOptions::default()
            },
            http: Some(self.http),
            scaling: Scaling {
                lag_up: self.scale_lag,
                lag_down: self.scale_lag / 20,
                cooldown: span(self.scale_cooldown),
                calm: span(self.scale_cooldown) * 2,
                every: span(self.scale_every),
            },
        }
    }
}

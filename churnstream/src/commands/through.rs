//! Events that others write in a form of their own, for every command that reads events.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use partition_log::checkup::Check;
use partition_log::{Log, LogOptions, SharedLog};

/// So long a schema registry that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// How the topic of events is read, if others write it.
#[derive(Debug, Args, Clone)]
pub(crate) struct Through {
    /// Others write the topic: read it through this map, as `consumer --map` does.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// With a map whose format is `confluent`: the schema registry. Default: the environment's CHURNSTREAM_REGISTRY_URL.
    #[arg(long, value_name = "URL", requires = "map")]
    schema_registry: Option<String>,
}

/// How the topic of events is replayed: from its first record on, since users are what they have done.
#[derive(Debug, Args, Clone)]
pub(crate) struct Replayed {
    #[command(flatten)]
    through: Through,
    /// Go on although retention has removed the topic's beginning: users are then known by what is left alone, and numbers that reach
    /// further back are smaller than the consumer's.
    #[arg(long)]
    without_beginning: bool,
}

impl Replayed {
    /// Opens a log to replay a topic.
    ///
    /// # Errors
    /// If the topic's beginning is gone, too.
    pub(crate) fn open(&self, place: &str, topic: &str) -> anyhow::Result<SharedLog> {
        let log = self.through.open(place, topic)?;
        self.check(log.as_ref(), topic)?;
        Ok(log)
    }

    /// Refuses a topic whose beginning is gone, unless that is wanted; then it is said.
    pub(crate) fn check(&self, log: &dyn Log, topic: &str) -> anyhow::Result<()> {
        let Some(removed) = backtest::removed(log, topic)? else { return Ok(()) };
        anyhow::ensure!(
            self.without_beginning,
            "`{topic}` in {} no longer holds its beginning: {removed}. A replay would know users by what is left alone, and give other \
             numbers than the consumer, whose store has seen all. Replay a copy of the log that holds everything, or give \
             --without-beginning to go on with what is left",
            log.place()
        );
        eprintln!(
            "mind: {removed}: users are known by what is left alone, and what reaches further back is smaller than it was"
        );
        Ok(())
    }
}

impl Through {
    /// What there is to say of the map, if there is one.
    pub(crate) fn check(&self, log: &dyn Log, topic: &str) -> Vec<Check> {
        let check =
            |map: &PathBuf| producer::checkup::of_map(log, topic, map, self.schema_registry.as_deref());
        self.map.as_ref().map(check).unwrap_or_default()
    }

    /// What the map says that events are about, and its file; nothing if there is none, or it cannot be read.
    pub(crate) fn entity(&self) -> Option<(String, String)> {
        let map = self.map.as_ref()?;
        let entity = producer::map::Mapping::load(map, &[]).ok()?.entity_type().to_owned();
        Some((entity, map.display().to_string()))
    }

    /// Opens a log to read events from.
    pub(crate) fn open(&self, place: &str, topic: &str) -> anyhow::Result<SharedLog> {
        let log = partition_log::open(place, &LogOptions::default())?;
        Ok(match &self.map {
            Some(map) => {
                let registry = self.schema_registry.as_deref();
                producer::foreign::through_map(log, topic, map, registry, None, PATIENCE)?
            }
            None => log,
        })
    }
}

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

impl Through {
    /// What there is to say of the map, if there is one.
    pub(crate) fn check(&self, log: &dyn Log, topic: &str) -> Vec<Check> {
        let check =
            |map: &PathBuf| producer::checkup::of_map(log, topic, map, self.schema_registry.as_deref());
        self.map.as_ref().map(check).unwrap_or_default()
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

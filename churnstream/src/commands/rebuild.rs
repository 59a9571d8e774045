//! `churnstream rebuild`: throws state away so that the consumer makes it anew from the log.

use std::path::PathBuf;

use clap::Args;
use feature_store::store::{Needs, hold_needs};
use feature_store::{Spec, StoreIdentity};
use partition_log::LogOptions;
use types::PartitionId;

/// Throws the state away. The consumer, started again, makes it anew from the log's first record on.
///
/// Commits are kept, so nothing that was written is written again. Refused where retention has removed the log's begin.
///
/// With another spec, the state is made by it from the first record on, and scores by it begin at the commit: start the
/// consumer with this spec and a model that was trained with it. The consumer must have been stopped, not killed.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream rebuild --store state --from file:log
  churnstream rebuild --store state --from file:log --features new-spec.toml")]
pub(crate) struct Rebuild {
    /// The consumer's store. No consumer may be running.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// The feature spec; that of the store unless given.
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
}

impl Rebuild {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let spec = Spec::load(&self.features.unwrap_or_else(|| consumer::spec_of(&self.store)))?;
        let Some(config) = log.topic(&self.topic)? else {
            anyhow::bail!("there is no topic `{}` in {}", self.topic, log.place());
        };
        let stored = feature_store::store::identity(&self.store)?;
        // From here on nobody removes what the state will be made from.
        let _held = hold_needs(&self.store, Needs::Grow)?;
        let starts = (0..config.partitions)
            .map(|partition| Ok(log.bounds(&self.topic, PartitionId(partition))?.start))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let identity = StoreIdentity {
            spec_hash: spec.hash().to_string(),
            topic: self.topic,
            partitions: config.partitions,
        };
        if stored.spec_hash != identity.spec_hash {
            consumer::check_ended(&self.store, log.as_ref())?;
            eprintln!("another spec: {} takes the place of {}", identity.spec_hash, stored.spec_hash);
        }
        let rebuilt = feature_store::store::rebuild(&self.store, &identity, &starts)?;
        for partition in rebuilt.without_commit {
            eprintln!(
                "partition {partition} has no commit that could be kept: its outputs are checked from their first record"
            );
        }
        eprintln!(
            "the state in {} is cleared; the next start of the consumer makes it anew",
            self.store.display()
        );
        Ok(())
    }
}

//! `churnstream forget`: asks for a user's erasure.

use clap::Args;
use partition_log::{LogOptions, partition_for};
use types::{Event, EventTime, SystemEvent};

/// Erases a user: writes an `$erase` event, at which the consumer removes the user's state.
///
/// From then on reads do not find the user and sweeps pass over the user; a rebuild honours it too. The records that the
/// log still holds stay until retention removes them.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream forget u000042 --from file:log")]
pub(crate) struct Forget {
    /// Who.
    user: String,
    /// The log: file:DIR. Nothing else may be writing to the topic meanwhile.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
}

impl Forget {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let mut topic = log.writer(&self.topic)?;
        let config = topic.config().clone();
        let partition = partition_for(self.user.as_bytes(), config.partitions);
        let now = EventTime(jiff::Timestamp::now().as_millisecond());
        let event = Event {
            entity_type: config.key.as_str().into(),
            entity: self.user.as_str().into(),
            kind: SystemEvent::ERASE.into(),
            ts: now,
            ..Event::default()
        };
        let mut json = Vec::new();
        event.encode(&mut json);
        let mut writer = topic.partition(partition)?;
        let offset = writer.append(now, self.user.as_bytes(), &json, &[])?;
        writer.sync()?;
        eprintln!("user `{}` is erased from offset {offset} of {}-{partition} on", self.user, self.topic);
        Ok(())
    }
}

//! `churnstream features get`: from the consumer that runs, from the store, or by replay.

use std::path::PathBuf;
use std::sync::Arc;

use crate::commands::running;
use crate::commands::through::Replayed;
use anyhow::{Context, bail};
use backtest::{AsOfRequest, features_as_of};
use clap::{Args, Subcommand};
use consumer::{FeatureReading, ReadStatus};
use feature_store::{Spec, Told};
use producer::map::moment;
use types::{EventTime, Offset};

/// Reads of features.
#[derive(Subcommand)]
pub(crate) enum Features {
    /// One user's features.
    Get(Get),
}

/// Reads one user's features.
///
/// With --from, by replaying the user's records of the log; otherwise from the consumer that has the store open, or from
/// the store itself if none runs. The same moment and position give the same bits either way.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream features get u000042 --store state
  churnstream features get u000042 --store state \\
      --as-of 2025-03-01T00:00:00Z --from file:log")]
pub(crate) struct Get {
    /// Whose.
    user: String,
    /// The consumer's store.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The moment, as 2025-03-01 (midnight in UTC), RFC 3339 or milliseconds since 1970; the user's newest event unless given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    as_of: Option<EventTime>,
    /// Replay this log instead of reading state.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: Option<String>,
    /// The topic of events, with --from.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// Only records before this offset are known, with --from.
    #[arg(long, value_name = "OFFSET", requires = "from")]
    position: Option<u64>,
    /// The feature spec, with --from; that of the store unless given.
    #[arg(long, value_name = "SPEC.toml", requires = "from")]
    features: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Features {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Get(get) = self;
        let reading = get.read()?;
        if get.json {
            println!("{}", serde_json::to_string(&reading)?);
        } else {
            print_reading(&reading, spec_of(&get).as_ref());
        }
        if reading.status == ReadStatus::NotFound {
            bail!(
                "user `{}` is not known in partition {} before offset {}",
                get.user,
                reading.partition,
                reading.position
            );
        }
        Ok(())
    }
}

impl Get {
    fn read(&self) -> anyhow::Result<FeatureReading> {
        if let Some(place) = &self.from {
            return self.replay(place);
        }
        if let Some(address) = consumer::address_of(&self.store)
            && let Some(reading) = ask(&address, &self.user, self.as_of)?
        {
            return Ok(reading);
        }
        consumer::read_store(&self.store, &self.user, self.as_of)
            .with_context(|| format!("read the store {}", self.store.display()))
    }

    fn replay(&self, place: &str) -> anyhow::Result<FeatureReading> {
        let log = self.through.open(place, &self.topic)?;
        let spec_path = self.features.clone().unwrap_or_else(|| consumer::spec_of(&self.store));
        let spec = Arc::new(Spec::load(&spec_path)?);
        let request =
            AsOfRequest { entity: self.user.clone(), as_of: self.as_of, position: self.position.map(Offset) };
        Ok(features_as_of(log.as_ref(), &self.topic, &spec, &request)?)
    }
}

/// Asks the consumer that runs; `None` if none answers there.
fn ask(address: &str, user: &str, as_of: Option<EventTime>) -> anyhow::Result<Option<FeatureReading>> {
    let as_of = as_of.map_or(String::new(), |as_of| format!("?as_of={as_of}"));
    running::ask(address, &format!("/v1/users/{}/features{as_of}", path_segment(user)))
}

/// Writes a user's id so that it is one segment of a path, whatever it holds.
fn path_segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// What values stand for: the spec that they were made by, if it can be read.
fn spec_of(get: &Get) -> Option<Spec> {
    Spec::load(&get.features.clone().unwrap_or_else(|| consumer::spec_of(&get.store))).ok()
}

/// A value as people read it: a category by its name, a number with its unit.
fn in_words(name: &str, value: f32, spec: Option<&Spec>) -> String {
    match spec.and_then(|spec| spec.told(name)) {
        Some(Told::Category { categories, .. }) => {
            let category = categories.get(value as usize);
            category.map_or_else(|| "none of those listed".to_owned(), Clone::clone)
        }
        Some(Told::Is { .. }) => if value == 1.0 { "yes" } else { "no" }.to_owned(),
        Some(Told::Value { unit: Some(unit), .. }) if !name.contains("_change_") => format!("{value} {unit}"),
        _ => value.to_string(),
    }
}

fn print_reading(reading: &FeatureReading, spec: Option<&Spec>) {
    if reading.status == ReadStatus::NotFound {
        return;
    }
    let moment = |time: Option<EventTime>| {
        time.and_then(|t| jiff::Timestamp::from_millisecond(t.0).ok())
            .map_or("unknown".to_owned(), |t| t.to_string())
    };
    println!(
        "{}   as of {}   {}",
        reading.entity,
        moment(reading.as_of),
        if reading.living { "living" } else { "ended" }
    );
    println!(
        "newest event {}   partition {} before offset {}{}",
        moment(reading.newest_event),
        reading.partition,
        reading.position,
        match (reading.status, reading.approximate) {
            (ReadStatus::Stale, _) => "   stale: not the newest state",
            (_, true) => "   approximate: old events are kept in panes",
            _ => "",
        }
    );
    let width = reading.features.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in &reading.features {
        match value {
            Some(value) => println!("  {name:width$}  {}", in_words(name, *value, spec)),
            None => println!("  {name:width$}  -"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_the_spec() {
        let text = r#"
version = 1
entity = "user"
[inputs.plays]
events = "play"
value = "watch"
unit = "minutes"
[[features]]
input = "plays"
ops = ["count", "sum"]
windows = "7d"
[[attributes]]
name = "plan"
categories = ["free", "paid"]
[[attributes]]
name = "land"
categories = ["at"]
encoding = "onehot"
"#;
        let spec = Spec::from_toml(text, std::path::Path::new("spec.toml")).unwrap();
        let told = |name: &str, value: f32| in_words(name, value, Some(&spec));
        assert_eq!((told("plan", 0.0), told("plan", 2.0)), ("free".into(), "none of those listed".into()));
        assert_eq!((told("land_at", 1.0), told("land_at", 0.0)), ("yes".into(), "no".into()));
        assert_eq!(
            (told("plays_sum_7d", 1.5), told("plays_count_7d", 3.0)),
            ("1.5 minutes".into(), "3".into())
        );
        assert_eq!(in_words("plan", 0.0, None), "0");
    }

    #[test]
    fn any_user_is_one_segment() {
        assert_eq!(path_segment("a/b?c=ü"), "a%2Fb%3Fc%3D%C3%BC");
    }
}

//! `churnstream models`: which bundle holds from when, and what a bundle must show before it does.

mod compare;
pub(crate) mod gates;
mod promote;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use feature_store::Spec;
use partition_log::Log;
use scorer::{Bundle, Entry, Registry, Role, Schedule};
use types::EventTime;

pub(crate) use promote::from_when;

use super::running;

/// Works on a registry of model bundles.
#[derive(Subcommand)]
pub(crate) enum Models {
    /// Show which bundle holds from when.
    List(show::List),
    /// Show what a bundle says of itself.
    Show(show::Show),
    /// Make a bundle champion, if it passes the gates, or a challenger in the shadow.
    Promote(promote::Promote),
    /// Make the champion before the present one champion again, from a tick on.
    Rollback(promote::Rollback),
    /// Compare a challenger's scores in the shadow with the champion's, now that outcomes are known.
    Compare(compare::Compare),
}

impl Models {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Promote(promote) => promote.run(),
            Self::Rollback(rollback) => rollback.run(),
            Self::Compare(compare) => compare.run(),
        }
    }
}

/// The newest champion of a registry, if it has one.
pub(crate) fn champion(registry: &Registry, folder: &Path) -> anyhow::Result<Option<Arc<Bundle>>> {
    if registry.entries()?.iter().all(|entry| entry.role != Role::Champion) {
        return Ok(None);
    }
    Ok(Some(Arc::clone(Schedule::load(folder)?.champion(EventTime(i64::MAX)))))
}

/// The champions of a registry's entries, oldest first.
fn champions(entries: &[Entry]) -> impl DoubleEndedIterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.role == Role::Champion)
}

/// Refuses a moment as of which the consumer of a store has scored, by what the consumer says and by the scores in its log; and one that is
/// no tick of a spec. Without a log only a consumer that runs and has scored can say how far it is.
pub(crate) fn check_ahead(
    store: Option<&PathBuf>,
    log: Option<&dyn Log>,
    spec: Option<&Spec>,
    at: EventTime,
) -> anyhow::Result<()> {
    let tick = spec.map(|spec| spec.tick().next_after(EventTime(at.0.saturating_sub(1))));
    if let Some(tick) = tick.filter(|tick| *tick != at && at != EventTime::MIN) {
        bail!("{} is no tick of the spec: the next one is {}", date(at), date(tick));
    }
    let Some(store) = store else { return Ok(()) };
    let newest = running::status(store).and_then(|status| status.newest_as_of);
    if let Some(newest) = newest.filter(|newest| at <= *newest) {
        bail!(
            "the consumer has scored as of {} already; choose a later tick than {}",
            date(newest),
            date(at)
        );
    }
    match log {
        Some(log) if consumer::has_scored(log, at)? => {
            bail!("the scores in {} reach as far as {} already; choose a later tick", log.place(), date(at))
        }
        None if newest.is_none() => bail!(
            "no consumer that runs can say how far the scores of {} reach: name its log with --from",
            store.display()
        ),
        _ => Ok(()),
    }
}

fn load(bundle: &Path) -> anyhow::Result<Bundle> {
    Bundle::load(bundle).with_context(|| format!("load {}", bundle.display()))
}

/// A moment as people write it.
pub(crate) fn date(moment: EventTime) -> String {
    if moment == EventTime::MIN {
        return "the beginning".to_owned();
    }
    jiff::Timestamp::from_millisecond(moment.0)
        .map_or_else(|_| format!("{moment} ms"), |time| time.to_string())
}

//! `churnstream models`: the registry, as far as promotion goes.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use scorer::{Bundle, Registry, Schedule};
use types::EventTime;

use super::features::parse_moment;

/// Works on a registry of model bundles.
#[derive(Subcommand)]
pub(crate) enum Models {
    /// Make a bundle champion, or a challenger in the shadow, from a tick on.
    ///
    /// The moment must lie ahead of everything that the consumer has scored: what was said already is not said anew.
    Promote {
        /// The bundle.
        bundle: PathBuf,
        /// The registry; made if it is not there.
        #[arg(long, value_name = "DIR")]
        registry: PathBuf,
        /// The first as-of time for which it holds; the beginning of time for the first champion.
        #[arg(long, value_name = "TIME", value_parser = parse_moment)]
        at: Option<EventTime>,
        /// Score in the shadow beside the champion.
        #[arg(long)]
        challenger: bool,
        /// The consumer's store: refuses a moment that the running consumer has passed.
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
    },
    /// Show which bundle holds from when.
    List {
        /// The registry.
        #[arg(long, value_name = "DIR")]
        registry: PathBuf,
    },
}

impl Models {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Promote { bundle, registry, at, challenger, store } => {
                let registry = Registry::open(&registry)?;
                let at = match at {
                    Some(at) => at,
                    None if registry.entries()?.is_empty() => EventTime::MIN,
                    None => bail!("say from when it holds with --at, at a tick ahead of the stream"),
                };
                if let Some(status) = store.as_deref().and_then(running)
                    && let Some(newest) = status.newest_as_of.filter(|newest| at <= *newest)
                {
                    bail!("the consumer has scored as of {newest} already; choose a later tick than {at}");
                }
                let loaded = Bundle::load(&bundle).with_context(|| format!("load {}", bundle.display()))?;
                if challenger {
                    registry.challenge(&loaded, at)?;
                } else {
                    registry.promote(&loaded, at)?;
                }
                let role = if challenger { "challenger" } else { "champion" };
                eprintln!("bundle {} is {role} from {at} on", loaded.hash());
            }
            Self::List { registry } => {
                for entry in Schedule::load(&registry)?.entries() {
                    let role = format!("{:?}", entry.role).to_lowercase();
                    println!("{}  {role:<10}  from {}", entry.bundle, entry.from);
                }
            }
        }
        Ok(())
    }
}

/// The status of the consumer that has the store open, if one answers.
fn running(store: &std::path::Path) -> Option<consumer::Status> {
    let address = consumer::address_of(store)?;
    ureq::get(&format!("{address}/v1/status")).call().ok()?.body_mut().read_json().ok()
}

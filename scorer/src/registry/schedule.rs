//! Which bundle holds at a moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use types::EventTime;

use super::{BUNDLES, ENTRIES, Entry, RegistryError, Role, read_entries};
use crate::{Bundle, BundleError};

/// Which bundle holds at a moment: every score uses the one that holds at its as-of time.
///
/// The first champion also holds before its own entry, as there is nothing else to score with then. Bundles are shared;
/// cloning a schedule is cheap.
#[derive(Debug, Clone)]
pub struct Schedule {
    folder: PathBuf,
    entries: Vec<Entry>,
    /// Positions in `entries` of those that do not count here; ascending.
    refused: Vec<usize>,
    /// By time; later ones win at the same moment. Never empty, the first from [`EventTime::MIN`].
    champions: Vec<(EventTime, Arc<Bundle>)>,
    challengers: Vec<(EventTime, Option<Arc<Bundle>>)>,
}

impl Schedule {
    /// Loads the schedule of a registry's folder, or of a single bundle's, which then holds from the beginning.
    ///
    /// # Errors
    /// If the folder is neither, there is no champion, or a bundle or the registry is damaged.
    pub fn load(folder: &Path) -> Result<Self, RegistryError> {
        if folder.join("bundle.toml").exists() {
            return Ok(Self::of(Bundle::load(folder)?));
        }
        Self::load_without(folder, &[])
    }

    /// The same, leaving out the registry's entries at these positions (ascending, from 0): those that came too late for
    /// whoever keeps this schedule.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_without(folder: &Path, refused: &[usize]) -> Result<Self, RegistryError> {
        if folder.join("bundle.toml").exists() {
            return Ok(Self::of(Bundle::load(folder)?));
        }
        Self::build(folder, read_entries(folder)?, refused.to_vec(), &[])
    }

    /// This schedule without some more of its entries; it shares this one's bundles.
    ///
    /// # Errors
    /// [`RegistryError::NoChampion`] if no champion is left.
    pub fn without(&self, refused: &[usize]) -> Result<Self, RegistryError> {
        let known: Vec<_> = self.bundles().cloned().collect();
        let mut all: Vec<usize> = self.refused.iter().chain(refused).copied().collect();
        all.sort_unstable();
        all.dedup();
        Self::build(&self.folder, self.entries.clone(), all, &known)
    }

    /// The schedule in which one bundle holds from the beginning.
    #[must_use]
    pub fn of(bundle: Bundle) -> Self {
        let folder = bundle.path().to_owned();
        let champions = vec![(EventTime::MIN, Arc::new(bundle))];
        Self { folder, entries: Vec::new(), refused: Vec::new(), champions, challengers: Vec::new() }
    }

    /// Reads the registry again. `None` if nothing was added; otherwise the longer schedule, which shares this one's bundles.
    ///
    /// Cheap when nothing was added: one small file is read, no bundle.
    ///
    /// # Errors
    /// If the entries known so far are not the beginning of the file any more, otherwise as [`load`](Self::load).
    pub fn reload(&self) -> Result<Option<Self>, RegistryError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let entries = read_entries(&self.folder)?;
        if !entries.starts_with(&self.entries) {
            return Err(RegistryError::Rewritten { path: self.folder.join(ENTRIES) });
        }
        if entries.len() == self.entries.len() {
            return Ok(None);
        }
        let known: Vec<_> = self.bundles().cloned().collect();
        Self::build(&self.folder, entries, self.refused.clone(), &known).map(Some)
    }

    /// The registry's entries, oldest first, the refused ones included; none where a single bundle holds.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The positions of the entries that do not count; ascending.
    #[must_use]
    pub fn refused(&self) -> &[usize] {
        &self.refused
    }

    /// The bundle whose scores count at an as-of time; O(log entries).
    #[must_use]
    pub fn champion(&self, as_of: EventTime) -> &Arc<Bundle> {
        let after = self.champions.partition_point(|(from, _)| *from <= as_of);
        &self.champions[after.saturating_sub(1)].1
    }

    /// The bundle that scores in the shadow at an as-of time, if any; O(log entries).
    #[must_use]
    pub fn challenger(&self, as_of: EventTime) -> Option<&Arc<Bundle>> {
        let after = self.challengers.partition_point(|(from, _)| *from <= as_of);
        self.challengers[..after].last()?.1.as_ref()
    }

    /// Every bundle that holds at some time in some role; a bundle may come more than once.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<Bundle>> {
        let champions = self.champions.iter().map(|(_, bundle)| bundle);
        champions.chain(self.challengers.iter().filter_map(|(_, bundle)| bundle.as_ref()))
    }

    /// The bundle that the entry at a position speaks of, if it is in use.
    #[must_use]
    pub fn bundle_of_entry(&self, at: usize) -> Option<&Arc<Bundle>> {
        let entry = self.entries.get(at)?;
        self.bundles().find(|bundle| bundle.hash() == entry.bundle)
    }

    /// Checks that every bundle scores rows of a feature spec.
    ///
    /// # Errors
    /// As [`Bundle::check_spec`], for the first that does not.
    pub fn check_spec(&self, spec_hash: &str, feature_names: &[String]) -> Result<(), BundleError> {
        self.bundles().try_for_each(|bundle| bundle.check_spec(spec_hash, feature_names))
    }

    fn build(
        folder: &Path,
        entries: Vec<Entry>,
        refused: Vec<usize>,
        known: &[Arc<Bundle>],
    ) -> Result<Self, RegistryError> {
        let mut loaded = known.to_vec();
        let (mut champions, mut challengers) = (Vec::new(), Vec::new());
        let counts = |at: &usize| refused.binary_search(at).is_err();
        let in_force: Vec<Entry> = (0..entries.len()).filter(counts).map(|at| entries[at].clone()).collect();
        for (at, entry) in in_force.iter().enumerate() {
            let bundle = bundle_of(folder, &entry.bundle, &mut loaded)?;
            if entry.role == Role::Champion {
                let from = if champions.is_empty() { EventTime::MIN } else { entry.from };
                champions.push((from, bundle));
            }
            let challenger = challenger_at_end(&in_force[..=at]);
            let challenger = challenger.map(|hash| bundle_of(folder, hash, &mut loaded)).transpose()?;
            challengers.push((entry.from, challenger));
        }
        if champions.is_empty() {
            return Err(RegistryError::NoChampion { path: folder.to_owned() });
        }
        Ok(Self { folder: folder.to_owned(), entries, refused, champions, challengers })
    }
}

/// The challenger after a registry's entries: the last one named, unless it was retired or promoted since.
pub(super) fn challenger_at_end(entries: &[Entry]) -> Option<&str> {
    entries.iter().fold(None, |challenger, entry| match entry.role {
        Role::Challenger => Some(entry.bundle.as_str()),
        Role::Champion | Role::Retired if challenger == Some(entry.bundle.as_str()) => None,
        Role::Champion | Role::Retired => challenger,
    })
}

fn bundle_of(folder: &Path, hash: &str, loaded: &mut Vec<Arc<Bundle>>) -> Result<Arc<Bundle>, RegistryError> {
    if let Some(bundle) = loaded.iter().find(|bundle| bundle.hash() == hash) {
        return Ok(Arc::clone(bundle));
    }
    let path = folder.join(BUNDLES).join(hash);
    let bundle = Arc::new(Bundle::load(&path)?);
    if bundle.hash() != hash {
        let (expected, found) = (hash.to_owned(), bundle.hash().to_owned());
        return Err(RegistryError::OtherBundle { path, expected, found });
    }
    loaded.push(Arc::clone(&bundle));
    Ok(bundle)
}

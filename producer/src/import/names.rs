//! What the log calls the files of an import.
//!
//! A file is known by where it is, so `e.csv`, `./e.csv` and its whole path are one source. A link is one by itself: what it leads to may be
//! another file tomorrow, and is the same source then. Earlier versions called a file as its path was spelled; an import that one of
//! them began goes on under that name.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::feed::Input;
use super::run::ImportError;

/// The names of several files.
#[derive(Debug)]
pub(super) struct Names {
    /// Of each file its own.
    pub(super) own: Vec<String>,
    /// Names by which earlier versions may have called a file, and which one that is.
    pub(super) former: Vec<(String, usize)>,
}

impl Names {
    pub(super) fn of(files: &[Input<'_>]) -> Result<Self, ImportError> {
        let mut names = Self { own: Vec::with_capacity(files.len()), former: Vec::new() };
        let (here, mut all) = (std::env::current_dir().ok(), HashSet::new());
        for (place, Input { path, .. }) in files.iter().enumerate() {
            let text = |path: &Path| {
                path.to_str().map(str::to_owned).ok_or_else(|| ImportError::Name(path.to_owned()))
            };
            let spelled = text(path)?;
            let own = std::path::absolute(path)
                .map_or_else(|_| Ok(spelled.clone()), |whole| text(&plain(&whole)))?;
            // What cannot be found is told when it is opened.
            let found = path.canonicalize().unwrap_or_else(|_| PathBuf::from(&own));
            if names.own.contains(&own) || !all.insert(found) {
                return Err(ImportError::Twice(path.clone()));
            }
            let below = here.as_deref().and_then(|here| Path::new(&own).strip_prefix(here).ok()?.to_str());
            let spellings = below.filter(|_| path.is_relative());
            let spellings = spellings.into_iter().flat_map(|name| [name.to_owned(), format!("./{name}")]);
            let former = spellings.chain([spelled]).filter(|name| *name != own);
            names.former.extend(former.map(|name| (name, place)));
            names.own.push(own);
        }
        Ok(names)
    }
}

/// Without `..`, where what is before it is a name.
fn plain(whole: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in whole.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

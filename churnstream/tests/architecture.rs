//! House rules that a machine can check: which crate may use which, who links libxgboost, how long a file may be.
//!
//! The table of ARCHITECTURE.md ("Code map") is the rule itself: what stands there in the last column is what is allowed.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// More lines than this are two files.
const MOST_LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The workspace's crates with those of the workspace that each depends on; with `tests`, for its tests too.
fn crates(tests: bool) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let depends = |package: &Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().unwrap();
        dependencies.iter().filter(|dependency| tests || dependency["kind"] != "dev").map(name).collect()
    };
    packages.iter().map(|package| (name(package), depends(package))).collect()
}

/// The code map of ARCHITECTURE.md: for each folder the crates that it may use; `None` for all.
fn code_map() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [folder, _, uses] = cells[..] else { panic!("a row of the code map has three cells: {row}") };
        let uses = match uses {
            "all" => None,
            "none" => Some(BTreeSet::new()),
            list => Some(list.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()),
        };
        (folder.trim_matches(['`', '/']).to_owned(), uses)
    })
    .collect()
}

#[test]
fn crates_use_only_what_the_code_map_allows() {
    let crates = crates(false);
    let map = code_map();
    for (name, dependencies) in &crates {
        let allowed =
            map.get(name).unwrap_or_else(|| panic!("`{name}` is missing in ARCHITECTURE.md's code map"));
        let Some(allowed) = allowed else { continue };
        for dependency in dependencies.iter().filter(|dependency| crates.contains_key(*dependency)) {
            assert!(
                allowed.contains(dependency),
                "`{name}` may not use `{dependency}`: see ARCHITECTURE.md's code map"
            );
        }
    }
    for (folder, uses) in &map {
        assert!(root().join(folder).is_dir(), "the code map names `{folder}`, which is not there");
        for used in uses.iter().flatten() {
            assert!(
                crates.contains_key(used),
                "the code map lets `{folder}` use `{used}`, which is no crate"
            );
        }
    }
}

#[test]
fn the_code_maps_arrows_run_one_way() {
    let map = code_map();
    // Crates that use nothing but finished ones are finished; a circle never is.
    let mut done = BTreeSet::new();
    loop {
        let before = done.len();
        let ready = map.iter().filter(|(_, uses)| uses.as_ref().is_some_and(|uses| uses.is_subset(&done)));
        let ready: Vec<String> = ready.map(|(name, _)| name.clone()).collect();
        done.extend(ready);
        if done.len() == before {
            break;
        }
    }
    let left: Vec<_> = map.iter().filter(|(name, uses)| uses.is_some() && !done.contains(*name)).collect();
    assert!(left.is_empty(), "these use each other in a circle: {left:?}");
}

#[test]
fn only_the_trainer_and_the_command_link_libxgboost() {
    let crates = crates(true);
    let users = |of: &str| -> Vec<&str> {
        crates.iter().filter(|(_, uses)| uses.contains(of)).map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(users("xgb"), ["trainer"]);
    assert_eq!(users("trainer"), ["churnstream"]);
    assert!(users("churnstream").is_empty());
}

/// Every file of the project with one of these endings; nothing that was built or fetched.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir()
                && !["target", "native", "data", ".git", ".tools", "corpus"].contains(&name.as_str())
            {
                folders.push(path);
            } else if kind.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn no_source_file_is_longer_than_it_should_be() {
    for path in files(&[".rs"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines; {MOST_LINES} are the most", path.display());
    }
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = ["home", "root", "work", "Users"].map(|folder| format!("/{folder}/"));
    for path in files(&[".rs", ".toml", ".md", ".json", ".yml", ".yaml", ".sh", "Makefile"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let place = places.iter().find(|place| line.contains(*place));
            assert!(place.is_none(), "{}:{} names {place:?}", path.display(), number + 1);
        }
    }
}

/// Where an event passes, from a segment's bytes to a score's, and what is called from there.
const AN_EVENTS_WAY: [&str; 11] = [
    "types/src",
    "partition-log/src/format",
    "partition-log/src/backends/file/reader.rs",
    "partition-log/src/backends/file/partition.rs",
    "partition-log/src/record.rs",
    "consumer/src",
    "feature-store/src/spec",
    "feature-store/src/state",
    "feature-store/src/window",
    "feature-store/src/store/partition.rs",
    "scorer/src",
];

/// Where there are locks, and how often somebody takes them.
const LOCKED: [(&str, &str); 10] = [
    ("consumer/src/api.rs", "at a request"),
    ("consumer/src/group.rs", "at a session's begin"),
    ("consumer/src/group/take.rs", "when a partition comes"),
    ("consumer/src/observe.rs", "at a look, some times a second"),
    ("consumer/src/observe/ends.rs", "at a look"),
    ("consumer/src/pool.rs", "at a request, and when workers come or go"),
    ("consumer/src/run.rs", "at the begin"),
    ("consumer/src/status.rs", "at a look and at a commit"),
    ("consumer/src/watch.rs", "at a sweep's end"),
    ("scorer/src/registry/mod.rs", "when somebody promotes"),
];

#[test]
fn nothing_on_an_events_way_is_locked() {
    let places = AN_EVENTS_WAY.map(|place| root().join(place));
    let locked = LOCKED.map(|(place, _)| root().join(place));
    for place in places.iter().chain(&locked) {
        assert!(place.exists(), "{} is not there", place.display());
    }
    for path in files(&[".rs"]) {
        if locked.contains(&path) || !places.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in ["Mutex", "RwLock", "Condvar", "OnceLock", ".lock()"] {
            assert!(!own.contains(word), "{} has `{word}` on an event's way", path.display());
        }
    }
}

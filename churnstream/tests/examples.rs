//! Every map, spec, labels and other file under examples/ can be used: they are what people begin with.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::path::{Path, PathBuf};

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files = Vec::new();
    toml_files(&root, &mut files);
    assert!(files.len() >= 30, "only {} files", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        match file.file_name().unwrap().to_str().unwrap() {
            "spec.toml" => {
                drop(feature_store::Spec::from_toml(&text, &file).unwrap_or_else(|e| panic!("{e}")))
            }
            "money.toml" => {
                drop(backtest::money::MoneySettings::load(&file).unwrap_or_else(|e| panic!("{e}")))
            }
            "actions.toml" => {
                drop(backtest::money::ActionRules::load(&file).unwrap_or_else(|e| panic!("{e}")))
            }
            "labels.toml" => check_labels(&file, &text),
            "params.toml" => drop(
                toml::from_str::<trainer::Params>(&text)
                    .unwrap_or_else(|e| panic!("{}: {e}", file.display())),
            ),
            _ => drop(producer::map::Mapping::from_toml(&text, &file).unwrap_or_else(|e| panic!("{e}"))),
        }
        // What the map calls the entity is what the spec is about.
        let beside = |name: &str| std::fs::read_to_string(file.with_file_name(name)).ok();
        if let (Some(map), Some(spec)) = (beside("map.toml"), beside("spec.toml")) {
            let map = producer::map::Mapping::from_toml(&map, &file).unwrap();
            let spec = feature_store::Spec::from_toml(&spec, &file).unwrap();
            assert_eq!(map.entity_type(), spec.entity(), "{}", file.display());
        }
    }
}

/// Loads labels. The table that they may name is data, so it is not here: one without rows stands in for it.
fn check_labels(file: &Path, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("labels.toml");
    std::fs::write(&copy, text).unwrap();
    let labels: toml::Table = text.parse().unwrap();
    if let Some(table) = labels["lost"].get("table") {
        let one = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        let period = table.get("period").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let columns = ["user", "as_of", "outcome", "decided_at"].into_iter().filter_map(one);
        let columns: Vec<String> =
            columns.chain(period.iter().filter_map(toml::Value::as_str).map(str::to_owned)).collect();
        let name = one("file").unwrap();
        let mut header = columns.join(",").into_bytes();
        if name.ends_with(".zst") {
            header = zstd::encode_all(header.as_slice(), 0).unwrap();
        }
        std::fs::write(folder.path().join(name), header).unwrap();
    }
    backtest::Labels::load(&copy).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

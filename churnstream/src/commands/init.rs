//! `churnstream init FILE`: drafts map, spec and labels from a sample of a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use producer::init::{Draft, draft};

/// Drafts the map, the feature spec and the labels of a file of events, and shows what they make of it.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// A file of events: JSON lines, JSON, CSV, TSV, columns between blanks, or Parquet; plain, gzip or zstd.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder for map.toml, spec.toml and labels.toml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub to: PathBuf,
    /// Replace files that are there already.
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or holds no events, or the drafts would replace files.
pub fn run(args: &InitArgs) -> anyhow::Result<()> {
    let drafted = draft(&args.file)?;
    let files = [("map.toml", &drafted.map), ("spec.toml", &drafted.spec), ("labels.toml", &drafted.labels)];
    for (name, _) in files {
        if !args.force && args.to.join(name).exists() {
            bail!(
                "{} is there already; say --force to replace it, or --to DIR",
                args.to.join(name).display()
            );
        }
    }
    std::fs::create_dir_all(&args.to).with_context(|| format!("making {}", args.to.display()))?;
    for (name, text) in files {
        let path = args.to.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let shown = if args.json { json(args, &drafted)? } else { text(&args.file, &args.to, &drafted) };
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

fn json(args: &InitArgs, draft: &Draft) -> anyhow::Result<String> {
    let events: Vec<serde_json::Value> =
        draft.preview.iter().map(|event| serde_json::from_str(event)).collect::<Result<_, _>>()?;
    let rejects: Vec<serde_json::Value> =
        draft.rejects.iter().map(|(line, why)| serde_json::json!({ "line": line, "why": why })).collect();
    Ok(serde_json::json!({
        "map": args.to.join("map.toml"),
        "spec": args.to.join("spec.toml"),
        "labels": args.to.join("labels.toml"),
        "rows_read": draft.tried.0,
        "rows_rejected": draft.tried.1,
        "events": events,
        "rejects": rejects,
        "entity": { "column": draft.entity.0, "entities": draft.entity.1, "rows": draft.entity.2 },
        "doubts": draft.doubts,
    })
    .to_string())
}

fn text(file: &Path, to: &Path, draft: &Draft) -> String {
    let (read, rejected) = draft.tried;
    let mut out = format!("The first events of {}:\n", file.display());
    for event in &draft.preview {
        out.push_str(&format!("  {event}\n"));
    }
    out.push_str(&format!(
        "Of the first {} rows {read} can be read and {rejected} cannot.\n",
        read + rejected
    ));
    for (line, why) in &draft.rejects {
        out.push_str(&format!("  line {line}: {why}\n"));
    }
    let (column, entities, rows) = &draft.entity;
    out.push_str(&format!("They are about whom `{column}` names: {entities} entities in {rows} rows.\n"));
    for doubt in &draft.doubts {
        out.push_str(&format!("  !!! {doubt}\n"));
    }
    let path = |name: &str| quoted(&to.join(name).display().to_string());
    out.push_str(&format!(
        "Drafted {}, {} and {}. They are guesses with remarks: read them, change them, then\n\
         \x20 producer import {} --map {} --to file:data\n\
         \x20 churnstream train --from file:data --features {} --labels {} --to model",
        path("map.toml"),
        path("spec.toml"),
        path("labels.toml"),
        quoted(&file.display().to_string()),
        path("map.toml"),
        path("spec.toml"),
        path("labels.toml"),
    ));
    out
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match !path.is_empty() && path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, file: &str, force: bool) -> InitArgs {
        InitArgs { file: folder.join(file), to: folder.join("draft"), force, json: false }
    }

    #[test]
    fn drafts_are_files_that_work_and_are_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let kinds = ["play", "search", "cancel"];
        let rows: String = (0..60)
            .map(|i| format!("u{},2024-03-{:02} 10:00:00,{},{}.5\n", i % 5, 1 + i % 28, kinds[i % 3], i))
            .collect();
        std::fs::write(folder.path().join("e.csv"), format!("user_id,timestamp,event,amount\n{rows}"))
            .unwrap();
        run(&args(folder.path(), "e.csv", false)).unwrap();
        let draft = folder.path().join("draft");
        producer::map::Mapping::load(&draft.join("map.toml"), &[]).unwrap();
        let spec = std::fs::read_to_string(draft.join("spec.toml")).unwrap();
        feature_store::Spec::from_toml(&spec, Path::new("spec.toml")).unwrap();
        let labels = backtest::Labels::load(&draft.join("labels.toml")).unwrap();
        assert_eq!(labels.lost, backtest::Lost::Events(vec!["cancel".to_owned()]));

        let shown = text(
            &folder.path().join("e.csv"),
            &draft,
            &producer::init::draft(&folder.path().join("e.csv")).unwrap(),
        );
        assert!(shown.contains("`user_id` names: 5 entities in 60 rows"), "{shown}");

        let shown = text(
            Path::new("my file's.csv"),
            &draft,
            &producer::init::draft(&folder.path().join("e.csv")).unwrap(),
        );
        assert!(shown.contains(r"producer import 'my file'\''s.csv' --map"), "{shown}");

        let error = run(&args(folder.path(), "e.csv", false)).unwrap_err().to_string();
        assert!(error.contains("map.toml is there already"), "{error}");
        run(&args(folder.path(), "e.csv", true)).unwrap();
    }
}

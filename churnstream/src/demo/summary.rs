//! What the demo came to, and where to go from there.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consumer::Status;

use super::DemoOptions;
use super::judge::Verdict;
use super::run::place;
use crate::training::TrainReport;

/// What the demo came to.
#[derive(Debug)]
pub struct Summary {
    dir: PathBuf,
    took: Duration,
    events: u64,
    rejected: u64,
    users: u64,
    living: Option<u64>,
    scores: u64,
    test_auc: Option<f64>,
    verdict: Option<Verdict>,
    scaled: Vec<Scaled>,
}

/// A change of the number of workers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaled {
    /// Since the demo began.
    pub(super) at: Duration,
    /// Workers before.
    pub(super) from: usize,
    /// Workers after.
    pub(super) to: usize,
    /// Why.
    pub(super) reason: String,
}

impl Summary {
    pub(super) fn new(
        options: &DemoOptions,
        took: Duration,
        status: &Status,
        trained: &TrainReport,
        verdict: Option<Verdict>,
        scaled: Vec<Scaled>,
    ) -> Self {
        Self {
            dir: options.dir.clone(),
            took,
            events: status.processed,
            rejected: status.rejected.iter().map(|(_, n)| n).sum(),
            users: trained.replay.users,
            living: status.customers.map(|customers| customers.iter().sum()),
            scores: status.scores,
            test_auc: trained.model.test.map(|quality| quality.auc),
            verdict,
            scaled,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The demo took {:.0} s.\n", self.took.as_secs_f64())?;
        writeln!(
            f,
            "  records   {} through the consumer, {} set aside with the reason",
            self.events, self.rejected
        )?;
        match self.living {
            Some(living) => {
                writeln!(f, "  users     {} in the history, {living} living at the last sweep", self.users)?
            }
            None => writeln!(f, "  users     {} in the history", self.users)?,
        }
        writeln!(f, "  scores    {}", self.scores)?;
        match &self.verdict {
            Some(v) => {
                writeln!(
                    f,
                    "  AUC       {:.3} on the streamed days; the best possible for an observer of the events is {:.3}\n            ({} scores, {} of users who left within 30 days)",
                    v.auc, v.best, v.judged, v.left
                )?;
            }
            None => writeln!(f, "  AUC       unknown: too few days were streamed")?,
        }
        if let Some(auc) = self.test_auc {
            writeln!(f, "            {auc:.3} on the later part of the history, when it was trained")?;
        }
        if self.scaled.is_empty() {
            writeln!(f, "  workers   the autoscaler saw no need for a change")?;
        }
        for change in &self.scaled {
            writeln!(
                f,
                "  workers   {} to {} after {:.0} s: {}",
                change.from,
                change.to,
                change.at.as_secs_f64(),
                change.reason
            )?;
        }
        let (dir, place) = (self.dir.display(), place(&self.dir));
        writeln!(
            f,
            "\nEverything is in {dir}: log/, state/, model/ (read model/MODEL_CARD.md), spec.toml, labels.toml."
        )?;
        let (churnstream, consumer) = (program("churnstream"), program("consumer"));
        writeln!(f, "\nNext:")?;
        writeln!(f, "  {churnstream} scores tail --from {place} --band high --no-follow")?;
        writeln!(f, "  {churnstream} features get u0000042 --store {dir}/state")?;
        writeln!(f, "  {churnstream} log stat {place}/scores")?;
        writeln!(
            f,
            "  {consumer} --from {place} --store {dir}/state --features {dir}/spec.toml --model {dir}/model \\"
        )?;
        writeln!(f, "           --http 127.0.0.1:9464      then look at http://127.0.0.1:9464/metrics")?;
        write!(f, "  {churnstream} init YOUR_EVENTS.csv      to begin with your own")
    }
}

/// How a program of ours is called from where the demo was: by its name where that is the one beside this program, and by its path else.
fn program(name: &str) -> String {
    let here = std::env::current_exe().ok().and_then(|this| Some(this.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    here.map_or_else(|| name.to_owned(), |here| called(&here, &path, &folder))
}

/// How the program is called in a folder with that PATH; by its name if it is not there.
fn called(program: &Path, path: &OsStr, folder: &Path) -> String {
    let name = program.file_name().unwrap_or_default();
    let found = std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let real = |file: &Path| file.canonicalize().ok();
    if !program.is_file() || found.is_some_and(|found| real(&found) == real(program)) {
        return name.display().to_string();
    }
    let near = program.strip_prefix(folder).ok();
    // A name without a folder would be looked for in PATH.
    let near = near.filter(|near| near.components().count() > 1);
    let text = near.unwrap_or(program).display().to_string();
    if text.contains(|c: char| !(c.is_alphanumeric() || "/._-+".contains(c))) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_called_so_that_a_shell_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("it's here/release");
        std::fs::create_dir_all(&built).unwrap();
        let program = built.join("consumer");
        let call = |path: &Path, from: &Path| called(&program, path.as_os_str(), from);
        let elsewhere = Path::new("/nowhere");
        assert_eq!(call(elsewhere, dir.path()), "consumer", "there is none");
        std::fs::write(&program, "#!/bin/sh\necho called\n").unwrap();
        assert_eq!(call(&built, elsewhere), "consumer");
        assert_eq!(call(elsewhere, &dir.path().join("it's here")), "release/consumer");
        // Whatever the folder is called, and where another of that name is found first.
        let other = dir.path().join("other");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("consumer"), "#!/bin/sh\necho another\n").unwrap();
        for path in [elsewhere, &other] {
            for from in [dir.path(), built.as_path(), elsewhere] {
                let line = call(path, from);
                let said = std::process::Command::new("sh")
                    .args(["-c", &format!("chmod +x {line} && {line}")])
                    .current_dir(if from.exists() { from } else { Path::new("/") })
                    .output()
                    .unwrap();
                assert_eq!(String::from_utf8_lossy(&said.stdout), "called\n", "{line}: {said:?}");
            }
        }
    }
}

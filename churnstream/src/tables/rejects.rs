//! Rows that cannot be used go to a file, with the reason.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use csv::Writer;

/// A CSV file of rejected rows, made with the first of them.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    file: Option<Writer<BufWriter<File>>>,
    count: u64,
}

impl Rejects {
    /// Rejects that will go to a file. What stands there is replaced, but only if there is something to write.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, count: 0 }
    }

    /// Writes a rejected row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, row: u64, reason: &str, original: &str) -> anyhow::Result<()> {
        let failed = || format!("writing {}", self.path.display());
        if self.file.is_none() {
            let file = File::create(&self.path).with_context(failed)?;
            let mut writer = Writer::from_writer(BufWriter::new(file));
            writer.write_record(["row", "reason", "original"]).with_context(failed)?;
            self.file = Some(writer);
        }
        if let Some(file) = &mut self.file {
            file.write_record([row.to_string().as_str(), reason, original]).with_context(failed)?;
        }
        self.count += 1;
        Ok(())
    }

    /// Where they go.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Finishes the file, and returns its name if there is one.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> anyhow::Result<Option<PathBuf>> {
        let Some(mut file) = self.file.take() else { return Ok(None) };
        file.flush().with_context(|| format!("writing {}", self.path.display()))?;
        Ok(Some(self.path))
    }
}

//! Small files that are there whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Replaces a file so that readers, and a start after a crash, see the old or the new content; durable when it returns.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

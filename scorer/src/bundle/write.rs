//! Writing a bundle: whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::manifest::{ManifestFile, ModelFile};
use super::{Bundle, BundleError, CARD, MANIFEST, Manifest, SPEC, TABLE, check_names, hash_of};
use crate::Model;

/// What a bundle is made of.
#[derive(Debug, Clone)]
pub struct BundleParts<'a> {
    /// The model file as XGBoost wrote it, JSON or UBJSON.
    pub model: &'a [u8],
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// The model card, Markdown.
    pub card: &'a str,
}

impl Bundle {
    /// Writes a bundle to a new folder and loads it from there.
    ///
    /// The folder appears whole or not at all: files are written and synced beside it, then renamed into place.
    ///
    /// # Errors
    /// If the folder exists, the parts do not fit together, the model cannot be evaluated, or writing fails.
    pub fn write(folder: &Path, parts: &BundleParts<'_>) -> Result<Self, BundleError> {
        let model = Model::from_bytes(parts.model)
            .map_err(|source| BundleError::Model { path: folder.to_owned(), source })?;
        let file = if Model::is_ubj(parts.model) { "model.ubj" } else { "model.json" };
        let model_file = ModelFile { file: file.to_owned(), hash: hash_of(parts.model) };
        let manifest = ManifestFile::new(model_file, parts.manifest.clone());
        let damaged = |what: String| BundleError::Manifest { path: folder.join(MANIFEST), what };
        manifest.check().map_err(damaged)?;
        check_names(&model, &manifest.manifest).map_err(damaged)?;
        let text = toml::to_string(&manifest).map_err(|error| damaged(error.to_string()))?;
        let files = [(file, parts.model), (MANIFEST, text.as_bytes()), (CARD, parts.card.as_bytes())];
        write_folder(folder, &files)?;
        Self::load(folder)
    }

    /// Copies the bundle to a new folder, as [`write`](Self::write) writes one.
    ///
    /// # Errors
    /// If the folder exists, or reading or writing fails.
    pub fn copy_to(&self, folder: &Path) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        for name in ["model.json", "model.ubj", MANIFEST, CARD, SPEC, TABLE] {
            let path = self.path.join(name);
            match fs::read(&path) {
                Ok(bytes) => files.push((name, bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(BundleError::Io { path, source }),
            }
        }
        write_folder(folder, &files)?;
        Self::load(folder)
    }
}

/// Writes files into a new folder.
fn write_folder(folder: &Path, files: &[(&str, impl AsRef<[u8]>)]) -> Result<(), BundleError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Io { path, source }
    };
    if folder.exists() {
        return Err(BundleError::Exists { path: folder.to_owned() });
    }
    let name = folder.file_name().ok_or_else(|| BundleError::Exists { path: folder.to_owned() })?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io(parent))?;
    let temporary = parent.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    // Left behind by a process of the same number that was killed.
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&temporary)(error)),
        _ => {}
    }
    let written = write_files(&temporary, files).and_then(|()| fs::rename(&temporary, folder));
    if let Err(source) = written {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
        let taken = matches!(
            source.kind(),
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists
        );
        let path = folder.to_owned();
        return Err(if taken { BundleError::Exists { path } } else { BundleError::Io { path, source } });
    }
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io(parent))
}

fn write_files(folder: &Path, files: &[(&str, impl AsRef<[u8]>)]) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    for (name, bytes) in files {
        let mut file = File::create_new(folder.join(name))?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

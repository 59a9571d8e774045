//! What lies beside the model in a bundle's folder: the text of what its columns mean.

use std::fs::{self, File};
use std::io::Write;

use super::{Bundle, BundleError, SPEC, TABLE};

impl Bundle {
    /// Puts the text of the feature spec beside the model, so that the bundle alone is enough to make rows for it. The manifest
    /// holds the spec's hash already, so this changes nothing that the bundle is known by; whoever reads the text checks it
    /// against that hash.
    ///
    /// # Errors
    /// If writing fails.
    pub fn attach_spec(&self, text: &str) -> Result<(), BundleError> {
        self.attach(SPEC, text)
    }

    /// The text of the feature spec, if it lies beside the model.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn spec_text(&self) -> Result<Option<String>, BundleError> {
        self.attached(SPEC)
    }

    /// Puts the schema of a customer table beside the model, as [`attach_spec`](Self::attach_spec) does it with a spec: the
    /// manifest's spec hash is the schema's.
    ///
    /// # Errors
    /// If writing fails.
    pub fn attach_table(&self, text: &str) -> Result<(), BundleError> {
        self.attach(TABLE, text)
    }

    /// The schema of a customer table, if the model was trained on one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn table(&self) -> Result<Option<String>, BundleError> {
        self.attached(TABLE)
    }

    /// Writes a file of the folder so that it is there whole or not at all.
    fn attach(&self, name: &str, text: &str) -> Result<(), BundleError> {
        let (path, partial) = (self.path.join(name), self.path.join(format!(".{name}.partial")));
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| BundleError::Io { path: path.clone(), source })
    }

    fn attached(&self, name: &str) -> Result<Option<String>, BundleError> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BundleError::Io { path, source }),
        }
    }
}

//! What lies beside the model in a bundle's folder.

use std::fs::{self, File};
use std::io::Write;

use super::{Bundle, BundleError, TABLE};

impl Bundle {
    /// Puts the schema of a customer table beside the model: what its columns mean. The manifest's spec hash is the schema's, so
    /// this changes nothing that the bundle is known by; whoever reads it checks it against that hash.
    ///
    /// # Errors
    /// If writing fails.
    pub fn attach_table(&self, text: &str) -> Result<(), BundleError> {
        let (path, partial) = (self.path.join(TABLE), self.path.join(".table.partial"));
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| BundleError::Io { path: path.clone(), source })
    }

    /// The schema of a customer table, if the model was trained on one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn table(&self) -> Result<Option<String>, BundleError> {
        let path = self.path.join(TABLE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BundleError::Io { path, source }),
        }
    }
}

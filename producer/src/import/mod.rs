//! Importers: the events of a file, read by a mapping.

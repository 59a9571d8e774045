//! The simulator and the importers that fill a partition log.

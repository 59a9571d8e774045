//! The pure pipeline from records to scores, and the workers, commits and reads around it.

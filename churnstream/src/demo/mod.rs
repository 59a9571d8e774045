//! The demo: everything on this machine, from nothing, to be watched.

pub mod view;

//! The parts of the command `churnstream` that are more than arguments and calls.

pub mod commands;
pub mod demo;

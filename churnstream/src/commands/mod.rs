//! One module for each command: its arguments, and the calls that it consists of.

pub mod init;
pub mod log;

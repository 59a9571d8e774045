//! Fills a partition log with events: the simulator's, or those of a file.
//!
//! Both sources hand their events to one sink, which keys, ticks, batches and resumes; see [`sink`].

mod around;
pub mod checkup;
pub mod cli;
pub mod foreign;
pub mod import;
pub mod init;
pub mod map;
pub mod progress;
pub mod rate;
pub mod simulate;
pub mod sink;
pub mod tick;
pub mod tick_until;
pub mod wire;

pub use around::Surroundings;

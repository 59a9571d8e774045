//! The demo's producer: simulated days, in waves.

use std::path::Path;

use anyhow::Context;
use partition_log::Log;
use producer::cli::{OutputArgs, PlanArgs, WritingArgs};
use producer::rate::Rate;
use producer::simulate::{self, Setting};
use telemetry::Shutdown;

/// How many partitions the demo's topic has.
pub(super) const PARTITIONS: u32 = 8;

/// A stretch of days at a pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wave {
    /// Up to which day of the simulation.
    pub(super) until_day: u32,
    /// Events a second at most.
    pub(super) rate: Rate,
}

/// Writes the days up to `until_day` that are not on the log yet. Returns how many events were added.
pub(super) fn write(
    log: &dyn Log,
    dir: &Path,
    setting: Setting,
    wave: Wave,
    shutdown: &Shutdown,
) -> anyhow::Result<u64> {
    let output = OutputArgs {
        to: format!("file:{}", dir.display()),
        topic: "events".to_owned(),
        partitions: Some(PARTITIONS),
        rate: wave.rate,
        speed: None,
        ticks: PlanArgs::default(),
        writing: WritingArgs::default(),
        http: None,
        json: false,
    };
    let around = producer::Surroundings::new(shutdown.clone());
    let setting = Setting { days: wave.until_day, ..setting };
    let (totals, _, _) =
        simulate::write(log, setting, &output, None, &around).context("simulate the demo's days")?;
    Ok(totals.appended)
}

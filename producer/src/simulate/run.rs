//! The command: lets the days happen and writes them to the log.

use std::path::PathBuf;
use std::time::Instant;

use partition_log::{Log, LogError};
use serde::Serialize;

use super::SimulateArgs;
use super::encode::{ENTITY_TYPE, Encoder};
use super::service::{HOURS, Service, Setting};
use super::truth::{self, TruthError};
use crate::around::Surroundings;
use crate::cli::OutputArgs;
use crate::progress::Progress;
use crate::rate::Pacer;
use crate::sink::{EventSink, SinkConfig, SinkError, SinkTotals};
use crate::tick::TickPlanError;

/// Why a simulation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The events cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The ticks make no sense.
    #[error(transparent)]
    Ticks(#[from] TickPlanError),
    /// The truth cannot be written.
    #[error(transparent)]
    Truth(#[from] TruthError),
    /// The topic is in use for something else.
    #[error(
        "topic `{topic}` in {place} holds events that are not of this simulation (another seed, number of users, start, \
         or source): choose another --to or --topic"
    )]
    OtherEvents {
        /// The topic.
        topic: String,
        /// The log.
        place: String,
    },
}

/// What a simulation did: what `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Events written.
    pub events: u64,
    /// Events that an earlier run had written already.
    pub held: u64,
    /// Tick records written, those of every partition counted.
    pub tick_records: u64,
    /// Users who ever sign up, as asked for.
    pub users: u32,
    /// Days simulated.
    pub days: u32,
    /// Partitions of the topic.
    pub partitions: u32,
    /// The topic.
    pub topic: String,
    /// Whether all days were written, and not stopped before.
    pub complete: bool,
    /// Wall time of writing the events.
    pub seconds: f64,
    /// Events written in a second of it.
    pub events_per_second: f64,
    /// The truth file, if one was written.
    pub truth: Option<PathBuf>,
    /// The best that can be done for the last day whose outcome lies within the simulated days.
    pub best_possible: Option<truth::BestPossible>,
}

/// Runs the command. Stops at the end of a batch when asked to; run again, it goes on there.
///
/// # Errors
/// See [`SimulateError`].
pub fn run(args: &SimulateArgs, around: &Surroundings) -> Result<Summary, SimulateError> {
    let log = partition_log::open(&args.output.to, &args.output.writing.options(&args.output.to)?)?;
    let setting = args.setting();
    let begun = Instant::now();
    let mut progress = Progress::new("simulate", Some(u64::from(setting.days) * HOURS as u64));
    let (totals, partitions, complete) =
        write(log.as_ref(), setting, &args.output, Some(&mut progress), around)?;
    progress.finish(totals.appended);
    let seconds = begun.elapsed().as_secs_f64();

    let mut summary = Summary {
        events: totals.appended,
        held: totals.held,
        tick_records: totals.tick_records,
        users: setting.users,
        days: setting.days,
        partitions,
        topic: args.output.topic.clone(),
        complete,
        seconds,
        events_per_second: totals.appended as f64 / seconds.max(1e-9),
        truth: None,
        best_possible: None,
    };
    if let (Some(path), true) = (args.truth_path(), complete) {
        let last_decided = setting.days.checked_sub(truth::HORIZON_DAYS + 1);
        around.ready().not_ready("all events are written; writing the truth");
        summary.best_possible = truth::write(setting, &path, last_decided, &around.shutdown)?;
        summary.truth = Some(path);
    }
    Ok(summary)
}

/// Writes a simulation's events to a topic of `log`. Returns what was done, the number of partitions, and whether it came to
/// the end. Progress is told in hours of simulated time.
///
/// # Errors
/// See [`SimulateError`].
pub fn write(
    log: &dyn Log,
    setting: Setting,
    output: &OutputArgs,
    progress: Option<&mut Progress>,
    around: &Surroundings,
) -> Result<(SinkTotals, u32, bool), SimulateError> {
    let config = SinkConfig {
        topic: output.topic.clone(),
        partitions: output.partitions,
        entity_type: ENTITY_TYPE.to_owned(),
        ticks: output.ticks.plan()?,
        sources: vec![format!("sim-{}-{}-{}", setting.seed, setting.users, setting.start)],
        former: Vec::new(),
    };
    let mut sink = EventSink::open(log, &config, around)?;
    if sink.has_other_sources() {
        return Err(SimulateError::OtherEvents { topic: config.topic, place: log.place() });
    }
    let partitions = sink.topic().partitions;
    let complete = write_days(&mut sink, setting, output, progress, &around.shutdown)?;
    if complete {
        sink.flush_ticks_until(setting.end())?;
    }
    Ok((sink.finish(complete)?, partitions, complete))
}

/// Returns whether it came to the end.
fn write_days(
    sink: &mut EventSink,
    setting: Setting,
    output: &OutputArgs,
    mut progress: Option<&mut Progress>,
    shutdown: &telemetry::Shutdown,
) -> Result<bool, SimulateError> {
    let mut service = Service::new(setting);
    let mut encoder = Encoder::new(setting.first_midnight());
    let mut pacer = Pacer::new(output.rate, output.speed);
    let mut happenings = Vec::new();
    let mut position = String::new();
    let mut sequence = 0_u64;
    for day in 0..setting.days {
        service.live(day);
        for hour in 0..HOURS {
            service.take_hour(hour, &mut happenings);
            for happening in &happenings {
                if shutdown.is_requested() && sink.batch_ends_before(happening.arrival) {
                    return Ok(false);
                }
                position.clear();
                super::encode::push_number(&mut position, sequence, 1);
                sequence += 1;
                let event = encoder.encode(happening, service.traits(happening.user));
                let written = sink.append(event, happening.arrival, position.as_bytes())?;
                if written && !pacer.is_unlimited() {
                    pacer.wait(happening.arrival, shutdown);
                    show(progress.as_deref_mut(), day, hour, sink);
                }
            }
            show(progress.as_deref_mut(), day, hour, sink);
        }
        service.sleep();
    }
    Ok(true)
}

fn show(progress: Option<&mut Progress>, day: u32, hour: usize, sink: &EventSink) {
    if let Some(progress) = progress {
        progress.update(u64::from(day) * HOURS as u64 + hour as u64, sink.totals().appended);
    }
}

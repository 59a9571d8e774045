//! `producer tick`: lets time pass on a log to which nobody writes, so that silent users are swept all the same.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use partition_log::{Log, LogError, RecordBuf};
use serde::Serialize;
use types::{EventTime, Millis, PartitionId};

use crate::around::Surroundings;
use crate::cli::{PlanArgs, WritingArgs};
use crate::sink::{EventSink, SinkConfig, SinkError, tick_of};
use crate::tick::TickPlanError;

/// Until when, and where.
#[derive(Debug, Clone, Args)]
pub struct TickArgs {
    /// The log to write to: file:DIR or kafka:BROKERS
    #[arg(long, value_name = "LOG", value_parser = partition_log::parse_place)]
    pub to: String,
    /// The topic of events.
    #[arg(long, default_value = "events", value_parser = crate::cli::own_topic)]
    pub topic: String,
    /// Up to when: `now` writes the ticks that are due, --tick-grace after their moment; a time, as 2025-03-10 (midnight in UTC), those up
    /// to and with it.
    #[arg(long, value_name = "now|TIME", default_value = "now")]
    pub until: Until,
    /// When ticks are.
    #[command(flatten)]
    pub ticks: PlanArgs,
    /// How it is written.
    #[command(flatten)]
    pub writing: WritingArgs,
    /// Print one JSON object about what was done on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Up to when ticks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Those that are due now.
    Now,
    /// Those up to a moment.
    At(EventTime),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" { Ok(Self::Now) } else { crate::map::moment(text).map(Self::At) }
    }
}

/// What was done: what `--json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TickSummary {
    /// Moments for which ticks were written.
    pub ticks: u64,
    /// Tick records written, every partition's counted.
    pub tick_records: u64,
    /// The newest tick that the log holds now, in milliseconds.
    pub newest_tick: i64,
}

/// Why no ticks were written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TickError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The ticks cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The ticks' options have no meaning.
    #[error(transparent)]
    Ticks(#[from] TickPlanError),
    /// There is nothing that could go on.
    #[error(
        "topic `{topic}` in {place} holds no tick to go on from: import events first, which decide where ticks begin"
    )]
    NoTick {
        /// The topic.
        topic: String,
        /// The log.
        place: String,
    },
    /// Whoever reads it decides its ticks.
    #[error(
        "topic `{topic}` in {place} was made by others: the consumers that read it decide its ticks, by the clock too (`--tick-idle`)"
    )]
    NotOurs {
        /// The topic.
        topic: String,
        /// The log.
        place: String,
    },
    /// It has not come yet.
    #[error(
        "{} has not come yet, it is {}: whoever acts between now and then would have been swept too early, as silent. Say --until now",
        until.written(), now.written()
    )]
    Future {
        /// What was asked for.
        until: EventTime,
        /// The time.
        now: EventTime,
    },
    /// It would be very many.
    #[error(
        "the newest tick on the log is {}: {moments} more up to now would each sweep all users, and events of that time that come later would \
         miss theirs. If that is what you want, say --until {}", newest.written(), last.written()
    )]
    TooMany {
        /// The newest tick.
        newest: EventTime,
        /// How many are missing up to now.
        moments: u64,
        /// The newest of them.
        last: EventTime,
    },
    /// The log's ticks are at other moments.
    #[error(
        "the newest tick on the log is {}, and the log's ticks are not those of every {every} with an offset of {offset}: give --tick and \
         --tick-offset as the import did", newest.written()
    )]
    OtherPlan {
        /// The newest tick.
        newest: EventTime,
        /// How often ticks are, as asked for.
        every: Millis,
        /// How long after the multiples of that, as asked for.
        offset: Millis,
    },
}

/// So many moments are no gap any more but another time.
const MOST: u64 = 400;
/// A tick lies no further behind the one before it than this, or both are not looked for.
const REACH: Millis = Millis(32 * 86_400_000);

/// The tick before the newest, in the first partition that shows both.
fn tick_before(log: &dyn Log, topic: &str, newest: EventTime) -> Result<Option<EventTime>, LogError> {
    let partitions = log.topic(topic)?.map_or(0, |config| config.partitions);
    for partition in (0..partitions).map(PartitionId) {
        let end = log.bounds(topic, partition)?.end;
        let from = log.offset_at(topic, partition, EventTime(newest.0 - REACH.0))?;
        let mut reader = log.reader(topic, partition, from)?;
        let (mut records, mut before) = (RecordBuf::default(), None);
        while reader.position() < end && reader.read(&mut records, 1 << 20)? > 0 {
            for tick in records.iter().filter_map(|record| tick_of(record.key, record.value)) {
                if tick >= newest {
                    break;
                }
                before = Some(tick);
            }
            records.clear();
        }
        if before.is_some() {
            return Ok(before);
        }
    }
    Ok(None)
}

/// Runs the command.
///
/// # Errors
/// See [`TickError`]; that all ticks are there already is none.
pub fn run(args: &TickArgs, around: &Surroundings) -> Result<TickSummary, TickError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    run_at(args, EventTime(now), around)
}

fn run_at(args: &TickArgs, now: EventTime, around: &Surroundings) -> Result<TickSummary, TickError> {
    let plan = args.ticks.plan()?;
    let last = match args.until {
        Until::Now => plan.passed_by(now),
        Until::At(time) => plan.passed_by(plan.due(time)),
    };
    let log = partition_log::open(&args.to, &args.writing.options(&args.to)?)?;
    let (topic, place) = (args.topic.clone(), log.place());
    let Some(existing) = log.topic(&topic)? else { return Err(TickError::NoTick { topic, place }) };
    if existing.key.is_empty() {
        return Err(TickError::NotOurs { topic, place });
    }
    let config = SinkConfig {
        topic: topic.clone(),
        partitions: None,
        entity_type: existing.key,
        ticks: plan,
        sources: Vec::new(),
        former: Vec::new(),
    };
    let mut sink = EventSink::open(&*log, &config, around)?;
    let Some(newest) = sink.newest_tick() else { return Err(TickError::NoTick { topic, place }) };
    let previous = tick_before(log.as_ref(), &topic, newest)?;
    if plan.passed_by(plan.due(newest)) != newest
        || previous.is_some_and(|before| plan.after(before) != newest)
    {
        let (every, offset) = (args.ticks.tick, args.ticks.tick_offset);
        return Err(TickError::OtherPlan { newest, every, offset });
    }
    if let Until::At(until) = args.until
        && until > now
        && last > newest
    {
        return Err(TickError::Future { until, now });
    }
    if matches!(args.until, Until::Now) {
        let mut moments = 0;
        let mut tick = plan.after(newest);
        while tick <= last {
            (moments, tick) = (moments + 1, plan.after(tick));
        }
        if moments > MOST {
            return Err(TickError::TooMany { newest, moments, last });
        }
    }
    let ticks = sink.let_pass(last)?;
    let newest_tick = newest.max(last).0;
    Ok(TickSummary { ticks, tick_records: sink.finish(true)?.tick_records, newest_tick })
}

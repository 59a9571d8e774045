//! `churnstream incidents`: on which days the mix or the volume of events changed.

use anyhow::ensure;
use clap::Args;
use scorer::drift::{Alarm, Watch};
use serde::Serialize;
use types::{EventTime, Millis};

use super::progress;
use crate::commands::through::Through;
use crate::training;

/// Looks at each day of a log (UTC) with the days before it, and says when something changed: for each type of event the share of
/// active users who have it, and the number of events against its own trend. No model and no labels are needed, and no day
/// knows of later ones.
///
/// An alarm begins where a signal is --threshold standard deviations from what it was, and ends where it is less than half
/// of that off. The newest day counts only when a tick says that it is over. It tells that something is different, not that something is wrong, nor why.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream incidents --from file:log
  churnstream incidents --from file:log --window 7d --reference 28d \\
      --threshold 4 --json")]
pub(crate) struct Incidents {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Through,
    /// Do not look at events of this type. Can be given several times.
    #[arg(long, value_name = "TYPE")]
    ignore: Vec<String>,
    /// The days that are looked at together: a whole number of days, best of weeks.
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    window: Millis,
    /// The days before them to compare with.
    #[arg(long, value_name = "SPAN", default_value = "28d")]
    reference: Millis,
    /// Standard deviations. Many signals are tested on every day: 2 would be crying wolf. What follows the calendar for many users at
    /// once, as renewals do, is best passed over.
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    threshold: f64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    /// The first day of the log, that of the first judgement, and the last.
    first: EventTime,
    judged_from: Option<EventTime>,
    last: EventTime,
    /// Days judged, and those on which the volume could be.
    judged: usize,
    judged_volume: usize,
    /// Types of events that were told apart.
    kinds: usize,
    out_of_time: u64,
    alarms: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    /// A type of event, or `volume`.
    signal: String,
    from: EventTime,
    until: Option<EventTime>,
    distance: f64,
    /// None if there was nothing of it before.
    ratio: Option<f64>,
}

impl Incidents {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let watch = Watch {
            window: days(self.window, 1, "--window")?,
            reference: days(self.reference, 3, "--reference")?,
            threshold: self.threshold,
        };
        ensure!(self.threshold > 0.0, "--threshold must be above 0");
        let log = self.through.open(&self.from, &self.topic)?;
        let bar = progress::bar(training::records(log.as_ref(), &self.topic)?, "read");
        let counted =
            backtest::count_days(log.as_ref(), &self.topic, &self.ignore, |at| bar.set_position(at));
        bar.finish_and_clear();
        let counted = counted?;
        if let Some(removed) = backtest::removed(log.as_ref(), &self.topic)? {
            eprintln!("mind: {removed}: the first day that is looked at is the first of which all is left");
        }
        let day = |at: usize| counted.first.plus(Millis(Millis::DAY.0 * at as i64));
        let found = |alarm: Alarm| Found {
            signal: alarm.kind.map_or_else(|| "volume".to_owned(), |kind| counted.kinds[kind].clone()),
            from: day(alarm.from),
            until: alarm.until.map(day),
            distance: alarm.distance,
            ratio: alarm.ratio,
        };
        let judged = counted.days.len().saturating_sub(watch.needs());
        let report = Report {
            first: counted.first,
            judged_from: (judged > 0).then(|| day(watch.needs())),
            last: day(counted.days.len().saturating_sub(1)),
            judged,
            judged_volume: watch.judges_volume(&counted.days),
            kinds: counted.kinds.len(),
            out_of_time: counted.out_of_time,
            alarms: watch.alarms(&counted.days).into_iter().map(found).collect(),
        };
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            show(&report, watch)?;
        }
        Ok(())
    }
}

fn days(span: Millis, least: usize, name: &str) -> anyhow::Result<usize> {
    let days = usize::try_from(span.0 / Millis::DAY.0).unwrap_or_default();
    ensure!(
        span.0 % Millis::DAY.0 == 0 && (least..=366).contains(&days),
        "{name} must be a whole number of days, {least} to 366"
    );
    Ok(days)
}

fn show(report: &Report, watch: Watch) -> anyhow::Result<()> {
    let date = |at: EventTime| -> anyhow::Result<String> {
        Ok(jiff::Timestamp::from_millisecond(at.0)?.strftime("%Y-%m-%d").to_string())
    };
    let Some(judged_from) = report.judged_from else {
        println!("too short: {} days are needed before the first that can be judged", watch.needs());
        return Ok(());
    };
    println!(
        "{} days judged, {} to {}, {} {} of events and the volume",
        report.judged,
        date(judged_from)?,
        date(report.last)?,
        report.kinds,
        if report.kinds == 1 { "type" } else { "types" }
    );
    if report.judged_volume < report.judged {
        println!(
            "on {} of them the volume could not be judged: days without events were among those before",
            report.judged - report.judged_volume
        );
    }
    for alarm in &report.alarms {
        let until = match alarm.until {
            Some(until) => format!("until {}", date(until)?),
            None => "goes on".to_owned(),
        };
        println!(
            "{}  {:<24} {:<7} {:>+6.1} deviations   {until}",
            date(alarm.from)?,
            alarm.signal,
            alarm.ratio.map_or_else(|| "new".to_owned(), |ratio| format!("x{ratio:.2}")),
            alarm.distance
        );
    }
    if report.alarms.is_empty() {
        println!("nothing changed");
    }
    if report.out_of_time > 0 {
        println!(
            "{} events were not counted: their times are too far from those around them",
            report.out_of_time
        );
    }
    Ok(())
}

//! From files to the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use partition_log::{Log, LogError};
use types::{EventTime, Millis};

use super::args::{Also, ImportArgs, Sort};
use super::deliver::Delivery;
use super::feed::{Feed, Input, Reading};
use super::mend::{MendSummary, mend};
use super::names::Names;
use super::order::{self, Order};
use super::sort::Sorter;
use super::source::SourceError;
use super::summary::{Counts, Ending, Entities, Summary};
use crate::around::Surroundings;
use crate::map::{MapError, Mapping};
use crate::progress::Progress;
use crate::rate::{Pacer, Rate, Speed};
use crate::sink::{EventSink, SinkConfig, SinkError, SourceOrder};
use crate::tick::{TickPlan, TickPlanError};

/// So much of the memory a sorted run takes.
const RUN_BYTES: usize = 64 << 20;

/// How an import is done.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The topic; made if it does not exist.
    pub topic: String,
    /// How many partitions it has; `None` for as it is, or the sink's default.
    pub partitions: Option<u32>,
    /// When ticks are due.
    pub ticks: TickPlan,
    /// The most events per second.
    pub rate: Rate,
    /// How many times faster than it was time passes.
    pub speed: Option<Speed>,
    /// Whether to sort.
    pub sort: Sort,
    /// How far out of order rows may be without being sorted.
    pub lateness: Millis,
    /// The moment after which nothing has happened.
    pub not_after: EventTime,
    /// The greatest length of a row, in bytes.
    pub max_row: usize,
    /// Where temporary files go.
    pub temp_dir: PathBuf,
    /// Whether to say on standard error how far it is.
    pub progress: bool,
}

impl ImportOptions {
    /// Everything as `producer import` has it by default, for a topic and a last moment.
    #[must_use]
    pub fn new(topic: &str, not_after: EventTime) -> Self {
        Self {
            topic: topic.to_owned(),
            partitions: None,
            ticks: TickPlan::default(),
            rate: Rate::Max,
            speed: None,
            sort: Sort::Auto,
            lateness: Millis::DAY,
            not_after,
            max_row: 1 << 20,
            temp_dir: std::env::temp_dir(),
            progress: false,
        }
    }
}

/// Why an import ended before its end. What it wrote stays, and the same import goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The map is wrong.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Temporary files cannot be written or read.
    #[error("temporary files for sorting: {0}")]
    Temporary(#[from] std::io::Error),
    /// A file's name cannot stand in a header.
    #[error("{}: the name of a file to import must be UTF-8", .0.display())]
    Name(PathBuf),
    /// Files are given twice.
    #[error("{}: is given twice", .0.display())]
    Twice(PathBuf),
    /// There is nothing to import.
    #[error("no file is given")]
    NoFiles,
    /// The maps are about different things, and a topic has one key.
    #[error("one map is about `{0}`, another about `{1}`; import them into topics of their own")]
    EntityTypes(String, String),
    /// Nothing of a file was rejected, but of others something was.
    #[error(
        "the log holds no rejected row of `{file}`, but of `{others}`: a file is known by where it was when it was imported"
    )]
    NothingRejected {
        /// The file.
        file: String,
        /// Some of the others.
        others: String,
    },
    /// The ticks' options have no meaning.
    #[error(transparent)]
    Ticks(#[from] TickPlanError),
}

/// Runs `producer import`.
///
/// # Errors
/// See [`ImportError`]; bad rows are none.
pub fn run(args: &ImportArgs, around: &Surroundings) -> Result<Summary, ImportError> {
    with_inputs(args, |log, files, options| import(log, files, options, around))
}

/// Runs `producer import --rejected`.
///
/// # Errors
/// See [`ImportError`].
pub fn run_mend(args: &ImportArgs, around: &Surroundings) -> Result<MendSummary, ImportError> {
    with_inputs(args, |log, files, options| mend(log, files, options, around))
}

fn with_inputs<T>(
    args: &ImportArgs,
    work: impl FnOnce(&dyn Log, &[Input<'_>], &ImportOptions) -> Result<T, ImportError>,
) -> Result<T, ImportError> {
    let output = &args.output;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    let options = ImportOptions {
        topic: output.topic.clone(),
        partitions: output.partitions,
        ticks: output.ticks.plan()?,
        rate: output.rate,
        speed: output.speed,
        sort: args.sort,
        lateness: args.lateness,
        not_after: args.not_after.unwrap_or(EventTime(now)),
        max_row: usize::try_from(args.max_row).unwrap_or(usize::MAX),
        temp_dir: args.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
        progress: true,
    };
    let folder = |file: &Path| file.parent().map(Path::to_owned).into_iter().collect::<Vec<_>>();
    let first = args.files.first().ok_or(ImportError::NoFiles)?;
    let mapping = Mapping::load(&args.map, &folder(first))?;
    let others: Vec<(PathBuf, Mapping)> = args
        .also
        .iter()
        .map(|Also { file, map }| Ok((file.clone(), Mapping::load(map, &folder(file))?)))
        .collect::<Result<_, MapError>>()?;
    let mut files: Vec<Input<'_>> =
        args.files.iter().map(|path| Input { path: path.clone(), mapping: &mapping }).collect();
    files.extend(others.iter().map(|(path, mapping)| Input { path: path.clone(), mapping }));
    let log = partition_log::open(&output.to, &output.writing.options(&output.to)?)?;
    work(&*log, &files, &options)
}

/// Imports files into a log. All of them are ordered together, so what they say of an entity comes in order.
///
/// # Errors
/// See [`ImportError`]; bad rows are none.
pub fn import(
    log: &dyn Log,
    files: &[Input<'_>],
    options: &ImportOptions,
    around: &Surroundings,
) -> Result<Summary, ImportError> {
    let begun = Instant::now();
    let names = Names::of(files)?;
    let entity_type = entity_type(files)?;
    let (not_after, longest) = (options.not_after, options.max_row);
    let reading = Reading { not_after, longest, read: Arc::new(AtomicU64::new(0)) };
    let config = SinkConfig {
        topic: options.topic.clone(),
        partitions: options.partitions,
        entity_type,
        ticks: options.ticks,
        sources: names.own,
        former: names.former,
    };
    // A topic is made only once the files are known to fit their maps.
    let opened = log.topic(&config.topic)?.map(|_| EventSink::open(log, &config, around)).transpose()?;
    if opened.is_none() && options.sort != Sort::Auto {
        // Choosing an order would look through them.
        for (number, file) in files.iter().enumerate() {
            Feed::open(file, number, &reading)?;
        }
    }
    around.ready().not_ready("looking whether the files are in order");
    let order = match (options.sort, opened.as_ref().and_then(EventSink::written_order)) {
        (Sort::Never, _) => Order::AsRead,
        (Sort::Always, _) | (Sort::Auto, Some(SourceOrder::Sorted)) => Order::Sorted,
        (Sort::Auto, _) => order::choose(files, &reading, options.lateness)?,
    };
    reading.read.store(0, Ordering::Relaxed);
    let mut sink = opened.map_or_else(|| EventSink::open(log, &config, around), Ok)?;
    sink.set_order(if order == Order::Sorted { SourceOrder::Sorted } else { SourceOrder::Own })?;
    let bytes: u64 = files.iter().filter_map(|f| f.path.metadata().ok()).map(|m| m.len()).sum();
    let newest = sink.newest_tick().map(|tick| (tick, tick.minus(options.lateness)));
    let mut delivery = Delivery {
        sink,
        pacer: Pacer::new(options.rate, options.speed),
        shutdown: &around.shutdown,
        progress: options.progress.then(|| Progress::new("import", Some(bytes))),
        read: Arc::clone(&reading.read),
        entities: Entities::default(),
        events: 0,
        span: None,
        not_after,
        position: Vec::new(),
        files: files.iter().map(|file| file.path.display().to_string()).collect(),
        first_rejected: BTreeMap::new(),
        newest,
        behind: None,
    };
    let mut counts = Counts::default();
    if order == Order::Sorted {
        around.ready().not_ready("sorting");
    }
    let whole = match order {
        Order::AsRead => as_read(files, &reading, &mut counts, &mut delivery)?,
        Order::Merged => merged(files, &reading, &mut counts, &mut delivery)?,
        Order::Sorted => sorted(files, &reading, &mut counts, &mut delivery, options)?,
    };
    delivery.finish(whole, options, |delivery, totals| {
        let ending = Ending {
            files: files.len(),
            events: delivery.events,
            held: totals.held,
            tick_records: totals.tick_records,
            span: delivery.span,
            first_rejected: std::mem::take(&mut delivery.first_rejected),
            behind: delivery.behind,
            order: order.name(),
            stopped: !whole,
            seconds: begun.elapsed().as_secs_f64(),
        };
        Summary::new(&counts, &delivery.entities, ending)
    })
}

/// What all the maps are about.
pub(super) fn entity_type(files: &[Input<'_>]) -> Result<String, ImportError> {
    let mut types = files.iter().map(|file| file.mapping.entity_type());
    let first = types.next().ok_or(ImportError::NoFiles)?;
    match types.find(|other| *other != first) {
        Some(other) => Err(ImportError::EntityTypes(first.to_owned(), other.to_owned())),
        None => Ok(first.to_owned()),
    }
}

/// One file after the other. `false` if stopped on the way.
fn as_read(
    files: &[Input<'_>],
    reading: &Reading,
    counts: &mut Counts,
    delivery: &mut Delivery<'_>,
) -> Result<bool, ImportError> {
    for (number, file) in files.iter().enumerate() {
        let mut feed = Feed::open(file, number, reading)?;
        while feed.advance(counts)? {
            if let Some(item) = feed.item()
                && !delivery.deliver(&item)?
            {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// All files at once. A file's row is not let out before those ahead of it, so what counts is the newest arrival so far.
fn merged(
    files: &[Input<'_>],
    reading: &Reading,
    counts: &mut Counts,
    delivery: &mut Delivery<'_>,
) -> Result<bool, ImportError> {
    let mut feeds = Vec::with_capacity(files.len());
    for (number, file) in files.iter().enumerate() {
        let mut feed = Feed::open(file, number, reading)?;
        if feed.advance(counts)? {
            let arrival = feed.item().map_or(EventTime::MIN, |item| item.arrival);
            feeds.push((arrival, feed));
        }
    }
    while let Some(first) = (0..feeds.len()).min_by_key(|at| (feeds[*at].0, *at)) {
        // Up to this moment the same file stays the first.
        let next = feeds.iter().enumerate().filter(|(at, _)| *at != first).map(|(at, (t, _))| (*t, at)).min();
        let (newest, feed) = &mut feeds[first];
        loop {
            if let Some(item) = feed.item()
                && !delivery.deliver(&item)?
            {
                return Ok(false);
            }
            if !feed.advance(counts)? {
                feeds.remove(first);
                break;
            }
            *newest = (*newest).max(feed.item().map_or(*newest, |item| item.arrival));
            if next.is_some_and(|next| next < (*newest, first)) {
                break;
            }
        }
    }
    Ok(true)
}

/// Through sorted runs on disk.
fn sorted(
    files: &[Input<'_>],
    reading: &Reading,
    counts: &mut Counts,
    delivery: &mut Delivery<'_>,
    options: &ImportOptions,
) -> Result<bool, ImportError> {
    let mut sorter = Sorter::new(options.temp_dir.clone(), RUN_BYTES);
    for (number, file) in files.iter().enumerate() {
        let mut feed = Feed::open(file, number, reading)?;
        while feed.advance(counts)? {
            if let Some(item) = feed.item() {
                sorter.add(&item)?;
            }
            if counts.rows.is_multiple_of(4096) && delivery.shutdown.is_requested() {
                return Ok(false);
            }
        }
    }
    let mut whole = true;
    sorter.drain(|item| {
        whole = delivery.deliver(item)?;
        Ok::<_, ImportError>(whole)
    })?;
    Ok(whole)
}

//! A worker: one thread that owns some partitions and steps through them in turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use scorer::Schedule;
use types::PartitionId;

use crate::ConsumerError;
use crate::member::Progress;
use crate::query::Query;
use crate::task::{PartitionTask, Step};

/// What a worker is told.
pub(crate) enum Order {
    /// Owns this partition from now on.
    Own(Box<PartitionTask>),
    /// The same, for a partition that comes from another worker.
    Take(Box<PartitionTask>),
    /// Hands a partition, whole, to another worker.
    Move(PartitionId, Sender<Order>),
    /// Answers a read between two batches.
    Read(Query),
    /// The log has grown, or something else may have changed: look again.
    Wake,
    /// Commits, says so, and waits to be told by which schedule to go on; by the old one if nobody tells.
    Halt(Halt),
    /// Says what is to be committed, and does nothing before it hears that it was, or is told to drop it all.
    Prepare(Sender<Prepared>),
    /// What was prepared is committed.
    Committed {
        /// Whether to end, and to write all state to the store before that.
        stop: Option<bool>,
        /// Partitions that go to other processes: nothing more is done with them.
        drop: Vec<PartitionId>,
    },
    /// Drops these partitions as a crash would, and says so; all of them if none is named.
    Drop(Vec<PartitionId>, Sender<()>),
    /// Commits, and writes all state to the store if there is time, and ends.
    Stop {
        /// Whether to write all state to the store, however long it takes.
        snapshot: bool,
    },
}

/// How a worker is made to wait.
pub(crate) struct Halt {
    /// Where it says that everything it did is committed.
    pub(crate) halted: Sender<()>,
    /// Where it waits.
    pub(crate) go_on: Receiver<Arc<Schedule>>,
}
/// What a worker's partitions have to commit; nothing where nothing moved.
pub(crate) type Prepared = Vec<(PartitionId, Option<Progress>)>;

/// What a worker tells.
pub(crate) enum Report {
    /// Memory waits for a commit of the process.
    Pressed,
    /// A partition that moved has arrived.
    Took,
    /// A partition cannot go on; its worker has ended.
    Failed(PartitionId, ConsumerError),
    /// The worker has committed everything and ended.
    Stopped,
}

/// How often one that waits says that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How a worker is set up.
#[derive(Debug, Clone)]
pub(crate) struct WorkerConfig {
    pub(crate) commit_interval: Duration,
    /// Whether the process commits for all partitions at once, or each for itself.
    pub(crate) together: bool,
}

/// Runs until told to stop, or until a partition fails. Called on a thread of its own.
pub(crate) fn run(
    config: &WorkerConfig,
    orders: &Receiver<Order>,
    reports: &Sender<Report>,
    alive: &telemetry::Check,
) {
    let mut tasks: Vec<PartitionTask> = Vec::new();
    alive.ready();
    let report = match work(config, orders, reports, &mut tasks, alive) {
        Ok(()) => Report::Stopped,
        Err((partition, error)) => Report::Failed(partition, error),
    };
    // The pool may be gone already when the process is ending; then nobody wants to know.
    let _ = reports.send(report);
}

type Failure = (PartitionId, ConsumerError);

fn work(
    config: &WorkerConfig,
    orders: &Receiver<Order>,
    reports: &Sender<Report>,
    tasks: &mut Vec<PartitionTask>,
    alive: &telemetry::Check,
) -> Result<(), Failure> {
    let mut idle = false;
    loop {
        alive.beat();
        let mut order = if idle { wait(config, orders, tasks) } else { orders.try_recv().ok() };
        while let Some(next) = order {
            match next {
                Order::Stop { snapshot } => return stop(config, tasks, snapshot),
                Order::Halt(halt) => wait_halted(&halt, tasks)?,
                Order::Prepare(reply) => {
                    if let Some(snapshot) = barrier(orders, reports, tasks, &reply, alive)? {
                        return stop(config, tasks, snapshot);
                    }
                }
                other => obey(other, reports, tasks),
            }
            order = orders.try_recv().ok();
        }
        idle = true;
        for task in tasks.iter_mut() {
            let partition = task.partition;
            let failed = |error| (partition, error);
            if task.is_pressed() {
                continue;
            }
            let replaying = task.is_replaying();
            if task.step().map_err(failed)? == Step::Worked {
                idle = false;
            }
            // After a restart readers have waited for long enough.
            let is_back = replaying && !task.is_replaying();
            if task.is_pressed() {
                let _ = reports.send(Report::Pressed);
            }
            if !config.together && (is_back || task.last_commit().elapsed() >= config.commit_interval) {
                task.commit().map_err(failed)?;
            }
        }
    }
}

/// Prepares a commit of the process and waits for it. Returns what to stop with, if it is to stop after it.
fn barrier(
    orders: &Receiver<Order>,
    reports: &Sender<Report>,
    tasks: &mut Vec<PartitionTask>,
    reply: &Sender<Prepared>,
    alive: &telemetry::Check,
) -> Result<Option<bool>, Failure> {
    let mut prepared = Vec::with_capacity(tasks.len());
    let since = tasks.iter().map(|task| task.last_commit().elapsed()).min().unwrap_or_default();
    for task in tasks.iter_mut() {
        prepared.push((task.partition, task.prepare().map_err(|error| (task.partition, error))?));
    }
    // The pool may be gone when the process is ending; then the next order says so.
    let _ = reply.send(prepared.clone());
    loop {
        // With the brokers away it takes as long as they do.
        alive.beat();
        match orders.recv_timeout(SIGN_OF_LIFE) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Committed { stop, drop }) => {
                for (partition, progress) in prepared {
                    let task = tasks.iter_mut().find(|task| task.partition == partition);
                    if let (Some(task), Some(progress)) = (task, progress) {
                        let goes_on = stop.is_none() && !drop.contains(&partition);
                        let since = goes_on.then_some(since);
                        task.committed(progress.commit, since).map_err(|error| (partition, error))?;
                    }
                }
                // Here, not later: one step more would write what the next owner writes too.
                tasks.retain(|task| !drop.contains(&task.partition));
                return Ok(stop);
            }
            // Not committed: everything goes.
            Ok(Order::Drop(partitions, done)) => {
                obey(Order::Drop(partitions, done), reports, tasks);
                return Ok(None);
            }
            Ok(Order::Stop { .. }) | Err(RecvTimeoutError::Disconnected) => {
                tasks.clear();
                return Ok(Some(false));
            }
            Ok(other) => obey(other, reports, tasks),
        }
    }
}

/// Sleeps until there is an order or the next commit is due. A closed channel means that the pool is gone: stop.
fn wait(config: &WorkerConfig, orders: &Receiver<Order>, tasks: &[PartitionTask]) -> Option<Order> {
    // What a group reads comes without a word.
    const LOOK: Duration = Duration::from_millis(2);
    if config.together {
        return match orders.recv_timeout(LOOK) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::Stop { snapshot: false }),
        };
    }
    let due = tasks.iter().map(|task| task.last_commit() + config.commit_interval).min();
    let timeout = due.map_or(config.commit_interval, |due| due.saturating_duration_since(Instant::now()));
    match orders.recv_timeout(timeout) {
        Ok(order) => Some(order),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Order::Stop { snapshot: false }),
    }
}

fn obey(order: Order, reports: &Sender<Report>, tasks: &mut Vec<PartitionTask>) {
    match order {
        Order::Own(task) => tasks.push(*task),
        Order::Take(task) => {
            tasks.push(*task);
            let _ = reports.send(Report::Took);
        }
        Order::Move(partition, to) => {
            if let Some(at) = tasks.iter().position(|task| task.partition == partition) {
                let task = Box::new(tasks.swap_remove(at));
                if let Err(returned) = to.send(Order::Take(task)) {
                    // The other worker has ended; whoever owned the partition goes on with it.
                    if let Order::Take(task) = returned.into_inner() {
                        tasks.push(*task);
                    }
                    let _ = reports.send(Report::Took);
                }
            } else {
                // In a group, not every partition is here.
                let _ = reports.send(Report::Took);
            }
        }
        Order::Drop(partitions, done) => {
            tasks.retain(|task| !partitions.is_empty() && !partitions.contains(&task.partition));
            let _ = done.send(());
        }
        Order::Read(query) => {
            let task = tasks.iter_mut().find(|task| task.partition == query.partition);
            query.answer(task);
        }
        // These are obeyed where they are received.
        Order::Wake | Order::Halt(_) | Order::Stop { .. } | Order::Prepare(_) | Order::Committed { .. } => {}
    }
}

fn wait_halted(halt: &Halt, tasks: &mut [PartitionTask]) -> Result<(), Failure> {
    for task in tasks.iter_mut() {
        task.commit().map_err(|error| (task.partition, error))?;
    }
    // Whoever asked may be gone; then nobody tells either.
    let _ = halt.halted.send(());
    if let Ok(schedule) = halt.go_on.recv() {
        tasks.iter_mut().for_each(|task| task.reschedule(&schedule));
    }
    Ok(())
}

fn stop(config: &WorkerConfig, tasks: &mut [PartitionTask], snapshot: bool) -> Result<(), Failure> {
    // Every partition is committed before the first slow snapshot.
    if !config.together {
        for task in tasks.iter_mut() {
            task.commit().map_err(|error| (task.partition, error))?;
        }
    }
    if snapshot {
        for task in tasks.iter_mut() {
            task.snapshot().map_err(|error| (task.partition, error))?;
        }
    }
    Ok(())
}

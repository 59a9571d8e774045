//! The workers: threads that come and go, and the partitions placed on them.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use scorer::Schedule;
use telemetry::Health;
use types::PartitionId;

use crate::ConsumerError;
use crate::member::Progress;
use crate::query::{Answer, Query};
use crate::run::SILENCE;
use crate::task::PartitionTask;
use crate::worker::{self, Halt, Order, Prepared, Report, WorkerConfig};

/// The threads, and who owns what.
pub(crate) struct Pool {
    config: WorkerConfig,
    health: Health,
    workers: Vec<Worker>,
    /// Ended or ending workers whose threads are still to be joined.
    retired: Vec<JoinHandle<()>>,
    /// For each partition, the worker that owns it, as an index into `workers`.
    placed: Vec<usize>,
    /// For each partition, where reads go.
    routes: Routes,
    report: Sender<Report>,
    reports: Receiver<Report>,
    named: usize,
    /// Partitions that are on their way to another worker.
    moving: usize,
    /// Whether memory waits for a commit of the process.
    pressed: bool,
}

struct Worker {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

/// Where reads of each partition go; shared with the HTTP API.
#[derive(Clone, Default)]
pub(crate) struct Routes(Arc<RwLock<Vec<Sender<Order>>>>);

impl Routes {
    /// Asks the worker that owns the query's partition, again while the partition moves, for two seconds at most.
    pub(crate) fn ask(
        &self,
        partition: PartitionId,
        query: impl Fn(Sender<Answer>) -> Query,
    ) -> Option<Answer> {
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            let (reply, answer) = bounded(1);
            let route =
                self.0.read().unwrap_or_else(PoisonError::into_inner).get(partition.0 as usize).cloned()?;
            if route.send(Order::Read(query(reply))).is_ok() {
                match answer.recv_deadline(deadline) {
                    Ok(Answer::Moved) | Err(_) => {}
                    Ok(answer) => return Some(answer),
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Wakes every worker that sleeps.
    pub(crate) fn wake(&self) {
        for route in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            // A worker that has ended needs no waking.
            let _ = route.send(Order::Wake);
        }
    }
}

/// How long a worker may take to answer: a batch takes milliseconds; a store that waits for its disk, longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Workers that have committed and wait.
pub(crate) struct Halted(Vec<Sender<Arc<Schedule>>>);

impl Halted {
    /// Lets them go on by a schedule.
    pub(crate) fn go_on(self, schedule: &Arc<Schedule>) {
        for worker in self.0 {
            let _ = worker.send(Arc::clone(schedule));
        }
    }
}

impl Pool {
    /// Starts workers and places the partitions on them in turn, with those tasks that there are already.
    pub(crate) fn start(
        config: WorkerConfig,
        health: &Health,
        workers: u32,
        partitions: u32,
        tasks: Vec<PartitionTask>,
        routes: Routes,
    ) -> Result<Self, ConsumerError> {
        let (report, reports) = unbounded();
        let mut pool = Self {
            config,
            health: health.clone(),
            workers: Vec::new(),
            retired: Vec::new(),
            placed: Vec::new(),
            routes,
            report,
            reports,
            named: 0,
            moving: 0,
            pressed: false,
        };
        pool.grow_to(workers as usize)?;
        pool.placed = (0..partitions as usize).map(|index| index % pool.workers.len()).collect();
        tasks.into_iter().for_each(|task| pool.own(task));
        pool.publish_routes();
        Ok(pool)
    }

    /// Gives a partition to the worker on which it is placed.
    pub(crate) fn own(&self, task: PartitionTask) {
        self.send(self.placed[task.partition.0 as usize], Order::Own(Box::new(task)));
    }

    /// Drops these partitions as a crash would, and waits for that; all of them if none is named. Ends a commit under way.
    pub(crate) fn discard(&mut self, partitions: &[PartitionId]) -> Result<(), ConsumerError> {
        self.settle()?;
        let (done, dropped) = unbounded();
        (0..self.workers.len())
            .for_each(|worker| self.send(worker, Order::Drop(partitions.to_vec(), done.clone())));
        drop(done);
        self.hear(&dropped).map(|_| ())
    }

    /// Stops every worker at a batch boundary and asks what is to be committed. None goes on before [`Pool::committed`] or
    /// [`Pool::discard`].
    pub(crate) fn prepare(&mut self) -> Result<Vec<(PartitionId, Progress)>, ConsumerError> {
        self.pressed = false;
        self.settle()?;
        let (reply, replies) = unbounded::<Prepared>();
        (0..self.workers.len()).for_each(|worker| self.send(worker, Order::Prepare(reply.clone())));
        drop(reply);
        let mut moved = Vec::new();
        for prepared in self.hear(&replies)? {
            moved.extend(
                prepared.into_iter().filter_map(|(partition, progress)| Some((partition, progress?))),
            );
        }
        Ok(moved)
    }

    /// What was prepared is committed; `stop` ends the workers after it, with or without writing all state. Partitions to `drop` are not
    /// worked on any more: [`Pool::discard`] waits until they are gone.
    pub(crate) fn committed(&self, stop: Option<bool>, drop: &[PartitionId]) {
        let order = || Order::Committed { stop, drop: drop.to_vec() };
        (0..self.workers.len()).for_each(|worker| self.send(worker, order()));
    }

    /// Whether memory waits for a commit of the process.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Waits until no partition is on its way: one that is would hear of nothing that all workers are told.
    fn settle(&mut self) -> Result<(), ConsumerError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.settled() {
            self.poll()?;
            if Instant::now() > deadline {
                return Err(ConsumerError::WorkerGone);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// One answer of every worker.
    fn hear<T>(&mut self, answers: &Receiver<T>) -> Result<Vec<T>, ConsumerError> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::with_capacity(self.workers.len());
        while heard.len() < self.workers.len() {
            match answers.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => heard.push(answer),
                Err(_) => {
                    self.poll()?;
                    if Instant::now() > deadline {
                        return Err(ConsumerError::WorkerGone);
                    }
                }
            }
        }
        Ok(heard)
    }

    /// Drops every partition as a crash would, and ends.
    pub(crate) fn abandon(self) -> Result<(), ConsumerError> {
        (0..self.workers.len()).for_each(|worker| self.send(worker, Order::Stop { snapshot: false }));
        self.join()
    }

    /// Waits until all workers have ended that were told to.
    pub(crate) fn wait(&mut self) -> Result<(), ConsumerError> {
        for thread in self.workers.drain(..).map(|worker| worker.thread).chain(self.retired.drain(..)) {
            thread.join().map_err(|_| ConsumerError::WorkerGone)?;
        }
        self.poll()
    }

    fn join(mut self) -> Result<(), ConsumerError> {
        self.wait()
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// For each partition, the number of the worker that owns it.
    pub(crate) fn placement(&self) -> &[usize] {
        &self.placed
    }

    /// Where reads go.
    pub(crate) fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Whether every partition is where it was placed. Only then may it be placed anew.
    pub(crate) fn settled(&self) -> bool {
        self.moving == 0
    }

    /// Hears what the workers have to tell.
    ///
    /// # Errors
    /// The failure of a partition, which has ended its worker.
    pub(crate) fn poll(&mut self) -> Result<(), ConsumerError> {
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Pressed => self.pressed = true,
                Report::Took => self.moving = self.moving.saturating_sub(1),
                Report::Failed(partition, error) => {
                    // Whoever ends says why.
                    tracing::error!(%partition, "the partition cannot go on");
                    return Err(error);
                }
                Report::Stopped => {}
            }
        }
        if self.workers.iter().any(|worker| worker.thread.is_finished()) {
            // It told nothing, so it panicked; unless its report is just coming.
            return match self.reports.recv_timeout(Duration::from_millis(100)) {
                Ok(Report::Failed(_, error)) => Err(error),
                _ => Err(ConsumerError::WorkerGone),
            };
        }
        Ok(())
    }

    /// Changes the number of workers and moves partitions to where `placement` says, each at its next batch boundary.
    pub(crate) fn rescale(&mut self, workers: usize, placement: &[usize]) -> Result<(), ConsumerError> {
        self.grow_to(workers)?;
        for (partition, &to) in placement.iter().enumerate() {
            let from = std::mem::replace(&mut self.placed[partition], to);
            if from != to {
                #[expect(clippy::cast_possible_truncation, reason = "there are at most u32::MAX partitions")]
                let order = Order::Move(PartitionId(partition as u32), self.workers[to].orders.clone());
                self.moving += 1;
                self.send(from, order);
            }
        }
        self.publish_routes();
        for worker in self.workers.drain(workers..) {
            // Behind the moves in its queue: it owns nothing by then.
            let _ = worker.orders.send(Order::Stop { snapshot: false });
            self.retired.push(worker.thread);
        }
        Ok(())
    }

    /// Makes every worker commit and wait. They go on when the answer is told to go on, or dropped.
    ///
    /// # Errors
    /// The failure of a partition.
    pub(crate) fn halt(&mut self) -> Result<Halted, ConsumerError> {
        let (halted, heard) = bounded(self.workers.len());
        let mut workers = Vec::with_capacity(self.workers.len());
        for worker in 0..self.workers.len() {
            let (tell, go_on) = bounded(1);
            self.send(worker, Order::Halt(Halt { halted: halted.clone(), go_on }));
            workers.push(tell);
        }
        let mut waiting = 0;
        while waiting < workers.len() {
            match heard.recv_timeout(Duration::from_millis(20)) {
                Ok(()) => waiting += 1,
                Err(_) => self.poll()?,
            }
        }
        Ok(Halted(workers))
    }

    /// Stops every worker after a commit and waits for them.
    pub(crate) fn stop(mut self, snapshot: bool) -> Result<(), ConsumerError> {
        // A partition on its way belongs to nobody: let it arrive first.
        let deadline = Instant::now() + Duration::from_secs(3);
        while !self.settled() && Instant::now() < deadline {
            self.poll()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        (0..self.workers.len()).for_each(|worker| self.send(worker, Order::Stop { snapshot }));
        self.join()
    }

    fn grow_to(&mut self, workers: usize) -> Result<(), ConsumerError> {
        while self.workers.len() < workers {
            let (orders, inbox) = unbounded();
            let (config, report) = (self.config.clone(), self.report.clone());
            let name = format!("worker-{}", self.named);
            let alive = self.health.check_beating(&name, "starting", SILENCE + config.commit_interval);
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn(move || worker::run(&config, &inbox, &report, &alive))
                .map_err(|source| ConsumerError::Io { action: "start a worker thread".to_owned(), source })?;
            self.named += 1;
            self.workers.push(Worker { orders, thread });
        }
        Ok(())
    }

    /// A worker that has ended has said why, or will be found gone when it is joined.
    fn send(&self, worker: usize, order: Order) {
        let _ = self.workers[worker].orders.send(order);
    }

    fn publish_routes(&self) {
        let routes = self.placed.iter().map(|&owner| self.workers[owner].orders.clone()).collect();
        *self.routes.0.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }
}

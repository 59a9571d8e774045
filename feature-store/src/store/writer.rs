//! The thread that brings changed blocks to the database.
//!
//! It writes a partition's changes only once a commit covers the offset that they are applied to: state on disk is never
//! ahead of the commit. As the database survives crashes as a prefix of what was applied, that holds after every crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};
use types::{Offset, PartitionId};

use super::backend::{Batch, Tree};
use super::directory::ColdUsers;
use super::keys::{self, Records, Totals};
use super::merge::{Edits, merge};
use super::range::HashRange;
use super::shape::{Part, Root, root_of};
use super::{StoreError, StoreOptions};

/// Changes that go into one batch of the database: few flushes of its buffers, and little held twice.
const BATCH_BYTES: usize = 1 << 20;

/// What partitions and the writing thread share.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Bytes of changes handed over and not yet written.
    pub(super) queued: AtomicUsize,
    /// How many partitions are short of memory or closing: bandwidth does not count then.
    pub(super) hurry: AtomicUsize,
    /// Bytes of decoded users over all partitions.
    pub(super) memory: AtomicUsize,
    /// The store is being dropped: nothing is worth waiting for.
    pub(super) closing: AtomicBool,
}

/// The changes of one block.
pub(super) struct BlockEdits {
    pub(super) range: HashRange,
    pub(super) edits: Edits,
}

pub(super) enum Message {
    Open { partition: PartitionId, tree: Arc<dyn Tree>, committed: Offset, replies: Sender<Reply> },
    Write { partition: PartitionId, at: Offset, blocks: Vec<BlockEdits> },
    Committed { partition: PartitionId, next_input: Offset },
    Close { partition: PartitionId },
}

/// A block that was written, and the pieces it is in now, each with its users.
pub(super) struct Written {
    pub(super) range: HashRange,
    pub(super) pieces: Vec<(HashRange, ColdUsers)>,
}

pub(super) enum Reply {
    Opened { shape: Vec<Part>, totals: Totals },
    Written { at: Offset, blocks: Vec<Written>, totals: Totals },
    Failed(StoreError),
}

/// The handle of the thread. Dropping it drops what no commit covers yet, and waits for the batch being written.
pub(super) struct Writer {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    gauges: Arc<Gauges>,
}

impl Writer {
    pub(super) fn start(options: &StoreOptions, gauges: Arc<Gauges>) -> std::io::Result<Self> {
        let (sender, messages) = unbounded();
        let target = options.block_bytes;
        let bandwidth = options.bandwidth.max(1);
        let shared = Arc::clone(&gauges);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let pace = Pace { bandwidth, ready_at: Instant::now() };
            Thread { messages, partitions: BTreeMap::new(), gauges, target, pace }.run();
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), gauges: shared })
    }

    /// Hands a message over. If the thread is gone nobody answers, which the waiting side sees as a closed channel.
    pub(super) fn send(&self, message: Message) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(message);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.gauges.closing.store(true, Ordering::Relaxed);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    messages: Receiver<Message>,
    partitions: BTreeMap<PartitionId, Partition>,
    gauges: Arc<Gauges>,
    target: usize,
    pace: Pace,
}

struct Partition {
    id: PartitionId,
    tree: Arc<dyn Tree>,
    committed: Offset,
    replies: Sender<Reply>,
    shape: Vec<Root>,
    totals: Totals,
    pending: VecDeque<(Offset, BlockEdits)>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let ready = self.partitions.values().any(Partition::is_ready);
            if !ready {
                match self.messages.recv() {
                    Ok(message) => self.handle(message),
                    Err(_) => return,
                }
            }
            loop {
                match self.messages.try_recv() {
                    Ok(message) => self.handle(message),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let ready: Vec<_> =
                self.partitions.iter().filter(|(_, p)| p.is_ready()).map(|(id, _)| *id).collect();
            for id in ready {
                self.pace.wait(&self.gauges);
                self.write(id);
            }
        }
    }

    /// Writes one batch of a partition that is ready. A partition that fails is closed: its owner learns why.
    fn write(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let (at, blocks) = partition.next_batch();
        let taken = blocks.iter().map(|block| block.edits.bytes()).sum();
        let written = partition.write(at, &blocks, self.target);
        self.gauges.queued.fetch_sub(taken, Ordering::Relaxed);
        let reply = match written {
            Ok((blocks, bytes)) => {
                self.pace.spent(bytes, &self.gauges);
                Reply::Written { at, blocks, totals: partition.totals }
            }
            Err(error) => Reply::Failed(error),
        };
        let failed = matches!(reply, Reply::Failed(_));
        // If its owner is gone, a Close follows.
        let _ = partition.replies.send(reply);
        if failed {
            self.close(id);
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Open { partition: id, tree, committed, replies } => {
                self.close(id);
                match Partition::open(id, tree, committed, replies.clone()) {
                    Ok(partition) => {
                        let shape = partition.shape.iter().flat_map(|root| &root.0).copied().collect();
                        let _ = replies.send(Reply::Opened { shape, totals: partition.totals });
                        self.partitions.insert(id, partition);
                    }
                    Err(error) => {
                        let _ = replies.send(Reply::Failed(error));
                    }
                }
            }
            Message::Write { partition, at, blocks } => match self.partitions.get_mut(&partition) {
                Some(partition) => partition.pending.extend(blocks.into_iter().map(|block| (at, block))),
                // It failed: its owner learns that from the reply sent then.
                None => {
                    let bytes = blocks.iter().map(|b| b.edits.bytes()).sum::<usize>();
                    self.gauges.queued.fetch_sub(bytes, Ordering::Relaxed);
                }
            },
            Message::Committed { partition, next_input } => {
                if let Some(partition) = self.partitions.get_mut(&partition) {
                    partition.committed = next_input;
                }
            }
            Message::Close { partition } => self.close(partition),
        }
    }

    fn close(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.remove(&id) {
            let bytes = partition.pending.iter().map(|(_, b)| b.edits.bytes()).sum::<usize>();
            self.gauges.queued.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Partition {
    fn open(
        id: PartitionId,
        tree: Arc<dyn Tree>,
        committed: Offset,
        replies: Sender<Reply>,
    ) -> Result<Self, StoreError> {
        let records = Records { tree: &*tree, partition: id };
        let (shape, totals) = (records.shape()?, records.totals()?);
        Ok(Self { id, tree, committed, replies, shape, totals, pending: VecDeque::new() })
    }

    fn is_ready(&self) -> bool {
        self.pending.front().is_some_and(|(at, _)| *at <= self.committed)
    }

    /// The next changes that a commit covers, all applied to the same offset.
    fn next_batch(&mut self) -> (Offset, Vec<BlockEdits>) {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let applied = self.pending.front().map_or(Offset::ZERO, |(at, _)| *at);
        while bytes < BATCH_BYTES
            && let Some((_, block)) = self.pending.pop_front_if(|(at, _)| *at == applied)
        {
            bytes += block.edits.bytes();
            blocks.push(block);
        }
        (applied, blocks)
    }

    /// Merges changes into their blocks; returns what became of those, and how many bytes were written.
    fn write(
        &mut self,
        at: Offset,
        blocks: &[BlockEdits],
        target: usize,
    ) -> Result<(Vec<Written>, usize), StoreError> {
        let records = Records { tree: &*self.tree, partition: self.id };
        let mut batch = Batch::default();
        let mut changed = BTreeSet::new();
        let mut totals = self.totals;
        let mut written = Vec::with_capacity(blocks.len());
        let mut buf = Vec::new();
        let mut bytes = 0;
        for BlockEdits { range, edits } in blocks {
            let root = root_of(range.start);
            let part = self.shape[root].part(*range);
            let part = part.ok_or_else(|| records.damaged(range, "the shape does not know it"))?;
            let old = match part.written {
                true => Some(records.block(*range, range.start, &mut buf)?),
                false => None,
            };
            let (old_users, old_bytes) = old.map_or((0, 0), |old| (u64::from(old.users), old.bytes()));
            let new =
                merge(*range, old, edits, at, target).map_err(|detail| records.damaged(range, detail))?;
            totals.users = totals.users.saturating_sub(old_users);
            totals.bytes = totals.bytes.saturating_sub(old_bytes);
            if self.shape[root].replace(*range, new.iter().map(|block| block.range)) {
                changed.insert(root);
            }
            let mut pieces = Vec::with_capacity(new.len());
            for block in new {
                totals.users += block.hashes.len() as u64;
                pieces.push((block.range, ColdUsers::of(block.hashes.into_iter())));
                totals.bytes += block.bytes.len() as u64;
                bytes += block.bytes.len();
                batch.put(keys::block(block.range), block.bytes);
            }
            written.push(Written { range: *range, pieces });
        }
        for root in changed {
            batch.put(keys::shape(root), self.shape[root].encode());
        }
        batch.put(keys::TOTALS, totals.encode());
        self.tree.apply(batch).map_err(keys::writing)?;
        self.totals = totals;
        Ok((written, bytes))
    }
}

/// Keeps to a bandwidth, on average over what is written without hurry.
struct Pace {
    bandwidth: u64,
    ready_at: Instant,
}

impl Pace {
    fn spent(&mut self, bytes: usize, gauges: &Gauges) {
        // What is written in a hurry is not made good later: the debt could grow without bound.
        if gauges.hurry.load(Ordering::Relaxed) > 0 {
            self.ready_at = Instant::now();
            return;
        }
        let time = Duration::from_secs_f64(bytes as f64 / self.bandwidth as f64);
        self.ready_at = self.ready_at.max(Instant::now()) + time;
    }

    fn wait(&self, gauges: &Gauges) {
        let slice = Duration::from_millis(5);
        while gauges.hurry.load(Ordering::Relaxed) == 0 && !gauges.closing.load(Ordering::Relaxed) {
            match self.ready_at.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(slice)),
                _ => return,
            }
        }
    }
}

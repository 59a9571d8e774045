//! A database that fails, and one whose reads are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::store::{Backend, BackendError, Batch, MemoryBackend, StoreError, Tree};

/// Refuses every write after a number of them, as a full disk does.
#[derive(Clone)]
struct Full {
    inner: MemoryBackend,
    left: Arc<AtomicI64>,
}

struct FullTree {
    inner: Arc<dyn Tree>,
    left: Arc<AtomicI64>,
}

impl Backend for Full {
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError> {
        Ok(Arc::new(FullTree { inner: self.inner.tree(name)?, left: Arc::clone(&self.left) }))
    }

    fn flush(&self) -> Result<(), BackendError> {
        self.inner.flush()
    }

    fn disk_bytes(&self) -> Result<u64, BackendError> {
        self.inner.disk_bytes()
    }
}

impl Tree for FullTree {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError> {
        self.inner.get(key, into)
    }

    fn apply(&self, batch: Batch) -> Result<(), BackendError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(BackendError::new("no space left on device"));
        }
        self.inner.apply(batch)
    }
}

/// Works until something fails or the log ends; the first failure, and how far it got.
fn work(users: &mut PartitionStore<Seen>, end: u64) -> Option<StoreError> {
    let mut at = users.replay_from().0;
    let committed = users.committed().map_or(0, |c| c.next_input.0);
    while at < end {
        apply(users, &format!("user {}", at * at % 61), at);
        at += 1;
        let kept = users.maintain(Offset(at)).map(|_| ());
        let done = kept.and_then(|()| match at >= committed && at.is_multiple_of(7) {
            true => users.commit(commit_at(at)),
            false => Ok(()),
        });
        if let Err(error) = done {
            return Some(error);
        }
    }
    None
}

#[test]
fn a_full_disk_stops_the_store_and_costs_nothing_once_there_is_room() {
    let end = 400;
    let mut expected = open(&Store::in_memory(&identity(), eager()).unwrap());
    assert!(work(&mut expected, end).is_none());
    let expected = sweep(&mut expected, 10);
    for room in 0..50 {
        let disk = Full { inner: MemoryBackend::journaled(), left: Arc::new(AtomicI64::new(room)) };
        let store = Store::with_backend(Box::new(disk.clone()), &identity(), eager()).unwrap();
        let mut users = open(&store);
        let error = work(&mut users, end).expect("the disk is full");
        assert!(error.to_string().contains("no space left on device"), "{error}");
        if matches!(users.maintain(Offset(end)), Err(StoreError::Stopped(_))) {
            assert!(matches!(users.commit(commit_at(end)), Err(StoreError::Stopped(_))));
        }
        drop((users, store));

        disk.left.store(i64::MAX, Ordering::Relaxed);
        let inner = disk.inner.crash(|pending| room as usize % (pending + 1));
        let mut users = open(&Store::with_backend(Box::new(inner), &identity(), eager()).unwrap());
        assert!(work(&mut users, end).is_none());
        assert_eq!(sweep(&mut users, 10), expected, "room for {room} writes");
    }
}

/// Counts how often a block is read.
#[derive(Clone, Default)]
struct Counted {
    inner: MemoryBackend,
    reads: Arc<AtomicI64>,
}

struct CountedTree {
    inner: Arc<dyn Tree>,
    reads: Arc<AtomicI64>,
}

impl Backend for Counted {
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError> {
        Ok(Arc::new(CountedTree { inner: self.inner.tree(name)?, reads: Arc::clone(&self.reads) }))
    }

    fn flush(&self) -> Result<(), BackendError> {
        self.inner.flush()
    }

    fn disk_bytes(&self) -> Result<u64, BackendError> {
        self.inner.disk_bytes()
    }
}

impl Tree for CountedTree {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError> {
        self.reads.fetch_add(i64::from(key.len() == 9), Ordering::Relaxed);
        self.inner.get(key, into)
    }

    fn apply(&self, batch: Batch) -> Result<(), BackendError> {
        self.inner.apply(batch)
    }
}

#[test]
fn a_replay_reads_a_user_from_their_block_once() {
    let disk = Counted::default();
    let store = Store::with_backend(Box::new(disk.clone()), &identity(), eager()).unwrap();
    let mut users = open(&store);
    (0..400).for_each(|at| assert!(apply(&mut users, &format!("user {}", at % 200), at)));
    users.commit(commit_at(400)).unwrap();
    users.snapshot_all().unwrap();
    (400..440).for_each(|at| assert!(apply(&mut users, &format!("user {}", at % 200), at)));
    users.commit(commit_at(440)).unwrap();
    drop((users, store));

    let store = Store::with_backend(Box::new(disk.clone()), &identity(), eager()).unwrap();
    let mut users = open(&store);
    assert_eq!(users.replay_from(), Offset(400));
    disk.reads.store(0, Ordering::Relaxed);
    (400..440).for_each(|at| assert!(apply(&mut users, &format!("user {}", at % 200), at)));
    assert_eq!(
        disk.reads.load(Ordering::Relaxed),
        40,
        "blocks were not read before, and users not in memory"
    );
    assert_eq!(sweep(&mut users, 10)["user 7"], Seen(vec![7, 207, 407]));
}

//! Random work with crashes, compared with a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::MemoryBackend;
use crate::store::block::Block;

#[derive(Debug, Clone)]
enum Step {
    /// Events of these users, or their removal.
    Events(Vec<(u8, bool)>),
    Maintain,
    Commit,
    SnapshotAll,
    /// Sweep everything in chunks of this many, maintaining in between.
    Sweep(usize),
    Get(u8),
    /// Crash, losing a part of what was not flushed.
    Crash(prop::sample::Index),
    /// Drop the partition's handle and take a new one.
    Move,
    /// Let the writing thread catch up.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0u8..60, prop::bool::weighted(0.05));
    let step = prop_oneof![
        6 => prop::collection::vec(event, 1..25).prop_map(Step::Events),
        6 => Just(Step::Maintain),
        4 => Just(Step::Commit),
        1 => Just(Step::SnapshotAll),
        1 => (1usize..40).prop_map(Step::Sweep),
        2 => any::<u8>().prop_map(Step::Get),
        2 => any::<prop::sample::Index>().prop_map(Step::Crash),
        1 => Just(Step::Move),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

struct World {
    backend: MemoryBackend,
    options: StoreOptions,
    users: PartitionStore<Seen>,
    /// Every event there ever was: the log.
    log: Vec<(String, bool)>,
    /// What an uninterrupted run holds at the log's end.
    model: BTreeMap<String, Seen>,
    /// The next event to apply; before the log's end while replaying.
    position: usize,
    committed: u64,
}

fn start(backend: &MemoryBackend, options: &StoreOptions) -> PartitionStore<Seen> {
    open(&Store::with_backend(Box::new(backend.clone()), &identity(), options.clone()).unwrap())
}

impl World {
    fn new(options: StoreOptions) -> Self {
        let backend = MemoryBackend::journaled();
        let users = start(&backend, &options);
        let (log, model) = (Vec::new(), BTreeMap::new());
        Self { backend, options, users, log, model, position: 0, committed: 0 }
    }

    /// Applies the log's next events; what the store says it holds must lie before its commit.
    fn advance(&mut self, count: usize) {
        for _ in 0..count.min(self.log.len() - self.position) {
            let (key, removed) = &self.log[self.position];
            let at = self.position as u64;
            if *removed {
                self.users.remove(key, Offset(at)).unwrap();
            } else if !apply(&mut self.users, key, at) {
                assert!(at < self.committed, "event {at} is held ahead of the commit {}", self.committed);
            }
            self.position += 1;
        }
    }

    fn catch_up(&mut self) {
        while self.position < self.log.len() {
            self.advance(17);
            self.maintain();
        }
    }

    fn maintain(&mut self) {
        let _ = self.users.maintain(Offset(self.position as u64)).unwrap();
    }

    fn events(&mut self, events: &[(u8, bool)]) {
        for (user, removed) in events {
            let key = format!("user {user}");
            let at = self.log.len() as u64;
            if *removed {
                self.model.remove(&key);
            } else {
                self.model.entry(key.clone()).or_default().0.push(at);
            }
            self.log.push((key, *removed));
        }
        self.advance(events.len());
    }

    fn commit(&mut self) {
        if self.position as u64 >= self.committed {
            self.users.commit(commit_at(self.position as u64)).unwrap();
            self.committed = self.position as u64;
        }
    }

    fn crash(&mut self, survive: impl FnOnce(usize) -> usize) {
        self.backend = self.backend.crash(survive);
        for key in self.backend.keys("partition-0").into_iter().filter(|key| key[0] == b'b') {
            let mut bytes = Vec::new();
            assert!(self.backend.clone().tree_bytes("partition-0", &key, &mut bytes));
            let applied = Block::parse(&bytes).unwrap().applied;
            assert!(applied.0 <= self.committed, "a block is ahead of the commit");
        }
        self.users = start(&self.backend, &self.options);
        self.rewind();
    }

    /// What a fresh handle goes on from.
    fn rewind(&mut self) {
        assert_eq!(
            self.users.committed().map_or(0, |c| c.next_input.0),
            self.committed,
            "commits are durable"
        );
        assert!(self.users.replay_from().0 <= self.committed);
        self.position = self.users.replay_from().0 as usize;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Events(events) => self.events(events),
            Step::Maintain => self.maintain(),
            Step::Commit => self.commit(),
            Step::SnapshotAll => {
                self.catch_up();
                self.commit();
                self.users.snapshot_all().unwrap();
                assert_eq!(self.users.replay_from().0, self.committed);
                assert_eq!(self.users.users_in_blocks(), self.model.len() as u64);
            }
            Step::Sweep(limit) => {
                self.catch_up();
                assert_eq!(sweep(&mut self.users, *limit), self.model);
            }
            Step::Get(user) => {
                self.catch_up();
                let key = format!("user {}", user % 64);
                let state = self.users.get(&key).unwrap().map(|slot| self.users.state(slot).clone());
                assert_eq!(state.as_ref(), self.model.get(&key));
            }
            Step::Crash(survive) => self.crash(|pending| survive.index(pending + 1)),
            Step::Move => {
                // The old handle must be gone before the new one is taken.
                let shared = self.users.shared.clone();
                let other = Store { shared: shared.clone() }.partition(PartitionId(1)).unwrap();
                self.users = other;
                self.users = open(&Store { shared });
                self.rewind();
            }
            Step::Wait => std::thread::sleep(Duration::from_millis(2)),
        }
    }

    fn check(mut self) {
        self.catch_up();
        assert_eq!(sweep(&mut self.users, 7), self.model);
        self.commit();
        self.users.snapshot_all().unwrap();
        self.crash(|_| 0);
        assert_eq!(self.position, self.log.len(), "nothing is left to replay");
        assert_eq!(sweep(&mut self.users, 1000), self.model);
    }
}

fn run(options: StoreOptions, steps: &[Step]) {
    let mut world = World::new(options);
    steps.iter().for_each(|step| world.step(step));
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn states_equal_those_of_an_uninterrupted_run(steps in steps()) {
        run(eager(), &steps);
    }

    #[test]
    fn also_when_hardly_anybody_fits_in_memory(steps in steps()) {
        run(StoreOptions { memory: 2000, ..eager() }, &steps);
    }
}

//! Processes that hand a partition to each other, compared with a map: what one publishes with its commits, another restores.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::{MemoryBackend, Published, StoreError, Survey};

/// What is outside: the blocks that were published, by their first hash, and what the group keeps of the last commit.
#[derive(Default)]
struct Outside {
    blocks: Vec<(u64, Vec<u8>)>,
    committed: u64,
    published: Published,
    by: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Events(Vec<(u8, bool)>),
    /// The process publishes about so many bytes and commits.
    Commit(usize),
    /// What was published and not committed never was.
    Abort(usize),
    /// The process ends, a part of what its store did not flush is lost, and this one goes on.
    Hand(usize, prop::sample::Index),
    /// The process's store is gone, and this one goes on.
    Lose(usize),
    /// Everything published is gone.
    LosePublished,
    /// Of the first so many records, those that later ones replace are gone.
    Compact(prop::sample::Index),
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0u8..120, prop::bool::weighted(0.03));
    let limit = prop_oneof![Just(0), 1usize..900, Just(usize::MAX)];
    let step = prop_oneof![
        6 => prop::collection::vec(event, 1..40).prop_map(Step::Events),
        8 => limit.clone().prop_map(Step::Commit),
        1 => limit.prop_map(Step::Abort),
        3 => (0usize..3, any::<prop::sample::Index>()).prop_map(|(to, lost)| Step::Hand(to, lost)),
        1 => (0usize..3).prop_map(Step::Lose),
        1 => Just(Step::LosePublished),
        2 => any::<prop::sample::Index>().prop_map(Step::Compact),
        3 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..90)
}

struct World {
    stores: Vec<MemoryBackend>,
    running: usize,
    users: PartitionStore<Seen>,
    outside: Outside,
    log: Vec<(String, bool)>,
    model: BTreeMap<String, Seen>,
    position: usize,
    restores: usize,
}

impl World {
    fn new() -> Self {
        let stores: Vec<_> = (0..3).map(|_| MemoryBackend::journaled()).collect();
        let users = open(&store(0, &stores[0]));
        let mut world = Self {
            stores,
            running: 0,
            users,
            outside: Outside::default(),
            log: Vec::new(),
            model: BTreeMap::new(),
            position: 0,
            restores: 0,
        };
        world.take(0);
        world
    }

    /// A process takes the partition: by its own store if that reaches far enough, from what was published otherwise.
    fn take(&mut self, process: usize) {
        let Outside { committed, published, by, blocks } = &mut self.outside;
        let store = store(process, &self.stores[process]);
        let mut users = open(&store);
        if blocks.is_empty() {
            *published = Published::default();
        }
        let mut known = *by == process && !blocks.is_empty();
        if users.committed().map_or(0, |commit| commit.next_input.0) < published.below.0 {
            drop(users);
            let mut survey = Survey::default();
            blocks.iter().for_each(|(_, block)| _ = survey.add(block).unwrap());
            survey.check(*published, Offset(*committed)).unwrap();
            let mut restorer = store.restore(PartitionId(0)).unwrap();
            blocks.iter().for_each(|(_, block)| restorer.add(block).unwrap());
            let restored = restorer.finish(*published, Offset(*committed));
            restored.unwrap();
            known = true;
            self.restores += 1;
            users = open(&store);
        }
        self.position = users.replay_from().0 as usize;
        users.begin_publishing(*published, known).unwrap();
        (self.running, self.users) = (process, users);
    }

    fn catch_up(&mut self) {
        while self.position < self.log.len() {
            let (key, removed) = &self.log[self.position];
            let at = self.position as u64;
            match removed {
                true => _ = self.users.remove(key, Offset(at)).unwrap(),
                false => _ = apply(&mut self.users, key, at),
            }
            self.position += 1;
            if self.position.is_multiple_of(13) {
                self.maintain();
            }
        }
        self.maintain();
    }

    fn maintain(&mut self) {
        let _ = self.users.maintain(Offset(self.position as u64)).unwrap();
    }

    fn publish(&mut self, limit: usize) -> (Vec<(u64, Vec<u8>)>, Published) {
        let mut blocks = Vec::new();
        let done = self.users.publish(limit, |range, bytes| {
            blocks.push((range.start, bytes.to_vec()));
            Ok::<_, StoreError>(())
        });
        done.unwrap();
        (blocks, self.users.published().unwrap())
    }

    fn commit(&mut self, limit: usize) {
        self.catch_up();
        let (blocks, published) = self.publish(limit);
        self.outside.blocks.extend(blocks);
        (self.outside.published, self.outside.by) = (published, self.running);
        self.outside.committed = self.position as u64;
        self.users.commit(commit_at(self.position as u64)).unwrap();
        self.maintain();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Events(events) => {
                for (user, removed) in events {
                    let key = format!("user {user}");
                    match removed {
                        true => _ = self.model.remove(&key),
                        false => self.model.entry(key.clone()).or_default().0.push(self.log.len() as u64),
                    }
                    self.log.push((key, *removed));
                }
            }
            Step::Commit(limit) => self.commit(*limit),
            Step::Abort(limit) => {
                self.catch_up();
                self.publish(*limit);
                self.take_after(self.running, |pending| pending);
            }
            Step::Hand(to, lost) => self.take_after(*to, |pending| lost.index(pending + 1)),
            Step::Lose(to) => {
                let running = self.running;
                self.take_after(running, |pending| pending);
                self.stores[running] = MemoryBackend::journaled();
                self.take_after(*to, |pending| pending);
            }
            Step::LosePublished => {
                self.outside.blocks.clear();
                // A process that goes on would not notice.
                self.take_after(self.running, |pending| pending);
            }
            Step::Compact(end) => {
                let end = end.index(self.outside.blocks.len() + 1);
                let later = self.outside.blocks.clone();
                let mut at = 0;
                self.outside.blocks.retain(|(start, _)| {
                    at += 1;
                    at > end || !later[at..].iter().any(|(later, _)| later == start)
                });
            }
            Step::Wait => std::thread::sleep(Duration::from_millis(2)),
        }
    }

    fn take_after(&mut self, next: usize, survive: impl FnOnce(usize) -> usize) {
        let idle = open(&store(0, &MemoryBackend::default()));
        self.users = idle;
        self.stores[self.running] = self.stores[self.running].crash(survive);
        self.take(next);
    }

    fn check(&mut self) {
        self.catch_up();
        assert_eq!(sweep(&mut self.users, 7), self.model);
    }
}

/// Each process makes blocks of another size, so that some split what others do not.
fn store(process: usize, backend: &MemoryBackend) -> Store {
    let options = StoreOptions { block_bytes: [150, 600, 90, 300][process], ..eager() };
    Store::with_backend(Box::new(backend.clone()), &identity(), options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn states_equal_those_of_one_process_however_often_the_partition_moves(steps in steps()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.check();
        // And a process that has nothing yet.
        world.commit(usize::MAX);
        std::thread::sleep(Duration::from_millis(2));
        world.commit(usize::MAX);
        world.stores.push(MemoryBackend::journaled());
        world.take_after(3, |pending| pending);
        world.check();
    }
}

#[test]
fn a_restored_partition_replays_only_what_was_not_published() {
    let mut world = World::new();
    let events: Vec<_> = (0..=119).map(|user| (user, false)).collect();
    world.step(&Step::Events(events));
    while world.outside.published.below < Offset(120) {
        world.commit(usize::MAX);
    }
    world.step(&Step::Events(vec![(3, false), (4, true)]));
    world.commit(0);
    let blocks = world.outside.blocks.len();
    let published = world.outside.published;
    assert!(blocks > 10 && published.below == Offset(120), "{published:?}");
    world.take_after(1, |pending| pending);
    assert_eq!((world.restores, world.position), (1, 120));
    assert_eq!(world.users.committed(), Some(&commit_at(122)));
    assert_eq!(world.users.users_in_blocks(), 120);
    world.check();
    // What it restored it does not publish again, but for the blocks of the two users that have changed since.
    world.commit(usize::MAX);
    assert!(world.outside.blocks.len() <= blocks + 2);

    // A block that is missing, and one that is damaged, are found, before anything gives way.
    let survey = |blocks: &[(u64, Vec<u8>)]| {
        let mut survey = Survey::default();
        blocks.iter().try_for_each(|(_, block)| survey.add(block).map(|_| ()))?;
        survey.check(published, Offset(122))
    };
    assert_eq!(survey(&world.outside.blocks), Ok(()));
    let mut damaged = world.outside.blocks.clone();
    *damaged[0].1.last_mut().unwrap() ^= 1;
    assert!(survey(&damaged).unwrap_err().contains("checksum"));
    let first = damaged[0].0;
    damaged.retain(|(start, _)| *start != first);
    assert!(survey(&damaged).unwrap_err().contains("is missing"));
}

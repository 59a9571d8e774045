//! The layout changes no score: not the number of partitions or workers, not the size of batches.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES, Surroundings, Workers};
use feature_store::StoreOptions;
use partition_log::{Log, MemoryLog, partition_for};
use support::stream::{Appender, Outgoing, Shape};
use support::{World, compare, stream};

#[derive(Debug, Clone, Copy)]
struct Layout {
    partitions: u32,
    workers: u32,
    batch: usize,
    /// Bytes of users in memory.
    memory: usize,
}

type ByUser = BTreeMap<String, Vec<String>>;

/// The scores, the challenger's scores and the reasons of the dead letters, by user.
fn run(world: &World, records: &[Outgoing], layout: Layout) -> [ByUser; 3] {
    let log = MemoryLog::new();
    stream::create(&log, layout.partitions);
    Appender::new(&log).append(records);
    let log: Arc<dyn Log> = Arc::new(log);
    let name = format!("{}-{}-{}-{}", layout.partitions, layout.workers, layout.batch, layout.memory);
    let mut options = world.options(&name, "registry");
    options.workers = Workers::Fixed(layout.workers);
    options.batch_events = layout.batch;
    options.state = StoreOptions {
        memory: layout.memory,
        snapshot_interval: Duration::from_millis(30),
        ..StoreOptions::default()
    };
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let mut letters = ByUser::new();
    for letter in compare::records(log.as_ref(), DEAD_LETTERS).into_iter().flatten() {
        let reason = letter.header(types::headers::REASON).unwrap();
        let detail = letter.header(types::headers::DETAIL).unwrap();
        letters.entry(letter.key).or_default().push(format!("{reason} {detail} {:?}", letter.value));
    }
    [SCORES, SHADOW_SCORES]
        .map(|topic| compare::scores_by_user(log.as_ref(), topic))
        .into_iter()
        .chain([letters])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[test]
fn the_layout_changes_no_score() {
    let seed = support::seed();
    let world = World::new(seed);
    let registry = world.registry("registry");
    let shape = Shape { users: if support::soak() { 1500 } else { 220 }, days: 16, empty: (5, 16) };
    world.promote(&registry, shape.days / 2);
    let records = stream::make(seed, shape);

    let layout = Layout { partitions: 1, workers: 1, batch: 10_000, memory: 64 << 20 };
    let [scores, shadow, letters] = run(&world, &records, layout);
    expect_variety(&scores, &shadow, &letters, shape);
    for (partitions, workers, batch) in others() {
        // Little memory, so that users leave it and come back.
        let layout = Layout { partitions, workers, batch, memory: 100 << 10 };
        let found = run(&world, &records, layout);
        println!("{layout:?}");
        for (what, expected, found) in [
            ("score", &scores, &found[0]),
            ("shadow score", &shadow, &found[1]),
            ("dead letter", &letters, &found[2]),
        ] {
            compare::same_users(&format!("{what} with {layout:?}"), expected, found);
        }
    }
}

/// Partitions, workers and batches: all there are of these in the long form, and in the short one each of them with some others.
fn others() -> Vec<(u32, u32, usize)> {
    if !support::soak() {
        return vec![
            (1, 4, 1),
            (4, 1, 100),
            (4, 2, 1),
            (4, 4, 10_000),
            (16, 1, 1),
            (16, 2, 10_000),
            (16, 4, 100),
        ];
    }
    let pairs = [1, 4, 16].into_iter().flat_map(|partitions| [1, 2, 4].map(|workers| (partitions, workers)));
    pairs
        .flat_map(|(partitions, workers)| [1, 100, 10_000].map(|batch| (partitions, workers, batch)))
        .collect()
}

#[test]
fn two_heavy_partitions_on_one_of_two_workers_come_to_both() {
    const PARTITIONS: u32 = 4;
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let log = MemoryLog::new();
    stream::create(&log, PARTITIONS);
    let mut appender = Appender::new(&log);
    let log: Arc<dyn Log> = Arc::new(log);
    let mut options = world.options("skewed", "registry");
    options.workers = Workers::Fixed(2);
    options.until_end = false;
    options.scaling.every = Duration::from_millis(20);
    options.scaling.cooldown = Duration::from_secs(2);
    let (around, began) = (Surroundings::new(), Instant::now());
    let run = {
        let (log, around) = (Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };
    // Much comes to partitions 0 and 2, which begin on the same worker.
    let users: Vec<Vec<String>> = (0..PARTITIONS)
        .map(|of| {
            let names = (0..).map(|number| format!("u{number}"));
            names.filter(|name| partition_for(name.as_bytes(), PARTITIONS).0 == of).take(20).collect()
        })
        .collect();
    let (mut together, mut made) = (false, 0);
    loop {
        assert!(began.elapsed() < Duration::from_secs(60) && !run.is_finished(), "it stays as it was");
        for (of, count) in [(0, 20), (1, 1), (2, 20), (3, 1)] {
            let at = stream::BEGIN.0 + began.elapsed().as_millis() as i64;
            let records: Vec<_> =
                users[of][..count].iter().map(|user| stream::plain(user, "play", at)).collect();
            made += records.len();
            appender.append(&records);
        }
        std::thread::sleep(Duration::from_millis(10));
        let partitions = around.status.read().partitions;
        let Some((first, third)) = partitions.first().zip(partitions.get(2)) else { continue };
        together |= first.worker == third.worker;
        if together && first.worker != third.worker {
            break;
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "it was placed anew before the cooldown");
    // Nothing is lost or twice on the way.
    while around.status.read().partitions.iter().any(|p| p.lag != Some(0)) {
        assert!(began.elapsed() < Duration::from_secs(90) && !run.is_finished(), "it does not go on");
        std::thread::sleep(Duration::from_millis(10));
    }
    around.shutdown.request("seen");
    run.join().unwrap().unwrap();
    let scores = compare::records(log.as_ref(), SCORES).into_iter().flatten().count();
    assert_eq!(scores, made);
}

/// A comparison of nothing proves nothing: everything that should be in the stream is.
fn expect_variety(scores: &ByUser, shadow: &ByUser, letters: &ByUser, shape: Shape) {
    let has = |of: &ByUser, word: &str| of.values().flatten().filter(|text| text.contains(word)).count();
    println!("{} users, {} scores", scores.len(), scores.values().map(Vec::len).sum::<usize>());
    assert!(scores.len() > shape.users * 9 / 10 && has(shadow, "sweep") > 100);
    for word in ["\"event\"", "\"sweep\"", "\"low\"", "\"medium\"", "\"high\"", "\"reasons\""] {
        assert!(has(scores, word) > 50, "few scores hold {word}: {}", has(scores, word));
    }
    let models: std::collections::BTreeSet<_> = scores
        .values()
        .flatten()
        .map(|text| text.split("\"model\":").nth(1).unwrap()[..18].to_owned())
        .collect();
    assert_eq!(models.len(), 2, "a promotion in the middle");
    for reason in
        ["late", "future", "duplicate", "invalid_json", "mapping", "unknown_system_type", "invalid_utf8"]
    {
        assert!(has(letters, reason) > 0, "no dead letter is {reason}");
    }
}

//! One behaviour each.

use super::*;
use crate::store::{MemoryBackend, Needs, Pressure, StoreError, rebuild};

fn store(backend: &MemoryBackend, options: StoreOptions) -> Store {
    Store::with_backend(Box::new(backend.clone()), &identity(), options).unwrap()
}

/// A store whose blocks hold 200 users, two events each.
fn filled(backend: &MemoryBackend) -> Store {
    let store = store(backend, eager());
    let mut users = open(&store);
    for at in 0..400 {
        assert!(apply(&mut users, &format!("user {}", at % 200), at));
    }
    users.commit(commit_at(400)).unwrap();
    users.snapshot_all().unwrap();
    store
}

#[test]
fn a_flipped_byte_in_any_record_is_found_and_never_served() {
    let backend = MemoryBackend::journaled();
    drop(filled(&backend));
    for key in backend.keys("partition-0") {
        backend.tamper("partition-0", &key, |value| {
            let at = value.len() / 2;
            value[at] ^= 0x10;
        });
        let store = store(&backend, eager());
        let error = match store.partition::<Seen>(PartitionId(0)) {
            Err(error) => error,
            Ok(mut users) => users.sweep(SweepCursor::START, usize::MAX, |_, _| ()).unwrap_err(),
        };
        assert!(matches!(error, StoreError::Damaged { partition: PartitionId(0), .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("checksum") && text.contains("rebuild the store from the log"), "{text}");
        backend.tamper("partition-0", &key, |value| {
            let at = value.len() / 2;
            value[at] ^= 0x10;
        });
    }
}

#[test]
fn a_block_in_anothers_place_or_missing_is_found() {
    let backend = MemoryBackend::journaled();
    drop(filled(&backend));
    let blocks: Vec<_> = backend.keys("partition-0").into_iter().filter(|key| key[0] == b'b').collect();
    let mut other = Vec::new();
    backend.tamper("partition-0", &blocks[0], |value| other = value.clone());
    backend.tamper("partition-0", &blocks[1], |value| *value = other);
    let mut users = open(&store(&backend, eager()));
    let error = users.sweep(SweepCursor::START, usize::MAX, |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("stands in its place"), "{error}");
}

#[test]
fn quiet_users_leave_memory_and_come_back() {
    let options = StoreOptions { memory: 20_000, ..eager() };
    let store = store(&MemoryBackend::default(), options);
    let mut users = open(&store);
    for at in 0..3000u64 {
        assert!(apply(&mut users, &format!("user {}", at % 1000), at));
        if at % 10 == 9 {
            if users.maintain(Offset(at + 1)).unwrap() == Pressure::Commit {
                users.commit(commit_at(at + 1)).unwrap();
            }
            // Between two batches memory exceeds the budget by an eighth and a batch at most.
            assert!(store.memory_bytes() < 20_000 * 9 / 8 + 10 * 300, "{}", store.memory_bytes());
        }
    }
    assert!(users.users_in_memory() < 200);
    let slot = users.get("user 17").unwrap().unwrap();
    assert_eq!(users.state(slot), &Seen(vec![17, 1017, 2017]));
    assert_eq!(sweep(&mut users, 100).len(), 1000);
    assert!(users.users_in_memory() < 200, "a sweep brings nobody into memory");
}

#[test]
fn a_removed_user_is_gone_from_memory_blocks_and_replay() {
    let backend = MemoryBackend::journaled();
    let store = filled(&backend);
    let mut users = open(&store);
    assert!(users.remove("user 5", Offset(400)).unwrap());
    assert!(!users.remove("nobody", Offset(401)).unwrap());
    assert_eq!(users.get("user 5").unwrap(), None);
    users.commit(commit_at(402)).unwrap();
    users.snapshot_all().unwrap();
    assert_eq!(users.users_in_blocks(), 199);
    drop(users);
    let mut users = open(&store);
    assert_eq!(users.get("user 5").unwrap(), None);
    assert!(apply(&mut users, "user 5", 402), "and may begin anew");
    let slot = users.get("user 5").unwrap().unwrap();
    assert_eq!(users.state(slot), &Seen(vec![402]));
}

#[test]
fn quiet_users_are_found_in_blocks_split_a_moment_ago() {
    let backend = MemoryBackend::default();
    let store = filled(&backend);
    let mut users = open(&store);
    let mut at = 400;
    for user in (0..200).step_by(3) {
        for _ in 0..30 {
            assert!(apply(&mut users, &format!("user {user}"), at));
            at += 1;
        }
    }
    let _ = users.maintain(Offset(at)).unwrap();
    users.commit(commit_at(at)).unwrap();
    // The writing thread splits the blocks; its answer waits for the next call of maintain.
    std::thread::sleep(Duration::from_millis(100));
    assert!(!users.replies.is_empty());
    let slot = users.get("user 2").unwrap().unwrap();
    assert_eq!(users.state(slot), &Seen(vec![2, 202]));
    assert_eq!(sweep(&mut users, 9).len(), 200);
    for user in (0..200).filter(|user| user % 3 > 0) {
        let slot = users.get(&format!("user {user}")).unwrap().unwrap();
        assert_eq!(users.state(slot), &Seen(vec![user, 200 + user]));
    }
}

#[test]
fn changes_beyond_the_commit_are_not_in_blocks() {
    let backend = MemoryBackend::default();
    let store = filled(&backend);
    let mut users = open(&store);
    assert!(apply(&mut users, "user 1", 400));
    let _ = users.maintain(Offset(401)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let error = users.snapshot_all().unwrap_err();
    assert_eq!(
        error.to_string(),
        "partition 0: states are at offset 401, the last commit at 400: commit first"
    );
    drop(users);
    let mut users = open(&store);
    let slot = users.get("user 1").unwrap().unwrap();
    assert_eq!(users.state(slot), &Seen(vec![1, 201]), "as if the event had never come");
    assert_eq!(users.replay_from(), Offset(400));
}

#[test]
fn partitions_are_apart_and_move_between_threads() {
    let store = store(&MemoryBackend::default(), eager());
    let [mut a, mut b] = [0, 1].map(|p| store.partition::<Seen>(PartitionId(p)).unwrap());
    assert!(matches!(store.partition::<Seen>(PartitionId(0)), Err(StoreError::PartitionInUse { .. })));
    assert!(matches!(store.partition::<Seen>(PartitionId(2)), Err(StoreError::NoSuchPartition { .. })));
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(apply(&mut a, "x", 0)));
        scope.spawn(|| assert!(apply(&mut b, "y", 7)));
    });
    let mut a = std::thread::spawn(move || {
        assert!(apply(&mut a, "x", 1));
        a
    })
    .join()
    .unwrap();
    assert_eq!(sweep(&mut a, 10), [("x".to_owned(), Seen(vec![0, 1]))].into());
    assert_eq!(sweep(&mut b, 10), [("y".to_owned(), Seen(vec![7]))].into());
}

#[test]
fn a_commit_never_goes_back() {
    let store = store(&MemoryBackend::default(), eager());
    let mut users = open(&store);
    users.commit(commit_at(5)).unwrap();
    assert!(matches!(users.commit(commit_at(4)), Err(StoreError::CommitGoesBack { .. })));
    assert_eq!(users.committed(), Some(&commit_at(5)));
}

#[test]
fn a_store_of_another_identity_is_refused_with_both_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), &identity(), eager()).unwrap());
    let other = StoreIdentity { partitions: 4, ..identity() };
    let error = Store::open(dir.path(), &other, eager()).err().unwrap().to_string();
    assert!(error.contains("built with partition count 2, but 4 is asked for: rebuild the store"), "{error}");
    let other = StoreIdentity { spec_hash: "ffff".to_owned(), ..identity() };
    let error = Store::open(dir.path(), &other, eager()).err().unwrap().to_string();
    assert!(error.contains("feature spec 0123456789abcdef, but ffff"), "{error}");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    let error = Store::open(dir.path(), &identity(), eager()).err().unwrap();
    assert!(error.to_string().contains("thesis.txt is not a store"), "{error}");
    assert!(rebuild(dir.path(), &identity(), &[]).is_err());
    assert_eq!(std::fs::read_to_string(dir.path().join("thesis.txt")).unwrap(), "years of work");

    let later = tempfile::tempdir().unwrap();
    drop(Store::open(later.path(), &identity(), eager()).unwrap());
    let path = later.path().join("store.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("format = 1", "format = 2");
    std::fs::write(&path, text).unwrap();
    let error = Store::open(later.path(), &identity(), eager()).err().unwrap();
    assert!(error.to_string().contains("its format is 2, known is 1"), "{error}");
}

#[test]
fn a_second_opener_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path(), &identity(), eager()).unwrap();
    assert!(matches!(Store::open(dir.path(), &identity(), eager()).err(), Some(StoreError::InUse { .. })));
    assert!(matches!(rebuild(dir.path(), &identity(), &[]), Err(StoreError::InUse { .. })));
}

#[test]
fn a_rebuild_empties_the_store_and_keeps_its_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &identity(), eager()).unwrap();
    let mut users = open(&store);
    assert!(apply(&mut users, "x", 0) && apply(&mut users, "y", 1));
    users.commit(commit_at(2)).unwrap();
    users.snapshot_all().unwrap();
    assert!(store.disk_bytes().unwrap() > 0);
    drop((users, store));

    let short = rebuild(dir.path(), &identity(), &[Offset(0), Offset(9)]).unwrap_err();
    assert!(short.to_string().contains("the log of partition 1 begins at offset 9"), "{short}");

    let rebuilt = rebuild(dir.path(), &identity(), &[Offset(0), Offset(0)]).unwrap();
    assert_eq!(rebuilt.without_commit, [PartitionId(1)]);
    let store = Store::open(dir.path(), &identity(), eager()).unwrap();
    let mut users = open(&store);
    assert_eq!((users.committed(), users.replay_from()), (Some(&commit_at(2)), Offset(0)));
    assert_eq!(sweep(&mut users, 10), BTreeMap::new());
    assert!(apply(&mut users, "x", 0) && apply(&mut users, "y", 1));
    assert_eq!(sweep(&mut users, 10).len(), 2);
    drop((users, store));

    // By another spec it goes on where it was; of another topic nothing is known.
    let other = StoreIdentity { spec_hash: "another".to_owned(), ..identity() };
    assert_eq!(rebuild(dir.path(), &other, &[]).unwrap().without_commit, [PartitionId(1)]);
    let users = open(&Store::open(dir.path(), &other, eager()).unwrap());
    assert_eq!((users.committed(), users.replay_from()), (Some(&commit_at(2)), Offset(0)));
    drop(users);
    let other = StoreIdentity { topic: "others".to_owned(), ..identity() };
    assert_eq!(rebuild(dir.path(), &other, &[]).unwrap().without_commit.len(), 2);
    assert_eq!(open(&Store::open(dir.path(), &other, eager()).unwrap()).committed(), None);
}

#[test]
fn what_a_store_needs_is_held_by_those_who_act_on_it_or_by_one_who_changes_it() {
    let dir = tempfile::tempdir().unwrap();
    let hold = |why| crate::store::hold_needs(dir.path(), why);
    let (one, another) = (hold(Needs::Acted).unwrap(), hold(Needs::Acted).unwrap());
    assert!(matches!(hold(Needs::Grow), Err(StoreError::NeedsHeld { .. })));
    drop((one, another));
    let alone = hold(Needs::Grow).unwrap();
    assert!(matches!(hold(Needs::Acted), Err(StoreError::NeedsHeld { .. })));
    drop(alone);
    assert!(hold(Needs::Acted).is_ok());
    assert!(Store::open(dir.path(), &identity(), eager()).is_ok(), "the folder is as good as empty");
}

#[test]
fn an_interrupted_rebuild_leaves_the_old_store_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let refill = || {
        let store = Store::open(dir.path(), &identity(), eager()).unwrap();
        let mut users = open(&store);
        let at = users.committed().map_or(0, |c| c.next_input.0);
        assert!(apply(&mut users, "x", at));
        users.commit(commit_at(at + 1)).unwrap();
        users.snapshot_all().unwrap();
        users.users_in_blocks()
    };
    refill();
    // Before the old database was moved away: the half-made one is dropped.
    std::fs::create_dir(path("sled.next")).unwrap();
    assert_eq!(refill(), 1);
    assert!(!path("sled.next").exists());
    // After it: the new one counts.
    std::fs::rename(path("sled"), path("sled.past")).unwrap();
    drop(crate::store::SledBackend::open(&path("sled.next"), 1 << 20).unwrap());
    let store = Store::open(dir.path(), &identity(), eager()).unwrap();
    assert_eq!(open(&store).users_in_blocks(), 0);
    assert!(path("sled").exists() && !path("sled.past").exists());
}

#[test]
fn blocks_written_since_a_commit_shorten_the_replay_though_nothing_comes() {
    let store = store(&MemoryBackend::default(), eager());
    let mut users = open(&store);
    for at in 0..100 {
        assert!(apply(&mut users, &format!("user {at}"), at));
    }
    users.commit(commit_at(100)).unwrap();
    assert!(users.replay_from() < Offset(100) && !users.can_settle());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !users.in_flight.is_empty() || !users.dirty.is_empty() {
        assert!(std::time::Instant::now() < deadline, "nothing is written");
        let _ = users.maintain(Offset(100)).unwrap();
    }
    assert!(users.can_settle());
    users.commit(commit_at(100)).unwrap();
    assert_eq!(users.replay_from(), Offset(100));
    assert!(!users.can_settle() && users.snapshot_age() == Duration::ZERO);
}

#[test]
fn bandwidth_overdrawn_in_a_hurry_does_not_hold_up_the_end() {
    // At a kilobyte a second what is written here would take minutes.
    let options = StoreOptions { bandwidth: 1_000, ..eager() };
    let store = store(&MemoryBackend::default(), options);
    let mut users = open(&store);
    for at in 0..20_000 {
        assert!(apply(&mut users, &format!("user {}", at % 5_000), at));
    }
    users.commit(commit_at(20_000)).unwrap();
    users.snapshot_all().unwrap();
    for at in 20_000..21_000 {
        assert!(apply(&mut users, &format!("user {at}"), at));
    }
    users.commit(commit_at(21_000)).unwrap();
    let _ = users.maintain(Offset(21_000)).unwrap();
    let begun = std::time::Instant::now();
    drop((users, store));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn during_a_replay_a_block_may_know_more_than_what_was_replayed() {
    let backend = MemoryBackend::journaled();
    let store = filled(&backend);
    let mut users = open(&store);
    assert!(apply(&mut users, "user 7", 400));
    users.commit(commit_at(401)).unwrap();
    drop((users, store));
    let store = self::store(&backend, eager());
    let mut users = open(&store);
    assert_eq!(users.replay_from(), Offset(400));
    assert_eq!(users.reaches("user 7", Offset(10)).unwrap(), Offset(400));
    assert_eq!(users.reaches("user 7", Offset(401)).unwrap(), Offset(401));
}

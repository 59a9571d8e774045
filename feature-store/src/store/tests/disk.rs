//! What lies on a real disk beneath sled: how much, and what becomes of it when bytes change or there is no room.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::store::{StoreError, rebuild};

/// A state that stays as large as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Sized(u64);

const SIZE: usize = 400;

impl StateValue for Sized {
    fn encode(&self, out: &mut Vec<u8>) {
        // Of bytes that do not repeat, so that nothing is gained by compressing them.
        let mut word = self.0;
        for _ in 0..SIZE / 8 {
            out.extend_from_slice(&word.to_le_bytes());
            word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ 0x5bf0_3635;
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError> {
        let first = bytes.first_chunk::<8>().filter(|_| bytes.len() == SIZE);
        first.map(|first| Self(u64::from_le_bytes(*first))).ok_or(DecodeStateError("another size"))
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

const USERS: u64 = 5_000;
/// What sled takes however little there is.
const MOST_AT_LEAST: u64 = 160 << 20;

/// Touches users all over the place, so that most blocks change, and writes everything.
fn round(users: &mut PartitionStore<Sized>, at: u64, events: u64) -> u64 {
    for event in at..at + events {
        let user = event.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let slot = users.entry(&format!("user {}", user % USERS), Offset(event), Sized::default).unwrap();
        users.state_mut(slot.unwrap()).0 = event;
    }
    users.commit(commit_at(at + events)).unwrap();
    users.snapshot_all().unwrap();
    at + events
}

#[test]
fn changes_without_end_take_no_more_room_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { block_bytes: 8 << 10, ..eager() };
    let store = Store::open(dir.path(), &identity(), options).unwrap();
    let mut users = store.partition::<Sized>(PartitionId(0)).unwrap();
    let mut at = round(&mut users, 0, 4 * USERS);
    let mut grow = |rounds: u32| {
        for _ in 0..rounds {
            at = round(&mut users, at, 300);
        }
        store.disk_bytes().unwrap()
    };
    // sled fills some sixty segments before it uses the first ones again.
    let (settled, later) = (grow(60), grow(60));
    let blocks = USERS * SIZE as u64;
    println!("{blocks} bytes of states, {settled} and later {later} on disk");
    assert!(later < settled + settled / 10, "{settled} became {later}");
    assert!(later < 4 * blocks + MOST_AT_LEAST, "{later} for {blocks} bytes of states");
}

/// How many events the log of the next test holds.
const END: u64 = 12_000;
/// How many bytes are changed, one after the other.
const TRIALS: usize = 90;

fn key_of(at: u64) -> String {
    format!("user {}", (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 300)
}

fn expected() -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::<String, Seen>::new();
    (0..END).for_each(|at| all.entry(key_of(at)).or_default().0.push(at));
    all
}

/// Opens the store, replays what it lacks, and says what it holds; or why it cannot.
fn recover(dir: &Path) -> Result<BTreeMap<String, Seen>, StoreError> {
    let store = Store::open(dir, &identity(), StoreOptions { block_bytes: 1_000, ..eager() })?;
    let mut users = store.partition::<Seen>(PartitionId(0))?;
    for at in users.replay_from().0..END {
        if let Some(slot) = users.entry(&key_of(at), Offset(at), Seen::default)? {
            users.state_mut(slot).0.push(at);
        }
    }
    let mut all = BTreeMap::new();
    let mut cursor = Some(SweepCursor::START);
    while let Some(from) = cursor {
        cursor = users.sweep(from, 100, |key, state| {
            all.insert(key.to_owned(), state.clone());
        })?;
    }
    Ok(all)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.metadata().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

/// Opens the store, and does what its error says if it cannot be used: the error, and what the store holds in the end.
fn recover_somehow(dir: &Path) -> (Option<String>, BTreeMap<String, Seen>) {
    match recover(dir) {
        Ok(held) => (None, held),
        Err(error) => {
            let rebuilt = rebuild(dir, &identity(), &[Offset::ZERO, Offset::ZERO]);
            rebuilt.unwrap_or_else(|second| panic!("{error}, and then {second}"));
            (Some(error.to_string()), recover(dir).unwrap())
        }
    }
}

#[test]
fn a_changed_byte_is_found_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).unwrap();
    let expected = expected();
    assert_eq!(recover(dir.path()).unwrap(), expected);

    let written: Vec<_> =
        files(dir.path()).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let in_database =
        |(bytes, path): &&(Vec<u8>, PathBuf)| path.parent() != Some(dir.path()) && !bytes.is_empty();
    let database: Vec<_> = written.iter().filter(in_database).collect();
    let mut random = 0x5eed_u64;
    let mut below = |end: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    let mut found = 0;
    for trial in 0..TRIALS {
        let (bytes, path) = database[trial % database.len()];
        // Much of the file is empty.
        let at = std::iter::repeat_with(|| below(bytes.len())).find(|at| bytes[*at] != 0).unwrap();
        let mut changed = bytes.clone();
        changed[at] ^= 1 << below(8);
        std::fs::write(path, &changed).unwrap();

        let (error, held) = recover_somehow(dir.path());
        assert_eq!(held, expected, "byte {at} of {}", path.display());
        if let Some(error) = error {
            assert!(error.contains("churnstream rebuild"), "{error}");
            found += 1;
        }
        std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
        std::fs::create_dir(dir.path().join("sled")).unwrap();
        for (bytes, path) in &written {
            std::fs::write(path, bytes).unwrap();
        }
    }
    println!("{found} of {TRIALS} changes were found, the others changed nothing");
    assert!(found > TRIALS / 2);
}

/// A small disk of its own, unmounted with the test; none where this may not be done.
struct SmallDisk(tempfile::TempDir);

/// Its size in KiB.
const DISK: usize = 32 << 10;

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={DISK}k");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever sled still holds open.
        _ = Command::new("umount").args(["--lazy"]).arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_beneath_sled_is_an_error_and_the_store_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        // Past what the test's runner captures: a test that passes would show nothing.
        std::io::stderr().write_all(b"SKIPPED: a small tmpfs cannot be mounted here\n").unwrap();
        return;
    };
    let (dir, ballast) = (disk.0.path().join("store"), disk.0.path().join("ballast"));
    for room in [60, 150, 300, 500] {
        // So much is left for what follows.
        std::fs::write(&ballast, vec![1; (DISK - room) << 10]).unwrap();
        let failed = fill(&dir).expect_err("the disk is full");
        assert!(failed.to_string().contains("No space left"), "with {room} KiB: {failed}");
        std::fs::remove_file(&ballast).unwrap();
        let (error, held) = recover_somehow(&dir);
        assert_eq!(error, None, "after a full disk nothing is damaged");
        assert_eq!(held, expected());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

/// Works until all is done or something fails.
fn fill(dir: &Path) -> Result<(), StoreError> {
    let store = Store::open(dir, &identity(), StoreOptions { block_bytes: 1_000, ..eager() })?;
    let mut users = store.partition::<Seen>(PartitionId(0))?;
    for at in 0..END {
        if let Some(slot) = users.entry(&key_of(at), Offset(at), Seen::default)? {
            users.state_mut(slot).0.push(at);
        }
        let _ = users.maintain(Offset(at + 1))?;
        if (at + 1).is_multiple_of(100) {
            users.commit(commit_at(at + 1))?;
        }
    }
    users.snapshot_all()
}

//! A real process with sled beneath it, killed at moments nobody chose.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const CHILD: &str = "STORE_TEST_CHILD";
const KILLS: u64 = 12;

/// The log: which user the event at an offset is about, and whether it removes them.
fn event(at: u64) -> (String, bool) {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (format!("user {}", mixed % 400), mixed.is_multiple_of(101))
}

fn advance(users: &mut PartitionStore<Seen>, events: std::ops::Range<u64>) {
    for at in events {
        match event(at) {
            (key, true) => _ = users.remove(&key, Offset(at)).unwrap(),
            (key, false) => _ = apply(users, &key, at),
        }
    }
}

fn expected(end: u64) -> BTreeMap<String, Seen> {
    let mut model = BTreeMap::<String, Seen>::new();
    for at in 0..end {
        match event(at) {
            (key, true) => _ = model.remove(&key),
            (key, false) => model.entry(key).or_default().0.push(at),
        }
    }
    model
}

fn reopen(dir: &Path) -> (Store, PartitionStore<Seen>, u64) {
    let options = StoreOptions { memory: 100_000, block_bytes: 4_000, ..eager() };
    let store = Store::open(dir, &identity(), options).unwrap();
    let users = open(&store);
    let committed = users.committed().map_or(0, |c| c.next_input.0);
    (store, users, committed)
}

/// What the killed process does: it replays, goes on for ever, and says each commit aloud once it is made.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let (_store, mut users, mut committed) = reopen(Path::new(&dir));
    let mut at = users.replay_from().0;
    // Should the parent fail, this ends by itself.
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        advance(&mut users, at..at + 50);
        at += 50;
        let _ = users.maintain(Offset(at)).unwrap();
        if at >= committed + 150 {
            committed = at;
            users.commit(commit_at(at)).unwrap();
            eprintln!("committed {at}");
        }
    }
}

#[test]
fn states_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = 0;
    let mut replayed = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::process::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Some commits, then a moment of no meaning.
        for line in lines.by_ref().take(3 + kill as usize % 4).map(Result::unwrap) {
            said = line.strip_prefix("committed ").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        }
        std::thread::sleep(Duration::from_micros(kill * 1_237 % 9_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let said_late = lines.filter_map(|l| l.ok()?.strip_prefix("committed ")?.parse().ok()).last();
        said = said_late.unwrap_or(said);

        let (_store, mut users, committed) = reopen(dir.path());
        assert!(committed >= said, "the commit at {said} was promised, {committed} is there");
        replayed += committed - users.replay_from().0;
        let (from, end) = (users.replay_from().0, committed + 33);
        advance(&mut users, from..end);
        assert_eq!(sweep(&mut users, 100), expected(end), "after kill {kill}, from {from} to {end}");
    }
    assert!(said > 300 * KILLS && replayed > 0, "the kills hit a working process");
}

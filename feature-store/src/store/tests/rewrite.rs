//! A database that is written anew: nothing of who was removed is left in its files, wherever that is interrupted.

use std::path::Path;

use super::*;
use crate::store::StoreError;
use crate::store::folder::{Step, rewrite, rewrite_until};

const USERS: u64 = 200;

fn name(n: u64) -> String {
    format!("customer-{n:04}-of-ours")
}

/// A store of users of whom one was removed after all were written.
fn fill(dir: &Path) {
    let store = Store::open(dir, &identity(), eager()).unwrap();
    let mut users = open(&store);
    for at in 0..USERS {
        assert!(apply(&mut users, &name(at), at));
    }
    users.commit(commit_at(USERS)).unwrap();
    users.snapshot_all().unwrap();
    assert!(users.remove(&name(7), Offset(USERS)).unwrap());
    users.commit(commit_at(USERS + 1)).unwrap();
    users.snapshot_all().unwrap();
}

/// Whether some file below a folder has a text in it.
fn is_in_files(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => is_in_files(&path, text),
        false => std::fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()),
    })
}

/// The store holds all but the user who was removed, and its commit.
fn check(dir: &Path) {
    let store = Store::open(dir, &identity(), eager()).unwrap();
    let mut users = open(&store);
    assert_eq!((users.committed(), users.replay_from()), (Some(&commit_at(USERS + 1)), Offset(USERS + 1)));
    let expected = (0..USERS).filter(|n| *n != 7).map(|n| (name(n), Seen(vec![n]))).collect();
    assert_eq!(sweep(&mut users, 50), expected);
    assert_eq!(users.users_in_blocks(), USERS - 1);
}

#[test]
fn a_user_who_was_removed_is_in_no_file_any_more() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    assert!(is_in_files(dir.path(), &name(7)), "a database keeps what it does not need any more");
    rewrite(dir.path()).unwrap();
    assert!(!is_in_files(dir.path(), &name(7)));
    assert!(is_in_files(dir.path(), &name(8)));
    check(dir.path());
    // What was rewritten goes on.
    let store = Store::open(dir.path(), &identity(), eager()).unwrap();
    let mut users = open(&store);
    assert!(apply(&mut users, &name(7), USERS + 1));
    drop((users, store));
    rewrite(dir.path()).unwrap();
    check(dir.path());
}

#[test]
fn interrupted_anywhere_the_store_is_whole_and_it_can_be_said_again() {
    for step in [Step::Copy, Step::Replace, Step::Remove, Step::Done] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let stop = |at| match at == step {
            true => Err(StoreError::NeedsHeld { dir: dir.path().to_owned() }),
            false => Ok(()),
        };
        let mut stop = stop;
        rewrite_until(dir.path(), &mut stop).unwrap_err();
        check(dir.path());
        rewrite(dir.path()).unwrap();
        assert!(!is_in_files(dir.path(), &name(7)), "{step:?}");
        check(dir.path());
    }
    // Killed between the two renames: the new one is whole.
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let at = |name: &str| dir.path().join(name);
    let stop = &mut |step| match step {
        Step::Remove => Err(StoreError::NeedsHeld { dir: dir.path().to_owned() }),
        _ => Ok(()),
    };
    rewrite_until(dir.path(), stop).unwrap_err();
    std::fs::rename(at("sled"), at("sled.next")).unwrap();
    check(dir.path());
    assert!(!is_in_files(dir.path(), &name(7)), "opening takes the new one, and removes the old");
}

#[test]
fn a_store_that_is_open_or_missing_is_not_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let error = rewrite(&dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    assert!(!dir.path().join("none").exists());
    let _store = Store::open(dir.path(), &identity(), eager()).unwrap();
    assert!(matches!(rewrite(dir.path()), Err(StoreError::InUse { .. })));
}

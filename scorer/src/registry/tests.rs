use super::*;
use crate::bundle::tests::write as write_bundle;

struct Fixture {
    dir: tempfile::TempDir,
    bundles: Vec<Bundle>,
    registry: Registry,
}

/// A registry and three bundles outside of it.
fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let bundles = (0..3_u8).map(|i| write_bundle(&dir.path().join(i.to_string()), f32::from(i))).collect();
    let registry = Registry::open(&dir.path().join("registry")).unwrap();
    Fixture { dir, bundles, registry }
}

impl Fixture {
    fn folder(&self) -> PathBuf {
        self.dir.path().join("registry")
    }

    fn schedule(&self) -> Schedule {
        Schedule::load(&self.folder()).unwrap()
    }

    /// Champion and challenger, as numbers of bundles, at moments.
    fn roles(&self, schedule: &Schedule, moments: &[i64]) -> Vec<(usize, Option<usize>)> {
        let number = |bundle: &Bundle| self.bundles.iter().position(|b| b.hash() == bundle.hash()).unwrap();
        let role = |&moment: &i64| {
            let moment = EventTime(moment);
            (number(schedule.champion(moment)), schedule.challenger(moment).map(|bundle| number(bundle)))
        };
        moments.iter().map(role).collect()
    }
}

#[test]
fn the_bundle_that_holds_at_a_moment_is_found() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    f.registry.challenge(&f.bundles[1], EventTime(200)).unwrap();
    f.registry.promote(&f.bundles[1], EventTime(300)).unwrap();
    f.registry.challenge(&f.bundles[0], EventTime(300)).unwrap();
    f.registry.challenge(&f.bundles[2], EventTime(400)).unwrap();
    f.registry.retire(&f.bundles[2], EventTime(500)).unwrap();
    let moments = [i64::MIN, 99, 100, 200, 299, 300, 400, 499, 500, i64::MAX];
    let roles = f.roles(&f.schedule(), &moments);
    let (zero, one, two) = (Some(0), Some(1), Some(2));
    let expected = [
        (0, None),
        (0, None),
        (0, None),
        (0, one),
        (0, one),
        (1, zero),
        (1, two),
        (1, two),
        (1, None),
        (1, None),
    ];
    assert_eq!(roles, expected);
}

#[test]
fn a_bundle_alone_holds_from_the_beginning() {
    let f = fixture();
    let schedule = Schedule::load(f.bundles[2].path()).unwrap();
    assert_eq!(f.roles(&schedule, &[i64::MIN, 0, i64::MAX]), [(2, None); 3]);
    assert!(schedule.reload().unwrap().is_none());
    assert!(matches!(Schedule::load(&f.folder()), Err(RegistryError::NoChampion { .. })));
}

#[test]
fn the_past_is_not_rewritten() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    let error = f.registry.promote(&f.bundles[1], EventTime(99)).unwrap_err();
    assert!(
        matches!(error, RegistryError::Earlier { from: EventTime(99), newest: EventTime(100) }),
        "{error}"
    );
    let error = f.registry.retire(&f.bundles[0], EventTime(100)).unwrap_err();
    assert!(matches!(error, RegistryError::NoChallenger { .. }), "{error}");
    assert_eq!(f.registry.entries().unwrap().len(), 1);
    // At the same moment the later entry wins.
    f.registry.promote(&f.bundles[1], EventTime(100)).unwrap();
    assert_eq!(f.roles(&f.schedule(), &[99, 100]), [(0, None), (1, None)]);
}

#[test]
fn reloading_only_appends() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    let before = f.schedule();
    assert!(before.reload().unwrap().is_none());
    f.registry.promote(&f.bundles[1], EventTime(200)).unwrap();
    let after = before.reload().unwrap().unwrap();
    assert_eq!(f.roles(&after, &[100, 200]), [(0, None), (1, None)]);
    assert_eq!(f.roles(&before, &[100, 200]), [(0, None), (0, None)]);
    assert!(
        std::ptr::eq(&**before.champion(EventTime(0)), &**after.champion(EventTime(0))),
        "bundles are shared"
    );

    let path = f.folder().join(ENTRIES);
    let text = fs::read_to_string(&path).unwrap();
    let (first, second) = text.split_once('\n').unwrap();
    fs::write(&path, format!("{first}\n")).unwrap();
    assert!(matches!(after.reload(), Err(RegistryError::Rewritten { .. })));
    fs::write(&path, second).unwrap();
    assert!(matches!(after.reload(), Err(RegistryError::Rewritten { .. })));
}

#[test]
fn a_line_cut_short_does_not_count_and_goes_with_the_next_append() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    f.registry.promote(&f.bundles[1], EventTime(200)).unwrap();
    let path = f.folder().join(ENTRIES);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for length in first..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(f.registry.entries().unwrap().len(), 1, "{length}");
    }
    f.registry.promote(&f.bundles[2], EventTime(150)).unwrap();
    assert_eq!(f.roles(&f.schedule(), &[100, 150]), [(0, None), (2, None)]);
}

#[test]
fn every_flipped_bit_of_a_line_is_an_error() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    f.registry.promote(&f.bundles[1], EventTime(200)).unwrap();
    let path = f.folder().join(ENTRIES);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap();
    for at in 0..first {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).unwrap();
            let error = f.registry.entries().unwrap_err();
            assert!(matches!(error, RegistryError::Damaged { line: 1, .. }), "byte {at} bit {bit}: {error}");
        }
    }
}

#[test]
fn a_bundle_changed_in_the_registry_is_refused() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    let target = f.folder().join(BUNDLES).join(f.bundles[0].hash());
    fs::remove_dir_all(&target).unwrap();
    f.bundles[1].copy_to(&target).unwrap();
    let error = Schedule::load(&f.folder()).unwrap_err();
    assert!(matches!(error, RegistryError::OtherBundle { .. }), "{error}");
}

#[test]
fn promotions_at_once_all_stay_and_none_is_written_twice_in_a_row() {
    let f = fixture();
    let twice = |error| match error {
        RegistryError::Already { .. } => Ok(()),
        other => Err(other),
    };
    std::thread::scope(|scope| {
        for bundle in &f.bundles {
            scope.spawn(|| {
                (0..20).for_each(|_| f.registry.promote(bundle, EventTime(7)).or_else(twice).unwrap())
            });
        }
    });
    let entries = f.registry.entries().unwrap();
    assert!(entries.len() >= 3 && entries.windows(2).all(|pair| pair[0] != pair[1]), "{entries:?}");
    f.schedule();
}

#[test]
fn an_entry_that_came_too_late_does_not_count_and_stays_so() {
    let f = fixture();
    f.registry.promote(&f.bundles[0], EventTime(100)).unwrap();
    f.registry.promote(&f.bundles[1], EventTime(200)).unwrap();
    let full = f.schedule();
    let cut = full.without(&[1]).unwrap();
    assert_eq!((cut.entries().len(), cut.refused()), (2, &[1][..]));
    assert_eq!(f.roles(&cut, &[150, 250]), [(0, None), (0, None)]);
    f.registry.promote(&f.bundles[2], EventTime(300)).unwrap();
    let extended = cut.reload().unwrap().unwrap();
    assert_eq!(f.roles(&extended, &[250, 350]), [(0, None), (2, None)]);
    let loaded = Schedule::load_without(&f.folder(), extended.refused()).unwrap();
    assert_eq!(f.roles(&loaded, &[250, 350]), [(0, None), (2, None)]);
    assert!(matches!(Schedule::load_without(&f.folder(), &[0, 1, 2]), Err(RegistryError::NoChampion { .. })));
}

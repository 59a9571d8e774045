use std::fs;

use types::EventTime;

use super::*;

/// One split on feature `b` at 0.5: margin -1 below, `right` otherwise.
pub(crate) fn model_json(right: f32) -> String {
    format!(
        r#"{{"learner":{{"feature_names":["a","b"],"gradient_booster":{{"name":"gbtree","model":{{
        "gbtree_model_param":{{"num_trees":"1"}},"tree_info":[0],"trees":[{{"tree_param":{{}},"left_children":[1,-1,-1],
        "right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[0.5,-1,{right}],"default_left":[1,0,0],
        "sum_hessian":[4,1,3]}}]}}}},"learner_model_param":{{"base_score":"5E-1","num_feature":"2"}},
        "objective":{{"name":"binary:logistic"}}}}}}"#
    )
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        spec_hash: "00112233aabbccdd".into(),
        feature_names: vec!["a".into(), "b".into()],
        horizon: Millis(30 * Millis::DAY.0),
        label: Some(Label {
            kind: LabelKind::Events,
            events: vec!["cancel".into()],
            lead: Millis(7 * Millis::DAY.0),
        }),
        bands: Bands { medium: 0.3, high: 0.7 },
        training: Training { from: EventTime(-5), to: EventTime(10), labels_decided: EventTime(40), rows: 7 },
        calibration: Calibration::Platt { slope: 0.1, intercept: -1.0 / 3.0 },
        metrics: [("auc".to_owned(), 0.1 + 0.2)].into(),
        meanings: [].into(),
        fitting: None,
        baselines: vec![Baseline {
            feature: "b".into(),
            borders: vec![0.1, 5.0],
            counts: vec![1, 2, 3],
            missing: 4,
            median: Some(0.2),
            users: Some(9),
            ageing: true,
        }],
    }
}

/// Writes a bundle whose right leaf, and so whose hash, is chosen.
pub(crate) fn write(folder: &Path, right: f32) -> Bundle {
    let json = model_json(right);
    Bundle::write(folder, &BundleParts { model: json.as_bytes(), manifest: manifest(), card: "# Card\n" })
        .unwrap()
}

#[test]
fn a_bundle_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let written = write(&dir.path().join("deep/er/bundle"), 2.0);
    let loaded = Bundle::load(written.path()).unwrap();
    assert_eq!(loaded.manifest(), &manifest());
    assert_eq!(loaded.hash(), written.hash());
    assert_eq!(loaded.hash().len(), 16);
    let mut margins = [0.0; 2];
    let predictor = loaded.predictor();
    predictor.margins(&[0.0, 0.0, 0.0, 1.0], &mut margins, &mut predictor.scratch());
    assert_eq!(margins, [-1.0, 2.0]);
    assert_eq!([0.29, 0.3, 0.7].map(|p| loaded.band(p)), [Band::Low, Band::Medium, Band::High]);
    assert_eq!(loaded.probability(2.0), manifest().calibration.apply(2.0));
    assert_eq!(fs::read_to_string(loaded.path().join(CARD)).unwrap(), "# Card\n");
    let left: Vec<_> = fs::read_dir(dir.path().join("deep/er")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing temporary is left");
}

#[test]
fn the_hash_covers_model_and_manifest_and_survives_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(&dir.path().join("1"), 2.0);
    assert_ne!(first.hash(), write(&dir.path().join("2"), 2.5).hash());
    let other = Manifest { horizon: Millis::DAY, ..manifest() };
    let json = model_json(2.0);
    let parts = BundleParts { model: json.as_bytes(), manifest: other, card: "" };
    assert_ne!(first.hash(), Bundle::write(&dir.path().join("3"), &parts).unwrap().hash());
    let copy = first.copy_to(&dir.path().join("copy")).unwrap();
    assert_eq!((first.hash(), first.manifest()), (copy.hash(), copy.manifest()));
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(&dir.path().join("b"), 2.0);
    let json = model_json(3.0);
    let parts = BundleParts { model: json.as_bytes(), manifest: manifest(), card: "" };
    assert!(matches!(Bundle::write(first.path(), &parts), Err(BundleError::Exists { .. })));
    assert_eq!(Bundle::load(first.path()).unwrap().hash(), first.hash());
}

#[test]
fn a_flipped_byte_in_the_model_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(&dir.path().join("b"), 2.0);
    let path = bundle.path().join("model.json");
    let changed = fs::read_to_string(&path).unwrap().replace("0.5", "0.6");
    fs::write(&path, changed).unwrap();
    let error = Bundle::load(bundle.path()).unwrap_err();
    assert!(matches!(error, BundleError::ModelChanged { .. }), "{error}");
}

#[test]
fn contradictions_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    type Change = fn(&mut Manifest);
    let cases: [(&str, Change); 10] = [
        ("feature 1 is `b` in the model and `c` in the manifest", |m| {
            m.feature_names[1] = "c".into();
            m.baselines.clear();
        }),
        ("the model has 2 features, the manifest names 1", |m| {
            m.feature_names.pop();
            m.baselines.clear();
        }),
        ("it must not be less than 0", |m| m.horizon = Millis(-1)),
        ("the lead is", |m| m.label.as_mut().unwrap().lead = Millis(-1)),
        ("the bands begin at 0.8 and 0.7", |m| m.bands.medium = 0.8),
        ("the bands begin at NaN", |m| m.bands.medium = f32::NAN),
        ("the training window", |m| m.training.labels_decided = EventTime(9)),
        ("the metric auc is NaN", |m| *m.metrics.get_mut("auc").unwrap() = f64::NAN),
        ("a baseline of `z`", |m| m.baselines[0].feature = "z".into()),
        ("not a non-decreasing function", |m| {
            m.calibration = Calibration::Platt { slope: -1.0, intercept: 0.0 }
        }),
    ];
    for (expected, change) in cases {
        let mut manifest = manifest();
        change(&mut manifest);
        let json = model_json(2.0);
        let parts = BundleParts { model: json.as_bytes(), manifest, card: "" };
        let error = Bundle::write(&dir.path().join("b"), &parts).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_manifest_cannot_point_out_of_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(&dir.path().join("b"), 2.0);
    let path = bundle.path().join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    for (old, new, expected) in [
        ("model.json", "../x/model.json", "the model file is `../x/model.json`"),
        ("version = 1", "version = 2", "its version is 2"),
        ("horizon", "horizont", "unknown field"),
    ] {
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let error = Bundle::load(bundle.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn another_spec_is_refused_with_both_named() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(&dir.path().join("b"), 2.0);
    let names = manifest().feature_names;
    bundle.check_spec("00112233aabbccdd", &names).unwrap();
    let error = bundle.check_spec("ffff", &names).unwrap_err().to_string();
    assert!(error.contains("00112233aabbccdd") && error.contains("ffff"), "{error}");
    let error = bundle.check_spec("00112233aabbccdd", &names[..1]).unwrap_err().to_string();
    assert!(error.contains("feature 1 is `b`") && error.contains("`-`"), "{error}");
}

#[test]
fn what_is_usual_is_the_median_or_the_middle_of_its_bin() {
    let baseline = manifest().baselines.remove(0);
    assert_eq!(baseline.usual(), Some(0.2));
    let older = Baseline { median: None, ..baseline };
    // Three of six lie in the open last bin.
    assert!(older.usual().is_some_and(|usual| (usual - 2.55).abs() < 1e-6));
    assert_eq!(Baseline { counts: vec![1, 2, 9], ..older.clone() }.usual(), None);
    assert_eq!(Baseline { counts: vec![0, 0, 0], ..older }.usual(), None);
}

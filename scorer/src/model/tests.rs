use super::*;

/// One split on feature 1 at 0.5 (left -1, right 2) and a leaf of 0.25, base score 0.5.
const SMALL: &str = r#"{"learner":{"feature_names":["a","b"],"gradient_booster":{"name":"gbtree","model":{
    "gbtree_model_param":{"num_trees":"2","num_parallel_tree":"1"},"tree_info":[0,0],"trees":[
    {"tree_param":{"size_leaf_vector":"1"},"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],
     "split_conditions":[0.5,-1,2],"default_left":[1,0,0],"sum_hessian":[4,1,3]},
    {"tree_param":{},"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[0.25],
     "default_left":[false],"sum_hessian":[4]}]}},
    "learner_model_param":{"base_score":"5E-1","num_feature":"2","num_class":"0"},"objective":{"name":"binary:logistic"}}}"#;

fn message(json: &str) -> String {
    Model::from_bytes(json.as_bytes()).unwrap_err().to_string()
}

/// The same value in UBJSON, as XGBoost writes it: 64-bit lengths, announced array lengths, typed number arrays.
fn ubj(value: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value;
    fn text(text: &str, out: &mut Vec<u8>) {
        out.push(b'L');
        out.extend((text.len() as i64).to_be_bytes());
        out.extend(text.as_bytes());
    }
    match value {
        Value::Null => out.push(b'Z'),
        Value::Bool(value) => out.push(if *value { b'T' } else { b'F' }),
        Value::Number(number) => match number.as_i64() {
            Some(int) => {
                out.push(b'L');
                out.extend(int.to_be_bytes());
            }
            None => {
                out.push(b'd');
                out.extend((number.as_f64().unwrap() as f32).to_be_bytes());
            }
        },
        Value::String(string) => {
            out.push(b'S');
            text(string, out);
        }
        Value::Array(values) => {
            out.extend(b"[#L");
            out.extend((values.len() as i64).to_be_bytes());
            values.iter().for_each(|value| ubj(value, out));
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (key, value) in fields {
                text(key, out);
                ubj(value, out);
            }
            out.push(b'}');
        }
    }
}

fn small_ubj() -> Vec<u8> {
    let mut bytes = Vec::new();
    ubj(&serde_json::from_str(SMALL).unwrap(), &mut bytes);
    bytes
}

#[test]
fn a_row_goes_left_below_the_threshold_and_without_a_value_by_default() {
    for model in [Model::from_bytes(SMALL.as_bytes()).unwrap(), Model::from_bytes(&small_ubj()).unwrap()] {
        assert_eq!(model.feature_names(), ["a", "b"]);
        assert_eq!((model.depth(), model.trees().len()), (1, 2));
        let margins =
            [0.49, 0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|b| model.margin(&[f32::NAN, b]));
        assert_eq!(margins, [-0.75, 2.25, -0.75, 2.25, -0.75]);
    }
}

#[test]
fn both_forms_of_the_base_score_are_read() {
    let base = |text: &str| {
        Model::from_bytes(SMALL.replace("5E-1", text).as_bytes())
            .map(|model| model.base_margin())
            .map_err(|e| e.to_string())
    };
    assert_eq!(base("[2.5E-1]"), base("0.25"));
    assert_eq!(base("0.25").unwrap(), (1.0_f32 / 3.0).ln());
    assert!(base("0").unwrap() < -13.0 && base("1").unwrap() > 13.0);
    assert!(base("[1E-1,2E-1]").unwrap_err().contains("several outputs"));
    for bad in ["2", "-1", "NaN", "inf", "", "[]"] {
        assert!(base(bad).unwrap_err().contains("base_score"), "{bad}");
    }
    let raw = SMALL.replace("binary:logistic", "binary:logitraw").replace("5E-1", "-4.8E-1");
    assert_eq!(Model::from_bytes(raw.as_bytes()).unwrap().base_margin(), -0.48);
}

#[test]
fn damage_is_named() {
    let cases = [
        // A cycle, a shared child, children out of range, half a leaf.
        (r#""left_children":[1,-1,-1]"#, r#""left_children":[0,-1,-1]"#, "tree 0: node 0 has two parents"),
        (r#""left_children":[1,-1,-1]"#, r#""left_children":[2,-1,-1]"#, "tree 0: node 2 has two parents"),
        (r#""left_children":[1,-1,-1]"#, r#""left_children":[1,3,-1]"#, "node 1 has the children 3 and -1"),
        (r#""left_children":[1,-1,-1]"#, r#""left_children":[-1,-1,-1]"#, "node 0 has the children -1 and 2"),
        (
            r#""left_children":[1,-1,-1]"#,
            r#""left_children":[1,-1]"#,
            "tree 0: 2 nodes, but 3 values in right_children",
        ),
        (r#""split_indices":[1,0,0]"#, r#""split_indices":[2,0,0]"#, "node 0 splits by feature 2 of 2"),
        (r#""split_indices":[1,0,0]"#, r#""split_indices":[-1,0,0]"#, "node 0 splits by feature -1 of 2"),
        (r#"[0.5,-1,2]"#, "[1e99,-1,2]", "node 0 has the value inf"),
        (r#"[0.5,-1,2]"#, r#"[0.5,-1,"2"]"#, "is not a number"),
        (r#"[0.5,-1,2]"#, "7", "expected a list of numbers"),
        (r#""sum_hessian":[4]"#, r#""sum_hessian":[-4]"#, "tree 1: node 0 has the cover -4"),
        (r#""num_trees":"2""#, r#""num_trees":"3""#, "2 trees where 3 are announced"),
        (r#""tree_info":[0,0]"#, r#""tree_info":[0,1]"#, "several outputs"),
        (r#""feature_names":["a","b"]"#, r#""feature_names":["a"]"#, "1 feature names for 2 features"),
        (r#""num_feature":"2""#, r#""num_feature":"4000000000""#, "the model has 4000000000 features"),
        (r#""default_left":[1,0,0]"#, r#""default_left":[2,0,0]"#, "2 is no truth value"),
        (r#""size_leaf_vector":"1""#, r#""size_leaf_vector":"3""#, "leaves with several outputs"),
    ];
    for (good, bad, expected) in cases {
        let json = SMALL.replace(good, bad);
        assert_ne!(json, SMALL, "{good}");
        assert!(message(&json).contains(expected), "{bad}: {}", message(&json));
    }
    assert!(message(r#"{"learner":{"gradient_booster":{"name":"gbtree"}}}"#).contains("missing field"));
    assert!(message("").contains("not an XGBoost model"));
}

#[test]
fn files_cut_short_are_refused_everywhere() {
    for bytes in [SMALL.as_bytes(), &small_ubj()] {
        for length in 0..bytes.len() {
            assert!(Model::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
    assert!(Model::from_bytes(&[&small_ubj()[..], b"Z"].concat()).is_err());
}

#[test]
fn lengths_beyond_the_file_and_endless_nesting_cost_nothing() {
    let huge = i64::MAX.to_be_bytes();
    let hostile: [Vec<u8>; 6] = [
        [b"{L".as_slice(), &huge].concat(),
        [b"{i\x07learner[$L#L".as_slice(), &huge].concat(),
        [b"{i\x07learner[$Z#L".as_slice(), &huge].concat(),
        [b"{i\x01x[#L".as_slice(), &huge].concat(),
        [b"{i\x01x".as_slice(), &b"[".repeat(1_000_000)].concat(),
        [b"{i\x01xS".as_slice(), b"L", &(-1_i64).to_be_bytes()].concat(),
    ];
    for bytes in hostile {
        assert!(matches!(Model::from_bytes(&bytes), Err(ModelError::Ubj { .. })));
    }
    for json in
        ["[".repeat(1_000_000), r#"{"x":"#.repeat(1_000_000), format!(r#"{{"x":{}"#, "[".repeat(1_000_000))]
    {
        assert!(message(&json).contains("not an XGBoost model"));
    }
}

#[test]
fn a_way_of_any_length_is_walked() {
    // A chain: every split's right child splits again.
    let splits = 100_000;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for at in 0..splits {
        left.extend([2 * at + 1, -1]);
        right.extend([2 * at + 2, -1]);
    }
    left.push(-1);
    right.push(-1);
    let nodes = left.len();
    let mut file: serde_json::Value = serde_json::from_str(SMALL).unwrap();
    let tree = &mut file["learner"]["gradient_booster"]["model"]["trees"][0];
    tree["left_children"] = left.into();
    tree["right_children"] = right.into();
    tree["split_indices"] = vec![1; nodes].into();
    tree["split_conditions"] = vec![0.5; nodes].into();
    tree["default_left"] = vec![0; nodes].into();
    tree["sum_hessian"] = vec![1; nodes].into();
    let model = Model::from_bytes(file.to_string().as_bytes()).unwrap();
    assert_eq!(model.depth(), splits as usize);
    assert_eq!(model.margin(&[0.0, 1.0]), 0.75);
}

#[test]
fn probabilities_stay_between_0_and_1() {
    assert_eq!(probability(0.0), 0.5);
    let extremes = [f32::MIN, -1e6, -88.8, -20.0, 20.0, 88.8, 1e6, f32::MAX].map(probability);
    assert!(extremes.is_sorted() && extremes[0] > 0.0 && extremes[7] == 1.0, "{extremes:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_file_never_panics(at: proptest::sample::Index, byte: u8, json: bool) {
        let mut bytes = if json { SMALL.as_bytes().to_vec() } else { small_ubj() };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(model) = Model::from_bytes(&bytes) {
            let _ = model.margin(&vec![f32::NAN; model.n_features()]);
        }
    }
}

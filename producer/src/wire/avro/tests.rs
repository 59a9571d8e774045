use apache_avro::types::Value;
use apache_avro::{Schema as Theirs, to_avro_datum};
use proptest::prelude::*;
use serde_json::json;
use types::RejectReason;

use super::*;

/// What a value becomes that another implementation of Avro wrote.
fn through(schema: &serde_json::Value, value: Value) -> Result<serde_json::Value, RejectReason> {
    let text = schema.to_string();
    let bytes = to_avro_datum(&Theirs::parse_str(&text).unwrap(), value).unwrap();
    decode(&AvroSchema::compile(&text, &[]).unwrap(), &bytes)
}

fn decode(schema: &AvroSchema, bytes: &[u8]) -> Result<serde_json::Value, RejectReason> {
    let mut json = Vec::new();
    schema.decode(bytes, &mut json).map_err(|error| error.reason)?;
    Ok(serde_json::from_slice(&json).unwrap())
}

fn of(schema: &str) -> AvroSchema {
    AvroSchema::compile(schema, &[]).unwrap()
}

#[test]
fn every_type_becomes_what_a_map_reads() {
    let logical = |kind: &str, meaning: &str| json!({"type": kind, "logicalType": meaning});
    let shop = json!({"type": "enum", "name": "did", "symbols": ["watch", "pay"]});
    let fixed = json!({"type": "fixed", "name": "f", "size": 2});
    let nullable = json!(["null", "string"]);
    let text = |text: &str| Value::String(text.to_owned());
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2});
    let list = json!({"type": "array", "items": "int"});
    let map = json!({"type": "map", "values": "long"});
    let ms = 1_709_200_800_123_i64;
    for (schema, value, expected) in [
        (json!("null"), Value::Null, json!(null)),
        (json!("boolean"), Value::Boolean(true), json!(true)),
        (json!("int"), Value::Int(i32::MIN), json!(i32::MIN)),
        (json!("long"), Value::Long(i64::MIN), json!(i64::MIN)),
        (json!("long"), Value::Long(i64::MAX), json!(i64::MAX)),
        (json!("float"), Value::Float(0.1), json!(0.1)),
        (json!("double"), Value::Double(-2.5e-300), json!(-2.5e-300)),
        (json!("double"), Value::Double(f64::NAN), json!("NaN")),
        (json!("float"), Value::Float(f32::NEG_INFINITY), json!("-Infinity")),
        (json!("string"), text("é\"\n"), json!("é\"\n")),
        (json!("bytes"), Value::Bytes(vec![1, 2, 255]), json!("AQL/")),
        (fixed, Value::Fixed(2, vec![255, 0]), json!("/wA=")),
        (shop, Value::Enum(1, "pay".into()), json!("pay")),
        (nullable.clone(), Value::Union(0, Box::new(Value::Null)), json!(null)),
        (nullable, Value::Union(1, Box::new(text("x"))), json!("x")),
        (list.clone(), Value::Array(vec![Value::Int(1), Value::Int(-1)]), json!([1, -1])),
        (list, Value::Array(vec![]), json!([])),
        (map, Value::Map([("a.b".to_owned(), Value::Long(7))].into()), json!({"a.b": 7})),
        (logical("long", "timestamp-millis"), Value::TimestampMillis(ms), json!(ms)),
        (logical("long", "timestamp-micros"), Value::TimestampMicros(ms * 1000), json!(ms * 1000)),
        (
            logical("long", "local-timestamp-millis"),
            Value::LocalTimestampMillis(ms),
            json!("2024-02-29T10:00:00.123"),
        ),
        (logical("int", "date"), Value::Date(19_782), json!("2024-02-29")),
        (logical("int", "time-millis"), Value::TimeMillis(5), json!(5)),
        (decimal, Value::Decimal((-1250_i32).to_be_bytes().to_vec().into()), json!("-12.50")),
    ] {
        assert_eq!(through(&schema, value.clone()), Ok(expected), "{schema} {value:?}");
    }
    let uuid = r#"{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}"#;
    let bytes: Vec<u8> = (0..16).collect();
    assert_eq!(decode(&of(uuid), &bytes), Ok(json!("00010203-0405-0607-0809-0a0b0c0d0e0f")));
}

#[test]
fn decimals_keep_all_their_digits() {
    let schema = |scale: u32| {
        of(&json!({"type": "bytes", "logicalType": "decimal", "precision": 80, "scale": scale}).to_string())
    };
    for (number, scale, expected) in [
        (0_i128, 0, "0"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (123_456, 3, "123.456"),
        (-1, 0, "-1"),
        (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        (i128::MAX, 30, "170141183.460469231731687303715884105727"),
    ] {
        let content = [&[32][..], &number.to_be_bytes()].concat();
        assert_eq!(decode(&schema(scale), &content), Ok(json!(expected)));
    }
    assert_eq!(decode(&schema(2), &[0]), Ok(json!("0.00")));
    let long = [&[0x82, 1][..], &[1; 65]].concat();
    assert_eq!(decode(&schema(2), &long), Err(RejectReason::InvalidEncoding));
    // What is no decimal by the specification is only bytes.
    for wrong in [
        r#""precision":200,"scale":101"#,
        r#""precision":2,"scale":3"#,
        r#""scale":0"#,
        r#""precision":9,"scale":-1"#,
    ] {
        let schema = of(&format!(r#"{{"type":"bytes","logicalType":"decimal",{wrong}}}"#));
        assert_eq!(decode(&schema, &[4, 1, 2]), Ok(json!("AQI=")), "{wrong}");
    }
}

#[test]
fn records_hold_others_and_themselves() {
    let text = r#"{"type":"record","name":"shop.Event","fields":[
        {"name":"who","type":{"type":"record","name":"Who","fields":[{"name":"id","type":"string"}]}},
        {"name":"by","type":["null","Who"]},
        {"name":"before","type":["null","shop.Event"]}]}"#;
    let schema = of(text);
    // "a", by "b", before it an event of "c".
    let content = [2, b'a', 2, 2, b'b', 2, 2, b'c', 0, 0];
    let expected = json!({"who": {"id": "a"}, "by": {"id": "b"}, "before": {"who": {"id": "c"}, "by": null, "before": null}});
    assert_eq!(decode(&schema, &content), Ok(expected));
    for (path, is) in [
        ("who.id", true),
        ("by.id", true),
        ("before.before.who.id", true),
        ("who.x", false),
        ("who.id.x", false),
    ] {
        assert_eq!(schema.has(path), is, "{path}");
    }
    // As deep as one likes is too deep.
    let deep = [2, b'a', 0, 2].repeat(1000);
    assert_eq!(decode(&schema, &deep), Err(RejectReason::InvalidEncoding));
}

#[test]
fn types_may_be_defined_elsewhere() {
    let money =
        r#"{"type":"record","name":"Money","namespace":"common","fields":[{"name":"minor","type":"long"}]}"#;
    let event = r#"{"type":"record","name":"E","namespace":"shop","fields":[{"name":"amount","type":"common.Money"}]}"#;
    let schema = AvroSchema::compile(event, &[("common.Money".into(), money.into())]).unwrap();
    assert_eq!(decode(&schema, &[4]), Ok(json!({"amount": {"minor": 2}})));
    assert!(AvroSchema::compile(event, &[]).unwrap_err().contains("common.Money"));
    for bad in [
        "",
        "{",
        "7",
        "{}",
        r#"{"type":"record","name":"A"}"#,
        r#"["null",["int"]]"#,
        r#"{"type":"array"}"#,
        r#"{"type":"fixed","name":"f"}"#,
    ] {
        assert!(AvroSchema::compile(bad, &[]).is_err(), "{bad}");
    }
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    let bad = RejectReason::InvalidEncoding;
    for (schema, content, reason) in [
        (r#""boolean""#, &[2][..], bad),
        (r#""boolean""#, &[], bad),
        (r#""int""#, &[0x80, 0x80, 0x80, 0x80, 0x10], bad),
        (r#""long""#, &[0xff; 11], bad),
        (r#""long""#, &[0x80], bad),
        (r#""long""#, &[2, 2], bad),
        (r#""double""#, &[0; 7], bad),
        (r#""string""#, &[4, b'a'], bad),
        (r#""string""#, &[1], bad),
        (r#""string""#, &[2, 0xff], RejectReason::InvalidUtf8),
        (r#""bytes""#, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], bad),
        (r#"["null","int"]"#, &[4], bad),
        (r#"["null","int"]"#, &[1], bad),
        (r#"{"type":"enum","name":"e","symbols":["a"]}"#, &[2], bad),
        (r#"{"type":"array","items":"int"}"#, &[2, 2], bad),
        (
            r#"{"type":"array","items":"int"}"#,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0],
            bad,
        ),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            &[0xfe, 0xff, 0xff, 0xff, 0x0f],
            RejectReason::TimeOutOfRange,
        ),
        // Items without bytes: nothing but the bound ends them.
        (
            r#"{"type":"array","items":"null"}"#,
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            RejectReason::TooLarge,
        ),
    ] {
        assert_eq!(decode(&of(schema), content), Err(reason), "{schema} {content:?}");
    }
}

const NESTED: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"a","type":["null","string","bytes",{"type":"map","values":"double"}]},
    {"name":"b","type":{"type":"array","items":["float","E",{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}]}},
    {"name":"c","type":{"type":"long","logicalType":"local-timestamp-nanos"}}]}"#;

/// Values of that schema, with numbers that JSON does not have and records in records.
fn nested() -> impl Strategy<Value = Value> {
    let record = |(a, b, c): (Value, Vec<Value>, i64)| {
        Value::Record(vec![
            ("a".into(), a),
            ("b".into(), Value::Array(b)),
            ("c".into(), Value::LocalTimestampNanos(c)),
        ])
    };
    let union = |at: u32| move |value: Value| Value::Union(at, Box::new(value));
    let a = move || {
        prop_oneof![
            Just(union(0)(Value::Null)),
            any::<String>().prop_map(move |text| union(1)(Value::String(text))),
            any::<Vec<u8>>().prop_map(move |bytes| union(2)(Value::Bytes(bytes))),
            proptest::collection::hash_map(any::<String>(), any::<f64>().prop_map(Value::Double), 0..4)
                .prop_map(move |map| union(3)(Value::Map(map))),
        ]
    };
    let single = (f32::MIN..f32::MAX).prop_map(Value::Float);
    let odd =
        prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)].prop_map(Value::Float);
    let decimal = proptest::collection::vec(any::<u8>(), 1..9).prop_map(|b| Value::Decimal(b.into()));
    let leaf = prop_oneof![single.prop_map(union(0)), odd.prop_map(union(0)), decimal.prop_map(union(2))];
    let inner = leaf.clone().prop_recursive(4, 30, 5, move |item| {
        (a(), proptest::collection::vec(item, 0..4), any::<i64>()).prop_map(record).prop_map(union(1))
    });
    (a(), proptest::collection::vec(inner, 0..4), any::<i64>()).prop_map(record)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_all_json_can_be_read(value in nested(), broken in any::<(prop::sample::Index, u8)>()) {
        let mut content = to_avro_datum(&Theirs::parse_str(NESTED).unwrap(), value).unwrap();
        let schema = of(NESTED);
        let mut json = Vec::new();
        schema.decode(&content, &mut json).unwrap();
        serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        // One byte another: what is read all the same must be JSON too.
        let (at, by) = broken;
        *at.get_mut::<u8>(&mut content) ^= by;
        json.clear();
        if schema.decode(&content, &mut json).is_ok() {
            serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        }
    }

    #[test]
    fn what_another_implementation_writes_is_read(
        name in "\\PC{0,20}", number in any::<i64>(), list in proptest::collection::vec(any::<f64>(), 0..20), yes in any::<Option<bool>>()
    ) {
        let schema = json!({"type": "record", "name": "E", "fields": [
            {"name": "name", "type": "string"}, {"name": "number", "type": "long"},
            {"name": "list", "type": {"type": "array", "items": "double"}}, {"name": "yes", "type": ["boolean", "null"]}]});
        let list: Vec<f64> = list.into_iter().filter(|n| n.is_finite()).collect();
        let union = yes.map_or(Value::Union(1, Box::new(Value::Null)), |yes| Value::Union(0, Box::new(Value::Boolean(yes))));
        let value = Value::Record(vec![
            ("name".into(), Value::String(name.clone())),
            ("number".into(), Value::Long(number)),
            ("list".into(), Value::Array(list.iter().map(|n| Value::Double(*n)).collect())),
            ("yes".into(), union),
        ]);
        // As text: what is read again from it may differ in a number's last bit.
        let text = schema.to_string();
        let bytes = to_avro_datum(&Theirs::parse_str(&text).unwrap(), value).unwrap();
        let mut found = Vec::new();
        of(&text).decode(&bytes, &mut found).unwrap();
        let (name, list, yes) = (json!(name), json!(list), json!(yes));
        let expected = format!(r#"{{"name":{name},"number":{number},"list":{list},"yes":{yes}}}"#);
        prop_assert_eq!(String::from_utf8(found).unwrap(), expected);
    }
}

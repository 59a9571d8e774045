use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, Value};
use serde_json::json;
use types::RejectReason;

use super::*;

const COMMON: &str =
    r#"syntax = "proto3"; package common; message Money { int64 minor = 1; string currency = 2; }"#;
const MAIN: &str = r#"
syntax = "proto3";
package shop;
import "common.proto";
import "google/protobuf/timestamp.proto";
enum Did { WATCH = 0; PAY = 1; }
message Event {
  string user_id = 1;
  google.protobuf.Timestamp at = 2;
  Did did = 3;
  int64 nr = 4;
  optional double price = 5;
  common.Money amount = 6;
  map<string, int32> counts = 7;
  repeated Inner inner = 8;
  bytes raw = 9;
  message Inner { string name = 1; message Deep { bool yes = 1; } }
}
message Other { uint64 big = 1; float f = 2; Other again = 3; }
"#;

fn schema() -> ProtobufSchema {
    ProtobufSchema::compile(MAIN, &[("common.proto".into(), COMMON.into())]).unwrap()
}

fn kind(schema: &ProtobufSchema, name: &str) -> MessageDescriptor {
    schema.file.parent_pool().get_message_by_name(name).unwrap()
}

fn decode(schema: &ProtobufSchema, indexes: &[u8], message: &DynamicMessage) -> serde_json::Value {
    let content = [indexes, &message.encode_to_vec()].concat();
    let mut json = Vec::new();
    schema.decode(&content, &mut json).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn every_type_becomes_what_a_map_reads() {
    let schema = schema();
    let mut event = DynamicMessage::new(kind(&schema, "shop.Event"));
    event.set_field_by_name("user_id", Value::String("u1".into()));
    event.set_field_by_name("nr", Value::I64(9_007_199_254_740_993));
    event.set_field_by_name("did", Value::EnumNumber(1));
    event.set_field_by_name("raw", Value::Bytes(vec![1, 2, 255].into()));
    let mut at = DynamicMessage::new(kind(&schema, "google.protobuf.Timestamp"));
    at.set_field_by_name("seconds", Value::I64(1_709_200_800));
    at.set_field_by_name("nanos", Value::I32(250_000_000));
    event.set_field_by_name("at", Value::Message(at));
    let mut money = DynamicMessage::new(kind(&schema, "common.Money"));
    money.set_field_by_name("minor", Value::I64(1999));
    event.set_field_by_name("amount", Value::Message(money));
    let mut inner = DynamicMessage::new(kind(&schema, "shop.Event.Inner"));
    inner.set_field_by_name("name", Value::String("i".into()));
    event.set_field_by_name("inner", Value::List(vec![Value::Message(inner)]));
    // One zero stands for the first message, and so does the whole list.
    for indexes in [&[0_u8][..], &[2, 0]] {
        assert_eq!(
            decode(&schema, indexes, &event),
            json!({
                "user_id": "u1", "at": "2024-02-29T10:00:00.250Z", "did": "PAY", "nr": 9_007_199_254_740_993_i64,
                "amount": {"minor": 1999, "currency": ""}, "counts": {}, "inner": [{"name": "i"}], "raw": "AQL/",
            })
        );
    }
    // Presence is told apart from the default where the file wants it.
    event.set_field_by_name("price", Value::F64(0.0));
    event.set_field_by_name("did", Value::EnumNumber(77));
    let decoded = decode(&schema, &[0], &event);
    assert_eq!((&decoded["price"], &decoded["did"]), (&json!(0.0), &json!(77)));
}

#[test]
fn indexes_lead_to_the_message() {
    let schema = schema();
    let mut other = DynamicMessage::new(kind(&schema, "shop.Other"));
    other.set_field_by_name("big", Value::U64(u64::MAX));
    assert_eq!(decode(&schema, &[2, 2], &other), json!({"big": u64::MAX, "f": 0.0}));
    // The map's entry is no message of the text, so `Inner` comes first.
    let mut inner = DynamicMessage::new(kind(&schema, "shop.Event.Inner"));
    inner.set_field_by_name("name", Value::String("i".into()));
    assert_eq!(decode(&schema, &[4, 0, 0], &inner), json!({"name": "i"}));
    let mut deep = DynamicMessage::new(kind(&schema, "shop.Event.Inner.Deep"));
    deep.set_field_by_name("yes", Value::Bool(true));
    assert_eq!(decode(&schema, &[6, 0, 0, 0], &deep), json!({"yes": true}));
    for bad in [&[][..], &[2], &[2, 4], &[4, 0, 2], &[1], &[200, 1, 0], &[0xff; 11]] {
        let error = schema.decode(bad, &mut Vec::new()).unwrap_err();
        assert_eq!(error.reason, RejectReason::InvalidEncoding, "{bad:?}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let schema = schema();
    for bad in [&[0, 0x0a, 5, b'a'][..], &[0, 0x0a, 1, 0xff], &[0, 0xff], &[0, 0x07]] {
        assert_eq!(schema.decode(bad, &mut Vec::new()).unwrap_err().reason, RejectReason::InvalidEncoding);
    }
    // Messages in messages, deeper than anybody means it.
    let (mut content, again) = (Vec::new(), 0x1a_u8);
    for _ in 0..300 {
        let mut outer = vec![again];
        prost_reflect::prost::encoding::encode_varint(content.len() as u64, &mut outer);
        outer.extend_from_slice(&content);
        content = outer;
    }
    let content = [&[2, 2][..], &content].concat();
    assert_eq!(schema.decode(&content, &mut Vec::new()).unwrap_err().reason, RejectReason::InvalidEncoding);
}

#[test]
fn what_defaults_make_of_few_bytes_is_bounded() {
    let fields: String =
        (1..=500).map(|n| format!("int32 a_field_with_quite_a_long_name_{n} = {n};")).collect();
    let text = format!("syntax = \"proto3\"; message A {{ repeated B b = 1; }} message B {{ {fields} }}");
    let schema = ProtobufSchema::compile(&text, &[]).unwrap();
    let content = [&[0][..], &[0x0a, 0].repeat(20_000)].concat();
    let mut json = Vec::new();
    assert_eq!(schema.decode(&content, &mut json).unwrap_err().reason, RejectReason::TooLarge);
    assert!(json.len() <= super::super::LARGEST_JSON);
}

#[test]
fn files_that_do_not_compile_say_why() {
    let missing = ProtobufSchema::compile(MAIN, &[]).unwrap_err();
    assert!(missing.contains("common.proto"), "{missing}");
    assert!(ProtobufSchema::compile("message {", &[]).is_err());
}

#[test]
fn columns_are_found_in_messages() {
    let schema = schema();
    for (column, is) in [
        ("user_id", true),
        ("amount.minor", true),
        ("amount.none", false),
        ("at", true),
        ("counts.any", true),
        ("inner.0.name", true),
        ("inner.0.none", false),
        ("nr.x", false),
        ("none", false),
    ] {
        assert_eq!(schema.has(&[0], column), Some(is), "{column}");
    }
    assert_eq!(schema.has(&[2, 9], "user_id"), None);
    let again = DynamicMessage::new(kind(&schema, "shop.Other")).descriptor();
    assert_eq!(again.full_name(), "shop.Other");
}

#[test]
fn any_in_any_is_left_out_however_deep() {
    let text = "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; message A { string a = 1; google.protobuf.Any b = 2; B c = 3; } message B { repeated google.protobuf.Any d = 1; }";
    let schema = ProtobufSchema::compile(text, &[]).unwrap();
    let field = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost_reflect::prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    let mut any = Vec::new();
    for _ in 0..20_000 {
        any = [field(1, b"/google.protobuf.Any"), field(2, &any)].concat();
    }
    let content = [vec![0], field(1, b"x"), field(2, &any), field(3, &field(1, &any))].concat();
    let mut json = Vec::new();
    schema.decode(&content, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["a"], json["b"].is_object(), json["c"]["d"][0].is_object()),
        (&"x".into(), false, false)
    );
}

#[test]
fn what_serializers_know_by_themselves_may_be_imported() {
    let text = r#"
syntax = "proto3";
package shop;
import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/type/date.proto";
import "google/type/money.proto";
message Paid {
  option (confluent.message_meta).doc = "What was paid";
  string user_id = 1 [(confluent.field_meta).tags = "PII"];
  google.type.Money price = 2;
  google.type.Date day = 3;
  confluent.type.Decimal fee = 4 [(confluent.field_meta) = { params: [{ key: "precision", value: "9" }] }];
}
"#;
    let schema = ProtobufSchema::compile(text, &[]).unwrap();
    let mut paid = DynamicMessage::new(kind(&schema, "shop.Paid"));
    paid.set_field_by_name("user_id", Value::String("u1".into()));
    let mut price = DynamicMessage::new(kind(&schema, "google.type.Money"));
    price.set_field_by_name("currency_code", Value::String("EUR".into()));
    price.set_field_by_name("units", Value::I64(12));
    paid.set_field_by_name("price", Value::Message(price));
    assert_eq!(
        decode(&schema, &[0], &paid),
        json!({"user_id": "u1", "price": {"currency_code": "EUR", "units": 12, "nanos": 0}})
    );
    // A reference of that name is what its writer means.
    let own = "syntax = \"proto3\"; package google.type; message Money { string all = 1; }";
    let schema = ProtobufSchema::compile(text, &[("google/type/money.proto".into(), own.into())]).unwrap();
    assert_eq!(kind(&schema, "google.type.Money").fields().count(), 1);
}

#[test]
fn every_known_file_compiles() {
    for (name, _) in known::KNOWN {
        ProtobufSchema::compile(&format!("syntax = \"proto3\"; import \"{name}\"; message Own {{}}"), &[])
            .unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

//! Values in Confluent's wire format, by fixed schemas: any bytes are JSON or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use producer::wire::{self, Schema};

const AVRO: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"at","type":{"type":"long","logicalType":"local-timestamp-micros"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","scale":2}},
    {"name":"any","type":["null","boolean","string","float","E",{"type":"map","values":"double"}]},
    {"name":"list","type":{"type":"array","items":["null",{"type":"enum","name":"K","symbols":["a","b"]}]}},
    {"name":"id","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}]}"#;
const PROTOBUF: &str = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
    message E { string id = 1; google.protobuf.Timestamp at = 2; map<string, E> more = 3; repeated int64 list = 4;
      oneof one { bytes raw = 5; double number = 6; } google.protobuf.Value value = 7; message Inner { optional K k = 1; } }
    enum K { A = 0; B = 1; }"#;

static SCHEMAS: LazyLock<[Schema; 2]> = LazyLock::new(|| {
    [("AVRO", AVRO), ("PROTOBUF", PROTOBUF)]
        .map(|(kind, text)| Schema::compile(kind, text, &[]).expect("it is a schema"))
});

fuzz_target!(|value: &[u8]| {
    let Ok((id, content)) = wire::split(value) else { return };
    let mut json = Vec::new();
    if SCHEMAS[id as usize % 2].decode(content, &mut json).is_ok() {
        assert!(json.len() <= wire::LARGEST_JSON + wire::LARGEST * 8);
        serde_json::from_slice::<serde::de::IgnoredAny>(&json).expect("what was written is JSON");
    }
});

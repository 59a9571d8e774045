//! Score v1 as JSON, written by hand: what never changes between two scores of a bundle is rendered once.
//!
//! The bytes are those that `serde_json` writes for [`types::Score`]; a test compares the two.

use scorer::{Bundle, Signals, Strongest};
use types::{Band, PartitionId, Trigger, push_int, push_json_str};

use super::Row;

/// The parts of a score's JSON that depend on the bundle alone.
#[derive(Debug)]
pub(crate) struct ScoreTemplate {
    entity_type: Vec<u8>,
    horizon: Vec<u8>,
    model_and_spec: Vec<u8>,
}

impl ScoreTemplate {
    pub(crate) fn new(bundle: &Bundle, entity: &str) -> Self {
        let mut entity_type = b"\",\"entity_type\":".to_vec();
        push_json_str(&mut entity_type, entity);
        entity_type.extend_from_slice(b",\"entity\":");
        let mut horizon = b",\"horizon\":".to_vec();
        push_json_str(&mut horizon, &bundle.horizon().to_string());
        horizon.extend_from_slice(b",\"margin\":");
        let mut model_and_spec = b"\",\"model\":".to_vec();
        push_json_str(&mut model_and_spec, bundle.hash());
        model_and_spec.extend_from_slice(b",\"spec\":");
        push_json_str(&mut model_and_spec, bundle.spec_hash());
        model_and_spec.extend_from_slice(b",\"source\":{\"partition\":");
        Self { entity_type, horizon, model_and_spec }
    }

    /// Writes everything up to the reasons.
    pub(crate) fn begin(
        &self,
        out: &mut Vec<u8>,
        partition: PartitionId,
        row: &Row<'_>,
        margin: f32,
        probability: f32,
        band: Band,
    ) {
        let (partition, offset) = (i64::from(partition.0), row.offset.0.cast_signed());
        out.extend_from_slice(b"{\"v\":1,\"id\":\"");
        push_int(out, partition);
        out.push(b'-');
        push_int(out, offset);
        if row.trigger == Trigger::Sweep {
            // A tick causes many scores: the entity tells them apart. Its quotes are the string's own.
            out.push(b'-');
            let quote = out.len();
            push_json_str(out, row.entity);
            out.remove(quote);
            out.pop();
        }
        out.extend_from_slice(&self.entity_type);
        push_json_str(out, row.entity);
        out.extend_from_slice(b",\"as_of\":");
        push_int(out, row.as_of.0);
        out.extend_from_slice(&self.horizon);
        push_float(out, margin);
        out.extend_from_slice(b",\"probability\":");
        push_float(out, probability);
        out.extend_from_slice(b",\"band\":\"");
        out.extend_from_slice(band.name().as_bytes());
        out.extend_from_slice(&self.model_and_spec);
        push_int(out, partition);
        out.extend_from_slice(b",\"offset\":");
        push_int(out, offset);
        out.extend_from_slice(b"},\"trigger\":\"");
        out.extend_from_slice(row.trigger.name().as_bytes());
        out.push(b'"');
    }

    /// Writes the reasons.
    pub(crate) fn reasons(
        &self,
        out: &mut Vec<u8>,
        names: &[String],
        features: &[f32],
        signals: &Signals,
        reasons: &[Strongest],
    ) {
        if reasons.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"reasons\":[");
        for (i, &Strongest { feature, effect }) in reasons.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"feature\":");
            push_json_str(out, &names[feature]);
            out.extend_from_slice(b",\"value\":");
            push_float(out, features[feature]);
            out.extend_from_slice(b",\"effect\":");
            push_float(out, effect);
            if let Some(usual) = signals.usual(feature) {
                out.extend_from_slice(b",\"usual\":");
                push_float(out, usual);
            }
            if let Some(text) = signals.text(feature, features[feature]) {
                out.extend_from_slice(b",\"text\":");
                push_json_str(out, &text);
            }
            out.push(b'}');
        }
        out.push(b']');
    }

    /// Closes the object.
    pub(crate) fn end(&self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

/// Appends the shortest decimal that reads back as the same number; `null` for what is none.
fn push_float(out: &mut Vec<u8>, number: f32) {
    if number.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

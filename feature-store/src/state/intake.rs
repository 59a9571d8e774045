//! What a spec keeps of an event: its rule, the conditions that it meets, and its values.

use types::{Event, RejectReason, Value};

use crate::spec::plan::{POWERS, Plan, SlotKind};
use crate::spec::{Condition, Scalar};

use super::record::Record;

/// The largest scaled value, either way: sums of squares of millions of them fit an i128.
pub(crate) const MAX_SCALED: i64 = 1 << 50;
/// Texts are told apart by this much of their hash: eight bytes in the log.
const TEXT_BITS: u64 = (1 << 56) - 1;

/// Why an event is refused, without the words: those are made when they are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unfit<'a> {
    pub(crate) reason: RejectReason,
    pub(crate) field: &'a str,
}

impl Record {
    /// Becomes the record of an event; whether the plan wants it at all. O(fields wanted x fields).
    pub(crate) fn take<'p>(&mut self, plan: &'p Plan, event: &Event<'_>) -> Result<bool, Unfit<'p>> {
        let rule_number = plan.rule_of(&event.kind);
        let rule = &plan.rules[rule_number];
        let mut bits = 0;
        for (i, condition) in rule.conditions.iter().enumerate() {
            bits |= u64::from(meets(condition, event)) << i;
        }
        let met = bits;
        for (i, slot) in rule.slots.iter().enumerate() {
            if !slot.always && slot.conditions & met == 0 {
                continue;
            }
            let Some(value) = event.field(&slot.field) else { continue };
            let code = match &slot.kind {
                SlotKind::Number { scale } => scaled(value, *scale),
                SlotKind::Text => {
                    with_text(value, |text| (xxhash_rust::xxh3::xxh3_64(text) & TEXT_BITS) as i64)
                }
                SlotKind::Category(codes) => with_text(value, |text| {
                    let found = codes.binary_search_by(|(known, _)| known.as_bytes().cmp(text));
                    found.map_or(0, |at| i64::from(codes[at].1))
                }),
            };
            match code {
                Ok(Some(code)) => {
                    self.set_value(i, code);
                    bits |= 1 << (rule.conditions.len() + i);
                }
                Ok(None) => {}
                Err(reason) => return Err(Unfit { reason, field: &slot.field }),
            }
        }
        self.set_event(rule_number, bits, event.ts.0);
        Ok(rule.wanted || bits != 0)
    }
}

/// The value as a whole number of 10^-scale, rounded half to even; nothing for null.
fn scaled(value: &Value<'_>, scale: u32) -> Result<Option<i64>, RejectReason> {
    let whole = match *value {
        Value::Null => return Ok(None),
        Value::Str(_) | Value::Other => return Err(RejectReason::WrongType),
        Value::Float(number) => {
            let scaled = (number * POWERS[scale as usize]).round_ties_even();
            if scaled.is_nan() || scaled.abs() > MAX_SCALED as f64 {
                return Err(RejectReason::NumberOutOfRange);
            }
            return Ok(Some(scaled as i64));
        }
        Value::Int(number) => number,
        Value::Bool(truth) => i64::from(truth),
        Value::Money { minor, .. } => minor,
    };
    let scaled = i128::from(whole) * POWERS[scale as usize] as i128;
    if scaled.abs() > i128::from(MAX_SCALED) {
        return Err(RejectReason::NumberOutOfRange);
    }
    Ok(Some(scaled as i64))
}

/// What `make` gives for the value as text: whole numbers in decimal, truths in words; nothing for null.
fn with_text(value: &Value<'_>, make: impl FnOnce(&[u8]) -> i64) -> Result<Option<i64>, RejectReason> {
    match value {
        Value::Null => Ok(None),
        Value::Str(text) => Ok(Some(make(text.as_bytes()))),
        Value::Bool(truth) => Ok(Some(make(if *truth { b"true" } else { b"false" }))),
        Value::Int(number) => {
            let mut digits = [0; 20];
            let mut at = digits.len();
            let mut rest = number.unsigned_abs();
            while rest > 0 || at == digits.len() {
                at -= 1;
                digits[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            if *number < 0 {
                at -= 1;
                digits[at] = b'-';
            }
            Ok(Some(make(&digits[at..])))
        }
        Value::Float(_) | Value::Money { .. } | Value::Other => Err(RejectReason::WrongType),
    }
}

fn meets(condition: &Condition, event: &Event<'_>) -> bool {
    let value = match event.field(&condition.field) {
        None | Some(Value::Null) => return false,
        Some(value) => value,
    };
    let number = match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        Value::Money { minor, .. } => Some(*minor as f64),
        _ => None,
    };
    let among = |list: &[Scalar]| {
        list.iter().any(|scalar| match (scalar, value) {
            (Scalar::Text(text), Value::Str(s)) => text == s,
            (Scalar::Bool(truth), Value::Bool(b)) => truth == b,
            (Scalar::Int(n), Value::Int(i)) => n == i,
            (Scalar::Int(n), _) => number == Some(*n as f64),
            (Scalar::Float(n), _) => number == Some(*n),
            _ => false,
        })
    };
    condition.is.as_deref().is_none_or(among)
        && !condition.not.as_deref().is_some_and(among)
        && condition.min.is_none_or(|min| number.is_some_and(|n| n >= min))
        && condition.max.is_none_or(|max| number.is_some_and(|n| n <= max))
}

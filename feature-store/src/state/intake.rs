//! What a spec keeps of an event: its rule, the conditions that it meets, and its values.

use types::{Event, RejectReason, Value};

use crate::spec::plan::{MAX_SLOTS, POWERS, Plan, SlotKind};
use crate::spec::{Condition, Scalar};

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

/// An event as the log stores it.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) ts: i64,
    pub(crate) rule: usize,
    /// From the lowest: the conditions that it meets, then the slots that have a value.
    pub(crate) bits: u64,
    pub(crate) values: [i64; MAX_SLOTS],
}

impl Incoming {
    /// Reads what the plan wants of an event; `None` if it wants nothing. O(fields wanted x fields).
    pub(crate) fn read<'p>(plan: &'p Plan, event: &Event<'_>) -> Result<Option<Self>, Unfit<'p>> {
        let mut incoming =
            Self { ts: event.ts.0, rule: plan.rule_of(&event.kind), bits: 0, values: [0; MAX_SLOTS] };
        let rule = &plan.rules[incoming.rule];
        for (i, condition) in rule.conditions.iter().enumerate() {
            incoming.bits |= u64::from(meets(condition, event)) << i;
        }
        let met = incoming.bits;
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
                    incoming.values[i] = code;
                    incoming.bits |= 1 << (rule.conditions.len() + i);
                }
                Ok(None) => {}
                Err(reason) => return Err(Unfit { reason, field: &slot.field }),
            }
        }
        Ok((rule.wanted || incoming.bits != 0).then_some(incoming))
    }
}

/// The value as a whole number of 10^-scale, rounded half to even; nothing for null.
fn scaled(value: &Value<'_>, scale: u32) -> Result<Option<i64>, RejectReason> {
    let power = 10_i128.pow(scale);
    let whole = match *value {
        Value::Null => return Ok(None),
        Value::Str(_) | Value::Other => return Err(RejectReason::WrongType),
        Value::Float(number) => {
            let scaled = (number * POWERS[scale as usize]).round_ties_even();
            // Written so that NaN fails too.
            if !(scaled.abs() <= MAX_SCALED as f64) {
                return Err(RejectReason::NumberOutOfRange);
            }
            return Ok(Some(scaled as i64));
        }
        Value::Int(number) => number,
        Value::Bool(truth) => i64::from(truth),
        Value::Money { minor, .. } => minor,
    };
    let scaled = i128::from(whole) * power;
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

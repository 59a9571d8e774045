//! Fields of events: which column, as what, in which unit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use types::{RejectReason, Value};

use super::apply::Reject;
use super::cell::Cell;
use super::compile::Slots;
use super::error::KeyError;
use super::file::{FieldEntry, FieldKind, FieldSection};
use super::number::{Number, NumberError, NumberStyle, minor_digits};

/// A field and where its value comes from.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) name: String,
    from: From,
    required: bool,
}

#[derive(Debug)]
enum From {
    Constant(Value<'static>),
    Column { slot: usize, column: String, to: To },
}

#[derive(Debug)]
enum To {
    Auto,
    Number { scale: Option<f64> },
    Text,
    Bool,
    Money { currency: Currency, minor: bool },
}

#[derive(Debug)]
enum Currency {
    Constant(String),
    Slot(usize),
}

impl FieldPlan {
    pub(crate) fn compile(
        fields: BTreeMap<String, FieldEntry>,
        key: &str,
        slots: &mut Slots,
    ) -> Result<Vec<Self>, KeyError> {
        fields.into_iter().map(|(name, entry)| Self::compile_one(name, entry, key, slots)).collect()
    }

    fn compile_one(name: String, entry: FieldEntry, key: &str, slots: &mut Slots) -> Result<Self, KeyError> {
        let section = match entry {
            FieldEntry::Column(column) => {
                let from = From::Column { slot: slots.of(&column), column, to: To::Auto };
                return Ok(Self { name, from, required: false });
            }
            FieldEntry::Table(section) => *section,
        };
        let wrong = |message: &str| Err(KeyError::new(format!("{key}.{name}"), message));
        let FieldSection { column, constant, kind, scale, currency, currency_column, minor, required } =
            section;
        let money = kind == FieldKind::Money;
        if !money && (currency.is_some() || currency_column.is_some() || minor) {
            return wrong("currency, currency_column and minor go with kind = \"money\" only");
        }
        if scale.is_some() && kind != FieldKind::Number {
            return wrong("scale goes with kind = \"number\" only");
        }
        if scale.is_some_and(|s| !s.is_finite() || s == 0.0) {
            return wrong("scale must be a finite number other than 0");
        }
        let (column, constant) = match (column, constant) {
            (Some(column), None) => (column, None),
            (None, Some(constant)) => (String::new(), Some(constant)),
            _ => return wrong("give either `column` or `constant`"),
        };
        if let Some(constant) = constant {
            let value = match constant {
                toml::Value::String(text) => Value::Str(Cow::Owned(text)),
                toml::Value::Integer(n) => Value::Int(n),
                toml::Value::Float(n) if n.is_finite() => Value::Float(n),
                toml::Value::Boolean(yes) => Value::Bool(yes),
                _ => return wrong("a constant is text, a finite number, true or false"),
            };
            return Ok(Self { name, from: From::Constant(value), required });
        }
        let to = match (kind, currency, currency_column) {
            (FieldKind::Auto, ..) => To::Auto,
            (FieldKind::Number, ..) => To::Number { scale },
            (FieldKind::Text, ..) => To::Text,
            (FieldKind::Bool, ..) => To::Bool,
            (FieldKind::Money, Some(code), None) if is_code(&code) => {
                To::Money { currency: Currency::Constant(code), minor }
            }
            (FieldKind::Money, None, Some(column)) => {
                To::Money { currency: Currency::Slot(slots.of(&column)), minor }
            }
            (FieldKind::Money, ..) => {
                return wrong(
                    "money needs `currency`, three capital letters as in EUR, or `currency_column`",
                );
            }
        };
        Ok(Self { name, from: From::Column { slot: slots.of(&column), column, to }, required })
    }

    /// The field's value in a row; `None` where the row has none.
    pub(crate) fn value<'r>(
        &'r self,
        cells: &'r [Cell<'_>],
        numbers: &NumberStyle,
    ) -> Result<Option<Value<'r>>, Reject> {
        let (slot, column, to) = match &self.from {
            From::Constant(value) => return Ok(Some(value.clone())),
            From::Column { slot, column, to } => (*slot, column, to),
        };
        let cell = &cells[slot];
        if matches!(cell, Cell::Missing) {
            return match self.required {
                true => Err(Reject::field(
                    RejectReason::MissingField,
                    &self.name,
                    column,
                    "it is missing or empty",
                )),
                false => Ok(None),
            };
        }
        to.value(cell, cells, numbers).map_err(|(reason, wrong)| {
            Reject::field(reason, &self.name, column, &format!("{} {wrong}", cell.show()))
        })
    }
}

impl To {
    fn value<'r>(
        &'r self,
        cell: &'r Cell<'_>,
        cells: &'r [Cell<'_>],
        numbers: &NumberStyle,
    ) -> Result<Option<Value<'r>>, (RejectReason, &'static str)> {
        let number = NumberError::told;
        Ok(Some(match self {
            Self::Auto => match cell {
                Cell::Text(text) if looks_numeric(text) => match numbers.read(cell) {
                    Ok(Some(n)) => n.value(),
                    _ => Value::Str(Cow::Borrowed(text)),
                },
                other => typed(other),
            },
            Self::Number { scale } => {
                let Some(n) = numbers.read(cell).map_err(number)? else { return Ok(None) };
                scale.map_or(Ok(n), |factor| n.scaled(factor)).map_err(number)?.value()
            }
            Self::Text => match cell {
                Cell::Text(text) => Value::Str(Cow::Borrowed(text)),
                other => {
                    let mut text = String::new();
                    if !other.write_text(&mut text) {
                        return Err((RejectReason::WrongType, "is not text"));
                    }
                    Value::Str(Cow::Owned(text))
                }
            },
            Self::Bool => {
                Value::Bool(truth(cell).ok_or((RejectReason::WrongType, "is neither true nor false"))?)
            }
            Self::Money { currency, minor } => {
                let code = match currency {
                    Currency::Constant(code) => Cow::Borrowed(code.as_str()),
                    Currency::Slot(slot) => match &cells[*slot] {
                        Cell::Text(code) if is_code(code) => Cow::Borrowed(&**code),
                        // Some services write it in small letters.
                        Cell::Text(code) if is_code(&code.trim().to_ascii_uppercase()) => {
                            Cow::Owned(code.trim().to_ascii_uppercase())
                        }
                        _ => {
                            let wrong = "has no currency of three letters, as in EUR";
                            return Err((RejectReason::WrongType, wrong));
                        }
                    },
                };
                let digits = if *minor { 0 } else { minor_digits(&code) };
                let Some(minor) = numbers.minor(cell, digits).map_err(number)? else { return Ok(None) };
                Value::Money { minor, currency: code }
            }
        }))
    }
}

impl Number {
    fn value(self) -> Value<'static> {
        match self {
            Self::Int(n) => Value::Int(n),
            Self::Float(n) => Value::Float(n),
        }
    }
}

fn typed<'r>(cell: &'r Cell<'_>) -> Value<'r> {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => Value::Str(Cow::Borrowed(text)),
        Cell::Int(n) | Cell::Moment { ms: n, .. } => Value::Int(*n),
        Cell::Float(n) => Value::Float(*n),
        Cell::Bool(yes) => Value::Bool(*yes),
        Cell::Other => Value::Other,
    }
}

/// Whether text may be taken for a number unasked: `12`, `-1.5`, but no code such as `007` and no version such as `1.2.3`.
fn looks_numeric(text: &str) -> bool {
    let bare = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match bare {
        [b'0', next, ..] if next.is_ascii_digit() => false,
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

fn truth(cell: &Cell<'_>) -> Option<bool> {
    let is = |text: &str, list: &[&str]| list.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    match cell {
        Cell::Bool(yes) => Some(*yes),
        Cell::Int(n @ 0..=1) => Some(*n == 1),
        Cell::Text(text) if is(text, &["true", "t", "yes", "y", "1"]) => Some(true),
        Cell::Text(text) if is(text, &["false", "f", "no", "n", "0"]) => Some(false),
        _ => None,
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

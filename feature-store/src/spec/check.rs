//! From the shape of the file to a definition, or to an error that names the place.

use std::collections::BTreeSet;

use toml::Spanned;
use types::Millis;

use super::definition::{
    Attribute, AttributeKind, Condition, Definition, Feature, Input, Lifecycle, Op, Ratio, Window,
};
use super::error::{Origin, SpecError};
use super::raw::{List, RawAttribute, RawFeature, RawInput, RawLifecycle, RawSpec, RawTick};
use super::{MAX_SCALE, MAX_WINDOW, Tick};

type Checked<T> = Result<T, SpecError>;

pub(super) fn check(raw: &RawSpec, origin: &Origin<'_>) -> Checked<Definition> {
    if *raw.version.get_ref() != 1 {
        return Err(origin.error(raw.version.span().start, "version", "only version 1 is known"));
    }
    if raw.entity.get_ref().is_empty() {
        return Err(origin.error(
            raw.entity.span().start,
            "entity",
            "must name a type of entity, such as user",
        ));
    }
    let event_cap = raw.event_cap.as_ref().map_or(32_768, |cap| *cap.get_ref());
    if !(16..=1 << 20).contains(&event_cap) {
        let at = raw.event_cap.as_ref().map_or(0, |cap| cap.span().start);
        return Err(origin.error(at, "event_cap", "must lie between 16 and 1048576"));
    }
    let month = Millis(30 * Millis::DAY.0);
    let span = |value, field, default, min, max| span_or(origin, value, field, default, min, max);
    let mut definition = Definition {
        entity: raw.entity.get_ref().clone(),
        allowed_lateness: span(
            raw.allowed_lateness.as_ref(),
            "allowed_lateness",
            Millis::DAY,
            Millis(0),
            month,
        )?,
        max_ahead: span(raw.max_ahead.as_ref(), "max_ahead", Millis::DAY, Millis(0), month)?,
        event_cap,
        tick: tick(&raw.tick, origin)?,
        lifecycle: lifecycle(&raw.lifecycle, origin)?,
        inputs: Vec::new(),
        features: Vec::new(),
        ratios: Vec::new(),
        attributes: Vec::new(),
    };
    for (name, raw) in &raw.inputs {
        definition.inputs.push(input(name, raw, origin)?);
    }
    let mut names = BTreeSet::new();
    let mut fresh = |name: &str, at: usize, field: &str| {
        if names.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(origin.error(at, field, format!("the feature {name} is there twice")))
        }
    };
    for (i, raw) in raw.features.iter().enumerate() {
        let field = format!("features[{i}]");
        for feature in features(raw.get_ref(), &field, &definition.inputs, origin)? {
            fresh(&feature.name, raw.span().start, &field)?;
            definition.features.push(feature);
        }
    }
    for (i, raw) in raw.ratios.iter().enumerate() {
        let raw = raw.get_ref();
        let field = format!("ratios[{i}]");
        check_name(&raw.name, &format!("{field}.name"), origin)?;
        fresh(raw.name.get_ref(), raw.name.span().start, &field)?;
        let find = |of: &Spanned<String>, part: &str| {
            let problem = || format!("{} is no feature of this spec (of [[features]])", of.get_ref());
            let found = definition.features.iter().position(|f| f.name == *of.get_ref());
            found.ok_or_else(|| origin.error(of.span().start, format!("{field}.{part}"), problem()))
        };
        let (numerator, denominator) =
            (find(&raw.numerator, "numerator")?, find(&raw.denominator, "denominator")?);
        definition.ratios.push(Ratio { name: raw.name.get_ref().clone(), numerator, denominator });
    }
    for (i, raw) in raw.attributes.iter().enumerate() {
        let field = format!("attributes[{i}]");
        let attribute = attribute(raw.get_ref(), &field, origin)?;
        for column in attribute.columns() {
            fresh(&column, raw.span().start, &field)?;
        }
        definition.attributes.push(attribute);
    }
    if names.is_empty() {
        return Err(origin.error(0, "features", "there must be at least one feature or attribute"));
    }
    Ok(definition)
}

fn span_or(
    origin: &Origin<'_>,
    value: Option<&Spanned<String>>,
    field: &str,
    default: Millis,
    min: Millis,
    max: Millis,
) -> Checked<Millis> {
    let Some(value) = value else { return Ok(default) };
    let at = value.span().start;
    let span: Millis = value.get_ref().parse().map_err(|e| origin.error(at, field, format!("{e}")))?;
    if span < min || span > max {
        return Err(origin.error(at, field, format!("must lie between {min} and {max}")));
    }
    Ok(span)
}

fn tick(raw: &RawTick, origin: &Origin<'_>) -> Checked<Tick> {
    let every = span_or(origin, raw.every.as_ref(), "tick.every", Millis::DAY, Millis::MINUTE, MAX_WINDOW)?;
    let offset =
        span_or(origin, raw.offset.as_ref(), "tick.offset", Millis(0), Millis(0), Millis(every.0 - 1))?;
    let grace = span_or(origin, raw.grace.as_ref(), "tick.grace", Millis::HOUR, Millis(0), MAX_WINDOW)?;
    Ok(Tick { every, offset, grace })
}

fn lifecycle(raw: &RawLifecycle, origin: &Origin<'_>) -> Checked<Lifecycle> {
    let types = |list: &Option<Spanned<List<String>>>, field: &str| match list {
        Some(list) => event_types(list, field, origin),
        None => Ok(Vec::new()),
    };
    let (start, end) = (types(&raw.start, "lifecycle.start")?, types(&raw.end, "lifecycle.end")?);
    let resume = types(&raw.resume, "lifecycle.resume")?;
    if let Some(both) = end.iter().find(|t| start.contains(t) || resume.contains(t)) {
        let at = raw.end.as_ref().map_or(0, |list| list.span().start);
        return Err(origin.error(
            at,
            "lifecycle.end",
            format!("{both} cannot both end a user and start or resume one"),
        ));
    }
    let silence = match &raw.silence {
        Some(s) => Some(span_or(
            origin,
            Some(s),
            "lifecycle.silence",
            Millis(0),
            Millis::HOUR,
            Millis(i64::MAX >> 8),
        )?),
        None => None,
    };
    Ok(Lifecycle { start, end, resume, silence })
}

/// Sorted, each once, none empty and none of the system's.
fn event_types(list: &Spanned<List<String>>, field: &str, origin: &Origin<'_>) -> Checked<Vec<String>> {
    let types: BTreeSet<String> = list.get_ref().as_slice().iter().cloned().collect();
    let at = list.span().start;
    if let Some(bad) = types.iter().find(|t| t.is_empty() || t.starts_with('$')) {
        return Err(origin.error(at, field, format!("`{bad}` is no type of a user's event")));
    }
    if types.is_empty() {
        return Err(origin.error(at, field, "names no type of event; leave it out to mean every type"));
    }
    Ok(types.into_iter().collect())
}

fn input(name: &str, raw: &Spanned<RawInput>, origin: &Origin<'_>) -> Checked<Input> {
    let at = raw.span().start;
    let path = |part: &str| format!("inputs.{name}.{part}");
    if !is_name(name) {
        return Err(origin.error(at, format!("inputs.{name}"), NAME_RULE));
    }
    let raw = raw.get_ref();
    let events = match &raw.events {
        Some(list) => Some(event_types(list, &path("events"), origin)?),
        None => None,
    };
    let condition = match &raw.condition {
        None => None,
        Some(c) => {
            let (c, at) = (c.get_ref(), c.span().start);
            if c.is.is_none() && c.not.is_none() && c.min.is_none() && c.max.is_none() {
                return Err(origin.error(at, path("where"), "needs one of is, not, min and max"));
            }
            let list = |list: &Option<List<_>>| list.as_ref().map(|l| l.as_slice().to_vec());
            Some(Condition {
                field: c.field.clone(),
                is: list(&c.is),
                not: list(&c.not),
                min: c.min,
                max: c.max,
            })
        }
    };
    let scale = scale(raw.scale.as_ref(), &path("scale"), origin)?;
    if let (Some(scale), None) = (&raw.scale, &raw.value) {
        return Err(origin.error(scale.span().start, path("scale"), "means nothing without a value"));
    }
    let value = raw.value.as_ref().map(|field| (field.get_ref().clone(), scale));
    let text = raw.text.as_ref().map(|field| field.get_ref().clone());
    let told = |word: &Option<Spanned<String>>, part: &str| match word {
        None => Ok(None),
        Some(word) if raw.value.is_none() => {
            Err(origin.error(word.span().start, path(part), "means nothing without a value"))
        }
        Some(word) if word.get_ref().is_empty() || word.get_ref().len() > LONGEST_WORD => {
            Err(origin.error(word.span().start, path(part), "is a word for people, of at most 40 bytes"))
        }
        Some(word) => Ok(Some(word.get_ref().clone())),
    };
    let (unit, verb) = (told(&raw.unit, "unit")?, told(&raw.verb, "verb")?);
    Ok(Input { name: name.to_owned(), events, condition, value, text, unit, verb })
}

fn scale(raw: Option<&Spanned<u32>>, field: &str, origin: &Origin<'_>) -> Checked<u32> {
    match raw {
        Some(scale) if *scale.get_ref() > MAX_SCALE => {
            Err(origin.error(scale.span().start, field, format!("must be at most {MAX_SCALE} decimals")))
        }
        Some(scale) => Ok(*scale.get_ref()),
        None => Ok(6),
    }
}

fn features(raw: &RawFeature, field: &str, inputs: &[Input], origin: &Origin<'_>) -> Checked<Vec<Feature>> {
    let gap = span_or(
        origin,
        raw.gap.as_ref(),
        &format!("{field}.gap"),
        Millis(30 * Millis::MINUTE.0),
        Millis::SECOND,
        MAX_WINDOW,
    )?;
    let mut out = Vec::new();
    for window_text in raw.windows.get_ref().as_slice() {
        let at = raw.windows.span().start;
        let window_field = format!("{field}.windows");
        let window = match window_text.as_str() {
            "all" => Window::All,
            text => match text.parse::<Millis>() {
                Ok(span) if span >= Millis::HOUR && span <= MAX_WINDOW => Window::Span(span.0),
                _ => {
                    let problem = format!("`{text}` is neither a span from 1h to 90d nor `all`");
                    return Err(origin.error(at, window_field, problem));
                }
            },
        };
        for name in raw.input.get_ref().as_slice() {
            let Some(input) = inputs.iter().position(|i| i.name == *name) else {
                let problem = format!("{name} is no input of this spec (no [inputs.{name}])");
                return Err(origin.error(raw.input.span().start, format!("{field}.input"), problem));
            };
            for op_name in raw.ops.get_ref().as_slice() {
                let at = raw.ops.span().start;
                let error = |problem: String| Err(origin.error(at, format!("{field}.ops"), problem));
                let Some((_, op)) = Op::ALL.into_iter().find(|(n, _)| n == op_name) else {
                    let known: Vec<_> = Op::ALL.iter().map(|(n, _)| *n).collect();
                    return error(format!("{op_name} is none of {}", known.join(", ")));
                };
                if op.needs_value() && inputs[input].value.is_none() {
                    return error(format!("{op_name} needs a `value` in [inputs.{name}]"));
                }
                if op == Op::Distinct && inputs[input].text.is_none() {
                    return error(format!("distinct needs a `text` in [inputs.{name}]"));
                }
                if window == Window::All && !op.mergeable() {
                    return error(format!(
                        "{op_name} cannot have the window `all`: its state would grow without bound"
                    ));
                }
                if op == Op::Tenure && window != Window::All {
                    return error("tenure has only the window `all`".to_owned());
                }
                let gap = if op == Op::Sessions { gap.0 } else { 0 };
                out.push(Feature { name: format!("{name}_{op_name}_{window_text}"), input, op, window, gap });
            }
        }
    }
    Ok(out)
}

fn attribute(raw: &RawAttribute, field: &str, origin: &Origin<'_>) -> Checked<Attribute> {
    check_name(&raw.name, &format!("{field}.name"), origin)?;
    let events = match &raw.events {
        Some(list) => Some(event_types(list, &format!("{field}.events"), origin)?),
        None => None,
    };
    let other = raw.other.as_ref().is_some_and(|o| *o.get_ref());
    let only_categories = |at: usize, part: &str| {
        Err(origin.error(at, format!("{field}.{part}"), "means nothing without categories"))
    };
    let kind = match (&raw.categories, &raw.encoding) {
        (None, Some(encoding)) => return only_categories(encoding.span().start, "encoding"),
        (None, None) => {
            if let Some(other) = &raw.other {
                return only_categories(other.span().start, "other");
            }
            AttributeKind::Number { scale: scale(raw.scale.as_ref(), &format!("{field}.scale"), origin)? }
        }
        (Some(list), encoding) => {
            let (categories, at) = (list.get_ref().clone(), list.span().start);
            if let Some(scale) = &raw.scale {
                let problem = "an attribute with categories has no scale";
                return Err(origin.error(scale.span().start, format!("{field}.scale"), problem));
            }
            let different: BTreeSet<_> = categories.iter().collect();
            if categories.is_empty() || categories.len() > 1000 || different.len() != categories.len() {
                let problem = "must be 1 to 1000 texts, each once";
                return Err(origin.error(at, format!("{field}.categories"), problem));
            }
            match encoding.as_ref().map_or("ordinal", |e| e.get_ref().as_str()) {
                "ordinal" => AttributeKind::Ordinal { categories, other },
                "onehot" => AttributeKind::OneHot { categories, other },
                _ => {
                    let at = encoding.as_ref().map_or(at, |e| e.span().start);
                    return Err(origin.error(
                        at,
                        format!("{field}.encoding"),
                        "is neither ordinal nor onehot",
                    ));
                }
            }
        }
    };
    let name = raw.name.get_ref().clone();
    let source = raw.field.as_ref().map_or_else(|| name.clone(), |f| f.get_ref().clone());
    Ok(Attribute { name, field: source, events, kind })
}

/// The longest word that says to people what a value is.
const LONGEST_WORD: usize = 40;
const NAME_RULE: &str = "a name is made of ASCII letters, digits and `_`";

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn check_name(name: &Spanned<String>, field: &str, origin: &Origin<'_>) -> Checked<()> {
    if is_name(name.get_ref()) { Ok(()) } else { Err(origin.error(name.span().start, field, NAME_RULE)) }
}

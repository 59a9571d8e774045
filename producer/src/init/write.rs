//! The drafts as text: TOML that people can read, check and change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::guess::{FieldKind, Guess, Kind, sanitized};
use super::head::{self, line, list, quoted};
use super::numbers::scale_for;
use super::sample::{Column, Sample};

/// A key as TOML wants it.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { quoted(name) }
}

/// What the entity is called: the column's name without what makes it an id.
fn entity_type(column: &Column) -> String {
    let last = column.name.rsplit('.').next().unwrap_or_default();
    let mut name = sanitized(last);
    for ending in ["_id", "id", "_key", "_no", "_pseudo"] {
        if let Some(bare) = name.strip_suffix(ending).filter(|bare| !bare.is_empty()) {
            name = bare.to_owned();
        }
    }
    let digits = name.trim_start_matches('c').bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || digits { "user".to_owned() } else { name }
}

pub(super) fn map(file: &str, sample: &Sample, guess: &Guess<'_>) -> String {
    let mut out = String::new();
    line!(
        out,
        "# How the rows of {file} become events. Drafted from its first {} rows: check it.",
        sample.rows
    );
    head::layout(&mut out, sample);
    number(&mut out, guess);

    let missing = sample.rows - guess.entity.values.len().min(sample.rows);
    line!(out, "\n# Whom an event is about.\n[entity]\ntype = {}", quoted(&entity_type(guess.entity)));
    for doubt in &guess.doubts {
        line!(out, "# !!! {}", doubt.replace(['\n', '\r'], " "));
    }
    line!(out, "id = {}", quoted(&guess.entity.name));
    if guess.entity.is_whole_as_float() {
        line!(out, "normalise = [\"integer\"]          # 12.0 is 12");
    }
    if missing > 0 {
        line!(
            out,
            "empty = \"skip\"                   # {missing} of the rows have none; \"reject\" sets them aside instead"
        );
    }

    head::time(&mut out, &guess.time);

    if let Some(id) = guess.id {
        line!(out, "\n# Events with the same id count once.\n[event_id]\ncolumn = {}", quoted(&id.name));
    }
    match &guess.kind {
        Kind::Column(column) => {
            line!(out, "\n# What happened: here {}.", some(&column.by_frequency()));
            line!(out, "[type]\ncolumn = {}", quoted(&column.name));
            if column.distinct.keys().any(|name| name.starts_with('$')) {
                line!(
                    out,
                    "prefix = \"app.\"                  # names that begin with $ are churnstream's own"
                );
            }
        }
        Kind::Constant(word) if guess.counts.is_empty() => {
            line!(out, "\n# What happened: no column seems to say it, so every row is one of these.");
            line!(out, "[type]\nconstant = {}", quoted(word));
            let few = |c: &&Column| (2..=50).contains(&c.distinct.len()) && !c.is_number(guess.decimal_comma);
            let texts = guess.fields.iter().map(|(column, _)| *column);
            if let Some(column) = texts.filter(few).min_by_key(|column| column.distinct.len()) {
                let shown = some(&column.by_frequency());
                line!(out, "# column = {}   # instead, if this is it: {shown}", quoted(&column.name));
            }
        }
        Kind::Constant(_) => {}
    }
    fields(&mut out, guess);
    for column in &guess.counts {
        let (_, name) = column.name.split_once('_').unwrap_or(("", &column.name));
        line!(out, "\n[[event]]                          # so many events as the column counts");
        line!(out, "type = {{ constant = {} }}", quoted(name));
        line!(out, "count = {}\nspread = \"day\"", quoted(&column.name));
    }
    out
}

/// How numbers are written, where not as usual.
fn number(out: &mut String, guess: &Guess<'_>) {
    let numbers = guess.fields.iter().filter(|(_, kind)| *kind == FieldKind::Number);
    let (mut strip, mut blank) = (BTreeSet::new(), false);
    for (column, _) in numbers {
        if let Some(sign) = column.beside() {
            strip.extend(sign.chars());
            blank |= column.has_blanks();
        }
    }
    if !guess.decimal_comma && !guess.thousands && strip.is_empty() {
        return;
    }
    line!(out, "\n[number]");
    if guess.decimal_comma {
        line!(out, "decimal = \",\"");
    }
    if guess.thousands {
        line!(out, "thousands = {}", quoted(if guess.decimal_comma { "." } else { "," }));
    }
    if !strip.is_empty() {
        strip.extend(blank.then_some(' '));
        let strip: String = strip.into_iter().collect();
        line!(out, "strip = {}   # characters beside the numbers, passed over", quoted(&strip));
    }
}

fn fields(out: &mut String, guess: &Guess<'_>) {
    let names: Vec<String> = guess.fields.iter().map(|(column, _)| sanitized(&column.name)).collect();
    if names.is_empty() {
        return;
    }
    line!(
        out,
        "\n# What else is known of an event. Take out what says how things ended: it would be foretold by itself."
    );
    line!(out, "[fields]");
    for ((column, kind), name) in guess.fields.iter().zip(&names) {
        // Two columns may come to the same name; the second is called as it is.
        let name = if names.iter().filter(|n| *n == name).count() > 1 || name.is_empty() {
            &column.name
        } else {
            name
        };
        let (field, source) = (key(name), quoted(&column.name));
        match kind {
            FieldKind::Number if is_money(&column.name) => {
                line!(
                    out,
                    "{field} = {{ column = {source}, kind = \"number\" }}   # money? kind = \"money\", currency = \"EUR\""
                );
            }
            FieldKind::Number => {
                line!(out, "{field} = {{ column = {source}, kind = \"number\" }}");
            }
            FieldKind::Bool => {
                line!(out, "{field} = {{ column = {source}, kind = \"bool\" }}");
            }
            FieldKind::Time => {
                line!(
                    out,
                    "# {field} = {{ column = {source}, kind = \"number\" }}   # a time, which is no quantity"
                );
            }
            FieldKind::Text => {
                line!(out, "{field} = {{ column = {source}, kind = \"text\" }}");
            }
            FieldKind::Unused => {
                line!(
                    out,
                    "# {field} = {{ column = {source}, kind = \"text\" }}   # nearly always another text"
                );
            }
        }
    }
}

fn is_money(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["price", "amount", "revenue", "value", "cost", "paid", "total", "fee"]
        .iter()
        .any(|word| lower.contains(word))
}

/// The first few of several texts.
fn some(all: &[&str]) -> String {
    let shown: Vec<String> = all.iter().take(6).map(|text| text.replace(['\n', '\r'], " ")).collect();
    let more = if all.len() > 6 { format!(" and {} more", all.len() - 6) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// The types of events by frequency.
fn kinds(guess: &Guess<'_>) -> Vec<String> {
    match &guess.kind {
        Kind::Column(_) if !guess.kinds.is_empty() => guess.kinds.clone(),
        Kind::Column(column) => column.by_frequency().into_iter().map(str::to_owned).collect(),
        Kind::Constant(_) if !guess.counts.is_empty() => guess
            .counts
            .iter()
            .map(|c| c.name.split_once('_').map_or_else(|| c.name.clone(), |(_, name)| name.to_owned()))
            .collect(),
        Kind::Constant(word) => vec![word.clone()],
    }
}

/// Words of types that tell that a customer left.
const ENDINGS: [&str; 7] =
    ["cancel", "churn", "unsubscribe", "terminat", "close_account", "delete_account", "lost"];

/// The types that seem to say that a customer left. Of `Cancel` and `Cancellation Confirmation` the one that confirms it.
fn endings(guess: &Guess<'_>) -> Vec<String> {
    let all = kinds(guess);
    let ending = |kind: &&String| ENDINGS.iter().any(|word| sanitized(kind).contains(word));
    let found: Vec<String> = all.iter().filter(ending).cloned().collect();
    let confirmed: Vec<String> =
        found.iter().filter(|k| k.to_lowercase().contains("confirm")).cloned().collect();
    if confirmed.is_empty() { found } else { confirmed }
}

fn days(guess: &Guess<'_>) -> i64 {
    (guess.time.span.1 - guess.time.span.0) / 86_400_000
}

pub(super) fn spec(sample: &Sample, guess: &Guess<'_>) -> String {
    let windows = match days(guess) {
        0..4 => ["1h", "6h", "1d"],
        4..60 => ["1d", "7d", "30d"],
        _ => ["7d", "30d", "90d"],
    };
    let mut out = String::new();
    line!(
        out,
        "# What is known of each {} at any moment. Drafted: add what you know to matter.",
        entity_type(guess.entity)
    );
    line!(out, "version = 1\nentity = {}", quoted(&entity_type(guess.entity)));
    let endings = endings(guess);
    if !endings.is_empty() {
        line!(
            out,
            "\n# Who did this has left, until the next event of another type.\n[lifecycle]\nend = {}",
            list(&endings)
        );
    }
    line!(out, "\n[inputs.all]                       # events of every type");
    let mut inputs: BTreeMap<String, String> = BTreeMap::new();
    for kind in kinds(guess).into_iter().filter(|kind| !endings.contains(kind)).take(8) {
        let prefix = matches!(&guess.kind, Kind::Column(c) if c.distinct.keys().any(|n| n.starts_with('$')));
        let name = sanitized(&kind);
        if !name.is_empty() && name != "all" {
            inputs.entry(name).or_insert_with(|| if prefix { format!("app.{kind}") } else { kind });
        }
    }
    if inputs.len() < 2 {
        inputs.clear();
    }
    for (name, kind) in &inputs {
        line!(out, "\n[inputs.{name}]\nevents = {}", quoted(kind));
    }
    let numbers = guess.fields.iter().filter(|(_, kind)| *kind == FieldKind::Number);
    let numbers = numbers.map(|(column, _)| (*column, sanitized(&column.name)));
    let numbers = numbers.filter(|(_, name)| !name.is_empty() && !inputs.contains_key(name) && name != "all");
    let numbers = number_inputs(&mut out, numbers.take(5), guess.decimal_comma);
    line!(
        out,
        "\n[[features]]\ninput = \"all\"\nops = [\"count\", \"active_days\", \"recency\", \"change\"]\nwindows = {}",
        list(&windows)
    );
    line!(
        out,
        "\n[[features]]\ninput = \"all\"\nops = \"sessions\"\nwindows = {}\ngap = \"30m\"",
        list(&windows[..2])
    );
    line!(out, "\n[[features]]\ninput = \"all\"\nops = [\"count\", \"tenure\"]\nwindows = \"all\"");
    if !inputs.is_empty() {
        let names: Vec<&String> = inputs.keys().collect();
        line!(
            out,
            "\n[[features]]\ninput = {}\nops = [\"count\", \"recency\"]\nwindows = {}",
            list(&names),
            list(&windows[1..])
        );
    }
    if !numbers.is_empty() {
        line!(
            out,
            "\n[[features]]\ninput = {}\nops = [\"sum\", \"mean\"]\nwindows = {}",
            list(&numbers),
            list(&windows[1..])
        );
    }
    let texts = guess.fields.iter().filter(|(column, kind)| {
        matches!(kind, FieldKind::Text | FieldKind::Bool)
            && (2..=20).contains(&column.distinct.len())
            && column.values.len() * 2 > sample.rows
    });
    let taken = |name: &String| name == "all" || inputs.contains_key(name);
    for (column, _) in texts.take(6) {
        let name = sanitized(&column.name);
        if !name.is_empty() && !taken(&name) {
            line!(out, "\n[[attributes]]                     # the latest value");
            line!(
                out,
                "name = {}\ncategories = {}",
                quoted(&name),
                list(&column.distinct.keys().collect::<Vec<_>>())
            );
        }
    }
    out
}

/// Inputs of numbers, with as many decimals as their largest leave room for. Returns their names.
fn number_inputs<'s>(
    out: &mut String,
    numbers: impl Iterator<Item = (&'s Column, String)>,
    comma: bool,
) -> Vec<String> {
    let mut names = Vec::new();
    for (column, name) in numbers {
        let (told, largest) = (column.name.replace('\n', " "), column.largest(comma));
        let Some(scale) = scale_for(largest) else {
            line!(
                out,
                "\n# The number `{told}` is left out: {largest} is more than an input can hold. A map can make"
            );
            line!(out, "# it smaller, as with `scale = 0.001`.");
            continue;
        };
        line!(out, "\n[inputs.{name}]                  # the number `{told}`");
        line!(out, "value = {}", quoted(&name));
        if scale < 6 {
            line!(
                out,
                "scale = {scale}                        # decimals kept: with more, {largest} would hardly fit"
            );
        }
        names.push(name);
    }
    names
}

pub(super) fn labels(guess: &Guess<'_>) -> String {
    let horizon = (days(guess) / 4).clamp(1, 30);
    let endings = endings(guess);
    let mut out = String::new();
    line!(
        out,
        "# When somebody counts as lost. Drafted: this is the question that the model answers, so make it yours."
    );
    line!(out, "horizon = \"{horizon}d\"                    # how far ahead it looks\n\n[lost]");
    if endings.is_empty() {
        line!(
            out,
            "# No type of event says that somebody left, so who does nothing that long is taken for lost."
        );
        line!(out, "silence = true");
    } else {
        line!(out, "events = {}", list(&endings));
        line!(out, "# silence = true                 # instead: who does nothing that long");
    }
    line!(
        out,
        "\n[rows]\nevery = \"{}d\"                      # how often somebody is looked at in training",
        (horizon / 4).max(1)
    );
    line!(out, "min_history = \"{}d\"                # only who is known that long", (horizon / 2).max(1));
    out
}

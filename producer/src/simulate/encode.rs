//! What happened as an event of the wire, without allocating.

use std::borrow::Cow;

use types::{Event, EventTime, Millis, Value};

use super::catalogue::{CHANNELS, COUNTRIES, DECLINES, DEVICES, GENRES, REASONS, TOPICS};
use super::happening::{Happening, What};
use super::model::Plan;
use super::user::{Start, Traits};

/// What the simulator's events are about.
pub const ENTITY_TYPE: &str = "user";

/// Turns happenings into events, one at a time, in memory that it keeps.
#[derive(Debug)]
pub struct Encoder {
    event: Event<'static>,
    first_midnight: EventTime,
}

impl Encoder {
    /// An encoder for a simulation whose first day begins so.
    #[must_use]
    pub fn new(first_midnight: EventTime) -> Self {
        let event = Event {
            entity_type: Cow::Borrowed(ENTITY_TYPE),
            entity: Cow::Owned(String::new()),
            id: Some(Cow::Owned(String::new())),
            ..Event::default()
        };
        Self { event, first_midnight }
    }

    /// The event; valid until the next call.
    pub fn encode(&mut self, happening: &Happening, traits: &Traits) -> &Event<'static> {
        let entity = self.event.entity.to_mut();
        entity.clear();
        push_user(entity, happening.user);
        if let Some(id) = &mut self.event.id {
            let id = id.to_mut();
            id.clear();
            id.push_str(entity);
            id.push('-');
            push_number(id, happening.ts.since(self.first_midnight).0 as u64 / Millis::DAY.0 as u64, 1);
            id.push('-');
            push_number(id, u64::from(happening.index), 1);
        }
        self.event.ts = happening.ts;
        self.event.fields.clear();
        let kind = fields(&mut self.event, happening.what, traits);
        self.event.kind = Cow::Borrowed(kind);
        &self.event
    }
}

/// A user's id in the events and the truth file: `u0000042`.
pub(crate) fn push_user(out: &mut String, user: u32) {
    out.push('u');
    push_number(out, u64::from(user), 7);
}

/// Appends a number with at least `width` digits.
pub(crate) fn push_number(out: &mut String, n: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = n;
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let from = at.min(digits.len() - width.min(digits.len()));
    out.extend(digits[from..].iter().map(|d| char::from(*d)));
}

/// Fills in the event's fields and returns its type.
fn fields(event: &mut Event<'static>, what: What, traits: &Traits) -> &'static str {
    let mut add = |name: &'static str, value: Value<'static>| event.fields.push((Cow::Borrowed(name), value));
    let text = |text: &'static str| Value::Str(Cow::Borrowed(text));
    let country = &COUNTRIES[usize::from(traits.country)];
    let price = |plan: Plan| Value::Money {
        minor: country.prices[plan as usize],
        currency: Cow::Borrowed(country.currency),
    };
    let device = |device: u8| text(DEVICES[usize::from(device)]);
    match what {
        What::Start { start, plan } => {
            add("plan", text(plan.name()));
            add("price", price(plan));
            add("country", text(country.code));
            add("channel", text(CHANNELS[usize::from(traits.channel)]));
            match start {
                Start::Signup => "signup",
                Start::Return => "resubscribe",
            }
        }
        What::Renewal { plan } => {
            add("amount", price(plan));
            add("plan", text(plan.name()));
            "renewal"
        }
        What::PaymentFailed { plan, decline } => {
            add("amount", price(plan));
            add("code", text(DECLINES[usize::from(decline)]));
            "payment_failed"
        }
        What::Session { device: d } => {
            add("device", device(d));
            "session"
        }
        What::Search { device: d, results } => {
            add("results", Value::Int(i64::from(results)));
            add("device", device(d));
            "search"
        }
        What::Ad { device: d, seconds, skipped } => {
            add("ad_s", Value::Int(i64::from(seconds)));
            add("skipped", Value::Bool(skipped));
            add("device", device(d));
            "ad"
        }
        What::Play { device: d, genre, title, watch_tenths, finished } => {
            add("watch_s", Value::Float(f64::from(watch_tenths) / 10.0));
            add("finished", Value::Bool(finished));
            add("genre", text(GENRES[usize::from(genre)].name));
            add("title", Value::Int(i64::from(title)));
            add("device", device(d));
            "play"
        }
        What::Ticket { topic } => {
            add("topic", text(TOPICS[usize::from(topic)]));
            "ticket"
        }
        What::PlanChange { from, to } => {
            add("plan", text(to.name()));
            add("from", text(from.name()));
            add("price", price(to));
            "plan_change"
        }
        What::Cancel { reason } => {
            add("reason", text(REASONS[usize::from(reason)]));
            "cancel"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_width() {
        let mut out = String::new();
        for (n, width) in [(0, 1), (42, 7), (12_345_678, 7), (0, 0)] {
            push_number(&mut out, n, width);
            out.push(' ');
        }
        assert_eq!(out, "0 0000042 12345678  ");
    }
}

//! Plots as SVG: a frame with axes, and what is drawn into it. Colours come from the page's style sheet.

use std::fmt::Write;

use super::text::escape;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// One axis: its ends, its name, and how its numbers are written.
pub(super) struct Axis<'a> {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) name: &'a str,
    pub(super) label: &'a dyn Fn(f64) -> String,
}

/// A plot in the making.
pub(super) struct Plot<'a> {
    x: Axis<'a>,
    y: Axis<'a>,
    body: String,
    keys: Vec<(&'static str, String)>,
}

impl<'a> Plot<'a> {
    pub(super) fn new(x: Axis<'a>, y: Axis<'a>) -> Self {
        Self { x, y, body: String::new(), keys: Vec::new() }
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.from) / (self.x.to - self.x.from) * (WIDTH - LEFT - RIGHT)
    }

    fn at_y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value - self.y.from) / (self.y.to - self.y.from) * (HEIGHT - TOP - BOTTOM)
    }

    fn path(&self, points: &[[f64; 2]]) -> String {
        let mut path = String::new();
        for (at, [x, y]) in points.iter().enumerate() {
            let y = y.clamp(self.y.from.min(self.y.to), self.y.to.max(self.y.from));
            // Writing to a string cannot fail.
            let _ =
                write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, self.at_x(*x), self.at_y(y));
        }
        path
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(what);
    }

    /// A line; with a name it stands in the legend.
    pub(super) fn line(&mut self, points: &[[f64; 2]], class: &'static str, name: Option<&str>) {
        let path = self.path(points);
        self.put(format_args!("<path class='line {class}' d='{path}'/>"));
        self.keys.extend(name.map(|name| (class, name.to_owned())));
    }

    /// A bar from 0, between two places of the x axis.
    pub(super) fn bar(&mut self, from: f64, to: f64, height: f64, class: &'static str) {
        let (left, right) = (self.at_x(from) + 0.5, self.at_x(to) - 0.5);
        let (top, floor) = (self.at_y(height), self.at_y(0.0));
        let (width, tall) = ((right - left).max(0.5), (floor - top).max(0.0));
        self.put(format_args!(
            "<rect class='bar {class}' x='{left:.1}' y='{top:.1}' width='{width:.1}' height='{tall:.1}'/>"
        ));
    }

    /// A dot with the whiskers of its interval, and what it says when pointed at.
    pub(super) fn dot(&mut self, x: f64, [value, low, high]: [f64; 3], class: &'static str, says: &str) {
        let within = |value: f64| value.clamp(self.y.from, self.y.to);
        let (cx, cy) = (self.at_x(x), self.at_y(within(value)));
        let (top, end) = (self.at_y(within(high)), self.at_y(within(low)));
        let says = escape(says);
        self.put(format_args!(
            "<g><title>{says}</title><path class='whisker {class}' d='M{cx:.1} {top:.1}V{end:.1}'/>\
             <circle class='dot {class}' cx='{cx:.1}' cy='{cy:.1}' r='3.5'/></g>"
        ));
    }

    /// A point with words beside it.
    pub(super) fn mark(&mut self, x: f64, y: f64, says: &str) {
        let (cx, cy) = (self.at_x(x), self.at_y(y));
        let (anchor, dx) = if cx > WIDTH * 0.6 { ("end", -8.0) } else { ("start", 8.0) };
        let dy = if cy < TOP + 22.0 { 16.0 } else { -8.0 };
        self.put(format_args!(
            "<circle class='dot accent' cx='{cx:.1}' cy='{cy:.1}' r='4'/>\
             <text class='mark' x='{:.1}' y='{:.1}' text-anchor='{anchor}'>{}</text>",
            cx + dx,
            cy + dy,
            escape(says)
        ));
    }

    /// An entry of the legend for what was drawn without a name.
    pub(super) fn key(&mut self, class: &'static str, name: &str) {
        self.keys.push((class, name.to_owned()));
    }

    /// The picture, with its name for those who do not see it.
    pub(super) fn finish(self, alt: &str) -> String {
        let mut out = format!(
            "<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{}'>",
            escape(alt).replace('\'', "&#39;")
        );
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in ticks(self.y.from, self.y.to, 5) {
            let y = self.at_y(tick);
            let _ = write!(
                out,
                "<path class=gridline d='M{LEFT} {y:.1}H{right}'/><text class=tick x='{:.1}' y='{:.1}' text-anchor=end>{}</text>",
                LEFT - 7.0,
                y + 3.5,
                (self.y.label)(tick)
            );
        }
        for tick in ticks(self.x.from, self.x.to, 5) {
            let x = self.at_x(tick);
            let _ = write!(
                out,
                "<path class=axis d='M{x:.1} {floor}v4'/><text class=tick x='{x:.1}' y='{:.1}' text-anchor=middle>{}</text>",
                floor + 17.0,
                (self.x.label)(tick)
            );
        }
        let _ = write!(
            out,
            "<path class=axis d='M{LEFT} {floor}H{right}'/>{}\
             <text class=name x='{:.1}' y='{:.1}' text-anchor=middle>{}</text>\
             <text class=name transform='translate(13 {:.1}) rotate(-90)' text-anchor=middle>{}</text></svg>",
            self.body,
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            escape(self.x.name),
            (TOP + floor) / 2.0,
            escape(self.y.name)
        );
        if !self.keys.is_empty() {
            out.push_str("<p class=legend>");
            for (class, name) in &self.keys {
                let _ = write!(out, "<span><i class='key {class}'></i>{}</span>", escape(name));
            }
            out.push_str("</p>");
        }
        out
    }
}

/// Round numbers between two ends, about `wanted` of them.
pub(super) fn ticks(from: f64, to: f64, wanted: u32) -> Vec<f64> {
    let span = to - from;
    if !(span.is_finite() && span > 0.0) {
        return vec![from];
    }
    let rough = span / f64::from(wanted);
    let power = 10.0_f64.powi(rough.log10().floor() as i32);
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|unit| unit * power).find(|step| *step >= rough * 0.99);
    let step = step.unwrap_or(10.0 * power);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

/// A round number at or above a value, for the end of an axis.
pub(super) fn round_up(value: f64) -> f64 {
    let power = 10.0_f64.powi(value.max(1e-9).log10().floor() as i32);
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|unit| unit * power)
        .find(|end| *end >= value * 0.999)
        .unwrap_or(10.0 * power)
}

//! The pictures of the report.

use scorer::Bar;

use super::svg::{Axis, Plot, round_up};
use super::text::{column, count, find, money, percent};
use crate::evaluate::{Curves, Slices};
use crate::money::Money;

fn share_axis(name: &str) -> Axis<'_> {
    Axis { from: 0.0, to: 1.0, name, label: &|value| format!("{:.0} %", 100.0 * value) }
}

fn diagonal() -> [[f64; 2]; 2] {
    [[0.0, 0.0], [1.0, 1.0]]
}

pub(super) fn roc(curves: &Curves) -> String {
    let mut plot = Plot::new(share_axis("stayers flagged"), share_axis("leavers flagged"));
    plot.line(&diagonal(), "chance", Some("chance"));
    plot.line(&curves.roc, "model", Some("model"));
    plot.finish("ROC curve")
}

pub(super) fn precision_recall(curves: &Curves, rate: f64) -> String {
    let top = curves.precision_recall.iter().skip(3).map(|point| point[1]).fold(rate, f64::max);
    let label = |value: f64| format!("{:.0} %", 100.0 * value);
    let axis =
        Axis { from: 0.0, to: round_up(top).min(1.0), name: "leavers among the flagged", label: &label };
    let mut plot = Plot::new(share_axis("leavers flagged"), axis);
    plot.line(&[[0.0, rate], [1.0, rate]], "chance", Some("chance"));
    plot.line(&curves.precision_recall, "model", Some("model"));
    plot.finish("Precision and recall")
}

pub(super) fn gains(curves: &Curves, rate: f64) -> String {
    let mut plot =
        Plot::new(share_axis("users contacted, highest risk first"), share_axis("leavers among them"));
    plot.line(&[[0.0, 0.0], [rate, 1.0], [1.0, 1.0]], "ideal", Some("perfect"));
    plot.line(&diagonal(), "chance", Some("chance"));
    plot.line(&curves.gains, "model", Some("model"));
    let tenth = at(&curves.gains, 0.1);
    plot.mark(0.1, tenth, &format!("10 % hold {} of the leavers", percent(tenth)));
    plot.finish("Gains")
}

pub(super) fn lift(curves: &Curves) -> String {
    let points: Vec<[f64; 2]> = curves.lift.iter().filter(|point| point[0] >= 0.005).copied().collect();
    let top = points.iter().map(|point| point[1]).fold(1.0, f64::max);
    let label = |value: f64| format!("{value}×");
    let axis = Axis { from: 0.0, to: round_up(top), name: "times the loss rate of all", label: &label };
    let mut plot = Plot::new(share_axis("users contacted, highest risk first"), axis);
    plot.line(&[[0.0, 1.0], [1.0, 1.0]], "chance", Some("chance"));
    plot.line(&points, "model", Some("model"));
    plot.finish("Lift")
}

/// The y value of a curve at an x, between its points.
fn at(points: &[[f64; 2]], x: f64) -> f64 {
    let after = points.partition_point(|point| point[0] < x);
    let Some(right) = points.get(after) else { return points.last().map_or(0.0, |point| point[1]) };
    let Some(left) = after.checked_sub(1).and_then(|before| points.get(before)) else { return right[1] };
    left[1] + (right[1] - left[1]) * (x - left[0]) / (right[0] - left[0]).max(f64::MIN_POSITIVE)
}

pub(super) fn calibration(curves: &Curves) -> String {
    let bins = &curves.calibration;
    let end = round_up(bins.iter().flat_map(|bin| [bin.promised, bin.high]).fold(0.01, f64::max)).min(1.0);
    let label = |value: f64| percent(value).replace(".0", "");
    let x = Axis { from: 0.0, to: end, name: "promised: mean probability of a tenth", label: &label };
    let mut plot =
        Plot::new(x, Axis { from: 0.0, to: end, name: "happened: share that left", label: &label });
    plot.line(&[[0.0, 0.0], [end, end]], "chance", Some("honest"));
    let points: Vec<[f64; 2]> = bins.iter().map(|bin| [bin.promised, bin.lost]).collect();
    plot.line(&points, "model", Some("model, with intervals of 95 %"));
    for bin in bins {
        let says = format!(
            "promised {}, {} left ({} to {}), {} rows",
            percent(bin.promised),
            percent(bin.lost),
            percent(bin.low),
            percent(bin.high),
            count(bin.weight)
        );
        plot.dot(bin.promised, [bin.lost, bin.low, bin.high], "model", &says);
    }
    plot.finish("Calibration")
}

pub(super) fn histogram(curves: &Curves) -> String {
    let bins = &curves.histogram;
    let (all, lost) = bins.iter().fold((0.0, 0.0), |(a, l), bin| (a + bin[0], l + bin[1]));
    let stayed: f64 = all - lost;
    let shares: Vec<[f64; 2]> =
        bins.iter().map(|bin| [(bin[0] - bin[1]) / stayed.max(1.0), bin[1] / lost.max(1.0)]).collect();
    let top = shares.iter().flatten().copied().fold(0.01, f64::max);
    let label = |value: f64| format!("{:.0} %", 100.0 * value);
    let risk = |value: f64| percent(value).replace(".0", "");
    let x = Axis {
        from: 0.0,
        to: curves.histogram_to,
        name: "probability (the last bar holds all above)",
        label: &risk,
    };
    let mut plot =
        Plot::new(x, Axis { from: 0.0, to: round_up(top), name: "share of the group", label: &label });
    let width = curves.histogram_to / bins.len().max(1) as f64;
    for (at, [stay, leave]) in shares.iter().enumerate() {
        let (from, to) = (at as f64 * width, (at as f64 + 1.0) * width);
        plot.bar(from, to, *stay, "stay");
        plot.bar(from, to, *leave, "leave");
    }
    plot.key("stay", "stayed");
    plot.key("leave", "left");
    plot.finish("Distribution of scores")
}

pub(super) fn over_time(slices: &Slices) -> Option<String> {
    let points: Vec<(f64, [f64; 3], String)> = (slices.parts.iter().enumerate())
        .filter_map(|(at, part)| {
            let auc = find(&part.metrics, "auc")?;
            let says =
                format!("{}: AUC {:.3}, {} of {} rows lost", part.name, auc.value, part.lost, part.rows);
            Some((at as f64, [auc.value, auc.low, auc.high], says))
        })
        .collect();
    if points.len() < 2 {
        return None;
    }
    let lowest = points.iter().map(|point| point.1[1]).fold(0.5, f64::min);
    let names = &slices.parts;
    let label = |value: f64| {
        let at = value.round();
        if (at - value).abs() > 1e-6 {
            return String::new();
        }
        names.get(at as usize).map_or_else(String::new, |part| part.name.clone())
    };
    let number = |value: f64| format!("{value:.2}");
    let x =
        Axis { from: -0.5, to: names.len() as f64 - 0.5, name: "first day of the stretch", label: &label };
    let y = Axis { from: (lowest * 10.0).floor() / 10.0, to: 1.0, name: "AUC", label: &number };
    let mut plot = Plot::new(x, y);
    plot.line(&[[-0.5, 0.5], [names.len() as f64 - 0.5, 0.5]], "chance", Some("chance"));
    let line: Vec<[f64; 2]> = points.iter().map(|point| [point.0, point.1[0]]).collect();
    plot.line(&line, "model", Some("model, with intervals of 95 %"));
    points.iter().for_each(|(at, values, says)| plot.dot(*at, *values, "model", says));
    Some(plot.finish("AUC over time"))
}

pub(super) fn promised_over_time(slices: &Slices) -> Option<String> {
    if slices.parts.len() < 2 {
        return None;
    }
    let rates = |of: fn(&crate::evaluate::Slice) -> f64| -> Vec<[f64; 2]> {
        slices.parts.iter().enumerate().map(|(at, part)| [at as f64, of(part)]).collect()
    };
    let (promised, rate) = (rates(|part| part.promised), rates(|part| part.rate));
    let top = promised.iter().chain(&rate).map(|point| point[1]).fold(0.01, f64::max);
    let names = &slices.parts;
    let label = |value: f64| {
        let at = value.round();
        if (at - value).abs() > 1e-6 {
            return String::new();
        }
        names.get(at as usize).map_or_else(String::new, |part| part.name.clone())
    };
    let share = |value: f64| percent(value).replace(".0", "");
    let x =
        Axis { from: -0.5, to: names.len() as f64 - 0.5, name: "first day of the stretch", label: &label };
    let mut plot = Plot::new(x, Axis { from: 0.0, to: round_up(top), name: "of all rows", label: &share });
    plot.line(&promised, "model", Some("promised: mean probability"));
    plot.line(&rate, "second", Some("happened: share that left"));
    Some(plot.finish("Promised and happened over time"))
}

pub(super) fn profit(of: &Money) -> String {
    let points: Vec<[f64; 2]> = std::iter::once([0.0, 0.0])
        .chain(of.by_threshold.iter().map(|point| [point.share, point.profit]))
        .collect();
    let high = points.iter().map(|point| point[1]).fold(0.0, f64::max);
    let low = points.iter().map(|point| point[1]).fold(0.0, f64::min);
    // How deep it falls at the end is of no use: the picture is about where it is high.
    let low = if low < 0.0 { -round_up(-low).min(round_up((0.6 * high).max(1.0))) } else { 0.0 };
    let currency = of.settings.currency.as_str();
    let label = |value: f64| money(value, currency);
    let y = Axis {
        from: low,
        to: if high > 0.0 { round_up(high * 1.08) } else { -low * 0.1 + 1.0 },
        name: "",
        label: &label,
    };
    let shown: Vec<[f64; 2]> = points.iter().copied().take_while(|point| point[1] >= low).collect();
    let last = shown.last().map_or(1.0, |point| point[0]);
    let share = |value: f64| percent(value).replace(".0", "");
    let end = round_up((1.1 * last).max(0.02)).min(1.0);
    let x = Axis { from: 0.0, to: end, name: "users contacted, highest risk first", label: &share };
    let mut plot = Plot::new(x, y);
    plot.line(&[[0.0, 0.0], [end, 0.0]], "chance", None);
    plot.line(&shown, "model", None);
    let best = of.by_threshold.iter().fold([0.0, 0.0], |best, point| {
        if point.profit > best[1] { [point.share, point.profit] } else { best }
    });
    plot.mark(best[0], best[1], &format!("{} at {}", money(best[1], currency), percent(best[0])));
    plot.finish("Profit by share of users contacted")
}

/// Signals by the mean size of their effect, as bars with names.
pub(super) fn signals(signals: &[Bar]) -> String {
    let shown: Vec<&Bar> = signals.iter().filter(|signal| signal.mean_size > 0.0).take(12).collect();
    let most = shown.first().map_or(1.0, |signal| signal.mean_size);
    let mut out = String::from("<div class=bars>");
    for signal in shown {
        let width = 100.0 * signal.mean_size / most;
        let name = if signal.name == "all" { "events of any type".to_owned() } else { column(&signal.name) };
        out.push_str(&format!(
            "<span title='{}'>{name}</span><div><i style='width:{width:.1}%'></i><b>{:.3}</b></div>",
            super::text::escape(&signal.name),
            signal.mean_size
        ));
    }
    out + "</div>"
}

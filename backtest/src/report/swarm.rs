//! Effects of single rows as points: a line for each feature, the effect along it, coloured by the value.

use std::fmt::Write;

use scorer::Swarm;

use super::svg::ticks;
use super::text::column;

const WIDTH: f64 = 920.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 6.0;
/// The height of a feature's line, and how far its points may lie from the middle of it.
const LINE: f64 = 40.0;
const REACH: f64 = 17.0;
/// The width of a point, and so of the places where they pile up.
const POINT: f64 = 4.0;
/// Colours from the least to the greatest value.
const COLOURS: usize = 5;

/// The picture, and what its colours mean; nothing if no feature has an effect.
pub(super) fn swarms(swarms: &[Swarm]) -> Option<String> {
    let shown: Vec<&Swarm> =
        swarms.iter().filter(|swarm| swarm.effects.iter().any(|effect| *effect != 0.0)).collect();
    let all = || shown.iter().flat_map(|swarm| &swarm.effects).map(|effect| f64::from(*effect));
    let (low, high) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
    if high <= low {
        return None;
    }
    let at = |effect: f64| LEFT + (effect - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let floor = TOP + LINE * shown.len() as f64;
    let mut out =
        format!("<svg viewBox='0 0 {WIDTH} {}' role='img' aria-label='Effects row by row'>", floor + 46.0);
    // Writing to a string cannot fail.
    for tick in ticks(low, high, 8) {
        let _ = write!(
            out,
            "<path class=gridline d='M{x:.1} {TOP}V{floor}'/><text class=tick x='{x:.1}' y='{:.1}' text-anchor=middle>{}</text>",
            floor + 17.0,
            number(tick),
            x = at(tick)
        );
    }
    let _ = write!(out, "<path class=axis d='M{:.1} {TOP}V{floor}'/>", at(0.0));
    for (line, swarm) in shown.iter().enumerate() {
        let middle = TOP + LINE * (line as f64 + 0.5);
        let _ = write!(
            out,
            "<text class=feature x='{:.1}' y='{:.1}' text-anchor=end>{}</text>",
            LEFT - 12.0,
            middle + 4.0,
            column(&swarm.feature)
        );
        let places: Vec<f64> = swarm.effects.iter().map(|effect| at(f64::from(*effect))).collect();
        let heights = piled(&places);
        let colours = colours(&swarm.values);
        for (colour, class) in std::iter::once((None, "none".to_owned()))
            .chain((0..COLOURS).map(|colour| (Some(colour), format!("v{colour}"))))
        {
            let mut path = String::new();
            for row in (0..places.len()).filter(|row| colours[*row] == colour) {
                // A line of no length with round ends is a point.
                let _ = write!(path, "M{:.1} {:.1}h0", places[row], middle + heights[row]);
            }
            if !path.is_empty() {
                let _ = write!(out, "<path class='point {class}' d='{path}'/>");
            }
        }
    }
    let _ = write!(
        out,
        "<text class=name x='{:.1}' y='{:.1}' text-anchor=middle>lowers the risk \u{2190} effect on the log-odds \u{2192} raises it</text></svg>\
         <p class=legend><span>low value {}high value</span><span><i class='key value none'></i>no value</span></p>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        floor + 38.0,
        (0..COLOURS).map(|colour| format!("<i class='key value v{colour}'></i>")).collect::<String>()
    );
    Some(out)
}

/// How far each point lies from the middle of its line, so that those at one place stand beside each other.
fn piled(places: &[f64]) -> Vec<f64> {
    let place = |x: f64| (x / POINT).round() as i64;
    let mut there = std::collections::BTreeMap::<i64, u32>::new();
    places.iter().for_each(|x| *there.entry(place(*x)).or_default() += 1);
    let most = there.values().max().copied().unwrap_or(1);
    let step = (2.0 * REACH / f64::from(most)).min(0.9 * POINT);
    there.values_mut().for_each(|count| *count = 0);
    let mut height = |x: &f64| {
        let count = there.entry(place(*x)).or_default();
        *count += 1;
        let away = f64::from(*count / 2) * step;
        if count.is_multiple_of(2) { away } else { -away }
    };
    places.iter().map(&mut height).collect()
}

/// Which fifth of the values each one is in; equal ones are of one colour.
fn colours(values: &[Option<f32>]) -> Vec<Option<usize>> {
    let mut sorted: Vec<f32> = values.iter().flatten().copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let of = |value: f32| {
        let below = sorted.partition_point(|other| *other < value);
        let upto = sorted.partition_point(|other| *other <= value);
        // The middle of the ranks that it shares with its equals.
        ((below + upto) * COLOURS / (2 * sorted.len()).max(1)).min(COLOURS - 1)
    };
    values.iter().map(|value| value.map(of)).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "\u{2212}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_one_place_stand_beside_each_other_and_within_their_line() {
        let few = piled(&[10.0, 10.0, 10.0, 90.0]);
        assert_eq!(few, [0.0, 0.9 * POINT, -0.9 * POINT, 0.0]);
        let many = piled(&vec![10.0; 300]);
        assert!(many.iter().all(|height| height.abs() <= REACH), "{many:?}");
    }

    #[test]
    fn colours_rise_with_the_values_and_none_is_none() {
        let values = [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0), Some(5.0)];
        let expected = [Some(0), Some(1), None, Some(2), Some(3), Some(4)];
        assert_eq!(colours(&values), expected);
        assert_eq!(colours(&[Some(7.0), Some(7.0)]), [Some(2), Some(2)], "nothing is high or low");
        assert_eq!(colours(&[None]), [None]);
    }

    #[test]
    fn without_effects_there_is_no_picture() {
        let none = Swarm { feature: "a".to_owned(), effects: vec![0.0; 3], values: vec![Some(1.0); 3] };
        assert_eq!(swarms(&[none]), None);
        assert_eq!(swarms(&[]), None);
    }
}

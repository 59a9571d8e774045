//! The model card: what a person should know before trusting the numbers.

use std::fmt::Write;

use jiff::Timestamp;
use scorer::{Calibration, Manifest};
use types::{EventTime, Millis};

use crate::Fitted;

/// Writes the card of a model, Markdown.
pub(crate) fn write(fitted: &Fitted, manifest: &Manifest, notes: &[String]) -> String {
    let training = &manifest.training;
    let of_a_table = manifest.is_of_table();
    let lead = manifest.label.as_ref().map_or(Millis(0), |label| label.lead);
    let begin = match lead {
        Millis(0) => "the moment of scoring".to_owned(),
        lead => format!("a moment that lies {lead} after that of scoring"),
    };
    let mut card = String::from("# Model card\n\n## What it says\n\n");
    // Writing to a string cannot fail.
    let _ = match of_a_table {
        true => {
            writeln!(card, "The probability that a row's customer is lost, as the training table means it.")
        }
        false => writeln!(
            card,
            "The probability that a user is lost within {} of {}, for users who are still there then.",
            manifest.horizon, begin
        ),
    };
    if let Some(label) = &manifest.label {
        let _ = writeln!(card, "What counted as a loss: {label}.");
    }
    let _ = writeln!(
        card,
        "A user with 0.20 is lost in one of five such cases, if the future is like the past that it learned from.\n\
         Medium risk begins at {:.4}, high risk at {:.4}.",
        manifest.bands.medium, manifest.bands.high
    );
    let _ = writeln!(
        card,
        "\n## How it was made\n\n- {}: {} trees over {} features of spec {}",
        fitted.algorithm.words(),
        fitted.trees,
        manifest.feature_names.len(),
        manifest.spec_hash
    );
    let _ = match of_a_table {
        true => writeln!(
            card,
            "- fitted on {} rows, {:.2} % of them lost",
            training.rows,
            100.0 * fitted.loss_rate
        ),
        false => writeln!(
            card,
            "- fitted on {} rows known from {} to {}, {:.2} % of them lost; the last label was decided at {}",
            training.rows,
            date(training.from),
            date(training.to),
            100.0 * fitted.loss_rate,
            date(training.labels_decided)
        ),
    };
    let _ = match &fitted.held_out {
        None => writeln!(
            card,
            "- too few rows to hold users out: nothing said when to stop, and probabilities are not calibrated"
        ),
        Some(held_out) => writeln!(
            card,
            "- probabilities: {}, chosen, as was when to stop, on {} rows of users held out{}",
            name(&manifest.calibration),
            held_out.lost.len(),
            match of_a_table {
                true => "",
                false =>
                    ": users hashed out of the same time as those learnt from, since no time was set aside for it",
            }
        ),
    };
    if let Some(fitting) = &manifest.fitting {
        let _ = writeln!(card, "- settings: {fitting}");
    }
    for note in notes {
        let _ = writeln!(card, "- {note}");
    }
    if !manifest.metrics.is_empty() {
        card.push_str("\n## How good it is\n\n| measured | value |\n| --- | --- |\n");
        for (metric, value) in &manifest.metrics {
            let _ = writeln!(card, "| {metric} | {value:.4} |");
        }
    }
    card.push_str(
        "\n## What it is not\n\nThe probabilities are about the users and the time that the model was fitted on. They say who leaves, not \
         why, and not whom an offer would keep. When behaviour or prices change, measure again before acting on them.\n",
    );
    card
}

fn name(calibration: &Calibration) -> &'static str {
    match calibration {
        Calibration::Identity => "taken as they are, which no calibration improved",
        Calibration::Platt { .. } => "calibrated by Platt scaling",
        Calibration::Beta { .. } => "calibrated by beta calibration",
        Calibration::Isotonic(_) => "calibrated by isotonic regression",
    }
}

/// A moment as people write it; in milliseconds where the calendar ends.
fn date(moment: EventTime) -> String {
    Timestamp::from_millisecond(moment.0).map_or_else(|_| format!("{moment} ms"), |date| date.to_string())
}

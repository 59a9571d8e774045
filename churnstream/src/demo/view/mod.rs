//! What the demo shows while it runs: a full screen on a terminal, plain lines elsewhere.
//!
//! The view knows nothing of streams, models or pools. Whoever drives the demo fills a [`DemoState`] a few times a second and
//! gives it to [`draw`] or [`PlainView`]; both are pure: the same state gives the same picture. [`Screen`] alone touches the
//! terminal.
//!
//! Whatever is `None` in the state is shown as `unknown`.

mod plain;
mod screen;
mod state;
mod terminal;
mod text;

pub use plain::PlainView;
pub use screen::{Palette, draw};
pub use state::{AtRisk, DemoState, Lag, LastDecision, Phase};
pub use terminal::{Key, Screen};

//! Every metric in one pass over sorted rows.
//!
//! | metric | what it is |
//! | --- | --- |
//! | `auc` | how likely a lost user's score is above that of one who stayed, a tie counting half |
//! | `pr_auc` | average precision: the mean precision over the ranks of lost users, runs of ties taken whole |
//! | `lift_1`, `_5`, `_10` | loss rate among the highest 1, 5, 10 % over that of all; rows tied at the border count in part |
//! | `captured_1`, `_5`, `_10` | share of all lost users among these |
//! | `precision_K`, `recall_K` | loss rate among the highest K rows, and the share of lost users there; absent if there are fewer |
//! | `brier` | mean (p - outcome)² |
//! | `brier_skill` | 1 - brier / that of the loss rate for everybody: above 0 is better than knowing only the rate |
//! | `log_loss` | mean -ln(probability of what happened), in nats, probabilities kept 2⁻⁵² away from 0 and 1 |
//! | `calibration_error` | mean distance between promise and outcome over ten bins of equal weight, by rank; rows of one probability stay together |
//! | `calibration_slope`, `_intercept` | logistic regression of the outcome on the log-odds: 1 and 0 are honest; a slope below 1 boasts |

use super::Judged;

/// The number of metrics.
pub const COUNT: usize = 19;

/// The metrics' names, in the order of the values that are measured.
pub const NAMES: [&str; COUNT] = [
    "auc",
    "pr_auc",
    "lift_1",
    "lift_5",
    "lift_10",
    "captured_1",
    "captured_5",
    "captured_10",
    "precision_100",
    "recall_100",
    "precision_1000",
    "recall_1000",
    "brier",
    "brier_skill",
    "log_loss",
    "calibration_error",
    "calibration_slope",
    "calibration_intercept",
    "loss_rate",
];

const BINS: usize = 10;

/// What does not change from resample to resample.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    judged: &'a Judged,
    bin: Vec<u8>,
    log_loss: Vec<f64>,
    log_odds: Vec<f64>,
    /// What the regression on all rows gives each row.
    fitted: Vec<f64>,
    line: [f64; 2],
    rows: f64,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(judged: &'a Judged) -> Self {
        let clamp = |p: f64| p.clamp(1e-7, 1.0 - 1e-7);
        let log_odds: Vec<f64> =
            judged.probability.iter().map(|p| libm::log(clamp(*p) / (1.0 - clamp(*p)))).collect();
        let log_loss = judged.probability.iter().zip(&judged.lost).map(|(p, lost)| {
            let given = if *lost { *p } else { 1.0 - p };
            -libm::log(given.clamp(f64::EPSILON, 1.0 - f64::EPSILON))
        });
        let line = regress(&log_odds, &judged.lost, &judged.weight);
        Self {
            bin: bins(judged),
            log_loss: log_loss.collect(),
            fitted: log_odds.iter().map(|x| sigmoid(line[0] + line[1] * x)).collect(),
            rows: judged.weights().0,
            log_odds,
            line,
            judged,
        }
    }

    /// Measures the rows, each counting as often as its user was drawn. `None` if one of the outcomes does not occur.
    pub(super) fn measure(&self, drawn: &[f64]) -> Option<[f64; COUNT]> {
        let judged = self.judged;
        let (mut all, mut lost) = (0.0, 0.0);
        let (mut brier, mut log_loss) = (0.0, 0.0);
        let mut excess = [0.0; BINS];
        // At the line of all rows.
        let mut curvature = Curvature::default();
        for row in 0..judged.len() {
            let weight = judged.weight[row] * drawn[judged.user[row] as usize];
            if weight == 0.0 {
                continue;
            }
            let outcome = f64::from(u8::from(judged.lost[row]));
            let off = judged.probability[row] - outcome;
            all += weight;
            lost += weight * outcome;
            brier += weight * off * off;
            log_loss += weight * self.log_loss[row];
            excess[usize::from(self.bin[row])] += weight * off;
            curvature.add(weight, self.log_odds[row], self.fitted[row], judged.lost[row]);
        }
        let stayed = all - lost;
        if !(lost > 0.0 && stayed > 0.0) {
            return None;
        }
        let rate = lost / all;
        let top = |rows: f64| if rows <= self.rows { all * rows / self.rows } else { f64::NAN };
        let ranks =
            Ranks::walk(judged, drawn, [0.01, 0.05, 0.1].map(|share| share * all), [100.0, 1000.0].map(top));
        let step = curvature.step().unwrap_or([f64::NAN; 2]);
        let brier = brier / all;
        let lift = |caught: f64, size: f64| caught / size / rate;
        let [c1, c5, c10] = ranks.shares;
        let [k100, k1000] = ranks.counts;
        Some([
            ranks.won / (lost * stayed),
            ranks.precision / lost,
            lift(c1, (0.01 * all).max(f64::MIN_POSITIVE)),
            lift(c5, 0.05 * all),
            lift(c10, 0.1 * all),
            c1 / lost,
            c5 / lost,
            c10 / lost,
            k100 / top(100.0),
            k100 / lost,
            k1000 / top(1000.0),
            k1000 / lost,
            brier,
            1.0 - brier / (rate * (1.0 - rate)),
            log_loss / all,
            excess.iter().map(|sum: &f64| sum.abs()).sum::<f64>() / all,
            self.line[1] + step[1],
            self.line[0] + step[0],
            rate,
        ])
    }
}

/// What depends on the order of rows.
struct Ranks {
    /// Pairs won, ties half.
    won: f64,
    /// Precision summed over lost users.
    precision: f64,
    /// Lost users among the highest, for each size asked for; NaN for a size of NaN.
    shares: [f64; 3],
    counts: [f64; 2],
}

impl Ranks {
    fn walk(judged: &Judged, drawn: &[f64], shares: [f64; 3], counts: [f64; 2]) -> Self {
        let mut ranks = Self { won: 0.0, precision: 0.0, shares: [f64::NAN; 3], counts: [f64::NAN; 2] };
        let (mut above, mut lost_above, mut from) = (0.0, 0.0, 0);
        for &end in &judged.ends {
            let (mut all, mut lost) = (0.0, 0.0);
            for row in from..end as usize {
                let weight = judged.weight[row] * drawn[judged.user[row] as usize];
                all += weight;
                lost += if judged.lost[row] { weight } else { 0.0 };
            }
            from = end as usize;
            if all == 0.0 {
                continue;
            }
            let part = |size: f64, caught: &mut f64| {
                // A run at the border counts in part.
                if caught.is_nan() && size <= above + all {
                    *caught = lost_above + lost * ((size - above) / all).clamp(0.0, 1.0);
                }
            };
            shares.iter().zip(&mut ranks.shares).for_each(|(size, caught)| part(*size, caught));
            counts.iter().zip(&mut ranks.counts).for_each(|(size, caught)| part(*size, caught));
            ranks.won += (all - lost) * (lost_above + 0.5 * lost);
            above += all;
            lost_above += lost;
            ranks.precision += lost * lost_above / above;
        }
        // Rounding can leave the whole a hair short.
        let whole = |size: &f64, caught: &mut f64| {
            if caught.is_nan() && !size.is_nan() {
                *caught = lost_above;
            }
        };
        shares.iter().zip(&mut ranks.shares).for_each(|(size, caught)| whole(size, caught));
        counts.iter().zip(&mut ranks.counts).for_each(|(size, caught)| whole(size, caught));
        ranks
    }
}

/// The bin of each sorted row: ten of equal weight, as far as rows of one probability, which stay together, allow.
pub(super) fn bins(judged: &Judged) -> Vec<u8> {
    let total: f64 = judged.weight.iter().sum();
    let (mut before, mut from) = (0.0, 0);
    let mut bins = Vec::with_capacity(judged.len());
    for &end in &judged.ends {
        let run: f64 = judged.weight[from..end as usize].iter().sum();
        let middle = before + 0.5 * run;
        bins.resize(end as usize, ((middle / total * BINS as f64) as usize).min(BINS - 1) as u8);
        (before, from) = (before + run, end as usize);
    }
    bins
}

/// Logistic regression of the outcome on `x`: intercept and slope, by Newton's method with steps halved until they help. NaN where
/// there is no best line: one value of `x` only. Where the outcome can be told without error it stops on the way to infinity.
fn regress(x: &[f64], lost: &[bool], weight: &[f64]) -> [f64; 2] {
    let (mut line, mut step, mut least) = ([0.0; 2], [0.0; 2], f64::INFINITY);
    for _ in 0..50 {
        let next = [line[0] + step[0], line[1] + step[1]];
        let mut sums = Curvature::default();
        let mut loss = 0.0;
        for row in 0..x.len() {
            let at = next[0] + next[1] * x[row];
            let against = if lost[row] { -at } else { at };
            loss += weight[row] * (against.max(0.0) + libm::log1p(libm::exp(-against.abs())));
            sums.add(weight[row], x[row], sigmoid(at), lost[row]);
        }
        if loss > least {
            step = [0.5 * step[0], 0.5 * step[1]];
            continue;
        }
        let gained = least - loss;
        (line, least) = (next, loss);
        let Some(newton) = sums.step() else { return [f64::NAN; 2] };
        step = newton;
        if gained <= 1e-12 * loss {
            break;
        }
    }
    line
}

/// Gradient and curvature of a logistic regression's likelihood.
#[derive(Default)]
struct Curvature {
    gradient: [f64; 2],
    curve: [f64; 3],
}

impl Curvature {
    fn add(&mut self, weight: f64, x: f64, fitted: f64, lost: bool) {
        let residual = weight * (f64::from(u8::from(lost)) - fitted);
        let curve = weight * fitted * (1.0 - fitted);
        self.gradient[0] += residual;
        self.gradient[1] += residual * x;
        self.curve[0] += curve;
        self.curve[1] += curve * x;
        self.curve[2] += curve * x * x;
    }

    /// Newton's step; `None` if all rows lie at one place.
    fn step(&self) -> Option<[f64; 2]> {
        let ([g0, g1], [h00, h01, h11]) = (self.gradient, self.curve);
        let determinant = h00 * h11 - h01 * h01;
        (determinant > 1e-9 * h00 * h11)
            .then(|| [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant])
    }
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

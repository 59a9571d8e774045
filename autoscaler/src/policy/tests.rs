use proptest::prelude::*;
use types::PartitionId;

use super::*;
use crate::{PartitionObservation, ThresholdPolicy};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn seen(at: u64, workers: u32, lags: &[u64]) -> Observation {
    let partition = |(n, lag): (u32, &u64)| PartitionObservation {
        partition: PartitionId(n),
        lag_events: Some(*lag),
        lag_seconds: Some(*lag as f64 / 1000.0),
        arrival_rate: Some(100.0),
        service_rate: Some(100.0),
        status: PartitionStatus::Ok,
    };
    Observation { at: seconds(at), workers, partitions: (0..).zip(lags).map(partition).collect() }
}

fn policy() -> ThresholdPolicy {
    ThresholdPolicy { high_events: 1000, high_seconds: Some(5.0), low_share: 0.1, low_for: seconds(10) }
}

const LIMITS: (Duration, Duration) = (seconds(30), seconds(5));

fn limits(min: u32, max: u32) -> Limits {
    Limits::new(min, max, LIMITS.0, LIMITS.1)
}

#[track_caller]
fn expect(decision: &Decision, desired: u32, action: Action, reason: Reason) {
    assert_eq!((decision.desired, decision.action, decision.reason), (desired, action, reason), "{decision}");
}

#[test]
fn it_grows_with_lag_and_shrinks_after_a_quiet_time() {
    let (policy, limits) = (policy(), limits(1, 4));
    let mut history = History::new();
    let mut step = |at, lag| decide(&policy, &limits, &mut history, &seen(at, 1, &[lag; 4]));
    expect(&step(0, 100), 1, Action::Hold, Reason::Steady);
    let grown = step(1, 400);
    expect(&grown, 2, Action::Grow, Reason::LagHigh);
    assert_eq!(grown.to_string(), "grow from 1 to 2: 1600 events wait, over 1000");
    expect(&step(2, 400), 2, Action::Hold, Reason::Cooldown);
    // Three workers do no more than two with four equal partitions.
    expect(&step(6, 400), 4, Action::Grow, Reason::LagHigh);
    expect(&step(60, 400), 4, Action::Hold, Reason::Bounds);
    for at in 61..=71 {
        // Quiet from 61 on; ten seconds of it are seen at 71.
        let decision = step(at, 10);
        let (desired, action, reason) =
            if at < 71 { (4, Action::Hold, Reason::Steady) } else { (2, Action::Shrink, Reason::LagLow) };
        // One fewer would do the same as two.
        expect(&decision, desired, action, reason);
    }
    // Quiet goes on, but counts anew for the new number, and the cooldown is longer than that.
    for at in 72..101 {
        assert_eq!(step(at, 10).action, Action::Hold);
    }
    expect(&step(101, 10), 1, Action::Shrink, Reason::LagLow);
    expect(&step(102, 10), 1, Action::Hold, Reason::Steady);
    expect(&step(112, 10), 1, Action::Hold, Reason::Bounds);
    expect(&step(113, 400), 1, Action::Hold, Reason::Cooldown);
    expect(&step(131, 400), 2, Action::Grow, Reason::LagHigh);
}

#[test]
fn seconds_alone_can_be_too_much() {
    let mut late = seen(0, 1, &[10, 10]);
    late.partitions[1].lag_seconds = Some(5.5);
    let decision = decide(&policy(), &limits(1, 2), &mut History::new(), &late);
    expect(&decision, 2, Action::Grow, Reason::LagHigh);
    assert_eq!(decision.words, "the oldest event waits for 5.5 s, over 5 s");
}

#[test]
fn without_telemetry_nothing_changes() {
    let mut history = History::new();
    let mut blind = seen(0, 2, &[9000, 9000, 9000]);
    blind.partitions[1].lag_events = None;
    let decision = decide(&policy(), &limits(1, 3), &mut history, &blind);
    expect(&decision, 2, Action::Hold, Reason::TelemetryMissing);
    assert_eq!(decision.words, "the lag of partition 1 is unknown");
    assert_eq!(decision.numbers.lag_events, None);
    blind.partitions[1].lag_events = Some(0);
    blind.partitions.iter_mut().for_each(|p| p.lag_seconds = None);
    blind.partitions.iter_mut().for_each(|p| p.lag_events = Some(0));
    expect(
        &decide(&policy(), &limits(1, 3), &mut history, &blind),
        2,
        Action::Hold,
        Reason::TelemetryMissing,
    );
    let nothing = Observation { partitions: vec![], ..blind };
    assert_eq!(decide(&policy(), &limits(1, 3), &mut history, &nothing).action, Action::Hold);
}

#[test]
fn an_unknown_moment_interrupts_the_quiet() {
    let mut history = History::new();
    for at in 0..=10 {
        let mut now = seen(at, 2, &[0, 0]);
        if at == 5 {
            now.partitions[0].lag_events = None;
        }
        assert_eq!(decide(&policy(), &limits(1, 2), &mut history, &now).action, Action::Hold, "{at}");
    }
    assert_eq!(decide(&policy(), &limits(1, 2), &mut history, &seen(16, 2, &[0, 0])).action, Action::Shrink);
}

#[test]
fn stuck_partitions_are_no_demand() {
    let mut now = seen(0, 1, &[90_000, 10]);
    now.partitions[0].status = PartitionStatus::Stall;
    let decision = decide(&policy(), &limits(1, 2), &mut History::new(), &now);
    expect(&decision, 1, Action::Hold, Reason::Steady);
    assert_eq!((decision.numbers.stuck, decision.numbers.lag_events), (1, Some(10)));
    now.partitions[1].status = PartitionStatus::Stop;
    let decision = decide(&policy(), &limits(1, 2), &mut History::new(), &now);
    expect(&decision, 1, Action::Hold, Reason::Stuck);
}

#[test]
fn nobody_is_taken_away_while_a_partition_is_stuck() {
    let mut history = History::new();
    let little = |at| {
        let mut seen = seen(at, 2, &[900, 0]);
        seen.partitions[0].status = PartitionStatus::Stall;
        seen
    };
    let decisions: Vec<_> =
        (0..30).map(|at| decide(&policy(), &limits(1, 2), &mut history, &little(at))).collect();
    assert!(decisions.iter().all(|decision| decision.desired == 2), "{decisions:?}");
    expect(&decisions[29], 2, Action::Hold, Reason::Stuck);
    let decision = decide(&policy(), &limits(1, 2), &mut history, &seen(30, 2, &[0, 0]));
    expect(&decision, 1, Action::Shrink, Reason::LagLow);
}

#[test]
fn more_than_partitions_and_hot_partitions_are_not_grown_for() {
    let decision = decide(&policy(), &limits(1, 8), &mut History::new(), &seen(0, 2, &[9000, 9000]));
    expect(&decision, 2, Action::Hold, Reason::NoHelp);
    let mut hot = seen(0, 2, &[90_000, 0, 0, 0]);
    hot.partitions[0].arrival_rate = Some(50_000.0);
    let decision = decide(&policy(), &limits(1, 8), &mut History::new(), &hot);
    expect(&decision, 2, Action::Hold, Reason::NoHelp);
}

#[test]
fn history_is_bounded() {
    let mut history = History::new();
    for at in 0..100_000 {
        decide(&policy(), &limits(1, 1), &mut history, &seen(at, 1, &[0]));
    }
    assert_eq!(history.past.len(), 11, "ten seconds, one observation a second");
}

#[test]
fn every_reason_has_its_name_in_json_too() {
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{}\"", reason.name()));
    }
}

#[test]
fn metrics_show_the_decision() {
    let metrics = telemetry::Metrics::new("0");
    let shown = crate::DecisionMetrics::new(&metrics);
    let decision = decide(&policy(), &limits(1, 2), &mut History::new(), &seen(0, 1, &[9000, 9000]));
    shown.record(&decision, Some(decision.numbers.workers));
    let text = metrics.render();
    for line in [
        r#"churn_autoscaler_workers{state="actual"} 1"#,
        r#"churn_autoscaler_workers{state="desired"} 2"#,
        r#"churn_autoscaler_decisions_total{action="grow",reason="lag_high"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

/// Observations some seconds apart, of 1 to 8 partitions, with gaps in what is known.
fn runs() -> impl Strategy<Value = Vec<Observation>> {
    let status = prop_oneof![
        40 => Just(PartitionStatus::Ok), 2 => Just(PartitionStatus::Stall), 1 => Just(PartitionStatus::Unknown),
    ];
    let lag = prop_oneof![3 => 0_u64..50, 3 => 0_u64..3000, 1 => Just(u64::MAX)];
    let partition = (
        prop::option::weighted(0.98, lag),
        prop::option::weighted(0.98, 0.0..20.0_f64),
        0.0..500.0_f64,
        status,
    );
    (1_usize..9).prop_flat_map(move |partitions| {
        let moment = (1_u64..8, 0_u32..6, prop::collection::vec(partition.clone(), partitions));
        prop::collection::vec(moment, 1..150).prop_map(|moments| {
            let mut at = 0;
            let observation = |(step, workers, parts): (u64, u32, Vec<_>)| {
                at += step;
                let partitions = (0..).zip(parts).map(|(n, (lag_events, lag_seconds, rate, status))| {
                    let (arrival_rate, service_rate) = (Some(rate), Some(rate));
                    PartitionObservation {
                        partition: PartitionId(n),
                        lag_events,
                        lag_seconds,
                        arrival_rate,
                        service_rate,
                        status,
                    }
                });
                Observation { at: seconds(at), workers, partitions: partitions.collect() }
            };
            moments.into_iter().map(observation).collect()
        })
    })
}

fn run(limits: &Limits, moments: &[Observation]) -> (Vec<Decision>, History) {
    let mut history = History::new();
    let decisions = moments.iter().map(|m| decide(&policy(), limits, &mut history, m)).collect();
    (decisions, history)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_guards_hold_whatever_is_seen(moments in runs(), min in 0_u32..4, max in 0_u32..9) {
        let limits = limits(min, max);
        let (decisions, _) = run(&limits, &moments);
        let mut before: Option<u32> = None;
        let mut last: Option<(Duration, Action)> = None;
        for (decision, moment) in decisions.iter().zip(&moments) {
            prop_assert!((limits.min()..=limits.max()).contains(&decision.desired));
            let was = before.unwrap_or(moment.workers);
            let action = match decision.desired.cmp(&was) {
                std::cmp::Ordering::Less => Action::Shrink,
                std::cmp::Ordering::Equal => Action::Hold,
                std::cmp::Ordering::Greater => Action::Grow,
            };
            prop_assert_eq!(decision.action, action);
            if action != Action::Hold {
                if let Some((at, before)) = last {
                    let pause = if before == Action::Grow && action == Action::Grow { LIMITS.1 } else { LIMITS.0 };
                    prop_assert!(decision.at - at >= pause, "{decision} after {before:?} at {at:?}");
                }
                let unknown = moment.partitions.iter().any(|p| p.lag_events.is_none() && !p.status.is_stuck());
                prop_assert!(!unknown || decision.reason == Reason::Bounds, "{decision} without knowing");
                last = Some((decision.at, action));
            }
            before = Some(decision.desired);
        }
    }

    #[test]
    fn the_same_is_decided_again(moments in runs()) {
        prop_assert_eq!(run(&limits(1, 6), &moments), run(&limits(1, 6), &moments));
    }

    #[test]
    fn more_lag_never_means_fewer_workers(moments in runs(), more in prop::collection::vec(0_u64..5000, 8), older in 0.0..20.0_f64) {
        let limits = limits(1, 6);
        let (last, before) = moments.split_last().unwrap();
        let (_, history) = run(&limits, before);
        // The same moment with more lag everywhere, and all of it known: what is unknown cannot be compared. It is after every
        // cooldown, so that wishes come through.
        let mut little = last.clone();
        little.at += LIMITS.0;
        for p in &mut little.partitions {
            p.lag_events = Some(p.lag_events.unwrap_or(0) % 500);
            p.lag_seconds = Some(p.lag_seconds.unwrap_or(0.0) / 5.0);
            p.status = PartitionStatus::Ok;
        }
        let mut much = little.clone();
        for (p, more) in much.partitions.iter_mut().zip(&more) {
            p.lag_events = p.lag_events.map(|n| n.saturating_add(*more));
            p.lag_seconds = p.lag_seconds.map(|s| s + older);
        }
        let fewer = decide(&policy(), &limits, &mut history.clone(), &little).desired;
        let many = decide(&policy(), &limits, &mut history.clone(), &much).desired;
        prop_assert!(many >= fewer, "{many} < {fewer}");
    }
}

//! A second implementation of features, as plain as can be: a list of events, looked through anew for every column.
//!
//! It shares no code with the engine but the float expressions' documentation. Specs are not parsed here; a test describes the
//! same inputs in `Known`.

#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// An event as a test makes it. Values are already scaled whole numbers.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) ts: i64,
    pub(crate) kind: &'static str,
    pub(crate) id: Option<u32>,
    pub(crate) watch: Option<i64>,
    pub(crate) title: Option<String>,
    pub(crate) device: Option<&'static str>,
    pub(crate) plan: Option<&'static str>,
    pub(crate) price: Option<i64>,
}

/// Events that count as one: one event, or a pane.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) ts: i64,
    pub(crate) first: i64,
    pub(crate) kind: &'static str,
    /// What tells kinds of records apart: conditions met and values present.
    pub(crate) sort: (bool, bool, bool, bool, bool),
    pub(crate) events: Vec<Plain>,
    /// For panes: which of the titles are remembered, by hash.
    pub(crate) titles: BTreeSet<u64>,
}

pub(crate) struct Reference {
    pub(crate) reach: i64,
    pub(crate) lateness: i64,
    pub(crate) cap: usize,
    pub(crate) groups: Vec<Group>,
    pub(crate) dropped: Vec<Plain>,
    pub(crate) newest: Option<i64>,
    pub(crate) first_seen: i64,
    pub(crate) ids: Vec<(u32, i64)>,
    pub(crate) fresh: usize,
    pub(crate) compacted: bool,
    /// Whether the spec stores titles at all.
    pub(crate) texts: bool,
}

impl Reference {
    pub(crate) fn new(reach: i64, lateness: i64, cap: usize) -> Self {
        let (groups, dropped, ids) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            reach,
            lateness,
            cap,
            groups,
            dropped,
            newest: None,
            first_seen: i64::MAX,
            ids,
            fresh: 0,
            compacted: false,
            texts: true,
        }
    }

    /// The reason for which it is refused, if it is.
    pub(crate) fn apply(&mut self, e: &Plain, redriven: bool) -> Result<(), &'static str> {
        if let Some(newest) = self.newest {
            let behind = newest - e.ts;
            if behind > self.lateness && (!redriven || behind >= self.reach) {
                return Err("late");
            }
            if e.id.is_some_and(|id| self.ids.iter().any(|(i, ts)| *i == id && *ts >= newest - self.lateness))
            {
                return Err("duplicate");
            }
        }
        let newest = self.newest.unwrap_or(e.ts).max(e.ts);
        self.newest = Some(newest);
        self.first_seen = self.first_seen.min(e.ts);
        if let Some(id) = e.id {
            self.ids.retain(|(i, _)| *i != id);
            self.ids.push((id, e.ts));
        }
        let at = self.groups.iter().rposition(|g| g.ts <= e.ts).map_or(0, |i| i + 1);
        self.groups.insert(at, Group::of(e, self.texts));
        self.fresh += 1;
        while self.groups.first().is_some_and(|g| g.ts <= newest - self.reach) {
            self.dropped.extend(self.groups.remove(0).events);
        }
        if self.groups.len() > self.cap && self.fresh > self.groups.len() / 2 {
            self.compact(newest);
            self.fresh = 0;
            self.compacted = true;
        }
        Ok(())
    }

    fn compact(&mut self, newest: i64) {
        let mut out: Vec<Group> = Vec::new();
        let mut panes: Vec<(i64, i64)> = Vec::new();
        for g in std::mem::take(&mut self.groups) {
            let age = newest - g.ts;
            let length = if age <= HOUR {
                MINUTE
            } else if age <= DAY {
                15 * MINUTE
            } else {
                HOUR
            };
            let pane = (g.ts / length, length);
            let same =
                (0..out.len()).find(|&i| panes[i] == pane && out[i].kind == g.kind && out[i].sort == g.sort);
            match same {
                Some(i) => {
                    // The merged one stands where its last part stood.
                    let mut merged = out.remove(i);
                    let pane = panes.remove(i);
                    merged.ts = g.ts;
                    merged.first = merged.first.min(g.first);
                    merged.events.extend(g.events);
                    merged.titles.extend(g.titles);
                    while merged.titles.len() > 16 {
                        merged.titles.pop_last();
                    }
                    out.push(merged);
                    panes.push(pane);
                }
                None => {
                    out.push(g);
                    panes.push(pane);
                }
            }
        }
        self.groups = out;
    }

    /// Groups in (after, at].
    fn within(&self, after: i64, at: i64) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |g| g.ts > after && g.ts <= at)
    }

    /// All events up to `at`, dropped ones included, each with the time at which it counts.
    fn ever(&self, at: i64) -> impl Iterator<Item = &Plain> {
        self.dropped.iter().chain(self.within(i64::MIN, at).flat_map(|g| &g.events))
    }

    /// The column `{op}` of the events that `takes` takes, over `window` milliseconds (`None`: all), as of `at`.
    pub(crate) fn column(
        &self,
        op: &str,
        window: Option<i64>,
        gap: i64,
        at: i64,
        takes: &dyn Fn(&Plain) -> bool,
    ) -> f32 {
        let after = window.map_or(i64::MIN, |w| at - w);
        let mut events: Vec<&Plain> = Vec::new();
        if window.is_none() {
            events.extend(self.ever(at));
        } else {
            events.extend(self.within(after, at).flat_map(|g| &g.events));
        }
        events.retain(|e| takes(e));
        let values: Vec<i128> = events.iter().filter_map(|e| e.watch.map(i128::from)).collect();
        let (n, sum) = (values.len() as i128, values.iter().sum::<i128>());
        let unit = 1e3;
        let groups = || self.within(after, at).filter(|g| takes(&g.events[0]));
        match op {
            "count" => events.len() as f32,
            "sum" => (sum as f64 / unit) as f32,
            "mean" if n > 0 => (sum as f64 / (n as f64 * unit)) as f32,
            "std" if n > 0 => {
                let mean = sum.div_euclid(n);
                let rest = (sum - n * mean) as f64;
                let spread: i128 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
                let variance = (spread as f64 - rest * rest / n as f64) / n as f64;
                (variance.max(0.0).sqrt() / unit) as f32
            }
            "min" => values.iter().min().map_or(f32::NAN, |v| (*v as f64 / unit) as f32),
            "max" => values.iter().max().map_or(f32::NAN, |v| (*v as f64 / unit) as f32),
            "last" => {
                let last = if window.is_some() {
                    groups().filter_map(|g| g.events.last().and_then(|e| e.watch)).last()
                } else {
                    let live = self.within(i64::MIN, at).filter(|g| takes(&g.events[0]));
                    live.filter_map(|g| g.events.last().and_then(|e| e.watch))
                        .last()
                        .or_else(|| self.dropped.iter().rev().filter(|e| takes(e)).find_map(|e| e.watch))
                };
                last.map_or(f32::NAN, |v| (v as f64 / unit) as f32)
            }
            "distinct" => {
                let titles: BTreeSet<u64> =
                    groups().filter(|g| g.sort.2).flat_map(|g| g.titles.iter().copied()).collect();
                titles.len() as f32
            }
            "recency" => {
                let last = events.iter().map(|e| e.ts).max();
                last.map_or(f32::NAN, |ts| ((at - ts) as f64 / DAY as f64) as f32)
            }
            "tenure" => {
                let first = events.iter().map(|e| e.ts).min();
                first.map_or(f32::NAN, |ts| ((at - ts) as f64 / DAY as f64) as f32)
            }
            "active_days" => events.iter().map(|e| e.ts / DAY).collect::<BTreeSet<_>>().len() as f32,
            "sessions" => {
                // Stretches of activity, joined where the pause between them is short.
                let mut runs: Vec<(i64, i64)> = groups().map(|g| (g.first, g.ts)).collect();
                runs.sort_unstable();
                let (mut count, mut end) = (0, None::<i64>);
                for (first, last) in runs {
                    count += i32::from(end.is_none_or(|end| first > end + gap));
                    end = Some(end.map_or(last, |end| end.max(last)));
                }
                count as f32
            }
            "change" | "sum_change" => {
                let w = window.unwrap();
                let total = |from: i64, to: i64| -> i128 {
                    let events = self.within(from, to).flat_map(|g| &g.events).filter(|e| takes(e));
                    if op == "change" {
                        events.count() as i128
                    } else {
                        events.filter_map(|e| e.watch.map(i128::from)).sum()
                    }
                };
                let (now, before) = (total(at - w, at), total(at - 2 * w, at - w));
                let base = now.abs() + before.abs();
                if base == 0 { f32::NAN } else { ((now - before) as f64 / base as f64) as f32 }
            }
            _ => f32::NAN,
        }
    }

    /// The latest value of a field up to `at`.
    pub(crate) fn latest<T>(&self, at: i64, field: impl Fn(&Plain) -> Option<T>) -> Option<T> {
        let live = self.within(i64::MIN, at).filter_map(|g| g.events.last().and_then(&field)).last();
        live.or_else(|| self.dropped.iter().rev().find_map(&field))
    }

    /// As the spec of the tests has it: `cancel` ends, `join` and `return` start, 20 days of silence end.
    pub(crate) fn is_living(&self, at: i64, silence: i64) -> bool {
        let mut ended = false;
        let mut last = None;
        let mut turns: BTreeMap<(i64, usize), &Plain> = BTreeMap::new();
        for (i, e) in
            self.dropped.iter().chain(self.groups.iter().filter_map(|g| g.events.last())).enumerate()
        {
            turns.insert((e.ts, i), e);
        }
        for ((ts, _), e) in turns {
            if ts > at {
                continue;
            }
            last = Some(ts);
            match e.kind {
                "cancel" => ended = true,
                "join" | "return" => ended = false,
                _ => {}
            }
        }
        self.first_seen <= at && !ended && last.is_some_and(|last| at - last <= silence)
    }
}

impl Group {
    fn of(e: &Plain, texts: bool) -> Self {
        let titles =
            e.title.iter().map(|t| xxhash_rust::xxh3::xxh3_64(t.as_bytes()) & ((1 << 56) - 1)).collect();
        let played = e.kind == "play";
        let sort = (
            played && e.device == Some("tv"),
            played && e.watch.is_some(),
            texts && played && e.title.is_some(),
            e.plan.is_some(),
            e.price.is_some(),
        );
        Self { ts: e.ts, first: e.ts, kind: e.kind, sort, events: vec![e.clone()], titles }
    }
}

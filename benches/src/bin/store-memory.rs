//! What the store of user states takes: memory, disk, time to fill, to restart and to sweep.
//!
//! Users come in visits, in a new order each time, with some events a visit; every event is applied to the user's real state
//! and its feature row is computed, with commits each second and snapshots in the background, as the consumer does it. Then a
//! part of the users stays active, the process "crashes" with some seconds of events behind the snapshot, and recovers.
//! Prints one JSON object.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use feature_store::{
    Commit, PartitionStore, Pressure, Spec, Store, StoreIdentity, StoreOptions, SweepCursor, UserState,
};
use serde_json::json;
use types::{Event, EventTime, Offset, PartitionId, Value};

const SPEC: &str = r#"
version = 1
entity = "user"

[inputs.all]
[inputs.plays]
events = ["play"]
value = "watch_s"
scale = 3
[inputs.cancels]
events = ["cancel"]
[inputs.failed]
events = ["payment_failed"]

[[features]]
input = ["all", "plays", "cancels", "failed"]
ops = ["count"]
windows = ["24h", "7d", "30d"]

[[features]]
input = "plays"
ops = ["sum"]
windows = ["24h", "7d", "30d"]
"#;

const DAY: i64 = 86_400_000;
const START: i64 = 1_700_000_000_000;
const BATCH: u64 = 1_000;

#[derive(Parser)]
struct Arguments {
    /// How many users there are.
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    /// Events of each.
    #[arg(long, default_value_t = 100)]
    events: u64,
    /// In how many visits these come; the users' visits are shuffled.
    #[arg(long, default_value_t = 5)]
    visits: u64,
    /// Which part of the users goes on being active afterwards.
    #[arg(long, default_value_t = 0.01)]
    active: f64,
    /// How many events the active users have then.
    #[arg(long, default_value_t = 1_000_000)]
    active_events: u64,
    /// How many events come between the last snapshot and the crash.
    #[arg(long, default_value_t = 100_000)]
    crash_after: u64,
    /// How many partitions the users are spread over.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// The store's memory budget in MiB, instead of the default.
    #[arg(long)]
    memory: Option<usize>,
    /// Where the store is built, instead of a temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let dir = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let spec = Spec::from_toml(SPEC, Path::new("spec.toml"))?;
    let mut report = serde_json::Map::new();
    let mut note = |name: &str, value: serde_json::Value| {
        eprintln!("{name}: {value}");
        report.insert(name.to_owned(), value);
    };
    let started = Instant::now();
    let cpu = cpu_seconds()?;

    let mut run = Run::open(&arguments, &dir, &spec)?;
    let per_visit = arguments.events.div_ceil(arguments.visits);
    let mut left = arguments.events;
    for visit in 0..arguments.visits {
        let events = per_visit.min(left);
        left -= events;
        for n in 0..arguments.users {
            run.visit(shuffled(n, visit, arguments.users), START + visit as i64 * DAY, events)?;
        }
        eprintln!(
            "visit {visit}: {:.0} s, {} MiB resident",
            started.elapsed().as_secs_f64(),
            rss("VmRSS:")? >> 20
        );
    }
    let filled = arguments.users * arguments.events;
    note("users", json!(arguments.users));
    note("events", json!(filled));
    note("fill_cpu_seconds", json!(cpu_seconds()? - cpu));
    note("fill_rss_bytes", json!(rss("VmRSS:")?));

    let active = ((arguments.users as f64 * arguments.active) as u64).max(1);
    let today = START + arguments.visits as i64 * DAY;
    let cpu_before = cpu_seconds()?;
    for n in 0..arguments.active_events {
        run.visit(n * 7 % active, today + (n / active) as i64, 1)?;
    }
    note("active_users", json!(active));
    note("active_events", json!(arguments.active_events));
    note("active_cpu_seconds", json!(cpu_seconds()? - cpu_before));
    note("active_rss_bytes", json!(rss("VmRSS:")?));

    run.snapshot()?;
    let snapshot = run.next.clone();
    for n in 0..arguments.crash_after {
        run.visit(n * 7 % active, today + DAY + (n / active) as i64, 1)?;
    }
    run.commit()?;
    let ends = run.next.clone();
    note("disk_bytes", json!(run.store.disk_bytes()?));
    note("block_bytes", json!(run.partitions.iter().map(PartitionStore::block_bytes).sum::<u64>()));
    note("peak_rss_bytes", json!(rss("VmHWM:")?));
    drop(run);

    let restarted = Instant::now();
    let mut run = Run::open(&arguments, &dir, &spec)?;
    note("open_seconds", json!(restarted.elapsed().as_secs_f64()));
    let behind: u64 = run.next.iter().zip(&ends).map(|(from, end)| end - from).sum();
    let moments = |n: u64| (n * 7 % active, today + DAY + (n / active) as i64);
    let partitions = run.partitions.len() as u64;
    // Two workers, each with its partitions.
    std::thread::scope(|scope| {
        let half = run.partitions.len().div_ceil(2);
        let work = run.partitions.chunks_mut(half).zip(run.next.chunks(half)).enumerate();
        let workers: Vec<_> = work
            .map(|(worker, (users, next))| {
                let (spec, snapshot) = (&spec, &snapshot);
                scope.spawn(move || {
                    for (index, (users, next)) in users.iter_mut().zip(next).enumerate() {
                        let partition = (worker * half + index) as u64;
                        let of_partition = (0..arguments.crash_after)
                            .map(moments)
                            .filter(|(user, _)| user % partitions == partition)
                            .zip(snapshot[partition as usize]..);
                        // Blocks may have gone on after the snapshot: what they hold is not read again.
                        replay(users, spec, of_partition.filter(|(_, at)| at >= next))?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    note("replayed_events", json!(behind));
    note("restart_seconds", json!(restarted.elapsed().as_secs_f64()));

    let cpu_before = cpu_seconds()?;
    let (mut swept, mut newest) = (0u64, 0i64);
    for users in &mut run.partitions {
        let mut cursor = Some(SweepCursor::START);
        while let Some(from) = cursor {
            cursor = users.sweep(from, 4096, |_, state| {
                swept += 1;
                newest = newest.max(state.newest().map_or(0, |time| time.0));
            })?;
        }
    }
    anyhow::ensure!(swept == arguments.users, "{swept} users were swept, {} there are", arguments.users);
    anyhow::ensure!(newest > today, "the last events are not there");
    note("sweep_users_per_cpu_second", json!(swept as f64 / (cpu_seconds()? - cpu_before).max(0.01)));
    note("rss_bytes", json!(rss("VmHWM:")?));
    note("seconds", json!(started.elapsed().as_secs_f64()));
    note("cpu_seconds", json!(cpu_seconds()? - cpu));
    println!("{}", serde_json::Value::Object(report));
    Ok(())
}

/// The n-th user of a visit: each visit another order.
fn shuffled(n: u64, visit: u64, users: u64) -> u64 {
    // Steps by a prime larger than any count of users pass through all of them.
    (n * 4_294_967_291 + visit * 7_919) % users
}

struct Run<'a> {
    spec: &'a Spec,
    store: Store,
    partitions: Vec<PartitionStore<UserState>>,
    /// The next offset of each partition.
    next: Vec<u64>,
    since_maintain: u64,
    committed: Instant,
    row: Vec<f32>,
    key: String,
}

impl<'a> Run<'a> {
    fn open(arguments: &Arguments, dir: &Path, spec: &'a Spec) -> Result<Self> {
        let identity = StoreIdentity {
            spec_hash: spec.hash().as_str().to_owned(),
            topic: "events".to_owned(),
            partitions: arguments.partitions,
        };
        let mut options = StoreOptions::default();
        if let Some(memory) = arguments.memory {
            options.memory = memory << 20;
        }
        let store = Store::open(dir, &identity, options)?;
        let partitions = (0..arguments.partitions)
            .map(|partition| Ok(store.partition(PartitionId(partition))?))
            .collect::<Result<Vec<PartitionStore<UserState>>>>()?;
        let next = partitions.iter().map(|users| users.replay_from().0).collect();
        Ok(Self {
            spec,
            store,
            partitions,
            next,
            since_maintain: 0,
            committed: Instant::now(),
            row: vec![0.0; spec.feature_names().len()],
            key: String::new(),
        })
    }

    fn key(&mut self, user: u64) -> usize {
        use std::fmt::Write;
        self.key.clear();
        // Writing to a string does not fail.
        let _ = write!(self.key, "u{user:08}");
        (user % self.partitions.len() as u64) as usize
    }

    fn visit(&mut self, user: u64, start: i64, events: u64) -> Result<()> {
        let partition = self.key(user);
        for n in 0..events {
            let users = &mut self.partitions[partition];
            apply(users, self.spec, &mut self.row, &self.key, self.next[partition], (user, start, n))?;
            self.next[partition] += 1;
            self.since_maintain += 1;
        }
        if self.since_maintain >= BATCH {
            self.since_maintain = 0;
            let mut pressure = Pressure::Calm;
            for (users, next) in self.partitions.iter_mut().zip(&self.next) {
                if users.maintain(Offset(*next))? == Pressure::Commit {
                    pressure = Pressure::Commit;
                }
            }
            if pressure == Pressure::Commit || self.committed.elapsed() >= Duration::from_secs(1) {
                self.commit()?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        for (users, next) in self.partitions.iter_mut().zip(&self.next) {
            // Not before a replay has caught up.
            if users.committed().is_none_or(|commit| commit.next_input.0 <= *next) {
                users.commit(Commit { next_input: Offset(*next), ..Commit::default() })?;
            }
        }
        self.committed = Instant::now();
        Ok(())
    }

    fn snapshot(&mut self) -> Result<()> {
        self.commit()?;
        Ok(self.partitions.iter_mut().try_for_each(PartitionStore::snapshot_all)?)
    }
}

/// Applies a user's n-th event since `start` and reads the row, as the pipeline does.
fn apply(
    users: &mut PartitionStore<UserState>,
    spec: &Spec,
    row: &mut [f32],
    key: &str,
    at: u64,
    (user, start, n): (u64, i64, u64),
) -> Result<()> {
    let ts = EventTime(start + (user % 1_000) as i64 * 60_000 + n as i64 * 47_000);
    let Some(slot) = users.entry(key, Offset(at), UserState::new)? else { return Ok(()) };
    let watched = Value::Float((user * 31 + n * 977) as f64 % 3_600_000.0 / 1_000.0);
    let event = Event {
        entity_type: "user".into(),
        entity: key.into(),
        kind: if n % 10 == 9 { "payment_failed" } else { "play" }.into(),
        ts,
        id: None,
        fields: vec![("watch_s".into(), watched)],
    };
    let state = users.state_mut(slot);
    state.apply(spec, &event, ts, false);
    state.features(spec, ts, row);
    Ok(())
}

/// Replays the events of one partition: user and start, each with its offset.
fn replay(
    users: &mut PartitionStore<UserState>,
    spec: &Spec,
    events: impl Iterator<Item = ((u64, i64), u64)>,
) -> Result<()> {
    let mut row = vec![0.0; spec.feature_names().len()];
    for ((user, start), at) in events {
        apply(users, spec, &mut row, &format!("u{user:08}"), at, (user, start, 0))?;
        if at % BATCH == 0 {
            let _ = users.maintain(Offset(at + 1))?;
        }
    }
    Ok(())
}

/// Bytes of this process's memory, as a line of `/proc/self/status` says.
fn rss(line: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|l| l.strip_prefix(line)).context("no such line")?;
    let kilobytes: u64 = found.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes << 10)
}

/// User and system time of this process so far.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The command's name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields after it.
    let fields = stat.rsplit_once(')').context("no name in stat")?.1;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}

//! The consumer while something happens to its brokers: a cut, a pause, changes of leaders. Only in the long form (`make soak`): each test
//! has brokers of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use group::{Member, PARTITIONS, Proof};
use partition_log::conformance::broker::{self, Brokers};
use support::stream::{Appender, Shape};

const SHAPE: Shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };

fn brokers(count: u32) -> Option<(Brokers, std::path::PathBuf)> {
    if !support::soak() {
        println!("SKIPPED: only in the long form, CHURNSTREAM_SOAK=full");
        return None;
    }
    let brokers = broker::start(count)?;
    let dir = brokers.dir.clone()?;
    Some((brokers, dir))
}

fn signal(dir: &Path, broker: u32, name: &str) {
    let pid = std::fs::read_to_string(dir.join(format!("broker-{broker}.pid"))).unwrap();
    assert!(Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap().success());
}

fn restart(dir: &Path, broker: u32) {
    let back = broker::script().args(["broker", &broker.to_string(), "--dir"]).arg(dir).status().unwrap();
    assert!(back.success());
}

/// Appends the stream in parts while a member reads it; `disturb` is called between them.
fn disturbed(bootstrap: &str, name: &str, seed: u64, times: usize, mut disturb: impl FnMut(usize, &Member)) {
    let proof = Proof::new(bootstrap, name, support::seed() ^ seed, SHAPE);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(times * 2));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut member = proof.start("a", &[]);
    member.wait_for("partitions", |said| said.contains("partitions came"));
    for time in 0..times {
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(400));
        disturb(time, &member);
        slices.next().inspect(|slice| appender.append(slice));
    }
    slices.for_each(|slice| appender.append(slice));
    // It is this member that goes on, not the one that is started to the end.
    proof.wait_until_done(&mut member);
    member.signal("TERM");
    member.ends_well();
    proof.holds("a");
}

#[test]
fn a_change_of_leaders_costs_nothing() {
    let Some((brokers, dir)) = brokers(3) else { return };
    disturbed(&brokers.bootstrap, "leaders", 6, 3, |time, _| {
        let broker = time as u32 % 3 + 1;
        signal(&dir, broker, "KILL");
        sleep(Duration::from_secs(5));
        restart(&dir, broker);
        sleep(Duration::from_secs(3));
    });
    broker::stop(&brokers);
}

#[test]
fn a_commit_that_times_out_costs_nothing() {
    let Some((brokers, dir)) = brokers(1) else { return };
    // Longer than a transaction may stand still, and than the group waits.
    disturbed(&brokers.bootstrap, "pause", 7, 2, |_, _| {
        signal(&dir, 1, "STOP");
        sleep(Duration::from_secs(20));
        signal(&dir, 1, "CONT");
    });
    broker::stop(&brokers);
}

/// Longer than a process that is refused tries: the brokers refuse nothing, they are not there.
#[test]
fn brokers_that_are_away_for_minutes_are_waited_for() {
    let Some((brokers, dir)) = brokers(1) else { return };
    disturbed(&brokers.bootstrap, "away", 9, 1, |_, member| {
        signal(&dir, 1, "KILL");
        for _ in 0..20 {
            sleep(Duration::from_secs(20));
            // Whoever starts again what is dead must not start this again.
            let (status, body) = member.get("/healthz").expect("it answers");
            assert_eq!(status, 200, "{body}");
        }
        // But it does not do its work.
        assert_eq!(member.get("/readyz").expect("it answers").0, 503);
        restart(&dir, 1);
    });
    broker::stop(&brokers);
}

#[test]
fn a_cut_between_client_and_broker_costs_nothing() {
    let Some((brokers, dir)) = brokers(1) else { return };
    let proxy = Proxy::start(&brokers.bootstrap);
    // The broker tells its clients to come through the proxy.
    signal(&dir, 1, "KILL");
    let settings = dir.join("broker-1.properties");
    let mut file = std::fs::File::options().append(true).open(settings).unwrap();
    writeln!(file, "advertised.listeners=PLAINTEXT://{}", proxy.address).unwrap();
    sleep(Duration::from_secs(1));
    restart(&dir, 1);
    disturbed(&proxy.address, "cut", 8, 4, |time, _| {
        proxy.cut(true);
        sleep(Duration::from_secs(1 + 2 * time as u64));
        proxy.cut(false);
    });
    broker::stop(&brokers);
}

/// A TCP proxy that can be cut.
struct Proxy {
    address: String,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, open, to) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default(), to.to_owned());
        let (is_cut, all) = (Arc::clone(&cut), Arc::clone(&open));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(server) =
                    (!is_cut.load(Ordering::SeqCst)).then(|| TcpStream::connect(&to).ok()).flatten()
                else {
                    continue;
                };
                all.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, cut, open }
    }

    /// Ends every connection and lets no new one through, or lets them through again.
    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

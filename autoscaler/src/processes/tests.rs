//! With real processes: small shells.

use std::path::{Path, PathBuf};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    metrics: Metrics,
    processes: Processes,
}

impl World {
    /// Processes that run a script in which `$DIR` is a folder, and `{n}` the number.
    fn new(script: &str, pace: Pace) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = script.replace("$DIR", dir.path().to_str().unwrap());
        let words = vec!["sh".to_owned(), "-c".to_owned(), script];
        let command = ProcessCommand::new(words, "kafka:b:1", "events", None, 1).unwrap();
        let metrics = Metrics::new("0");
        let processes = Processes::new(&command, Vec::new(), pace, &metrics);
        Self { dir, metrics, processes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn wait_for(&self, what: &str, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened() {
            self.processes.look().unwrap();
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn pid(&self, name: &str) -> Option<i32> {
        std::fs::read_to_string(self.path(name)).ok()?.strip_suffix('\n')?.parse().ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.processes.kill();
    }
}

fn quick() -> Pace {
    Pace {
        stop: Duration::from_secs(50),
        rest: Duration::from_millis(10),
        most_rest: Duration::from_secs(40),
        proven: Duration::from_secs(100),
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn lives(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

/// Says when it began and when it was told to end; ends then.
const OBEDIENT: &str =
    "trap 'echo {n} >>$DIR/ended; exit 0' TERM; echo $$ >$DIR/pid-{n}; while :; do sleep 0.05; done";

#[test]
fn as_many_run_as_are_desired_and_the_highest_numbers_go() {
    let world = World::new(OBEDIENT, quick());
    world.processes.desire(3);
    let begun = |n: u32| world.pid(&format!("pid-{n}"));
    world.wait_for("three to begin", || (0..3).all(|n| begun(n).is_some()));
    assert_eq!(world.processes.running(), 3);
    let first = begun(0);
    world.processes.desire(1);
    world.wait_for("two to end", || lines(&world.path("ended")).len() == 2);
    let mut ended = lines(&world.path("ended"));
    ended.sort();
    assert_eq!(ended, ["1", "2"]);
    assert_eq!(world.processes.running(), 1);
    world.wait_for("them to be gone", || (1..3).all(|n| !lives(begun(n).unwrap())));
    std::fs::remove_file(world.path("pid-1")).unwrap();
    world.processes.desire(2);
    world.wait_for("the second to begin again", || begun(1).is_some());
    assert_eq!(begun(0), first, "the first was left alone");
    let last = [begun(0).unwrap(), begun(1).unwrap()];
    world.processes.stop();
    assert_eq!(world.processes.running(), 0);
    assert!(last.iter().all(|pid| !lives(*pid)));
    assert_eq!(lines(&world.path("ended")).len(), 4);
    assert!(world.metrics.render().contains("churn_autoscaler_process_deaths_total 0"));
}

#[test]
fn one_that_dies_is_started_again_after_a_while_that_grows() {
    let world = World::new("echo begun >>$DIR/begun; exit 7", quick());
    world.processes.desire(1);
    let begun = Instant::now();
    world.wait_for("it to die often", || lines(&world.path("begun")).len() == 6);
    // 10, 20, 40, 80 and 160 ms lie between six beginnings.
    assert!(begun.elapsed() >= Duration::from_millis(310), "{:?}", begun.elapsed());
    world.wait_for("its death to be seen", || {
        world.metrics.render().contains("churn_autoscaler_process_deaths_total 6")
    });
    world.processes.desire(0);
    world.processes.look().unwrap();
    assert_eq!(world.processes.running(), 0);

    let world = World::new(OBEDIENT, quick());
    world.processes.desire(2);
    world.wait_for("two to begin", || (0..2).all(|n| world.pid(&format!("pid-{n}")).is_some()));
    let killed = world.pid("pid-1").unwrap();
    rustix::process::kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    world.wait_for("another in its place", || world.pid("pid-1").is_some_and(|pid| pid != killed));
    assert!(world.metrics.render().contains("churn_autoscaler_process_deaths_total 1"));
    world.processes.stop();
}

#[test]
fn one_that_does_not_end_is_killed_with_what_it_started() {
    let script = "trap '' TERM; sleep 1000 & echo $! >$DIR/child; echo $$ >$DIR/pid; while :; do wait; done";
    let world = World::new(script, Pace { stop: Duration::from_millis(200), ..quick() });
    world.processes.desire(1);
    world.wait_for("it to begin", || world.pid("child").is_some() && world.pid("pid").is_some());
    let (pid, child) = (world.pid("pid").unwrap(), world.pid("child").unwrap());
    let begun = Instant::now();
    world.processes.stop();
    assert!(begun.elapsed() >= Duration::from_millis(200) && !lives(pid));
    // Whose parent is gone is waited for by somebody else.
    let gone =
        || std::fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "));
    world.wait_for("its child to be gone", gone);
}

#[test]
fn one_that_refuses_what_others_took_is_a_death_like_others() {
    // The first lives, and the second refuses what the first has shown to be right.
    let script = "test {n} = 0 || sleep 0.3; test {n} = 0 || exit 2; while :; do sleep 0.05; done";
    let world = World::new(script, Pace { proven: Duration::from_millis(1), ..quick() });
    world.processes.desire(2);
    let died = || world.metrics.render().contains("churn_autoscaler_process_deaths_total 2");
    world.wait_for("it to die twice", died);
    world.processes.stop();
}

#[test]
fn one_that_refuses_its_arguments_is_not_started_again() {
    let world = World::new("sleep 0.1; exit {n}", quick());
    world.processes.desire(3);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        if let Err(error) = world.processes.look() {
            break error;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(error.to_string(), "process 2 refuses its arguments (see above): sh -c sleep 0.1; exit 2");
    world.processes.stop();
    assert_eq!(world.processes.running(), 0);
}

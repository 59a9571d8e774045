use super::*;

fn setting(users: u32, days: u32, seed: u64) -> Setting {
    Setting { users, days, seed, start: jiff::civil::date(2025, 1, 1) }
}

/// Every row of a customer whose outcome is known.
fn decided(setting: Setting) -> Vec<Alive> {
    let truth = Truth::new(setting);
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for user in 0..setting.users {
        truth.user(user, &mut rows);
        all.extend(rows.iter().filter_map(|row| row.alive).filter(|alive| alive.left.is_some()));
    }
    all
}

/// Monte Carlo against the recursion and the filter: of those to whom they give a probability near p, about p do leave.
/// Days of one user depend on each other, so a user counts as one draw for each thirty days at most.
#[test]
fn both_probabilities_are_what_happens() {
    let all = decided(setting(2_500, 120, 1));
    for (name, p) in [("true", (|a| a.true_p30) as fn(&Alive) -> f64), ("bayes", |a| a.bayes_p30)] {
        let mut rows: Vec<_> = all.iter().map(|a| (p(a), a.left == Some(true))).collect();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        for group in rows.chunks(rows.len() / 8 + 1) {
            let n = group.len() as f64;
            let expected = group.iter().map(|r| r.0).sum::<f64>() / n;
            let observed = group.iter().filter(|r| r.1).count() as f64 / n;
            let independent = n / f64::from(HORIZON_DAYS);
            let allowed = 4.0 * libm::sqrt(expected * (1.0 - expected) / independent) + 0.001;
            assert!(
                (observed - expected).abs() < allowed,
                "{name}: {observed} left where {expected} was said"
            );
        }
    }
}

#[test]
fn the_best_ranking_is_realistic_and_below_that_of_the_hidden_state() {
    let best = best_possible(setting(3_000, 130, 2), &[40, 70, 99]).unwrap();
    let churn = best.left as f64 / best.customers as f64;
    assert!((0.03..0.06).contains(&churn), "{best:?}");
    assert!((0.80..0.90).contains(&best.auc), "{best:?}");
    assert!((best.auc..best.auc + 0.06).contains(&best.auc_of_hidden_state), "{best:?}");
}

#[test]
fn the_area_is_the_share_of_pairs_in_order() {
    let scored: Vec<(f64, bool)> = (0..60).map(|i| (f64::from(i * 7 % 11), i * 13 % 5 == 0)).collect();
    let mut wins = 0.0;
    let mut pairs = 0.0;
    for leaving in scored.iter().filter(|s| s.1) {
        for staying in scored.iter().filter(|s| !s.1) {
            pairs += 1.0;
            wins += if leaving.0 > staying.0 {
                1.0
            } else if leaving.0 == staying.0 {
                0.5
            } else {
                0.0
            };
        }
    }
    assert!((auc(scored).unwrap() - wins / pairs).abs() < 1e-12);
    assert_eq!(auc(vec![(0.1, true)]), None);
}

#[test]
fn an_outcome_is_known_only_where_its_whole_horizon_is() {
    let setting = setting(300, 80, 3);
    let truth = Truth::new(setting);
    let mut rows = Vec::new();
    let mut outcomes = [0; 2];
    for user in 0..setting.users {
        truth.user(user, &mut rows);
        let days: Vec<u32> = rows.iter().map(|row| row.day).collect();
        let expected: Vec<u32> = (days.first().copied().unwrap_or(0)..setting.days).collect();
        assert!(days.is_empty() || days == expected);
        for row in &rows {
            let Some(alive) = row.alive else { continue };
            assert_eq!(alive.left.is_some(), row.day + HORIZON_DAYS < setting.days);
            // The first day after this one on which the user is no customer is the day of leaving.
            let gone = rows.iter().find(|later| later.day > row.day && later.alive.is_none());
            if let Some(left) = alive.left {
                assert_eq!(
                    left,
                    gone.is_some_and(|g| g.day <= row.day + HORIZON_DAYS),
                    "user {user}: {row:?}"
                );
                outcomes[usize::from(left)] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|n| *n > 0), "{outcomes:?}");
}

#[test]
fn the_file_reads_as_documented_compressed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let setting = setting(3, 40, 4);
    let (plain, packed) = (dir.path().join("t.csv"), dir.path().join("t.csv.zst"));
    let shutdown = Shutdown::new();
    write(setting, &plain, Some(9), &shutdown).unwrap();
    write(setting, &packed, Some(9), &shutdown).unwrap();
    let text = fs::read_to_string(&plain).unwrap();
    let unpacked = zstd::decode_all(File::open(&packed).unwrap()).unwrap();
    assert_eq!(text.as_bytes(), unpacked);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], COLUMNS.trim_end());
    for line in &lines[1..] {
        let cells: Vec<_> = line.split(',').collect();
        assert_eq!(cells.len(), 9, "{line}");
        assert!(cells[0].starts_with("u000000") && cells[2].starts_with("2025-0"), "{line}");
        if cells[3] == "1" {
            assert!(cells[6..8].iter().all(|p| (0.0..1.0).contains(&p.parse::<f64>().unwrap())), "{line}");
        } else {
            assert!(cells[4..].iter().all(|c| c.is_empty()), "{line}");
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing unfinished is left");

    shutdown.request("test");
    write(setting, &plain, None, &shutdown).unwrap();
    assert_eq!(fs::read_to_string(&plain).unwrap(), text, "a stopped run leaves the old file");
}

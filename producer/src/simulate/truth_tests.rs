use super::*;

fn setting(users: u32, days: u32) -> Setting {
    Setting { users, days, seed: 5, start: jiff::civil::date(2025, 1, 1) }
}

#[test]
fn report() {
    for seed in [5] {
        let s = Setting { seed, ..setting(8_000, 240) };
        for day in [60, 120, 180, 209] {
            eprintln!("{day} {:?}", best_possible(s, &[day]));
        }
    }
}

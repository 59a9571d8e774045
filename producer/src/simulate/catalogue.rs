//! Names and prices: what of the service is the same for every seed.

use super::draws::Draws;
use super::model::PLANS;

/// A country that the service is sold in.
#[derive(Debug, Clone, Copy)]
pub struct Country {
    /// ISO 3166 code.
    pub code: &'static str,
    /// ISO 4217 code.
    pub currency: &'static str,
    /// Price of 30 days by plan, in minor units.
    pub prices: [i64; PLANS],
    /// Hours ahead of UTC, without summer time.
    pub utc_offset: i8,
    /// Share of the users.
    pub share: f64,
}

const fn country(
    code: &'static str,
    currency: &'static str,
    prices: [i64; PLANS],
    utc_offset: i8,
    share: f64,
) -> Country {
    Country { code, currency, prices, utc_offset, share }
}

/// Every country.
pub const COUNTRIES: [Country; 8] = [
    country("US", "USD", [799, 1549, 2299], -6, 0.34),
    country("GB", "GBP", [499, 1099, 1799], 0, 0.14),
    country("DE", "EUR", [499, 1299, 1999], 1, 0.14),
    country("FR", "EUR", [599, 1349, 1999], 1, 0.10),
    country("BR", "BRL", [1890, 3990, 5590], -3, 0.10),
    country("IN", "INR", [14_900, 19_900, 64_900], 5, 0.08),
    country("JP", "JPY", [790, 1490, 1980], 9, 0.06),
    country("AU", "AUD", [799, 1699, 2299], 10, 0.04),
];

/// What people watch on.
pub const DEVICES: [&str; 4] = ["tv", "mobile", "web", "tablet"];
/// Where users come from.
pub const CHANNELS: [&str; 4] = ["organic", "search", "social", "referral"];
/// What tickets are about.
pub const TOPICS: [&str; 5] = ["playback", "billing", "login", "content", "quality"];
/// Why users say that they leave; the first one for those whose payment failed.
pub const REASONS: [&str; 5] = ["payment", "price", "nothing-to-watch", "quality", "other"];
/// What banks say.
pub const DECLINES: [&str; 3] = ["insufficient_funds", "expired_card", "do_not_honor"];
/// Seconds of an ad.
pub const AD_SECONDS: [u32; 3] = [15, 20, 30];

/// A kind of title, with its shortest and longest length in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Genre {
    /// The name in the events.
    pub name: &'static str,
    /// Shortest and longest.
    pub seconds: (u32, u32),
}

/// Every genre.
pub const GENRES: [Genre; 8] = [
    Genre { name: "drama", seconds: (2_400, 3_600) },
    Genre { name: "comedy", seconds: (1_260, 1_800) },
    Genre { name: "film", seconds: (5_100, 8_400) },
    Genre { name: "documentary", seconds: (2_700, 5_400) },
    Genre { name: "kids", seconds: (420, 1_500) },
    Genre { name: "anime", seconds: (1_320, 1_500) },
    Genre { name: "news", seconds: (600, 1_800) },
    Genre { name: "sport", seconds: (3_600, 7_200) },
];

/// When in the day a kind of user watches: weights of the hours of local time.
#[derive(Debug, Clone, Copy)]
pub struct Habit {
    /// Weight of each hour.
    pub hours: [u16; 24],
    /// Share of the users.
    pub share: f64,
}

/// Every habit: after work, families in the afternoon, night owls, early birds.
pub const HABITS: [Habit; 4] = [
    Habit {
        hours: [6, 3, 1, 1, 1, 1, 2, 4, 5, 5, 6, 7, 10, 10, 9, 10, 13, 20, 32, 46, 56, 54, 36, 16],
        share: 0.55,
    },
    Habit {
        hours: [1, 1, 1, 1, 1, 2, 8, 14, 12, 12, 14, 14, 14, 16, 22, 32, 40, 42, 40, 32, 18, 9, 4, 2],
        share: 0.20,
    },
    Habit {
        hours: [42, 36, 24, 14, 6, 2, 1, 1, 2, 3, 4, 5, 7, 8, 8, 9, 10, 12, 14, 18, 24, 32, 40, 44],
        share: 0.15,
    },
    Habit {
        hours: [1, 1, 1, 2, 8, 22, 40, 44, 32, 20, 14, 12, 14, 12, 10, 10, 10, 12, 14, 14, 12, 8, 3, 1],
        share: 0.10,
    },
];

/// Draws moments of the UTC day by habit and country.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Cumulative weights of the UTC hours, by habit and country.
    hours: Vec<[u32; 24]>,
}

/// Milliseconds of an hour.
const HOUR_MS: u32 = 3_600_000;

impl Clock {
    /// Works out the tables.
    #[must_use]
    pub fn new() -> Self {
        let of = |habit: &Habit, country: &Country| {
            let mut sum = 0;
            std::array::from_fn(|utc| {
                let local = (utc as i64 + i64::from(country.utc_offset)).rem_euclid(24) as usize;
                sum += u32::from(habit.hours[local]);
                sum
            })
        };
        Self { hours: HABITS.iter().flat_map(|h| COUNTRIES.iter().map(move |c| of(h, c))).collect() }
    }

    /// A moment at which a user of this habit and country does something, in milliseconds of the UTC day.
    pub fn moment(&self, habit: u8, country: u8, draws: &mut Draws) -> u32 {
        let hours = &self.hours[usize::from(habit) * COUNTRIES.len() + usize::from(country)];
        let weight = draws.below(hours[23]);
        let hour = hours.iter().position(|sum| weight < *sum).unwrap_or(23) as u32;
        hour * HOUR_MS + draws.below(HOUR_MS)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one() {
        assert!((COUNTRIES.iter().map(|c| c.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((HABITS.iter().map(|h| h.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

//! The exponential and the logarithm, the same bits on every machine and those that XGBoost gets.
//!
//! XGBoost calls `expf` and `logf` of the system's C library. They err by a little more than half a unit in the last place, so a
//! result that is merely precise differs from theirs once in a thousand or so: then a probability would be two units away,
//! or every margin of a model one. These two agree with glibc's (2.27 and later) on every argument in their range.
//!
//! The methods are Tang's (1989 and 1990): the argument is brought near a table's entry, and a cubic does the rest, in `f64` and
//! rounded once. Tables and coefficients are facts of glibc's functions (`e_exp2f_data.c`, `e_logf_data.c`).

/// 2^(i/32), each the nearest `f64`.
#[rustfmt::skip]
#[allow(clippy::approx_constant)] // the square root of 2 is one of them
const ROOTS: [f64; 32] = [
    1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237,
    1.0905077326652577, 1.1143867425958924, 1.1387886347566916, 1.1637248587775775,
    1.189207115002721, 1.215247359980469, 1.241857812073484, 1.2690509571917332,
    1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832,
    1.4142135623730951, 1.4451808069770467, 1.4768261459394993, 1.5091644275934228,
    1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965,
    1.681792830507429, 1.718619298122478, 1.7562521603732995, 1.7947090750031072,
    1.8340080864093424, 1.8741676341103, 1.9152065613971474, 1.9571441241754002,
];

/// e^x for x from -80 to 88.7; below, as for -80.
///
/// x = (k + r) ln 2 / 32 with k whole and |r| at most a half, so e^x = 2^(k/32) 2^(r/32): a table's entry and a cubic.
pub(super) fn exp(x: f32) -> f32 {
    /// Added and taken away again, it rounds to whole numbers, ties to even. 1.5 * 2^52.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const CUBIC: [f64; 3] = [
        0.055_503_615_593_415_35 / 32_768.0,
        0.240_228_452_244_572_2 / 1_024.0,
        0.693_147_180_691_620_3 / 32.0,
    ];
    let scaled = f64::from(x.max(-80.0)) * (std::f64::consts::LOG2_E * 32.0);
    let whole = (scaled + ROUND) - ROUND;
    let r = scaled - whole;
    // At most 4096 either way: whole / 32 fits the exponent.
    let k = whole as i64;
    let root = ROOTS[(k & 31) as usize];
    let power = f64::from_bits(root.to_bits().wrapping_add(((k >> 5) as u64) << 52));
    let cubic = (CUBIC[0] * r + CUBIC[1]) * (r * r) + (CUBIC[2] * r + 1.0);
    (cubic * power) as f32
}

/// For each sixteenth of a binade from 0.7 up, a number c near its middle: 1 / c and ln c.
const CENTRES: [(f64, f64); 16] = [
    (1.398_907_162_146_528, -0.33569133332882284),
    (1.3403141896637998, -0.292_904_056_377_407_4),
    (1.286432210124115, -0.251_872_658_093_736_9),
    (1.2367150214269895, -0.21245868807117255),
    (1.1906977166711752, -0.17453945183745634),
    (1.1479821020556429, -0.1380057072319758),
    (1.1082251448272158, -0.10275976698545139),
    (1.0711297413057381, -0.068_713_924_470_205_25),
    (1.036_437_278_977_283, -0.035_789_138_739_822_8),
    (1.0, 0.0),
    (0.9492859795739057, 0.052_045_177_429_294_96),
    (0.895_104_942_860_900_4, 0.11081431298787942),
    (0.847_682_162_035_110_3, 0.165_249_522_369_514_3),
    (0.805_031_485_169_200_1, 0.21687389031699977),
    (0.7664671008843108, 0.265_963_502_812_139_7),
    (0.731_428_603_316_328, 0.312_755_666_407_355_7),
];

/// ln x for normal numbers above 0.
///
/// x = 2^k z with z from 0.7 to 1.4, so ln x = k ln 2 + ln c + ln(1 + r) with r = z / c - 1, and a cubic for the last.
pub(super) fn ln(x: f32) -> f32 {
    /// Where the table begins: the bits of 0.7 or so.
    const FIRST: u32 = 0x3f33_0000;
    const CUBIC: [f64; 3] = [-0.25089342214237154, 0.333_456_765_744_066, -0.499_999_748_580_210_3];
    let above = x.to_bits().wrapping_sub(FIRST);
    let k = (above as i32) >> 23;
    let z = f32::from_bits(x.to_bits().wrapping_sub((k as u32) << 23));
    let (inverse, ln_c) = CENTRES[(above >> 19) as usize & 15];
    let r = f64::from(z) * inverse - 1.0;
    let base = ln_c + f64::from(k) * std::f64::consts::LN_2;
    let r2 = r * r;
    ((CUBIC[0] * r2 + (CUBIC[1] * r + CUBIC[2])) * r2 + (base + r)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(a: f32, b: f64) -> u32 {
        a.to_bits().abs_diff((b as f32).to_bits())
    }

    #[test]
    fn both_are_within_one_unit_of_the_truth() {
        let mut x = -80.0_f32;
        while x <= 88.7 {
            assert!(apart(exp(x), libm::exp(f64::from(x))) <= 1, "exp({x})");
            x += 0.000_7;
        }
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            assert!(apart(ln(x), libm::log(f64::from(x))) <= 1, "ln({x})");
            x *= 1.000_3;
        }
    }

    #[test]
    fn where_glibc_is_not_the_nearest() {
        assert_eq!(exp(1.345_770_5), 3.841_145);
        assert_eq!(libm::exp(f64::from(1.345_770_5_f32)) as f32, 3.841_144_8);
        let odds = 1.0 / 0.705_493_7_f32 - 1.0;
        assert_eq!(-ln(odds), 0.873_597_5);
        assert_eq!(-libm::log(f64::from(odds)) as f32, 0.873_597_44);
    }
}

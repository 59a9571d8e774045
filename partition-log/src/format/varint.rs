//! Zig-zag variable-length integers, as in Protocol Buffers: seven bits a byte, lowest first.

/// The most bytes that a 64-bit number takes.
pub(crate) const MAX_LEN: usize = 10;

/// Appends `n`. O(length).
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, n: i64) {
    let mut rest = zigzag(n);
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    let mut bytes = [0_u8; MAX_LEN];
    let mut len = 0;
    while rest >= 0x80 {
        bytes[len] = rest as u8 | 0x80;
        rest >>= 7;
        len += 1;
    }
    bytes[len] = rest as u8;
    out.extend_from_slice(&bytes[..=len]);
}

/// How many bytes `push` writes for `n`: 1 to 10.
#[inline]
pub(crate) fn len(n: i64) -> usize {
    let bits = 64 - (zigzag(n) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads a number at `*at` and moves `*at` behind it; `None` if the bytes end too early or it has more than 64 bits.
#[inline]
pub(crate) fn read(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let first = *bytes.get(*at)?;
    if first < 0x80 {
        *at += 1;
        return Some(unzigzag(u64::from(first)));
    }
    read_long(bytes, at)
}

fn read_long(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.get(*at..)?.iter().take(MAX_LEN).enumerate() {
        // The tenth byte holds the last bit alone.
        if i == MAX_LEN - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *at += i + 1;
            return Some(unzigzag(value));
        }
    }
    None
}

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_bytes_come_out() {
        for (n, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (-64, &[127]),
            (64, &[128, 1]),
            (300, &[0xd8, 4]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            push(&mut out, n);
            assert_eq!(out, bytes, "{n}");
        }
    }

    #[test]
    fn what_is_cut_or_too_long_is_none() {
        assert_eq!(read(&[], &mut 0), None);
        assert_eq!(read(&[0x80], &mut 0), None);
        assert_eq!(read(&[0xff; 11], &mut 0), None);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &mut 0), None);
    }

    proptest::proptest! {
        #[test]
        fn any_number_reads_back(n: i64, shift in 0_u32..64) {
            let n = n >> shift;
            let mut out = vec![7];
            push(&mut out, n);
            proptest::prop_assert_eq!(out.len(), 1 + len(n));
            let mut at = 1;
            proptest::prop_assert_eq!(read(&out, &mut at), Some(n));
            proptest::prop_assert_eq!(at, out.len());
        }
    }
}

//! Variable-length integers: seven bits a byte, the lowest first, the high bit set on all but the last; signed ones zig-zag.

/// Appends `v` in 1 to 10 bytes.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut v: u64) {
    let (mut item, mut n) = ([0; 10], 1);
    for byte in &mut item {
        *byte = v as u8 | 0x80;
        v >>= 7;
        if v == 0 {
            *byte &= 0x7f;
            break;
        }
        n += 1;
    }
    // Copying all ten bytes and cutting is quicker than copying just enough.
    let end = out.len() + n;
    out.extend_from_slice(&item);
    out.truncate(end);
}

/// Appends `v` in 1 to 19 bytes.
pub(crate) fn put_wide(out: &mut Vec<u8>, mut v: u128) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Reads what [`put`] wrote and moves `at` behind it. `None` if the bytes end first; bits beyond 64 are lost.
///
/// Lengths vary from item to item, so a loop over bytes is mispredicted again and again: items of up to eight bytes are read
/// at once where eight bytes are left.
#[inline]
pub(crate) fn get(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let rest = bytes.get(*at..)?;
    let Some(eight) = rest.first_chunk::<8>() else { return get_slowly(bytes, at) };
    let word = u64::from_le_bytes(*eight);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return get_slowly(bytes, at);
    }
    *at += ends.trailing_zeros() as usize / 8 + 1;
    // The item's bytes without their high bits, then pushed together: by twos, fours and eights.
    let item = word & (ends ^ (ends - 1)) & 0x7f7f_7f7f_7f7f_7f7f;
    let item = (item & 0x007f_007f_007f_007f) | (item & 0x7f00_7f00_7f00_7f00) >> 1;
    let item = (item & 0x0000_3fff_0000_3fff) | (item & 0x3fff_0000_3fff_0000) >> 2;
    Some((item & 0x0fff_ffff) | (item & 0x0fff_ffff_0000_0000) >> 4)
}

/// As [`get`], quicker for items of one byte.
#[inline]
pub(crate) fn get_small(bytes: &[u8], at: &mut usize) -> Option<u64> {
    match bytes.get(*at) {
        Some(byte) if *byte < 0x80 => {
            *at += 1;
            Some(u64::from(*byte))
        }
        _ => get(bytes, at),
    }
}

fn get_slowly(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let (mut v, mut shift) = (0_u64, 0);
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        v |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(v);
        }
        shift += 7;
    }
}

/// Reads what [`put_wide`] wrote; as [`get`].
pub(crate) fn get_wide(bytes: &[u8], at: &mut usize) -> Option<u128> {
    let mut v = 0_u128;
    let mut shift = 0;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        v |= u128::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(v);
        }
        shift += 7;
    }
}

/// How many bytes [`put`] writes.
pub(crate) const fn len(v: u64) -> usize {
    (70 - (v | 1).leading_zeros() as usize) / 7
}

/// Small absolute values become small unsigned ones.
pub(crate) const fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

pub(crate) const fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

pub(crate) const fn zigzag_wide(v: i128) -> u128 {
    ((v << 1) ^ (v >> 127)) as u128
}

pub(crate) const fn unzigzag_wide(v: u128) -> i128 {
    (v >> 1) as i128 ^ -((v & 1) as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn numbers_read_back(v: u64, bits in 0..64_u32, wide: i128, wide_bits in 0..128_u32) {
            let (v, wide) = (v >> bits, wide >> wide_bits);
            let mut out = Vec::new();
            put(&mut out, v);
            proptest::prop_assert_eq!(out.len(), len(v));
            put_wide(&mut out, zigzag_wide(wide));
            put(&mut out, zigzag(v as i64));
            let mut at = 0;
            proptest::prop_assert_eq!(get(&out, &mut at), Some(v));
            proptest::prop_assert_eq!(get_wide(&out, &mut at).map(unzigzag_wide), Some(wide));
            proptest::prop_assert_eq!(get(&out, &mut at).map(unzigzag), Some(v as i64));
            proptest::prop_assert_eq!(at, out.len());
            proptest::prop_assert_eq!(get(&out, &mut at), None);
            out.extend_from_slice(&[0x81; 8]);
            proptest::prop_assert_eq!(get(&out, &mut 0), Some(v));
            proptest::prop_assert_eq!(get_small(&out, &mut 0), Some(v));
        }
    }
}

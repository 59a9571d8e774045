//! Bytes of the store's small records: little-endian numbers, LEB128 lengths, a CRC-32C before what it guards.

/// Appends a length as LEB128: seven bits a byte, low ones first.
pub(super) fn put_len(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// How many bytes [`put_len`] takes.
pub(super) fn len_bytes(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends bytes after their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice. Every method returns `None` where the bytes are too few or not canonical.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]| b)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn len(&mut self) -> Option<usize> {
        let mut n = 0usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = usize::from(byte & 0x7f);
            if shift > 0 && byte == 0 || (bits << shift) >> shift != bits {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.len()?;
        self.take(n)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Wraps a small record: its version, the CRC-32C of the rest, the rest.
pub(super) fn seal(version: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + body.len());
    out.push(version);
    out.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&[version]), body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// Opens what [`seal`] wrapped, or says what is wrong.
pub(super) fn unseal(version: u8, bytes: &[u8]) -> Result<Reader<'_>, String> {
    let mut reader = Reader(bytes);
    let short = || "it is cut short".to_owned();
    let found = reader.u8().ok_or_else(short)?;
    let crc = reader.u32().ok_or_else(short)?;
    if crc32c::crc32c_append(crc32c::crc32c(&[found]), reader.0) != crc {
        return Err("its checksum does not match".to_owned());
    }
    if found != version {
        return Err(format!("its format is version {found}, known is {version}"));
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_back_and_take_the_bytes_foretold() {
        for shift in 0..usize::BITS {
            for n in [(1usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut out = Vec::new();
                put_len(&mut out, n);
                assert_eq!(out.len(), len_bytes(n), "{n}");
                let mut reader = Reader(&out);
                assert_eq!((reader.len(), reader.is_empty()), (Some(n), true));
            }
        }
    }

    #[test]
    fn overlong_and_overflowing_lengths_are_refused() {
        assert_eq!(Reader(&[0x80, 0]).len(), None);
        assert_eq!(Reader(&[0xff; 10]).len(), None);
        assert_eq!(Reader(&[0x80]).len(), None);
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_record_is_found() {
        let sealed = seal(1, b"next input 42");
        assert_eq!(unseal(1, &sealed).map(|r| r.0), Ok(&b"next input 42"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(1, &bad).is_err(), "bit {bit}");
        }
    }
}

//! Asking for memory before it is needed. Users come at random, so each event waits for memory three times in a row (the user, then
//! its cells, then its log): more than half of what it costs. Loads would make the processor wait too; prefetches do not.
#![allow(unsafe_code)]

/// Begins to load the cache line of a value. A hint: it changes nothing, and does nothing where there is no such instruction.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing that the program can see and faults on no address; this one is
        // a live reference besides.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Begins to load the cache lines of a slice, up to `most` of them.
#[inline]
pub(crate) fn prefetch_slice<T>(values: &[T], most: usize) {
    let per_line = (64 / size_of::<T>().max(1)).max(1);
    values.iter().step_by(per_line).take(most).for_each(prefetch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_changes_nothing() {
        let values: Vec<u64> = (0..100).collect();
        prefetch(&values);
        prefetch_slice(&values, 50);
        prefetch_slice::<u64>(&[], 3);
        assert!(values.iter().copied().eq(0..100));
    }
}

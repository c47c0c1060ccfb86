//! The memory that hashes are computed in: one piece a process, taken once.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use argon2::Block;
use memmap2::{Advice, MmapMut};

/// Memory that is kept. Asking the allocator for it at each hash fragments the heap until the
/// function runs out of memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<MmapMut>>);

impl Memory {
    /// Whether there is some that nobody works in.
    pub(super) fn is_taken(&self) -> bool {
        self.0.try_lock().is_ok_and(|kept| kept.is_some())
    }

    /// Works in so many blocks, when nobody else does. What was left in them is of no interest to a
    /// hash.
    pub(super) fn work_in<T>(
        &self,
        count: usize,
        work: impl FnOnce(&mut [Block]) -> T,
    ) -> io::Result<T> {
        let size = count * Block::SIZE;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let map = match kept.take() {
            Some(map) if map.len() >= size => map,
            _ => map(size)?,
        };
        Ok(work(blocks(kept.insert(map))))
    }
}

/// Pages of 2 MiB, if the kernel has any: a hash jumps about in its memory, and takes 3 % less time
/// in them. All at once, if it can: taking pages one by one as they are touched lasts twice as
/// long.
///
/// <https://docs.kernel.org/admin-guide/mm/transhuge.html>
fn map(size: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(size)?;
    if cfg!(target_os = "linux") {
        for advice in [Advice::HugePage, Advice::PopulateWrite] {
            // An older kernel knows no better, and works as well.
            let _ = map.advise(advice);
        }
    }
    Ok(map)
}

#[expect(
    unsafe_code,
    reason = "a block is 128 integers, but its crate has no way to say so of memory that it did not make"
)]
fn blocks(bytes: &mut [u8]) -> &mut [Block] {
    let count = bytes.len() / Block::SIZE;
    // SAFETY: A block is 1024 bytes of integers without padding, and every bit pattern is valid for
    // it.
    let (prefix, blocks, suffix) = unsafe { bytes.align_to_mut::<Block>() };
    // A mapping begins at a page, and has a whole number of blocks.
    assert!(
        prefix.is_empty() && suffix.is_empty() && blocks.len() == count,
        "memory could not be viewed as blocks"
    );
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_blocks_as_are_asked_for_and_what_was_taken_is_kept() {
        let memory = Memory::default();
        let mark = |count: usize, mark: u64| {
            let work = |blocks: &mut [Block]| {
                assert!(blocks.len() >= count);
                for block in blocks.iter_mut() {
                    block.as_mut()[127] = mark;
                }
                blocks.as_ptr()
            };
            memory.work_in(count, work).expect("memory").addr()
        };
        let first = mark(100, 1);
        assert_eq!((mark(100, 2), mark(8, 3)), (first, first));
        mark(5000, 4);
        let is_marked = |blocks: &mut [Block]| blocks.iter().all(|block| block.as_ref()[127] == 4);
        assert!(memory.work_in(100, is_marked).expect("memory"));
    }
}

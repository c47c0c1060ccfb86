//! The memory in which hashes are computed: one buffer per process, allocated once.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use argon2::Block;
use memmap2::{Advice, MmapMut};

/// A reused buffer. Allocating one for each hash fragments the heap until the function runs out of
/// memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<MmapMut>>);

impl Memory {
    /// Whether the buffer is allocated and not in use.
    pub(super) fn is_ready(&self) -> bool {
        self.0.try_lock().is_ok_and(|buffer| buffer.is_some())
    }

    /// Calls `work` with at least `count` blocks, once no other call uses them. The blocks are not
    /// zeroed, because Argon2 overwrites them.
    pub(super) fn with_blocks<T>(
        &self,
        count: usize,
        work: impl FnOnce(&mut [Block]) -> T,
    ) -> io::Result<T> {
        let size = count * Block::SIZE;
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let map = match buffer.take() {
            Some(map) if map.len() >= size => map,
            _ => map(size)?,
        };
        Ok(work(blocks(buffer.insert(map))))
    }
}

/// Maps `size` bytes, in pages of 2 MiB if the kernel has any: Argon2 accesses its memory at
/// random, and large pages save 3 % of the time. All pages are populated at once if the kernel
/// supports it, which takes half as long as a page fault for each.
///
/// <https://docs.kernel.org/admin-guide/mm/transhuge.html>
fn map(size: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(size)?;
    if cfg!(target_os = "linux") {
        for advice in [Advice::HugePage, Advice::PopulateWrite] {
            // A kernel without support for the advice returns an error, which is harmless.
            let _ = map.advise(advice);
        }
    }
    Ok(map)
}

#[expect(
    unsafe_code,
    reason = "a block is 128 integers, but the crate argon2 cannot convert borrowed memory to blocks"
)]
fn blocks(bytes: &mut [u8]) -> &mut [Block] {
    let count = bytes.len() / Block::SIZE;
    // SAFETY: A block is 1024 bytes of integers without padding, and every bit pattern is valid for
    // it.
    let (prefix, blocks, suffix) = unsafe { bytes.align_to_mut::<Block>() };
    // A mapping is aligned to a page, and its length is a multiple of the block size.
    assert!(
        prefix.is_empty() && suffix.is_empty() && blocks.len() == count,
        "the mapped memory is not a whole number of aligned blocks"
    );
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_has_the_requested_number_of_blocks_and_is_reused() {
        let memory = Memory::default();
        let mark = |count: usize, mark: u64| {
            let work = |blocks: &mut [Block]| {
                assert!(blocks.len() >= count);
                for block in blocks.iter_mut() {
                    block.as_mut()[127] = mark;
                }
                blocks.as_ptr()
            };
            memory.with_blocks(count, work).expect("memory").addr()
        };
        let first = mark(100, 1);
        assert_eq!((mark(100, 2), mark(8, 3)), (first, first));
        mark(5000, 4);
        let is_marked = |blocks: &mut [Block]| blocks.iter().all(|block| block.as_ref()[127] == 4);
        assert!(memory.with_blocks(100, is_marked).expect("memory"));
    }
}

//! A generator that repeats its numbers for the same seed (`SplitMix64`).

pub struct Random(u64);

impl Random {
    /// The generator of one case of a run.
    pub fn of_case(seed: u64, case: u64) -> Self {
        Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below the limit, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit as u64;
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn choose<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Changes, inserts or removes a byte, or appends or cuts off some.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len() + 1);
        match self.below(6) {
            0 | 1 if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
            2 if place < bytes.len() => bytes[place] = self.byte(),
            3 if place < bytes.len() => drop(bytes.remove(place)),
            4 => bytes.insert(place, self.byte()),
            5 => bytes.truncate(place),
            _ => bytes.push(self.byte()),
        }
    }
}

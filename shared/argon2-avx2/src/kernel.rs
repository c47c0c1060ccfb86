//! The self-test: the AVX2 code computes hashes only after it computed a known one in this process.

use std::sync::OnceLock;

use argon2::{Block, Params};

use crate::OUTPUT_BYTES;

pub(crate) type Hash = [u8; OUTPUT_BYTES];

/// Computes a hash from parameters, password, salt and memory. Returns `None` if the parameters are
/// not supported.
type HashFn = fn(&Params, &[u8], &[u8], &mut [Block]) -> Option<Hash>;

/// Result of the self-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// The AVX2 code computed the expected hash. It computes the hashes that it supports.
    Passed,
    /// The processor has no AVX2. The crate `argon2` computes all hashes.
    Unsupported,
    /// The AVX2 code computed a wrong hash. The crate `argon2` computes all hashes.
    Failed,
}

/// The kernel for the processor of this process.
#[cfg(target_arch = "x86_64")]
pub(crate) static KERNEL: Kernel = Kernel::new(
    || std::arch::is_x86_feature_detected!("avx2"),
    crate::single_lane::hash,
);
#[cfg(not(target_arch = "x86_64"))]
pub(crate) static KERNEL: Kernel = Kernel::new(|| false, |_, _, _, _| None);

/// Code that may compute a hash instead of the crate `argon2`, once its self-test has passed.
pub(crate) struct Kernel {
    is_supported: fn() -> bool,
    hash: HashFn,
    self_test: OnceLock<SelfTest>,
}

impl Kernel {
    pub(crate) const fn new(is_supported: fn() -> bool, hash: HashFn) -> Self {
        Self {
            is_supported,
            hash,
            self_test: OnceLock::new(),
        }
    }

    /// Returns `None` if the self-test has not passed or the parameters are not supported.
    pub(crate) fn hash(
        &self,
        params: &Params,
        password: &[u8],
        salt: &[u8],
        memory: &mut [Block],
    ) -> Option<Hash> {
        match self.self_test() {
            SelfTest::Passed => (self.hash)(params, password, salt, memory),
            SelfTest::Unsupported | SelfTest::Failed => None,
        }
    }

    pub(crate) fn self_test(&self) -> SelfTest {
        *self.self_test.get_or_init(|| {
            if !(self.is_supported)() {
                SelfTest::Unsupported
            } else if self.known_answer() == Some(KNOWN_ANSWER) {
                SelfTest::Passed
            } else {
                SelfTest::Failed
            }
        })
    }

    fn known_answer(&self) -> Option<Hash> {
        let params = known_params()?;
        // The memory is not zero. Otherwise, code that adds to blocks in the first pass instead of
        // overwriting them would pass.
        let mut used_block = Block::new();
        used_block.as_mut().fill(u64::MAX);
        (self.hash)(
            &params,
            PASSWORD,
            SALT,
            &mut vec![used_block; params.block_count()],
        )
    }
}

pub(crate) const PASSWORD: &[u8] = b"known answer";
pub(crate) const SALT: &[u8] = b"of argon2-avx2";

/// Argon2id of the password and salt above with [`known_params`], computed by the reference
/// implementation in C.
pub(crate) const KNOWN_ANSWER: Hash = [
    0xbe, 0xca, 0x78, 0xf3, 0x47, 0xa2, 0x2f, 0x43, 0x0a, 0xc0, 0x53, 0x08, 0x7a, 0x1a, 0x9d, 0x43,
    0x27, 0x1c, 0x0d, 0xae, 0xa8, 0x81, 0xd5, 0xe9, 0x4f, 0x5a, 0x5f, 0x7f, 0xc0, 0x3b, 0x79, 0x2f,
];

/// The smallest parameters that execute all of the code: two passes, of which the first overwrites
/// blocks and the second adds to them, and segments of 129 blocks. A block of generated addresses
/// has 128 of them, so the last block of a segment in the first half of the first pass needs a
/// second block of addresses.
pub(crate) fn known_params() -> Option<Params> {
    Params::new(4 * 129, 2, 1, None).ok()
}

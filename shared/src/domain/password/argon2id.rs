//! The implementation of Argon2id: the crate argon2-avx2, or the crate argon2 if the feature `avx2`
//! is off.

#[cfg(feature = "avx2")]
pub(super) use argon2_avx2::hash_into;
#[cfg(not(feature = "avx2"))]
pub(super) use portable::{hash_into, prepare};
#[cfg(feature = "avx2")]
pub(super) use with_avx2::prepare;

#[cfg(feature = "avx2")]
mod with_avx2 {
    use std::sync::Once;

    use argon2_avx2::SelfTest;

    /// Runs the self-test of argon2-avx2, once per process, and logs a failure.
    pub(in super::super) fn prepare() {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| report(argon2_avx2::self_test()));
    }

    fn report(result: SelfTest) {
        match result {
            SelfTest::Passed | SelfTest::Unsupported => {}
            SelfTest::Failed => tracing::error!(
                event = "argon2_self_test_failed",
                "argon2-avx2 computed a wrong hash in its self-test; the crate argon2 computes all hashes, which takes twice the time"
            ),
        }
    }

    #[cfg(test)]
    mod tests {
        use std::{
            io::{self, Write},
            sync::{Arc, Mutex},
        };

        use super::*;

        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);

        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("a log").write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        fn logged(result: SelfTest) -> String {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .json()
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || report(result));
            String::from_utf8(log.0.lock().expect("a log").clone()).expect("text")
        }

        #[test]
        fn only_a_failed_self_test_is_logged() {
            let line = logged(SelfTest::Failed);
            assert!(
                line.contains(r#""level":"ERROR""#)
                    && line.contains(r#""event":"argon2_self_test_failed""#),
                "{line}"
            );
            assert_eq!(logged(SelfTest::Passed), "");
            assert_eq!(logged(SelfTest::Unsupported), "");
        }
    }
}

#[cfg(not(feature = "avx2"))]
mod portable {
    use argon2::{Argon2, Block, Error, Params};

    use super::super::scheme::{ALGORITHM, VERSION};

    /// Does nothing: this implementation needs no self-test.
    pub(in super::super) fn prepare() {}

    /// Hashes a password into all of `output`.
    pub(in super::super) fn hash_into(
        output: &mut [u8],
        params: &Params,
        password: &[u8],
        salt: &[u8],
        memory: &mut [Block],
    ) -> Result<(), Error> {
        Argon2::new(ALGORITHM, VERSION, params.clone())
            .hash_password_into_with_memory(password, salt, output, memory)
    }
}

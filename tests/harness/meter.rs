//! Capacity units that operations consume.

use local::Consumed;

use super::{
    eventually,
    stack::{Latchkey, spawn},
};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    pub read: f64,
    pub written: f64,
}

pub struct Meter(local::Meter);

impl Meter {
    /// Consumption of one mail: two writes to its item (claim and settlement) and one read of the
    /// user.
    pub const MAIL: Units = Units {
        read: 1.0,
        written: 2.0,
    };

    /// Starts a stack with these variables, whose functions reach their tables through the meter.
    pub async fn start(variables: &[(&str, &str)]) -> (Latchkey, Self) {
        let meter = spawn(local::Meter::start()).await.unwrap().unwrap();
        let latchkey =
            Latchkey::start(&[variables, &[("AWS_ENDPOINT_URL_DYNAMODB", meter.url())]].concat())
                .await;
        meter.stand_before(latchkey.stack.dynamodb_url());
        (latchkey, Self(meter))
    }

    /// The number of batches that read the published public keys since the last measurement began.
    pub fn key_reads(&self) -> usize {
        self.0.consumed().key_reads
    }

    /// The consumption of an operation, without that of the mails that it queues.
    pub async fn units<T>(&self, mails: usize, operation: impl Future<Output = T>) -> (Units, T) {
        self.0.forget();
        let outcome = operation.await;
        eventually("the mails", || async {
            (self.0.consumed().mail_updates == 2 * mails).then_some(())
        })
        .await;
        let Consumed { read, written, .. } = self.0.consumed();
        let mails = f64::from(u32::try_from(mails).unwrap());
        (
            Units {
                read: read - mails * Self::MAIL.read,
                written: written - mails * Self::MAIL.written,
            },
            outcome,
        )
    }
}

//! Counters of wrong codes of the second factor that were entered on a device.

use super::{
    Outcome, Store, failure,
    items::{number, read},
    keys::device_codes_key,
    transaction::Write,
    writes::{activity_write, mail_write, unnotified},
};
use crate::{
    Error,
    domain::{
        activity::Activity,
        device::{Device, DeviceCodes},
        mail::QueuedMail,
        user::User,
    },
    platform::clock::Timestamp,
};

/// A counter as stored.
#[derive(serde::Deserialize)]
struct Stored {
    count: u32,
}

impl Store {
    /// The wrong codes that were entered on a device.
    pub async fn device_codes(&self, device: &Device) -> Result<DeviceCodes, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.grants)
            .set_key(Some(device_codes_key(&device.id)))
            .consistent_read(true);
        let item = request.send().await.map_err(failure)?.item;
        let stored: Option<Stored> = item.map(read).transpose()?;
        Ok(DeviceCodes {
            device: device.clone(),
            failures: stored.map_or(0, |stored| stored.count),
        })
    }

    /// Counts a wrong code on a device and records it, with the notice that the password is known
    /// if one is due. Returns [`Outcome::Conflict`], without writing, if another code was counted or
    /// accepted on the device, or another notice was sent, since they were read.
    pub async fn count_wrong_device_code(
        &self,
        user: &User,
        codes: &DeviceCodes,
        activity: &Activity,
        notice: Option<&QueuedMail>,
    ) -> Result<Outcome, Error> {
        let unchanged = match codes.failures {
            0 => "attribute_not_exists(pk)",
            _ => "#count = :before",
        };
        let before = (codes.failures > 0).then(|| (":before", number(codes.failures)));
        let count = Self::update(
            &self.grants,
            device_codes_key(&codes.device.id),
            "SET #count = :after, expires_at = :end",
            unchanged,
            [
                (":after", number(codes.failures.saturating_add(1))),
                (":end", number(codes.device.expires_at.seconds())),
            ]
            .into_iter()
            .chain(before),
        )?;
        let mut writes = vec![
            Write::Update(count),
            activity_write(&self.grants, activity)?,
        ];
        if let Some(notice) = notice {
            writes.push(self.notified_write(user, activity.created_at)?);
            writes.push(mail_write(&self.grants, notice)?);
        }
        Ok(self.transact(writes).await?.into())
    }

    /// Clears the wrong codes of a device, on condition that none was counted since they were read.
    pub(super) fn device_codes_cleared(&self, codes: &DeviceCodes) -> Result<Write, Error> {
        let key = device_codes_key(&codes.device.id);
        match codes.failures {
            0 => Self::delete(&self.grants, key, Some("attribute_not_exists(pk)"), []),
            failures => {
                let before = [(":before", number(failures))];
                Self::delete(&self.grants, key, Some("#count = :before"), before)
            }
        }
    }

    /// Records that the user was notified that the password is known, on condition that no notice
    /// was sent since the user was read.
    fn notified_write(&self, user: &User, now: Timestamp) -> Result<Write, Error> {
        let (unnotified, notified_at) = unnotified(user);
        self.user_write(
            user,
            "SET password_known_at = :now",
            Some(unnotified),
            [(":now", number(now.seconds()))]
                .into_iter()
                .chain(notified_at),
        )
    }
}

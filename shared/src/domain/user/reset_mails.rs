//! The reset mails that a user may receive.

use serde::{Deserialize, Serialize};

use super::{MailProblem, User};
use crate::platform::clock::Timestamp;

/// A reset mail to an address whose recipient complained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComplaintReset {
    /// The id of the mail.
    pub mail: String,
    /// The time at which it was requested.
    pub at: Timestamp,
}

/// Seconds between two reset mails to an address whose recipient complained.
pub const COMPLAINT_RESET_INTERVAL: i64 = 86_400;

/// The reset mails that a user may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetMails {
    /// As many as the rate limits permit.
    Limited,
    /// One a day, because the recipient complained; today's was not requested yet.
    OneADay,
    /// Today's mail was requested already.
    NoneToday,
}

impl User {
    /// The reset mails that the user may receive. After a bounce they are stored like others, and
    /// not sent.
    #[must_use]
    pub fn reset_mails(&self, now: Timestamp) -> ResetMails {
        match (self.mail_problem(), &self.complaint_reset) {
            (None | Some(MailProblem::Bounce), _) => ResetMails::Limited,
            (Some(MailProblem::Complaint), Some(last))
                if last.at + COMPLAINT_RESET_INTERVAL > now =>
            {
                ResetMails::NoneToday
            }
            (Some(MailProblem::Complaint), _) => ResetMails::OneADay,
        }
    }
}

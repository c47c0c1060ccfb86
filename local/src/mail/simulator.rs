//! SES's mailbox simulator: addresses whose mails are taken, and of which then something is told.
//!
//! <https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html>

use crate::{Error, ambient};
use data_encoding::HEXLOWER;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use time::format_description::well_known::Rfc3339;

const DOMAIN: &str = "simulator.amazonses.com";
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

/// What becomes of a mail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimulatedOutcome {
    /// There is no such mailbox.
    Bounced,
    /// SES knows that the address bounces and does not even try.
    Suppressed,
    /// The reader marks the mail as spam.
    Complained,
}

/// A mail that was taken.
pub struct Sent<'a> {
    pub message_id: &'a str,
    pub from: &'a str,
    pub subject: &'a str,
    pub configuration_set: &'a str,
    pub tags: &'a BTreeMap<String, String>,
}

impl SimulatedOutcome {
    /// Of a mail to this address; `None` where it just arrives. A label after a plus sign tells
    /// addresses apart.
    pub fn of(address: &str) -> Option<Self> {
        let (local, domain) = address.rsplit_once('@')?;
        let mailbox = local.split('+').next()?.to_ascii_lowercase();
        match mailbox.as_str() {
            _ if !domain.eq_ignore_ascii_case(DOMAIN) => None,
            "bounce" => Some(Self::Bounced),
            "suppressionlist" => Some(Self::Suppressed),
            "complaint" => Some(Self::Complained),
            _ => None,
        }
    }

    /// The type of the event, as an event destination names it.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Bounced | Self::Suppressed => "bounce",
            Self::Complained => "complaint",
        }
    }

    /// What the page of the mailbox says.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bounced | Self::Suppressed => "bounced",
            Self::Complained => "complained of",
        }
    }

    /// What EventBridge is told of the mail to this address.
    pub fn event(self, mail: &Sent, address: &str) -> Result<Json, Error> {
        let now = ambient::now().format(&Rfc3339).unwrap_or_default();
        let feedback = HEXLOWER.encode(&ambient::random::<16>()?);
        let (detail_type, event_type, name, told) = match self {
            Self::Bounced | Self::Suppressed => {
                let bounce = json!({
                    "feedbackId": feedback,
                    "bounceType": "Permanent",
                    "bounceSubType": if self == Self::Bounced { "General" } else { "Suppressed" },
                    "bouncedRecipients": [{
                        "emailAddress": address,
                        "action": "failed",
                        "status": "5.1.1",
                        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                    }],
                    "timestamp": now,
                    "reportingMTA": "dns; local",
                });
                ("Email Bounced", "Bounce", "bounce", bounce)
            }
            Self::Complained => {
                let complaint = json!({
                    "feedbackId": feedback,
                    "complaintSubType": null,
                    "complainedRecipients": [{ "emailAddress": address }],
                    "timestamp": now,
                    "userAgent": "Amazon SES Mailbox Simulator",
                    "complaintFeedbackType": "abuse",
                    "arrivalDate": now,
                });
                (
                    "Email Complaint Received",
                    "Complaint",
                    "complaint",
                    complaint,
                )
            }
        };
        let mut tags: BTreeMap<String, Vec<&str>> = mail
            .tags
            .iter()
            .map(|(name, value)| (name.clone(), vec![value.as_str()]))
            .collect();
        tags.insert(
            "ses:configuration-set".to_owned(),
            vec![mail.configuration_set],
        );
        tags.insert("ses:operation".to_owned(), vec!["SendEmail"]);
        let mut detail = json!({
            "eventType": event_type,
            "mail": {
                "timestamp": now,
                "source": mail.from,
                "sendingAccountId": ACCOUNT,
                "messageId": mail.message_id,
                "destination": [address],
                "headersTruncated": false,
                "headers": [],
                "commonHeaders": { "from": [mail.from], "to": [address], "messageId": mail.message_id, "subject": mail.subject },
                "tags": tags,
            },
        });
        detail[name] = told;
        Ok(json!({
            "version": "0",
            "id": feedback,
            "detail-type": detail_type,
            "source": "aws.ses",
            "account": ACCOUNT,
            "time": now,
            "region": REGION,
            "resources": [format!("arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/{}", mail.configuration_set)],
            "detail": detail,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_the_simulator_have_their_fates() {
        for (address, fate) in [
            (
                "bounce@simulator.amazonses.com",
                Some(SimulatedOutcome::Bounced),
            ),
            (
                "Bounce+label@Simulator.AmazonSES.com",
                Some(SimulatedOutcome::Bounced),
            ),
            (
                "suppressionlist@simulator.amazonses.com",
                Some(SimulatedOutcome::Suppressed),
            ),
            (
                "complaint+1@simulator.amazonses.com",
                Some(SimulatedOutcome::Complained),
            ),
            ("success@simulator.amazonses.com", None),
            ("bouncer@simulator.amazonses.com", None),
            ("bounce@example.com", None),
            ("bounce", None),
        ] {
            assert_eq!(SimulatedOutcome::of(address), fate, "{address}");
        }
    }
}

//! SES's mailbox simulator: addresses for which SES accepts mails and then publishes an event.
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

/// The simulated outcome of a mail that is not simply delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimulatedOutcome {
    /// The mailbox does not exist.
    Bounced,
    /// The address is on SES's suppression list, so SES does not attempt delivery.
    Suppressed,
    /// The recipient marks the mail as spam.
    Complained,
}

/// An accepted mail.
pub struct Sent<'a> {
    pub message_id: &'a str,
    pub from: &'a str,
    pub subject: &'a str,
    pub configuration_set: &'a str,
    pub tags: &'a BTreeMap<String, String>,
}

impl SimulatedOutcome {
    /// The outcome for a recipient; `None` if the mail is delivered. A label (`+...`) in the
    /// address is ignored.
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

    /// The event type, as in `MatchingEventTypes` of an event destination.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Bounced | Self::Suppressed => "bounce",
            Self::Complained => "complaint",
        }
    }

    /// The word that the mailbox page shows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bounced | Self::Suppressed => "bounced",
            Self::Complained => "complained of",
        }
    }

    /// The EventBridge event for this recipient.
    pub fn event(self, mail: &Sent, address: &str) -> Result<Json, Error> {
        let now = ambient::now().format(&Rfc3339).unwrap_or_default();
        let feedback = HEXLOWER.encode(&ambient::random::<16>()?);
        let (detail_type, event_type, name, outcome) = match self {
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
        detail[name] = outcome;
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
    fn simulator_addresses_have_their_outcomes() {
        for (address, outcome) in [
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
            assert_eq!(SimulatedOutcome::of(address), outcome, "{address}");
        }
    }
}

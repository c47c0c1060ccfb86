//! What SES tells of mails that it took, by way of EventBridge: an address that a mail bounced from
//! for good, or whose reader complained of it, gets no more.
//!
//! An error makes Lambda deliver the event again. What cannot be understood would not be understood
//! then either, so it is only logged.

use serde::Deserialize;
use serde_json::Value;
use shared::{
    BoxError,
    domain::user::User,
    platform::{
        clock::Timestamp,
        retry::Backoff,
        telemetry::metrics::{self, Mail as Outcome},
    },
    store::{self, Store},
};

use super::address::ascii;

/// What it works with.
pub struct Feedback {
    /// The tables.
    pub store: Store,
}

/// An event, as far as it matters.
/// <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>
#[derive(Deserialize)]
struct Event {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
struct Mail {
    tags: Tags,
}

/// What the mail was sent with.
#[derive(Deserialize)]
struct Tags {
    uid: (String,),
    mail: (String,),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    #[serde(rename = "bounceType")]
    kind: String,
    bounced_recipients: Vec<Recipient>,
    timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(rename = "complaintFeedbackType")]
    kind: Option<String>,
    complained_recipients: Vec<Recipient>,
    timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

impl Detail {
    /// Whom mails do not reach, or annoy, and since when. A bounce that may pass is no reason to
    /// give an address up, nor is a report that a mail is no spam.
    fn unwanted(&self) -> Option<(&[Recipient], &str)> {
        let bounce = self
            .bounce
            .as_ref()
            .filter(|bounce| bounce.kind == "Permanent");
        let complaint = self
            .complaint
            .as_ref()
            .filter(|complaint| complaint.kind.as_deref() != Some("not-spam"));
        match (bounce, complaint) {
            (Some(bounce), _) => Some((&bounce.bounced_recipients, &bounce.timestamp)),
            (None, Some(complaint)) => {
                Some((&complaint.complained_recipients, &complaint.timestamp))
            }
            (None, None) => None,
        }
    }
}

impl Feedback {
    /// Marks the user whom the mail was for, if the address is hers.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<(), BoxError> {
        let Ok(Event { detail }) = Event::deserialize(&event) else {
            // The error may quote an address.
            tracing::warn!(event = %event["id"], "ignored: not what SES tells of a mail of this service");
            return Ok(());
        };
        let Tags {
            uid: (uid,),
            mail: (mail,),
        } = &detail.mail.tags;
        let Some((recipients, timestamp)) = detail.unwanted() else {
            tracing::info!(
                uid,
                mail,
                "the address is kept: it bounced for a time, or nothing was wrong"
            );
            return Ok(());
        };
        let at = Timestamp::parse_rfc3339(timestamp).unwrap_or(now);
        let mut backoff = Backoff::start();
        loop {
            let user = self
                .store
                .find_user_by_uid(uid)
                .await?
                .filter(|user| is_among(user, recipients));
            let Some(user) = user else {
                tracing::warn!(uid, mail, "ignored: the address is no user's any more");
                return Ok(());
            };
            let Some(bounced) = user.bounced(at, now) else {
                tracing::info!(uid, mail, "nothing new of the address");
                return Ok(());
            };
            if self.store.set_labels(&user, &bounced).await? == store::Outcome::Written {
                metrics::mail(if detail.bounce.is_some() {
                    Outcome::Bounced
                } else {
                    Outcome::Complained
                });
                tracing::warn!(uid, mail, to = ?user.email, "the address gets no more mail");
                return Ok(());
            }
            if !backoff.wait().await {
                return Err("other writes of the same user were quicker each time".into());
            }
        }
    }
}

/// Whether the mail went to the user's address, spelled as SES was given it.
fn is_among(user: &User, recipients: &[Recipient]) -> bool {
    let own = ascii(&user.email);
    recipients
        .iter()
        .any(|recipient| bare(&recipient.email_address).eq_ignore_ascii_case(&own))
}

/// An address without the name that may stand before it.
fn bare(address: &str) -> &str {
    let inner = address.rsplit_once('<').map_or(address, |(_, inner)| inner);
    inner.trim_end_matches('>').trim()
}

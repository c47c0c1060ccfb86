//! Bounces and complaints, which SES reports through EventBridge. After a permanent bounce no more
//! mail is sent to the address; after a complaint one reset mail a day.
//!
//! An error makes Lambda retry the event. An event that cannot be parsed is logged and dropped,
//! because a retry would not help.

use serde::Deserialize;
use serde_json::Value;
use shared::{
    BoxError,
    domain::user::{MailProblem, Uid, User},
    platform::{
        clock::Timestamp,
        retry::Backoff,
        telemetry::metrics::{self, Mail as Outcome},
    },
    store::{self, Store},
};

pub struct Feedback {
    pub store: Store,
}

/// The relevant members of an event.
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

/// The tags with which `mail-send` sent the mail.
#[derive(Deserialize)]
struct Tags {
    uid: (Uid,),
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

/// A problem with mails to some recipients.
struct Report<'a> {
    problem: MailProblem,
    recipients: &'a [Recipient],
    timestamp: &'a str,
}

impl Detail {
    /// The report of a permanent bounce or a complaint. Transient bounces, and reports that a mail is
    /// not spam, have no effect.
    fn report(&self) -> Option<Report<'_>> {
        let bounce = self
            .bounce
            .as_ref()
            .filter(|bounce| bounce.kind == "Permanent");
        let complaint = self
            .complaint
            .as_ref()
            .filter(|complaint| complaint.kind.as_deref() != Some("not-spam"));
        match (bounce, complaint) {
            (Some(bounce), _) => Some(Report {
                problem: MailProblem::Bounce,
                recipients: &bounce.bounced_recipients,
                timestamp: &bounce.timestamp,
            }),
            (None, Some(complaint)) => Some(Report {
                problem: MailProblem::Complaint,
                recipients: &complaint.complained_recipients,
                timestamp: &complaint.timestamp,
            }),
            (None, None) => None,
        }
    }
}

impl Feedback {
    /// Labels the user to whom the mail was sent, if they still have the address.
    pub async fn handle(&self, event: Value, now: Timestamp) -> Result<(), BoxError> {
        let Ok(Event { detail }) = Event::deserialize(&event) else {
            // serde's error may quote an address.
            tracing::warn!(event = %event["id"], "ignored: not an event of SES about a mail of this service");
            return Ok(());
        };
        let Tags {
            uid: (uid,),
            mail: (mail,),
        } = &detail.mail.tags;
        let Some(Report {
            problem,
            recipients,
            timestamp,
        }) = detail.report()
        else {
            tracing::info!(
                %uid,
                mail,
                "ignored: neither a permanent bounce nor a complaint"
            );
            return Ok(());
        };
        let reported_at = Timestamp::parse_rfc3339(timestamp).unwrap_or(now);
        let mut backoff = Backoff::start();
        loop {
            let user = self
                .store
                .find_user_by_uid(uid, now)
                .await?
                .filter(|user| is_among(user, recipients));
            let Some(user) = user else {
                tracing::warn!(%uid, mail, "ignored: the user no longer has the address");
                return Ok(());
            };
            let Some(labelled) = user.with_problem(problem, reported_at, now) else {
                tracing::info!(%uid, mail, "ignored: the user has the label already, or confirmed the address later");
                return Ok(());
            };
            if self.store.set_labels(&user, &labelled).await? == store::Outcome::Written {
                let (outcome, consequence) = match problem {
                    MailProblem::Bounce => {
                        (Outcome::Bounced, "no more mail is sent to the address")
                    }
                    MailProblem::Complaint => (
                        Outcome::Complained,
                        "only one reset mail a day is sent to the address",
                    ),
                };
                metrics::mail(outcome);
                tracing::warn!(%uid, mail, to = ?user.email, consequence, "mails to the address are suppressed");
                return Ok(());
            }
            if !backoff.wait().await {
                return Err("the user was changed by other requests at every attempt".into());
            }
        }
    }
}

/// Whether the user's address, as passed to SES, is one of the recipients.
fn is_among(user: &User, recipients: &[Recipient]) -> bool {
    let own = user.email.ascii();
    recipients
        .iter()
        .any(|recipient| address_of(&recipient.email_address).eq_ignore_ascii_case(&own))
}

/// The address of a mailbox, without a display name.
fn address_of(address: &str) -> &str {
    let inner = address.rsplit_once('<').map_or(address, |(_, inner)| inner);
    inner.trim_end_matches('>').trim()
}

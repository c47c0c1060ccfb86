//! The stream of the outbox: renders a mail that was queued and sends it through SES.
//!
//! An error makes the stream deliver the record again, until its mail is no longer worth sending.

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_sdk_sesv2::{
    Client,
    types::{Body, Content as Part, Destination, EmailContent, Message, MessageTag},
};
use serde::Deserialize;
use shared::{
    BoxError,
    config::{self, Application},
    domain::mail::{Kind, QueuedMail},
    platform::{
        aws_error::{AwsError, Kind as Fault},
        clock::Timestamp,
        telemetry::metrics::{self, Mail as Outcome, PasswordReset},
    },
    store::{Claim, Store},
    tokens::{
        key_provider::KeyProvider,
        signed_token::{Claims, Purpose},
    },
};

use super::{
    address::{ascii, mailbox},
    render::{Content, Mail, render},
};

/// What it works with.
pub struct Send {
    /// The application.
    pub application: Application,
    /// How mails are sent.
    pub mail: config::Mail,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are signed with.
    pub keys: KeyProvider,
    /// The mail service.
    pub ses: Client,
}

/// Why a mail was not sent.
enum SendError {
    /// SES will never send it.
    Refused(BoxError),
    /// IAM does not allow it.
    Denied(BoxError),
    /// The address causes bounces or complaints.
    Unwanted,
    /// SES may send it later.
    Failed(BoxError),
}

#[derive(Deserialize)]
struct OutboxKey {
    pk: String,
    sk: String,
}

impl Send {
    /// Sends the mails of the records, one after another.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<(), BoxError> {
        for record in event.records {
            self.deliver(record, now).await?;
        }
        Ok(())
    }

    /// A record may come twice, and twice at once: who claims the mail sends it. What can never be
    /// sent is told and left, so that it holds up nobody behind it.
    async fn deliver(&self, record: EventRecord, now: Timestamp) -> Result<(), BoxError> {
        let key = serde_dynamo::from_item(record.change.keys).ok();
        let Some((uid, id)) =
            key.and_then(|OutboxKey { pk, sk }| Some((pk, sk.strip_prefix("MAIL#")?.to_owned())))
        else {
            unreadable(&record.event_id);
            return Ok(());
        };
        match self.store.claim_mail(&uid, &id, now).await? {
            Claim::Claimed(mail) => {
                if let Err(cause) = self.try_to_send(&mail, now).await {
                    if let Err(error) = self.store.release_mail(&uid, &id, now).await {
                        tracing::error!(mail = id, %error, "the mail could not be given back; its lease ends by itself");
                    }
                    return Err(cause);
                }
            }
            Claim::Settled => return Ok(()),
            Claim::Busy => return Err("another delivery is sending this mail".into()),
            Claim::Unreadable => unreadable(&id),
        }
        if let Err(error) = self.store.settle_mail(&uid, &id, now).await {
            // Failing here would have the mail sent again.
            tracing::error!(mail = id, %error, "the mail could not be marked as settled");
        }
        Ok(())
    }

    /// Sends a mail, or tells why it never will be. An error is one that may pass.
    async fn try_to_send(&self, mail: &QueuedMail, now: Timestamp) -> Result<(), BoxError> {
        let id = &mail.id;
        let kind = mail.kind;
        let to = &mail.email;
        if now >= mail.expires_at {
            metrics::mail(Outcome::Expired);
            tracing::error!(mail = id, ?kind, ?to, "the mail was not sent in time");
            return Ok(());
        }
        match self.send(mail, now).await {
            Ok(message_id) => {
                metrics::mail(Outcome::Sent);
                if kind == Kind::PasswordReset {
                    metrics::password_reset(PasswordReset::Sent);
                }
                tracing::info!(mail = id, ?kind, ?to, message_id, "the mail was sent");
            }
            Err(SendError::Refused(cause)) => {
                metrics::mail(Outcome::Refused);
                tracing::error!(mail = id, ?kind, ?to, %cause, "the mail was refused");
            }
            Err(SendError::Denied(cause)) => {
                metrics::mail(Outcome::Refused);
                let advice = "allow ses:SendEmail in the policy of this function; in the SES sandbox, verify the recipient's address";
                tracing::error!(mail = id, ?kind, ?to, %cause, advice, "the mail was refused");
            }
            Err(SendError::Unwanted) => {
                metrics::mail(Outcome::Suppressed);
                tracing::warn!(
                    mail = id,
                    ?kind,
                    ?to,
                    "not sent: mails to the address bounce"
                );
            }
            Err(SendError::Failed(cause)) => {
                metrics::mail(Outcome::Failed);
                return Err(cause);
            }
        }
        Ok(())
    }

    async fn send(&self, mail: &QueuedMail, now: Timestamp) -> Result<String, SendError> {
        let user = self
            .store
            .find_user(&mail.email.key())
            .await
            .map_err(|error| SendError::Failed(error.into()))?;
        if user.is_some_and(|user| user.has_bounced()) {
            return Err(SendError::Unwanted);
        }
        let Mail {
            subject,
            text,
            html,
        } = self.compose(mail, now).await?;
        let part = |data: String| {
            Part::builder()
                .data(data)
                .charset("UTF-8")
                .build()
                .map_err(refused)
        };
        let body = Body::builder().text(part(text)?).html(part(html)?).build();
        let tag = |name: &str, value: &str| {
            MessageTag::builder()
                .name(name)
                .value(value)
                .build()
                .map_err(refused)
        };
        let message = Message::builder()
            .subject(part(subject)?)
            .body(body)
            .build();
        let request = self
            .ses
            .send_email()
            .from_email_address(mailbox(&self.mail.sender))
            .destination(
                Destination::builder()
                    .to_addresses(ascii(&mail.email))
                    .build(),
            )
            .content(EmailContent::builder().simple(message).build())
            // They come back with what SES tells of the mail later: see `feedback`.
            .email_tags(tag("uid", &mail.uid)?)
            .email_tags(tag("mail", &mail.id)?)
            .set_configuration_set_name(self.mail.configuration_set.clone());
        match request.send().await {
            Ok(output) => Ok(output.message_id.unwrap_or_default()),
            Err(error) => {
                let error = AwsError::from(error);
                Err(match fate(error.kind(), error.code()) {
                    Fate::Lost => SendError::Refused(error.into()),
                    Fate::Denied => SendError::Denied(error.into()),
                    Fate::Later => SendError::Failed(error.into()),
                })
            }
        }
    }

    async fn compose(&self, mail: &QueuedMail, now: Timestamp) -> Result<Mail, SendError> {
        let life =
            u64::try_from(mail.expires_at.seconds() - mail.queued_at.seconds()).map_err(refused)?;
        let link = match mail.kind {
            Kind::PasswordReset => {
                self.link(mail, Purpose::Reset, "password_reset?reset_token", now)
                    .await?
            }
            Kind::Confirmation => {
                self.link(
                    mail,
                    Purpose::Confirmation,
                    "confirmation?confirmation_token",
                    now,
                )
                .await?
            }
            Kind::PasswordChanged | Kind::OtpEnabled | Kind::OtpDisabled => String::new(),
        };
        let content = match mail.kind {
            Kind::PasswordReset => Content::PasswordReset { link: &link, life },
            Kind::Confirmation => Content::Confirmation { link: &link, life },
            Kind::PasswordChanged => Content::PasswordChanged {
                at: mail.queued_at.seconds(),
            },
            Kind::OtpEnabled => Content::OtpEnabled {
                at: mail.queued_at.seconds(),
            },
            Kind::OtpDisabled => Content::OtpDisabled {
                at: mail.queued_at.seconds(),
            },
        };
        render(&content, mail.language, &self.application.name).map_err(refused)
    }

    /// A link with the token of the mail's code. Only here are such tokens made.
    async fn link(
        &self,
        mail: &QueuedMail,
        purpose: Purpose,
        page: &str,
        now: Timestamp,
    ) -> Result<String, SendError> {
        let jti = mail
            .jti
            .as_deref()
            .ok_or_else(|| refused("a mail without the code that it is about"))?;
        let claims = Claims::new(
            purpose,
            jti,
            &mail.uid,
            &mail.email.key(),
            mail.queued_at,
            mail.expires_at,
        );
        let signing_keys = self
            .keys
            .signing_keys(now)
            .await
            .map_err(|error| SendError::Failed(error.into()))?;
        let token = signing_keys.sign(&claims).map_err(refused)?;
        Ok(format!(
            "{}/accounts/{page}={token}&lang={}",
            self.application.domain,
            mail.language.as_str()
        ))
    }
}

/// What becomes of a mail that SES did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is given up: SES would refuse it each time, and the mails behind it would wait for it.
    Lost,
    /// The same, and it is the permissions that are wrong.
    Denied,
    /// It is tried again until it is too old.
    Later,
}

/// Whether a mail is tried again. What concerns this mail alone is given up. What concerns every
/// mail of the account is tried again: those behind it could not be sent either, and none is lost
/// if it is mended in time.
fn fate(kind: Fault, code: Option<&str>) -> Fate {
    match kind {
        // The same mail makes the same request.
        Fault::Construction => Fate::Lost,
        Fault::Timeout | Fault::Connection(_) | Fault::Unreadable => Fate::Later,
        Fault::Refused => match code.unwrap_or_default() {
            // An address that is not verified, in the sandbox the recipient's, is `MessageRejected`
            // as well as content that SES does not accept.
            "BadRequestException"
            | "MessageRejected"
            | "ValidationException"
            | "ValidationError" => Fate::Lost,
            // In the sandbox SES checks the permission for the recipient's identity too, so another
            // mail may be accepted.
            "AccessDeniedException" | "AccessDenied" => Fate::Denied,
            // The same for all mails until it passes or is mended: the quota
            // (`TooManyRequestsException`, `LimitExceededException`), the sender
            // (`MailFromDomainNotVerifiedException`), the account (`AccountSuspendedException`,
            // `SendingPausedException`), the configuration set (`NotFoundException`), credentials,
            // an outage. A code that is new loses no mail either.
            _ => Fate::Later,
        },
    }
}

/// What was queued is wrong, and will not be any better later.
fn refused(cause: impl Into<BoxError>) -> SendError {
    SendError::Refused(cause.into())
}

fn unreadable(id: &str) {
    metrics::mail(Outcome::Refused);
    tracing::error!(
        event = "mail_unreadable",
        mail = id,
        "what was queued is no mail, and is left"
    );
}

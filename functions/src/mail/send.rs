//! The stream of the outbox: renders a mail that was queued and sends it through SES.
//!
//! An error makes the stream deliver the record again, until its mail is no longer worth sending.

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_sdk_sesv2::{
    Client,
    error::DisplayErrorContext,
    operation::send_email::SendEmailError,
    types::{Body, Content as Part, Destination, EmailContent, Message, MessageTag},
};
use serde::Deserialize;
use shared::{
    BoxError,
    clock::Timestamp,
    config::Config,
    keys::Keys,
    mail::{Kind, QueuedMail},
    store::{Claim, Store},
    telemetry::metrics::{self, Mail as Outcome, PasswordReset},
    token::{Claims, Purpose},
};

use super::{
    address::{ascii, mailbox},
    render::{Content, Mail, render},
};

/// What it works with.
pub struct Send {
    /// The configuration.
    pub config: Config,
    /// The tables.
    pub store: Store,
    /// The keys that tokens are signed with.
    pub keys: Keys,
    /// The mail service.
    pub ses: Client,
}

/// Why a mail was not sent.
enum SendError {
    /// SES will never send it.
    Refused(BoxError),
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

    /// A record may come twice, and twice at once: who claims the mail sends it.
    async fn deliver(&self, record: EventRecord, now: Timestamp) -> Result<(), BoxError> {
        let OutboxKey { pk: uid, sk } = serde_dynamo::from_item(record.change.keys)?;
        let id = sk.strip_prefix("MAIL#").ok_or("a record that is no mail")?;
        let mail = match self.store.claim_mail(&uid, id, now).await? {
            Claim::Claimed(mail) => mail,
            Claim::Settled => return Ok(()),
            Claim::Busy => return Err("another delivery is sending this mail".into()),
        };
        if now >= mail.expires_at {
            metrics::mail(Outcome::Expired);
            tracing::error!(mail = mail.id, kind = ?mail.kind, to = ?mail.email, "the mail was not sent in time");
        } else {
            match self.send(&mail, now).await {
                Ok(message_id) => {
                    metrics::mail(Outcome::Sent);
                    if mail.kind == Kind::PasswordReset {
                        metrics::password_reset(PasswordReset::Sent);
                    }
                    tracing::info!(mail = mail.id, kind = ?mail.kind, to = ?mail.email, message_id, "the mail was sent");
                }
                Err(SendError::Refused(cause)) => {
                    metrics::mail(Outcome::Refused);
                    tracing::error!(mail = mail.id, kind = ?mail.kind, to = ?mail.email, %cause, "the mail was refused");
                }
                Err(SendError::Unwanted) => {
                    metrics::mail(Outcome::Suppressed);
                    tracing::warn!(mail = mail.id, kind = ?mail.kind, to = ?mail.email, "not sent: mails to the address bounce");
                }
                Err(SendError::Failed(cause)) => {
                    metrics::mail(Outcome::Failed);
                    if let Err(error) = self.store.release_mail(&mail, now).await {
                        tracing::error!(mail = mail.id, %error, "the mail could not be given back; its lease ends by itself");
                    }
                    return Err(cause);
                }
            }
        }
        if let Err(error) = self.store.settle_mail(&mail, now).await {
            // Failing here would have the mail sent again.
            tracing::error!(mail = mail.id, %error, "the mail could not be marked as settled");
        }
        Ok(())
    }

    async fn send(&self, mail: &QueuedMail, now: Timestamp) -> Result<String, SendError> {
        let user = self.store.find_user(&mail.email.key()).await.map_err(|error| SendError::Failed(error.into()))?;
        if user.is_some_and(|user| user.has_bounced()) {
            return Err(SendError::Unwanted);
        }
        let Mail { subject, text, html } = self.compose(mail, now).await.map_err(SendError::Failed)?;
        let part =
            |data: String| Part::builder().data(data).charset("UTF-8").build().map_err(|error| SendError::Failed(error.into()));
        let body = Body::builder().text(part(text)?).html(part(html)?).build();
        let tag = |name: &str, value: &str| {
            MessageTag::builder().name(name).value(value).build().map_err(|error| SendError::Failed(error.into()))
        };
        let message = Message::builder().subject(part(subject)?).body(body).build();
        let request = self
            .ses
            .send_email()
            .from_email_address(mailbox(&self.config.sender))
            .destination(Destination::builder().to_addresses(ascii(&mail.email)).build())
            .content(EmailContent::builder().simple(message).build())
            // They come back with what SES tells of the mail later: see `feedback`.
            .email_tags(tag("uid", &mail.uid)?)
            .email_tags(tag("mail", &mail.id)?)
            .set_configuration_set_name(self.config.mail_configuration_set.clone());
        match request.send().await {
            Ok(output) => Ok(output.message_id.unwrap_or_default()),
            Err(error) => {
                let permanent = matches!(
                    error.as_service_error(),
                    Some(SendEmailError::BadRequestException(_) | SendEmailError::MessageRejected(_))
                );
                let cause = BoxError::from(DisplayErrorContext(error).to_string());
                Err(if permanent { SendError::Refused(cause) } else { SendError::Failed(cause) })
            }
        }
    }

    async fn compose(&self, mail: &QueuedMail, now: Timestamp) -> Result<Mail, BoxError> {
        let life = u64::try_from(mail.expires_at.seconds() - mail.queued_at.seconds())?;
        let link = match mail.kind {
            Kind::PasswordReset => self.link(mail, (Purpose::Reset, "password_reset?reset_token"), now).await?,
            Kind::Confirmation => self.link(mail, (Purpose::Confirmation, "confirmation?confirmation_token"), now).await?,
            Kind::PasswordChanged | Kind::OtpEnabled | Kind::OtpDisabled => String::new(),
        };
        let content = match mail.kind {
            Kind::PasswordReset => Content::PasswordReset { link: &link, life },
            Kind::Confirmation => Content::Confirmation { link: &link, life },
            Kind::PasswordChanged => Content::PasswordChanged { at: mail.queued_at.seconds() },
            Kind::OtpEnabled => Content::OtpEnabled { at: mail.queued_at.seconds() },
            Kind::OtpDisabled => Content::OtpDisabled { at: mail.queued_at.seconds() },
        };
        Ok(render(&content, mail.language, &self.config.app_name)?)
    }

    /// A link with the token of the mail's code. Only here are such tokens made.
    async fn link(&self, mail: &QueuedMail, (purpose, page): (Purpose, &str), now: Timestamp) -> Result<String, BoxError> {
        let jti = mail.jti.as_deref().ok_or("a mail without the code that it is about")?;
        let claims = Claims::new(purpose, jti, &mail.uid, &mail.email.key(), (mail.queued_at, mail.expires_at));
        let token = self.keys.keyring(now).await?.sign(&claims)?;
        Ok(format!("{}/accounts/{page}={token}&lang={}", self.config.domain, mail.language.as_str()))
    }
}

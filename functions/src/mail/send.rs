//! Sends the mails of the outbox through SES. The stream of the Grants table invokes it.
//!
//! An error makes the stream deliver the record again, until the mail expires.

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_sdk_sesv2::{
    Client,
    types::{Body, Content as Part, Destination, EmailContent, Message, MessageTag},
};
use serde::Deserialize;
use shared::{
    BoxError, Error,
    config::{self, Application, Logo},
    domain::{
        email_address::AccountKey,
        mail::{Kind, QueuedMail},
        user::{MailProblem, Uid, User},
    },
    platform::{
        aws_error::AwsError,
        clock::Timestamp,
        telemetry::metrics::{self, Mail as Outcome, PasswordReset},
    },
    store::{Claim, Signer, Store, UnreadableItem},
    tokens::signed_token::{Claims, Purpose},
};

use super::{
    address::mailbox,
    failure::{FailureOutcome, failure_outcome},
    render::{Brand, Content, Mail, render},
};
use crate::texts::{self, Link};

pub struct Send {
    pub application: Application,
    pub mail: config::Mail,
    pub logo: Option<Logo>,
    pub store: Store,
    pub keys: Signer,
    pub ses: Client,
}

/// The reason why a mail was not sent.
enum SendError {
    /// A retry cannot succeed.
    Refused(BoxError),
    /// IAM denied the call.
    Denied(BoxError),
    /// The account of the recipient was erased or replaced, or has expired.
    Absent,
    /// The mail has a code for the account and was requested for a previous address of the user.
    Superseded,
    /// The user may not receive the mail, because of a bounce or a complaint.
    Suppressed(MailProblem),
    /// A retry may succeed.
    Failed(BoxError),
}

#[derive(Deserialize)]
struct OutboxKey {
    #[serde(rename = "pk")]
    uid: Uid,
    sk: String,
}

impl Send {
    /// Sends the mails of the records, one after the other.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<(), BoxError> {
        for record in event.records {
            self.deliver(record, now).await?;
        }
        Ok(())
    }

    /// A record may be delivered more than once, even concurrently; only the delivery that claims
    /// the mail sends it. A mail that can never be sent is logged and settled, so that it does not
    /// block the records behind it.
    async fn deliver(&self, record: EventRecord, now: Timestamp) -> Result<(), BoxError> {
        let key = serde_dynamo::from_item(record.change.keys).ok();
        let Some((uid, id)) =
            key.and_then(|OutboxKey { uid, sk }| Some((uid, sk.strip_prefix("MAIL#")?.to_owned())))
        else {
            log_unreadable(&record.event_id);
            return Ok(());
        };
        match self.store.claim_mail(&uid, &id, now).await? {
            Claim::Claimed(mail) => {
                if let Err(cause) = self.try_to_send(&mail, now).await {
                    if let Err(error) = self.store.release_mail(&uid, &id, now).await {
                        tracing::error!(mail = id, %error, "the lease of the mail could not be released; the mail is retried when it expires");
                    }
                    return Err(cause);
                }
            }
            Claim::Settled => return Ok(()),
            Claim::Busy => return Err("another delivery is sending this mail".into()),
            Claim::Unreadable => log_unreadable(&id),
        }
        if let Err(error) = self.store.settle_mail(&uid, &id, now).await {
            // Returning this error would make the stream deliver the record again, and the mail
            // would be sent twice.
            tracing::error!(mail = id, %error, "the mail could not be marked as settled");
        }
        Ok(())
    }

    /// Sends a mail, or logs why it will never be sent. Returns an error if a retry may succeed.
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
            Err(SendError::Absent) => {
                metrics::mail(Outcome::Suppressed);
                tracing::warn!(
                    mail = id,
                    ?kind,
                    ?to,
                    "not sent: the account no longer exists"
                );
            }
            Err(SendError::Superseded) => {
                metrics::mail(Outcome::Suppressed);
                tracing::warn!(
                    mail = id,
                    ?kind,
                    ?to,
                    "not sent: the user has another address now"
                );
            }
            Err(SendError::Suppressed(problem)) => {
                metrics::mail(Outcome::Suppressed);
                match problem {
                    MailProblem::Bounce => {
                        tracing::warn!(
                            mail = id,
                            ?kind,
                            ?to,
                            "not sent: mails to the address bounce"
                        );
                    }
                    MailProblem::Complaint => {
                        tracing::warn!(mail = id, ?kind, ?to, "not sent: the recipient complained");
                    }
                }
            }
            Err(SendError::Failed(cause)) => {
                metrics::mail(Outcome::Failed);
                return Err(cause);
            }
        }
        Ok(())
    }

    /// The user to whom a mail is addressed. An item that cannot be read is read once more and then
    /// given up, because a retry by the stream would hold up the mails of other users.
    async fn recipient(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<User>, SendError> {
        let mut found = self.store.find_recipient(mail, now).await;
        if matches!(&found, Err(Error::Internal(cause)) if cause.is::<UnreadableItem>()) {
            found = self.store.find_recipient(mail, now).await;
        }
        found.map_err(|error| match error {
            Error::Internal(cause) if cause.is::<UnreadableItem>() => SendError::Refused(cause),
            error => SendError::Failed(error.into()),
        })
    }

    async fn send(&self, mail: &QueuedMail, now: Timestamp) -> Result<String, SendError> {
        let user = self.recipient(mail, now).await?.ok_or(SendError::Absent)?;
        if !mail.may_reach(&user) {
            return Err(SendError::Superseded);
        }
        mail.check_recipient(&user).map_err(SendError::Suppressed)?;
        let Mail {
            subject,
            text,
            html,
        } = self.compose(mail, &user.account_key(), now).await?;
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
                    .to_addresses(mail.email.ascii())
                    .build(),
            )
            .content(EmailContent::builder().simple(message).build())
            // SES includes the tags in its events about the mail (see `feedback`).
            .email_tags(tag("uid", mail.uid.as_str())?)
            .email_tags(tag("mail", &mail.id)?)
            .set_configuration_set_name(self.mail.configuration_set.clone());
        match request.send().await {
            Ok(output) => Ok(output.message_id.unwrap_or_default()),
            Err(error) => {
                let error = AwsError::from(error);
                Err(match failure_outcome(error.kind(), error.code()) {
                    FailureOutcome::GiveUp => SendError::Refused(error.into()),
                    FailureOutcome::Denied => SendError::Denied(error.into()),
                    FailureOutcome::Retry => SendError::Failed(error.into()),
                })
            }
        }
    }

    async fn compose(
        &self,
        mail: &QueuedMail,
        account: &AccountKey,
        now: Timestamp,
    ) -> Result<Mail, SendError> {
        let texts = texts::mails(mail.language);
        let reset_page = format!(
            "{}/accounts/password_reset?lang={}",
            self.application.domain,
            mail.language.as_str()
        );
        let notice = |text| Content::Notice {
            text,
            at: mail.queued_at.seconds(),
            reset_page: Some(&reset_page),
            support: self.mail.support.as_ref(),
            client: mail.client.as_ref(),
        };
        let link;
        let content = match mail.kind {
            Kind::PasswordReset => {
                let page = "password_reset?reset_token";
                link = self.link(mail, account, Purpose::Reset, page, now).await?;
                link_mail(&texts.password_reset, &link, mail)?
            }
            Kind::Confirmation => {
                let page = "confirmation?confirmation_token";
                link = self
                    .link(mail, account, Purpose::Confirmation, page, now)
                    .await?;
                link_mail(&texts.confirmation, &link, mail)?
            }
            Kind::EmailChange => {
                let page = "email_change?token";
                link = self
                    .link(mail, account, Purpose::EmailChange, page, now)
                    .await?;
                link_mail(&texts.email_change, &link, mail)?
            }
            Kind::EmailChangeRequested => notice(&texts.email_change_requested),
            // The password of the account can no longer be reset from the previous address.
            Kind::EmailChanged => Content::Notice {
                text: &texts.email_changed,
                at: mail.queued_at.seconds(),
                reset_page: None,
                support: self.mail.support.as_ref(),
                client: None,
            },
            Kind::PasswordChanged => notice(&texts.password_changed),
            Kind::OtpEnabled => notice(&texts.otp_enabled),
            Kind::OtpDisabled => notice(&texts.otp_disabled),
            Kind::PasswordKnown => notice(&texts.password_known),
            Kind::RecoveryCodeUsed => notice(&texts.recovery_code_used),
            Kind::RecoveryCodesReplaced => notice(&texts.recovery_codes_replaced),
            Kind::PasskeyAdded => notice(&texts.passkey_added),
            Kind::PasskeyRemoved => notice(&texts.passkey_removed),
            Kind::PasskeyCloneSuspected => notice(&texts.passkey_clone_suspected),
            Kind::AccountClosed => notice(&texts.account_closed),
            Kind::NewSignIn => notice(&texts.new_sign_in),
            Kind::PasswordChangedOtpRemoved => notice(&texts.password_changed_otp_removed),
            Kind::PasswordChangedPasskeysRemoved => {
                notice(&texts.password_changed_passkeys_removed)
            }
            Kind::PasswordChangedOtpAndPasskeysRemoved => {
                notice(&texts.password_changed_otp_and_passkeys_removed)
            }
        };
        let brand = Brand {
            name: &self.application.name,
            logo: self.logo.as_ref().map(|logo| logo.url.as_str()),
        };
        render(&content, mail.language, brand).map_err(refused)
    }

    /// A link with the signed token of the mail's code. No other function signs these tokens.
    async fn link(
        &self,
        mail: &QueuedMail,
        account: &AccountKey,
        purpose: Purpose,
        page: &str,
        now: Timestamp,
    ) -> Result<String, SendError> {
        let token_id = mail
            .token_id
            .clone()
            .ok_or_else(|| refused("a mail with a link has no token id"))?;
        let claims = Claims::new(
            purpose,
            token_id,
            mail.uid.clone(),
            account.clone(),
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

/// The content of a mail with a link, which is valid until the mail expires.
fn link_mail<'a>(
    text: &'a Link,
    link: &'a str,
    mail: &'a QueuedMail,
) -> Result<Content<'a>, SendError> {
    let life = mail.expires_at.seconds() - mail.queued_at.seconds();
    let life = u64::try_from(life).map_err(refused)?;
    Ok(Content::Link {
        text,
        email: mail.email.as_typed(),
        link,
        life,
    })
}

/// The error for an invalid mail, which a retry cannot send.
fn refused(cause: impl Into<BoxError>) -> SendError {
    SendError::Refused(cause.into())
}

fn log_unreadable(id: &str) {
    metrics::mail(Outcome::Refused);
    tracing::error!(
        event = "mail_unreadable",
        mail = id,
        "the item of the outbox is not a mail and is skipped"
    );
}

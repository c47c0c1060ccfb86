//! Mails sent by the stack.

use serde_json::Value;

use super::{Answer, User, eventually_or, stack::Latchkey};

/// A delivered mail.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Mail {
    fn from_json(message: &Value) -> Self {
        let text = |name: &str| {
            message[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} of {message}"))
                .to_owned()
        };
        let to = message["to"]
            .as_array()
            .unwrap()
            .iter()
            .map(|address| address.as_str().unwrap().to_owned())
            .collect();
        Self {
            from: text("from"),
            to,
            subject: text("subject"),
            text: text("text"),
            html: text("html"),
        }
    }

    pub fn link(&self) -> Option<&str> {
        self.text
            .split_whitespace()
            .find(|word| word.starts_with("http"))
    }

    /// The value of a query parameter of the link.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.link()?.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn reset_token(&self) -> Option<&str> {
        self.parameter("reset_token")
    }

    pub fn confirmation_token(&self) -> Option<&str> {
        self.parameter("confirmation_token")
    }

    pub fn email_change_token(&self) -> Option<&str> {
        self.parameter("token")
    }

    /// Whether the mail is a notice, which carries no token.
    pub fn is_notice(&self) -> bool {
        self.reset_token().is_none()
            && self.confirmation_token().is_none()
            && self.email_change_token().is_none()
    }
}

/// The mails in a response of the mailbox, oldest first.
pub fn mails_of(mailbox: &Answer) -> Vec<Mail> {
    mailbox.json()["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(Mail::from_json)
        .collect()
}

impl Latchkey {
    /// All mails to the address, oldest first.
    pub async fn mails_to(&self, email: &str) -> Vec<Mail> {
        let all = mails_of(&self.get("/_local/mailbox.json").send().await).into_iter();
        all.filter(|mail| mail.to.iter().any(|to| to == email))
            .collect()
    }

    /// Waits for `count` mails of a kind to the address, and returns the newest.
    pub async fn mail_to(
        &self,
        email: &str,
        count: usize,
        is_kind: impl Fn(&Mail) -> bool,
    ) -> Mail {
        let is_kind = &is_kind;
        let newest = || async move {
            let mails: Vec<Mail> = self
                .mails_to(email)
                .await
                .into_iter()
                .filter(is_kind)
                .collect();
            (mails.len() >= count).then(|| mails[count - 1].clone())
        };
        // A delivery that is retried delays the mails behind it.
        let retries = || {
            let log = self.log().into_iter();
            log.filter(|line| line.contains("failed to handle") || line.contains("ERROR"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        eventually_or(&format!("{count} mails to {email}"), newest, retries).await
    }

    /// Requests a reset code and waits for the mail.
    pub async fn reset_mail(&self, email: &str) -> Mail {
        self.reset_mail_in(email, "").await
    }

    /// Requests a reset code in a language and waits for the mail.
    pub async fn reset_mail_in(&self, email: &str, lang: &str) -> Mail {
        let is_reset = |mail: &Mail| mail.reset_token().is_some();
        let before = self
            .mails_to(email)
            .await
            .into_iter()
            .filter(is_reset)
            .count();
        self.post("/identity/users/password/generate_code")
            .form(&[("email", email), ("lang", lang)])
            .send()
            .await
            .is_empty(201);
        self.mail_to(email, before + 1, is_reset).await
    }

    /// Requests a change of the address, with the password, and returns the token of the mail.
    pub async fn email_change_token(&self, user: &User, email: &str) -> String {
        let is_link = |mail: &Mail| mail.email_change_token().is_some();
        let before = self.mails_to(email).await.into_iter().filter(is_link);
        let before = before.count();
        self.change_email(user, email).send().await.is_empty(201);
        let mail = self.mail_to(email, before + 1, is_link).await;
        mail.email_change_token().unwrap().to_owned()
    }

    /// Requests a reset code and returns its token.
    pub async fn reset_token(&self, user: &User) -> String {
        self.reset_mail(&user.email)
            .await
            .reset_token()
            .unwrap()
            .to_owned()
    }
}

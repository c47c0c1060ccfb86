//! SES v2 `SendEmail`, and the mailbox that it delivers to.

use crate::{Error, ambient, data::Data, log::Logger};
use axum::{
    Json as Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use time::format_description::well_known::Rfc3339;

const FILE: &str = "mailbox.json";
/// The newest that are kept.
const CAPACITY: usize = 500;
/// SES's limit.
const RECIPIENTS: usize = 50;

pub struct Mailbox {
    data: Arc<Data>,
    messages: Mutex<VecDeque<Message>>,
    /// Those that the template makes; mails through any other are refused.
    configuration_sets: Vec<String>,
    log: Logger,
}

#[derive(Serialize, Deserialize, Clone)]
struct Message {
    id: String,
    from: String,
    to: Vec<String>,
    subject: String,
    text: String,
    html: String,
    sent_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    #[serde(default)]
    destination: Destination,
    content: Content,
    configuration_set_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Destination {
    #[serde(rename = "ToAddresses")]
    to: Vec<String>,
    #[serde(rename = "CcAddresses")]
    cc: Vec<String>,
    #[serde(rename = "BccAddresses")]
    bcc: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Part,
    body: Parts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    text: Option<Part>,
    html: Option<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    data: String,
}

/// An error of SES: its type and its message.
#[derive(Debug, PartialEq)]
struct Refusal(&'static str, String);

impl Mailbox {
    pub fn open(data: Arc<Data>, configuration_sets: Vec<String>, log: Logger) -> Result<Self, Error> {
        let messages = match data.read(FILE)? {
            Some(kept) => serde_json::from_slice(&kept).map_err(|error| {
                Error::new(format!("{FILE} in the data folder is damaged: {error}"))
                    .advice("Delete it to start with an empty mailbox.")
            })?,
            None => VecDeque::new(),
        };
        Ok(Self { data, messages: Mutex::new(messages), configuration_sets, log })
    }

    /// What `/_local/mailbox.json` tells.
    pub fn list(&self) -> serde_json::Value {
        json!({ "messages": *ambient::lock(&self.messages) })
    }

    pub fn empty(&self) {
        self.change(VecDeque::clear);
    }

    fn change(&self, change: impl FnOnce(&mut VecDeque<Message>)) {
        let mut messages = ambient::lock(&self.messages);
        change(&mut messages);
        let kept = serde_json::to_vec(&*messages).map_err(|error| Error::new(error.to_string()));
        if let Err(error) = kept.and_then(|kept| self.data.write(FILE, &kept)) {
            self.log.problem(&error.to_string());
        }
    }

    /// Answers `SendEmail`.
    pub fn answer(&self, body: &[u8]) -> Response {
        match self.send(body) {
            Ok(id) => Body(json!({ "MessageId": id })).into_response(),
            Err(Refusal(kind, message)) => {
                let status = if kind == "NotFoundException" { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
                (status, [("x-amzn-errortype", kind)], Body(json!({ "message": message }))).into_response()
            }
        }
    }

    fn send(&self, body: &[u8]) -> Result<String, Refusal> {
        let bad = |message: &str| Refusal("BadRequestException", message.to_owned());
        let request: SendEmail = serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
        let from = request.from_email_address.ok_or_else(|| bad("FromEmailAddress is required"))?;
        let Destination { to, cc, bcc } = request.destination;
        let to = [to, cc, bcc].concat();
        if to.is_empty() || to.len() > RECIPIENTS {
            return Err(bad("Recipient count is not between 1 and 50"));
        }
        for address in to.iter().chain([&from]) {
            check_address(address)?;
        }
        let simple = request.content.simple.ok_or_else(|| bad("Only Content.Simple is served here"))?;
        if simple.subject.data.is_empty() || simple.subject.data.contains(['\r', '\n']) {
            return Err(bad("Subject is empty or has more than one line"));
        }
        let part = |part: Option<Part>| part.map(|part| part.data).unwrap_or_default();
        let (text, html) = (part(simple.body.text), part(simple.body.html));
        if text.is_empty() && html.is_empty() {
            return Err(bad("Body is empty"));
        }
        if let Some(set) = request.configuration_set_name
            && !self.configuration_sets.contains(&set)
        {
            return Err(Refusal("NotFoundException", format!("Configuration set <{set}> does not exist.")));
        }
        let id = ambient::random::<16>().map_err(|error| bad(&error.to_string()))?;
        let message = Message {
            id: HEXLOWER.encode(&id),
            from,
            to,
            subject: simple.subject.data,
            text,
            html,
            sent_at: ambient::now().format(&Rfc3339).unwrap_or_default(),
        };
        let id = message.id.clone();
        self.change(|messages| {
            messages.push_back(message);
            while messages.len() > CAPACITY {
                messages.pop_front();
            }
        });
        Ok(id)
    }
}

/// SES takes ASCII alone: a domain of another script has to come as punycode, a name as an encoded word.
fn check_address(address: &str) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal("BadRequestException", message.to_owned()));
    let bare = match address.rsplit_once('<') {
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(bare) => bare,
            None => return bad("Illegal address"),
        },
        None => address,
    };
    let Some((local, domain)) = bare.rsplit_once('@') else {
        return bad("Missing final '@domain'");
    };
    if !address.is_ascii() {
        return bad("Address contains illegal characters: only ASCII is served");
    }
    if local.is_empty() || local.len() > 64 || local.contains(|c: char| c.is_ascii_control() || c == ' ') {
        return bad("Local address contains control or whitespace, or is of a wrong length");
    }
    if domain.is_empty() || !domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-') {
        return bad("Domain contains illegal character");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    fn mailbox() -> Mailbox {
        let log = Logger::new(Log::Captured(Arc::default()));
        Mailbox::open(Arc::new(Data::in_memory()), vec!["Set".to_owned()], log).unwrap()
    }

    fn mail(from: &str, to: &str, set: &str) -> Vec<u8> {
        json!({
            "FromEmailAddress": from,
            "Destination": { "ToAddresses": [to] },
            "Content": { "Simple": { "Subject": { "Data": "Hello" }, "Body": { "Text": { "Data": "text" }, "Html": { "Data": "<p>html" } } } },
            "ConfigurationSetName": set,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_mail_is_delivered_to_the_mailbox() {
        let mailbox = mailbox();
        let id = mailbox.send(&mail("Latchkey <noreply@example.com>", "ann@example.com", "Set")).unwrap();
        let list = mailbox.list();
        assert_eq!(list["messages"][0]["id"], id);
        assert_eq!(list["messages"][0]["to"], json!(["ann@example.com"]));
        assert_eq!(list["messages"][0]["html"], "<p>html");
        mailbox.empty();
        assert_eq!(mailbox.list(), json!({ "messages": [] }));
    }

    #[test]
    fn what_ses_refuses_is_refused() {
        let mailbox = mailbox();
        for (from, to) in [
            ("noreply@example.com", "ann@пример.рф"),
            ("noreply@example.com", "анна@example.com"),
            ("noreply@example.com", "ann"),
            ("noreply@example.com", "a nn@example.com"),
            ("Ключ <noreply@example.com>", "ann@example.com"),
        ] {
            let Refusal(kind, _) = mailbox.send(&mail(from, to, "Set")).unwrap_err();
            assert_eq!(kind, "BadRequestException", "{from} {to}");
        }
        let Refusal(kind, _) = mailbox.send(&mail("noreply@example.com", "ann@example.com", "Other")).unwrap_err();
        assert_eq!(kind, "NotFoundException");
        assert_eq!(mailbox.list(), json!({ "messages": [] }));
    }

    #[test]
    fn only_the_newest_mails_are_kept() {
        let mailbox = mailbox();
        for _ in 0..=CAPACITY {
            mailbox.send(&mail("noreply@example.com", "ann@example.com", "Set")).unwrap();
        }
        assert_eq!(mailbox.list()["messages"].as_array().unwrap().len(), CAPACITY);
    }
}

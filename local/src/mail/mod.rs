//! SES v2 `SendEmail`, which delivers to a local mailbox.

mod access;
mod simulator;

use crate::{
    Error, ambient,
    data::Data,
    events::Bus,
    iam::Iam,
    log::Logger,
    template::{EventDestination, Template},
};
use axum::{
    Json as Body,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;
use simulator::{Sent, SimulatedOutcome};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};
use time::format_description::well_known::Rfc3339;

const FILE: &str = "mailbox.json";
/// Number of mails that the mailbox keeps; older ones are deleted.
const CAPACITY: usize = 500;
/// SES's limit for the recipients of a mail.
const RECIPIENTS: usize = 50;

pub struct Mailbox {
    data: Arc<Data>,
    messages: Mutex<VecDeque<Message>>,
    /// The configuration sets of the template. A mail with any other is rejected.
    configuration_sets: Vec<String>,
    destinations: Vec<EventDestination>,
    /// Receives bounce and complaint events.
    bus: Bus,
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
    /// `bounced` or `complained of`, as simulated by the recipient's address; `None` if delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fate: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    #[serde(default)]
    destination: Destination,
    content: Content,
    configuration_set_name: Option<String>,
    #[serde(default)]
    email_tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    name: String,
    value: String,
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

/// An error of SES: type and message.
#[derive(Debug, PartialEq)]
struct Refusal(&'static str, String);

impl Mailbox {
    pub fn open(
        data: Arc<Data>,
        template: &Template,
        bus: Bus,
        log: Logger,
    ) -> Result<Self, Error> {
        let messages = match data.read(FILE)? {
            Some(kept) => serde_json::from_slice(&kept).map_err(|error| {
                Error::new(format!("{FILE} in the data folder is damaged: {error}"))
                    .advice("Delete the file to start with an empty mailbox.")
            })?,
            None => VecDeque::new(),
        };
        let configuration_sets = template.configuration_sets.clone();
        let destinations = template.event_destinations.clone();
        Ok(Self {
            data,
            messages: Mutex::new(messages),
            configuration_sets,
            destinations,
            bus,
            log,
        })
    }

    /// The content of `/_local/mailbox.json`.
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

    /// Handles a `SendEmail` request.
    pub fn answer(&self, headers: &HeaderMap, body: &[u8], iam: &Iam) -> Response {
        if let Err(denied) = iam.authorize(headers, || access::accesses(body)) {
            let error = [("x-amzn-errortype", "AccessDeniedException")];
            return (
                StatusCode::FORBIDDEN,
                error,
                Body(json!({ "message": denied.to_string() })),
            )
                .into_response();
        }
        match self.send(body) {
            Ok(id) => Body(json!({ "MessageId": id })).into_response(),
            Err(Refusal(kind, message)) => {
                let status = if kind == "NotFoundException" {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::BAD_REQUEST
                };
                (
                    status,
                    [("x-amzn-errortype", kind)],
                    Body(json!({ "message": message })),
                )
                    .into_response()
            }
        }
    }

    fn send(&self, body: &[u8]) -> Result<String, Refusal> {
        let bad = |message: &str| Refusal("BadRequestException", message.to_owned());
        let request: SendEmail =
            serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
        let from = request
            .from_email_address
            .ok_or_else(|| bad("FromEmailAddress is required"))?;
        let Destination { to, cc, bcc } = request.destination;
        let to = [to, cc, bcc].concat();
        if to.is_empty() || to.len() > RECIPIENTS {
            return Err(bad("Recipient count is not between 1 and 50"));
        }
        for address in to.iter().chain([&from]) {
            check_address(address)?;
        }
        let simple = request
            .content
            .simple
            .ok_or_else(|| bad("The development stack supports only Content.Simple"))?;
        if simple.subject.data.is_empty() || simple.subject.data.contains(['\r', '\n']) {
            return Err(bad("Subject is empty or has more than one line"));
        }
        let part = |part: Option<Part>| part.map(|part| part.data).unwrap_or_default();
        let text = part(simple.body.text);
        let html = part(simple.body.html);
        if text.is_empty() && html.is_empty() {
            return Err(bad("Body is empty"));
        }
        if let Some(set) = &request.configuration_set_name
            && !self.configuration_sets.contains(set)
        {
            return Err(Refusal(
                "NotFoundException",
                format!("Configuration set <{set}> does not exist."),
            ));
        }
        let tags = tags(request.email_tags)?;
        let id = ambient::random::<16>().map_err(|error| bad(&error.to_string()))?;
        let message = Message {
            id: HEXLOWER.encode(&id),
            from,
            subject: simple.subject.data,
            text,
            html,
            sent_at: ambient::now().format(&Rfc3339).unwrap_or_default(),
            fate: to
                .iter()
                .find_map(|address| SimulatedOutcome::of(address))
                .map(|fate| fate.word().to_owned()),
            to,
        };
        let id = message.id.clone();
        if let Some(set) = &request.configuration_set_name {
            self.publish_outcomes(&message, set, &tags);
        }
        self.change(|messages| {
            messages.push_back(message);
            while messages.len() > CAPACITY {
                messages.pop_front();
            }
        });
        Ok(id)
    }

    /// Publishes a bounce or complaint event per recipient, if an event destination of the template
    /// includes it.
    fn publish_outcomes(
        &self,
        message: &Message,
        configuration_set: &str,
        tags: &BTreeMap<String, String>,
    ) {
        let Message {
            id: message_id,
            from,
            subject,
            ..
        } = message;
        let sent = Sent {
            message_id,
            from,
            subject,
            configuration_set,
            tags,
        };
        for address in &message.to {
            let Some(fate) = SimulatedOutcome::of(address) else {
                continue;
            };
            let is_published = |destination: &EventDestination| {
                destination.configuration_set == configuration_set
                    && destination
                        .event_types
                        .iter()
                        .any(|kind| kind == fate.event_type())
            };
            if !self.destinations.iter().any(is_published) {
                continue;
            }
            match fate.event(&sent, address) {
                // The bus is closed while the stack stops.
                Ok(event) => drop(self.bus.send(event)),
                Err(error) => self.log.problem(&error.to_string()),
            }
        }
    }
}

/// Message tags by name, checked against SES's limits.
fn tags(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Refusal> {
    let is_good = |text: &str, more: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || more.contains(c);
        !text.is_empty() && text.len() <= 256 && text.chars().all(known)
    };
    let good = tags
        .iter()
        .all(|tag| is_good(&tag.name, "") && is_good(&tag.value, ".@"));
    good.then(|| tags.into_iter().map(|tag| (tag.name, tag.value)).collect())
        .ok_or_else(|| Refusal("BadRequestException", "Invalid message tag".to_owned()))
}

/// The address without a display name; `None` if a closing angle bracket is missing.
fn bare_address(address: &str) -> Option<&str> {
    match address.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>'),
        None => Some(address),
    }
}

/// SES accepts only ASCII: domains of other scripts must be punycode, display names encoded words.
fn check_address(address: &str) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal("BadRequestException", message.to_owned()));
    let Some(bare) = bare_address(address) else {
        return bad("Illegal address");
    };
    let Some((local, domain)) = bare.rsplit_once('@') else {
        return bad("Missing final '@domain'");
    };
    if !address.is_ascii() {
        return bad("Address contains illegal characters: only ASCII is supported");
    }
    if local.is_empty()
        || local.len() > 64
        || local.contains(|c: char| c.is_ascii_control() || c == ' ')
    {
        return bad("Local address contains control or whitespace, or its length is not 1 to 64");
    }
    if domain.is_empty()
        || !domain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
    {
        return bad("Domain contains illegal character");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    fn mailbox() -> Mailbox {
        mailbox_and_bus().0
    }

    fn mailbox_and_bus() -> (
        Mailbox,
        tokio::sync::mpsc::UnboundedReceiver<serde_json::Value>,
    ) {
        let set = "Set".to_owned();
        let template = Template {
            functions: Vec::new(),
            tables: Vec::new(),
            secrets: Vec::new(),
            configuration_sets: vec![set.clone(), "Silent".to_owned()],
            event_destinations: vec![EventDestination {
                configuration_set: set,
                event_types: vec!["bounce".to_owned()],
            }],
            managed_policies: BTreeMap::new(),
            cors: None,
        };
        let log = Logger::new(Log::Captured(Arc::default()));
        let (bus, events) = tokio::sync::mpsc::unbounded_channel();
        (
            Mailbox::open(Arc::new(Data::in_memory()), &template, bus, log).unwrap(),
            events,
        )
    }

    fn mail(from: &str, to: &str, set: &str) -> Vec<u8> {
        json!({
            "FromEmailAddress": from,
            "Destination": { "ToAddresses": [to] },
            "Content": { "Simple": { "Subject": { "Data": "Hello" }, "Body": { "Text": { "Data": "text" }, "Html": { "Data": "<p>html" } } } },
            "ConfigurationSetName": set,
            "EmailTags": [{ "Name": "uid", "Value": "ID1" }],
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_mail_is_delivered_to_the_mailbox() {
        let mailbox = mailbox();
        let id = mailbox
            .send(&mail(
                "Latchkey <noreply@example.com>",
                "ann@example.com",
                "Set",
            ))
            .unwrap();
        let list = mailbox.list();
        assert_eq!(list["messages"][0]["id"], id);
        assert_eq!(list["messages"][0]["to"], json!(["ann@example.com"]));
        assert_eq!(list["messages"][0]["html"], "<p>html");
        mailbox.empty();
        assert_eq!(mailbox.list(), json!({ "messages": [] }));
    }

    #[test]
    fn mails_that_ses_rejects_are_rejected() {
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
        let Refusal(kind, _) = mailbox
            .send(&mail("noreply@example.com", "ann@example.com", "Other"))
            .unwrap_err();
        assert_eq!(kind, "NotFoundException");
        assert_eq!(mailbox.list(), json!({ "messages": [] }));
    }

    #[test]
    fn bounces_and_complaints_of_a_destination_are_published_as_events() {
        let (mailbox, mut events) = mailbox_and_bus();
        for (to, set) in [
            ("bounce+1@simulator.amazonses.com", "Silent"),
            ("complaint@simulator.amazonses.com", "Set"),
            ("success@simulator.amazonses.com", "Set"),
            ("bounce+2@simulator.amazonses.com", "Set"),
        ] {
            mailbox.send(&mail("noreply@example.com", to, set)).unwrap();
        }
        let event = events.try_recv().unwrap();
        assert_eq!(
            (&event["source"], &event["detail-type"]),
            (&json!("aws.ses"), &json!("Email Bounced"))
        );
        assert_eq!(
            event["detail"]["bounce"]["bouncedRecipients"][0]["emailAddress"],
            "bounce+2@simulator.amazonses.com"
        );
        assert_eq!(event["detail"]["mail"]["tags"]["uid"], json!(["ID1"]));
        assert_eq!(
            event["detail"]["mail"]["tags"]["ses:configuration-set"],
            json!(["Set"])
        );
        assert!(events.try_recv().is_err(), "no other event is published");
        let list = mailbox.list();
        let fates: Vec<_> = list["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["fate"].as_str())
            .collect();
        assert_eq!(
            fates,
            [
                Some("bounced"),
                Some("complained of"),
                None,
                Some("bounced")
            ]
        );
    }

    #[test]
    fn a_tag_with_other_characters_is_rejected() {
        let tag = |name: &str, value: &str| {
            tags(vec![Tag {
                name: name.to_owned(),
                value: value.to_owned(),
            }])
        };
        assert!(tag("uid", "ID0-_.@").is_ok());
        for (name, value) in [
            ("", "a"),
            ("a", ""),
            ("a b", "c"),
            ("a", "b c"),
            ("a@", "b"),
            ("a", "ü"),
        ] {
            assert!(tag(name, value).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn only_the_newest_mails_are_kept() {
        let mailbox = mailbox();
        for _ in 0..=CAPACITY {
            mailbox
                .send(&mail("noreply@example.com", "ann@example.com", "Set"))
                .unwrap();
        }
        assert_eq!(
            mailbox.list()["messages"].as_array().unwrap().len(),
            CAPACITY
        );
    }
}

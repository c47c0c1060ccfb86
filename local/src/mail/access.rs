//! The resources of a `SendEmail` call, as IAM evaluates them.

use super::{SendEmail, bare_address};
use crate::{
    iam::{Access, Context},
    template::arn,
};
use std::collections::BTreeSet;

/// IAM requires permission for the sender's identity and the configuration set, and in the SES
/// sandbox, in which every account starts, also for the recipients' identities. The verified
/// identity may be the address, its domain or a parent domain, so all of them are checked.
pub fn accesses(body: &[u8]) -> Vec<Access> {
    let Ok(request) = serde_json::from_slice::<SendEmail>(body) else {
        return Vec::new();
    };
    let sender = request.from_email_address.unwrap_or_default();
    let sender = bare_address(&sender).unwrap_or_default();
    let context = Context::from([("ses:FromAddress", BTreeSet::from([sender.to_owned()]))]);
    let destination = &request.destination;
    let recipients = [&destination.to, &destination.cc, &destination.bcc]
        .into_iter()
        .flatten()
        .filter_map(|to| bare_address(to));
    let identities: BTreeSet<String> = recipients
        .chain([sender])
        .flat_map(identities)
        .map(|identity| format!("identity/{identity}"))
        .collect();
    let set = request
        .configuration_set_name
        .map(|set| format!("configuration-set/{set}"));
    let access = |resource: String| Access {
        action: "ses:SendEmail".to_owned(),
        resource: arn("ses", &resource),
        context: context.clone(),
    };
    identities.into_iter().chain(set).map(access).collect()
}

fn identities(address: &str) -> Vec<&str> {
    let mut identities = vec![address];
    let mut domain = address.rsplit_once('@').map(|(_, domain)| domain);
    while let Some(name) = domain.filter(|name| name.contains('.')) {
        identities.push(name);
        domain = name.split_once('.').map(|(_, above)| above);
    }
    identities
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_identities_of_sender_and_recipient_and_the_configuration_set_must_be_allowed() {
        let mail = json!({
            "FromEmailAddress": "Latchkey <noreply@mail.example.com>",
            "Destination": { "ToAddresses": ["ann@example.org"] },
            "Content": {},
            "ConfigurationSetName": "Set",
        });
        let accesses = accesses(mail.to_string().as_bytes());
        let resources: Vec<&str> = accesses
            .iter()
            .map(|access| access.resource.rsplit(':').next().unwrap())
            .collect();
        let expected = [
            "identity/ann@example.org",
            "identity/example.com",
            "identity/example.org",
            "identity/mail.example.com",
            "identity/noreply@mail.example.com",
            "configuration-set/Set",
        ];
        assert_eq!(resources, expected);
        assert!(
            accesses.iter().all(
                |access| access.context["ses:FromAddress"].contains("noreply@mail.example.com")
            )
        );
    }
}

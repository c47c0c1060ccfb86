//! IAM: enforces the policies of the template. Each function signs its calls with its own access
//! key. Calls that are unsigned or signed with another key come from a developer and are allowed.

mod dynamodb;
mod expression;
mod grants;
mod proxy;
mod statement;

use crate::{
    ambient,
    log::Logger,
    template::{Statement, Template, arn},
};
use axum::http::HeaderMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub use grants::{Grants, folder as grants_folder};
pub use proxy::DynamoDbProxy;

/// The values of a request for the condition keys of policies.
pub type Context = BTreeMap<&'static str, BTreeSet<String>>;

/// One action on one resource. A call may consist of several, and all of them must be allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Such as `dynamodb:GetItem`.
    pub action: String,
    /// ARN.
    pub resource: String,
    pub context: Context,
}

/// A call that the policies of its function do not allow.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessDenied {
    function: String,
    action: String,
    resource: String,
}

/// The message of AWS.
impl fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            action,
            resource,
        } = self;
        let role = arn("sts", &format!("assumed-role/{function}Role/{function}"))
            .replace("sts:us-east-1", "sts:");
        write!(
            f,
            "User: {role} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows \
             the {action} action"
        )
    }
}

struct Identity {
    policies: Vec<Statement>,
    boundary: Option<Vec<Statement>>,
}

pub struct Iam {
    functions: BTreeMap<String, Identity>,
    /// Grants that are recorded as used.
    used: Mutex<BTreeSet<String>>,
    /// Folder in which used grants and denials are recorded for [`Grants`].
    records: Option<PathBuf>,
    denials: Arc<Mutex<Vec<String>>>,
    log: Logger,
}

impl Iam {
    pub fn new(
        template: &Template,
        records: Option<&Path>,
        denials: Arc<Mutex<Vec<String>>>,
        log: Logger,
    ) -> Self {
        let functions = template.functions.iter().map(|function| {
            let boundary = function
                .permissions_boundary
                .as_ref()
                .and_then(|name| template.managed_policies.get(name));
            (
                function.name.clone(),
                Identity {
                    policies: function.policies.clone(),
                    boundary: boundary.cloned(),
                },
            )
        });
        Self {
            functions: functions.collect(),
            used: Mutex::default(),
            records: records.map(Path::to_owned),
            denials,
            log,
        }
    }

    /// Checks a call before it is executed. `accesses` is not called for calls of a developer.
    pub fn authorize(
        &self,
        headers: &HeaderMap,
        accesses: impl FnOnce() -> Vec<Access>,
    ) -> Result<(), AccessDenied> {
        let Some((function, identity)) =
            access_key(headers).and_then(|key| self.functions.get_key_value(key))
        else {
            return Ok(());
        };
        let mut used = BTreeSet::new();
        for access in accesses() {
            let bounded = identity
                .boundary
                .as_ref()
                .is_none_or(|boundary| statement::allowing(boundary, &access).is_some());
            match statement::allowing(&identity.policies, &access) {
                Some(grants) if bounded => used.extend(
                    grants
                        .into_iter()
                        .map(|grant| format!("{function}: {grant}")),
                ),
                _ => {
                    let denied = AccessDenied {
                        function: function.clone(),
                        action: access.action,
                        resource: access.resource,
                    };
                    self.deny(&denied);
                    return Err(denied);
                }
            }
        }
        self.note(used);
        Ok(())
    }

    fn note(&self, grants: BTreeSet<String>) {
        let mut used = ambient::lock(&self.used);
        for grant in grants {
            if !used.contains(&grant) {
                self.record(&grants::used(&grant));
                used.insert(grant);
            }
        }
    }

    fn deny(&self, denied: &AccessDenied) {
        self.log.problem(&format!(
            "{denied}.\nIf the function needs the permission, add it to its Policies in template.yaml."
        ));
        self.record(&grants::denied(denied));
        ambient::lock(&self.denials).push(denied.to_string());
    }

    fn record(&self, line: &str) {
        if let Some(folder) = &self.records
            && let Err(error) = grants::append(folder, line)
        {
            self.log
                .problem(&format!("Writing to {} failed: {error}", folder.display()));
        }
    }
}

/// The access key id in the signature of a request.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html>
fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get("authorization")?.to_str().ok()?;
    let (_, credential) = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")?
        .split_once("Credential=")?;
    Some(credential.split_once('/')?.0)
}

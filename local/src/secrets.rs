//! Secrets Manager, as far as the functions and their operators use it: `GetSecretValue` of the
//! secrets that the template generates and of those that operators keep there, and `PutSecretValue`
//! to rotate the former.

use crate::{
    Error, ambient,
    data::Data,
    iam::{Access, Context, Iam},
    template::{GenerateSecretString, Secret, secret_arn},
};
use axum::{
    Json as Body,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const FILE: &str = "secrets.json";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub struct Secrets {
    /// By logical id.
    generated: Mutex<BTreeMap<String, Versions>>,
    /// By what the functions ask for. They are kept in memory alone.
    given: BTreeMap<String, String>,
    data: Arc<Data>,
}

/// The versions of one secret by their staging labels, and when the current one was put, in seconds
/// since the Unix epoch.
#[derive(Clone, Serialize, Deserialize)]
struct Versions {
    #[serde(rename = "AWSCURRENT")]
    current: String,
    #[serde(rename = "AWSPREVIOUS", skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(rename = "CreatedDate", skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: String,
    #[serde(default = "current")]
    version_stage: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PutSecretValue {
    secret_id: String,
    secret_string: String,
    /// Makes the tries of one call one version. The stack answers, so nobody tries again.
    #[serde(default)]
    client_request_token: String,
}

fn current() -> String {
    "AWSCURRENT".to_owned()
}

/// The captcha's private key, under the name that the functions are told; the key itself they are
/// not.
pub fn captcha_secret() -> Result<BTreeMap<String, String>, Error> {
    let variable = |name| ambient::variable(name).filter(|value| !value.trim().is_empty());
    match (
        variable("IDENTITY_CAPTCHA_SECRET_ARN"),
        variable("LATCHKEY_CAPTCHA_SECRET"),
    ) {
        (Some(name), Some(key)) => Ok(BTreeMap::from([(name, key)])),
        (Some(_), None) => Err(Error::new(
            "IDENTITY_CAPTCHA_SECRET_ARN names a secret that is not known here.",
        )
        .advice("Give the captcha's private key in LATCHKEY_CAPTCHA_SECRET.")),
        (None, _) => Ok(BTreeMap::new()),
    }
}

impl Secrets {
    /// Those that were kept, new ones for the others, and those that are given.
    pub fn open(
        wanted: &[Secret],
        given: BTreeMap<String, String>,
        data: Arc<Data>,
    ) -> Result<Self, Error> {
        let mut secrets: BTreeMap<String, Versions> = match data.read(FILE)? {
            Some(kept) => serde_json::from_slice(&kept).map_err(|error| {
                Error::new(format!("{FILE} in the data folder is damaged: {error}")).advice(
                    "Delete it to get new secrets: whoever is signed in has to sign in again.",
                )
            })?,
            None => BTreeMap::new(),
        };
        for secret in wanted {
            if !secrets.contains_key(&secret.name) {
                let versions = Versions {
                    current: generate(secret.generate)?,
                    previous: None,
                    created_at: None,
                };
                secrets.insert(secret.name.clone(), versions);
            }
        }
        keep(&secrets, &data)?;
        Ok(Self {
            generated: Mutex::new(secrets),
            given,
            data,
        })
    }

    /// Answers one call of the AWS JSON 1.1 protocol.
    pub fn answer(&self, headers: &HeaderMap, body: &[u8], iam: &Iam) -> Response {
        if let Err(denied) = iam.authorize(headers, || vec![Self::access(headers, body)]) {
            return refusal("AccessDeniedException", &denied.to_string());
        }
        match headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
        {
            Some("secretsmanager.GetSecretValue") => self.get(body),
            Some("secretsmanager.PutSecretValue") => self.put(body),
            _ => refusal(
                "UnknownOperationException",
                "Only GetSecretValue and PutSecretValue are served here.",
            ),
        }
    }

    /// What a call asks for, as IAM sees it.
    fn access(headers: &HeaderMap, body: &[u8]) -> Access {
        let target = headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let call: Json = serde_json::from_slice(body).unwrap_or_default();
        let asked = call["SecretId"].as_str().unwrap_or_default();
        Access {
            action: format!("secretsmanager:{operation}"),
            resource: secret_arn(asked),
            context: Context::new(),
        }
    }

    fn get(&self, body: &[u8]) -> Response {
        let Ok(request) = serde_json::from_slice::<GetSecretValue>(body) else {
            return refusal("SerializationException", "The request is not understood.");
        };
        let asked = request.secret_id.as_str();
        let generated = ambient::lock(&self.generated);
        let versions = generated
            .iter()
            .find(|(name, _)| asked == **name || asked == secret_arn(name));
        let (name, current, previous, created_at) = match (versions, self.given.get(asked)) {
            (Some((name, versions)), _) => (
                name.as_str(),
                &versions.current,
                versions.previous.as_ref(),
                versions.created_at,
            ),
            (None, Some(text)) => (asked, text, None, None),
            (None, None) => {
                return refusal(
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret.",
                );
            }
        };
        let value = match request.version_stage.as_str() {
            "AWSCURRENT" => Some(current),
            "AWSPREVIOUS" => previous,
            _ => None,
        };
        match value {
            Some(value) => amz_json(
                StatusCode::OK,
                json!({
                    "ARN": secret_arn(name),
                    "Name": name,
                    "SecretString": value,
                    "VersionStages": [request.version_stage],
                    "CreatedDate": created_at,
                }),
            ),
            None => refusal(
                "ResourceNotFoundException",
                &format!(
                    "Secrets Manager can't find the specified secret value for staging label: {}",
                    request.version_stage
                ),
            ),
        }
    }

    /// A new version: it becomes the current one, and that the previous one.
    fn put(&self, body: &[u8]) -> Response {
        let Ok(PutSecretValue {
            secret_id,
            secret_string,
            client_request_token,
        }) = serde_json::from_slice(body)
        else {
            return refusal("SerializationException", "The request is not understood.");
        };
        let mut generated = ambient::lock(&self.generated);
        let mut changed = generated.clone();
        let Some((name, versions)) = changed
            .iter_mut()
            .find(|(name, _)| secret_id == **name || secret_id == secret_arn(name))
        else {
            return refusal(
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            );
        };
        let name = name.clone();
        let previous = std::mem::replace(&mut versions.current, secret_string);
        (versions.previous, versions.created_at) =
            (Some(previous), Some(ambient::now().unix_timestamp()));
        if let Err(error) = keep(&changed, &self.data) {
            return refusal("InternalServiceError", &error.to_string());
        }
        *generated = changed;
        amz_json(
            StatusCode::OK,
            json!({ "ARN": secret_arn(&name), "Name": name, "VersionId": client_request_token, "VersionStages": ["AWSCURRENT"] }),
        )
    }
}

fn keep(secrets: &BTreeMap<String, Versions>, data: &Data) -> Result<(), Error> {
    let secrets =
        serde_json::to_vec_pretty(secrets).map_err(|error| Error::new(error.to_string()))?;
    data.write(FILE, &secrets)
}

fn refusal(kind: &str, message: &str) -> Response {
    amz_json(
        StatusCode::BAD_REQUEST,
        json!({ "__type": kind, "Message": message }),
    )
}

fn amz_json(status: StatusCode, body: Json) -> Response {
    (
        status,
        [("content-type", "application/x-amz-json-1.1")],
        Body(body),
    )
        .into_response()
}

fn generate(wish: GenerateSecretString) -> Result<String, Error> {
    let mut alphabet = LETTERS.to_vec();
    if !wish.exclude_punctuation {
        alphabet.extend(PUNCTUATION);
    }
    let mut secret = String::new();
    while secret.len() < wish.password_length {
        let [byte] = ambient::random()?;
        // A byte beyond the alphabet is thrown again: a remainder would prefer some characters.
        if let Some(character) = alphabet.get(usize::from(byte & 0x7f)) {
            secret.push(char::from(*character));
        }
    }
    Ok(secret)
}

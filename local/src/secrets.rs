//! Secrets Manager: `GetSecretValue` for the secrets that the template generates and for those of
//! the operator, and `PutSecretValue` to rotate them.

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
    /// The operator's secrets, by the name or ARN that the functions request. In memory only.
    given: Mutex<BTreeMap<String, Versions>>,
    data: Arc<Data>,
}

/// The versions of one secret by their staging labels.
#[derive(Clone, Serialize, Deserialize)]
struct Versions {
    #[serde(rename = "AWSCURRENT")]
    current: String,
    #[serde(rename = "AWSPREVIOUS", skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// When the current version was put, in seconds since the Unix epoch.
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
    /// Makes retries of a call idempotent on AWS. Not needed here, because clients do not retry.
    #[serde(default)]
    client_request_token: String,
}

fn current() -> String {
    "AWSCURRENT".to_owned()
}

const CAPTCHA_SECRET_ARN: &str = "IDENTITY_CAPTCHA_SECRET_ARN";
const ACCESS_TOKEN_KEY_ARN: &str = "IDENTITY_ACCESS_TOKEN_KEY_ARN";
const ACCESS_TOKEN_KEY: &str = "LATCHKEY_ACCESS_TOKEN_KEY";

/// The operator's secrets by the ARNs in the variables of the functions, which receive only the
/// ARN: the captcha's private key from `LATCHKEY_CAPTCHA_SECRET`, and the private key of access
/// tokens from `LATCHKEY_ACCESS_TOKEN_KEY`. For the latter alone, adds the ARN to the variables.
pub fn operator_secrets(
    env: &mut BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let is_set = |value: &String| !value.trim().is_empty();
    let given = |name| ambient::variable(name).filter(is_set);
    if given(ACCESS_TOKEN_KEY).is_some() && !env.get(ACCESS_TOKEN_KEY_ARN).is_some_and(is_set) {
        env.insert(
            ACCESS_TOKEN_KEY_ARN.to_owned(),
            secret_arn("access-token-key"),
        );
    }
    let mut secrets = BTreeMap::new();
    for (variable, source, what) in [
        (
            CAPTCHA_SECRET_ARN,
            "LATCHKEY_CAPTCHA_SECRET",
            "captcha's private key",
        ),
        (
            ACCESS_TOKEN_KEY_ARN,
            ACCESS_TOKEN_KEY,
            "private key in PEM that signs access tokens",
        ),
    ] {
        let Some(arn) = env.get(variable).filter(|value| is_set(value)) else {
            continue;
        };
        let secret = given(source).ok_or_else(|| {
            Error::new(format!(
                "{variable} is set, but the development stack cannot read secrets of AWS."
            ))
            .advice(format!("Set {source} to the {what}."))
        })?;
        secrets.insert(arn.clone(), secret);
    }
    Ok(secrets)
}

impl Secrets {
    /// Reads the secrets in the data folder and generates those that are missing. `wanted` are the
    /// template's secrets, `given` the operator's.
    pub fn open(
        wanted: &[Secret],
        given: BTreeMap<String, String>,
        data: Arc<Data>,
    ) -> Result<Self, Error> {
        let mut secrets: BTreeMap<String, Versions> = match data.read(FILE)? {
            Some(kept) => serde_json::from_slice(&kept).map_err(|error| {
                Error::new(format!("{FILE} in the data folder is damaged: {error}")).advice(
                    "Delete the file to generate new secrets. All users must then sign in again, and those with a second factor need an operator: users disable-otp.",
                )
            })?,
            None => BTreeMap::new(),
        };
        for secret in wanted {
            if !secrets.contains_key(&secret.name) {
                let versions = Versions {
                    current: generate(&secret.generate)?,
                    previous: None,
                    created_at: None,
                };
                secrets.insert(secret.name.clone(), versions);
            }
        }
        keep(&secrets, &data)?;
        let given = given.into_iter().map(|(name, current)| {
            let versions = Versions {
                current,
                previous: None,
                created_at: None,
            };
            (name, versions)
        });
        let given = given.collect();
        Ok(Self {
            generated: Mutex::new(secrets),
            given: Mutex::new(given),
            data,
        })
    }

    /// Handles a call of the AWS JSON 1.1 protocol.
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
                "The development stack supports only GetSecretValue and PutSecretValue.",
            ),
        }
    }

    /// The action and resource of a call, as IAM evaluates them.
    fn access(headers: &HeaderMap, body: &[u8]) -> Access {
        let target = headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let call: Json = serde_json::from_slice(body).unwrap_or_default();
        let secret_id = call["SecretId"].as_str().unwrap_or_default();
        Access {
            action: format!("secretsmanager:{operation}"),
            resource: secret_arn(secret_id),
            context: Context::new(),
        }
    }

    fn get(&self, body: &[u8]) -> Response {
        let Ok(request) = serde_json::from_slice::<GetSecretValue>(body) else {
            return refusal(
                "SerializationException",
                "The request body is not a supported GetSecretValue request.",
            );
        };
        let secret_id = request.secret_id.as_str();
        let generated = ambient::lock(&self.generated);
        let given = ambient::lock(&self.given);
        let mut secrets = generated.iter().chain(given.iter());
        let found = secrets.find(|(name, _)| secret_id == **name || secret_id == secret_arn(name));
        let Some((name, versions)) = found else {
            return refusal(
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            );
        };
        let value = match request.version_stage.as_str() {
            "AWSCURRENT" => Some(&versions.current),
            "AWSPREVIOUS" => versions.previous.as_ref(),
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
                    "CreatedDate": versions.created_at,
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

    /// Puts a new version, which becomes the current one; the current one becomes the previous one.
    fn put(&self, body: &[u8]) -> Response {
        let Ok(PutSecretValue {
            secret_id,
            secret_string,
            client_request_token,
        }) = serde_json::from_slice(body)
        else {
            return refusal(
                "SerializationException",
                "The request body is not a supported PutSecretValue request.",
            );
        };
        let mut generated = ambient::lock(&self.generated);
        let mut given = ambient::lock(&self.given);
        let mut changed = generated.clone();
        let mut secrets = changed.iter_mut().chain(given.iter_mut());
        let found = secrets.find(|(name, _)| secret_id == **name || secret_id == secret_arn(name));
        let Some((name, versions)) = found else {
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

/// A random password or, with a template, the template's JSON object with the password.
fn generate(wish: &GenerateSecretString) -> Result<String, Error> {
    let password = password(wish)?;
    let (Some(template), Some(key)) = (&wish.secret_string_template, &wish.generate_string_key)
    else {
        return Ok(password);
    };
    let mut secret: Json =
        serde_json::from_str(template).map_err(|error| Error::new(error.to_string()))?;
    secret[key.as_str()] = json!(password);
    Ok(secret.to_string())
}

fn password(wish: &GenerateSecretString) -> Result<String, Error> {
    let mut alphabet = LETTERS.to_vec();
    if !wish.exclude_punctuation {
        alphabet.extend(PUNCTUATION);
    }
    let mut secret = String::new();
    while secret.len() < wish.password_length {
        let [byte] = ambient::random()?;
        // Values outside the alphabet are rejected; a remainder would favour some characters.
        if let Some(character) = alphabet.get(usize::from(byte & 0x7f)) {
            secret.push(char::from(*character));
        }
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(template: Option<&str>, key: Option<&str>) -> String {
        generate(&GenerateSecretString {
            password_length: 64,
            exclude_punctuation: true,
            secret_string_template: template.map(str::to_owned),
            generate_string_key: key.map(str::to_owned),
        })
        .unwrap()
    }

    #[test]
    fn a_secret_without_a_template_is_a_password() {
        let secret = generated(None, None);
        assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(secret, generated(None, None));
    }

    #[test]
    fn a_template_is_completed_with_the_password() {
        let secret = generated(Some(r#"{"current": "1"}"#), Some("1"));
        let secret: BTreeMap<String, String> = serde_json::from_str(&secret).unwrap();
        assert_eq!(secret.keys().collect::<Vec<_>>(), ["1", "current"]);
        assert_eq!((secret["current"].as_str(), secret["1"].len()), ("1", 64));
    }
}

//! Policies of functions: inline documents and SAM policy templates.

use super::{
    entries,
    intrinsics::{Resolver, secret_arn, text},
};
use crate::Error;
use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;

/// A statement with the effect `Allow`. `Deny` is not supported, because the template does not use
/// it.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Such as `dynamodb:GetItem`; `*` and `?` are wildcards.
    pub actions: Vec<String>,
    pub resources: Vec<Resource>,
    /// All conditions must hold.
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The logical id if the template refers to a resource, otherwise the last part of the ARN.
    pub name: String,
    /// `*` and `?` are wildcards.
    pub arn: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub operator: Operator,
    /// Such as `dynamodb:LeadingKeys`.
    pub key: String,
    pub values: Vec<String>,
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    StringEquals,
    /// Also holds if the request does not have the key.
    StringEqualsIfExists,
    StringLike,
    /// Also holds if the request does not have the key.
    ForAllValuesStringEquals,
    /// Also holds if the request does not have the key.
    ForAllValuesStringLike,
}

/// The supported condition keys. `kms:ViaService` is accepted but never matches, because the stack
/// makes no calls to KMS.
const CONDITION_KEYS: [&str; 5] = [
    "kms:ViaService",
    "dynamodb:Attributes",
    "dynamodb:LeadingKeys",
    "dynamodb:Select",
    "ses:FromAddress",
];

/// Reads the property `Policies` of a function, without entries that a condition removes.
pub fn of_function(
    policies: Option<&Yaml>,
    at: &str,
    resolver: &Resolver,
) -> Result<Vec<Statement>, Error> {
    let Some(policies) = policies else {
        return Ok(Vec::new());
    };
    let policies = policies
        .as_sequence()
        .ok_or_else(|| Error::new(format!("{at}: expected a list")))?;
    let mut statements = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let Some(policy) = resolver.choose(policy, &at)? else {
            continue;
        };
        if policy.get("Statement").is_some() {
            statements.extend(document(policy, &at, resolver)?);
        } else {
            statements.push(policy_template(policy, &at, resolver)?);
        }
    }
    Ok(statements)
}

/// Reads the properties of a managed policy.
pub fn managed(
    (at, properties): (String, &Yaml),
    resolver: &Resolver,
) -> Result<Vec<Statement>, Error> {
    for (key, _) in entries(properties, &at)? {
        if !["Description", "PolicyDocument"].contains(&key) {
            return Err(Error::new(format!("{at}.{key}: not supported")));
        }
    }
    document(
        &properties["PolicyDocument"],
        &format!("{at}.PolicyDocument"),
        resolver,
    )
}

fn document(document: &Yaml, at: &str, resolver: &Resolver) -> Result<Vec<Statement>, Error> {
    for (key, value) in entries(document, at)? {
        match key {
            "Statement" => {}
            "Version" if value.as_str() == Some("2012-10-17") => {}
            _ => return Err(Error::new(format!("{at}.{key}: not supported"))),
        }
    }
    let statements = document["Statement"].as_sequence();
    let statements =
        statements.ok_or_else(|| Error::new(format!("{at}.Statement: expected a list")))?;
    statements
        .iter()
        .enumerate()
        .map(|(index, value)| statement(value, &format!("{at}.Statement[{index}]"), resolver))
        .collect()
}

/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-templates.html>
fn policy_template(policy: &Yaml, at: &str, resolver: &Resolver) -> Result<Statement, Error> {
    match entries(policy, at)?.as_slice() {
        [("AWSSecretsManagerGetSecretValuePolicy", arguments)] => {
            match entries(arguments, at)?.as_slice() {
                [("SecretArn", arn)] => {
                    let Resource { name, arn } = resource(arn, at, resolver)?;
                    Ok(Statement {
                        actions: vec!["secretsmanager:GetSecretValue".to_owned()],
                        // The development stack accepts the name of a secret instead of its ARN.
                        resources: vec![Resource {
                            name,
                            arn: secret_arn(&arn),
                        }],
                        conditions: Vec::new(),
                    })
                }
                _ => Err(Error::new(format!("{at}: expected only SecretArn"))),
            }
        }
        _ => Err(Error::new(format!(
            "{at}: expected a policy document or AWSSecretsManagerGetSecretValuePolicy"
        ))),
    }
}

fn statement(statement: &Yaml, at: &str, resolver: &Resolver) -> Result<Statement, Error> {
    let mut actions = Vec::new();
    let mut resources = Vec::new();
    let mut conditions = Vec::new();
    for (key, value) in entries(statement, at)? {
        let at = format!("{at}.{key}");
        match key {
            "Sid" => {}
            "Effect" if value.as_str() == Some("Allow") => {}
            "Action" => actions = texts(value, &at, resolver)?,
            "Resource" => {
                resources = list(value)
                    .map(|value| resource(value, &at, resolver))
                    .collect::<Result<_, _>>()?;
            }
            "Condition" => conditions = self::conditions(value, &at, resolver)?,
            _ => return Err(Error::new(format!("{at}: not supported"))),
        }
    }
    if actions.is_empty() || resources.is_empty() {
        return Err(Error::new(format!(
            "{at}: Action and Resource are required"
        )));
    }
    Ok(Statement {
        actions,
        resources,
        conditions,
    })
}

fn conditions(value: &Yaml, at: &str, resolver: &Resolver) -> Result<Vec<Condition>, Error> {
    let mut conditions = Vec::new();
    for (operator, keys) in entries(value, at)? {
        let at = format!("{at}.{operator}");
        let operator = match operator {
            "StringEquals" => Operator::StringEquals,
            "StringEqualsIfExists" => Operator::StringEqualsIfExists,
            "StringLike" => Operator::StringLike,
            "ForAllValues:StringEquals" => Operator::ForAllValuesStringEquals,
            "ForAllValues:StringLike" => Operator::ForAllValuesStringLike,
            _ => return Err(Error::new(format!("{at}: not supported"))),
        };
        for (key, values) in entries(keys, &at)? {
            if !CONDITION_KEYS.contains(&key) {
                return Err(Error::new(format!("{at}.{key}: not supported")));
            }
            let values = texts(values, &format!("{at}.{key}"), resolver)?;
            conditions.push(Condition {
                operator,
                key: key.to_owned(),
                values,
            });
        }
    }
    Ok(conditions)
}

fn resource(value: &Yaml, at: &str, resolver: &Resolver) -> Result<Resource, Error> {
    let arn = scalar(&resolver.resolve(value, at)?, at)?;
    let name = match value {
        Yaml::Tagged(tagged) if tagged.tag == "Ref" => tagged.value.as_str(),
        Yaml::Tagged(tagged) if tagged.tag == "GetAtt" => tagged
            .value
            .as_str()
            .and_then(|name| name.strip_suffix(".Arn")),
        _ => arn.rsplit(':').next(),
    };
    Ok(Resource {
        name: name.unwrap_or(&arn).to_owned(),
        arn,
    })
}

fn texts(value: &Yaml, at: &str, resolver: &Resolver) -> Result<Vec<String>, Error> {
    list(value)
        .map(|value| scalar(&resolver.resolve(value, at)?, at))
        .collect()
}

fn scalar(value: &Json, at: &str) -> Result<String, Error> {
    text(value).ok_or_else(|| Error::new(format!("{at}: expected a string")))
}

/// The elements of a list, or a single value that stands for a list of one.
fn list(value: &Yaml) -> std::slice::Iter<'_, Yaml> {
    value
        .as_sequence()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
        .iter()
}

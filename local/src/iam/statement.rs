//! Evaluates the statements of policies.

use super::{Access, Context};
use crate::template::{Condition, Operator, Statement};
use std::collections::BTreeSet;

/// The grants of the first statement that allows the access; `None` if no statement allows it.
///
/// A grant is the smallest part of a statement that could be removed: an action on a resource, and
/// each condition value that matched.
pub fn allowing(statements: &[Statement], access: &Access) -> Option<BTreeSet<String>> {
    statements
        .iter()
        .find_map(|statement| allows(statement, access))
}

fn allows(statement: &Statement, access: &Access) -> Option<BTreeSet<String>> {
    let action = statement
        .actions
        .iter()
        .find(|action| matches(action, &access.action))?;
    let resource = statement
        .resources
        .iter()
        .find(|resource| matches(&resource.arn, &access.resource))?;
    let mut grants = BTreeSet::from([grant(action, &resource.name)]);
    for condition in &statement.conditions {
        let values = holding(condition, &access.context)?;
        grants.extend(
            values
                .into_iter()
                .map(|value| narrowed(&grant(action, &resource.name), condition, value)),
        );
    }
    Some(grants)
}

/// All grants of the statements, with the names that [`allowing`] returns.
pub fn all_grants(statements: &[Statement]) -> BTreeSet<String> {
    let mut grants = BTreeSet::new();
    for statement in statements {
        for (action, resource) in statement
            .actions
            .iter()
            .flat_map(|a| statement.resources.iter().map(move |r| (a, r)))
        {
            let whole = grant(action, &resource.name);
            for condition in statement
                .conditions
                .iter()
                .filter(|condition| condition.key == "dynamodb:LeadingKeys")
            {
                grants.extend(
                    condition
                        .values
                        .iter()
                        .map(|value| narrowed(&whole, condition, value)),
                );
            }
            grants.insert(whole);
        }
    }
    grants
}

fn grant(action: &str, resource: &str) -> String {
    format!("{action} on {resource}")
}

fn narrowed(grant: &str, condition: &Condition, value: &str) -> String {
    format!("{grant} if {} is {value}", condition.key)
}

/// The values of a condition that match the request; `None` if the condition does not hold.
fn holding<'a>(condition: &'a Condition, context: &Context) -> Option<BTreeSet<&'a str>> {
    let no_values = BTreeSet::new();
    let requested = context.get(condition.key.as_str()).unwrap_or(&no_values);
    let fits = |pattern: &str, value: &str| match condition.operator {
        Operator::StringEquals
        | Operator::StringEqualsIfExists
        | Operator::ForAllValuesStringEquals => pattern == value,
        Operator::StringLike | Operator::ForAllValuesStringLike => matches(pattern, value),
    };
    let single = matches!(
        condition.operator,
        Operator::StringEquals | Operator::StringLike
    );
    if single && requested.len() != 1 {
        return None;
    }
    let pattern_of = |value: &String| {
        condition
            .values
            .iter()
            .map(String::as_str)
            .find(|pattern| fits(pattern, value))
    };
    requested.iter().map(pattern_of).collect()
}

/// Whether the text matches a pattern in which `*` stands for any text and `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| matches(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut characters = text.chars();
            characters
                .next()
                .is_some_and(|found| wanted == '?' || wanted == found)
                && matches(rest.as_str(), characters.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Resource;

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Users";

    fn statement(conditions: Vec<Condition>) -> Statement {
        Statement {
            actions: vec!["dynamodb:GetItem".to_owned(), "dynamodb:PutItem".to_owned()],
            resources: vec![Resource {
                name: "Users".to_owned(),
                arn: TABLE.to_owned(),
            }],
            conditions,
        }
    }

    fn access(action: &str, resource: &str, key: &'static str, values: &[&str]) -> Access {
        let values: BTreeSet<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let context = if values.is_empty() {
            Context::new()
        } else {
            Context::from([(key, values)])
        };
        Access {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        }
    }

    fn condition(operator: Operator, key: &str, values: &[&str]) -> Condition {
        Condition {
            operator,
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn another_action_or_resource_is_not_allowed() {
        let statements = [statement(Vec::new())];
        let allowed =
            |action, resource| allowing(&statements, &access(action, resource, "", &[])).is_some();
        assert!(allowed("dynamodb:GetItem", TABLE));
        assert!(!allowed("dynamodb:Scan", TABLE));
        assert!(!allowed(
            "dynamodb:GetItem",
            "arn:aws:dynamodb:us-east-1:000000000000:table/UsersOther"
        ));
        assert!(!allowed(
            "dynamodb:GetItem",
            "arn:aws:dynamodb:us-east-1:000000000000:table/User"
        ));
    }

    #[test]
    fn all_leading_keys_must_match_and_each_matching_pattern_is_a_grant() {
        let keys = condition(
            Operator::ForAllValuesStringLike,
            "dynamodb:LeadingKeys",
            &["USER#*", "UID#*"],
        );
        let statements = [statement(vec![keys])];
        let grants = |values: &[&str]| {
            allowing(
                &statements,
                &access("dynamodb:GetItem", TABLE, "dynamodb:LeadingKeys", values),
            )
        };
        let whole = "dynamodb:GetItem on Users".to_owned();
        let narrowed = |pattern: &str| format!("{whole} if dynamodb:LeadingKeys is {pattern}");
        assert_eq!(
            grants(&["USER#a", "USER#b"]),
            Some([whole.clone(), narrowed("USER#*")].into())
        );
        assert_eq!(
            grants(&["USER#a", "UID#b"]),
            Some([whole.clone(), narrowed("USER#*"), narrowed("UID#*")].into())
        );
        assert_eq!(grants(&["USER#a", "KEYS#b"]), None);
        assert_eq!(
            grants(&[]),
            Some([whole].into()),
            "ForAllValues holds for a request without the key, as on AWS"
        );
        assert_eq!(all_grants(&statements).len(), 2 * 3);
    }

    #[test]
    fn a_condition_without_a_set_operator_requires_exactly_one_value() {
        let sender = condition(
            Operator::StringEquals,
            "ses:FromAddress",
            &["noreply@example.com"],
        );
        let statements = [statement(vec![sender])];
        let allowed = |values: &[&str]| {
            allowing(
                &statements,
                &access("dynamodb:GetItem", TABLE, "ses:FromAddress", values),
            )
            .is_some()
        };
        assert!(allowed(&["noreply@example.com"]));
        assert!(!allowed(&["someone@example.com"]) && !allowed(&[]));
    }

    #[test]
    fn wildcards_match_as_in_iam() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("dynamodb:*", "dynamodb:GetItem", true),
            ("dynamodb:Get*Item", "dynamodb:BatchGetItem", false),
            ("identity/*", "identity/ö@example.com", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}

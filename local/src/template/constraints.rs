//! The constraints of parameters, which CloudFormation checks before a deployment.

use super::{entries, intrinsics::text};
use crate::Error;
use fancy_regex::Regex;
use serde_yaml_ng::Value as Yaml;

/// The members that a parameter may have.
const MEMBERS: [&str; 10] = [
    "Type",
    "Default",
    "Description",
    "ConstraintDescription",
    "AllowedPattern",
    "AllowedValues",
    "MinLength",
    "MaxLength",
    "MinValue",
    "MaxValue",
];

/// A value for a parameter.
pub struct GivenValue {
    /// The variable or option that sets the value.
    pub source: String,
    pub parameter: String,
    pub value: String,
}

/// Checks values by the constraints of their parameters. Values for parameters that the template
/// does not declare are not checked.
pub fn check(document: &Yaml, given: &[GivenValue]) -> Result<(), Error> {
    let Some(parameters) = document.get("Parameters") else {
        return Ok(());
    };
    for GivenValue {
        source,
        parameter: name,
        value,
    } in given
    {
        let Some(parameter) = parameters.get(name.as_str()) else {
            continue;
        };
        if !satisfies(name, parameter, value)? {
            return Err(Error::new(format!(
                "{source}: {value:?} is not valid. The parameter {name} of the template requires: {}.",
                requirement(parameter)
            ))
            .advice("Correct the value, or leave it out."));
        }
    }
    Ok(())
}

/// Whether the value satisfies every constraint of the parameter. `Err` if a constraint is not
/// supported.
fn satisfies(name: &str, parameter: &Yaml, value: &str) -> Result<bool, Error> {
    let at = format!("Parameters.{name}");
    let mut is_valid = match parameter["Type"].as_str() {
        Some("Number") => serde_json::from_str::<serde_json::Number>(value).is_ok(),
        _ => true,
    };
    for (member, constraint) in entries(parameter, &at)? {
        let malformed = || Error::new(format!("{at}.{member}: unsupported value"));
        let limit = || constraint.as_f64().ok_or_else(malformed);
        let length = || {
            u32::try_from(value.chars().count())
                .map(f64::from)
                .map_err(|_| malformed())
        };
        let number = || value.parse::<f64>().unwrap_or(f64::NAN);
        is_valid &= match member {
            "AllowedPattern" => {
                let pattern = constraint.as_str().ok_or_else(malformed)?;
                // The whole value must match.
                Regex::new(&format!(r"\A(?:{pattern})\z"))
                    .and_then(|pattern| pattern.is_match(value))
                    .map_err(|error| Error::new(format!("{at}.{member}: {error}")))?
            }
            "AllowedValues" => allowed(constraint)
                .ok_or_else(malformed)?
                .iter()
                .any(|allowed| allowed == value),
            "MinLength" => length()? >= limit()?,
            "MaxLength" => length()? <= limit()?,
            "MinValue" => number() >= limit()?,
            "MaxValue" => number() <= limit()?,
            known if MEMBERS.contains(&known) => true,
            _ => return Err(Error::new(format!("{at}.{member}: not supported"))),
        };
    }
    Ok(is_valid)
}

fn allowed(constraint: &Yaml) -> Option<Vec<String>> {
    let values = constraint.as_sequence()?.iter();
    values
        .map(|value| text(&serde_json::to_value(value).ok()?))
        .collect()
}

/// The constraints in words.
fn requirement(parameter: &Yaml) -> String {
    if let Some(description) = parameter["ConstraintDescription"].as_str() {
        return description.to_owned();
    }
    if let Some(values) = allowed(&parameter["AllowedValues"]) {
        return format!("one of {}", values.join(", "));
    }
    match parameter["Type"].as_str() {
        Some("Number") => "a number within its limits".to_owned(),
        _ => "a text within its limits".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &str = r"
Parameters:
  Pattern: { Type: String, AllowedPattern: 'a+|b', ConstraintDescription: some a or one b }
  Values: { Type: Number, AllowedValues: [1, 3], Default: 1 }
  Length: { Type: String, MinLength: 2, MaxLength: 3 }
  Range: { Type: Number, MinValue: 5, MaxValue: 10, ConstraintDescription: 5 to 10 }
  Free: { Type: String }
  Unknown: { Type: String, AllowedLetters: a }
";

    fn checked(parameter: &str, value: &str) -> Result<(), String> {
        let document: Yaml = serde_yaml_ng::from_str(PARAMETERS).unwrap();
        let given = GivenValue {
            source: "IDENTITY_X".to_owned(),
            parameter: parameter.to_owned(),
            value: value.to_owned(),
        };
        check(&document, &[given]).map_err(|error| error.to_string())
    }

    #[test]
    fn each_constraint_is_checked() {
        for (parameter, valid, invalid) in [
            (
                "Pattern",
                &["a", "aaa", "b"][..],
                &["", "ab", "bb", "xa", "a\n"][..],
            ),
            ("Values", &["1", "3"], &["", "2", "1.0", "13"]),
            ("Length", &["ab", "abc", "äöü"], &["", "a", "abcd", "äöüß"]),
            (
                "Range",
                &["5", "10", "7.5"],
                &["", "4", "11", "4.9", "-7", "six", "NaN", "inf"],
            ),
            ("Free", &["", "anything"], &[]),
            ("NotDeclared", &["anything"], &[]),
        ] {
            for value in valid {
                assert_eq!(checked(parameter, value), Ok(()), "{parameter} {value:?}");
            }
            for value in invalid {
                assert!(checked(parameter, value).is_err(), "{parameter} {value:?}");
            }
        }
    }

    #[test]
    fn the_error_names_the_source_the_value_and_the_requirement() {
        for (parameter, value, requirement) in [
            ("Pattern", "c", "some a or one b."),
            ("Values", "2", "one of 1, 3."),
            ("Range", "soon", "5 to 10."),
        ] {
            let error = checked(parameter, value).unwrap_err();
            for part in ["IDENTITY_X: ", &format!("{value:?}"), requirement] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn an_unknown_constraint_is_rejected() {
        let error = checked("Unknown", "a").unwrap_err();
        assert!(
            error.contains("Parameters.Unknown.AllowedLetters"),
            "{error}"
        );
    }
}

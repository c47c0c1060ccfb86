//! Attributes in the expressions of DynamoDB calls.

use serde_json::Value as Json;
use std::collections::BTreeSet;

const EXPRESSIONS: [&str; 5] = [
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
];
const KEYWORDS: [&str; 9] = [
    "ADD", "AND", "BETWEEN", "DELETE", "IN", "NOT", "OR", "REMOVE", "SET",
];

/// The top-level attributes in all expressions of a call.
pub fn attributes(call: &Json) -> BTreeSet<String> {
    let texts = EXPRESSIONS.iter().filter_map(|name| call[*name].as_str());
    texts
        .flat_map(tokens)
        .filter_map(|token| attribute(&token, call))
        .collect()
}

/// The value that the key condition requires of an attribute; `None` if it has no such equality.
pub fn equal_to<'a>(name: &str, call: &'a Json) -> Option<&'a Json> {
    let tokens = tokens(call["KeyConditionExpression"].as_str()?);
    let of_three = |three: &[Token]| match three {
        [left, Token::Sign('='), Token::Value(value)]
            if attribute(left, call).as_deref() == Some(name) =>
        {
            Some(value.clone())
        }
        _ => None,
    };
    call["ExpressionAttributeValues"].get(tokens.windows(3).find_map(of_three)?)
}

enum Token {
    /// The first element of a document path, such as `data` in `data.theme[0]`, or its placeholder.
    Attribute(String),
    /// A placeholder with its colon.
    Value(String),
    /// A keyword or a function name.
    Word,
    Sign(char),
}

fn attribute(token: &Token, call: &Json) -> Option<String> {
    let Token::Attribute(name) = token else {
        return None;
    };
    if name.starts_with('#') {
        call["ExpressionAttributeNames"][name]
            .as_str()
            .map(ToOwned::to_owned)
    } else {
        Some(name.clone())
    }
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || "_#:".contains(c);
        let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            tokens.push(Token::Sign(first));
            rest = rest[first.len_utf8()..].trim_start();
            continue;
        }
        let (word, after) = rest.split_at(length);
        let is_function = after.trim_start().starts_with('(');
        tokens.push(if first == ':' {
            Token::Value(word.to_owned())
        } else if KEYWORDS
            .iter()
            .any(|keyword| word.eq_ignore_ascii_case(keyword))
            || is_function
        {
            Token::Word
        } else {
            Token::Attribute(word.to_owned())
        });
        // Skip the rest of a document path, which names no top-level attribute.
        rest = after
            .trim_start_matches(|c: char| is_part(c) || ".[]".contains(c))
            .trim_start();
    }
    tokens
}

//! Every verdict in these tests is that of a browser for the same expression and password.

use super::class::PROPERTIES;
use super::{PasswordRule, RuleError};

const DEFAULT: &str = r"^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[\s\S]{8,80}$";

fn syntax_error(expression: &str) -> (usize, &'static str) {
    match PasswordRule::parse(expression) {
        Err(RuleError::Syntax { at, reason }) => (at, reason),
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn the_default_requires_lower_case_upper_case_and_a_digit() {
    let rule = PasswordRule::parse(DEFAULT).unwrap();
    for password in [
        "Passw0rd",
        "0aA     ",
        "\n\u{2028}😀aA1..",
        &"aA1😀".repeat(20),
    ] {
        assert!(rule.matches(password), "{password}");
    }
    for password in [
        "",
        "Passw0r",
        "passw0rd",
        "PASSW0RD",
        "Password",
        "ПАРОЛЬпароль1",
        "Password٣",
        &format!("{}!", "aA1😀".repeat(20)),
    ] {
        assert!(!rule.matches(password), "{password}");
    }
}

#[test]
fn decides_as_a_browser_does() {
    for (expression, password, verdict) in [
        // A search, unless it is anchored.
        ("b", "abc", true),
        ("^b", "abc", false),
        ("b$", "b\n", false),
        ("^a|b$", "xb", true),
        ("", "", true),
        ("^(?:|a)$", "b", false),
        ("(?=b)b", "ab", true),
        ("(?!a)a|(?=b)", "ab", true),
        ("^(?!.*a)(?=.*b)", "bbc", true),
        ("^(?!.*a)(?=.*b)", "bac", false),
        ("(?=a)^(?!ab)a", "ac", true),
        // Characters are Unicode scalar values.
        ("^.$", "😀", true),
        ("^.{2}$", "😀", false),
        (r"^\uD83D\uDE00$", "😀", true),
        (r"^\u{01F600}\u0041\x41\cJ\0$", "😀AA\n\0", true),
        ("^[😀-😂]$", "😁", true),
        // Line terminators and white space.
        (".", "\n\r\u{2028}\u{2029}", false),
        (".", "\u{85}", true),
        (
            r"^\s{7}$",
            "\u{b}\u{a0}\u{feff}\u{2028}\u{3000}\u{1680}\u{205f}",
            true,
        ),
        (r"\s", "\u{85}\u{200b}\u{180e}", false),
        (r"\S", "\u{feff}", false),
        // Digits, word characters and case are those of ASCII.
        (r"\d", "٣", false),
        (r"\w", "éſ\u{212a}", false),
        (r"^\W$", "\u{212a}", true),
        ("k", "\u{212a}", false),
        ("[s-t]", "ſ", false),
        (r"^\p{Lu}\p{L}\p{Script=Greek}\P{L}$", "Ééπ1", true),
        (r"[^\p{L}\d]", "aé1", false),
        // In a class, only ], \, ^ and - are syntax.
        ("^[[&&a]{4}$", "[&a&", true),
        ("[a&&b]", "a", true),
        ("^[a~~b#]+$", "~#", true),
        (r"^[a\-\]\\\b-]+$", "-]\\\u{8}", true),
        (r"^[\w-]+$", "a-", true),
        ("[]", "a", false),
        ("^[^]$", "\n", true),
        ("[$.(^]", "^", true),
        // Quantifiers, greedy and lazy.
        ("^a{2}$", "aaa", false),
        ("^a{2,}$", "aaa", true),
        ("^a{0}b??c*?$", "cc", true),
        ("^(?<year>[0-9]{4})-(?:a{2}){3}$", "2024-aaaaaa", true),
        ("^( +[a-z]+)*$", " a bc", true),
        ("/\"#", "/\"#", true),
    ] {
        let rule =
            PasswordRule::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(
            rule.matches(password),
            verdict,
            "{expression} on {password:?}"
        );
    }
}

#[test]
fn every_listed_property_is_accepted() {
    for property in PROPERTIES.iter().copied().flatten() {
        let name = if super::class::is_supported_property(property) {
            (*property).to_owned()
        } else {
            format!("Script={property}")
        };
        assert!(
            PasswordRule::parse(&format!(r"^\p{{{name}}}\P{{{name}}}$")).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn an_expression_that_is_not_javascript_is_rejected() {
    for (expression, at) in [
        ("a{", 2),
        ("a{,3}", 2),
        ("a{1,2", 2),
        ("a{3,2}", 2),
        ("a}", 2),
        ("a]", 2),
        ("[a", 1),
        ("(a", 1),
        ("a)", 2),
        ("*a", 1),
        ("a**", 3),
        ("a++", 3),
        ("a{2}{3}", 5),
        ("^*", 2),
        ("$+", 2),
        ("(?=a)*", 6),
        ("[b-a]", 2),
        (r"[a-\d]", 2),
        (r"[\d-a]", 2),
        (r"\", 1),
        (r"a\-", 2),
        (r"\a", 1),
        (r"\A", 1),
        (r"\z", 1),
        (r"\é", 1),
        (r"\pL", 1),
        (r"\p{Foo}", 1),
        (r"\p{lu}", 1),
        (r"\p{L", 1),
        (r"\x4", 1),
        (r"\u00", 1),
        (r"\u{}", 1),
        (r"\u{110000}", 1),
        (r"\c1", 1),
        (r"\01", 1),
        (r"[\B]", 2),
        ("(?<a>b)(?<a>c)", 11),
        ("(?<1>a)", 4),
        ("(?P<a>b)", 1),
        ("(?i)a", 1),
        ("(?>a)", 1),
        ("(?#a)", 1),
    ] {
        assert_eq!(syntax_error(expression).0, at, "{expression}");
    }
}

#[test]
fn unsupported_javascript_is_rejected() {
    for (expression, at, term) in [
        (r"(.)\1", 4, "back-references"),
        (r"(?<a>.)\k<a>", 8, "back-references"),
        (r"\bword", 1, "word boundaries"),
        ("(?<=a)b", 1, "look-behinds"),
        ("(?<!a)b", 1, "look-behinds"),
        ("a(?=b)", 2, "look-ahead"),
        ("(?:(?=a)b)", 4, "look-ahead"),
        ("(?=(?!a)b)", 4, "look-ahead"),
        (r"\uD83D", 1, "surrogate"),
        (r"[\uD83D-\uDE00]", 2, "surrogate"),
        (r"\u{D800}", 1, "surrogate"),
        (r"\p{Script=Runic}", 1, "property"),
        ("a{1025}", 2, "1024"),
        ("a{99999999999,}", 2, "1024"),
    ] {
        let (found_at, reason) = syntax_error(expression);
        assert!(
            found_at == at && reason.contains(term),
            "{expression}: at {found_at}: {reason}"
        );
    }
    assert!(
        syntax_error(&format!("{}{}", "(".repeat(33), ")".repeat(33)))
            .1
            .contains("deep")
    );
    assert!(PasswordRule::parse(&format!("{}{}", "(".repeat(32), ")".repeat(32))).is_ok());
}

#[test]
fn an_expression_that_could_take_exponential_time_is_rejected() {
    for (expression, at) in [
        ("(a+)+$", 1),
        ("^(a*)*$", 2),
        ("(a|a)*$", 1),
        ("(a|aa)+$", 1),
        ("^(a|b|ab)*$", 2),
        (r"^(\w+\s?)*$", 2),
        ("(x+x+)+y", 1),
        ("^(?=(a+)+$).{8,}$", 5),
        ("^(?!(a|a?)+$)", 5),
        ("(.*)*", 1),
        ("^(a?){30}a{30}$", 2),
        ("^(a{129,1024})+$", 2),
        ("^(?:|){30}$", 2),
        ("^(?:$|$){30}a", 2),
        (r"^(\p{L}+\p{N}+)*$", 2),
        ("^a*a*a*a*a*$", 2),
    ] {
        assert_eq!(
            PasswordRule::parse(expression).err(),
            Some(RuleError::Ambiguous { at }),
            "{expression}"
        );
    }
}

#[test]
fn common_password_rules_are_accepted() {
    for expression in [
        r"^(?=.*?[A-Z])(?=.*?[a-z])(?=.*?[0-9])(?=.*?[#?!@$ %^&*-]).{8,}$",
        r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^\w\s]).{10,}",
        r"^(?=.*[A-Z].*[A-Z])(?=.*[!@#$&*])(?=.*[0-9].*[0-9])(?=.*[a-z].*[a-z].*[a-z]).{8}$",
        r"^(?=(.*\d){3})(?=(?:[^A-Z]*[A-Z]){5})\S{8,}$",
        r"^(?!.*\s)(?!.*(?:password|qwerty|admin)).{8,1024}$",
        "^[a-z]+(?: [a-z]+){3,9}$",
        "^(?:[A-Za-z]+[0-9]+)+$",
        r"^[\p{L}\p{N}\p{P}\p{S}]{8,80}$",
    ] {
        assert_eq!(PasswordRule::parse(expression).err(), None, "{expression}");
    }
}

#[test]
fn an_expression_that_is_too_large_is_rejected() {
    assert_eq!(
        PasswordRule::parse(&"a".repeat(1025)).err(),
        Some(RuleError::TooLong)
    );
    assert!(PasswordRule::parse(&"é".repeat(1024)).is_ok());
    assert_eq!(
        PasswordRule::parse("((.{1024}){1024}){1024}").err(),
        Some(RuleError::TooLarge)
    );
    assert_eq!(
        PasswordRule::parse(r"^\p{L}{8,1024}$").err(),
        Some(RuleError::TooLarge)
    );
}

#[test]
fn an_error_states_the_position_the_reason_and_the_correction() {
    let message = |expression| PasswordRule::parse(expression).unwrap_err().to_string();
    assert_eq!(
        message("^a**"),
        "at character 4: there is nothing to repeat before this quantifier; escape it with a backslash to match it literally"
    );
    assert!(
        message("^(a+)+$")
            .starts_with("at character 2: this part can match the same text in so many ways")
    );
}

/// A search can begin at each of 1025 positions, and backtracks a few times at each. Backtracking
/// within a part would take at least the square of that, exceed the limit, and make `is_match`
/// return an error.
#[test]
fn time_is_linear_in_the_length_of_the_password() {
    for expression in [
        DEFAULT,
        r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^\w\s]).{10,}",
        "^.*.*.*a$",
        r"(?!.*b)[^]*?a|(?=\d*$).*c|.*[ab]*!$",
        "(?:[^a]*a){3}$",
        "^(?:[a-z]+ )*[A-Z]$",
    ] {
        let rule = PasswordRule::with_backtracks(expression, 8 * 1025).unwrap();
        for unit in ["a", "aA1", "1", "a ", "!", "😀", "\n", "b"] {
            let password: String = unit.chars().cycle().take(1023).collect();
            for password in [format!("{password}!"), format!("!{password}")] {
                assert!(
                    rule.compiled.is_match(&password).is_ok(),
                    "{expression} on {unit}"
                );
            }
        }
    }
}

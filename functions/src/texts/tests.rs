//! Rules that hold for the texts of every language.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

/// The texts of a language by path, such as `mails/otp_enabled/lead`.
fn texts(language: Language) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let roots = [
        ("mails", serde_json::to_value(mails(language))),
        ("pages", serde_json::to_value(pages(language))),
    ];
    for (path, root) in roots {
        collect(path, root.expect("JSON"), &mut all);
    }
    all
}

fn collect(path: &str, value: Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            all.insert(path.to_owned(), text);
        }
        Value::Object(members) => {
            for (name, member) in members {
                collect(&format!("{path}/{name}"), member, all);
            }
        }
        other => panic!("{path}: {other}"),
    }
}

/// Runs a check of every text: language, path, text.
fn every_text(check: impl Fn(Language, &str, &str)) {
    for language in Language::ALL {
        let all = texts(language);
        assert!(all.len() > 150, "{language:?}: {}", all.len());
        for (path, text) in all {
            check(language, &path, &text);
        }
    }
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .map(|rest| rest.split_once('}').expect("a closing brace").0)
        .collect()
}

/// The text with `x` for each placeholder.
fn filled(text: &str) -> String {
    ["app", "email", "life", "when"]
        .iter()
        .fold(text.to_owned(), |text, name| {
            text.replace(&format!("{{{name}}}"), "x")
        })
}

#[test]
fn every_text_is_one_line_without_surplus_spaces() {
    every_text(|language, path, text| {
        let is_tidy = !text.is_empty()
            && text.trim() == text
            && !text.contains("  ")
            && !text.contains(char::is_control);
        assert!(is_tidy, "{language:?} {path}: {text:?}");
    });
}

/// The texts that name the address to confirm.
const NAMES_ADDRESS: [&str; 2] = ["mails/confirmation/lead", "mails/email_change/lead"];

#[test]
fn a_text_has_the_placeholders_that_its_place_fills() {
    let english = texts(Language::En);
    every_text(|language, path, text| {
        let name = path.rsplit('/').next().expect("a name");
        let allowed: &[&str] = match (path.starts_with("mails/"), name) {
            (true, "life" | "life_preheader") => &["life"],
            (true, "lead") if NAMES_ADDRESS.contains(&path) => &["app", "email"],
            (true, "subject" | "preheader" | "heading" | "lead" | "consequence" | "note") => {
                &["app"]
            }
            (false, "request.too_many_attempts") => &["when"],
            _ => &[],
        };
        let found = placeholders(text);
        assert!(
            found.iter().all(|name| allowed.contains(name)),
            "{language:?} {path}: {text}"
        );
        assert_eq!(
            found,
            placeholders(&english[path]),
            "{language:?} {path}: {text}"
        );
        if NAMES_ADDRESS.contains(&path) {
            assert!(found.contains("email"), "{language:?} {path}: {text}");
        }
        if path.ends_with("/subject") {
            assert!(found.contains("app"), "{language:?} {path}: {text}");
        }
        assert!(
            !filled(text).contains(['{', '}']),
            "{language:?} {path}: {text}"
        );
    });
}

/// Words that are the same in English.
const SAME_AS_ENGLISH: [(Language, &str); 5] = [
    (Language::Fr, "pages/code"),
    (Language::De, "pages/code"),
    (Language::De, "mails/support"),
    (Language::De, "pages/passkeys"),
    (Language::De, "pages/script/passkey"),
];

#[test]
fn every_text_is_translated() {
    let english = texts(Language::En);
    let mut same = BTreeSet::new();
    for language in Language::ALL {
        if language != Language::En {
            for (path, text) in texts(language) {
                if english[&path] == text {
                    same.insert((language.as_str(), path));
                }
            }
        }
    }
    let expected = SAME_AS_ENGLISH.map(|(language, path)| (language.as_str(), path.to_owned()));
    assert_eq!(same, BTreeSet::from(expected));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list of names for each language")]
fn a_thing_has_one_name_in_mails_and_pages() {
    // The second factor, recovery codes, the authenticator and passkeys, without inflected endings.
    let names = |language| match language {
        Language::En => [
            "two-factor authentication",
            "recovery code",
            "authenticator app",
            "passkey",
        ],
        Language::Ru => ["двухфакторн", "резервн", "аутентификатор", "доступа"],
        Language::Uk => ["двофакторн", "резервн", "автентифікатор", "доступу"],
        Language::Es => [
            "verificación en dos pasos",
            "de recuperación",
            "aplicación de autenticación",
            "de acceso",
        ],
        Language::Fr => [
            "double authentification",
            "de secours",
            "application d’authentification",
            "d’accès",
        ],
        Language::De => [
            "zwei-faktor-authentifizierung",
            "wiederherstellungscode",
            "authenticator-app",
            "passkey",
        ],
        Language::Pt => [
            "verificação em duas etapas",
            "de recuperação",
            "aplicativo autenticador",
            "de acesso",
        ],
        Language::Zh => ["双重验证", "恢复代码", "身份验证器应用", "通行密钥"],
    };
    let places: [&[&str]; 4] = [
        &[
            "mails/otp_enabled/subject",
            "mails/otp_enabled/heading",
            "mails/otp_enabled/lead",
            "mails/otp_disabled/subject",
            "mails/otp_disabled/heading",
            "mails/otp_disabled/lead",
            "mails/password_changed_otp_removed/subject",
            "mails/password_changed_otp_and_passkeys_removed/subject",
            "mails/password_known/consequence",
            "pages/second_factor",
            "pages/script/factor_enabled",
            "pages/script/factor_disabled",
            "pages/script/resource.otp.already_enabled",
            "pages/script/resource.otp.not_enabled",
        ],
        &[
            "mails/otp_enabled/consequence",
            "mails/otp_disabled/consequence",
            "mails/recovery_code_used/subject",
            "mails/recovery_codes_replaced/subject",
            "pages/code_hint",
            "pages/recovery_codes",
            "pages/recovery_intro",
            "pages/recovery_replace",
            "pages/script/recovery_replaced",
        ],
        &[
            "mails/otp_enabled/preheader",
            "mails/otp_enabled/consequence",
            "pages/code_hint",
            "pages/factor_scan",
            "pages/recovery_replace_intro",
            "pages/script/identity.session.missing_otp",
            "pages/script/next_code",
        ],
        &[
            "mails/passkey_added/subject",
            "mails/passkey_removed/subject",
            "mails/passkey_clone_suspected/subject",
            "mails/passkey_clone_suspected/lead",
            "mails/password_changed_passkeys_removed/subject",
            "mails/password_changed_otp_and_passkeys_removed/subject",
            "pages/passkeys",
            "pages/passkeys_intro",
            "pages/passkey_sign_in",
            "pages/passkey_add",
            "pages/step_up_passkey",
            "pages/script/passkey_added",
            "pages/script/passkey_removed",
            "pages/script/passkey_refused",
            "pages/script/passkey_exists",
        ],
    ];
    for language in Language::ALL {
        let all = texts(language);
        for (name, places) in names(language).into_iter().zip(places) {
            for path in places {
                assert!(
                    all[*path].to_lowercase().contains(name),
                    "{language:?} {path}: {}",
                    all[*path]
                );
            }
        }
    }
}

#[test]
fn other_names_of_a_thing_are_not_used() {
    every_text(|language, path, text| {
        let other_names: &[&str] = match language {
            Language::En => &["second factor", "e-mail", "at once"],
            Language::Ru => &["фактор ", "восстановлени", "капч"],
            Language::Uk => &["фактор ", "відновленн", "капч", "запросіть"],
            Language::Es => &["segundo factor", "captcha"],
            Language::Fr => &["second facteur", "récupération", "captcha", "connecté "],
            Language::De => &["zweite", "captcha", "benutzt"],
            Language::Pt => &["segundo fator", "já não", "algarismos", "captcha"],
            Language::Zh => &["会话", "封禁"],
        };
        let lower = text.to_lowercase();
        for name in other_names {
            assert!(!lower.contains(name), "{language:?} {path}: {text}");
        }
    });
}

#[test]
fn spanish_addresses_the_reader_as_usted() {
    for (path, text) in texts(Language::Es) {
        let familiar = ["tu", "tus", "tú", "te", "ti", "contigo", "tuya", "tuyo"];
        let found = text
            .to_lowercase()
            .split(|c: char| !c.is_alphabetic())
            .any(|word| familiar.contains(&word));
        assert!(!found, "{path}: {text}");
    }
}

/// Whether a character is ASCII punctuation that Chinese text replaces.
fn is_half_width(c: char) -> bool {
    matches!(c, ',' | '.' | ';' | ':' | '?' | '!' | '(' | ')')
}

#[test]
fn punctuation_follows_the_rules_of_the_language() {
    every_text(|language, path, text| {
        // Askama would also escape straight quotes and these signs in HTML.
        let straight = ['\'', '"', '<', '>', '&'];
        assert!(!text.contains(straight), "{language:?} {path}: {text}");
        assert!(
            !text.contains("...") && !text.contains(" - "),
            "{language:?} {path}: {text}"
        );
        let text = filled(text);
        let chars: Vec<char> = text.chars().collect();
        for (&before, &mark) in chars.iter().zip(&chars[1..]) {
            let is_right = match language {
                Language::Fr if matches!(mark, ':' | ';' | '?' | '!') => before == '\u{a0}',
                Language::Zh => !is_half_width(mark),
                _ if matches!(mark, ':' | ';' | '?' | '!' | ',' | '.') => !before.is_whitespace(),
                _ => true,
            };
            assert!(is_right, "{language:?} {path}: {text}");
        }
        let count = |mark| text.matches(mark).count();
        match language {
            Language::Es => {
                assert_eq!(count('?'), count('¿'), "{path}: {text}");
                assert_eq!(count('!'), count('¡'), "{path}: {text}");
            }
            Language::De => assert_eq!(count('„'), count('“'), "{path}: {text}"),
            Language::Ru | Language::Uk | Language::Fr => {
                assert_eq!(count('«'), count('»'), "{path}: {text}");
                assert!(!text.contains(['“', '”', '„']), "{path}: {text}");
            }
            Language::En | Language::Pt | Language::Zh => {}
        }
    });
}

#[test]
fn a_notice_names_the_reset_page_as_the_page_does() {
    for language in Language::ALL {
        let label = mails(language)
            .reset
            .trim_end_matches([':', '：'])
            .trim_end();
        assert_eq!(label, pages(language).reset);
    }
}

#[test]
fn the_script_and_the_texts_name_the_same_messages() {
    let script = include_str!("../pages/assets/script.js");
    let texts = serde_json::to_value(&pages(Language::En).script).expect("JSON");
    let texts = texts.as_object().expect("an object");
    for part in script.split("texts.").skip(1) {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = &part[..end.unwrap_or(part.len())];
        assert!(texts.contains_key(name), "{name}");
    }
    for name in texts.keys().filter(|name| !name.contains('.')) {
        let is_used =
            script.contains(&format!("texts.{name}")) || script.contains(&format!("\"{name}\""));
        assert!(is_used, "{name}");
    }
}

/// `IDENTITY_SESSION_BINDING` decides whether the network counts, and by default it does not.
#[test]
fn a_mismatch_of_the_client_is_not_explained_by_the_network() {
    let network = |language| match language {
        Language::En => "network",
        Language::Ru => "сет",
        Language::Uk => "мереж",
        Language::Es => " red",
        Language::Fr => "réseau",
        Language::De => "netz",
        Language::Pt => " rede",
        Language::Zh => "网络",
    };
    for language in Language::ALL {
        let text = pages(language).script.authz_client_session_mismatch;
        assert!(
            !text.to_lowercase().contains(network(language)),
            "{language:?}: {text}"
        );
    }
}

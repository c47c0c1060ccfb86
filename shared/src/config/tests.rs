use super::{passwords::DEFAULT_REGEXP, *};
use crate::domain::{
    language::Language,
    session_binding::SessionBinding,
    user::{ClosedLifetime, PendingLifetime},
};

const REQUIRED: [(&str, &str); 6] = [
    ("IDENTITY_DOMAIN", "https://example.com"),
    ("IDENTITY_SENDER_EMAIL", "noreply@example.com"),
    ("IDENTITY_USERS_TABLE", "Users"),
    ("IDENTITY_GRANTS_TABLE", "Grants"),
    (
        "IDENTITY_TOKEN_SECRET",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token",
    ),
    (
        "IDENTITY_DATA_SECRET",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:data",
    ),
];

/// SHA-256 of `secret`.
const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// The required variables and `overrides`, of which an empty one counts as not set.
fn variables(overrides: &[(&str, &str)]) -> Variables {
    let values: Vec<(String, String)> = REQUIRED
        .iter()
        .chain(overrides)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Variables::new(move |name| {
        let last = values.iter().rfind(|(variable, _)| variable == name);
        last.map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    })
}

/// The error of the first section whose reading fails.
fn error(overrides: &[(&str, &str)]) -> Option<ConfigError> {
    let variables = variables(overrides);
    let read = || {
        let application = Application::read(&variables)?;
        Mail::read(&variables, &application)?;
        AccessTokens::read(&variables, &application)?;
        access_token_key(&variables)?;
        Accounts::read(&variables)?;
        pending_lifetime(&variables)?;
        closed_lifetime(&variables)?;
        sign_in_notice(&variables)?;
        Sessions::read(&variables)?;
        trusted_proxies(&variables)?;
        auth_method_is_own(&variables)?;
        browser_origins(&variables)?;
        relying_party(&variables)?;
        cdn_secrets(&variables)?;
        Passwords::read(&variables)?.policy()?;
        argon2(&variables)?;
        imported_hashes(&variables)?;
        limits(&variables)?;
        captcha(&variables)?;
        logo(&variables)?;
        Tables::read(&variables)?;
        token_secret(&variables)?;
        data_secret(&variables)
    };
    read().err()
}

#[test]
fn a_variable_that_is_not_set_has_its_default() {
    let variables = variables(&[]);
    let application = Application::read(&variables).expect("a section");
    assert_eq!(
        (application.name.as_str(), application.default_language),
        ("Latchkey", Language::En)
    );
    assert_eq!(
        Mail::read(&variables, &application)
            .expect("a section")
            .sender
            .name,
        "Latchkey"
    );
    let AccessTokens {
        issuer,
        issuer_url,
        audience,
    } = AccessTokens::read(&variables, &application).expect("a section");
    assert_eq!(
        (issuer.as_str(), audience),
        ("https://example.com", vec!["latchkey".to_owned()])
    );
    assert_eq!(issuer_url, None);
    assert_eq!(access_token_key(&variables).expect("a setting"), None);
    let accounts = Accounts::read(&variables).expect("a section");
    assert_eq!(
        (
            accounts.uid_prefix.as_str(),
            accounts.prevent_user_existence_errors
        ),
        ("ID", false)
    );
    assert_eq!(
        (accounts.code_lifetime, accounts.activity_retention),
        (3600, 90 * 86_400)
    );
    assert_eq!(
        pending_lifetime(&variables).expect("a lifetime"),
        PendingLifetime::days(30)
    );
    assert_eq!(
        closed_lifetime(&variables).expect("a lifetime"),
        ClosedLifetime::days(30)
    );
    let Sessions {
        cookie_name,
        lifetime,
        binding,
        reauthentication_time,
        requests_per_minute,
    } = Sessions::read(&variables).expect("a section");
    assert_eq!(
        (cookie_name.as_str(), lifetime.idle, lifetime.absolute),
        ("_barong_session", 1800, 86_400)
    );
    assert_eq!((reauthentication_time, requests_per_minute), (900, 120));
    assert_eq!(binding, SessionBinding::Agent);
    assert_eq!(
        browser_origins(&variables).expect("origins"),
        ["https://example.com"]
    );
    assert!(!auth_method_is_own(&variables).expect("a setting"));
    assert!(trusted_proxies(&variables).expect("a section").is_empty());
    assert!(cdn_secrets(&variables).expect("secrets").is_empty());
    let passwords = Passwords::read(&variables).expect("a section");
    assert_eq!(passwords.regexp, DEFAULT_REGEXP);
    assert!(
        (passwords.min_entropy - 25.0).abs() < f64::EPSILON
            && passwords.breached_passwords.is_none()
    );
    let argon2 = argon2(&variables).expect("a section");
    assert_eq!(
        (argon2.m_cost(), argon2.t_cost(), argon2.p_cost()),
        (19_456, 2, 1)
    );
    let limits = limits(&variables).expect("a section");
    assert_eq!(
        (limits.sign_in_free_attempts, limits.requests_per_minute),
        (5, 60)
    );
    assert_eq!((limits.mail_interval, limits.mails_per_hour), (60, 5));
    assert!(captcha(&variables).expect("a section").is_none());
}

#[test]
fn a_required_variable_must_be_set() {
    for (variable, _) in REQUIRED {
        assert_eq!(
            error(&[(variable, "")]),
            Some(ConfigError::new(variable, "is not set"))
        );
    }
}

#[test]
fn the_default_name_of_the_sender_is_the_name_of_the_application() {
    let variables = variables(&[("IDENTITY_APP_NAME", "Acme")]);
    let application = Application::read(&variables).expect("a section");
    assert_eq!(
        Mail::read(&variables, &application)
            .expect("a section")
            .sender
            .name,
        "Acme"
    );
}

#[test]
fn an_error_names_the_variable() {
    for (variable, value) in [
        ("IDENTITY_APP_NAME", "two\nlines"),
        ("IDENTITY_APP_NAME", "a:b"),
        ("IDENTITY_DOMAIN", "example.com"),
        ("IDENTITY_DOMAIN", "http://example.com"),
        ("IDENTITY_DOMAIN", "ftp://example.com"),
        ("IDENTITY_DOMAIN", "https://example.com/path"),
        ("IDENTITY_DOMAIN", "https://user@example.com"),
        ("IDENTITY_DOMAIN", "https://"),
        ("IDENTITY_DOMAIN", "http://localhost.example.com"),
        ("IDENTITY_UID_PREFIX", "I"),
        ("IDENTITY_UID_PREFIX", "TOOLONG"),
        ("IDENTITY_UID_PREFIX", "I1"),
        ("IDENTITY_SESSION_NAME", "a b"),
        ("IDENTITY_SESSION_NAME", "a=b"),
        ("IDENTITY_SESSION_EXPIRE_TIME", "0"),
        ("IDENTITY_SESSION_EXPIRE_TIME", "soon"),
        ("IDENTITY_SESSION_MAX_AGE", "-1"),
        ("IDENTITY_SESSION_MAX_AGE", "1799"),
        ("IDENTITY_SESSION_MAX_AGE", "7776001"),
        ("IDENTITY_SESSION_BINDING", "Agent"),
        ("IDENTITY_ALLOWED_ORIGINS", "*"),
        (
            "IDENTITY_ALLOWED_ORIGINS",
            "https://a.example,http://b.example",
        ),
        ("IDENTITY_ALLOWED_ORIGINS", "https://a.example,"),
        ("IDENTITY_PAGES_URL", "https://id.example.com/accounts"),
        ("IDENTITY_SIGN_IN_NOTICE", "true"),
        ("IDENTITY_LOGO_URL", "http://example.com/logo.svg"),
        ("IDENTITY_LOGO_URL", "https://example.com"),
        ("IDENTITY_LOGO_URL", "https:///logo.svg"),
        ("IDENTITY_LOGO_URL", "https://a.example;/logo.svg"),
        ("IDENTITY_LOGO_URL", "https://*.example/logo.svg"),
        ("IDENTITY_LOGO_URL", "https://user@a.example/logo.svg"),
        ("IDENTITY_LOGO_URL", "https://a.example:port/logo.svg"),
        ("IDENTITY_LOGO_URL", "https://a.example/\"onload=\"x"),
        ("IDENTITY_LOGO_URL", "https://a.example/logo.svg#a"),
        ("IDENTITY_CODE_EXPIRE_TIME", "1e3"),
        ("IDENTITY_PENDING_DAYS", "-1"),
        ("IDENTITY_PENDING_DAYS", "3651"),
        ("IDENTITY_DELETED_DAYS", "-1"),
        ("IDENTITY_DELETED_DAYS", "3651"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "NaN"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "65"),
        ("IDENTITY_ARGON2", "m=1"),
        ("IDENTITY_DEFAULT_LANGUAGE", "xx"),
        ("IDENTITY_SENDER_EMAIL", "no-address"),
        ("IDENTITY_SENDER_NAME", "a\r\nBcc: b@c.de"),
        ("IDENTITY_SUPPORT_URL", "support@example.com"),
        ("IDENTITY_PREVENT_USER_EXISTENCE_ERRORS", "yes"),
        ("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "-1"),
        ("IDENTITY_REQUESTS_PER_MINUTE", "many"),
        ("IDENTITY_MAIL_INTERVAL", "3601"),
        ("IDENTITY_MAILS_PER_HOUR", "101"),
        ("IDENTITY_ACTIVITY_DAYS", "0"),
        ("IDENTITY_ACCESS_TOKEN_ISSUER", "a\nb"),
        ("IDENTITY_ACCESS_TOKEN_AUDIENCE", "\t"),
        ("IDENTITY_ACCESS_TOKEN_AUDIENCE", "a\"b"),
        ("IDENTITY_PASSWORD_REGEXP", "^[à-ÿ]{8,}$"),
        ("IDENTITY_PASSWORD_REGEXP", "("),
        ("IDENTITY_PASSWORD_REGEXP", "^(a+)+$"),
        ("IDENTITY_TRUSTED_PROXIES", "203.0.113.0/33"),
        ("IDENTITY_TRUSTED_PROXIES", "nginx"),
        ("IDENTITY_PASSKEY_RP_ID", "https://example.com"),
        ("IDENTITY_PASSKEY_ORIGINS", "http://example.com"),
        ("IDENTITY_CDN_SECRET_SHA256", "secret"),
        ("IDENTITY_CDN_SECRET_SHA256", &HASH[1..]),
        ("IDENTITY_CDN_SECRET_SHA256", &format!("{HASH},")),
        ("IDENTITY_CDN_SECRET_SHA256", &format!("{HASH}, {HASH}")),
        // SHA-256 of the empty text.
        (
            "IDENTITY_CDN_SECRET_SHA256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("IDENTITY_CAPTCHA", "yes"),
        ("IDENTITY_CAPTCHA_ID", "two words"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "two words"),
        ("IDENTITY_CAPTCHA_URL", "http://example.com"),
        (
            "IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS",
            "session_create,user_delete",
        ),
        ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "session_create,"),
        ("IDENTITY_BREACHED_PASSWORDS", "on"),
        ("IDENTITY_BREACHED_PASSWORDS_URL", "example.com"),
    ] {
        assert_eq!(
            error(&[(variable, value)]).map(|error| error.variable),
            Some(variable),
            "{value}"
        );
    }
}

#[test]
fn the_maximum_length_of_a_value_is_in_characters() {
    for (variable, maximum) in MAX_LENGTHS {
        let error = error(&[(variable, &"ü".repeat(maximum + 1))]).expect("an error");
        assert_eq!(
            error,
            ConfigError::new(variable, format!("is longer than {maximum} characters"))
        );
    }
    let name = "ü".repeat(40);
    assert_eq!(
        Application::read(&variables(&[("IDENTITY_APP_NAME", &name)]))
            .expect("a section")
            .name,
        name
    );
}

#[test]
fn sessions_may_last_ninety_days() {
    let sessions = Sessions::read(&variables(&[
        ("IDENTITY_SESSION_EXPIRE_TIME", "7776000"),
        ("IDENTITY_SESSION_MAX_AGE", "7776000"),
    ]));
    assert_eq!(sessions.expect("a section").lifetime.idle, 90 * 86_400);
}

#[test]
fn the_browser_origins_are_the_allowed_ones_and_that_of_the_pages() {
    let origins = |overrides: &[(&str, &str)]| browser_origins(&variables(overrides));
    let allowed = (
        "IDENTITY_ALLOWED_ORIGINS",
        "https://a.example, http://localhost:5173/",
    );
    let pages = ("IDENTITY_PAGES_URL", "https://id.example");
    assert_eq!(
        origins(&[allowed, pages]).expect("origins"),
        [
            "https://a.example",
            "http://localhost:5173",
            "https://id.example"
        ]
    );
    assert_eq!(
        origins(&[pages]).expect("origins"),
        ["https://example.com", "https://id.example"]
    );
}

#[test]
fn a_logo_is_an_https_url_of_which_the_origin_is_known() {
    assert_eq!(logo(&variables(&[])), Ok(None));
    for (url, origin) in [
        (
            "https://cdn.example.com/a/logo.svg",
            "https://cdn.example.com",
        ),
        (
            "https://example.com:8443/logo.png?v=2",
            "https://example.com:8443",
        ),
    ] {
        let expected = Logo {
            url: url.to_owned(),
            origin: origin.to_owned(),
        };
        assert_eq!(
            logo(&variables(&[("IDENTITY_LOGO_URL", url)])),
            Ok(Some(expected))
        );
    }
}

#[test]
fn a_cdn_has_one_secret_or_two() {
    let read = |value: &str| cdn_secrets(&variables(&[("IDENTITY_CDN_SECRET_SHA256", value)]));
    let secrets = read(HASH).expect("a secret");
    assert_eq!(data_encoding::HEXLOWER.encode(&secrets[0]), HASH);
    let other = "00".repeat(32);
    let two = read(&format!("{},{other}", HASH.to_uppercase())).expect("two secrets");
    assert_eq!(two, [secrets[0], [0; 32]]);
    // Longer than the variable can be.
    assert!(read(&format!("{HASH},{other},{other}")).is_err());
}

#[test]
fn a_slash_at_the_end_of_the_domain_is_removed() {
    for (value, domain) in [
        ("https://example.com/", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ] {
        assert_eq!(
            Application::read(&variables(&[("IDENTITY_DOMAIN", value)]))
                .expect("a section")
                .domain,
            domain
        );
    }
}

use super::*;

const REQUIRED: [(&str, &str); 5] = [
    ("IDENTITY_DOMAIN", "https://example.com"),
    ("IDENTITY_SENDER_EMAIL", "noreply@example.com"),
    ("IDENTITY_USERS_TABLE", "Users"),
    ("IDENTITY_GRANTS_TABLE", "Grants"),
    ("IDENTITY_TOKEN_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token"),
];

fn read(overrides: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(|name| {
        let last = REQUIRED.iter().chain(overrides).rfind(|(variable, _)| *variable == name);
        last.map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty())
    })
}

#[test]
fn what_is_not_set_has_its_default() {
    let config = read(&[]).expect("a configuration");
    assert_eq!((config.app_name.as_str(), config.sender.name.as_str()), ("Latchkey", "Latchkey"));
    assert_eq!((config.uid_prefix.as_str(), config.session_name.as_str()), ("ID", "_barong_session"));
    assert_eq!((config.session_life.idle, config.session_life.absolute, config.code_expire_time), (1800, 86_400, 3600));
    assert_eq!(config.password_regexp, DEFAULT_PASSWORD_REGEXP);
    assert!((config.password_min_entropy - 25.0).abs() < f64::EPSILON);
    assert_eq!((config.argon2.m_cost(), config.argon2.t_cost(), config.argon2.p_cost()), (19_456, 2, 1));
    assert_eq!(config.default_language, Language::En);
    assert!(!config.prevent_user_existence_errors);
    let Limits { sign_in_free_attempts, requests_per_minute, mail_interval, mails_per_hour } = config.limits;
    assert_eq!((sign_in_free_attempts, requests_per_minute, mail_interval, mails_per_hour), (5, 60, 60, 5));
    assert_eq!((config.activity_life, config.trusted_proxies.len()), (90 * 86_400, 0));
    let AccessToken { issuer, audience } = config.access_token;
    assert_eq!((issuer.as_str(), audience.as_str()), ("https://example.com", "latchkey"));
    assert!(config.captcha.is_none() && config.breached_passwords.is_none());
}

#[test]
fn what_is_required_must_be_set() {
    for (variable, _) in REQUIRED {
        assert_eq!(read(&[(variable, "")]).err(), Some(problem(variable, "is not set")));
    }
}

#[test]
fn the_sender_is_named_after_the_application() {
    let config = read(&[("IDENTITY_APP_NAME", "Acme")]).expect("a configuration");
    assert_eq!(config.sender.name, "Acme");
}

#[test]
fn an_error_names_its_variable() {
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
        ("IDENTITY_CODE_EXPIRE_TIME", "1e3"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "NaN"),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", "65"),
        ("IDENTITY_ARGON2", "m=1"),
        ("IDENTITY_DEFAULT_LANGUAGE", "xx"),
        ("IDENTITY_SENDER_EMAIL", "nobody"),
        ("IDENTITY_SENDER_NAME", "a\r\nBcc: b@c.de"),
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
        ("IDENTITY_TRUSTED_PROXIES", "203.0.113.0/33"),
        ("IDENTITY_TRUSTED_PROXIES", "nginx"),
        ("IDENTITY_CAPTCHA", "yes"),
        ("IDENTITY_CAPTCHA_ID", "two words"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "two words"),
        ("IDENTITY_CAPTCHA_URL", "http://example.com"),
        ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "session_create,user_delete"),
        ("IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS", "session_create,"),
        ("IDENTITY_BREACHED_PASSWORDS", "on"),
        ("IDENTITY_BREACHED_PASSWORDS_URL", "example.com"),
    ] {
        assert_eq!(read(&[(variable, value)]).err().map(|error| error.variable), Some(variable), "{value}");
    }
}

#[test]
fn a_value_is_bounded_in_characters() {
    for (variable, longest) in LONGEST {
        let error = read(&[(variable, &"ü".repeat(longest + 1))]).err().expect("a refusal");
        assert_eq!(error, problem(variable, format!("is longer than {longest} characters")));
    }
    let name = "ü".repeat(40);
    let config = read(&[("IDENTITY_APP_NAME", &name)]).expect("a configuration");
    assert_eq!(config.app_name, name);
}

#[test]
fn a_domain_loses_the_slash_at_its_end() {
    for (value, domain) in [
        ("https://example.com/", "https://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ] {
        assert_eq!(read(&[("IDENTITY_DOMAIN", value)]).expect("a configuration").domain, domain);
    }
}

//! Validation of the functions' environment variables at start

use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{TIMEOUT, binaries};

/// Starts a function with these variables and returns its output. It always fails, at the latest
/// because there is no Runtime API.
async fn output_of(binary: &str, variables: &[(&str, &str)]) -> String {
    let required = [
        ("IDENTITY_DOMAIN", "https://id.example"),
        ("IDENTITY_SENDER_EMAIL", "noreply@id.example"),
        ("IDENTITY_USERS_TABLE", "Users"),
        ("IDENTITY_GRANTS_TABLE", "Grants"),
        (
            "IDENTITY_TOKEN_SECRET",
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:TokenSecret",
        ),
        (
            "IDENTITY_DATA_SECRET",
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:DataSecret",
        ),
    ];
    let lambda = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
        ("AWS_LAMBDA_FUNCTION_NAME", "function"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "tests"),
        ("AWS_SECRET_ACCESS_KEY", "tests"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:9"),
    ];
    let mut command = Command::new(binaries().await.join(binary));
    command
        .env_clear()
        .envs(required)
        .envs(lambda)
        .envs(variables.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.spawn().unwrap().wait_with_output())
        .await
        .expect("an end")
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn an_invalid_value_stops_the_function_with_an_error_that_names_the_variable() {
    for (variable, values) in [
        ("IDENTITY_APP_NAME", &["two\nlines", "tab\there"][..]),
        (
            "IDENTITY_DOMAIN",
            &[
                "",
                "id.example",
                "http://id.example",
                "ftp://id.example",
                "https://",
                "https://id.example/path",
                "https://user@id.example",
                "javascript:alert(1)",
            ],
        ),
        ("IDENTITY_UID_PREFIX", &["I", "TOOLONG", "I1", "ÄÖ"]),
        ("IDENTITY_SESSION_NAME", &["a b", "a=b", "a;b", "ключ"]),
        (
            "IDENTITY_SESSION_EXPIRE_TIME",
            &["0", "-1", "1.5", "soon", "99999999999999999999"],
        ),
        (
            "IDENTITY_SESSION_MAX_AGE",
            &["0", "-1", "1799", "7776001", "never"],
        ),
        ("IDENTITY_SESSION_BINDING", &["on", "Agent", "ip"]),
        (
            "IDENTITY_ALLOWED_ORIGINS",
            &[
                "*",
                "app.example",
                "http://app.example",
                "https://app.example,",
                "https://app.example/path",
            ],
        ),
        ("IDENTITY_PAGES_URL", &["id.example", "http://id.example"]),
        (
            "IDENTITY_LOGO_URL",
            &[
                "http://cdn.example/logo.svg",
                "https://cdn.example",
                "https://cdn.example/a logo.svg",
            ],
        ),
        ("IDENTITY_CODE_EXPIRE_TIME", &["0", "-1", "1e3", "an hour"]),
        ("IDENTITY_PENDING_DAYS", &["-1", "3651", "1.5", "never"]),
        ("IDENTITY_DELETED_DAYS", &["-1", "3651", "1.5", "never"]),
        ("IDENTITY_SIGN_IN_NOTICE", &["true", "On", "0"]),
        (
            "IDENTITY_PASSWORD_REGEXP",
            &[
                "(", "[z-a]", "*", "^(a+)+$", "(a|a)*$", "(?i)a", r"\pL", r"(a)\1",
            ],
        ),
        (
            "IDENTITY_PASSWORD_MIN_ENTROPY",
            &["-1", "NaN", "inf", "65", "many"],
        ),
        (
            "IDENTITY_ARGON2",
            &[
                "m=1",
                "m=19456,t=0,p=1",
                "m=19456,t=2,p=0",
                "m=8,t=1,p=1",
                "m=99999999,t=2,p=1",
                "t=2,m=19456,p=1",
                "fast",
            ],
        ),
        (
            "IDENTITY_IMPORTED_HASHES",
            &[
                "bcrypt",
                "bcrypt-15",
                "bcrypt-10;",
                ";",
                "bcrypt-10,bcrypt-11",
                "m=65536,t=3",
                "m=524289,t=1,p=1",
                "bcrypt-4;bcrypt-5;bcrypt-6;bcrypt-7;bcrypt-8",
            ],
        ),
        ("IDENTITY_DEFAULT_LANGUAGE", &["xx", "english", "e"]),
        (
            "IDENTITY_SENDER_EMAIL",
            &["", "nobody", "a@b", "a@b.co, c@d.co", "a@b.co\nBcc: c@d.co"],
        ),
        ("IDENTITY_SENDER_NAME", &["a\r\nBcc: c@d.co"]),
        (
            "IDENTITY_SUPPORT_URL",
            &[
                "support@id.example",
                "http://help.example",
                "https://",
                "javascript:alert(1)",
                "mailto:a@b.co?bcc=c@d.co",
            ],
        ),
        (
            "IDENTITY_PREVENT_USER_EXISTENCE_ERRORS",
            &["yes", "1", "TRUE "],
        ),
        (
            "IDENTITY_CDN_SECRET_SHA256",
            &[
                "secret",
                "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ],
        ),
        ("IDENTITY_CAPTCHA", &["yes", "Turnstile", "none "]),
        ("IDENTITY_CAPTCHA_ID", &["two words", "ключ"]),
        ("IDENTITY_CAPTCHA_SECRET_ARN", &["two words"]),
        (
            "IDENTITY_CAPTCHA_URL",
            &[
                "http://captcha.example",
                "captcha.example",
                "https://captcha.example/?a=b",
                "ftp://captcha.example",
            ],
        ),
        (
            "IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS",
            &[
                "all",
                "session_create,",
                "session_create;user_create",
                "users",
            ],
        ),
        ("IDENTITY_BREACHED_PASSWORDS", &["on", "true", "HIBP"]),
        (
            "IDENTITY_BREACHED_PASSWORDS_URL",
            &[
                "http://range.example",
                "range.example",
                "https://range.example/#a",
            ],
        ),
        ("IDENTITY_USERS_TABLE", &[""]),
        ("IDENTITY_GRANTS_TABLE", &[""]),
        ("IDENTITY_TOKEN_SECRET", &[""]),
        ("IDENTITY_DATA_SECRET", &[""]),
    ] {
        let binary = match variable {
            "IDENTITY_SENDER_EMAIL" | "IDENTITY_SENDER_NAME" | "IDENTITY_SUPPORT_URL" => {
                "mail-send"
            }
            "IDENTITY_IMPORTED_HASHES" | "IDENTITY_DATA_SECRET" | "IDENTITY_SIGN_IN_NOTICE" => {
                "session-create"
            }
            "IDENTITY_LOGO_URL" => "pages",
            "IDENTITY_DELETED_DAYS" => "account-erase",
            _ => "user-create",
        };
        for value in values {
            let output = output_of(binary, &[(variable, value)]).await;
            assert!(output.contains(variable), "{variable}={value:?}: {output}");
        }
    }
}

#[tokio::test]
async fn every_function_rejects_invalid_values_of_the_variables_that_it_reads() {
    for (binary, variable, value) in [
        ("configs", "IDENTITY_PASSWORD_MIN_ENTROPY", "many"),
        ("configs", "IDENTITY_CAPTCHA", "yes"),
        ("pages", "IDENTITY_DEFAULT_LANGUAGE", "xx"),
        ("session-create", "IDENTITY_SESSION_EXPIRE_TIME", "soon"),
        ("session-create", "IDENTITY_SIGN_IN_FREE_ATTEMPTS", "-1"),
        ("session-create", "IDENTITY_IMPORTED_HASHES", "md5"),
        ("session-delete", "IDENTITY_SESSION_MAX_AGE", "never"),
        ("session-list", "IDENTITY_GRANTS_TABLE", ""),
        ("user-me", "IDENTITY_SESSION_BINDING", "ip"),
        ("email-confirm-code", "IDENTITY_ALLOWED_ORIGINS", "*"),
        ("password-confirm-code", "IDENTITY_PAGES_URL", "id.example"),
        ("password-generate-code", "IDENTITY_CODE_EXPIRE_TIME", "0"),
        ("user-me", "IDENTITY_PENDING_DAYS", "never"),
        ("mail-send", "IDENTITY_PENDING_DAYS", "-1"),
        ("account-erase", "IDENTITY_DELETED_DAYS", "never"),
        ("password-confirm-code", "IDENTITY_ARGON2", "fast"),
        ("password-change", "IDENTITY_BREACHED_PASSWORDS", "on"),
        (
            "captcha-register-geetest",
            "IDENTITY_CAPTCHA_ID",
            "two words",
        ),
        ("session-list", "IDENTITY_CDN_SECRET_SHA256", "secret"),
        ("auth", "IDENTITY_TRUSTED_PROXIES", "everybody"),
        ("auth", "IDENTITY_AUTH_METHOD", "Request"),
        ("authorize", "IDENTITY_ACCESS_TOKEN_ISSUER", "two\nlines"),
        ("authorize", "IDENTITY_ACCESS_TOKEN_AUDIENCE", "shop,,mail"),
        ("auth", "IDENTITY_ACCESS_TOKEN_AUDIENCE", "\""),
        ("discovery", "IDENTITY_ACCESS_TOKEN_ISSUER", "\\"),
        ("auth", "IDENTITY_ACCESS_TOKEN_KEY_ARN", "two words"),
        ("authorize", "IDENTITY_ACCESS_TOKEN_KEY_ARN", "two words"),
        ("jwks", "IDENTITY_ACCESS_TOKEN_KEY_ARN", "two words"),
        ("passkey-sign-in", "IDENTITY_PASSKEY_RP_ID", "Example.com"),
        (
            "passkey-create",
            "IDENTITY_PASSKEY_ORIGINS",
            "http://a.example",
        ),
        (
            "passkey-related-origins",
            "IDENTITY_PASSKEY_ORIGINS",
            "a.example",
        ),
        ("mail-send", "IDENTITY_DOMAIN", "id.example"),
        ("mail-feedback", "IDENTITY_USERS_TABLE", ""),
        ("manage-users", "IDENTITY_UID_PREFIX", "I1"),
        ("manage-users", "IDENTITY_DATA_SECRET", ""),
        ("otp-verify", "IDENTITY_DATA_SECRET", ""),
        ("session-reauthenticate", "IDENTITY_DATA_SECRET", ""),
    ] {
        let output = output_of(binary, &[(variable, value)]).await;
        assert!(output.contains(variable), "{binary} {variable}: {output}");
    }
}

#[tokio::test]
async fn a_function_starts_without_the_variables_that_it_does_not_read() {
    for (binary, unset) in [
        (
            "configs",
            &[
                "IDENTITY_DOMAIN",
                "IDENTITY_SENDER_EMAIL",
                "IDENTITY_USERS_TABLE",
                "IDENTITY_GRANTS_TABLE",
                "IDENTITY_TOKEN_SECRET",
                "IDENTITY_DATA_SECRET",
            ][..],
        ),
        (
            "pages",
            &[
                "IDENTITY_SENDER_EMAIL",
                "IDENTITY_USERS_TABLE",
                "IDENTITY_GRANTS_TABLE",
                "IDENTITY_TOKEN_SECRET",
                "IDENTITY_DATA_SECRET",
            ],
        ),
        (
            "user-create",
            &["IDENTITY_SENDER_EMAIL", "IDENTITY_DATA_SECRET"],
        ),
        (
            "session-list",
            &[
                "IDENTITY_DOMAIN",
                "IDENTITY_SENDER_EMAIL",
                "IDENTITY_TOKEN_SECRET",
                "IDENTITY_DATA_SECRET",
            ],
        ),
    ] {
        let unset: Vec<_> = unset.iter().map(|name| (*name, "")).collect();
        let output = output_of(binary, &unset).await;
        assert!(!output.contains("IDENTITY_"), "{binary}: {output}");
    }
}

#[tokio::test]
async fn valid_values_are_accepted() {
    for (variable, values) in [
        ("IDENTITY_APP_NAME", &["", "Acme & Söhne"][..]),
        (
            "IDENTITY_DOMAIN",
            &[
                "https://id.example:8443",
                "https://id.example/",
                "http://localhost:3000",
                "http://localhost",
            ],
        ),
        ("IDENTITY_UID_PREFIX", &["", "ab", "ABCDEF"]),
        ("IDENTITY_SESSION_NAME", &["", "sid", "__Host-session"]),
        ("IDENTITY_SESSION_EXPIRE_TIME", &["", "60", "86400"]),
        ("IDENTITY_SESSION_MAX_AGE", &["", "1800", "7776000"]),
        ("IDENTITY_SESSION_BINDING", &["", "agent", "client", "none"]),
        (
            "IDENTITY_ALLOWED_ORIGINS",
            &[
                "",
                "https://app.example,https://admin.example:8443",
                "http://localhost:5173",
            ],
        ),
        (
            "IDENTITY_PAGES_URL",
            &["", "https://id.example", "http://localhost:3000"],
        ),
        (
            "IDENTITY_CDN_SECRET_SHA256",
            &[
                "",
                "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
                "2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B,\
                 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25c",
            ],
        ),
        ("IDENTITY_CODE_EXPIRE_TIME", &["", "300", "86400"]),
        ("IDENTITY_PENDING_DAYS", &["", "0", "3650"]),
        ("IDENTITY_DELETED_DAYS", &["", "0", "3650"]),
        (
            "IDENTITY_PASSWORD_REGEXP",
            &["", "^.{12,}$", r"^(?=.*\d)[\s\S]{10,64}$", "."],
        ),
        ("IDENTITY_PASSWORD_MIN_ENTROPY", &["", "0", "33.5", "64"]),
        (
            "IDENTITY_ARGON2",
            &["", "m=8192,t=1,p=1", "m=65536,t=3,p=4"],
        ),
        (
            "IDENTITY_DEFAULT_LANGUAGE",
            &["", "en", "ru", "uk", "es", "fr", "de", "pt", "zh"],
        ),
        ("IDENTITY_SENDER_NAME", &["", "Acme & Söhne"]),
        (
            "IDENTITY_SUPPORT_URL",
            &[
                "",
                "https://help.example/a?b=c",
                "mailto:support@id.example",
            ],
        ),
        (
            "IDENTITY_PREVENT_USER_EXISTENCE_ERRORS",
            &["", "true", "false"],
        ),
        ("IDENTITY_MAIL_CONFIGURATION_SET", &["", "mails"]),
        ("IDENTITY_CAPTCHA", &["", "none"]),
        ("IDENTITY_CAPTCHA_ID", &["", "6Lc_aXkUAAAAA-site"]),
        (
            "IDENTITY_CAPTCHA_SECRET_ARN",
            &[
                "",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:captcha-AbCdEf",
            ],
        ),
        (
            "IDENTITY_CAPTCHA_URL",
            &[
                "",
                "https://captcha.example/verify",
                "http://localhost:8080",
            ],
        ),
        (
            "IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS",
            &["", "user_create", "email_confirmation, password_reset"],
        ),
        ("IDENTITY_BREACHED_PASSWORDS", &["", "off", "hibp"]),
        (
            "IDENTITY_BREACHED_PASSWORDS_URL",
            &["", "https://range.example/range", "http://127.0.0.1:8080/"],
        ),
    ] {
        for value in values {
            let output = output_of("user-create", &[(variable, value)]).await;
            assert!(
                !output.contains("IDENTITY_"),
                "{variable}={value:?}: {output}"
            );
        }
    }
}

#[tokio::test]
async fn a_captcha_requires_both_of_its_keys() {
    let keys = [
        ("IDENTITY_CAPTCHA_ID", "id"),
        ("IDENTITY_CAPTCHA_SECRET_ARN", "arn"),
    ];
    for provider in ["recaptcha", "hcaptcha", "turnstile", "geetest"] {
        let captcha = ("IDENTITY_CAPTCHA", provider);
        for (given, missing) in [(keys[0], keys[1].0), (keys[1], keys[0].0)] {
            let output = output_of("session-create", &[captcha, given]).await;
            assert!(
                output.contains(missing) && !output.contains(given.0),
                "{output}"
            );
        }
        let output = output_of("session-create", &[captcha, keys[0], keys[1]]).await;
        assert!(!output.contains("IDENTITY_"), "{provider}: {output}");
    }
}

#[tokio::test]
async fn the_function_that_signs_in_accepts_kinds_of_imported_hashes() {
    for value in ["", "bcrypt-10", "m=65536,t=3,p=4; bcrypt-12;bcrypt-4"] {
        let output = output_of("session-create", &[("IDENTITY_IMPORTED_HASHES", value)]).await;
        assert!(!output.contains("IDENTITY_"), "{value:?}: {output}");
    }
}

//! `ANY /accounts/{proxy+}`: serves the hosted pages, for stacks without a front end. Their script
//! calls the API at the same origin; this function does not read credentials. Methods are `GET` and
//! `HEAD`; to `HEAD` it returns the response to `GET`, of which HTTP servers do not send the body.

use std::collections::BTreeMap;

use askama::Template;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use shared::{
    Error,
    config::{Application, Logo},
    domain::{
        captcha::{CaptchaProvider, CaptchaSettings, ProtectedOperation},
        language::Language,
        user_agent::{BROWSERS, SYSTEMS},
    },
    http::{
        Body, HeaderValue, Method, Request, RequestExt, Response, STRICT_TRANSPORT, StatusCode,
        header,
    },
    platform::random::sha256_hex,
};

use super::{advice::advice, language::choose};
use crate::texts::{self, Hints, Pages as Texts, Script};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
const HTML: &str = "text/html; charset=utf-8";

pub struct Pages {
    application: Application,
    captcha: Option<CaptchaSettings>,
    logo: Option<Logo>,
    /// Hash of the assets, in their URLs, so that browsers do not use cached assets of another
    /// build.
    version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Account,
    SignIn,
    SignUp,
    PasswordReset,
    Confirmation,
    EmailChange,
    NotFound,
}

#[derive(Template)]
#[template(path = "page.html")]
struct View<'a> {
    page: Page,
    title: &'static str,
    app_name: &'a str,
    language: Language,
    /// The selectable languages, and their names in the languages themselves.
    languages: [(Language, &'static str); Language::ALL.len()],
    t: &'static Texts,
    hints: &'static Hints,
    /// JSON in which `<` is escaped, so that no text can end the `script` element.
    texts: String,
    version: &'a str,
    captcha: Option<&'a CaptchaSettings>,
    logo: Option<&'a str>,
    /// Whether the URL has the token of a mailed link. The page then has only the form that uses
    /// the token.
    has_token: bool,
}

/// What the script of a page needs, as JSON.
#[derive(Serialize)]
struct ScriptData {
    #[serde(flatten)]
    script: &'static Script,
    hints: &'static Hints,
    /// Translated advice for new passwords, by the text of the API.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    advice: BTreeMap<String, &'static str>,
    /// Names of browsers and systems by the text in a `User-Agent`, for the list of sessions and
    /// the names of new passkeys.
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<Devices>,
}

#[derive(Serialize)]
struct Devices {
    browsers: &'static [(&'static str, &'static str)],
    systems: &'static [(&'static str, &'static str)],
}

impl Page {
    fn of(path: &str) -> Self {
        match path {
            "settings" => Self::Account,
            "sign_in" => Self::SignIn,
            "sign_up" => Self::SignUp,
            "password_reset" => Self::PasswordReset,
            "confirmation" => Self::Confirmation,
            "email_change" => Self::EmailChange,
            _ => Self::NotFound,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::SignIn => "sign_in",
            Self::SignUp => "sign_up",
            Self::PasswordReset => "password_reset",
            Self::Confirmation => "confirmation",
            Self::EmailChange => "email_change",
            Self::NotFound => "not_found",
        }
    }

    fn title(self, text: &Texts) -> &'static str {
        match self {
            Self::Account => text.account,
            Self::SignIn => text.sign_in,
            Self::SignUp => text.sign_up,
            Self::PasswordReset => text.reset,
            Self::Confirmation => text.confirm,
            Self::EmailChange => text.email_change,
            Self::NotFound => text.not_found,
        }
    }

    /// The parameter of the mailed link that leads to the page.
    const fn token(self) -> Option<&'static str> {
        match self {
            Self::PasswordReset => Some("reset_token"),
            Self::Confirmation => Some("confirmation_token"),
            Self::EmailChange => Some("token"),
            Self::Account | Self::SignIn | Self::SignUp | Self::NotFound => None,
        }
    }

    /// The operation of the form of the page that a captcha can protect.
    const fn operation(self) -> Option<ProtectedOperation> {
        match self {
            Self::SignIn => Some(ProtectedOperation::SessionCreate),
            Self::SignUp => Some(ProtectedOperation::UserCreate),
            Self::PasswordReset => Some(ProtectedOperation::PasswordReset),
            Self::Confirmation => Some(ProtectedOperation::EmailConfirmation),
            Self::Account | Self::EmailChange | Self::NotFound => None,
        }
    }
}

impl Pages {
    /// Pages of an application, with a captcha and a logo if they are configured.
    #[must_use]
    pub fn new(
        application: Application,
        captcha: Option<CaptchaSettings>,
        logo: Option<Logo>,
    ) -> Self {
        let mut version = sha256_hex(&format!("{STYLE}{SCRIPT}"));
        version.truncate(16);
        Self {
            application,
            captcha,
            logo,
            version,
        }
    }

    /// Returns a page or an asset.
    pub fn handle(&self, request: &Request) -> Result<Response<Body>, Error> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return not_allowed();
        }
        let parameters = request.path_parameters();
        let path =
            percent_decode_str(parameters.first("proxy").unwrap_or_default()).decode_utf8_lossy();
        match path.as_ref() {
            "assets/style.css" => asset("text/css; charset=utf-8", STYLE),
            "assets/script.js" => asset("text/javascript; charset=utf-8", SCRIPT),
            path => match path.strip_suffix('/').filter(|path| is_known(path)) {
                Some(name) => without_slash(name, request.uri().query()),
                None => self.page(Page::of(path), request),
            },
        }
    }

    fn page(&self, page: Page, request: &Request) -> Result<Response<Body>, Error> {
        let accepted = request
            .headers()
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        let query = request.query_string_parameters();
        let language = choose(
            query.first("lang"),
            accepted.unwrap_or_default(),
            self.application.default_language,
        );
        let has_token = page
            .token()
            .and_then(|token| query.first(token))
            .is_some_and(|token| !token.is_empty());
        let text = texts::pages(language);
        let hints = texts::hints(language);
        // Beside a token, nothing of another origin is loaded. The page of a new address keeps its
        // token while the user signs in.
        let shows_logo = !has_token && page != Page::EmailChange;
        let logo = self.logo.as_ref().filter(|_| shows_logo);
        let captcha = self.captcha.as_ref().filter(|captcha| {
            let operation = page.operation();
            !has_token && operation.is_some_and(|operation| captcha.protects(operation))
        });
        let view = View {
            page,
            title: page.title(text),
            app_name: &self.application.name,
            language,
            languages: Language::ALL.map(|other| (other, texts::pages(other).language_name)),
            t: text,
            hints,
            texts: data(page, &text.script, hints)?,
            version: &self.version,
            captcha,
            logo: logo.map(|logo| logo.url.as_str()),
            has_token,
        };
        let status = if page == Page::NotFound {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        response(
            status,
            HTML,
            "no-store",
            &policy(captcha.map(|captcha| captcha.provider), logo),
            view.render().map_err(Error::internal)?,
        )
    }
}

/// The data of a page's script, as JSON in which `<` is escaped.
fn data(page: Page, script: &'static Script, hints: &'static Hints) -> Result<String, Error> {
    let data = ScriptData {
        script,
        hints,
        advice: match page {
            Page::SignUp | Page::PasswordReset | Page::Account => advice(hints),
            Page::SignIn | Page::Confirmation | Page::EmailChange | Page::NotFound => {
                BTreeMap::new()
            }
        },
        devices: matches!(page, Page::Account | Page::SignIn).then_some(Devices {
            browsers: &BROWSERS,
            systems: &SYSTEMS,
        }),
    };
    let json = serde_json::to_string(&data).map_err(Error::internal)?;
    Ok(json.replace('<', "\\u003c"))
}

fn not_allowed() -> Result<Response<Body>, Error> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED)?;
    let methods = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, methods);
    Ok(response)
}

fn is_known(path: &str) -> bool {
    Page::of(path) != Page::NotFound
}

/// Redirects `<name>/` to `<name>`. The path is relative, because the function does not know the
/// host name and the base path of the request. A query that a header cannot contain is dropped.
fn without_slash(name: &str, query: Option<&str>) -> Result<Response<Body>, Error> {
    let query = query
        .filter(|query| query.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or(String::new(), |query| format!("?{query}"));
    let mut response = empty(StatusCode::PERMANENT_REDIRECT)?;
    response.headers_mut().insert(
        header::LOCATION,
        HeaderValue::try_from(format!("../{name}{query}")).map_err(Error::internal)?,
    );
    Ok(response)
}

/// An asset, which may be cached, because its URL changes with its content.
fn asset(kind: &'static str, content: &str) -> Result<Response<Body>, Error> {
    response(
        StatusCode::OK,
        kind,
        "public, max-age=86400",
        "default-src 'none'",
        content.to_owned(),
    )
}

/// The Content-Security-Policy of a page: only resources of the same origin, the widget of the
/// captcha and images of the logo's origin; no inline scripts or styles, no framing of the page, no submission of forms.
fn policy(captcha: Option<CaptchaProvider>, logo: Option<&Logo>) -> String {
    let images = logo.map_or(String::new(), |logo| format!(" {}", logo.origin));
    let (scripts, frames) = match captcha {
        Some(CaptchaProvider::Recaptcha) => (
            " https://www.google.com/recaptcha/ https://www.gstatic.com/recaptcha/",
            "https://www.google.com/recaptcha/",
        ),
        Some(CaptchaProvider::Hcaptcha) => (
            " https://hcaptcha.com https://*.hcaptcha.com",
            "https://hcaptcha.com https://*.hcaptcha.com",
        ),
        Some(CaptchaProvider::Turnstile) => (
            " https://challenges.cloudflare.com",
            "https://challenges.cloudflare.com",
        ),
        Some(CaptchaProvider::Geetest) | None => ("", "'none'"),
    };
    format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'; connect-src 'self'{scripts}; img-src 'self' data:{images}; \
         frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn empty(status: StatusCode) -> Result<Response<Body>, Error> {
    response(
        status,
        HTML,
        "no-store",
        "default-src 'none'",
        String::new(),
    )
}

fn response(
    status: StatusCode,
    kind: &'static str,
    cache: &'static str,
    policy: &str,
    content: String,
) -> Result<Response<Body>, Error> {
    let mut response = Response::new(Body::Text(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Links of mails contain tokens.
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_str(policy).map_err(Error::internal)?,
    );
    Ok(response)
}

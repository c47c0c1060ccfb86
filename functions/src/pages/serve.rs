//! `GET /accounts/{proxy+}`: serves the hosted pages, for stacks without a front end. Their script
//! calls the API at the same origin; this function does not read credentials.

use askama::Template;
use percent_encoding::percent_decode_str;
use shared::{
    Error,
    config::Application,
    domain::{
        captcha::{CaptchaProvider, CaptchaSettings, ProtectedOperation},
        language::Language,
    },
    http::{
        Body, HeaderValue, Request, RequestExt, Response, STRICT_TRANSPORT, StatusCode, header,
    },
    platform::random::sha256_hex,
};

use super::language::choose;
use crate::texts::{self, Pages as Texts};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
const HTML: &str = "text/html; charset=utf-8";

pub struct Pages {
    application: Application,
    captcha: Option<CaptchaSettings>,
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
    /// JSON in which `<` is escaped, so that no text can end the `script` element.
    texts: String,
    version: &'a str,
    captcha: Option<&'a CaptchaSettings>,
}

impl Page {
    fn of(path: &str) -> Self {
        match path {
            "settings" => Self::Account,
            "sign_in" => Self::SignIn,
            "sign_up" => Self::SignUp,
            "password_reset" => Self::PasswordReset,
            "confirmation" => Self::Confirmation,
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
            Self::NotFound => text.not_found,
        }
    }

    /// The operation of the form of the page that a captcha can protect.
    const fn operation(self) -> Option<ProtectedOperation> {
        match self {
            Self::SignIn => Some(ProtectedOperation::SessionCreate),
            Self::SignUp => Some(ProtectedOperation::UserCreate),
            Self::PasswordReset => Some(ProtectedOperation::PasswordReset),
            Self::Confirmation => Some(ProtectedOperation::EmailConfirmation),
            Self::Account | Self::NotFound => None,
        }
    }
}

impl Pages {
    /// Pages of an application, with a captcha if one is configured.
    #[must_use]
    pub fn new(application: Application, captcha: Option<CaptchaSettings>) -> Self {
        let mut version = sha256_hex(&format!("{STYLE}{SCRIPT}"));
        version.truncate(16);
        Self {
            application,
            captcha,
            version,
        }
    }

    /// Returns a page or an asset.
    pub fn handle(&self, request: &Request) -> Result<Response<Body>, Error> {
        let parameters = request.path_parameters();
        let path =
            percent_decode_str(parameters.first("proxy").unwrap_or_default()).decode_utf8_lossy();
        match path.trim_end_matches('/') {
            "assets/style.css" => asset("text/css; charset=utf-8", STYLE),
            "assets/script.js" => asset("text/javascript; charset=utf-8", SCRIPT),
            path => self.page(Page::of(path), request),
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
        let text = texts::pages(language);
        let languages = Language::ALL.map(|other| (other, texts::pages(other).language_name));
        let captcha = self.captcha.as_ref().filter(|captcha| {
            page.operation()
                .is_some_and(|operation| captcha.protects(operation))
        });
        let view = View {
            page,
            title: page.title(text),
            app_name: &self.application.name,
            language,
            languages,
            t: text,
            texts: serde_json::to_string(&text.script)
                .map_err(Error::internal)?
                .replace('<', "\\u003c"),
            version: &self.version,
            captcha,
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
            &policy(captcha.map(|captcha| captcha.provider)),
            view.render().map_err(Error::internal)?,
        )
    }
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

/// The Content-Security-Policy of a page: only resources of the same origin and the widget of the
/// captcha; no inline scripts or styles, no framing of the page, no submission of forms.
fn policy(captcha: Option<CaptchaProvider>) -> String {
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
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'; connect-src 'self'{scripts}; img-src 'self' data:; \
         frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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

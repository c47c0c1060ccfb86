//! Parameters in the body of a request: form, multipart form or JSON.

use std::{collections::HashMap, convert::Infallible};

use futures_util::stream;
use lambda_http::{Body, Request, http::header::CONTENT_TYPE};
use percent_encoding::percent_decode;
use serde_json::{Map, value::RawValue};

use crate::{
    Error, ParameterFault,
    domain::{captcha::CaptchaResponse, password::Password},
    error::ParameterFaultKind::{self, Blank, Invalid, InvalidFormat, Missing, TooLong},
};

/// Maximum size of a body, in bytes.
const BODY_LIMIT: usize = 16 * 1024;
/// Maximum length of an e-mail address, in characters. RFC 5321, section 4.5.3.1.3, limits an
/// address with its angle brackets to 256 octets.
const EMAIL_LIMIT: usize = 254;
/// Maximum length of a token or a captcha response, in characters.
const TOKEN_LIMIT: usize = 4096;
/// Maximum length of any other value, in characters.
const LIMIT: usize = 1024;
const CAPTCHA_RESPONSE: &str = "captcha_response";
const CREDENTIAL: &str = "credential";

enum Value {
    Text(String),
    /// A JSON number or boolean, as its characters in the body.
    Scalar(String),
    /// Bytes that are not UTF-8.
    NotText,
    /// A JSON object, or the fields `captcha_response[name]` of a form.
    Object(Map<String, serde_json::Value>),
    /// A JSON array, or a file.
    Other,
}

/// The parameters in a body. If a parameter is repeated, its last value counts. A JSON `null`
/// counts as absent, and a JSON number or boolean as the text of its characters.
pub struct Form(HashMap<String, Value>);

impl Form {
    /// Reads a body of type `application/x-www-form-urlencoded`, `multipart/form-data` (RFC 7578)
    /// or `application/json` (RFC 8259, an object). An empty body of any type, and the JSON text
    /// `null`, are an empty form.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::UnsupportedMediaType`], or [`Error::MalformedBody`] if the
    /// body does not match its media type.
    pub async fn read(request: Request) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = match body {
            Body::Text(text) => text.into_bytes(),
            Body::Binary(bytes) => bytes,
            _ => Vec::new(),
        };
        if body.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        if body.len() > BODY_LIMIT {
            return Err(Error::BodyTooLarge);
        }
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media_type = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match media_type.as_str() {
            "application/x-www-form-urlencoded" => Ok(Self(read_urlencoded(&body))),
            "application/json" => read_json(&body).map(Self),
            "multipart/form-data" => read_multipart(content_type, body).await.map(Self),
            _ => Err(Error::UnsupportedMediaType),
        }
    }

    /// A reader of the parameters of an operation whose error keys begin with `module`. Error keys
    /// are in the order in which parameters are read.
    #[must_use]
    pub fn parameters(self, module: &'static str) -> Parameters {
        Parameters {
            form: self.0,
            module,
            malformed: false,
            absent: Vec::new(),
            invalid: Vec::new(),
        }
    }
}

/// Reads parameters from a form and collects their faults. The values are usable only if
/// [`Parameters::finish`] succeeds.
pub struct Parameters {
    form: HashMap<String, Value>,
    module: &'static str,
    malformed: bool,
    /// Faults of missing and blank parameters.
    absent: Vec<ParameterFault>,
    /// Faults of all other parameters.
    invalid: Vec<ParameterFault>,
}

impl Parameters {
    /// The required parameter `email`, trimmed, at most 254 characters.
    pub fn email(&mut self) -> String {
        let text = self.required("email", usize::MAX).trim().to_owned();
        self.limit("email", &text, EMAIL_LIMIT);
        text
    }

    /// A required password, exactly as received, at most 1024 characters.
    pub fn password(&mut self, name: &'static str) -> Password {
        Password::new(self.required(name, LIMIT))
    }

    /// A required token of a mail, at most 4096 characters. It is trimmed, because a pasted token
    /// may end with a line break.
    pub fn token(&mut self, name: &'static str) -> String {
        let text = self.required(name, usize::MAX).trim().to_owned();
        self.limit(name, &text, TOKEN_LIMIT);
        text
    }

    /// A required parameter, at most 1024 characters.
    pub fn text(&mut self, name: &'static str) -> String {
        self.required(name, LIMIT)
    }

    /// An optional parameter, at most 1024 characters. A blank one counts as absent.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        let text = self.value(name).filter(|text| !is_blank(text))?;
        self.limit(name, &text, LIMIT);
        Some(text)
    }

    /// A required name of at most this many characters. It is trimmed.
    pub fn name(&mut self, name: &'static str, limit: usize) -> String {
        let text = self.required(name, usize::MAX).trim().to_owned();
        self.limit(name, &text, limit);
        text
    }

    /// As [`Self::name`], but optional. A blank one counts as absent.
    pub fn optional_name(&mut self, name: &'static str, limit: usize) -> Option<String> {
        let text = self.value(name).filter(|text| !is_blank(text))?;
        let text = text.trim().to_owned();
        self.limit(name, &text, limit);
        Some(text)
    }

    /// An optional parameter that is `true` or `false`. A blank one counts as absent.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let text = self.value(name).filter(|text| !is_blank(text))?;
        match text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                let is_too_long = text.chars().count() > LIMIT;
                self.reject(name, if is_too_long { TooLong } else { Invalid });
                None
            }
        }
    }

    /// The optional parameter `captcha_response`: an object, or text of at most 4096 characters.
    pub fn captcha_response(&mut self) -> Option<CaptchaResponse> {
        const NAME: &str = CAPTCHA_RESPONSE;
        match self.form.remove(NAME)? {
            Value::Object(object) => return Some(CaptchaResponse::Object(object)),
            Value::Scalar(_) | Value::Other => self.reject(NAME, InvalidFormat),
            Value::NotText => self.malformed = true,
            Value::Text(text) if is_blank(&text) => {}
            Value::Text(text) => {
                self.limit(NAME, &text, TOKEN_LIMIT);
                return Some(CaptchaResponse::Text(text));
            }
        }
        None
    }

    /// The required parameter `credential`, the JSON of a WebAuthn response: an object, or its
    /// text. Text that is not JSON is returned as `null`. Only the size of the body limits it.
    pub fn credential(&mut self) -> serde_json::Value {
        match self.form.remove(CREDENTIAL) {
            Some(Value::Object(object)) => object.into(),
            Some(value) => {
                self.form.insert(CREDENTIAL.to_owned(), value);
                let text = self.required(CREDENTIAL, usize::MAX);
                serde_json::from_str(&text).unwrap_or_default()
            }
            None => {
                self.absent.push(self.fault(CREDENTIAL, Missing));
                serde_json::Value::Null
            }
        }
    }

    /// Whether the request has the parameter `credential`, and it is not blank.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        match self.form.get(CREDENTIAL) {
            None => false,
            Some(Value::Text(text)) => !is_blank(text),
            Some(_) => true,
        }
    }

    /// Reads a password that is required only in some cases. A missing or blank one is returned as
    /// a fault, for [`Error::Parameters`], and not reported by [`Self::finish`].
    pub fn conditional_password(&mut self, name: &'static str) -> Result<Password, ParameterFault> {
        match self.value(name) {
            None => Err(self.fault(name, Missing)),
            Some(text) if is_blank(&text) => Err(self.fault(name, Blank)),
            Some(text) => {
                self.limit(name, &text, LIMIT);
                Ok(Password::new(text))
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// The first of these that applies:
    /// - [`Error::MalformedBody`]: a value is not text.
    /// - [`Error::Parameters`] with all missing and blank parameters.
    /// - [`Error::Parameters`] with all parameters that are too long or of the wrong type.
    pub fn finish(self) -> Result<(), Error> {
        if self.malformed {
            return Err(Error::MalformedBody);
        }
        match [self.absent, self.invalid]
            .into_iter()
            .find(|faults| !faults.is_empty())
        {
            Some(faults) => Err(Error::Parameters(faults)),
            None => Ok(()),
        }
    }

    fn required(&mut self, name: &'static str, limit: usize) -> String {
        let kind = match self.value(name) {
            None => Missing,
            Some(text) if is_blank(&text) => Blank,
            Some(text) => {
                self.limit(name, &text, limit);
                return text;
            }
        };
        self.absent.push(self.fault(name, kind));
        String::new()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        match self.form.remove(name)? {
            Value::Text(text) | Value::Scalar(text) => Some(text),
            Value::NotText | Value::Object(_) | Value::Other => {
                self.malformed = true;
                None
            }
        }
    }

    fn limit(&mut self, name: &'static str, text: &str, limit: usize) {
        if text.chars().count() > limit {
            self.reject(name, TooLong);
        }
    }

    fn reject(&mut self, name: &'static str, kind: ParameterFaultKind) {
        self.invalid.push(self.fault(name, kind));
    }

    fn fault(&self, parameter: &'static str, kind: ParameterFaultKind) -> ParameterFault {
        ParameterFault {
            module: self.module,
            parameter,
            kind,
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn decode_utf8(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or(Value::NotText, Value::Text)
}

/// Parses a form as <https://url.spec.whatwg.org/#urlencoded-parsing>, with one difference: bytes
/// that are not UTF-8 are not replaced, so that a parameter with such a value is rejected.
fn read_urlencoded(body: &[u8]) -> HashMap<String, Value> {
    let decode = |bytes: &[u8]| -> Vec<u8> {
        let with_spaces: Vec<u8> = bytes
            .iter()
            .map(|&byte| if byte == b'+' { b' ' } else { byte })
            .collect();
        percent_decode(&with_spaces).collect()
    };
    let fields = body
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = String::from_utf8(decode(halves.next()?)).ok()?;
            Some((name, decode_utf8(decode(halves.next().unwrap_or_default()))))
        });
    let mut form = HashMap::new();
    for (name, value) in fields {
        insert_field(&mut form, name, value);
    }
    form
}

/// Inserts a field of a form. Fields `captcha_response[name]` form one object, as PHP and Rack
/// parse them.
fn insert_field(form: &mut HashMap<String, Value>, name: String, value: Value) {
    let member = name
        .strip_prefix(CAPTCHA_RESPONSE)
        .and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
    let Some(member) = member else {
        form.insert(name, value);
        return;
    };
    let response = form
        .entry(CAPTCHA_RESPONSE.to_owned())
        .or_insert_with(|| Value::Object(Map::new()));
    match (&mut *response, value) {
        // A member that is not text spoils the object.
        (Value::NotText | Value::Other, _) => {}
        (_, Value::Text(_)) if member.is_empty() => *response = Value::Other,
        (Value::Object(object), Value::Text(text)) => {
            object.insert(member.to_owned(), text.into());
        }
        (_, Value::Text(text)) => {
            *response = Value::Object([(member.to_owned(), text.into())].into_iter().collect());
        }
        (_, value) => *response = value,
    }
}

fn read_json(body: &[u8]) -> Result<HashMap<String, Value>, Error> {
    let object: Option<HashMap<String, &RawValue>> =
        serde_json::from_slice(body).map_err(|_| Error::MalformedBody)?;
    let mut form = HashMap::new();
    for (name, value) in object.unwrap_or_default() {
        form.extend(read_json_value(value)?.map(|value| (name, value)));
    }
    Ok(form)
}

/// The value of a JSON text, which has no white space around it; `None` if it is `null`.
fn read_json_value(value: &RawValue) -> Result<Option<Value>, Error> {
    let text = value.get();
    let value = match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'"') => serde_json::from_str(text).map(Value::Text),
        Some(b'{') => serde_json::from_str(text).map(Value::Object),
        Some(b'[') => Ok(Value::Other),
        _ => Ok(Value::Scalar(text.to_owned())),
    };
    value.map(Some).map_err(|_| Error::MalformedBody)
}

async fn read_multipart(
    content_type: &str,
    body: Vec<u8>,
) -> Result<HashMap<String, Value>, Error> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| Error::MalformedBody)?;
    let mut multipart = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let mut form = HashMap::new();
    while let Some(field) = multipart
        .next_field()
        .await
        .map_err(|_| Error::MalformedBody)?
    {
        let name = field.name().map(ToOwned::to_owned);
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.map_err(|_| Error::MalformedBody)?;
        let value = if is_file {
            Value::Other
        } else {
            decode_utf8(bytes.into())
        };
        if let Some(name) = name {
            insert_field(&mut form, name, value);
        }
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use lambda_http::http;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";

    async fn read(content_type: &str, body: &[u8]) -> Result<Form, Error> {
        let request = http::Request::builder()
            .header(CONTENT_TYPE, content_type)
            .body(Body::Binary(body.to_vec()));
        Form::read(request.expect("a request")).await
    }

    /// The value of `email`, or the error keys.
    async fn email(content_type: &str, body: impl AsRef<[u8]>) -> Result<String, Vec<String>> {
        let form = read(content_type, body.as_ref())
            .await
            .map_err(|error| error.keys())?;
        let mut parameters = form.parameters("identity.user");
        let email = parameters.email();
        parameters
            .finish()
            .map(|()| email)
            .map_err(|error| error.keys())
    }

    fn rejected<T>(key: &str) -> Result<T, Vec<String>> {
        Err(vec![key.to_owned()])
    }

    fn multipart(value: &str) -> String {
        format!("--x\r\ncontent-disposition: form-data; name=\"email\"{value}\r\n--x--\r\n")
    }

    /// The credential, or the error keys.
    async fn credential(content_type: &str, body: &str) -> Result<serde_json::Value, Vec<String>> {
        let form = read(content_type, body.as_bytes())
            .await
            .map_err(|error| error.keys())?;
        let mut parameters = form.parameters("identity.session");
        let has_credential = parameters.has_credential();
        let credential = parameters.credential();
        let outcome = parameters.finish().map_err(|error| error.keys());
        assert!(has_credential || outcome.is_err());
        outcome.map(|()| credential)
    }

    #[tokio::test]
    async fn a_credential_is_a_json_object_or_its_text() {
        let object = Ok(serde_json::json!({ "id": "a" }));
        for (content_type, body) in [
            (JSON, r#"{"credential": {"id": "a"}}"#),
            (JSON, r#"{"credential": "{\"id\": \"a\"}"}"#),
            (FORM, "credential=%7B%22id%22%3A%22a%22%7D"),
        ] {
            assert_eq!(credential(content_type, body).await, object, "{body}");
        }
        // What is not JSON is for the operation to refuse.
        for (content_type, body) in [(FORM, "credential=%7B"), (JSON, r#"{"credential": "a"}"#)] {
            let null = Ok(serde_json::Value::Null);
            assert_eq!(credential(content_type, body).await, null, "{body}");
        }
        for (content_type, body, key) in [
            (JSON, "{}", "identity.session.missing_credential"),
            (
                JSON,
                r#"{"credential": null}"#,
                "identity.session.missing_credential",
            ),
            (FORM, "credential=+", "identity.session.empty_credential"),
            (JSON, r#"{"credential": []}"#, "request.malformed_body"),
        ] {
            assert_eq!(
                credential(content_type, body).await,
                rejected(key),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_value_is_the_same_in_each_media_type() {
        let value = Ok("a+b@c.d".to_owned());
        assert_eq!(email(FORM, "email=a%2Bb%40c.d").await, value);
        assert_eq!(email(JSON, r#"{"email": "a+b@c.d"}"#).await, value);
        assert_eq!(
            email(
                "multipart/form-data; boundary=x",
                multipart("\r\n\r\na+b@c.d")
            )
            .await,
            value
        );
        assert_eq!(
            email("Application/JSON; Charset=UTF-8", r#"{"email": "a+b@c.d"}"#).await,
            value
        );
        assert_eq!(
            email(
                "Multipart/Form-Data; boundary=\"x\"",
                multipart("\r\n\r\na+b@c.d")
            )
            .await,
            value
        );
    }

    #[tokio::test]
    async fn an_empty_body_of_any_media_type_is_an_empty_form() {
        for media_type in [FORM, JSON, "text/plain", ""] {
            assert_eq!(
                email(media_type, "").await,
                rejected("identity.user.missing_email"),
                "{media_type}"
            );
        }
        assert_eq!(
            email(JSON, " null\n").await,
            rejected("identity.user.missing_email")
        );
    }

    #[tokio::test]
    async fn a_json_number_or_boolean_is_the_text_of_its_characters() {
        for value in ["123456", "1.50", "-1e3", "12345678901234567890123", "true"] {
            assert_eq!(
                email(JSON, format!("{{\"email\": {value} }}")).await,
                Ok(value.to_owned())
            );
        }
    }

    #[tokio::test]
    async fn a_token_is_trimmed() {
        let form = Form(read_urlencoded(b"t=%0d%0a+abc%c2%a0%0a"));
        let mut parameters = form.parameters("m");
        assert_eq!(parameters.token("t"), "abc");
        parameters.finish().expect("no fault");
    }

    #[tokio::test]
    async fn fields_with_the_name_of_a_captcha_response_and_a_member_form_an_object() {
        let object = Some(r#"{"a":"1","b":"é"}"#);
        for (body, response, key) in [
            (
                "captcha_response[a]=1&captcha_response[b]=%c3%a9",
                object,
                None,
            ),
            (
                "captcha_response%5Ba%5D=1&captcha_response%5Bb%5D=%c3%a9",
                object,
                None,
            ),
            (
                "captcha_response[a]=0&captcha_response[b]=%c3%a9&captcha_response[a]=1",
                object,
                None,
            ),
            (
                "captcha_response=x&captcha_response[a]=1&captcha_response[b]=%c3%a9",
                object,
                None,
            ),
            ("captcha_response[a]=1&captcha_response=x", Some("x"), None),
            ("captcha_response[a=1&captcha_responsea]=1", None, None),
            (
                "captcha_response[]=1",
                None,
                Some("m.invalid_captcha_format"),
            ),
            (
                "captcha_response[a]=%ff&captcha_response[b]=1",
                None,
                Some("request.malformed_body"),
            ),
        ] {
            let mut parameters = Form(read_urlencoded(body.as_bytes())).parameters("m");
            let read = parameters.captcha_response().map(plain);
            let keys = parameters.finish().err().map(|error| error.keys());
            assert_eq!(read.as_deref(), response, "{body}");
            assert_eq!(keys, key.map(|key| vec![key.to_owned()]), "{body}");
        }
        let field = |name: &str, file: &str, value: &str| {
            format!(
                "--x\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
            )
        };
        for (file, response, key) in [
            ("", object, None),
            ("; filename=\"f\"", None, Some("m.invalid_captcha_format")),
        ] {
            let body = field("captcha_response[a]", file, "1")
                + &field("captcha_response[b]", "", "é")
                + "--x--\r\n";
            let form = read("multipart/form-data; boundary=x", body.as_bytes()).await;
            let mut parameters = form.expect("a form").parameters("m");
            let read = parameters.captcha_response().map(plain);
            let keys = parameters.finish().err().map(|error| error.keys());
            assert_eq!(read.as_deref(), response);
            assert_eq!(keys, key.map(|key| vec![key.to_owned()]));
        }
    }

    fn plain(response: CaptchaResponse) -> String {
        match response {
            CaptchaResponse::Text(text) => text,
            CaptchaResponse::Object(object) => serde_json::Value::from(object).to_string(),
        }
    }

    #[tokio::test]
    async fn other_media_types_are_rejected() {
        for media_type in [
            "",
            "text/plain",
            "application/xml",
            "json",
            "application/json5",
        ] {
            assert_eq!(
                email(media_type, "email=x").await,
                rejected("request.unsupported_media_type"),
                "{media_type}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_match_its_media_type_is_malformed() {
        for body in [
            "{",
            "[]",
            "1",
            "\"x\"",
            "nul",
            "{\"email\":\"\\ud800\"}",
            "{\"email\":\"x\",\"other\":01}",
            "{\"email\":\"x\"} x",
            "email=x",
        ] {
            assert_eq!(
                email(JSON, body).await,
                rejected("request.malformed_body"),
                "{body}"
            );
        }
        assert_eq!(
            email(JSON, b"{\"email\":\"\xff\"}").await,
            rejected("request.malformed_body")
        );
        assert_eq!(
            email(JSON, "[".repeat(10_000)).await,
            rejected("request.malformed_body")
        );
        assert_eq!(
            email(FORM, "email=%ff").await,
            rejected("request.malformed_body")
        );
        assert_eq!(
            email(FORM, b"email=\xff").await,
            rejected("request.malformed_body")
        );
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=y",
        ] {
            assert_eq!(
                email(content_type, multipart("\r\n\r\nx")).await,
                rejected("request.malformed_body"),
                "{content_type}"
            );
        }
        assert_eq!(
            email("multipart/form-data; boundary=x", "--x\r\ncontent-disp").await,
            rejected("request.malformed_body")
        );
    }

    #[tokio::test]
    async fn a_value_that_is_not_text_is_malformed_and_null_is_absent() {
        for value in ["[]", "{}", "[\"x\"]"] {
            assert_eq!(
                email(JSON, format!("{{\"email\": {value}}}")).await,
                rejected("request.malformed_body"),
                "{value}"
            );
        }
        assert_eq!(
            email(JSON, r#"{"email": null}"#).await,
            rejected("identity.user.missing_email")
        );
        assert_eq!(
            email(
                "multipart/form-data; boundary=x",
                multipart("; filename=\"f\"\r\n\r\nx")
            )
            .await,
            rejected("request.malformed_body")
        );
    }

    #[tokio::test]
    async fn the_last_of_repeated_values_counts_and_unknown_parameters_are_ignored() {
        assert_eq!(
            email(FORM, "email=a&email=b&x=%ff&%ff=y&&=z&novalue").await,
            Ok("b".to_owned())
        );
        assert_eq!(
            email(JSON, r#"{"email":"a","x":[1,{"y":null}],"email":"b"}"#).await,
            Ok("b".to_owned())
        );
    }

    #[tokio::test]
    async fn a_body_of_more_than_16_kib_is_rejected() {
        let body = |length: usize| format!("email=a&x={}", "y".repeat(length - "email=a&x=".len()));
        assert_eq!(email(FORM, body(BODY_LIMIT)).await, Ok("a".to_owned()));
        assert_eq!(
            email(FORM, body(BODY_LIMIT + 1)).await,
            rejected("request.too_large")
        );
    }

    #[tokio::test]
    async fn missing_and_blank_parameters_are_reported_together_and_alone_in_declaration_order() {
        let form = read(
            FORM,
            format!("a=%20%09&otp={}", "x".repeat(LIMIT + 1)).as_bytes(),
        )
        .await
        .expect("a form");
        let mut parameters = form.parameters("m");
        let _ = (
            parameters.password("b"),
            parameters.password("a"),
            parameters.optional("otp"),
        );
        let error = parameters.finish().expect_err("an error");
        assert_eq!(
            (error.status().as_u16(), error.keys()),
            (400, vec!["m.missing_b".to_owned(), "m.empty_a".to_owned()])
        );
    }

    #[tokio::test]
    async fn lengths_are_counted_in_characters() {
        let body = |email: usize, password: usize, token: usize| {
            format!(
                "email={}&p={}&t={}",
                "é".repeat(email),
                "é".repeat(password),
                "é".repeat(token)
            )
        };
        for ((email, password, token), keys) in [
            ((254, 1024, 4096), None),
            ((255, 1024, 4096), Some(vec!["m.too_long_email"])),
            (
                (254, 1025, 4097),
                Some(vec!["m.too_long_p", "m.too_long_t"]),
            ),
        ] {
            let text = body(email, password, token);
            let form = Form(read_urlencoded(text.as_bytes()));
            let mut parameters = form.parameters("m");
            let _ = (
                parameters.email(),
                parameters.password("p"),
                parameters.token("t"),
            );
            let found = parameters.finish().err().map(|error| error.keys());
            assert_eq!(
                found,
                keys.map(|keys| keys.into_iter().map(ToOwned::to_owned).collect()),
                "{email} {password} {token}"
            );
        }
    }

    #[tokio::test]
    async fn a_flag_is_true_or_false() {
        let flag = async |value: &str| {
            let body = format!("{{\"remember\": {value}}}");
            let form = read(JSON, body.as_bytes()).await.expect("a form");
            let mut parameters = form.parameters("identity.session");
            let flag = parameters.flag("remember");
            parameters
                .finish()
                .map(|()| flag)
                .map_err(|error| error.keys())
        };
        for (value, expected) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("\"true\"", Some(true)),
            ("\"false\"", Some(false)),
            ("null", None),
            ("\" \"", None),
        ] {
            assert_eq!(flag(value).await, Ok(expected), "{value}");
        }
        for value in ["1", "0", "\"TRUE\"", "\" true\"", "\"yes\"", "\"on\""] {
            let expected = rejected("identity.session.invalid_remember");
            assert_eq!(flag(value).await, expected, "{value}");
        }
        let long = format!("\"{}\"", "x".repeat(1025));
        let expected = rejected("identity.session.too_long_remember");
        assert_eq!(flag(&long).await, expected);
        assert_eq!(flag("[]").await, rejected("request.malformed_body"));
    }

    #[tokio::test]
    async fn a_captcha_response_is_text_or_an_object() {
        let long = |length| format!("\"{}\"", "x".repeat(length));
        for (value, response, key) in [
            ("\"x\"", Some("x"), None),
            (&long(TOKEN_LIMIT), Some(&*"x".repeat(TOKEN_LIMIT)), None),
            (
                "{\"geetest_challenge\": 1}",
                Some("{\"geetest_challenge\":1}"),
                None,
            ),
            ("null", None, None),
            ("\" \"", None, None),
            ("1", None, Some("m.invalid_captcha_format")),
            ("[]", None, Some("m.invalid_captcha_format")),
            ("true", None, Some("m.invalid_captcha_format")),
            (
                &long(TOKEN_LIMIT + 1),
                None,
                Some("m.too_long_captcha_response"),
            ),
        ] {
            let form = read(
                JSON,
                format!("{{\"captcha_response\": {value}}}").as_bytes(),
            )
            .await
            .expect("a form");
            let mut parameters = form.parameters("m");
            let read = parameters.captcha_response().map(plain);
            let found = parameters
                .finish()
                .err()
                .map(|error| (error.status().as_u16(), error.keys()));
            assert_eq!(found, key.map(|key| (422, vec![key.to_owned()])), "{value}");
            if found.is_none() {
                assert_eq!(read.as_deref(), response);
            }
        }
    }

    #[test]
    fn a_password_is_not_trimmed() {
        let mut parameters = Form(read_urlencoded(b"password=+a%00b+")).parameters("m");
        assert_eq!(parameters.password("password").reveal(), " a\0b ");
    }
}

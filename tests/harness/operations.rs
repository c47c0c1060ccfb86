//! The operations with parameters, for rules that apply to each of them.

use super::{Latchkey, Request, Template, User};

/// An operation with parameters.
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    /// Whether it requires a session.
    pub signed_in: bool,
    /// Prefix of its error keys.
    pub module: &'static str,
    /// Its parameters in order, each with its greatest length in characters.
    pub parameters: &'static [(&'static str, usize)],
    /// The error keys for a request without parameters.
    pub missing: &'static [&'static str],
}

/// The limit of a parameter that only the size of the body limits.
pub const BODY: usize = usize::MAX;

pub const OPERATIONS: [Operation; 17] = [
    Operation {
        method: "POST",
        path: "/identity/password/validate",
        signed_in: false,
        module: "identity.general",
        parameters: &[("password", 1024)],
        missing: &["identity.general.missing_password"],
    },
    Operation {
        method: "POST",
        path: "/identity/sessions",
        signed_in: false,
        module: "identity.session",
        parameters: &[
            ("email", 254),
            ("password", 1024),
            ("captcha_response", 4096),
            ("otp_code", 1024),
            ("remember", 1024),
        ],
        missing: &[
            "identity.session.missing_email",
            "identity.session.missing_password",
        ],
    },
    Operation {
        method: "POST",
        path: "/identity/sessions/passkey",
        signed_in: false,
        module: "identity.session",
        parameters: &[("credential", BODY), ("state", 4096), ("remember", 1024)],
        missing: &[
            "identity.session.missing_credential",
            "identity.session.missing_state",
        ],
    },
    Operation {
        method: "POST",
        path: "/identity/users/password/generate_code",
        signed_in: false,
        module: "identity.user",
        parameters: &[("email", 254), ("lang", 1024), ("captcha_response", 4096)],
        missing: &["identity.user.missing_email"],
    },
    Operation {
        method: "POST",
        path: "/identity/users/password/confirm_code",
        signed_in: false,
        module: "identity.user",
        parameters: &[
            ("reset_password_token", 4096),
            ("password", 1024),
            ("confirm_password", 1024),
            ("lang", 1024),
        ],
        missing: &[
            "identity.user.missing_pass_token",
            "identity.user.missing_password",
            "identity.user.missing_confirm_password",
        ],
    },
    Operation {
        method: "POST",
        path: "/identity/users/email/generate_code",
        signed_in: false,
        module: "identity.user",
        parameters: &[("email", 254), ("lang", 1024), ("captcha_response", 4096)],
        missing: &["identity.user.missing_email"],
    },
    Operation {
        method: "POST",
        path: "/identity/users/email/confirm_code",
        signed_in: false,
        module: "identity.user",
        parameters: &[("token", 4096), ("password", 1024), ("lang", 1024)],
        missing: &["identity.user.missing_token"],
    },
    Operation {
        method: "POST",
        path: "/identity/users",
        signed_in: false,
        module: "identity.user",
        parameters: &[
            ("email", 254),
            ("password", 1024),
            ("refid", 1024),
            ("lang", 1024),
            ("captcha_response", 4096),
            ("data", 1024),
        ],
        missing: &[
            "identity.user.missing_email",
            "identity.user.missing_password",
        ],
    },
    Operation {
        method: "PUT",
        path: "/resource/users/me",
        signed_in: true,
        module: "resource.user",
        parameters: &[("data", 1024)],
        missing: &["resource.user.missing_data"],
    },
    Operation {
        method: "POST",
        path: "/resource/labels",
        signed_in: true,
        module: "resource.labels",
        parameters: &[("key", 1024), ("value", 1024)],
        missing: &[
            "resource.labels.missing_key",
            "resource.labels.missing_value",
        ],
    },
    Operation {
        method: "PATCH",
        path: "/resource/labels/none",
        signed_in: true,
        module: "resource.labels",
        parameters: &[("value", 1024)],
        missing: &["resource.labels.missing_value"],
    },
    Operation {
        method: "POST",
        path: "/resource/passkeys",
        signed_in: true,
        module: "resource.passkey",
        parameters: &[("credential", BODY), ("state", 4096), ("name", 64)],
        missing: &[
            "resource.passkey.missing_credential",
            "resource.passkey.missing_state",
        ],
    },
    Operation {
        method: "PATCH",
        path: "/resource/passkeys/none",
        signed_in: true,
        module: "resource.passkey",
        parameters: &[("name", 64)],
        missing: &["resource.passkey.missing_name"],
    },
    Operation {
        method: "PUT",
        path: "/resource/users/password",
        signed_in: true,
        module: "resource.user",
        parameters: &[
            ("old_password", 1024),
            ("new_password", 1024),
            ("confirm_password", 1024),
        ],
        missing: &[
            "resource.user.missing_old_password",
            "resource.user.missing_new_password",
            "resource.user.missing_confirm_password",
        ],
    },
    Operation {
        method: "POST",
        path: "/resource/users/email",
        signed_in: true,
        module: "resource.user",
        parameters: &[
            ("email", 254),
            ("password", 1024),
            ("otp_code", 1024),
            ("lang", 1024),
        ],
        missing: &[
            "resource.user.missing_email",
            "resource.user.missing_password",
        ],
    },
    Operation {
        method: "POST",
        path: "/resource/users/email/confirm",
        signed_in: true,
        module: "resource.user",
        parameters: &[("token", 4096)],
        missing: &["resource.user.missing_token"],
    },
    Operation {
        method: "DELETE",
        path: "/resource/users/me",
        signed_in: true,
        module: "resource.user",
        parameters: &[("password", 1024), ("otp_code", 1024)],
        missing: &["resource.user.missing_password"],
    },
];

/// Method and path of every operation that requires a session, with values for path parameters.
pub fn signed_in_operations() -> Vec<(String, String)> {
    let routes = Template::read()
        .functions
        .into_iter()
        .flat_map(|function| function.routes);
    let signed_in = routes.filter(|(_, path)| path.starts_with("/resource/"));
    signed_in
        .map(|(method, path)| {
            (
                method,
                path.replace("{topic}", "all")
                    .replace("{id}", "none")
                    .replace("{key}", "none"),
            )
        })
        .collect()
}

impl Operation {
    /// A request of the operation, with the user's session where it requires one.
    pub fn request(&self, latchkey: &Latchkey, user: &User) -> Request {
        self.request_with(latchkey, user, "")
    }

    /// [`Operation::request`] with a query string.
    pub fn request_with(&self, latchkey: &Latchkey, user: &User, query: &str) -> Request {
        let path = format!("{}{query}", self.path);
        if self.signed_in {
            latchkey.by(user, self.method, &path)
        } else {
            latchkey.request(self.method.parse().unwrap(), &path)
        }
    }

    /// Well-formed values of all parameters, for a request that opens no session and changes no
    /// password or label. The address must have an account; the password is wrong and the token is not a
    /// token.
    pub fn harmless(&self, email: &str) -> Vec<(&'static str, String)> {
        let value = |name: &str| match name {
            "email" => email.to_owned(),
            "password" | "old_password" | "new_password" | "confirm_password" => {
                "Wrong-Horse-7-Battery".to_owned()
            }
            "lang" => "en".to_owned(),
            "data" | "credential" => "{}".to_owned(),
            "key" => "email".to_owned(),
            "value" => "-".to_owned(),
            "reset_password_token" | "token" | "state" => "token".to_owned(),
            "name" => "Laptop".to_owned(),
            _ => String::new(),
        };
        self.parameters
            .iter()
            .map(|(name, _)| (*name, value(name)))
            .collect()
    }

    /// [`Operation::harmless`] with another value of one parameter.
    pub fn harmless_but(
        &self,
        email: &str,
        parameter: &str,
        value: &str,
    ) -> Vec<(&'static str, String)> {
        let mut fields = self.harmless(email);
        fields
            .iter_mut()
            .filter(|(name, _)| *name == parameter)
            .for_each(|(_, harmless)| value.clone_into(harmless));
        fields
    }
}

/// Fields as [`Request::form`] accepts them.
pub fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

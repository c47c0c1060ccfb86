//! The operations that take parameters, for the rules that hold for each of them.

/// An operation that takes parameters.
pub struct Operation {
    pub path: &'static str,
    /// What its keys begin with.
    pub module: &'static str,
    /// Its parameters and the most characters of each, in their order.
    pub parameters: &'static [(&'static str, usize)],
    /// What it answers when nothing is given.
    pub missing: &'static [&'static str],
}

pub const OPERATIONS: [Operation; 7] = [
    Operation {
        path: "/identity/password/validate",
        module: "identity.general",
        parameters: &[("password", 1024)],
        missing: &["identity.general.missing_password"],
    },
    Operation {
        path: "/identity/sessions",
        module: "identity.session",
        parameters: &[("email", 254), ("password", 1024), ("captcha_response", 4096), ("otp_code", 1024)],
        missing: &["identity.session.missing_email", "identity.session.missing_password"],
    },
    Operation {
        path: "/identity/users/password/generate_code",
        module: "identity.user",
        parameters: &[("email", 254), ("lang", 1024), ("captcha_response", 4096)],
        missing: &["identity.user.missing_email"],
    },
    Operation {
        path: "/identity/users/password/confirm_code",
        module: "identity.user",
        parameters: &[("reset_password_token", 4096), ("password", 1024), ("confirm_password", 1024), ("lang", 1024)],
        missing: &[
            "identity.user.missing_pass_token",
            "identity.user.missing_password",
            "identity.user.missing_confirm_password",
        ],
    },
    Operation {
        path: "/identity/users/email/generate_code",
        module: "identity.user",
        parameters: &[("email", 254), ("lang", 1024), ("captcha_response", 4096)],
        missing: &["identity.user.missing_email"],
    },
    Operation {
        path: "/identity/users/email/confirm_code",
        module: "identity.user",
        parameters: &[("token", 4096), ("lang", 1024)],
        missing: &["identity.user.missing_token"],
    },
    Operation {
        path: "/identity/users",
        module: "identity.user",
        parameters: &[
            ("email", 254),
            ("password", 1024),
            ("refid", 1024),
            ("lang", 1024),
            ("captcha_response", 4096),
            ("data", 1024),
        ],
        missing: &["identity.user.missing_email", "identity.user.missing_password"],
    },
];

impl Operation {
    /// Values of all parameters that are well-formed, and open nothing: the address has an account and the token is none.
    pub fn harmless(&self, email: &str) -> Vec<(&'static str, String)> {
        let value = |name: &str| match name {
            "email" => email.to_owned(),
            "password" | "confirm_password" => "Wrong-Horse-7-Battery".to_owned(),
            "lang" => "en".to_owned(),
            "data" => "{}".to_owned(),
            "reset_password_token" | "token" => "token".to_owned(),
            _ => String::new(),
        };
        self.parameters.iter().map(|(name, _)| (*name, value(name))).collect()
    }

    /// The same, but for one of them.
    pub fn harmless_but(&self, email: &str, parameter: &str, value: &str) -> Vec<(&'static str, String)> {
        let mut fields = self.harmless(email);
        fields.iter_mut().filter(|(name, _)| *name == parameter).for_each(|(_, harmless)| value.clone_into(harmless));
        fields
    }
}

/// Fields as requests take them.
pub fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

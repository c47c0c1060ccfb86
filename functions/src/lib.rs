//! The endpoints of Latchkey, one per file. Each file has the order dependencies, input, handler,
//! parsing.
//!
//! `src/bin/<operation>.rs` builds the dependencies of the endpoint and serves it.

pub mod access {
    pub mod auth;
    pub mod authorize;
    pub mod discovery;
    pub mod jwks;
}
pub mod account {
    pub mod erase;
}
pub mod captcha {
    pub mod register_geetest;
}
pub mod email {
    pub mod change;
    pub mod confirm_change;
    pub mod confirm_code;
    pub mod generate_code;
}
pub mod general {
    pub mod configs;
    pub mod ping;
    pub mod time;
    pub mod version;
}
pub mod label {
    pub mod change;
    pub mod create;
    pub mod delete;
    pub mod list;
    pub mod show;
    pub mod update;
}
pub mod mail {
    mod address;
    mod failure;
    pub mod feedback;
    pub mod render;
    pub mod send;
}
pub mod manage {
    mod administration;
    mod change;
    mod create;
    mod export;
    mod fields;
    mod import;
    mod label;
    mod otp_secrets;
    mod rekey;
    mod reseal;
    mod search;
    mod user_record;
    pub mod users;
}
pub mod otp {
    mod barcode;
    mod code;
    pub mod disable;
    pub mod enable;
    pub mod generate_qrcode;
    pub mod recovery_codes;
    pub mod verify;
}
pub mod pages {
    mod advice;
    mod language;
    pub mod serve;
}
pub mod passkey {
    pub(crate) mod check;
    pub mod create;
    pub mod create_options;
    pub mod delete;
    pub mod list;
    pub mod related_origins;
    pub mod sign_in;
    pub mod sign_in_options;
    pub mod update;
}
pub mod password {
    pub mod change;
    pub mod confirm_code;
    pub mod generate_code;
    pub mod validate;
}
pub mod session {
    pub mod create;
    mod create_second_factor;
    pub mod delete;
    pub mod end;
    pub mod end_others;
    pub mod list;
    pub mod reauthenticate;
    pub(crate) mod view;
}
pub mod texts;
pub mod user {
    pub mod activity;
    pub mod api_keys;
    pub mod close;
    pub mod create;
    pub mod credentials;
    pub mod export;
    pub mod me;
    pub mod update;
}

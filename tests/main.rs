//! End-to-end tests: over HTTP, through the real binaries, against DynamoDB's API.
//!
//! The tree mirrors `functions/src`. The modules at the top level test rules of every operation
//! ([`request`], [`hostile`], [`authentication`], [`session_cookies`], [`session_binding`],
//! [`cross_site`], [`cdn`], [`device_cookies`], [`pending`], [`secrets`], [`published_keys`],
//! [`rotation`], [`config`]) and the
//! consistency of the parts ([`template`], [`monitoring`], [`documents`], [`events`],
//! [`emulator`], [`stack`]).

#![expect(
    clippy::too_many_lines,
    reason = "a scenario or a table of cases is easier to follow in one piece"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails if a step fails"
)]

mod harness;

mod access {
    mod auth;
    mod authorize;
    mod discovery;
    mod envoy;
    mod jwks;
    mod nginx;
    mod nginx_baseapp;
    mod operator_keys;
    mod services;
}
mod account {
    mod erase;
}
mod captcha {
    mod operations;
    mod providers;
    mod register_geetest;
}
mod email {
    mod change;
    mod confirm_change;
    mod confirm_change_races;
    mod confirm_code;
    mod generate_code;
}
mod faults {
    mod contention;
    mod frozen;
    mod lost_answers;
    mod run;
    mod services;
    mod types;
}
mod general {
    mod configs;
    mod ping;
    mod time;
    mod version;
}
mod label {
    mod create;
    mod delete;
    mod list;
    mod show;
    mod update;
}
mod mail {
    mod delivery;
    mod feedback;
    mod refused;
    mod send;
}
mod manage {
    mod change;
    mod create;
    mod delete;
    mod import;
    mod labels;
    mod program;
    pub mod rekey;
    mod reseal;
    mod search;
    pub mod users;
}
mod otp {
    mod disable;
    mod enable;
    mod generate_qrcode;
    mod recovery;
    mod recovery_codes;
    mod rules;
    mod sealing;
    mod story;
    mod verify;
}
mod pages {
    mod accessibility;
    mod browser;
    mod browser_authentication;
    mod browser_closing;
    mod browser_email;
    mod browser_forms;
    mod browser_passkeys;
    mod browser_passkeys_settings;
    mod serve;
}
mod passkey {
    mod create;
    mod create_options;
    mod create_races;
    mod delete;
    mod lifetime;
    mod list;
    mod other_authenticator;
    mod related_origins;
    mod sign_in;
    mod sign_in_copies;
    mod sign_in_options;
    mod update;
}
mod password {
    mod breached;
    mod change;
    mod change_limit;
    mod confirm_code;
    mod confirm_code_tokens;
    mod generate_code;
    mod guessable;
    mod validate;
}
mod pipeline {
    mod aws;
    mod deploy;
    mod environment;
    mod programs;
    mod release;
    mod role;
    mod smoke;
    mod stack;
    mod workflow;
}
mod session {
    mod create;
    mod create_imported;
    mod create_notice;
    mod create_otp;
    mod create_remember;
    mod delete;
    mod end;
    mod end_others;
    mod list;
    mod reauthenticate;
    mod reauthenticate_passkey;
}
mod user {
    mod activity;
    mod api_keys;
    mod close;
    mod create;
    mod create_addresses;
    mod create_fields;
    mod export;
    mod me;
    mod update;
}

mod authentication;
mod cdn;
mod config;
mod cors;
mod cost;
mod cross_site;
mod device_cookies;
mod device_cookies_codes;
mod documents;
mod earlier_keys;
mod emulator;
mod events;
mod hostile;
mod hostile_bodies;
mod limits;
mod monitoring;
mod openapi;
mod pending;
mod published_keys;
mod request;
mod request_limits;
mod rotation;
mod schemathesis;
mod secrets;
mod session_binding;
mod session_cookies;
mod stack;
mod telemetry;
mod template;
mod trust;

//! Rendering of mails: the texts of a language in `templates/mail.html` and `templates/mail.txt`.

use askama::Template;
use shared::{
    config::SupportUrl,
    domain::{language::Language, mail::ReportedClient, user_agent::Device},
};
use time::OffsetDateTime;

use crate::texts::{self, Link, Mails, Notice};

/// The content of a mail.
pub enum Content<'a> {
    /// A mail with a link that is valid for `life` seconds, to the address `email`.
    Link {
        text: &'a Link,
        email: &'a str,
        link: &'a str,
        life: u64,
    },
    /// A notice of an event at the Unix time `at`.
    Notice {
        text: &'a Notice,
        at: i64,
        /// The page on which the recipient requests a reset of the password; `None` if that would
        /// not help.
        reset_page: Option<&'a str>,
        support: Option<&'a SupportUrl>,
        /// The client that caused the event, if the notice describes it.
        client: Option<&'a ReportedClient>,
    },
}

/// What every mail shows of the application.
#[derive(Clone, Copy)]
pub struct Brand<'a> {
    pub name: &'a str,
    pub logo: Option<&'a str>,
}

/// A rendered mail.
pub struct Mail {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// The values of the templates.
struct View<'a> {
    brand: Brand<'a>,
    language: Language,
    subject: String,
    preheader: String,
    heading: String,
    texts: &'static Mails,
    lead: String,
    note: String,
    body: Body<'a>,
}

/// The values that differ between mails with a link and notices.
enum Body<'a> {
    Link {
        ask: &'a str,
        action: &'a str,
        link: &'a str,
        life: String,
    },
    Notice {
        at: String,
        consequence: String,
        reset_page: Option<&'a str>,
        support: Option<&'a SupportUrl>,
        /// The labels and values of the device and its address.
        client: Vec<(&'a str, String)>,
    },
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    mail: &'a View<'a>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    mail: &'a View<'a>,
}

/// Renders a mail. Fails if a time is out of the range of the calendar.
pub fn render(
    content: &Content<'_>,
    language: Language,
    brand: Brand<'_>,
) -> Result<Mail, askama::Error> {
    let app_name = brand.name;
    let texts = texts::mails(language);
    let mail = match *content {
        Content::Link {
            text,
            email,
            link,
            life,
        } => {
            let life = duration(life, texts);
            let values = [("app", app_name), ("email", email), ("life", &life)];
            let fill = |words| fill(words, &values);
            View {
                brand,
                language,
                subject: one_line(&fill(text.subject)),
                preheader: fill(texts.life_preheader),
                heading: fill(text.heading),
                texts,
                lead: fill(text.lead),
                note: fill(text.note),
                body: Body::Link {
                    ask: text.ask,
                    action: text.action,
                    link,
                    life: fill(texts.life),
                },
            }
        }
        Content::Notice {
            text,
            at,
            reset_page,
            support,
            client,
        } => {
            let fill = |words| fill(words, &[("app", app_name)]);
            View {
                brand,
                language,
                subject: one_line(&fill(text.subject)),
                preheader: fill(text.preheader),
                heading: fill(text.heading),
                texts,
                lead: fill(text.lead),
                note: fill(text.note),
                body: Body::Notice {
                    at: utc(at)?,
                    consequence: fill(text.consequence),
                    reset_page,
                    support,
                    client: client.map_or_else(Vec::new, |client| facts(client, language)),
                },
            }
        }
    };
    let text = Text { mail: &mail }.render()?;
    let html = Html { mail: &mail }.render()?;
    Ok(Mail {
        subject: mail.subject,
        text,
        html,
    })
}

/// The device and the address of a client, with their labels. What is unknown is left out.
fn facts(client: &ReportedClient, language: Language) -> Vec<(&'static str, String)> {
    let texts = texts::mails(language);
    let hints = texts::hints(language);
    let device = match Device::of(&client.user_agent) {
        Device {
            browser: Some(browser),
            system: Some(system),
        } => fill(hints.device, &[("browser", browser), ("system", system)]),
        Device {
            browser: Some(name),
            system: None,
        }
        | Device {
            browser: None,
            system: Some(name),
        } => name.to_owned(),
        Device {
            browser: None,
            system: None,
        } => hints.unknown_device.to_owned(),
    };
    let address = Some((texts.address, client.address.clone()));
    [(texts.device, device)]
        .into_iter()
        .chain(address.filter(|(_, address)| !address.is_empty()))
        .collect()
}

/// Replaces placeholders such as `{app}`. Braces within the values are not placeholders.
fn fill(words: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = words;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        let value = values.iter().find(|(known, _)| *known == name);
        filled += before;
        filled += value.map_or("", |(_, value)| value);
        rest = after;
    }
    filled + rest
}

/// A label and its value on one line. A full-width colon needs no space.
fn labelled(label: &str, value: &str) -> String {
    let space = if label.ends_with('：') { "" } else { " " };
    format!("{label}{space}{value}")
}

/// A line break in the name of the application would end the subject or inject a header.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || c.is_whitespace();
    let words: Vec<_> = text.split(breaks).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// A Unix time as date, time and time zone.
fn utc(at: i64) -> Result<String, askama::Error> {
    let at = OffsetDateTime::from_unix_timestamp(at).map_err(askama::Error::custom)?;
    let date = at.date();
    let hour = at.hour();
    let minute = at.minute();
    Ok(format!("{date} {hour:02}:{minute:02} UTC"))
}

/// A duration in words: in hours if they are whole, else in minutes, rounded down, so that a link is
/// never valid for less than its mail states.
fn duration(seconds: u64, texts: &Mails) -> String {
    if seconds.is_multiple_of(3600) {
        texts.hours.counted(seconds / 3600)
    } else {
        texts.minutes.counted(seconds / 60)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LINK: &str = "https://id.example.com/accounts/password_reset?reset_token=abc.def-_";
    const LATCHKEY: Brand<'_> = Brand {
        name: "Latchkey",
        logo: None,
    };
    const EMAIL: &str = "jane@example.com";
    const RESET_PAGE: &str = "https://id.example.com/accounts/password_reset?lang=en";
    /// 2026-11-22 19:26:40 UTC
    const AT: i64 = 1_795_375_600;

    const KINDS: usize = 19;

    /// A mail of every kind. A kind that is missing here does not compile.
    fn contents<'a>(
        language: Language,
        link: &'a str,
        support: Option<&'a SupportUrl>,
    ) -> [Content<'a>; KINDS] {
        let Mails {
            hours: _,
            minutes: _,
            greeting: _,
            life: _,
            life_preheader: _,
            fallback: _,
            time: _,
            device: _,
            address: _,
            reset: _,
            support: _,
            password_reset,
            confirmation,
            email_change,
            email_change_requested,
            email_changed,
            password_changed,
            password_changed_otp_removed,
            password_changed_passkeys_removed,
            password_changed_otp_and_passkeys_removed,
            otp_enabled,
            otp_disabled,
            password_known,
            recovery_code_used,
            recovery_codes_replaced,
            passkey_added,
            passkey_removed,
            passkey_clone_suspected,
            account_closed,
            new_sign_in,
        } = texts::mails(language);
        let life = 3600;
        let notice = |text| Content::Notice {
            text,
            at: AT,
            reset_page: Some(RESET_PAGE),
            support,
            client: None,
        };
        [
            Content::Link {
                text: password_reset,
                email: EMAIL,
                link,
                life,
            },
            Content::Link {
                text: confirmation,
                email: EMAIL,
                link,
                life,
            },
            Content::Link {
                text: email_change,
                email: EMAIL,
                link,
                life,
            },
            notice(email_change_requested),
            Content::Notice {
                text: email_changed,
                at: AT,
                reset_page: None,
                support,
                client: None,
            },
            notice(password_changed),
            notice(password_changed_otp_removed),
            notice(password_changed_passkeys_removed),
            notice(password_changed_otp_and_passkeys_removed),
            notice(otp_enabled),
            notice(otp_disabled),
            notice(password_known),
            notice(recovery_code_used),
            notice(recovery_codes_replaced),
            notice(passkey_added),
            notice(passkey_removed),
            notice(passkey_clone_suspected),
            notice(account_closed),
            notice(new_sign_in),
        ]
    }

    fn every_mail(link: &str, app_name: &str, mut look: impl FnMut(&Content<'_>, Language, Mail)) {
        let support = SupportUrl::parse("mailto:help@id.example.com").unwrap();
        for language in Language::ALL {
            for support in [None, Some(&support)] {
                for content in contents(language, link, support) {
                    let brand = Brand {
                        name: app_name,
                        logo: None,
                    };
                    let mail = render(&content, language, brand).unwrap();
                    look(&content, language, mail);
                }
            }
        }
    }

    #[test]
    fn every_part_of_a_mail_contains_its_facts() {
        every_mail(LINK, "Latchkey", |content, language, mail| {
            let life = duration(3600, texts::mails(language));
            let facts = match content {
                Content::Link { .. } => vec!["Latchkey", LINK, &life],
                Content::Notice {
                    reset_page,
                    support,
                    ..
                } => {
                    let mut facts = vec!["Latchkey", "2026-11-22 19:26 UTC"];
                    facts.extend(*reset_page);
                    facts.extend(support.map(SupportUrl::label));
                    facts
                }
            };
            for fact in facts {
                assert!(mail.text.contains(fact), "{fact}: {}", mail.text);
                assert!(mail.html.contains(fact), "{fact}: {}", mail.html);
            }
            assert!(mail.subject.contains("Latchkey"), "{}", mail.subject);
            for part in [&mail.subject, &mail.text] {
                assert!(!part.contains(['{', '}']), "{part}");
            }
            let body = mail.html.split("</style>").nth(1).unwrap();
            assert!(!body.contains(['{', '}']), "{body}");
        });
    }

    #[test]
    fn a_mail_that_confirms_an_address_names_it_in_every_language() {
        for language in Language::ALL {
            let texts = texts::mails(language);
            for text in [&texts.confirmation, &texts.email_change] {
                let content = Content::Link {
                    text,
                    email: "o'hara&co@example.com",
                    link: LINK,
                    life: 3600,
                };
                let mail = render(&content, language, LATCHKEY).unwrap();
                assert!(mail.text.contains("o'hara&co@example.com"), "{}", mail.text);
                let escaped = "o&#39;hara&#38;co@example.com";
                assert!(mail.html.contains(escaped), "{}", mail.html);
            }
        }
    }

    #[test]
    fn a_notice_to_a_previous_address_has_no_link_to_reset_the_password() {
        for language in Language::ALL {
            let texts = texts::mails(language);
            let content = Content::Notice {
                text: &texts.email_changed,
                at: AT,
                reset_page: None,
                support: None,
                client: None,
            };
            let mail = render(&content, language, LATCHKEY).unwrap();
            for part in [&mail.text, &mail.html] {
                assert!(
                    !part.contains(texts.reset) && !part.contains("href="),
                    "{part}"
                );
            }
        }
    }

    #[test]
    fn a_notice_of_a_sign_in_names_the_device_and_its_address() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36";
        for (user_agent, address, expected) in [
            (
                chrome,
                "192.0.2.7",
                "Gerät: Chrome auf Windows\nIP-Adresse: 192.0.2.7\n",
            ),
            (
                "curl/8",
                "2001:db8::7",
                "Gerät: curl\nIP-Adresse: 2001:db8::7\n",
            ),
            ("<b>", "", "Gerät: Unbekanntes Gerät\n"),
        ] {
            let client = ReportedClient {
                address: address.to_owned(),
                user_agent: user_agent.to_owned(),
            };
            let content = Content::Notice {
                text: &texts::mails(Language::De).new_sign_in,
                at: AT,
                reset_page: Some(RESET_PAGE),
                support: None,
                client: Some(&client),
            };
            let mail = render(&content, Language::De, LATCHKEY).unwrap();
            assert!(mail.text.contains(expected), "{}", mail.text);
            for line in expected.lines() {
                let (_, value) = line.split_once(": ").unwrap();
                assert!(mail.html.contains(value), "{}", mail.html);
            }
            assert!(!mail.html.contains("<b>"), "{}", mail.html);
        }
    }

    #[test]
    fn the_logo_is_an_image_without_a_name_beside_the_name_of_the_application() {
        let logo = "https://cdn.example.com/logo.png?a=1&b=2";
        for content in contents(Language::En, LINK, None) {
            let with = |logo| {
                let brand = Brand { logo, ..LATCHKEY };
                render(&content, Language::En, brand).unwrap().html
            };
            assert!(!with(None).contains("<img"));
            let html = with(Some(logo));
            assert!(
                html.contains(r#"src="https://cdn.example.com/logo.png?a=1&#38;b=2" alt="""#),
                "{html}"
            );
        }
    }

    #[test]
    fn a_notice_names_the_support_only_if_it_is_configured() {
        every_mail(LINK, "Latchkey", |content, language, mail| {
            let is_named = matches!(
                content,
                Content::Notice {
                    support: Some(_),
                    ..
                }
            );
            let label = texts::mails(language).support;
            let href = "href=\"mailto:help@id.example.com\"";
            assert_eq!(mail.html.contains(href), is_named, "{}", mail.html);
            let line = format!("{label}\nhelp@id.example.com\n");
            assert_eq!(mail.text.contains(&line), is_named, "{}", mail.text);
        });
    }

    #[test]
    fn the_parts_of_a_mail_have_the_same_text_in_one_language() {
        let mut subjects = HashSet::new();
        every_mail(LINK, "Latchkey", |_, language, mail| {
            let Mail {
                subject,
                text,
                html,
            } = mail;
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
            assert!(html.contains(&format!("<title>{subject}</title>")));
            // Only the line with the link or the time differs: HTML shows it as a button or a box.
            let only_in_text: Vec<_> = text.lines().filter(|line| !html.contains(line)).collect();
            assert_eq!(only_in_text.len(), 1, "{only_in_text:?}");
            subjects.insert(subject);
        });
        assert_eq!(subjects.len(), KINDS * Language::ALL.len());
    }

    #[test]
    fn a_subject_is_one_line_for_any_name_of_the_application() {
        let app_name = "Latch\r\nBcc: a@example.com\u{2028}\u{85}\tkey\n";
        every_mail(LINK, app_name, |_, _, Mail { subject, .. }| {
            assert!(
                subject.contains("Latch Bcc: a@example.com key"),
                "{subject}"
            );
            assert!(
                !subject.contains(|c: char| c.is_control() || c == '\u{2028}'),
                "{subject}"
            );
        });
    }

    #[test]
    fn values_are_escaped_in_html_only() {
        let link = "https://id.example.com/?a=1&b=\"<script>";
        let app_name = "<script>Lock & Key {life}</script>";
        every_mail(link, app_name, |content, _, mail| {
            // A placeholder in a value is not one.
            assert!(mail.subject.contains(app_name), "{}", mail.subject);
            assert!(mail.text.contains(app_name), "{}", mail.text);
            assert!(!mail.html.contains("<script") && !mail.html.contains("Lock & Key"));
            if matches!(content, Content::Link { .. }) {
                assert!(mail.text.contains(link));
                assert!(!mail.html.contains("a=1&b") && !mail.html.contains("b=\""));
            }
        });
    }

    #[test]
    fn a_support_url_is_escaped_in_html() {
        let support = SupportUrl::parse("https://help.example/?a=b&c=d").unwrap();
        for content in &contents(Language::En, LINK, Some(&support))[3..] {
            let mail = render(content, Language::En, LATCHKEY).unwrap();
            assert!(mail.text.contains(support.as_str()), "{}", mail.text);
            assert!(!mail.html.contains("a=b&c"), "{}", mail.html);
        }
    }

    #[test]
    fn a_time_out_of_the_range_of_the_calendar_is_an_error() {
        let content = Content::Notice {
            text: &texts::mails(Language::En).password_changed,
            at: i64::MAX,
            reset_page: Some(RESET_PAGE),
            support: None,
            client: None,
        };
        assert!(render(&content, Language::En, LATCHKEY).is_err());
    }
    #[test]
    fn a_duration_is_in_hours_if_they_are_whole() {
        let english = |seconds| duration(seconds, texts::mails(Language::En));
        assert_eq!(english(300), "5 minutes");
        assert_eq!(english(3600), "1 hour");
        assert_eq!(english(5400), "90 minutes");
        assert_eq!(english(7259), "120 minutes");
        assert_eq!(english(86400), "24 hours");
    }

    #[test]
    fn a_duration_agrees_with_its_number_in_every_language() {
        let hours = |language| {
            [1, 2, 5, 11, 21, 22, 24]
                .map(|hours| duration(hours * 3600, texts::mails(language)))
                .join(", ")
        };
        let minutes = |language| {
            [5, 11, 21, 32, 114]
                .map(|minutes| duration(minutes * 60, texts::mails(language)))
                .join(", ")
        };
        for (language, in_hours, in_minutes) in [
            (
                Language::En,
                "1 hour, 2 hours, 5 hours, 11 hours, 21 hours, 22 hours, 24 hours",
                "5 minutes, 11 minutes, 21 minutes, 32 minutes, 114 minutes",
            ),
            (
                Language::Ru,
                "1 час, 2 часа, 5 часов, 11 часов, 21 час, 22 часа, 24 часа",
                "5 минут, 11 минут, 21 минуту, 32 минуты, 114 минут",
            ),
            (
                Language::Uk,
                "1 годину, 2 години, 5 годин, 11 годин, 21 годину, 22 години, 24 години",
                "5 хвилин, 11 хвилин, 21 хвилину, 32 хвилини, 114 хвилин",
            ),
            (
                Language::Es,
                "1 hora, 2 horas, 5 horas, 11 horas, 21 horas, 22 horas, 24 horas",
                "5 minutos, 11 minutos, 21 minutos, 32 minutos, 114 minutos",
            ),
            (
                Language::Fr,
                "1 heure, 2 heures, 5 heures, 11 heures, 21 heures, 22 heures, 24 heures",
                "5 minutes, 11 minutes, 21 minutes, 32 minutes, 114 minutes",
            ),
            (
                Language::De,
                "1 Stunde, 2 Stunden, 5 Stunden, 11 Stunden, 21 Stunden, 22 Stunden, 24 Stunden",
                "5 Minuten, 11 Minuten, 21 Minuten, 32 Minuten, 114 Minuten",
            ),
            (
                Language::Pt,
                "1 hora, 2 horas, 5 horas, 11 horas, 21 horas, 22 horas, 24 horas",
                "5 minutos, 11 minutos, 21 minutos, 32 minutos, 114 minutos",
            ),
            (
                Language::Zh,
                "1 小时, 2 小时, 5 小时, 11 小时, 21 小时, 22 小时, 24 小时",
                "5 分钟, 11 分钟, 21 分钟, 32 分钟, 114 分钟",
            ),
        ] {
            assert_eq!(hours(language), in_hours);
            assert_eq!(minutes(language), in_minutes);
        }
    }
}

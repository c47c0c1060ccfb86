//! Rendering of mails from `templates/<kind>/<language>.{subject.txt,txt,html}`, compiled in.

use askama::Template;
use time::OffsetDateTime;

pub use shared::domain::language::Language;

/// The content of a mail, without its wording. `life` is the validity of the link in seconds, `at`
/// the Unix time of the reported event.
pub enum Content<'a> {
    /// A link to set a new password.
    PasswordReset { link: &'a str, life: u64 },
    /// The notice that the password was changed.
    PasswordChanged { at: i64 },
    /// The notice that the second factor was enabled.
    OtpEnabled { at: i64 },
    /// The notice that the second factor was disabled.
    OtpDisabled { at: i64 },
    /// The notice that sign-ins failed at the second factor, after the right password.
    PasswordKnown { at: i64 },
    /// The notice that a recovery code was used.
    RecoveryCodeUsed { at: i64 },
    /// The notice that new recovery codes replaced the previous ones.
    RecoveryCodesReplaced { at: i64 },
    /// The notice that a password reset also removed a second factor turned on shortly before.
    PasswordChangedOtpRemoved { at: i64 },
    /// A link to confirm an address.
    Confirmation { link: &'a str, life: u64 },
}

/// A rendered mail.
pub struct Mail {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Renders a mail. Fails if a time is out of the range of the calendar.
pub fn render(
    content: &Content<'_>,
    language: Language,
    app_name: &str,
) -> Result<Mail, askama::Error> {
    let link_mail = |link, life| LinkMail {
        app_name,
        language,
        link,
        life: duration(life, language),
    };
    let notice = |at| {
        utc(at).map(|at| Notice {
            app_name,
            language,
            at,
        })
    };
    match *content {
        Content::PasswordReset { link, life } => password_reset(&link_mail(link, life)),
        Content::PasswordChanged { at } => password_changed(&notice(at)?),
        Content::OtpEnabled { at } => otp_enabled(&notice(at)?),
        Content::OtpDisabled { at } => otp_disabled(&notice(at)?),
        Content::PasswordKnown { at } => password_known(&notice(at)?),
        Content::RecoveryCodeUsed { at } => recovery_code_used(&notice(at)?),
        Content::RecoveryCodesReplaced { at } => recovery_codes_replaced(&notice(at)?),
        Content::PasswordChangedOtpRemoved { at } => password_changed_otp_removed(&notice(at)?),
        Content::Confirmation { link, life } => confirmation(&link_mail(link, life)),
    }
}

/// The values for the template of a mail with a link.
struct LinkMail<'a> {
    app_name: &'a str,
    language: Language,
    link: &'a str,
    life: String,
}

/// The values for the template of a notice.
struct Notice<'a> {
    app_name: &'a str,
    language: Language,
    at: String,
}

/// Defines `fn $kind(&$Values)`, which renders the three files of the language. Each file is a
/// separate template, which the compiler checks against `$Values`. askama accepts a path only as a
/// literal, so every file is listed.
macro_rules! templates {
    ($kind:ident($Values:ident) { $($Language:ident: $subject:literal, $text:literal, $html:literal;)+ }) => {
        fn $kind(mail: &$Values<'_>) -> Result<Mail, askama::Error> {
            match mail.language {
                $(Language::$Language => {
                    #[derive(Template)]
                    #[template(path = $subject)]
                    struct Subject<'a> { mail: &'a $Values<'a> }

                    #[derive(Template)]
                    #[template(path = $text)]
                    struct Text<'a> { mail: &'a $Values<'a> }

                    #[derive(Template)]
                    #[template(path = $html)]
                    struct Html<'a> { mail: &'a $Values<'a>, subject: &'a str }

                    let subject = one_line(&Subject { mail }.render()?);
                    let text = Text { mail }.render()?;
                    let html = Html { mail, subject: &subject }.render()?;
                    Ok(Mail { subject, text, html })
                })+
            }
        }
    };
}

templates! {
    password_reset(LinkMail) {
        En: "password_reset/en.subject.txt", "password_reset/en.txt", "password_reset/en.html";
        Ru: "password_reset/ru.subject.txt", "password_reset/ru.txt", "password_reset/ru.html";
        Uk: "password_reset/uk.subject.txt", "password_reset/uk.txt", "password_reset/uk.html";
        Es: "password_reset/es.subject.txt", "password_reset/es.txt", "password_reset/es.html";
        Fr: "password_reset/fr.subject.txt", "password_reset/fr.txt", "password_reset/fr.html";
        De: "password_reset/de.subject.txt", "password_reset/de.txt", "password_reset/de.html";
        Pt: "password_reset/pt.subject.txt", "password_reset/pt.txt", "password_reset/pt.html";
        Zh: "password_reset/zh.subject.txt", "password_reset/zh.txt", "password_reset/zh.html";
    }
}

templates! {
    password_changed(Notice) {
        En: "password_changed/en.subject.txt", "password_changed/en.txt", "password_changed/en.html";
        Ru: "password_changed/ru.subject.txt", "password_changed/ru.txt", "password_changed/ru.html";
        Uk: "password_changed/uk.subject.txt", "password_changed/uk.txt", "password_changed/uk.html";
        Es: "password_changed/es.subject.txt", "password_changed/es.txt", "password_changed/es.html";
        Fr: "password_changed/fr.subject.txt", "password_changed/fr.txt", "password_changed/fr.html";
        De: "password_changed/de.subject.txt", "password_changed/de.txt", "password_changed/de.html";
        Pt: "password_changed/pt.subject.txt", "password_changed/pt.txt", "password_changed/pt.html";
        Zh: "password_changed/zh.subject.txt", "password_changed/zh.txt", "password_changed/zh.html";
    }
}

templates! {
    otp_enabled(Notice) {
        En: "otp_enabled/en.subject.txt", "otp_enabled/en.txt", "otp_enabled/en.html";
        Ru: "otp_enabled/ru.subject.txt", "otp_enabled/ru.txt", "otp_enabled/ru.html";
        Uk: "otp_enabled/uk.subject.txt", "otp_enabled/uk.txt", "otp_enabled/uk.html";
        Es: "otp_enabled/es.subject.txt", "otp_enabled/es.txt", "otp_enabled/es.html";
        Fr: "otp_enabled/fr.subject.txt", "otp_enabled/fr.txt", "otp_enabled/fr.html";
        De: "otp_enabled/de.subject.txt", "otp_enabled/de.txt", "otp_enabled/de.html";
        Pt: "otp_enabled/pt.subject.txt", "otp_enabled/pt.txt", "otp_enabled/pt.html";
        Zh: "otp_enabled/zh.subject.txt", "otp_enabled/zh.txt", "otp_enabled/zh.html";
    }
}

templates! {
    otp_disabled(Notice) {
        En: "otp_disabled/en.subject.txt", "otp_disabled/en.txt", "otp_disabled/en.html";
        Ru: "otp_disabled/ru.subject.txt", "otp_disabled/ru.txt", "otp_disabled/ru.html";
        Uk: "otp_disabled/uk.subject.txt", "otp_disabled/uk.txt", "otp_disabled/uk.html";
        Es: "otp_disabled/es.subject.txt", "otp_disabled/es.txt", "otp_disabled/es.html";
        Fr: "otp_disabled/fr.subject.txt", "otp_disabled/fr.txt", "otp_disabled/fr.html";
        De: "otp_disabled/de.subject.txt", "otp_disabled/de.txt", "otp_disabled/de.html";
        Pt: "otp_disabled/pt.subject.txt", "otp_disabled/pt.txt", "otp_disabled/pt.html";
        Zh: "otp_disabled/zh.subject.txt", "otp_disabled/zh.txt", "otp_disabled/zh.html";
    }
}

templates! {
    password_known(Notice) {
        En: "password_known/en.subject.txt", "password_known/en.txt", "password_known/en.html";
        Ru: "password_known/ru.subject.txt", "password_known/ru.txt", "password_known/ru.html";
        Uk: "password_known/uk.subject.txt", "password_known/uk.txt", "password_known/uk.html";
        Es: "password_known/es.subject.txt", "password_known/es.txt", "password_known/es.html";
        Fr: "password_known/fr.subject.txt", "password_known/fr.txt", "password_known/fr.html";
        De: "password_known/de.subject.txt", "password_known/de.txt", "password_known/de.html";
        Pt: "password_known/pt.subject.txt", "password_known/pt.txt", "password_known/pt.html";
        Zh: "password_known/zh.subject.txt", "password_known/zh.txt", "password_known/zh.html";
    }
}

templates! {
    recovery_code_used(Notice) {
        En: "recovery_code_used/en.subject.txt", "recovery_code_used/en.txt", "recovery_code_used/en.html";
        Ru: "recovery_code_used/ru.subject.txt", "recovery_code_used/ru.txt", "recovery_code_used/ru.html";
        Uk: "recovery_code_used/uk.subject.txt", "recovery_code_used/uk.txt", "recovery_code_used/uk.html";
        Es: "recovery_code_used/es.subject.txt", "recovery_code_used/es.txt", "recovery_code_used/es.html";
        Fr: "recovery_code_used/fr.subject.txt", "recovery_code_used/fr.txt", "recovery_code_used/fr.html";
        De: "recovery_code_used/de.subject.txt", "recovery_code_used/de.txt", "recovery_code_used/de.html";
        Pt: "recovery_code_used/pt.subject.txt", "recovery_code_used/pt.txt", "recovery_code_used/pt.html";
        Zh: "recovery_code_used/zh.subject.txt", "recovery_code_used/zh.txt", "recovery_code_used/zh.html";
    }
}

templates! {
    recovery_codes_replaced(Notice) {
        En: "recovery_codes_replaced/en.subject.txt", "recovery_codes_replaced/en.txt", "recovery_codes_replaced/en.html";
        Ru: "recovery_codes_replaced/ru.subject.txt", "recovery_codes_replaced/ru.txt", "recovery_codes_replaced/ru.html";
        Uk: "recovery_codes_replaced/uk.subject.txt", "recovery_codes_replaced/uk.txt", "recovery_codes_replaced/uk.html";
        Es: "recovery_codes_replaced/es.subject.txt", "recovery_codes_replaced/es.txt", "recovery_codes_replaced/es.html";
        Fr: "recovery_codes_replaced/fr.subject.txt", "recovery_codes_replaced/fr.txt", "recovery_codes_replaced/fr.html";
        De: "recovery_codes_replaced/de.subject.txt", "recovery_codes_replaced/de.txt", "recovery_codes_replaced/de.html";
        Pt: "recovery_codes_replaced/pt.subject.txt", "recovery_codes_replaced/pt.txt", "recovery_codes_replaced/pt.html";
        Zh: "recovery_codes_replaced/zh.subject.txt", "recovery_codes_replaced/zh.txt", "recovery_codes_replaced/zh.html";
    }
}

templates! {
    password_changed_otp_removed(Notice) {
        En: "password_changed_otp_removed/en.subject.txt", "password_changed_otp_removed/en.txt", "password_changed_otp_removed/en.html";
        Ru: "password_changed_otp_removed/ru.subject.txt", "password_changed_otp_removed/ru.txt", "password_changed_otp_removed/ru.html";
        Uk: "password_changed_otp_removed/uk.subject.txt", "password_changed_otp_removed/uk.txt", "password_changed_otp_removed/uk.html";
        Es: "password_changed_otp_removed/es.subject.txt", "password_changed_otp_removed/es.txt", "password_changed_otp_removed/es.html";
        Fr: "password_changed_otp_removed/fr.subject.txt", "password_changed_otp_removed/fr.txt", "password_changed_otp_removed/fr.html";
        De: "password_changed_otp_removed/de.subject.txt", "password_changed_otp_removed/de.txt", "password_changed_otp_removed/de.html";
        Pt: "password_changed_otp_removed/pt.subject.txt", "password_changed_otp_removed/pt.txt", "password_changed_otp_removed/pt.html";
        Zh: "password_changed_otp_removed/zh.subject.txt", "password_changed_otp_removed/zh.txt", "password_changed_otp_removed/zh.html";
    }
}

templates! {
    confirmation(LinkMail) {
        En: "confirmation/en.subject.txt", "confirmation/en.txt", "confirmation/en.html";
        Ru: "confirmation/ru.subject.txt", "confirmation/ru.txt", "confirmation/ru.html";
        Uk: "confirmation/uk.subject.txt", "confirmation/uk.txt", "confirmation/uk.html";
        Es: "confirmation/es.subject.txt", "confirmation/es.txt", "confirmation/es.html";
        Fr: "confirmation/fr.subject.txt", "confirmation/fr.txt", "confirmation/fr.html";
        De: "confirmation/de.subject.txt", "confirmation/de.txt", "confirmation/de.html";
        Pt: "confirmation/pt.subject.txt", "confirmation/pt.txt", "confirmation/pt.html";
        Zh: "confirmation/zh.subject.txt", "confirmation/zh.txt", "confirmation/zh.html";
    }
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

/// The plural forms of a noun.
enum Noun {
    /// Chinese: one form for all numbers.
    Any(&'static str),
    /// English, German and the Romance languages: 1, all other numbers.
    OneOther(&'static str, &'static str),
    /// East Slavic languages: numbers that end in 1, in 2 to 4, all others; 11 to 14 are others.
    OneFewMany(&'static str, &'static str, &'static str),
}

impl Noun {
    fn counted(&self, number: u64) -> String {
        let form = match self {
            Self::Any(any) => any,
            Self::OneOther(one, _) if number == 1 => one,
            Self::OneOther(_, other) => other,
            Self::OneFewMany(one, few, many) => match (number % 10, number % 100) {
                (_, 11..=14) => many,
                (1, _) => one,
                (2..=4, _) => few,
                _ => many,
            },
        };
        format!("{number} {form}")
    }
}

/// A duration in words, in the accusative if the language has cases: in hours if they are whole,
/// else in minutes, rounded down, so that a link is never valid for less than its mail states.
fn duration(seconds: u64, language: Language) -> String {
    use Noun::{Any, OneFewMany, OneOther};
    let (hours, minutes) = match language {
        Language::En => (OneOther("hour", "hours"), OneOther("minute", "minutes")),
        Language::Ru => (
            OneFewMany("час", "часа", "часов"),
            OneFewMany("минуту", "минуты", "минут"),
        ),
        Language::Uk => (
            OneFewMany("годину", "години", "годин"),
            OneFewMany("хвилину", "хвилини", "хвилин"),
        ),
        Language::Es | Language::Pt => (OneOther("hora", "horas"), OneOther("minuto", "minutos")),
        Language::Fr => (OneOther("heure", "heures"), OneOther("minute", "minutes")),
        Language::De => (OneOther("Stunde", "Stunden"), OneOther("Minute", "Minuten")),
        Language::Zh => (Any("小时"), Any("分钟")),
    };
    if seconds.is_multiple_of(3600) {
        hours.counted(seconds / 3600)
    } else {
        minutes.counted(seconds / 60)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LINK: &str = "https://id.example.com/accounts/password_reset?reset_token=abc.def-_";
    /// 2026-11-22 19:26:40 UTC
    const AT: i64 = 1_795_375_600;

    fn contents(link: &str) -> [Content<'_>; 9] {
        [
            Content::PasswordReset { link, life: 3600 },
            Content::PasswordChanged { at: AT },
            Content::OtpEnabled { at: AT },
            Content::OtpDisabled { at: AT },
            Content::PasswordKnown { at: AT },
            Content::RecoveryCodeUsed { at: AT },
            Content::RecoveryCodesReplaced { at: AT },
            Content::PasswordChangedOtpRemoved { at: AT },
            Content::Confirmation { link, life: 3600 },
        ]
    }

    fn every_mail(link: &str, app_name: &str, mut look: impl FnMut(&Content<'_>, Language, Mail)) {
        for language in Language::ALL {
            for content in contents(link) {
                let mail = render(&content, language, app_name).unwrap();
                look(&content, language, mail);
            }
        }
    }

    #[test]
    fn every_part_of_a_mail_contains_its_facts() {
        every_mail(LINK, "Latchkey", |content, language, mail| {
            let life = duration(3600, language);
            let facts = match content {
                Content::PasswordReset { .. } | Content::Confirmation { .. } => {
                    vec!["Latchkey", LINK, &life]
                }
                _ => vec!["Latchkey", "2026-11-22 19:26 UTC"],
            };
            for fact in facts {
                assert!(mail.text.contains(fact), "{fact}: {}", mail.text);
                assert!(mail.html.contains(fact), "{fact}: {}", mail.html);
            }
            assert!(mail.subject.contains("Latchkey"), "{}", mail.subject);
            for part in [&mail.subject, &mail.text, &mail.html] {
                assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
            }
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
            assert!(html.contains(&format!("<html lang=\"{}\">", language.as_str())));
            assert!(html.contains(&format!("<title>{subject}</title>")));
            // Only the line with the link or the time differs: HTML shows it as a button or a box.
            let only_in_text: Vec<_> = text.lines().filter(|line| !html.contains(line)).collect();
            assert_eq!(only_in_text.len(), 1, "{only_in_text:?}");
            assert!(subjects.insert(subject), "{text}");
        });
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
        every_mail(link, "<script>Lock & Key</script>", |content, _, mail| {
            assert!(mail.subject.contains("<script>Lock & Key</script>"));
            assert!(mail.text.contains("<script>Lock & Key</script>"));
            assert!(!mail.html.contains("<script") && !mail.html.contains("Lock & Key"));
            if matches!(
                content,
                Content::PasswordReset { .. } | Content::Confirmation { .. }
            ) {
                assert!(mail.text.contains(link));
                assert!(!mail.html.contains("a=1&b") && !mail.html.contains("b=\""));
            }
        });
    }

    #[test]
    fn a_time_out_of_the_range_of_the_calendar_is_an_error() {
        let content = Content::PasswordChanged { at: i64::MAX };
        assert!(render(&content, Language::En, "Latchkey").is_err());
    }

    #[test]
    fn a_duration_is_in_hours_if_they_are_whole() {
        assert_eq!(duration(300, Language::En), "5 minutes");
        assert_eq!(duration(3600, Language::En), "1 hour");
        assert_eq!(duration(5400, Language::En), "90 minutes");
        assert_eq!(duration(7259, Language::En), "120 minutes");
        assert_eq!(duration(86400, Language::En), "24 hours");
    }

    #[test]
    fn a_duration_agrees_with_its_number_in_every_language() {
        let hours = |language| {
            [1, 2, 5, 11, 21, 22, 24]
                .map(|hours| duration(hours * 3600, language))
                .join(", ")
        };
        let minutes = |language| {
            [5, 11, 21, 32, 114]
                .map(|minutes| duration(minutes * 60, language))
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

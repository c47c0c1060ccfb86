//! What reports the use of a recovery code to the owner of the account.

use crate::domain::{
    activity::{Action, Activity, Recorder},
    language::Language,
    mail::{Kind, QueuedMail},
    otp::{CodeKind, SecondFactor},
    user::User,
};

/// The activity and the notice of a used recovery code. They are stored together with its use.
#[derive(Clone, Debug)]
pub struct RecoveryCodeReport {
    /// The activity.
    pub activity: Activity,
    /// The notice to the user, if they may receive notices.
    pub notice: Option<QueuedMail>,
}

impl RecoveryCodeReport {
    /// The report of a verified code; `None` if it is a TOTP code.
    #[must_use]
    pub fn of(
        factor: &SecondFactor,
        user: &User,
        recorder: &Recorder<'_>,
        default_language: Language,
    ) -> Option<Self> {
        (factor.kind() == CodeKind::Recovery).then(|| {
            let language = user.mail_language(None, default_language);
            Self {
                activity: recorder.succeeded(&user.uid, Action::UseRecoveryCode),
                notice: QueuedMail::notice(Kind::RecoveryCodeUsed, user, language, recorder.now),
            }
        })
    }
}

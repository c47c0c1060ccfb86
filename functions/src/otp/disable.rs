//! `POST /resource/otp/disable`: turns the second factor off.

use shared::{
    Error,
    activity::Action,
    clock::Timestamp,
    gate::{Gate, SignedIn},
    http::{Body, Request, Response, StatusCode, empty},
    language::Language,
    mail::{Kind, QueuedMail},
    otp,
    password::{Hasher, Password},
    user::OtpSecret,
};

use super::code;

/// What it works with.
pub struct Disable {
    /// Lets in who is signed in.
    pub gate: Gate,
    /// Checks recovery codes.
    pub hasher: Hasher,
}

impl Disable {
    /// Deletes the secret and the recovery codes for who has a code of either, and queues a notice. Sessions go on: they were begun
    /// with more than is asked for from now on.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.gate.admit(&request, now).await?;
        let code = code::read(request).await?;
        let secret = signed_in.user.otp_secret.as_ref().ok_or(Error::OtpNotEnabled)?;
        let outcome = self.disable(&signed_in, secret, &code, now).await;
        if let Err(error @ Error::OtpRefused) = &outcome {
            let failed = signed_in.recorder(&self.gate.config, now).failed(&signed_in.user.uid, Action::DisableOtp, error);
            self.gate.store.record(&failed).await?;
        }
        outcome.map(|()| empty(StatusCode::OK))
    }

    async fn disable(&self, signed_in: &SignedIn, secret: &OtpSecret, code: &Password, now: Timestamp) -> Result<(), Error> {
        let (Gate { config, store, .. }, user) = (&self.gate, &signed_in.user);
        let check = otp::accepted(user, secret, code.reveal(), &self.hasher, now);
        let factor = code::checked(&self.gate, signed_in, now, check).await?;
        let language = Language::choose(None, user.data.as_deref(), config.default_language);
        let notice = QueuedMail::notice(Kind::OtpDisabled, (&user.uid, &user.email), language, now);
        let activity = signed_in.recorder(config, now).succeeded(&user.uid, Action::DisableOtp);
        if store.disable_otp(user, &factor, &notice, &activity).await? {
            return Ok(());
        }
        // Somebody was faster, with this code or with the same wish.
        let is_on = store.find_user(&user.email.key()).await?.is_some_and(|user| user.otp_secret.is_some());
        Err(if is_on { Error::OtpRefused } else { Error::OtpNotEnabled })
    }
}

//! `POST /resource/users/email/confirm`: changes the address of the account, with the token of a
//! mail to the new address.

use shared::{
    Error, FieldFault,
    config::{Accounts, Application},
    domain::{
        activity::Action,
        device::Device,
        mail::{Kind, QueuedMail},
    },
    http::{
        Body, DeviceTokens, Form, KnownDevices, Request, Response, StatusCode,
        authentication::{AuthenticatedSession, Authenticator},
        json, with_cookie,
    },
    platform::{clock::Timestamp, retry::Backoff},
    store::{EmailChangeConfirmation, EmailChangeOutcome},
    tokens::{key_provider::KeyProvider, signed_token::Purpose},
};

pub struct ConfirmChange {
    pub keys: KeyProvider,
    pub authenticator: Authenticator,
    pub accounts: Accounts,
    pub application: Application,
}

impl ConfirmChange {
    /// Moves the account to the new address, ends every other session, invalidates outstanding
    /// codes and sends a notice to the previous address. The token alone is not sufficient: a link
    /// that another person opens changes nothing. Of concurrent confirmations, exactly one succeeds.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let mut signed_in = self.authenticator.authenticate(&request, now).await?;
        let devices = DeviceTokens::of(request.headers(), &self.authenticator.cookie_name)
            .verify(&self.keys, now)
            .await?;
        let token = read(request).await?;
        let mut backoff = Backoff::start();
        loop {
            match self.confirm(&token, &signed_in, &devices, now).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(error) => {
                    if error.status().is_client_error() {
                        let recorder = signed_in.recorder(self.accounts.activity_retention, now);
                        let uid = &signed_in.user.uid;
                        let failed = recorder.failed(uid, Action::ChangeEmail, &error);
                        self.authenticator.store.record(&failed).await?;
                    }
                    return Err(error);
                }
            }
            if !backoff.wait().await {
                return Err(Error::Unavailable(
                    "the user was changed by other requests at every attempt".into(),
                ));
            }
            // This request is processed as if it came after the one that changed the user.
            signed_in = self.authenticator.reload(signed_in, now).await?;
        }
    }

    /// Returns `None`, without writing, if a concurrent request changed the user or took the
    /// address.
    async fn confirm(
        &self,
        token: &str,
        signed_in: &AuthenticatedSession,
        devices: &KnownDevices,
        now: Timestamp,
    ) -> Result<Option<Response<Body>>, Error> {
        let AuthenticatedSession { session, user, .. } = signed_in;
        let store = &self.authenticator.store;
        let claims = self
            .keys
            .verify(Purpose::EmailChange, token, now)
            .await?
            .filter(|claims| claims.uid == user.uid)
            .ok_or(Error::TokenInvalid)?;
        let Some(stored) = store.find_email_change(user, now).await? else {
            return Ok(None);
        };
        let before = &stored.user;
        let change = stored
            .change
            .as_ref()
            .filter(|change| change.is_valid(&claims.token_id, before, now))
            .ok_or(Error::TokenUtilized)?;
        before.may_change_email(&change.email)?;
        let lookup = store
            .look_up_new_address(&user.uid, &change.email.account_keys(), now)
            .await?;
        if lookup.is_taken {
            return Err(Error::Fields(vec![FieldFault::EmailTaken]));
        }
        let changed = before.with_email(change.email.clone(), now)?;
        let signing_keys = self.keys.signing_keys(now).await?;
        // As after a change of the password, the new device does not name a second factor.
        let device = Device::begin(&changed, changed.device_epoch, false, now);
        let cookie = devices.cookie_with(&device, &signing_keys)?;
        let language = before.mail_language(None, self.application.default_language);
        // Mails to the previous address may have bounced, which is a reason to change it.
        let notice = QueuedMail::notice(Kind::EmailChanged, before, language, now)
            .filter(|notice| notice.check_recipient(before).is_ok());
        let confirmation = EmailChangeConfirmation {
            stored: &stored,
            change,
            changed: &changed,
            replaced: &lookup.expired,
            session,
            notice: notice.as_ref(),
            activity: &signed_in
                .recorder(self.accounts.activity_retention, now)
                .succeeded(&user.uid, Action::ChangeEmail),
        };
        match store.confirm_email_change(&confirmation).await? {
            EmailChangeOutcome::Done => {
                let response = json(StatusCode::CREATED, &changed.profile(None))?;
                with_cookie(response, &cookie).map(Some)
            }
            EmailChangeOutcome::CodeUsed => Err(Error::TokenUtilized),
            EmailChangeOutcome::Conflict => Ok(None),
        }
    }
}

async fn read(request: Request) -> Result<String, Error> {
    let mut parameters = Form::read(request).await?.parameters("resource.user");
    let token = parameters.token("token");
    parameters.finish().map(|()| token)
}

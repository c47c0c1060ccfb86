//! The password and the code of the second factor with which a signed-in user confirms an operation.

use shared::{
    Error, ParameterFault,
    domain::{
        otp::{SecondFactor, SecondFactorCode},
        password::{Hasher, Password, Verdict},
        user::User,
    },
    http::{
        Parameters,
        authentication::{AuthenticatedSession, Authenticator, Verified},
    },
    platform::clock::Timestamp,
    tokens::otp_secrets::OtpSecrets,
};

/// The parameters `password` and `otp_code` of a request.
pub struct Credentials {
    password: Password,
    otp_code: Result<Password, ParameterFault>,
    refusals: Refusals,
}

/// The errors of wrong credentials.
#[derive(Clone, Copy)]
enum Refusals {
    /// Those of the sign-in.
    SignIn,
    /// Those of the operations below `/resource/users`.
    Account,
}

impl Credentials {
    /// Reads the parameters for an operation whose module is `resource.user`, which refuses them
    /// with [`Error::AccountPasswordWrong`], [`Error::AccountCodeAbsent`] and
    /// [`Error::AccountCodeWrong`].
    pub fn read(parameters: &mut Parameters) -> Self {
        Self::read_with(parameters, Refusals::Account)
    }

    /// Reads the parameters for an operation that refuses them like a sign-in, with
    /// [`Error::InvalidCredentials`], [`Error::OtpMissing`] and [`Error::OtpInvalid`].
    pub fn read_as_at_sign_in(parameters: &mut Parameters) -> Self {
        Self::read_with(parameters, Refusals::SignIn)
    }

    fn read_with(parameters: &mut Parameters, refusals: Refusals) -> Self {
        Self {
            password: parameters.password("password"),
            otp_code: parameters.conditional_password("otp_code"),
            refusals,
        }
    }
}

impl Refusals {
    const fn wrong_password(self) -> Error {
        match self {
            Self::SignIn => Error::InvalidCredentials,
            Self::Account => Error::AccountPasswordWrong,
        }
    }

    const fn absent_code(self, fault: ParameterFault) -> Error {
        match self {
            Self::SignIn => Error::OtpMissing,
            Self::Account => Error::AccountCodeAbsent(fault),
        }
    }

    const fn wrong_code(self) -> Error {
        match self {
            Self::SignIn => Error::OtpInvalid,
            Self::Account => Error::AccountCodeWrong,
        }
    }
}

/// Verifies the credentials of signed-in users.
pub struct CredentialCheck {
    pub hasher: Hasher,
    pub otp_secrets: OtpSecrets,
}

impl CredentialCheck {
    /// Verifies the password and, while the second factor is on, the code. A wrong password or code
    /// counts on the session; an absent code, or text without the form of a code, does not.
    ///
    /// Returns the accepted code, which the write of the operation must mark as used; `None` while
    /// the second factor is off.
    pub async fn verify(
        &self,
        credentials: &Credentials,
        authenticator: &Authenticator,
        AuthenticatedSession { session, user, .. }: &AuthenticatedSession,
        now: Timestamp,
    ) -> Result<Option<SecondFactor>, Error> {
        authenticator
            .verify_in_session(session, self.verdict(credentials, user, now))
            .await
    }

    async fn verdict(
        &self,
        Credentials {
            password,
            otp_code,
            refusals,
        }: &Credentials,
        user: &User,
        now: Timestamp,
    ) -> Result<Verified<Option<SecondFactor>>, Error> {
        let hash = Some(&user.password_hash);
        if self.hasher.verify(password, hash).await? == Verdict::Wrong {
            return Ok(Verified::Wrong(refusals.wrong_password()));
        }
        if !user.has_otp() {
            return Ok(Verified::Right(None));
        }
        let code = otp_code
            .as_ref()
            .map_err(|fault| refusals.absent_code(*fault))?;
        let code = SecondFactorCode::parse(code.reveal()).ok_or_else(|| refusals.wrong_code())?;
        let factor = self
            .otp_secrets
            .accepted(user, &code, &self.hasher, now)
            .await?;
        Ok(Verified::right_or(factor.map(Some), refusals.wrong_code()))
    }
}
